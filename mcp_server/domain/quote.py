"""What it costs: a checked request with its price."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from mcp_server.domain.catalog import PriceUnit
from mcp_server.domain.request import CheckedRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A checked request and what it will cost, as far as anybody published it."""

    checked: CheckedRequest
    amount: Decimal | None
    """In `currency`; None when it cannot be known beforehand."""
    currency: Literal["USD", "credits"]
    rate: Decimal | None
    unit: PriceUnit
    usd: Decimal | None
    """None also when a credit's dollar value is not known."""
    usd_at_most: Decimal | None
    """An upper bound where the exact sum depends on the vendor's measuring; equals `usd` when that is known."""
    arithmetic: str
    """Spelled out: "5 s × $0.112 (silent) = $0.56"."""
    effective_from: date | None
    source: str
    not_included: tuple[str, ...] = ()
    """What is charged besides."""
    note: str = ""
    """What is worth knowing about this rate, as `prices.toml` says it."""

    @property
    def most_usd(self) -> Decimal | None:
        """What it can cost at most, in dollars; None when nobody knows."""
        return self.usd if self.usd is not None else self.usd_at_most

    @property
    def price_rank(self) -> tuple[int, Decimal]:
        """For sorting: known sums before upper bounds before prices nobody publishes."""
        if self.usd is not None:
            return 0, self.usd
        if self.usd_at_most is not None:
            return 1, self.usd_at_most
        return 2, Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The offer chosen, and why this one and not another."""

    quote: Quote
    because: str
    dropped: tuple[tuple[str, str], ...] = ()
    """Offer id → the reason it was not asked."""
    warnings: tuple[str, ...] = ()
