"""Which words are the order, and which are the scene.

Order words stand beside the name ("kling 4k …"), in a clause of their own at an end of the text (", vertical"), close
the last sentence ("… in 4k"), or carry a label ("duration: 10"). Everything else is the scene, whatever it says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from mcp_server.language import roles as role
from mcp_server.language import tokens as tok
from mcp_server.language.attachments import is_own_clip, media_named
from mcp_server.language.clauses import (
    MEASURES,
    clause_start,
    clauses_of,
    inner_orders,
    is_article,
    is_order,
    is_told,
    sentence_of,
)
from mcp_server.language.item import BREAK, ORDER, WORD, Item, any_has, neighbour, values_by_field
from mcp_server.language.lexicon import Lexicon
from mcp_server.language.measures import SHOT_HEAD
from mcp_server.language.order_span import OrderSpan

_CHATTER: Final = 4
"""How many unknown words may lead up to "… a kling video of" without being a scene of their own."""


class Segmentation:
    """The items of a text, and which of them are the order."""

    def __init__(self, items: Sequence[Item], lexicon: Lexicon) -> None:
        self.items = items
        self.lexicon = lexicon
        self.taken = [False] * len(items)
        self.tool_named = bool(items) and items[0].has(role.NAME) and not items[0].end
        """Whether the name is no word of the text: whoever reads knows that a Kling clip is wanted."""
        self.named = -1
        """The place of the name that carries the order; -1 when none does."""
        self.clip_asked = False
        """Whether a clip is asked for in so many words: "make a video of"."""
        self.certain: set[int] = set()
        """Wishes said beside the name or in clauses of their own; not those a sentence only happens to end with."""
        self.run_on = False
        """Whether the scene follows the order without a comma or a colon."""
        self._shots = next((at for at, item in enumerate(items) if item.sign == SHOT_HEAD), len(items))
        head = self._head()
        if self.named < 0:
            self._name_further_on(head)
        self._close()
        said = {field for item in self.wishes() for field, _ in item.sets}
        self._take_all(inner_orders(items[: self._shots], self.taken, said, lexicon))
        labelled = [at for at, item in enumerate(items) if item.scope == role.ANYWHERE and item.has(role.WISH)]
        for at in labelled:
            self.taken[at] = True
        self.certain.update(labelled)

    def wishes(self) -> Iterable[Item]:
        """The items of the order that ask for something."""
        return (item for item, taken in zip(self.items, self.taken, strict=True) if taken and item.has(role.WISH))

    def take_everything(self) -> None:
        """Where nothing in the text is a scene, every wish in it counts."""
        self.taken = [not item.has(WORD) for item in self.items]

    def is_instruction(self) -> bool:
        """Whether hardly a word of this is a scene: "deixa na vertical", beside a scene that was given apart."""
        return sum(item.has(WORD) and not item.address for item in self.items) <= _CHATTER

    def is_order(self) -> bool:
        """Whether a text that should be a scene is an order: it names Kling beside a wish, or opens with wishes and
        a colon.
        """
        wishes = [at for at in self.certain if self.items[at].sets]
        if not self.tool_named or any(item.sign == "prompt" for item in self.items):
            return bool(wishes)
        colon = next((at for at, item in enumerate(self.items) if item.sign == tok.COLON), 0)
        opening = [self.items[at] for at in wishes if at < colon]
        sure = any(item.scope >= role.STANDALONE or item.asks_for("tier") for item in opening)
        return all(self.taken[:colon]) and (sure or len(opening) > 1)

    def keep_certain(self, *, nothing: bool) -> None:
        """Leaves of the order what a scene hardly says: labels, and clauses at the end that only measure the clip.

        A file that a scene names is not taken: it may be what the scene shows.
        """
        for item in self.items:
            item.medium = ""
        kept = {at for at, item in enumerate(self.items) if item.scope == role.ANYWHERE}
        for start, stop in reversed(clauses_of(self.items, 0, len(self.items))):
            if not all(self.taken[start:stop]):
                break
            if self._only_measures(start, stop):
                kept |= set(range(start, stop))
        self.taken = [taken and at in kept and not nothing for at, taken in enumerate(self.taken)]

    def _only_measures(self, start: int, end: int) -> bool:
        said = [item for item in self.items[start:end] if item.has(role.WISH)]
        return bool(said) and all(item.scope >= role.STANDALONE and set(dict(item.sets)) <= MEASURES for item in said)

    def take_media(self, text: str) -> dict[str, Any]:
        """The addresses and files that are named, by argument; with what only leads up to them they leave the scene."""
        if not any(item.address for item in self.items):
            return {}
        references = any(("mode", "reference-to-video") in item.sets for item in self.wishes())
        found = media_named(self.items, text, self.lexicon, references=references)
        for start, end in clauses_of(self.items, 0, len(self.items)):
            named = [at for at in range(start, end) if self.items[at].medium]
            if named and all(item.has(ORDER) for item in self.items[start:end]):
                named = list(range(start, end))
            for at in named:
                self.taken[at] = True
        return found

    def _head(self) -> int:
        end = self._span_end(0, free=False)
        if end == 0 or not self._has_name(0, end):
            end = max(end, self._opening_verb())
        self._take(0, end)
        if end and not self.items[end - 1].has(BREAK):
            self.run_on = True
        return end

    def _has_name(self, start: int, end: int) -> bool:
        for at in range(start, end):
            if self.items[at].has(role.NAME) and not self.items[at].negated:
                self.named = at
                return True
        return False

    def _opening_verb(self) -> int:
        """“Make a fox … with kling”: the verb goes, the article stays with the scene."""
        for at, item in enumerate(self.items[:-1]):
            following = self.items[at + 1]
            begins = not following.first or following.first in self.lexicon.firsts["indefinite"]
            if item.has(role.VERB) and (begins or following.has(role.NUMBER | role.GENRE)):
                return at + 1
            if not item.has(role.PLEASE | role.FILLER):
                break
        return 0

    def _span_end(self, at: int, *, free: bool) -> int:
        """How far the order reaches from here. `free`: a wish here stands right beside the name."""
        span = OrderSpan(self.items, at, self.lexicon, free=free, named=self.named >= 0)
        end = span.end()
        self.clip_asked = self.clip_asked or span.clip_asked
        if self.named < 0:
            self.named = span.named
        return end

    def _name_further_on(self, start: int) -> None:
        for at in range(start, len(self.items)):
            item = self.items[at]
            if item.has(role.NAME) and not item.negated and self._is_order_place(at):
                self._take_around(at, start)
                return

    def _is_order_place(self, at: int) -> bool:
        before, after = neighbour(self.items, at - 1), neighbour(self.items, at + 1)
        return after.has(BREAK | role.WISH | role.NOUN | role.PARTICLE | role.GENRE) or before.has(
            BREAK | role.FILLER | role.VERB | role.CREATE_VERB | role.LINK
        )

    def _take_around(self, at: int, start: int) -> None:
        self.named = at
        left, beside_scene = self._leading(at, start)
        end = self._span_end(at, free=True)
        if self.items[end - 1].sign == tok.COLON:
            left = self._request_start(left)
        elif beside_scene and self._is_whole_request(left, at, end):
            left = max(start, sentence_of(self.items, left)[0])
        if beside_scene and self.items[left - 1].has(role.GENRE):
            # "a 15s spot in kling pro of a car": the kind of clip stays, with what it shows.
            end = self._first(role.LINK, at, end)
            self._take_adjectives(left - 1)
        if beside_scene and left == at:
            # "a stop-motion kling video of a dog": the noun stays with its own adjective.
            end = self._linked_noun(at, end)
        self._take(left, end)

    def _leading(self, at: int, start: int) -> tuple[int, bool]:
        """Where the words begin that lead up to the name, and whether they follow the scene; its article is its own."""
        left = at
        while left > start and self.items[left - 1].has(ORDER) and not self.items[left - 1].has(BREAK | role.KEPT):
            left -= 1
        beside_scene = left > start and self.items[left - 1].has(WORD | role.KEPT)
        while beside_scene and left < at and self.items[left].has(role.ARTICLE):
            left += 1
        return left, beside_scene

    def _first(self, roles: int, start: int, end: int) -> int:
        """The first place with one of these roles; `end` when there is none."""
        return next((at for at in range(start, end) if self.items[at].has(roles)), end)

    def _linked_noun(self, start: int, end: int) -> int:
        """Where the noun stands that “of” follows; `end` when there is none."""
        nouns = (at for at in range(start, end - 1) if self.items[at].has(role.NOUN))
        return next((at for at in nouns if self.items[at + 1].has(role.LINK)), end)

    def _take_adjectives(self, noun: int) -> None:
        """The wishes right before a noun."""
        first = noun
        while first and self.items[first - 1].has(role.WISH) and self.items[first - 1].scope >= role.EDGE:
            first -= 1
        self._take(first, noun)

    def _is_whole_request(self, left: int, at: int, end: int) -> bool:
        """“Would you mind making a kling video of …”: an article, the name, a noun and what links it to the scene."""
        begins = left > 0 and self.items[left - 1].has(role.ARTICLE) and not self.items[left - 1].has(WORD)
        before = self.items[sentence_of(self.items, left)[0] : left]
        short = sum(item.has(WORD) for item in before) <= _CHATTER and not any_has(before, BREAK)
        return begins and short and self._linked_noun(at, end) < end

    def _request_start(self, at: int) -> int:
        """“Make me something with kling pro: …”: what leads up to such a colon is not the scene."""
        start = sentence_of(self.items, at)[0]
        opens = self.items[start].has(role.VERB | role.CREATE_VERB | role.PLEASE)
        return start if opens and not any_has(self.items[start:at], BREAK) else at

    def _close(self) -> None:
        """Clauses at the end that say nothing but what is wanted, then the tail of the last sentence."""
        end = len(self.items)
        tail: list[tuple[int, int]] = []
        while end:
            start = clause_start(self.items, end)
            if start < self._shots < end:
                break
            if start < end and not all(self.taken[start:end]):
                if not is_order(self.items, start, end, role.EDGE, self.lexicon):
                    if self._agree(tail):
                        self._take_all(tail)
                        self._tail(start, end)
                    return
                tail.append((start, end))
            if start == 0 or self.items[start - 1].sign == SHOT_HEAD:
                break
            end = start - 1
        self._take_all(tail)

    def _agree(self, clauses: Iterable[tuple[int, int]]) -> bool:
        """“…, 10 seconds, 9 seconds, 8 seconds” counts down and orders nothing; two values are a correction, or asked
        about.
        """
        said = [item for start, end in clauses for item in self.items[start:end] if not item.negated]
        return any_has(said, role.CORRECTION) or all(len(found) <= 2 for found in values_by_field(said).values())

    def _tail(self, start: int, end: int) -> None:
        """“… of a neon city in 4k for 10 seconds with sound”."""
        low = end
        while low > start and self.items[low - 1].has(ORDER) and not self.taken[low - 1]:
            low -= 1
        if low == start:
            return
        cut = self._closing_wishes(low, end)
        verbs = any_has(self.items[low:end], role.VERB | role.CREATE_VERB)
        if cut == end:
            cut = self._closing_request(low, end, verbs=verbs)
        elif verbs:
            while cut > low and self.items[cut - 1].has(role.NOUN | role.PARTICLE | role.CREATE_VERB):
                cut -= 1
        certain = set(self.certain)
        self._take(cut, end)
        self.certain = certain

    def _closing_wishes(self, low: int, end: int) -> int:
        """Where the wishes and names begin that the last sentence ends with; `end` when there are none."""
        cut = end
        for at in range(end - 1, low - 1, -1):
            item = self.items[at]
            if item.has(role.WISH):
                if not self._may_close(at, cut):
                    break
                cut = at
            elif item.has(role.NAME) or (
                at + 1 == cut < end and (item.has(role.FILLER) or item.first in self.lexicon.firsts["closing"])
            ):
                cut = at
        return cut

    def _may_close(self, at: int, cut: int) -> bool:
        """Whether this wish may end the last sentence, or stand before those from `cut` on, which do."""
        item, before, following = self.items[at], self.items[at - 1], neighbour(self.items, at + 1)
        if is_told(self.items, at, self.lexicon) or any(self._is_scenery(*said) for said in item.sets):
            return False
        if is_article(before):
            return following.has(role.LABEL) and self.items[at - 2].has(role.FILLER)
        if item.closes == "bare" or item.scope == role.ANYWHERE:
            return True
        if item.closes != "after_preposition":
            return item.scope >= role.EDGE and self._is_listed(at, cut)
        return self.run_on or self._is_listed(at, cut) or before.first in self.lexicon.firsts["closing"]

    def _is_listed(self, at: int, cut: int) -> bool:
        """Whether another wish stands right beside this one, or the name after it."""
        following = cut == at + 1 and neighbour(self.items, cut).has(role.WISH | role.NAME)
        return following or (self.run_on and self.items[at - 1].has(role.WISH))

    def _is_scenery(self, field: str, value: object) -> bool:
        """What was settled beside the name, and a length nobody sells, are not settled by a sentence's last words."""
        if field == "duration" and isinstance(value, int) and value > self.lexicon.longest_sold:
            return True
        said = {pair[1] for at in self.certain for pair in self.items[at].sets if pair[0] == field}
        return bool(said) and value not in said

    def _closing_request(self, low: int, end: int, *, verbs: bool) -> int:
        """Languages that say "video" and "make" last: "猫がピアノを弾く動画を作って"."""
        ordered = [item for item, taken in zip(self.items[:low], self.taken, strict=False) if taken]
        opened = any_has(ordered, role.VERB | role.CREATE_VERB | role.PLEASE)
        named = any_has(ordered, role.NOUN)
        first = self._first(role.NOUN, low, end)
        if first == end or (first + 1 == end and is_own_clip(self.items, first, self.lexicon)):
            return self._closing_verbs(low, end) if opened or named else end
        if not verbs and (named or not opened):
            return end
        self.clip_asked = True
        while first > low and self.items[first - 1].has(role.PARTICLE | role.FILLER):
            first -= 1
        return first

    def _closing_verbs(self, low: int, end: int) -> int:
        """Words of ordering where they are said last, "作って", "machen"; "she learns to run" is the scene's own."""
        last = role.VERB | role.CREATE_VERB
        said = ((at, self.items[at]) for at in range(low, end))
        found = [at for at, item in said if item.has(role.PLEASE) or (item.has(last) and item.has(role.FINAL))]
        return found[0] if found and found[-1] == end - 1 else end

    def _take_all(self, clauses: Iterable[tuple[int, int]]) -> None:
        for start, end in clauses:
            self._take(start, end)

    def _take(self, start: int, end: int) -> None:
        for at in range(start, end):
            self.taken[at] = not self.items[at].has(role.KEPT)
        self.certain.update(at for at in range(start, end) if self.items[at].has(role.WISH))
