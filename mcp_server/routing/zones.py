"""Which words are the order, and which are the scene.

Order words stand beside the name ("kling 4k …"), in a clause of their own at an end of the text (", vertical"), close
the last sentence ("… in 4k"), or carry a label ("duration: 10"). Everything else is the scene, whatever it says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from mcp_server.routing import lexicon as lex
from mcp_server.routing import tokens as tok
from mcp_server.routing.items import BREAK, SHOT_HEAD, WORD, Item
from mcp_server.routing.lexicon import Lexicon

_ORDER: Final = (
    lex.NAME | lex.WISH | lex.ARTICLE | lex.VERB | lex.LEAD | lex.NOUN | lex.LINK | lex.SOFT | lex.PLEASE
    | lex.PARTICLE | lex.LABEL
)  # fmt: skip
_AFTER_NOUN: Final = (
    BREAK | lex.LINK | lex.WISH | lex.NAME | lex.PLEASE | lex.SOFT | lex.LABEL | lex.PARTICLE | lex.VERB
)
_BESIDE_SCENE: Final = frozenset(
    ("tier", "aspect_ratio", "mode", "model", "provider", "duration", "resolution", "vendor_model")
)
"""Wishes that may stand right between the name and the scene: "kling pro vertical dog"; not "kling sound engineer"."""
_INDEFINITE: Final = frozenset(("a", "an", "un", "una", "une", "ein", "eine", "einen", "some"))


class Order:
    """The items of a text, and which of them are the order."""

    def __init__(self, items: Sequence[Item], lexicon: Lexicon) -> None:
        self.items = items
        self.lexicon = lexicon
        self.taken = [False] * len(items)
        self.named = -1
        """The place of the name that carries the order; -1 when none does."""
        self.framed = False
        """Whether a clip is asked for in so many words: "make a video of"."""
        self.firm: set[int] = set()
        """Wishes said beside the name or in clauses of their own; not those a sentence only happens to end with."""
        self.run_on = False
        """Whether the scene follows the order without a comma or a colon."""
        self._shots = next((at for at, item in enumerate(items) if item.sign == SHOT_HEAD), len(items))
        head = self._head()
        if self.named < 0:
            self._name_further_on(head)
        self._close()
        self._middle()
        self._labelled()
        self.firm |= {at for at, item in enumerate(items) if self.taken[at] and item.scope == lex.ANYWHERE}

    def wishes(self) -> Iterable[Item]:
        """Everything that is asked for."""
        return (item for item, taken in zip(self.items, self.taken, strict=True) if taken and item.has(lex.WISH))

    # -- the beginning ----------------------------------------------------------------------------------------

    def _head(self) -> int:
        end = self._grow(0, free=False)
        if end == 0 or not self._has_name(0, end):
            end = max(end, self._opening_verb())
        self._take(0, end)
        if end and not self.items[end - 1].has(BREAK):
            self.run_on = True
        return end

    def _has_name(self, start: int, end: int) -> bool:
        for at in range(start, end):
            if self.items[at].has(lex.NAME) and not self.items[at].negated:
                self.named = at
                return True
        return False

    def _opening_verb(self) -> int:
        """ "Make a fox … with kling": the verb goes, the article stays with the scene."""
        for at, item in enumerate(self.items):
            if item.has(lex.VERB) and at + 1 < len(self.items) and self.items[at + 1].first in _INDEFINITE:
                return at + 1
            if not item.has(lex.PLEASE | lex.SOFT):
                break
        return 0

    def _grow(self, at: int, *, free: bool) -> int:
        """How far the order reaches from here. `free`: a wish here stands right beside the name."""
        return _Growth(self, at, free=free).run()

    # -- a name in the middle or at the end -------------------------------------------------------------------

    def _name_further_on(self, start: int) -> None:
        for at in range(start, len(self.items)):
            item = self.items[at]
            if item.has(lex.NAME) and not item.negated and self._is_order_place(at):
                self._take_around(at, start)
                return

    def _is_order_place(self, at: int) -> bool:
        before = self.items[at - 1] if at else None
        after = self.items[at + 1] if at + 1 < len(self.items) else None
        if after is None or after.has(BREAK | lex.WISH | lex.NOUN | lex.PARTICLE):
            return True
        return before is None or before.has(BREAK | lex.SOFT | lex.VERB | lex.LEAD | lex.LINK)

    def _take_around(self, at: int, start: int) -> None:
        self.named = at
        left = at
        while left > start and self.items[left - 1].has(_ORDER) and not self.items[left - 1].has(BREAK):
            left -= 1
        beside_scene = left > start and self.items[left - 1].has(WORD)
        while beside_scene and left < at and self.items[left].has(lex.ARTICLE):
            left += 1
        end = self._grow(at, free=True)
        if self.items[end - 1].sign == tok.COLON:
            left = self._frame_start(left)
        if beside_scene and left == at:
            # "a stop-motion kling video of a dog": the noun stays with its own adjective.
            for index in range(at, end - 1):
                if self.items[index].has(lex.NOUN) and self.items[index + 1].has(lex.LINK):
                    end = index
                    break
        self._take(left, end)

    def _frame_start(self, at: int) -> int:
        """ "Make me something with kling pro: …": what leads up to such a colon is not the scene."""
        start = at
        while start and self.items[start - 1].sign != tok.SENTENCE:
            start -= 1
        opens = self.items[start].has(lex.VERB | lex.LEAD | lex.PLEASE)
        return start if opens and not any(item.has(BREAK) for item in self.items[start:at]) else at

    # -- the end ----------------------------------------------------------------------------------------------

    def _close(self) -> None:
        """Clauses at the end that say nothing but what is wanted, then the tail of the last sentence."""
        end = len(self.items)
        while end:
            start = self._clause_start(end)
            if start < self._shots < end:
                break
            if start < end and not all(self.taken[start:end]):
                if not self._is_order_clause(start, end, lex.EDGE):
                    self._tail(start, end)
                    return
                self._take(start, end)
            if start == 0 or self.items[start - 1].sign == SHOT_HEAD:
                return
            end = start - 1

    def _clause_start(self, end: int) -> int:
        start = end
        while start and not self.items[start - 1].has(BREAK):
            start -= 1
        return start

    def _is_order_clause(self, start: int, end: int, scope: int) -> bool:
        """Whether these items say only what is wanted, in words that may say it here."""
        clause = self.items[start:end]
        if any(not item.has(_ORDER) for item in clause):
            return False
        asked = any(item.has(lex.VERB | lex.LEAD) for item in clause)
        wishes = [at for at in range(start, end) if self.items[at].has(lex.WISH)]
        if not wishes:
            return all(item.has(lex.PLEASE) for item in clause)
        needed = lex.EDGE if asked else scope
        return all(self.items[at].scope >= needed and (asked or not self._is_thing(at, end)) for at in wishes)

    def _is_thing(self, at: int, end: int) -> bool:
        """ "a square", "the master": with an article and nothing after it to describe, it is a thing in the scene."""
        item = self.items[at]
        if item.scope != lex.EDGE or at == 0 or not self.items[at - 1].has(lex.ARTICLE):
            return False
        if at > 1 and self.items[at - 2].first in self.lexicon.closing["purpose"]:
            return False
        return at + 1 >= end or not self.items[at + 1].has(lex.LABEL | lex.NOUN | lex.WISH | lex.NAME)

    def _tail(self, start: int, end: int) -> None:
        """ "… of a neon city in 4k for 10 seconds with sound"."""
        low = end
        while low > start and self.items[low - 1].has(_ORDER) and not self.taken[low - 1]:
            low -= 1
        if low == start:
            return
        cut = end
        for at in range(end - 1, low - 1, -1):
            item = self.items[at]
            if item.has(lex.WISH):
                if not self._may_close(at, cut, end):
                    break
                cut = at
            elif item.has(lex.NAME) or (cut < end and at == cut - 1 and item.has(lex.SOFT)):
                cut = at
        verbs = any(item.has(lex.VERB | lex.LEAD) for item in self.items[low:end])
        if cut == end:
            cut = self._frame(low, end, verbs=verbs)
        elif verbs:
            while cut > low and self.items[cut - 1].has(lex.NOUN | lex.PARTICLE | lex.LEAD):
                cut -= 1
        firm = set(self.firm)
        self._take(cut, end)
        self.firm = firm

    def _may_close(self, at: int, cut: int, end: int) -> bool:
        item = self.items[at]
        before = self.items[at - 1]
        if any(before.first in self.lexicon.blocked_before.get(field, ()) for field, _ in item.sets):
            return False
        if any(self._is_scenery(field, value) for field, value in item.sets):
            return False
        following = self.items[at + 1] if at + 1 < end else None
        if before.has(lex.ARTICLE) and not before.has(lex.SOFT):
            return following is not None and following.has(lex.LABEL) and self.items[at - 2].has(lex.SOFT)
        if item.closes == "bare" or item.scope == lex.ANYWHERE:
            return True
        beside = cut == at + 1 and following is not None and following.has(lex.WISH | lex.NAME)
        if item.closes == "after_preposition":
            field = item.sets[0][0] if item.sets else "other"
            return (
                beside or self.run_on or before.first in self.lexicon.closing.get(field, self.lexicon.closing["other"])
            )
        return beside and item.scope >= lex.EDGE

    def _is_scenery(self, field: str, value: object) -> bool:
        """What was settled beside the name, and a length nobody sells, are not settled by a sentence's last words."""
        if field == "duration" and isinstance(value, int) and value > self.lexicon.longest_sold:
            return True
        said = {pair[1] for at in self.firm for pair in self.items[at].sets if pair[0] == field}
        return bool(said) and value not in said

    def _frame(self, low: int, end: int, *, verbs: bool) -> int:
        """Languages that say "video" and "make" last: "猫がピアノを弾く動画を作って"."""
        opened = any(
            self.taken[at] and item.has(lex.VERB | lex.LEAD | lex.PLEASE) for at, item in enumerate(self.items[:low])
        )
        named = any(self.taken[at] and item.has(lex.NOUN) for at, item in enumerate(self.items[:low]))
        first = next((at for at in range(low, end) if self.items[at].has(lex.NOUN)), None)
        if first is None:
            closing = [at for at in range(low, end) if self.items[at].has(lex.VERB | lex.LEAD | lex.PLEASE)]
            return closing[0] if closing and closing[-1] == end - 1 and (opened or named) else end
        if not verbs and not (opened and not named):
            return end
        self.framed = True
        while first > low and self.items[first - 1].has(lex.PARTICLE | lex.SOFT):
            first -= 1
        return first

    # -- the middle -------------------------------------------------------------------------------------------

    def _middle(self) -> None:
        """Clauses within the scene that can be nothing but an order; two that disagree are part of the scene."""
        said = {field for item in self.wishes() for field, _ in item.sets}
        found: list[tuple[int, int]] = []
        values: dict[str, set[object]] = {}
        start = 0
        for end in range(len(self.items) + 1):
            if end < len(self.items) and not self.items[end].has(BREAK):
                continue
            if start < end and start < self._shots and not any(self.taken[start:end]):
                wishes = [item for item in self.items[start:end] if item.has(lex.WISH)]
                if wishes and self._is_order_clause(start, end, lex.STANDALONE):
                    found.append((start, end))
                    for field, value in (pair for item in wishes for pair in item.sets):
                        values.setdefault(field, set()).add(value)
            start = end + 1
        for start, end in found:
            fields = {field for item in self.items[start:end] for field, _ in item.sets}
            asked = any(item.has(lex.VERB | lex.LEAD) for item in self.items[start:end])
            if asked or (not fields & said and all(len(values[field]) == 1 for field in fields)):
                self._take(start, end)

    def _labelled(self) -> None:
        for at, item in enumerate(self.items):
            if item.scope == lex.ANYWHERE and item.has(lex.WISH):
                self.taken[at] = True

    def _take(self, start: int, end: int) -> None:
        for at in range(start, end):
            self.taken[at] = True
        self.firm.update(at for at in range(start, end) if self.items[at].has(lex.WISH))


class _Growth:
    """One walk to the right, committing to what is surely part of the order."""

    def __init__(self, order: Order, at: int, *, free: bool) -> None:
        self.order = order
        self.items = order.items
        self.start = at
        self.commit = at
        self.free = free
        self.wishes = 0
        """Wishes since the last commit."""
        self.standing = False
        """Whether one of them can stand alone."""
        self.colon = 0
        """Whether a colon came after the name: what follows is the scene unless it is surely an order."""
        self.clause = at

    def run(self) -> int:
        items = self.items
        for at in range(self.start, len(items)):
            item = items[at]
            if item.sign == SHOT_HEAD:
                return self._end(at)
            if item.sign == "prompt":
                return self._commit(at + 1)
            if item.has(BREAK):
                self._break(at)
            elif not item.has(_ORDER) or not self._step(at, item):
                return self._stop(at)
        return self._end(len(items))

    def _end(self, at: int) -> int:
        if self._solid(at):
            self._commit(at)
        return self._reach()

    def _reach(self) -> int:
        """Up to the last commit; only to the colon, when what came after it disagrees with itself like a scene."""
        if self.colon:
            values: dict[str, set[object]] = {}
            for item in self.items[self.colon : self.commit]:
                for field, value in item.sets:
                    values.setdefault(field, set()).add(value)
            if any(len(found) > 1 for found in values.values()):
                return self.colon
        return self.commit

    def _break(self, at: int) -> None:
        if self._solid(at):
            self._commit(at + 1)
        self.free = False
        self.wishes, self.standing = 0, False
        self.clause = at + 1
        if self.items[at].sign == tok.COLON and self.order.named >= 0:
            self.colon = self.colon or at + 1

    def _solid(self, at: int) -> bool:
        """Whether all that came since the last commit is order."""
        if self.commit == at:
            return True
        if self.commit < self.clause:
            return self.order._is_order_clause(self.clause, at, lex.EDGE) and self._only_breaks(
                self.commit, self.clause
            )
        pending = self.items[self.commit : at]
        if any(item.has(lex.WISH) for item in pending):
            return all(
                self.items[index].scope >= lex.EDGE and not self.order._is_thing(index, at)
                for index in range(self.commit, at)
                if self.items[index].has(lex.WISH)
            )
        return self.commit > self.start or all(item.has(lex.PLEASE) for item in pending)

    def _only_breaks(self, start: int, end: int) -> bool:
        return all(item.has(BREAK) for item in self.items[start:end])

    def _commit(self, at: int) -> int:
        self.commit = at
        self.wishes, self.standing = 0, False
        return at

    def _step(self, at: int, item: Item) -> bool:
        """Takes one item in; False where the scene begins."""
        following = self.items[at + 1] if at + 1 < len(self.items) else None
        if item.has(lex.NAME) and (not item.has(lex.WISH) or not self.colon):
            self._commit(at + 1)
            self.free = True
            if self.order.named < 0 and not item.negated:
                self.order.named = at
        elif item.has(lex.WISH):
            self._wish(at, item, following)
        elif item.has(lex.NOUN) and self._noun(at, following):
            self._commit(at + 1)
            self.free = True
            self.order.framed = True
        elif item.has(lex.LINK) and self._link(at, following):
            self._commit(at + 1)
            self.free = False
        elif item.has(lex.LEAD) or (item.has(lex.PLEASE) and not item.has(lex.SOFT)):
            if self.colon:
                return item.has(lex.PLEASE | lex.SOFT | lex.VERB)
            self._commit(at + 1)
        elif item.has(lex.LABEL) and at > self.start and self._describes(at, item, following):
            self._commit(at + 1)
            self.free = True
        elif item.has(lex.PARTICLE) and self.commit == at and at and item.start == self.items[at - 1].end:
            self._commit(at + 1)
        elif item.has(lex.ARTICLE) and not item.has(lex.SOFT):
            if self._listed():
                self._commit(at)
            self.free = False
        elif item.has(lex.PARTICLE) and at > self.start and item.start == self.items[at - 1].end:
            return True
        else:
            return item.has(lex.SOFT | lex.VERB | lex.LABEL | lex.ARTICLE | lex.PLEASE)
        return True

    def _describes(self, at: int, label: Item, following: Item | None) -> bool:
        """ "the pro version": a label after its own kind of wish says nothing more."""
        fields = {field for field, _ in self.items[at - 1].sets}
        if label.entry is None or not fields.intersection(label.entry.label):
            return False
        return not self.colon or following is None or following.has(BREAK)

    def _wish(self, at: int, item: Item, following: Item | None) -> None:
        self.wishes += 1
        self.standing = self.standing or item.scope >= lex.STANDALONE
        fits = (
            following is None
            or not following.has(WORD)
            or item.weight > 1
            and any(field in _BESIDE_SCENE for field, _ in item.sets)
        )
        if self.free and fits:
            wishes, standing = self.wishes, self.standing
            self._commit(at + 1)
            self.wishes, self.standing = wishes, standing
        if item.scope == lex.ANYWHERE and self._only_soft(at):
            self._commit(at + 1)

    def _only_soft(self, at: int) -> bool:
        return all(item.has(BREAK | lex.SOFT) for item in self.items[self.commit : at])

    def _noun(self, at: int, following: Item | None) -> bool:
        if following is not None and following.first in self.order.lexicon.noun_not_before:
            return False
        if self.free:
            return True
        if self.colon and not self.wishes:
            return False
        return following is None or following.has(_AFTER_NOUN)

    def _link(self, at: int, following: Item | None) -> bool:
        before = self.items[at - 1] if at else None
        if following is not None and following.has(lex.WISH) and item_is_soft(self.items[at]):
            return False
        if self.commit == at and at > self.start:
            return True
        return before is not None and before.has(lex.WISH) and before.scope >= lex.STANDALONE and not self.colon

    def _listed(self) -> bool:
        """ "4k 16:9 10s a lantern": several wishes in a row need no comma."""
        return self.wishes >= 2 and self.standing

    def _stop(self, at: int) -> int:
        if self._listed() and self.items[at - 1].has(lex.WISH):
            self._commit(at)
        return self._reach()


def item_is_soft(item: Item) -> bool:
    """Whether a linking word also says nothing at all, as "de" and "mit" do."""
    return item.has(lex.SOFT)
