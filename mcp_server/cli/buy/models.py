"""`kling-video models`: what can be bought, and from whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_server.cli import formatting, parser
from mcp_server.cli.screen import Screen
from mcp_server.domain.vocabulary import MODES, TIERS

if TYPE_CHECKING:
    from mcp_server.answers.shapes import Models

WHAT = "With --detail, every offer with its limits and its rate."


def flags() -> parser.Parser:
    """The command's flags."""
    made = parser.command("models", WHAT)
    made.add_argument("--provider", type=parser.lower, help="only this vendor's")
    made.add_argument("--model", help="only this model, such as kling-3.0")
    made.add_argument("--tier", type=parser.lower, choices=TIERS)
    made.add_argument("--mode", type=parser.lower, choices=MODES)
    made.add_argument("--detail", action="store_true", help="limits and rates, offer by offer")
    return made


def run(argv: list[str]) -> int:
    """List it; nothing is asked of anybody."""
    given = flags().parse_args(argv)
    from mcp_server.composition import build

    service = build()
    wanted = {name: getattr(given, name) for name in ("provider", "model", "tier", "mode")}
    found = service.models(**wanted, detail=given.detail)
    screen = Screen(as_json=given.json)
    if given.json:
        # Whoever reads it with a program wants both: the groups and every offer in fields.
        both = {"offers": service.models(**wanted, detail=True).offers, "models": service.models(**wanted).models}
        screen.facts(found.model_copy(update=both).facts())
    else:
        _show(screen, found)
    return 0


def _show(screen: Screen, found: Models) -> None:
    rows = [(group.model, group.tier, group.mode, ", ".join(group.sold_by)) for group in found.models if group.sold_by]
    if rows:
        screen.table(("model", "tier", "mode", "sold by"), rows, prose=(3,))
    if found.offers:
        rows = [
            (line.offer, line.durations, " ".join(line.aspect_ratios), line.audio, line.price or line.not_sold_because)
            for line in found.offers
        ]
        screen.table(("offer", "length", "ratio", "sound", "price"), rows, dim=3, prose=(1, 2, 4))
    if listed := [group for group in found.models if group.only_listed_by and group.sold_by]:
        count = sum(len(group.only_listed_by) for group in listed)
        screen.note(f"{count} more of these are listed by a vendor and cannot be ordered there; --detail says why.")
    keys = ", ".join(f"{name} ({state})" for name, state in found.providers.items())
    screen.note(f"Providers: {keys}")
    screen.note(formatting.typed(found.next_step))
