"""The tools that move money or stop it: generate_video, cancel_task."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from mcp_server.errors import NoOfferError
from mcp_server.server.tools import elicitation
from mcp_server.server.tools.replies import order_reply, task_reply

if TYPE_CHECKING:
    from mcp_types import CallToolResult, InputRequiredResult

    from mcp_server.ordering.draft import Draft
    from mcp_server.server.tools.tool import Call


async def generate_video(call: Call) -> CallToolResult | InputRequiredResult:
    """Buy one clip; the answer comes as soon as the vendor has accepted, and the task outlives the call."""
    from mcp_server.ordering.limits import ConfirmationNeededError

    service = await call.services.ready()
    try:
        return order_reply(await service.generate(call.arguments, owner=call.owner))
    except NoOfferError:
        found = await service.long_order(call.arguments, owner=call.owner)
        if found is None:
            raise
        order, why = found
        film = await service.films.make(order, owner=call.owner)
        return task_reply(film.model_copy(update={"note": f"{why} {film.note}".strip()}))
    except ConfirmationNeededError as asked:
        error = asked
    agreed = await elicitation.ask(call, error)
    if agreed is not True:
        return agreed
    draft = cast("Draft", error.order)
    return order_reply(await service.buy(draft, owner=call.owner, confirmed=True))


async def cancel_task(call: Call) -> CallToolResult:
    """Ask the vendor to stop, or only stop watching."""
    service = await call.services.ready()
    wanted = call.arguments
    return task_reply(await service.stop(wanted.task_id, owner=call.owner, stop_following=wanted.stop_following))
