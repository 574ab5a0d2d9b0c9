"""What a phrase can be to a reader, and where a wish may stand."""

from __future__ import annotations

from typing import Final

# One phrase can be several things at once ("about" links, and says "roughly").
NAME: Final = 1 << 0
WISH: Final = 1 << 1
NOT_BEFORE: Final = 1 << 2
"""Negates the wish that follows it."""
NOT_AFTER: Final = 1 << 3
"""Negates what came before, as German and Japanese do."""
ARTICLE: Final = 1 << 4
VERB: Final = 1 << 5
CREATE: Final = 1 << 6
"""A verb that asks for a clip and for nothing else ("generate"): it never belongs to the scene."""
NOUN: Final = 1 << 7
LINK: Final = 1 << 8
FILLER: Final = 1 << 9
PLEASE: Final = 1 << 10
PARTICLE: Final = 1 << 11
LABEL: Final = 1 << 12
NUMBER: Final = 1 << 13
UNIT: Final = 1 << 14
RATIO_JOIN: Final = 1 << 15
RANGE_JOIN: Final = 1 << 16
CORRECTION: Final = 1 << 17
SHOT: Final = 1 << 18
SHOT_LIST: Final = 1 << 44
"""Announces numbered scenes: "multi-shot"."""
ON: Final = 1 << 19
OFF: Final = 1 << 20
NOT_JOIN: Final = 1 << 21
RIVAL: Final = 1 << 22
QUESTION: Final = 1 << 23
TOPIC: Final = 1 << 24
CHORE: Final = 1 << 25
STATE: Final = 1 << 26
PICTURE: Final = 1 << 27
NEAR_MISS: Final = 1 << 28
GENRE: Final = 1 << 31
"""A kind of clip: it shows that a clip is ordered, and stays in the scene."""
OWNED: Final = 1 << 32
"""Says that a thing is there already: "this", "my last"."""
MEDIUM: Final = 1 << 33
"""Something that is attached to the words: "audio file", "recording"."""
PERSON: Final = 1 << 34
"""Whoever is seen in what is attached: "character"."""
COUNTED: Final = 1 << 35
"""What several of may be asked for: "variations"."""
LIMIT: Final = 1 << 36
"""Makes an amount of money the most that may be spent: "under"."""
DOLLAR: Final = 1 << 37
CENT: Final = 1 << 42
FRAME_RATE: Final = 1 << 43
MONEY: Final = 1 << 38
"""A currency no price here is in."""
CHOICE: Final = 1 << 39
"""Leaves open which of two is wanted: "or"."""
KEPT: Final = 1 << 40
"""May stand among the words of an order, and stays in the prompt: "no music"."""
WITHIN: Final = 1 << 41
"""Negates, and in another language means "in the": "vídeo no kling"."""
FINAL: Final = 1 << 45
"""A verb that can close a sentence, in languages that say it last: "作って", "machen"."""

BESIDE_NAME, EDGE, STANDALONE, ANYWHERE = range(4)
"""Where a wish may fire: beside the name; alone at an end of the text; alone anywhere; in any place."""
