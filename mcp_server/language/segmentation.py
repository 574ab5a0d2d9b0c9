"""Which words are the order, and which are the scene.

Order words stand beside the name ("kling 4k …"), in a clause of their own at an end of the text (", vertical"), close
the last sentence ("… in 4k"), or carry a label ("duration: 10"). Everything else is the scene, whatever it says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from mcp_server.language import roles as role
from mcp_server.language import tokens as tok
from mcp_server.language.clauses import clause_start, inner_orders, is_article, is_order
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
        self._take_inner_orders()
        self._labelled()
        self.certain |= {at for at, item in enumerate(items) if self.taken[at] and item.scope == role.ANYWHERE}

    def wishes(self) -> Iterable[Item]:
        """The items of the order that ask for something."""
        return (item for item, taken in zip(self.items, self.taken, strict=True) if taken and item.has(role.WISH))

    # -- the beginning ----------------------------------------------------------------------------------------

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
        for at, item in enumerate(self.items):
            following = self.items[at + 1] if at + 1 < len(self.items) else None
            if (
                item.has(role.VERB)
                and following is not None
                and (
                    following.first in self.lexicon.indefinite
                    or following.has(role.NUMBER | role.GENRE)
                    or not following.first
                )
            ):
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

    # -- a name in the middle or at the end -------------------------------------------------------------------

    def _name_further_on(self, start: int) -> None:
        for at in range(start, len(self.items)):
            item = self.items[at]
            if item.has(role.NAME) and not item.negated and self._is_order_place(at):
                self._take_around(at, start)
                return

    def _is_order_place(self, at: int) -> bool:
        before, after = neighbour(self.items, at - 1), neighbour(self.items, at + 1)
        return after.has(BREAK | role.WISH | role.NOUN | role.PARTICLE | role.GENRE) or before.has(
            BREAK | role.FILLER | role.VERB | role.CREATE | role.LINK
        )

    def _take_around(self, at: int, start: int) -> None:
        self.named = at
        left, beside_scene = self._leading(at, start)
        end = self._span_end(at, free=True)
        if self.items[end - 1].sign == tok.COLON:
            left = self._request_start(left)
        elif beside_scene and self._is_whole_request(left, at, end):
            left = max(start, self._sentence_start(left))
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
        before = self.items[self._sentence_start(left) : left]
        short = sum(item.has(WORD) for item in before) <= _CHATTER and not any_has(before, BREAK)
        return begins and short and self._linked_noun(at, end) < end

    def _sentence_start(self, at: int) -> int:
        while at and self.items[at - 1].sign != tok.SENTENCE:
            at -= 1
        return at

    def _request_start(self, at: int) -> int:
        """“Make me something with kling pro: …”: what leads up to such a colon is not the scene."""
        start = self._sentence_start(at)
        opens = self.items[start].has(role.VERB | role.CREATE | role.PLEASE)
        return start if opens and not any_has(self.items[start:at], BREAK) else at

    # -- the end ----------------------------------------------------------------------------------------------

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
        """“…, 10 seconds, 9 seconds, 8 seconds” counts down; it orders nothing."""
        said = (item for start, end in clauses for item in self.items[start:end] if not item.negated)
        return all(len(found) == 1 for found in values_by_field(said).values())

    def _tail(self, start: int, end: int) -> None:
        """“… of a neon city in 4k for 10 seconds with sound”."""
        low = end
        while low > start and self.items[low - 1].has(ORDER) and not self.taken[low - 1]:
            low -= 1
        if low == start:
            return
        cut = self._closing_wishes(low, end)
        verbs = any_has(self.items[low:end], role.VERB | role.CREATE)
        if cut == end:
            cut = self._closing_request(low, end, verbs=verbs)
        elif verbs:
            while cut > low and self.items[cut - 1].has(role.NOUN | role.PARTICLE | role.CREATE):
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
            elif item.has(role.NAME) or (at + 1 == cut < end and self._leads_to(item)):
                cut = at
        return cut

    def _leads_to(self, item: Item) -> bool:
        return item.has(role.FILLER) or item.first in self.lexicon.closing_words("provider")

    def _may_close(self, at: int, cut: int) -> bool:
        """Whether this wish may end the last sentence, or stand before those from `cut` on, which do."""
        item, before, following = self.items[at], self.items[at - 1], neighbour(self.items, at + 1)
        if self._describes_scene(at):
            return False
        if is_article(before):
            return following.has(role.LABEL) and self.items[at - 2].has(role.FILLER)
        if item.closes == "bare" or item.scope == role.ANYWHERE:
            return True
        if item.closes != "after_preposition":
            return item.scope >= role.EDGE and self._is_listed(at, cut)
        field = item.sets[0][0] if item.sets else "other"
        return self.run_on or self._is_listed(at, cut) or before.first in self.lexicon.closing_words(field)

    def _is_listed(self, at: int, cut: int) -> bool:
        """Whether another wish stands right beside this one, or the name after it."""
        following = cut == at + 1 and neighbour(self.items, cut).has(role.WISH | role.NAME)
        return following or (self.run_on and self.items[at - 1].has(role.WISH))

    def _describes_scene(self, at: int) -> bool:
        leading = [item.first for item in self.items[max(0, at - 2) : at]]
        return any(
            self.lexicon.blocks(field, leading) or self._is_scenery(field, value)
            for field, value in self.items[at].sets
        )

    def _is_scenery(self, field: str, value: object) -> bool:
        """What was settled beside the name, and a length nobody sells, are not settled by a sentence's last words."""
        if field == "duration" and isinstance(value, int) and value > self.lexicon.longest_sold:
            return True
        said = {pair[1] for at in self.certain for pair in self.items[at].sets if pair[0] == field}
        return bool(said) and value not in said

    def _closing_request(self, low: int, end: int, *, verbs: bool) -> int:
        """Languages that say "video" and "make" last: "猫がピアノを弾く動画を作って"."""
        ordered = [item for item, taken in zip(self.items[:low], self.taken, strict=False) if taken]
        opened = any_has(ordered, role.VERB | role.CREATE | role.PLEASE)
        named = any_has(ordered, role.NOUN)
        first = self._first(role.NOUN, low, end)
        if first == end:
            return self._closing_verbs(low, end) if opened or named else end
        if not verbs and (named or not opened):
            return end
        self.clip_asked = True
        while first > low and self.items[first - 1].has(role.PARTICLE | role.FILLER):
            first -= 1
        return first

    def _closing_verbs(self, low: int, end: int) -> int:
        found = [at for at in range(low, end) if _may_be_last(self.items[at])]
        return found[0] if found and found[-1] == end - 1 else end

    # -- within the scene -------------------------------------------------------------------------------------------

    def _take_inner_orders(self) -> None:
        said = {field for item in self.wishes() for field, _ in item.sets}
        self._take_all(inner_orders(self.items[: self._shots], self.taken, said, self.lexicon))

    def _labelled(self) -> None:
        for at, item in enumerate(self.items):
            if item.scope == role.ANYWHERE and item.has(role.WISH):
                self.taken[at] = True

    def _take_all(self, clauses: Iterable[tuple[int, int]]) -> None:
        for start, end in clauses:
            self._take(start, end)

    def _take(self, start: int, end: int) -> None:
        for at in range(start, end):
            self.taken[at] = not self.items[at].has(role.KEPT)
        self.certain.update(at for at in range(start, end) if self.items[at].has(role.WISH))


def _may_be_last(item: Item) -> bool:
    """A word of ordering where languages say it last, "作って", "machen"; "she learns to run" is the scene's own."""
    return item.has(role.PLEASE) or (item.has(role.VERB | role.CREATE) and item.has(role.FINAL))
