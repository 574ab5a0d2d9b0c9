"""Money as text: the one way an exact amount is written, for people and for programs."""

from __future__ import annotations

from decimal import Decimal
from typing import overload


def money(amount: Decimal, currency: str) -> str:
    """`$0.56` or `240 credits`: exact, dollars with at least two places."""
    text = format(amount.normalize(), "f")
    if currency != "USD":
        return f"{text} {currency}"
    whole, _, cents = text.partition(".")
    return f"${whole}.{cents.ljust(2, '0')}"


@overload
def plain(amount: Decimal) -> str: ...
@overload
def plain(amount: None) -> None: ...
@overload
def plain(amount: Decimal | None) -> str | None: ...
def plain(amount: Decimal | None) -> str | None:
    """`0.56` for a program: exact, without an exponent and without needless zeros; what is whole stays whole."""
    if amount is None:
        return None
    text = format(amount, "f")
    if "." in text:
        whole, _, rest = text.partition(".")
        text = f"{whole}.{rest.rstrip('0').ljust(2, '0')}"
    return text
