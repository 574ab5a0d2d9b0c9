"""`kling-video spend`: what was spent, estimate against settled."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from mcp_server.cli import parser, session
from mcp_server.cli.screen import Screen
from mcp_server.domain.money import money

if TYPE_CHECKING:
    from mcp_server.answers.shapes import Spend

By = Literal["day", "provider", "model"]


def flags() -> parser.Parser:
    made = parser.command("spend", "Quoted against charged; simulations cost nothing and are left out.")
    made.add_argument("--by", choices=("day", "provider", "model"), default="day")
    made.add_argument("--days", type=parser.counted, default=30, metavar="NUMBER", help="how far back (30)")
    return made


def run(argv: list[str]) -> int:
    given = flags().parse_args(argv)
    screen = Screen(as_json=given.json)
    found = session.run(lambda service: service.spend(days=given.days))
    if given.json:
        screen.facts(found.facts())
        return 0
    rows = _rows(found, given.by)
    if rows:
        total = ("all", str(sum(line.tasks for line in found.lines)), *_sums(found.quoted_usd, found.settled_usd))
        columns = (given.by, "clips", "quoted", "charged", "difference")
        screen.table(columns, [*rows, total], right=(1, 2, 3, 4))
    else:
        screen.note(f"Nothing was bought in the last {given.days} days.")
    if today := _today(found):
        screen.note(today)
    if found.unknown:
        clips = "1 clip is" if found.unknown == 1 else f"{found.unknown} clips are"
        screen.note(f"{clips} in no sum: nobody knows the cost.")
    for sentence in found.drift:
        screen.note(f"! {sentence}", "bold yellow")
    return 0


def _today(found: Spend) -> str:
    """Today beside its budget; nothing where neither says anything."""
    held = Decimal(found.held_by_films_usd)
    if found.daily_budget_usd is None and not held:
        return ""
    budget = "" if found.daily_budget_usd is None else f" of {money(Decimal(found.daily_budget_usd), 'USD')} a day"
    films = f", {money(held, 'USD')} of it by films that are being made" if held else ""
    return f"Today {money(Decimal(found.today_usd), 'USD')}{budget} is spent or held back{films}."


def _rows(found: Spend, by: By) -> list[tuple[str, ...]]:
    sums: dict[str, tuple[int, Decimal, Decimal]] = {}
    for line in found.lines:
        name: str = getattr(line, by)
        count, quoted, settled = sums.get(name, (0, Decimal(0), Decimal(0)))
        sums[name] = count + line.tasks, quoted + Decimal(line.quoted_usd), settled + Decimal(line.settled_usd)
    return [(name, str(count), *_sums(quoted, settled)) for name, (count, quoted, settled) in sorted(sums.items())]


def _sums(quoted: Decimal | str, settled: Decimal | str) -> tuple[str, str, str]:
    more = Decimal(settled) - Decimal(quoted)
    sign = "+" if more > 0 else "-" if more < 0 else ""
    return (
        money(Decimal(quoted), "USD"),
        money(Decimal(settled), "USD"),
        f"{sign}{money(abs(more), 'USD')}",
    )
