"""A person's yes in the studio: a price is always shown first, and what other doors would ask about takes a tick."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mcp_server.errors import KlingError
from mcp_server.ordering.limits import ConfirmationNeededError
from mcp_server.studio.pages import said

if TYPE_CHECKING:
    from mcp_server.studio.pages import Visit

Judge = Callable[[], object]
"""Holds an order against what the user allows, as every door does; raises where somebody has to agree first."""


def needed(judge: Judge) -> tuple[str, str]:
    """What has to be ticked before it is bought, and why it cannot be bought; empty where that is not so."""
    try:
        judge()
    except ConfirmationNeededError as asked:
        known = asked.order.most_usd is not None
        return ("Yes, spend this" if known else "Buy it at a price that nobody publishes"), ""
    except KlingError as refused:
        return "", said(refused.what)
    return "", ""


def given(visit: Visit, judge: Judge) -> None:
    """Nothing, or the refusal of an order that needs a tick and came without one."""
    if visit.form.get("agree") == "yes":
        return
    try:
        judge()
    except ConfirmationNeededError as asked:
        asked.next_step = "Tick the box above the button to agree to the price, or order something that costs less"
        raise
