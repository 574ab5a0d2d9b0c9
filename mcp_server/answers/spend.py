"""What was spent: sums by day, provider and model, and where vendors charge something else than was quoted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from mcp_server.answers.shapes import Spend, SpendLine
from mcp_server.domain.money import money, plain

if TYPE_CHECKING:
    from mcp_server.domain.task import Task
    from mcp_server.tasks.store.base import Spent

_NONE: Final = Decimal(0)


@dataclass
class _Bills:
    """The bills a vendor itself reported for one kind of clip."""

    known: int = 0
    other: list[Task] = field(default_factory=list["Task"])


def spend(
    rows: Sequence[Spent], tasks: Iterable[Task], *, today: str, held: Decimal = _NONE, budget: Decimal | None = None
) -> Spend:
    """Sums by day, provider and model; today beside its budget; where vendors charge something else than they say."""
    counted = sum((row.counted_usd for row in rows if row.day == today), held)
    lines = [
        SpendLine(
            day=row.day,
            provider=row.provider,
            model=row.model,
            tasks=row.tasks,
            quoted_usd=plain(row.quoted_usd) or "0",
            settled_usd=plain(row.settled_usd) or "0",
            unknown=row.unknown,
        )
        for row in rows
    ]
    return Spend(
        lines=lines,
        quoted_usd=_sum(line.quoted_usd for line in lines),
        settled_usd=_sum(line.settled_usd for line in lines),
        unknown=sum(line.unknown for line in lines),
        today_usd=plain(counted) if counted else "0",
        held_by_films_usd=plain(held) if held else "0",
        daily_budget_usd=plain(budget),
        drift=drift(tasks),
    )


def drift(tasks: Iterable[Task]) -> list[str]:
    """A sentence for each offer whose vendor reported other sums than were quoted, newest clip as the example."""
    bills: dict[str, _Bills] = {}
    for task in sorted(tasks, key=lambda task: -task.created_at):
        settlement = task.settlement
        if task.simulated or task.quote_amount is None or settlement is None or settlement.basis != "reported":
            continue
        bill = bills.setdefault(task.offer_id, _Bills())
        bill.known += 1
        if settlement.amount != task.quote_amount and task.state == "succeeded":
            bill.other.append(task)
    return [_drifted(offer, bill) for offer, bill in sorted(bills.items()) if bill.other]


def _drifted(offer: str, bill: _Bills) -> str:
    newest = bill.other[0]
    charged = newest.settlement.amount if newest.settlement else None
    unit = newest.quote_currency
    wrong = any(task.artifact and task.artifact.differences for task in bill.other)
    why = "what came was not what was ordered" if wrong else "its price may have changed since the table was written"
    return (
        f"{offer}: {_amount(charged, unit)} was charged where {_amount(newest.quote_amount, unit)} was quoted "
        f"({len(bill.other)} of {bill.known} bills, last {newest.id}); {why}"
    )


def _amount(value: Decimal | None, unit: str) -> str:
    return "?" if value is None else money(value, unit)


def _sum(amounts: Iterable[str]) -> str:
    return plain(sum((Decimal(amount) for amount in amounts), Decimal(0))) or "0"
