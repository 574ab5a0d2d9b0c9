"""`kling-video route`: what words ask for, which words said so, and which offer that leads to."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from mcp_server import catalog
from mcp_server.cli import parser
from mcp_server.cli.screen import Screen
from mcp_server.domain.request import Wishes
from mcp_server.errors import ArgumentError, NotAnOrderError, RequestError
from mcp_server.language import reader

if TYPE_CHECKING:
    from mcp_server.ordering.plan import Plan

WHAT = "Read as the server would: what is wished, by which words, what is left as the prompt, which offer."
_KEYS: Final = [
    wish.name for wish in fields(Wishes) if wish.name not in ("matched", "unread", "unsettled", "none", "asks", "rival")
]


def flags() -> parser.Parser:
    """The command's flags."""
    made = parser.command("route", WHAT)
    made.add_argument("words", nargs="*", metavar="WORDS", help='the request: "kling 4k, vertical, 10s: a neon city"')
    made.add_argument("--jsonl", action="store_true", help="one request per line of standard input, one JSON line each")
    return made


def run(argv: list[str]) -> int:
    """Explain; nothing is bought, and no key is needed."""
    given = flags().parse_intermixed_args(argv)
    if given.jsonl:
        _each(sys.stdin)
        return 0
    text = " ".join(given.words)
    if not text.strip():
        raise ArgumentError("There are no words to read", next_step='kling-video route "kling 4k: a neon city"')
    wishes = reader.read(text, catalog=catalog.load())
    plan, refused = _planned(text, wishes)
    if given.json:
        Screen(as_json=True).facts({**as_dict(wishes), **_route(plan), **_refusal(refused)})
    else:
        _explain(Screen(), wishes, plan, refused)
    return refused.exit_code if refused else 0


def as_dict(wishes: Wishes) -> dict[str, Any]:
    """The wishes by name; what was not wished is absent."""
    if wishes.none:
        return {"none": wishes.none}
    found: dict[str, Any] = {name: getattr(wishes, name) for name in _KEYS}
    found["max_cost_usd"] = None if wishes.max_cost_usd is None else str(wishes.max_cost_usd)
    found["shots"] = [
        {"prompt": shot.prompt, **({} if shot.duration is None else {"duration": shot.duration})}
        for shot in wishes.shots
    ]
    for name in ("matched", "unread"):
        found[name] = [
            {"words": match.words, "start": match.start, "field": match.field, "value": match.value}
            for match in getattr(wishes, name)
        ]
    return {name: value for name, value in found.items() if value is not None and value not in ("", (), [])}


def _each(lines: Iterable[str]) -> None:
    known = catalog.load()
    for line in lines:
        wishes = reader.read(line.rstrip("\r\n"), catalog=known)
        print(json.dumps(as_dict(wishes), ensure_ascii=False), flush=True)


def _planned(text: str, wishes: Wishes) -> tuple[Plan | None, RequestError | None]:
    """The offer these words lead to with the keys that are there, or why they lead to none."""
    from mcp_server.domain.arguments import VideoArguments
    from mcp_server.ordering.plan import Planner
    from mcp_server.settings import Settings

    if wishes.none:
        return None, NotAnOrderError(f"No route: {wishes.none}", next_step='Say it as "kling 4k: a neon city"')
    planner = Planner(Settings.read(), catalog.load())
    try:
        return planner.plan(
            VideoArguments(request=text), wishes=wishes, day=datetime.now(UTC).date(), buying=False
        ), None
    except RequestError as error:
        return None, error


def _route(plan: Plan | None) -> Mapping[str, Any]:
    if plan is None:
        return {}
    found = {"offer": plan.offer.id, "route": plan.route.because, "dropped": dict(plan.route.dropped)}
    return {**found, **({"warnings": list(plan.warnings)} if plan.warnings else {})}


def _refusal(refused: RequestError | None) -> Mapping[str, Any]:
    return {"error": refused.as_dict()} if refused and not isinstance(refused, NotAnOrderError) else {}


def _explain(screen: Screen, wishes: Wishes, plan: Plan | None, refused: RequestError | None) -> None:
    for match in wishes.matched:
        screen.line(f"“{match.words}” → {match.field.replace('_', ' ')}: {match.value}")
    for kind, ruled_out in (("tier", wishes.not_tiers), ("model", wishes.not_models), ("vendor", wishes.not_providers)):
        for name in ruled_out:
            screen.line(f"not wanted: {kind} {name}")
    for number, shot in enumerate(wishes.shots, 1):
        length = f" ({shot.duration} s)" if shot.duration is not None else ""
        screen.line(f"shot {number}{length}: {shot.prompt}")
    if wishes.prompt and not wishes.none:
        screen.line(f"prompt: {wishes.prompt}")
    if plan is not None:
        screen.line(plan.route.because, "bold")
        for name, why in plan.route.dropped:
            screen.note(f"Left out: {name}: {why}")
        for warning in plan.warnings:
            screen.note(f"! {warning}", "yellow")
    if refused is not None:
        screen.note(str(refused))
