"""The skill's pages that repeat facts, made from the facts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from pathlib import Path

from mcp_server import catalog as facts
from mcp_server import places
from mcp_server.catalog.prices import rates
from mcp_server.cli.setup.variables import variables
from mcp_server.domain.catalog import Catalog, Offer, Provider, spans
from release.trigger_routes import with_routes

DAY = date(9999, 12, 31)
"""Pages show the newest published rate; each carries its own day."""
UNPUBLISHED = "unpublished"
CANCELS = {"none": "", "queued": "while queued", "running": "also while it runs"}
_NEVER = {False: "never: it may buy twice", True: "never: it may buy twice; it is looked for instead"}
_PART = re.compile(r"(<!-- from the facts: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

_VARIABLES = re.compile(r"(\n    envVars:\n).*?(    install:\n)", re.DOTALL)
"""Frontmatter has no room for comments around it: some readers of it know none."""


def pages() -> dict[Path, bytes]:
    """Every page and what should stand in it."""
    catalog = facts.load()
    folder = places.skill()
    costs = folder / "costs.md"
    triggers = folder / "triggers.json"
    page = places.skill_page()
    made = {
        page: _VARIABLES.sub(lambda part: part[1] + _variables(catalog) + part[2], _current(page)),
        folder / "models.md": _models(catalog),
        folder / "providers.md": _providers(catalog),
        triggers: with_routes(_current(triggers), catalog),
        costs: _PART.sub(lambda part: part[1] + _rates(catalog) + part[3], _current(costs)),
    }
    return {path: text.encode() for path, text in made.items()}


def _current(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _variables(catalog: Catalog) -> str:
    """Every variable, declared: hosts warn of a skill whose program reads what it does not name."""
    return "".join(
        f"      - name: {variable.name}\n        required: false\n        description: {variable.what}\n"
        for variable in variables(catalog)
    )


def _models(catalog: Catalog) -> str:
    parts = [
        "# What can be bought\n",
        "Generated from the fact files; `list_models` gives the same, filtered. A duration, ratio or input that is not",
        "here is not sold, and a request for it is refused before anything is paid.\n",
    ]
    for model in catalog.models.values():
        offers = [offer for offer in catalog.offers if offer.model == model.id]
        if not offers:
            continue
        parts += [f"## {model.name} (`{model.id}`)\n", f"{model.summary}\n"]
        parts += [f"{model.farewell}.\n"] if model.farewell else []
        parts += _table(("offer", "seconds", "ratios", "resolution", "sound", "takes"), map(_offer_row, offers))
    return "\n".join(parts).rstrip() + "\n"


def _offer_row(offer: Offer) -> tuple[str, ...]:
    if offer.not_sold_because:
        return (f"`{offer.provider}` {offer.tier} {offer.mode}", "not sold here", "", "", "", offer.not_sold_because)
    return (
        f"`{offer.provider}` {offer.tier} {offer.mode}",
        spans(offer.durations) if offer.durations else offer.duration_note or "the vendor decides",
        ", ".join(offer.aspect_ratios) or "from what goes in",
        ", ".join(offer.resolutions) or "not stated",
        _SOUND[offer.audio],
        ", ".join(sorted(offer.takes - {"prompt"})) or "a prompt",
    )


_SOUND = {
    "choice": "on or off",
    "by-model-id": "on or off",
    "always": "always",
    "never": "never",
    "from-input": "from what goes in",
    "unknown": "not stated",
}


def _providers(catalog: Catalog) -> str:
    parts = [
        "# The vendors\n",
        "Generated from the fact files. What nobody has found out is written as unknown.\n",
    ]
    for provider in catalog.providers.values():
        parts += _provider(provider)
    return "\n".join(parts).rstrip() + "\n"


def _provider(provider: Provider) -> Iterable[str]:
    refund: dict[bool | None, str] = {
        True: "documented: a failed job costs nothing",
        False: "documented: a failed job is charged",
        None: "refund not documented",
    }
    rows: list[tuple[str, ...]] = [
        ("name in `provider`", f"`{provider.id}`"),
        ("key", f"`{provider.key_variable}`" + (f", else `~/{provider.token_file}`" if provider.token_file else "")),
        *(
            (("pair for legacy routes", " and ".join(f"`{name}`" for name in provider.key_pair)),)
            if provider.key_pair
            else ()
        ),
        ("pictures and clips go in as", ", ".join(provider.media_inputs)),
        ("cancel", CANCELS[provider.cancel] or "no: a started job goes on and is billed"),
        (
            "repeat of a lost order",
            "safe, under an idempotency key" if provider.idempotent else _NEVER[provider.lookup],
        ),
        ("failed jobs", refund[provider.refunds_failures]),
        ("result links live", _life(provider)),
        ("balance", "can be asked (`kling-video doctor`)" if provider.balance else "no documented way to ask"),
        ("documents", provider.docs),
        ("facts checked", provider.checked.isoformat()),
    ]
    yield f"## {provider.name}\n"
    yield from _table(("", ""), rows)
    if provider.disagreements:
        yield "Where sources disagree, the vendor's own material goes on the wire:\n"
        for found in provider.disagreements:
            yield (
                f"- {found.about}: {found.page_source} says {found.page_says}; "
                f"{found.vendor_source} says {found.vendor_says}. We send {found.we_send}."
            )
        yield ""
    if provider.unknown:
        yield f"Unknown: {'; '.join(provider.unknown)}.\n"


def _life(provider: Provider) -> str:
    days = f"{provider.result_life_days} days" if provider.result_life_days else "unknown"
    return f"{days} ({provider.result_life_note})" if provider.result_life_note else days


def _rates(catalog: Catalog) -> str:
    """One row for all modes that cost the same; what nobody publishes is a sentence, not a column of blanks."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for offer in catalog.offers:
        if not offer.not_sold_because:
            rate = "; ".join(rates(offer, catalog.prices, DAY))
            rows.setdefault((f"`{offer.provider}`", offer.model, offer.tier, rate), []).append(offer.mode)
    known = sorted(
        ((*row[:3], ", ".join(modes), row[3]) for row, modes in rows.items() if row[3] != UNPUBLISHED), key=_by_model
    )
    lines = _table(("vendor", "model", "tier", "mode", "rate"), known)
    for name in sorted({row[0] for row in rows if row[3] == UNPUBLISHED}):
        missing = [
            f"{row[1]} {row[2]} {', '.join(modes)}"
            for row, modes in rows.items()
            if (row[0], row[3]) == (name, UNPUBLISHED)
        ]
        some = any(row[0] == name and row[3] != UNPUBLISHED for row in rows)
        lines.append(f"{name} publishes no price {'for ' + '; '.join(missing) if some else 'at all'}.\n")
    return "\n".join(lines)


def _by_model(row: tuple[str, ...]) -> tuple[str, ...]:
    return row[1], row[3], row[2], row[0]


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    lines += [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    return [f"| {line} |" for line in lines] + [""]
