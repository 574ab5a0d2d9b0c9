"""What is left on the accounts behind the keys, as vendors say it now; asking costs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_server.answers.shapes import BalanceLine
from mcp_server.domain.money import money
from mcp_server.errors import KlingError
from mcp_server.providers import wire

if TYPE_CHECKING:
    from mcp_server.providers.accounts import Account
    from mcp_server.providers.base import Balance
    from mcp_server.providers.transport import Transport


async def balance(transport: Transport, account: Account) -> Balance | None:
    """What is left there; None where the vendor has no way to ask."""
    adapter = wire(account.facts)
    call = adapter.balance()
    return None if call is None else adapter.read_balance(await transport.ask(account, call))


async def line(transport: Transport, account: Account) -> BalanceLine:
    """The same as an answer: what is left, or why nobody can say."""
    name = account.facts.id
    try:
        found = await balance(transport, account)
    except KlingError as error:
        return BalanceLine(provider=name, said=error.story)
    if found is None:
        return BalanceLine(provider=name, said="this vendor has no documented way to ask")
    amount = None if found.amount is None else f"{found.amount:f}"
    return BalanceLine(provider=name, left=amount, currency=found.currency, said=left(found))


def left(found: Balance) -> str:
    """The sum in words."""
    if found.amount is None:
        return "no limit on this account"
    if found.currency == "USD":
        return f"{money(found.amount, 'USD')} left"
    return f"{found.amount:f} {found.currency} left"
