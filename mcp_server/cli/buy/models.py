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
    made.add_argument("--provider", help="only this vendor's")
    made.add_argument("--model", help="only this model, such as kling-3.0")
    made.add_argument("--tier", choices=TIERS)
    made.add_argument("--mode", choices=MODES)
    made.add_argument("--detail", action="store_true", help="limits and rates, offer by offer")
    return made


def run(argv: list[str]) -> int:
    """List it; nothing is asked of anybody."""
    given = flags().parse_args(argv)
    from mcp_server.composition import build

    found = build().models(
        provider=given.provider, model=given.model, tier=given.tier, mode=given.mode, detail=given.detail
    )
    screen = Screen(as_json=given.json)
    if given.json:
        screen.facts(found.facts())
    else:
        _show(screen, found)
    return 0


def _show(screen: Screen, found: Models) -> None:
    if found.models:
        rows = [(group.model, group.tier, group.mode, ", ".join(group.sold_by)) for group in found.models]
        screen.table(("model", "tier", "mode", "sold by"), rows)
    if found.offers:
        rows = [
            (line.offer, line.durations, " ".join(line.aspect_ratios), line.audio, line.price or line.not_sold_because)
            for line in found.offers
        ]
        screen.table(("offer", "length", "ratio", "sound", "price"), rows, dim=3)
    keys = ", ".join(f"{name} ({state})" for name, state in found.providers.items())
    screen.note(f"Providers: {keys}")
    screen.note(formatting.typed(found.next_step))
