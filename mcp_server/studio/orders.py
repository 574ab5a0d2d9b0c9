"""Ordering from the studio: the price first, a yes to that very price, and then the way every order goes."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from starlette.responses import RedirectResponse, Response

from mcp_server.domain.arguments import VideoArguments
from mcp_server.domain.parsing import read
from mcp_server.domain.task import is_task_id
from mcp_server.domain.vocabulary import SANDBOX, TIERS
from mcp_server.errors import ArgumentError, KlingError, RequestError
from mcp_server.ordering import limits
from mcp_server.studio import consent
from mcp_server.studio.clips import FIRST, back
from mcp_server.studio.pages import Visit, page, refusal, status_of
from mcp_server.studio.sessions import PATH

if TYPE_CHECKING:
    from mcp_server.answers.shapes import TaskAnswer
    from mcp_server.ordering.draft import Draft
    from mcp_server.studio.pages import Route

LENGTHS: Final = (3, 5, 8, 10, 15)
SHAPES: Final = ("16:9", "9:16", "1:1")
_SOUND: Final = {"yes": True, "no": False}
_TEXTS: Final = ("again", "request", "prompt", "tier", "provider", "aspect_ratio", "image", "end_image")


async def new_order(visit: Visit) -> Response:
    """The form for a new clip, or for an earlier one with changes: that one shows its price at once."""
    again = visit.asked("again")
    if not again:
        return _form(visit, {}, None)
    (task,) = await _earlier(visit, again)
    fields = {"again": again, "prompt": task.prompt}
    return _form(visit, fields, task, await _priced(visit, fields, task))


async def price(visit: Visit) -> Response:
    """What this order would cost, and the button that buys it at that price; nothing is bought."""
    task = None
    if again := visit.form.get("again", ""):
        (task,) = await _earlier(visit, again)
    panel = await _priced(visit, visit.form, task)
    return panel if visit.part else _form(visit, visit.form, task, panel)


async def buy(visit: Visit) -> Response:
    """Buy what was shown, once: the same form sent twice is the same order."""
    arguments = _whole(visit.form.get("order", ""))
    if (known := await visit.service.known(arguments, owner=visit.owner)) is not None:
        return back(known.each[0].task_id)
    draft = await visit.service.prepare(arguments, owner=visit.owner)
    if mark(draft) != visit.form.get("shown", ""):
        return _panel(visit, draft, arguments, "This is not the price that was shown before. Nothing was ordered.", 409)
    consent.given(visit, _judge(visit, draft))
    answer = await visit.service.buy(draft, owner=visit.owner, wait_s=0, confirmed=True)
    return back(answer.task_id) if answer.task_id else RedirectResponse(f"{PATH}/", 303)


async def rehearse(visit: Visit) -> Response:
    """A free rehearsal, whatever keys there are."""
    said = {
        "prompt": visit.form.get("prompt", "").strip() or FIRST,
        "provider": SANDBOX,
        "tier": "standard",
        "duration": 5,
        "idempotency_key": f"studio-{visit.form.get('key') or secrets.token_hex(8)}",
    }
    answer = await visit.service.generate(read(VideoArguments, said), owner=visit.owner, wait_s=0)
    return back(answer.task_id)


def mark(draft: Draft) -> str:
    """What a yes is a yes to: this offer, at this price."""
    plan = draft.plan
    kind = "rehearsal" if plan.simulated else "order"
    return f"{kind} of {plan.arguments.clips} {plan.offer.id} at {plan.total.arithmetic}, most {plan.most_usd}"


def arguments_of(form: Mapping[str, str], task: TaskAnswer | None) -> dict[str, Any]:
    """What a form says, as arguments; what is as it was in the repeated order is not said anew."""
    said: dict[str, Any] = {name: text for name in _TEXTS if (text := form.get(name, "").strip())}
    if task is not None and said.get("prompt") == task.prompt:
        del said["prompt"]
    for name, kind in (("duration", int), ("count", int), ("max_cost_usd", float)):
        if text := form.get(name, "").strip().removeprefix("$"):
            try:
                said[name] = kind(text)
            except ValueError:
                raise ArgumentError(f"{name.replace('_', ' ')} is a number, not {text[:40]!r}") from None
    if (sound := _SOUND.get(form.get("audio", ""))) is not None:
        said["audio"] = sound
    if not said:
        raise RequestError("There is nothing to make a clip of yet", next_step="Say what is seen")
    return said


async def _priced(visit: Visit, form: Mapping[str, str], task: TaskAnswer | None) -> Response:
    """The panel with the price, or with why there is none."""
    try:
        said = arguments_of(form, task) | {"idempotency_key": f"studio-{secrets.token_hex(12)}"}
        arguments = read(VideoArguments, said)
        draft = await visit.service.prepare(arguments, owner=visit.owner)
        return _panel(visit, draft, arguments)
    except KlingError as error:
        return refusal(error, visit, status_of(error), part=True)


def _panel(visit: Visit, draft: Draft, arguments: VideoArguments, said: str = "", status: int = 200) -> Response:
    asked, refused = consent.needed(_judge(visit, draft))
    estimate = visit.service.priced(draft)
    return page(
        "panel.html" if visit.part or not said else "panel_page.html",
        visit,
        status=status,
        estimate=estimate,
        cost=estimate.total or estimate.chosen.cost,
        order=json.dumps(arguments.given(), ensure_ascii=False),
        shown=mark(draft),
        asked=asked,
        refused=refused,
        said=said,
    )


def _judge(visit: Visit, draft: Draft) -> consent.Judge:
    return lambda: limits.within(draft, visit.service.settings, ask_above_usd=limits.ASK_ABOVE_USD)


def _form(visit: Visit, fields: Mapping[str, str], task: TaskAnswer | None, panel: Response | None = None) -> Response:
    signed_in = visit.service.planner.signed_in
    return page(
        "order.html",
        visit,
        status=200 if panel is None else panel.status_code,
        fields={name: fields.get(name, "") for name in (*_TEXTS, "duration", "count", "audio", "max_cost_usd")},
        task=task,
        panel=bytes(panel.body).decode() if panel is not None else "",
        tiers=TIERS,
        lengths=LENGTHS,
        shapes=SHAPES,
        vendors=[*(name for name in visit.service.catalog.providers if name in signed_in), SANDBOX],
        key=secrets.token_hex(8),
    )


def _whole(text: str) -> VideoArguments:
    """The order a panel showed, as it comes back from its form."""
    try:
        said: object = json.loads(text)
    except ValueError:
        said = None
    if not isinstance(said, dict) or not cast("dict[str, Any]", said).get("idempotency_key"):
        raise RequestError("This form holds no order", next_step="Ask for the price again")
    return read(VideoArguments, cast("dict[str, Any]", said))


async def _earlier(visit: Visit, task_id: str) -> list[TaskAnswer]:
    found = await visit.service.look([task_id], owner=visit.owner) if is_task_id(task_id) else []
    if not found:
        raise RequestError("There is no such clip here to repeat", next_step="Look for it among the clips")
    return found


ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/order", new_order),
    ("POST", "/order/price", price),
    ("POST", "/order", buy),
    ("POST", "/rehearse", rehearse),
)
