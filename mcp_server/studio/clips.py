"""The clips: a grid to find them in, a page for each, and their files, which are asked for by the task's id alone."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from starlette.responses import RedirectResponse, Response

from mcp_server import desktop
from mcp_server.domain.task import STATE_WORDS, is_task_id
from mcp_server.domain.vocabulary import SANDBOX
from mcp_server.errors import RequestError, UnknownTaskError
from mcp_server.studio import files, view
from mcp_server.studio.pages import Visit, page
from mcp_server.studio.sessions import PATH

if TYPE_CHECKING:
    from mcp_server.answers.shapes import TaskAnswer
    from mcp_server.domain.task import StateWord
    from mcp_server.studio.pages import Route

FIRST: Final = "a paper boat in the rain, drifting past a lit window"
"""What the first rehearsal shows where nobody says anything else."""
MANY: Final = 48
"""Clips on the first page, and on each that is gone on to."""


async def library(visit: Visit) -> Response:
    """The newest clips, or those that are looked for."""
    wanted = _wanted(visit)
    catalog = visit.service.catalog
    found = await visit.service.tasks(
        search=wanted["q"] or None,
        state=cast("StateWord | None", wanted["state"] or None),
        provider=wanted["vendor"] or None,
        before=wanted["before"] or None,
        limit=MANY + 1,
        owner=visit.owner,
    )
    cards = [view.card(task) for task in found.tasks[:MANY]]
    more = cards[-1].task.task_id if len(found.tasks) > MANY else ""
    return page(
        "grid.html" if visit.part else "library.html",
        visit,
        days=view.days(cards, datetime.now(UTC).astimezone().date()),
        wanted=wanted,
        searching=any(wanted[name] for name in ("q", "state", "vendor")),
        more=more,
        states={word: view.STATES.get(word, "Under way") for word in STATE_WORDS},
        vendors=[*catalog.providers, SANDBOX],
        first=FIRST,
        key=secrets.token_hex(8),
    )


async def clip(visit: Visit) -> Response:
    """One clip: what was ordered, what came, and what it cost."""
    task = await one(visit)
    return page(
        "clip.html",
        visit,
        card=view.card(task),
        task=task,
        facts=view.facts(task),
        money=view.money(task),
        opener=visit.at_home and desktop.opener() is not None,
    )


async def video(visit: Visit) -> Response:
    """The file, or the part of it that is asked for."""
    return await files.played(await one(visit), visit)


async def poster(visit: Visit) -> Response:
    """A small picture of it."""
    task = await one(visit)
    await _made(task)
    async with visit.decoding:
        return files.picture(await visit.service.poster(task.task_id, owner=visit.owner))


async def sheet(visit: Visit) -> Response:
    """Its contact sheet."""
    task = await one(visit)
    await _made(task)
    async with visit.decoding:
        return files.picture(await visit.service.sheet(task.task_id, owner=visit.owner))


async def folder(visit: Visit) -> Response:
    """Open the folder it lies in, on this machine's own desktop."""
    task = await one(visit)
    if not visit.at_home:
        raise RequestError("The folder is on another machine", next_step="Download the clip", money="unknown")
    desktop.show((await _file_of(task)).parent)
    return back(task.task_id)


async def cancel(visit: Visit) -> Response:
    """Ask the vendor to stop; its answer stands on the clip's page."""
    task = await visit.service.cancel((await one(visit)).task_id, owner=visit.owner)
    state, place = view.state_words(task.state), f"{PATH}/clips/{task.task_id}"
    return page("note.html", visit, state=state, note=task.note, place=place)


async def one(visit: Visit) -> TaskAnswer:
    """The task of this address, if it is the visitor's; nothing is said of others'."""
    task_id = str(visit.request.path_params["id"])
    found = await visit.service.look([task_id], owner=visit.owner) if is_task_id(task_id) else []
    if not found:
        raise UnknownTaskError("There is no such clip here", next_step="Look for it among the clips", money="unknown")
    return found[0]


def back(task_id: str) -> Response:
    """To the clip's page."""
    return RedirectResponse(f"{PATH}/clips/{task_id}", 303)


async def _made(task: TaskAnswer) -> None:
    """Nothing, or the refusal of a clip that there is none of."""
    if files.elsewhere(task) is None:
        await _file_of(task)


async def _file_of(task: TaskAnswer) -> Path:
    return await files.there(task.video_path, task.task_id)


def _wanted(visit: Visit) -> dict[str, str]:
    """What is looked for; a word that is no state or no id of ours counts as not said."""
    wanted = {name: visit.asked(name)[: files.WORDS_MAX] for name in ("q", "state", "vendor", "before")}
    if wanted["state"] not in STATE_WORDS:
        wanted["state"] = ""
    if not is_task_id(wanted["before"]):
        wanted["before"] = ""
    return wanted


ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/", library),
    ("GET", "/clips/{id}", clip),
    ("GET", "/clips/{id}/video", video),
    ("GET", "/clips/{id}/poster", poster),
    ("GET", "/clips/{id}/sheet", sheet),
    ("POST", "/clips/{id}/folder", folder),
    ("POST", "/clips/{id}/cancel", cancel),
)
