"""What a phrase can be to a reader, several things at once, and where a wish may stand."""

from __future__ import annotations

from typing import Final

(
    ARTICLE, VERB, CREATE_VERB, NOUN, GENRE, LINK, FILLER, PLEASE, PARTICLE, KEPT, COUNTED, CHOICE, CORRECTION,
    NEGATION_BEFORE, NEGATION_AFTER, NEGATION_WITHIN, FRAME_RATE, RATIO_JOIN, RANGE_JOIN, SHOT, SHOT_LIST, LIMIT,
    OWNED, MEDIUM, NEAR_MISS, RIVAL, QUESTION, TOPIC, CHORE, STATE, PICTURE, NAME, WISH, LABEL, NUMBER, MONEY,
    SWITCH, UNIT, FINAL, WORD, BREAK,
) = (1 << bit for bit in range(41))  # fmt: skip
"""Up to `PICTURE`: what the list of that name in grammar.json says of a phrase; schemas/grammar.json explains each.

`FINAL`: a verb that can close a sentence, in languages that say it last: "作って", "machen"; `WORD`: means nothing
here, and is part of the scene; `BREAK`: a sign that ends a clause.
"""
_LISTED: Final = [(name.lower(), bit) for name, bit in list(globals().items()) if name.isupper() and bit <= PICTURE]
LISTS: Final = dict(_LISTED) | {"correction": CORRECTION | FILLER, "shot_list": SHOT_LIST | FILLER}

BESIDE_NAME, EDGE, STANDALONE, ANYWHERE = range(4)
"""Where a wish may fire: beside the name; alone at an end of the text; alone anywhere; in any place."""
