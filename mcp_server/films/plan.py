"""The plan of a film: every shot routed, checked and priced like an order, with one look and one exact total."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from mcp_server import media
from mcp_server.answers.films import whole
from mcp_server.answers.tasks import quote_answer
from mcp_server.domain.arguments import VideoArguments
from mcp_server.domain.film import FilmShot, clips_of
from mcp_server.domain.money import money
from mcp_server.domain.request import Match, Wishes
from mcp_server.domain.vocabulary import TIERS
from mcp_server.errors import KlingError, NoOfferError, RequestError
from mcp_server.films import multi_shot
from mcp_server.films import shots as film_shots
from mcp_server.films.shots import LAST_FRAME, Wanted
from mcp_server.ordering.draft import paid_call
from mcp_server.providers import media_inputs

if TYPE_CHECKING:
    from mcp_server.answers.shapes import Cost
    from mcp_server.films.board import Board, BoardShot, Look
    from mcp_server.ordering.plan import Plan, Planner

LONG_CHAIN: Final = 4
"""Each hand-over by a last frame softens the picture a little; so many in a row are worth a word."""
_SHARED: Final = ("model", "tier", "resolution", "audio")
"""What has to be the same in all shots, in the order it is settled."""
Heard = tuple[Wishes | None, str | None]
_CHEAPEST: Final = Wishes(prefer="cheapest")


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmPlan:
    """A board that can be shown, agreed to and bought."""

    board: Board
    shots: tuple[FilmShot, ...]
    quote: Cost
    """Of all shots."""
    simulated: bool
    draft: bool = False
    final_quote: Cost | None = None
    warnings: tuple[str, ...] = ()

    @property
    def most_usd(self) -> Decimal | None:
        """What the whole can cost at most; None when nobody knows it of one shot."""
        known = [shot.most_usd for shot in self.shots if shot.ordered]
        return None if None in known else sum((most for most in known if most is not None), Decimal(0))


@dataclass(frozen=True, slots=True)
class Routed:
    """A shot with the offer it will be bought from."""

    plan: Plan
    wanted: Wanted


@dataclass
class FilmPlanner:
    """Plans boards with one user's keys and one day's prices."""

    planner: Planner
    _known: dict[tuple[object, ...], Plan] = field(default_factory=dict[tuple[object, ...], "Plan"], init=False)
    _read: dict[str, Heard] = field(default_factory=dict[str, "Heard"], init=False)

    @cached_property
    def _limits(self) -> frozenset[int]:
        """Every length of a prompt beyond which some vendor takes none."""
        offers = self.planner.catalog.offers
        return frozenset(most for offer in offers for most in (offer.prompt_max, offer.shot_prompt_max) if most)

    def plan(self, board: Board, *, day: date, draft: bool = False) -> FilmPlan:
        """The plan, or the refusal that names what no vendor sells of every shot."""
        self._known.clear()
        final = self._best(board, board.look, day, draft=False)
        if not draft:
            return final
        look = board.look.model_copy(update={"tier": None, "model": None, "resolution": None, "audio": False})
        drafted = self._best(board, look, day, draft=True)
        return replace(drafted, draft=True, final_quote=final.quote)

    def _best(self, board: Board, look: Look, day: date, *, draft: bool) -> FilmPlan:
        """Every shot apart, as far as the board does not say otherwise; several in one order where that is cheaper."""
        joined = multi_shot.together(board, look, self.planner.catalog)
        other: FilmPlan | None = None
        if joined is not None:
            with contextlib.suppress(KlingError):
                other = self._planned(joined, look, day, draft=draft)
        try:
            apart = self._planned(board, look, day, draft=draft)
        except NoOfferError:
            if other is None:
                raise
            return _saying(other, multi_shot.why_together(other, "apart not every one of them is sold"))
        if other is not None and (cheaper := _cheaper(other, apart)):
            return _saying(other, multi_shot.why_together(other, f"that is {cheaper} cheaper than apart"))
        said = [*multi_shot.why_together(apart, "as the board says"), *multi_shot.why_apart(apart, other)]
        return _saying(apart, said)

    def _planned(self, board: Board, look: Look, day: date, *, draft: bool) -> FilmPlan:
        try:
            found, warnings = self._one_look(board, look, day, draft=draft)
        except NoOfferError:
            if not draft or look.audio is None:
                raise
            # Not everything is sold silent.
            found, warnings = self._one_look(board, look.model_copy(update={"audio": None}), day, draft=draft)
        shots = tuple(
            shot
            for clip, routed in zip(clips_of(board.shots), found, strict=True)
            for shot in _shots(clip, board, routed, draft=draft)
        )
        simulated = any(routed.plan.simulated for routed in found if routed is not None) or (
            not any(found) and not self.planner.signed_in
        )
        return FilmPlan(
            board=board,
            shots=shots,
            quote=whole(shots),
            simulated=simulated,
            warnings=(*warnings, *_chains(board)),
        )

    def _one_look(
        self, board: Board, look: Look, day: date, *, draft: bool
    ) -> tuple[list[Routed | None], tuple[str, ...]]:
        """Every shot routed with the same model, tier, resolution and sound, where that is sold."""
        found = self._routed(board, look, day, draft=draft)
        warnings: list[str] = []
        for name in _SHARED:
            values = Counter(_said(routed.plan, name) for routed in found if routed is not None)
            values.pop(None, None)
            if len(values) < 2:
                continue
            same = self._shared(board, look, day, name, list(values), draft=draft)
            if same is None:
                told = ", ".join(f"{value} in {count}" for value, count in values.most_common())
                warnings.append(f"the shots cannot all have the same {name.replace('audio', 'sound')}: {told}")
            else:
                look, found = same
        return found, tuple(warnings)

    def _shared(
        self, board: Board, look: Look, day: date, name: str, values: Sequence[Any], *, draft: bool
    ) -> tuple[Look, list[Routed | None]] | None:
        """The cheapest look in which this is one value; None where no value does for all shots."""
        best: tuple[Look, list[Routed | None]] | None = None
        for value in sorted(values, key=lambda one: TIERS.index(one) if one in TIERS else 0):
            pinned = look.model_copy(update={name: value})
            try:
                found = self._routed(board, pinned, day, draft=draft)
            except RequestError:
                continue
            if best is None or _rank(found) < _rank(best[1]):
                best = pinned, found
        return best

    def _routed(self, board: Board, look: Look, day: date, *, draft: bool) -> list[Routed | None]:
        """Every clip that is bought, routed; RequestError with a line for each that cannot be."""
        found: list[Routed | None] = []
        refused: list[tuple[str, KlingError]] = []
        for clip in clips_of(board.shots):
            if clip[0].clip is not None:
                found.append(None)
                continue
            try:
                found.append(self._route(clip, board, look, day, draft=draft))
            except KlingError as error:
                refused.append((multi_shot.listed(clip), error))
        if refused:
            raise _refusal(refused)
        return found

    def _route(self, clip: Sequence[BoardShot], board: Board, look: Look, day: date, *, draft: bool) -> Routed:
        if clip[0].begin == "continue" and not media.available():
            raise RequestError("it continues from a last frame, which cannot be taken here", why=media.WITHOUT)
        nobody: NoOfferError | None = None
        for wanted in film_shots.ways(clip, board, look):
            try:
                plan = (self._planned_once if len(clip) == 1 else self._together_once)(wanted, day, draft=draft)
            except NoOfferError as error:
                nobody = error
                continue
            self._look_at(plan)
            return Routed(plan, wanted)
        raise nobody or NoOfferError("Nobody sells such a shot")

    def _planned_once(self, wanted: Wanted, day: date, *, draft: bool) -> Plan:
        """The plan of this order; orders that differ in the words of a plain scene alone are routed once."""
        arguments = wanted.arguments
        prompt = arguments.prompt or ""
        wishes = _CHEAPEST if draft else self._wishes(prompt)
        if wishes is None:
            return self._checked(self.planner.plan(arguments, day=day))
        face = arguments.given() | {"prompt": self._bucket(prompt)}
        key = (draft, *(f"{name}={value}" for name, value in sorted(face.items())))
        if key not in self._known:
            self._known[key] = self._checked(self.planner.plan(arguments, day=day, wishes=wishes))
        return self._known[key]

    def _together_once(self, wanted: Wanted, day: date, *, draft: bool) -> Plan:
        """The plan of several shots in one order; of offers at one price one that promises how long each shot is."""
        arguments = wanted.arguments
        shots = arguments.shots or []
        unread = [match for shot in shots for match in self._left_in(shot.prompt)]
        face = arguments.given() | {"shots": [(self._bucket(shot.prompt), shot.duration) for shot in shots]}
        key = (draft, *(f"{name}={value}" for name, value in sorted(face.items())))
        wishes = Wishes(prefer="cheapest" if draft else None, unread=tuple(unread))
        if unread:
            return self._checked(self._promising(arguments, wishes, day))
        if key not in self._known:
            self._known[key] = self._checked(self._promising(arguments, wishes, day))
        return self._known[key]

    def _promising(self, arguments: VideoArguments, wishes: Wishes, day: date) -> Plan:
        plan = self.planner.plan(arguments, day=day, wishes=wishes)
        chosen = plan.offer
        for other in plan.others if chosen.shots_in_prompt else ():
            offer = other.checked.offer
            same = (offer.model, offer.tier, other.price_rank) == (chosen.model, chosen.tier, plan.quote.price_rank)
            if not same or offer.shots_in_prompt:
                continue
            named = {"provider": offer.provider, "model": offer.model, "tier": offer.tier}
            try:
                return self.planner.plan(
                    VideoArguments.model_validate({**arguments.given(), **named}), day=day, wishes=wishes
                )
            except KlingError:
                # There is no key for it.
                continue
        return plan

    def _left_in(self, scene: str) -> tuple[Match, ...]:
        """Words of a scene that read like an order: one order for several shots says such things once, in the look."""
        heard = self._heard(scene)[0]
        return () if heard is None else (*heard.unread, *heard.matched)

    def _checked(self, plan: Plan) -> Plan:
        """The plan, once its call was written out and held against the vendor's own schema."""
        paid_call(plan.quote, plan.given, self.planner.catalog.providers[plan.offer.provider], key="kf")
        return plan

    def _wishes(self, prompt: str) -> Wishes | None:
        """No wishes, where the scene has none; None where it has to be read as an order is."""
        if any(sign in prompt for sign in "<>@{}[]"):
            # Some vendors name pictures in the prompt by such signs.
            return None
        heard, scene = self._heard(prompt)
        plain = scene is None and heard is not None and not (heard.unread or heard.notes or heard.contradictions)
        return Wishes() if plain else None

    def _heard(self, scene: str) -> Heard:
        """What a scene says of an order; every scene is read once, however often it is planned."""
        from mcp_server.routing import words

        if scene not in self._read:
            self._read[scene] = words.heard("", scene, self.planner.catalog)
        return self._read[scene]

    def _bucket(self, prompt: str) -> int:
        """How many of the vendors' limits on length it passes: the same for prompts that fit the same offers."""
        return sum(len(prompt) > limit for limit in self._limits)

    def _look_at(self, plan: Plan) -> None:
        """Nothing, or the refusal of a local picture that is not there or is none."""
        facts = self.planner.catalog.providers[plan.offer.provider]
        for place, text in media_inputs.inputs(plan.request):
            if plan.given.get(place) in ("file", "data") and text != LAST_FRAME:
                media_inputs.load(place, text, facts)


def _saying(plan: FilmPlan, said: Iterable[str]) -> FilmPlan:
    return replace(plan, warnings=(*plan.warnings, *said))


def _cheaper(one: FilmPlan, two: FilmPlan) -> str:
    """By how much the first costs less; empty where it does not, or nobody knows."""
    if one.most_usd is None or two.most_usd is None or one.most_usd >= two.most_usd:
        return ""
    return money(two.most_usd - one.most_usd, "USD")


def _said(plan: Plan, name: str) -> Any:
    if name in ("model", "tier"):
        return getattr(plan.offer, name)
    return getattr(plan.checked, name)


def _rank(found: Iterable[Routed | None]) -> tuple[int, Decimal]:
    """For choosing the cheaper of two: unknown prices last."""
    known = [routed.plan.most_usd for routed in found if routed is not None]
    return known.count(None), sum((most for most in known if most is not None), Decimal(0))


def _shots(clip: Sequence[BoardShot], board: Board, routed: Routed | None, *, draft: bool) -> list[FilmShot]:
    """The shot as it will be bought, and those in one order with it."""
    first = _shot(clip, board, routed, draft=draft)
    if len(clip) == 1:
        return [first]
    shared = ("offer", "provider", "model", "tier", "mode", "audio")
    same: dict[str, Any] = {name: getattr(first, name) for name in shared}
    within = [FilmShot(id=shot.id, begin=shot.begin, seconds=shot.duration, **same) for shot in clip[1:]]
    return [replace(first, seconds=clip[0].duration), *within]


def _shot(clip: Sequence[BoardShot], board: Board, routed: Routed | None, *, draft: bool) -> FilmShot:
    """The order: every choice the route made is said, so that nothing else is bought later."""
    shot = clip[0]
    if routed is None:
        return FilmShot(id=shot.id, begin=shot.begin, seconds=None, clip=shot.clip or "")
    plan, offer = routed.plan, routed.plan.offer
    checked = plan.checked
    chosen: dict[str, Any] = {
        "model": routed.wanted.arguments.model or offer.model,
        "tier": offer.tier,
        "provider": offer.provider,
        "mode": offer.mode,
    }
    chosen |= {
        name: value
        for name in ("duration", "aspect_ratio", "resolution", "audio")
        if (value := getattr(checked, name)) is not None
    }
    # Resolution 4k is a tier of its own, and says the same.
    if chosen.get("resolution") == "4k":
        del chosen["resolution"]
    given = routed.wanted.arguments.given() | {name: value for name, value in chosen.items() if _sayable(name, plan)}
    if shot.begin == "continue":
        del given["image"]
    quote = plan.quote
    return FilmShot(
        id=shot.id,
        begin=shot.begin,
        seconds=checked.duration,
        arguments=given,
        revision=film_shots.revision(clip, board, draft=draft),
        offer=offer.id,
        provider=offer.provider,
        model=offer.model,
        tier=offer.tier,
        mode=offer.mode,
        quote=quote_answer(quote).facts(),
        most_usd=plan.most_usd,
        audio=checked.audio,
        warnings=(*routed.wanted.left_out, *plan.warnings),
    )


def _sayable(name: str, plan: Plan) -> bool:
    """Whether an argument may say what the route chose: some offers leave no choice, and refuse to be told one."""
    offer = plan.offer
    match name:
        case "audio":
            return offer.audio in ("choice", "always", "never", "by-model-id")
        case "resolution":
            return bool(offer.resolutions)
        case "aspect_ratio":
            return bool(offer.aspect_ratios)
        case _:
            return True


def _refusal(refused: Sequence[tuple[str, KlingError]]) -> KlingError:
    """One refusal for all shots that cannot be bought, a line each; of one shot it is that shot's own."""
    lines = tuple(f"shot {shot_id!r}: {_line(error)}" for shot_id, error in refused)
    first = refused[0][1]
    if any(not isinstance(error, RequestError) for _, error in refused):
        # No key, a limit: it is not about a shot.
        return next(error for _, error in refused if not isinstance(error, RequestError))
    kind = NoOfferError if all(isinstance(error, NoOfferError) for _, error in refused) else RequestError
    return kind(
        lines[0] if len(lines) == 1 else f"{len(lines)} shots cannot be bought as they are",
        problems=lines,
        why=first.why if len(lines) == 1 else "; ".join(lines),
        next_step=first.next_step if len(lines) == 1 else "Correct the board and call again",
    )


def _line(error: KlingError) -> str:
    near = f" ({error.next_step[0].lower()}{error.next_step[1:]})" if error.next_step.startswith("Nearest") else ""
    return f"{error.what}{near}"


def _chains(board: Board) -> list[str]:
    """A word about every chain of hand-overs that is long."""
    told: list[str] = []
    links = 0
    for shot in (*board.shots, None):
        if shot is not None and shot.begin == "continue":
            links += 1
            continue
        if links >= LONG_CHAIN:
            told.append(
                f"{links} shots in a row continue from the one before: each hand-over softens the picture, and each "
                "waits for the one before; a cut in between is sharper and sooner"
            )
        links = 0
    return told
