"""An earlier order once more: its arguments, changed by flags and by words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp_server.domain.request import SPOKEN, Wishes
from mcp_server.errors import ArgumentError


def amended(said: Mapping[str, Any], changes: Mapping[str, Any], wishes: Wishes | None = None) -> dict[str, Any]:
    """The earlier arguments with changes: flags go before words, and both before what was said then."""
    wished: dict[str, Any] = {}
    if wishes is not None:
        if wishes.prompt.strip():
            raise ArgumentError(
                f"{wishes.prompt.strip()!r} is no change that can be read from words",
                next_step="Say tier, length, shape, sound, model or provider; give a new scene with --prompt",
            )
        wished = {name: value for name in SPOKEN if (value := getattr(wishes, name)) is not None}
        if wishes.max_cost_usd is not None:
            wished["max_cost_usd"] = float(wishes.max_cost_usd)
        if wishes.vendor_model is not None:
            wished["model"] = wishes.vendor_model
    # The key stands for the earlier clip, and so did the yes to a price nobody knows.
    kept = {name: value for name, value in said.items() if name not in ("idempotency_key", "accept_unknown_price")}
    if wished.keys() | changes.keys() >= {"model"} and "tier" not in wished.keys() | changes.keys():
        # A vendor's own id fixes the tier; the one named then may not be sold under it.
        kept.pop("tier", None)
    return {**kept, **wished, **changes}
