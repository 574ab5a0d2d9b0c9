"""How far the order reaches from a place in the text: one walk to the right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mcp_server.language import roles as role
from mcp_server.language import tokens as tok
from mcp_server.language.attachments import is_own_clip
from mcp_server.language.clauses import is_article, is_order, is_thing
from mcp_server.language.item import BREAK, ORDER, WORD, Item, neighbour, values_by_field
from mcp_server.language.lexicon import Lexicon
from mcp_server.language.measures import SHOT_HEAD

_AFTER_NOUN: Final = (
    BREAK | role.LINK | role.WISH | role.NAME | role.PLEASE | role.FILLER | role.LABEL | role.PARTICLE | role.VERB
)
_BESIDE_SCENE: Final = frozenset(
    ("tier", "aspect_ratio", "mode", "model", "provider", "duration", "resolution", "vendor_model")
)
"""Wishes that may stand right between the name and the scene: "kling pro vertical dog"; not "kling sound engineer"."""
_BETWEEN: Final = role.FILLER | role.VERB | role.LABEL | role.ARTICLE | role.PLEASE | role.KEPT
"""Words that may stand among those of an order."""
_ADJECTIVES: Final = 2
"""How many may stand before the noun they belong to."""


class OrderSpan:
    """One walk to the right, committing to what is surely part of the order."""

    def __init__(self, items: Sequence[Item], at: int, lexicon: Lexicon, *, free: bool, named: bool) -> None:
        self.items = items
        self.lexicon = lexicon
        self.named = at if named else -1
        self.clip_asked = False
        self.start = at
        self.commit = at
        self.free = free
        self.wishes = 0
        """How many wishes came since the last commit."""
        self.standing = False
        """Whether one of them can stand alone."""
        self.colon = 0
        """Whether a colon came after the name: what follows is the scene unless it is surely an order."""
        self.clause = at
        self.unsettled = False
        """Whether the clause before this one was not surely order."""

    def end(self) -> int:
        items = self.items
        for at in range(self.start, len(items)):
            item = items[at]
            if item.sign == SHOT_HEAD:
                return self._finish(at)
            if item.sign == "prompt":
                return self._commit(at + 1)
            if item.has(BREAK):
                self._break(at)
            elif not item.has(ORDER) or not self._step(at, item):
                return self._stop(at)
        return self._finish(len(items))

    def _finish(self, at: int) -> int:
        if self._solid(at):
            self._commit(at)
        return self._reach()

    def _reach(self) -> int:
        """Up to the last commit; only to the colon, when what came after it disagrees with itself like a scene."""
        if self.colon:
            values = values_by_field(self.items[self.colon : self.commit])
            if any(len(found) > 1 for found in values.values()):
                return self.colon
        return self.commit

    def _break(self, at: int) -> None:
        self.unsettled = not self._solid(at)
        if not self.unsettled:
            self._commit(at + 1)
        self.free = False
        self.wishes, self.standing = 0, False
        self.clause = at + 1
        if self.items[at].sign == tok.COLON and self.named >= 0:
            self.colon = self.colon or at + 1

    def _solid(self, at: int) -> bool:
        """Whether all that came since the last commit is order."""
        if self.commit == at:
            return True
        if self.commit < self.clause:
            return not self.unsettled and is_order(self.items, self.clause, at, role.EDGE, self.lexicon)
        wishes = [index for index in range(self.commit, at) if self.items[index].has(role.WISH)]
        if wishes:
            edges = (self.items[index].scope >= role.EDGE for index in wishes)
            return all(edges) and not any(is_thing(self.items, index, at, self.lexicon) for index in wishes)
        return self.commit > self.start or all(item.has(role.PLEASE) for item in self.items[self.commit : at])

    def _commit(self, at: int) -> int:
        self.commit = at
        self.wishes, self.standing = 0, False
        return at

    def _step(self, at: int, item: Item) -> bool:
        """Takes one item in; False where the scene begins."""
        if item.has(role.NAME) and not (item.has(role.WISH) and self.colon):
            self._commit(at + 1)
            self.free = True
            if self.named < 0 and not item.negated:
                self.named = at
        elif item.has(role.WISH):
            self._wish(at, item)
        elif item.has(role.NOUN) and self._is_clip(at):
            self._commit(at + 1)
            self.free = True
            self.clip_asked = self.clip_asked or not is_own_clip(self.items, at, self.lexicon)
        elif item.has(role.LINK) and self._is_link(at):
            self._commit(at + 1)
            self.free = False
        else:
            return self._word(at, item)
        return True

    def _word(self, at: int, item: Item) -> bool:
        """The same for a word that asks for nothing itself."""
        if item.has(role.CREATE_VERB) or (item.has(role.PLEASE) and not item.has(role.FILLER)):
            # "generate", "please": it asks, and can be nothing else.
            if self.colon:
                return item.has(role.PLEASE | role.FILLER | role.VERB)
            self._commit(at + 1)
        elif (
            self.named == at - 1
            and item.first in self.lexicon.firsts["recipient"]
            and neighbour(self.items, at + 1).has(role.ARTICLE)
        ):
            # "kling me a sunset"
            self._commit(at + 1)
        elif item.has(role.LABEL) and self._describes(at):
            self._commit(at + 1)
            self.free = True
        elif item.has(role.PARTICLE) and at > self.start:
            self._particle(at, item)
        elif is_article(item):
            self._article(at)
        else:
            return item.has(_BETWEEN)
        return True

    def _particle(self, at: int, item: Item) -> None:
        if self.commit == at and item.start == self.items[at - 1].end:
            self._commit(at + 1)
        elif is_article(item):
            self._article(at)

    def _article(self, at: int) -> None:
        if self._listed():
            self._commit(at)
        self.free = False

    def _describes(self, at: int) -> bool:
        """“the pro version”: a label after its own kind of wish says nothing more."""
        if at == self.start:
            return False
        before = self.items[at - 1]
        if before.roles == role.NAME and at > 1 and self.items[at - 2].has(role.WISH):
            # "the cheapest kling tier"
            return True
        return bool(before.sets) and (not self.colon or neighbour(self.items, at + 1).has(BREAK))

    def _wish(self, at: int, item: Item) -> None:
        self.wishes += 1
        self.standing = self.standing or item.scope >= role.STANDALONE
        if self.free and (not neighbour(self.items, at + 1).has(WORD) or _may_lead_to_scene(item)):
            self.commit = at + 1
        soft = BREAK | role.FILLER
        if item.scope == role.ANYWHERE and all(one.has(soft) for one in self.items[self.commit : at]):
            self._commit(at + 1)

    def _is_clip(self, at: int) -> bool:
        """Whether the noun here means the clip that is ordered."""
        following = neighbour(self.items, at + 1)
        if following.first in self.lexicon.firsts["noun_not_before"]:
            return False
        if self.free:
            return True
        return following.has(_AFTER_NOUN) and not (self.colon and not self.wishes)

    def _is_link(self, at: int) -> bool:
        """Whether the word here leads from the order to the scene: "of"."""
        before, item, following = neighbour(self.items, at - 1), self.items[at], neighbour(self.items, at + 1)
        if before.sign == tok.COLON:
            # "kling : du café": what follows the colon begins the scene.
            return False
        if following.has(role.WISH) and item.has(role.FILLER):
            return False
        if following.has(role.STATE) and item.has(role.QUESTION):
            # "kling pro where is my mind": asked within the scene.
            return False
        if self.commit == at and at > self.start:
            return True
        return before.has(role.WISH) and before.scope >= role.STANDALONE and not self.colon

    def _listed(self) -> bool:
        """“4k 16:9 10s a lantern”: several wishes in a row need no comma."""
        return self.wishes >= 2 and self.standing

    def _stop(self, at: int) -> int:
        if self.commit == self.start and (partner := self.items[self.start].partner) >= 0:
            # "restyle this clip as …": a verb and its object open the text.
            self._commit(min(at, max(self.start, partner) + 1))
            return self._reach()
        kind = self.standing and self.items[at].has(role.GENRE)
        if ((self._listed() or kind) and self.items[at - 1].has(role.WISH)) or self._is_own_noun(at):
            self._commit(at)
        return self._reach()

    def _is_own_noun(self, at: int) -> bool:
        """“create a 5 second looping clip of …”: the noun stays with its adjective, what led up to it goes."""
        if self.colon or not self.wishes or not (self.items[at].has(WORD) and self.items[at - 1].has(role.WISH)):
            return False
        noun = at + 1
        while noun - at <= _ADJECTIVES and neighbour(self.items, noun).has(WORD):
            noun += 1
        return neighbour(self.items, noun).has(role.NOUN) and neighbour(self.items, noun + 1).has(role.LINK | BREAK)


def _may_lead_to_scene(wish: Item) -> bool:
    """Whether the scene's first word may follow this wish."""
    return wish.scope >= role.STANDALONE or (wish.weight > 1 and any(field in _BESIDE_SCENE for field, _ in wish.sets))
