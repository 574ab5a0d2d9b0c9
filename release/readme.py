"""The parts of README.md that repeat facts, made from the facts."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from urllib.parse import quote

from mcp_server import catalog
from mcp_server.cli.setup.clients import NAME as SERVER
from mcp_server.cli.setup.variables import variables
from mcp_server.domain.arguments import VideoArguments
from mcp_server.domain.catalog import Provider
from mcp_server.errors import sentence
from mcp_server.ordering.plan import Planner
from mcp_server.server.tools.declarations import NAME, TOOLS
from mcp_server.settings import Settings
from release.fact_pages import CANCELS
from release.picture import SESSION

README = Path(__file__).resolve().parent.parent / "README.md"
DAY = date(9999, 12, 31)
"""The newest published rates."""
_PART = re.compile(r"(<!-- from the facts: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_SAID = (
    "kling standard: a paper boat in the rain",
    "kling pro, 10 seconds: a barista pours milk, slow push-in",
    "kling 4k, vertical, ten seconds, with sound: a neon city",
    "可灵 4K 竖屏 10秒: 海边日落",
    "kling o3 4k: a lighthouse in a storm",
    "kling 3.0 turbo, square: a red bicycle",
    "a klingon opera",
)
"""What the table of words shows; the router itself says what becomes of each."""
_SPENDS = {
    "make_film": "**yes**, with `max_cost_usd`: each shot once",
    "generate_video": "**yes**, once per call (with `count`: once per variation)",
    "cancel_task": "no; what was bought may still be billed",
}


def pages() -> dict[Path, bytes]:
    """README.md with its parts as the facts are now."""
    text = README.read_text(encoding="utf-8")
    made = _PART.sub(lambda part: part[1] + PARTS[part[2]]() + "\n" + part[3], text)
    return {README: made.encode()}


def session() -> str:
    """What the first command says, as `release/picture.py` saw it."""
    return f"```text\n{SESSION.read_text(encoding='utf-8').rstrip()}\n```"


def links() -> str:
    """One-click links; both start the command that is on the PATH."""
    entry: dict[str, object] = {"command": NAME, "args": []}
    cursor = base64.b64encode(_compact(entry)).decode()
    code = quote(_compact({"name": SERVER, "type": "stdio", **entry}).decode(), safe="")
    target = quote(f"vscode:mcp/install?{code}", safe="")
    return "\n".join(
        [
            f"[Add to Cursor](https://cursor.com/en/install-mcp?name={SERVER}&config={quote(cursor, safe='')}) ·",
            f"[Add to VS Code](https://insiders.vscode.dev/redirect?url={target})",
        ]
    )


def tools() -> str:
    rows = ((f"`{tool.name}`", tool.title.split(" (")[0], _SPENDS.get(tool.name, "no")) for tool in TOOLS)
    return _table(("tool", "what it does", "spends money?"), rows)


def words() -> str:
    """What becomes of what people say, with no key set and every vendor in the race."""
    planner = Planner(Settings(variables={"HOME": os.devnull}), catalog.load())
    return _table(
        ("you say", "it orders", "from, at its newest published price"), (_said(planner, text) for text in _SAID)
    )


def _said(planner: Planner, text: str) -> tuple[str, str, str]:
    from mcp_server.errors import RequestError

    try:
        plan = planner.plan(VideoArguments(request=text), day=DAY, buying=False)
    except RequestError as error:
        return f"“{text}”", sentence(error.what), "nothing"
    checked = plan.checked
    ordered = (
        plan.offer.model,
        plan.offer.tier,
        plan.offer.mode,
        f"{checked.duration} s" if checked.duration else "",
        checked.aspect_ratio or "",
        {True: "with sound", False: "silent", None: ""}[checked.audio],
    )
    return f"“{text}”", ", ".join(part for part in ordered if part), f"`{plan.offer.provider}`: {plan.quote.arithmetic}"


def vendors() -> str:
    rows = (
        (
            f"{provider.name} (`{provider.id}`)",
            f"`{provider.key_variable}`" + _pair(provider),
            str(len({(o.model, o.tier, o.mode) for o in _sold(provider.id)})),
            CANCELS[provider.cancel] or "no",
            "yes, under a key" if provider.idempotent else "never",
            {True: "not charged", False: "charged", None: "not documented"}[provider.refunds_failures],
        )
        for provider in catalog.load().providers.values()
    )
    head = ("vendor", "key", "things it sells", "can cancel", "lost order is repeated", "failed job")
    return _table(head, rows)


def _pair(provider: Provider) -> str:
    names = " with ".join(f"`{name}`" for name in provider.key_pair)
    return f"; for legacy routes also {names}" if names else ""


def settings() -> str:
    rows = ((f"`{variable.name}`", variable.what) for variable in variables(catalog.load()))
    return _table(("variable", ""), rows)


PARTS: dict[str, Callable[[], str]] = {
    "session": session,
    "links": links,
    "tools": tools,
    "words": words,
    "vendors": vendors,
    "variables": settings,
}


def _sold(provider: str) -> Iterable[catalog.Offer]:
    return (o for o in catalog.load().offers if o.provider == provider and not o.not_sold_because)


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in lines)
