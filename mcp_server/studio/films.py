"""Films: each board as a strip of its shots, the joined film, and what is missing or redone at its price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import RedirectResponse, Response

from mcp_server.domain.film import clips_of
from mcp_server.errors import ArgumentError, KlingError, UnknownTaskError
from mcp_server.ordering import limits
from mcp_server.studio import consent, files, view
from mcp_server.studio.pages import Visit, page, refusal, status_of
from mcp_server.studio.sessions import PATH
from mcp_server.tasks.store.film_store import FilmFilter

if TYPE_CHECKING:
    from mcp_server.answers.shapes import Cost, FilmAnswer, ShotAnswer
    from mcp_server.domain.film import Film
    from mcp_server.films.films import FilmDraft, FilmOrder
    from mcp_server.studio.pages import Route

MANY: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class ShotCard:
    """One shot on the strip."""

    shot: ShotAnswer
    prompt: str
    state: str
    look: str
    playable: bool
    shape: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmCard:
    """One film, with the strip of its shots."""

    film: FilmAnswer
    title: str
    state: str
    look: str
    shots: list[ShotCard]
    seconds: int

    @property
    def busy(self) -> bool:
        return self.film.state in ("filming", "joining")


@dataclass(frozen=True, slots=True)
class _Left:
    """What of a film is bought now: the rest was agreed to before."""

    simulated: bool
    total: Cost

    @property
    def most_usd(self) -> Decimal | None:
        """What it can cost at most; None when nobody knows."""
        most = self.total.usd or self.total.usd_at_most
        return None if most is None else Decimal(most)


async def films(visit: Visit) -> Response:
    """The films, newest first."""
    records = visit.service.films.records
    words = visit.asked("q")[: files.WORDS_MAX] or None
    found = await records.find(FilmFilter(owner=visit.owner, text=words, limit=MANY))
    return page("films.html", visit, cards=[await card(visit, film) for film in found])


async def film(visit: Visit) -> Response:
    """One film: the joined file, its board and its price."""
    found = await one(visit)
    return page("film.html", visit, card=await card(visit, found))


async def video(visit: Visit) -> Response:
    """The joined film, or the part of it that is asked for."""
    answer = await visit.service.films.answer(await one(visit))
    return await files.played(answer, visit)


async def sheet(visit: Visit) -> Response:
    """Its contact sheet, a row for each shot."""
    found = await one(visit)
    answer = await visit.service.films.answer(found)
    if files.elsewhere(answer):
        return files.picture(await visit.service.sheet(found.id, owner=visit.owner))
    return files.picture(await files.there(answer.sheet_path, answer.film_id))


async def redo(visit: Visit) -> Response:
    """What it costs to make a shot again, or all that is missing; nothing is bought."""
    found = await one(visit)
    shot_id, prompt = visit.asked("shot"), _prompts(found).get(visit.asked("shot"), "")
    return _page(visit, found, shot_id, prompt, await _priced(visit, found, shot_id, prompt))


async def price(visit: Visit) -> Response:
    """The same with other words for the shot."""
    found = await one(visit)
    shot_id, prompt = visit.form.get("shot", ""), visit.form.get("prompt", "").strip()
    panel = await _priced(visit, found, shot_id, prompt)
    return panel if visit.part else _page(visit, found, shot_id, prompt, panel)


async def make(visit: Visit) -> Response:
    """Buy what was shown, if nothing about the film or its price has changed since."""
    found = await one(visit)
    shot_id, prompt = visit.form.get("shot", ""), visit.form.get("prompt", "").strip()
    service = visit.service.films
    draft = await service.prepare(_order(found, shot_id, prompt), owner=visit.owner)
    if mark(draft, found) != visit.form.get("shown", ""):
        said = "The film or its price has changed since it was shown. Nothing was ordered."
        panel = _panel(visit, found, draft, shot_id, prompt, said, 409)
        return _page(visit, found, shot_id, prompt, panel)
    consent.given(visit, _judge(visit, draft))
    await service.buy(draft, confirmed=True)
    return RedirectResponse(f"{PATH}/films/{found.id}", 303)


async def cancel(visit: Visit) -> Response:
    """Stop what is not bought, and ask the vendors to stop what is."""
    found = await one(visit)
    answer = await visit.service.films.cancel(found.id, owner=visit.owner)
    state = view.state_words(answer.state)
    return page("note.html", visit, state=state, note=answer.note, place=f"{PATH}/films/{found.id}")


async def one(visit: Visit) -> Film:
    """The film of this address, if it is the visitor's."""
    film_id = str(visit.request.path_params["id"])
    try:
        return await visit.service.films.records.get(film_id, visit.owner)
    except UnknownTaskError:
        raise UnknownTaskError(
            "There is no such film here", next_step="Look for it among the films", money="unknown"
        ) from None


async def card(visit: Visit, film: Film) -> FilmCard:
    """A film as it stands."""
    answer = await visit.service.films.answer(film)
    prompts = _prompts(film)
    shape = view.shape_of({"aspect_ratio": film.board.get("look", {}).get("aspect_ratio")}, {})
    return FilmCard(
        film=answer,
        title=answer.title,
        state=view.state_words(answer.state, answer.progress),
        look=view.look_of(answer.state),
        shots=[_shot(shot, prompts.get(shot.shot, ""), shape) for shot in answer.shots],
        seconds=sum(shot.duration or 0 for shot in answer.shots),
    )


def mark(draft: FilmDraft, film: Film) -> str:
    """What a yes is a yes to: this film as it stands, these purchases, at this price."""
    kind = "rehearsal" if draft.simulated else "order"
    bought = " ".join(f"{shot.id}={shot.task_id or shot.offer}" for shot in draft.film.shots)
    return f"{kind} of {film.id} {film.state} {film.updated_at} at {draft.to_buy.arithmetic}: {bought}"


def _shot(shot: ShotAnswer, prompt: str, shape: str) -> ShotCard:
    return ShotCard(
        shot=shot,
        prompt=prompt,
        state=view.state_words(shot.state, shot.progress),
        look=view.look_of(shot.state),
        playable=bool(shot.task_id and shot.made),
        shape=shape,
    )


def _prompts(film: Film) -> dict[str, str]:
    shots: list[Mapping[str, Any]] = list(film.board.get("shots", ()))
    return {str(shot["id"]): str(shot.get("prompt", "")) for shot in shots}


def _order(film: Film, shot_id: str, prompt: str) -> FilmOrder:
    """The film gone on with; with a shot, that one made again in these words."""
    from mcp_server.films.board import from_arguments
    from mcp_server.films.films import FilmOrder

    if not shot_id:
        return FilmOrder(film_id=film.id)
    before = _prompts(film)
    if shot_id not in before:
        raise ArgumentError(f"The board has no shot {shot_id[:40]!r}")
    if prompt in ("", before[shot_id]):
        return FilmOrder(film_id=film.id, redo=(shot_id,))
    shots = [{**shot, "prompt": prompt} if shot["id"] == shot_id else shot for shot in film.board["shots"]]
    # In other words it is another purchase by itself; to redo it, too, would count its takes.
    return FilmOrder(film_id=film.id, board=from_arguments({**film.board, "shots": shots}))


async def _priced(visit: Visit, film: Film, shot_id: str, prompt: str) -> Response:
    try:
        draft = await visit.service.films.prepare(_order(film, shot_id, prompt), owner=visit.owner)
        return _panel(visit, film, draft, shot_id, prompt)
    except KlingError as error:
        return refusal(error, visit, status_of(error), part=True)


def _panel(
    visit: Visit, film: Film, draft: FilmDraft, shot_id: str, prompt: str, said: str = "", status: int = 200
) -> Response:
    asked, refused = consent.needed(_judge(visit, draft))
    return page(
        "film_panel.html",
        visit,
        status=status,
        film=film,
        shot_id=shot_id,
        prompt=prompt,
        cost=draft.to_buy,
        whole=draft.total,
        left=[shot for shot in draft.film.shots if shot.ordered and not shot.bought],
        simulated=draft.simulated,
        warnings=draft.plan.warnings,
        shown=mark(draft, film),
        asked=asked,
        refused=refused,
        said=said,
    )


def _judge(visit: Visit, draft: FilmDraft) -> consent.Judge:
    left = _Left(draft.simulated, draft.to_buy)
    return lambda: limits.agreed(left, visit.service.settings, ask_above_usd=limits.ASK_ABOVE_USD)


def _page(visit: Visit, film: Film, shot_id: str, prompt: str, panel: Response) -> Response:
    body = bytes(panel.body).decode()
    clips = ([shot.id for shot in clip] for clip in clips_of(film.shots))
    together = next((ids for ids in clips if shot_id in ids), list[str]())
    return page(
        "redo.html", visit,
        status=panel.status_code, film=film, shot_id=shot_id, together=together, prompt=prompt, panel=body,
    )  # fmt: skip


ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/films", films),
    ("GET", "/films/{id}", film),
    ("GET", "/films/{id}/video", video),
    ("GET", "/films/{id}/sheet", sheet),
    ("GET", "/films/{id}/redo", redo),
    ("POST", "/films/{id}/redo/price", price),
    ("POST", "/films/{id}/redo", make),
    ("POST", "/films/{id}/cancel", cancel),
)
