"""Requests as the evaluation set labels them: only what is wished, by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mcp_server import catalog
from mcp_server.domain.request import Wishes
from mcp_server.language import reader

SET = Path(__file__).parents[1] / "language" / "requests"
FIELDS = (
    "tier mode model provider duration aspect_ratio resolution audio shots prompt none not_tiers prefer off_peak max_cost_usd contradiction"
).split()


def labelled(half: str) -> list[dict[str, Any]]:
    """One half of the evaluation set."""
    return [json.loads(line) for line in (SET / f"{half}.jsonl").read_text(encoding="utf-8").splitlines()]


def read(text: str, folder: Path | None = None, *, named: bool = False) -> Wishes:
    """The wishes in this text, by the manifests of this folder or those that are shipped."""
    return reader.read(text, catalog=catalog.load(), folder=folder, named=named)


def labels(wishes: Wishes) -> dict[str, Any]:
    """Wishes as a label says them; what was not wished is absent."""
    if wishes.none:
        return {"none": True}
    found: dict[str, Any] = {name: getattr(wishes, name, None) for name in FIELDS}
    found["none"] = None
    found["contradiction"] = bool(wishes.contradictions) or None
    found["not_tiers"] = list(wishes.not_tiers)
    found["max_cost_usd"] = None if wishes.max_cost_usd is None else str(wishes.max_cost_usd)
    found["shots"] = [
        {"prompt": shot.prompt, **({} if shot.duration is None else {"duration": shot.duration})}
        for shot in wishes.shots
    ]
    return {name: value for name, value in found.items() if value is not None and value not in ("", [])}
