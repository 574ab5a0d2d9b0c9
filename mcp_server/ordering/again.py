"""An earlier order once more: its arguments, changed by arguments and by words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from mcp_server.domain.arguments import VideoArguments
from mcp_server.domain.parsing import read
from mcp_server.domain.request import SPOKEN, Wishes
from mcp_server.errors import ArgumentError, NotAnOrderError, RequestError

if TYPE_CHECKING:
    from mcp_server.domain.catalog import Catalog
    from mcp_server.domain.task import Task

_OF_THAT_ORDER: Final = frozenset(("idempotency_key", "accept_unknown_price", "count"))
"""What stood for the earlier purchase: its key, its yes to a price nobody knows, how many clips it was."""
_SAY: Final = "Say tier, length, shape, sound, model or provider; give a new scene with `prompt`"


def repeated(task: Task, said: VideoArguments, catalog: Catalog) -> VideoArguments:
    """The arguments that buy this task's clip once more, with what else is said now; RequestError where none can."""
    changes = said.given()
    del changes["again"]
    words = str(changes.pop("request", "")).strip()
    wishes = None
    if words:
        from mcp_server.language import reader

        wishes = reader.read(words, catalog=catalog, named=True, beside_scene=True)
    whole = amended(task.request, changes, wishes)
    try:
        made = read(VideoArguments, whole)
    except RequestError as error:
        raise RequestError(
            f"Task {task.id} cannot be repeated as it was ordered",
            problems=error.problems,
            why=error.why or error.what,
            next_step="Order it anew: get_task shows its prompt and what was ordered",
        ) from error
    # The earlier limit still refuses what is dearer, but nobody who named it agreed to this purchase.
    carried = whole.keys() - changes.keys()
    return made.carrying(carried, (*said.notes, *(wishes.notes if wishes is not None else ())))


def amended(said: Mapping[str, Any], changes: Mapping[str, Any], wishes: Wishes | None = None) -> dict[str, Any]:
    """The earlier arguments with changes: arguments go before words, and both before what was said then."""
    wished = {} if wishes is None else _wished(wishes, changes)
    kept = {name: value for name, value in said.items() if name not in _OF_THAT_ORDER}
    if wished.keys() | changes.keys() >= {"model"} and "tier" not in wished.keys() | changes.keys():
        # A vendor's own id fixes the tier; the one named then may not be sold under it.
        kept.pop("tier", None)
    return {**kept, **wished, **changes}


def _wished(wishes: Wishes, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What the words change, as arguments; a refusal of words that change nothing or disagree: they are not dropped."""
    if wishes.none:
        raise NotAnOrderError(f"These words do not say what to change: {wishes.none}", next_step=_SAY)
    if wishes.prompt.strip():
        raise ArgumentError(f"{wishes.prompt.strip()!r} is no change that can be read from words", next_step=_SAY)
    if open_fields := [name for name in wishes.unsettled if name not in changes]:
        named = " or ".join(f"`{name}`" for name in open_fields)
        raise RequestError(
            f"The words of the change leave {named} open",
            problems=wishes.contradictions,
            why="; ".join(wishes.contradictions),
            next_step=f"Say it once, or set {named}",
        )
    unreadable = [name for name in ("prefer", "not_tiers", "not_models", "not_providers") if getattr(wishes, name)]
    if unreadable:
        raise ArgumentError(
            "“Cheapest”, “best” and what is only ruled out are no change of an earlier order",
            next_step="Name the tier, model or provider that is wanted instead",
        )
    found: dict[str, Any] = {name: value for name in SPOKEN if (value := getattr(wishes, name)) is not None}
    found |= {name: value for name in ("image", "end_image", "video", "audio_file") if (value := getattr(wishes, name))}
    if wishes.references:
        found["references"] = list(wishes.references)
    if wishes.max_cost_usd is not None:
        found["max_cost_usd"] = float(wishes.max_cost_usd)
    if wishes.vendor_model is not None:
        found["model"] = wishes.vendor_model
    if wishes.negative_prompt is not None:
        found["negative_prompt"] = wishes.negative_prompt
    if wishes.shots:
        found["shots"] = [
            {name: value for name in ("prompt", "duration") if (value := getattr(shot, name)) is not None}
            for shot in wishes.shots
        ]
    return found
