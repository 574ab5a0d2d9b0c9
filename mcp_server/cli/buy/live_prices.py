"""Today's prices, asked from the vendors that tell them for nothing, beside the ones in the table."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING, Final

from mcp_server.domain.money import money
from mcp_server.errors import KlingError

if TYPE_CHECKING:
    from mcp_server.domain.quote import Quote
    from mcp_server.ordering.plan import Plan
    from mcp_server.providers.transport import Transport
    from mcp_server.service import Service

_CENT: Final = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """One vendor's word about one offer."""

    offer: str
    usd: Decimal | None = None
    as_of: str = ""
    table_usd: Decimal | None
    since: str = ""
    """The day from which the table's price is in force."""
    trouble: str = ""

    def facts(self) -> dict[str, str]:
        """As JSON, without what is unknown."""
        return {name: str(value) for name, value in asdict(self).items() if value not in (None, "")}

    @property
    def agrees(self) -> bool:
        """Whether both say the same; a vendor that bills whole cents says the next one."""
        if self.usd is None or self.table_usd is None:
            return self.usd == self.table_usd
        return self.usd in (self.table_usd, self.table_usd.quantize(_CENT, ROUND_CEILING))

    @property
    def sentence(self) -> str:
        """Both prices, and whether they agree."""
        if self.usd is None:
            return f"{self.offer}: {self.trouble or 'the vendor has no price for this'}"
        said = f"{self.offer}: {money(self.usd, 'USD')} today, says the vendor"
        if self.table_usd is None:
            return f"{said}; the table has none"
        in_table = "as in the table" if self.agrees else f"not {money(self.table_usd, 'USD')} as in the table"
        return f"{said}; {in_table}"


async def asked(service: Service, plan: Plan) -> list[Live]:
    """Every offer that fits, where its vendor can be asked; the real one, also when there is no key."""
    from mcp_server.providers.transport import Transport

    quotes = [quote for quote in (plan.quote, *plan.others) if _tells(service, quote)]
    transport = Transport(now=time.time)
    try:
        return await asyncio.gather(*(one(service, transport, plan, quote) for quote in quotes))
    finally:
        await transport.aclose()


def told(found: Iterable[Live]) -> list[str]:
    """The sentences, or the one that there is nobody to ask."""
    return [one.sentence for one in found] or ["No vendor of these tells its price beforehand."]


def _tells(service: Service, quote: Quote) -> bool:
    return service.catalog.providers[quote.checked.offer.provider].live_prices


async def one(service: Service, transport: Transport, plan: Plan, quote: Quote) -> Live:
    """What the vendor says that this very order would cost."""
    from mcp_server.ordering.draft import paid_call
    from mcp_server.providers import live_prices

    offer = quote.checked.offer
    facts = service.catalog.providers[offer.provider]
    prices = live_prices(facts)
    try:
        order = paid_call(quote, plan.given, facts, key="estimate")
        account = await service.account(facts.id, False)
        found = prices.read_quote(facts, await transport.ask(account, prices.quote_call(order)))
    except KlingError as error:
        return Live(offer=offer.id, table_usd=quote.usd, trouble=error.what)
    since = "" if quote.effective_from is None else quote.effective_from.isoformat()
    return Live(offer=offer.id, usd=found.usd, as_of=found.as_of, table_usd=quote.usd, since=since)
