"""Whom the user can order from, and how far each key reaches."""

from __future__ import annotations

from dataclasses import dataclass

from mcp_server.domain.catalog import Offer


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The providers that have a key, and those that have a pair that signs instead."""

    keyed: frozenset[str]
    paired: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.keyed or self.paired)

    def __contains__(self, provider: str) -> bool:
        return provider in self.keyed or provider in self.paired

    def reaches(self, offer: Offer) -> bool:
        """Whether an order of it would be taken: a pair signs for some offers alone."""
        return offer.provider in self.keyed or (offer.signed and offer.provider in self.paired)
