"""What a caller gets: one shape for the tools' structured answers and for the command line's `--json`."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from mcp_server.domain.described import Described

NEXT: Final = 5
"""How many offers besides the chosen one a model is shown."""
LEFT_OUT: Final = 2
"""Of how many that cannot do it a model is told why."""


SHOTS_PART: Final = 90
"""Of a film's time, in percent, goes into its shots; joining them is the rest."""


class _Answer(Described, BaseModel):
    # Each is built when it is first used: a process uses few of them, and all of them take a twentieth of a second.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    def facts(self) -> dict[str, Any]:
        """As JSON, without what is unknown or empty."""
        return _lean(self.model_dump(mode="json", exclude_none=True))


def _lean(value: Any) -> Any:
    if isinstance(value, dict):
        rows = {key: _lean(part) for key, part in value.items()}  # type: ignore[reportUnknownVariableType]
        return {key: part for key, part in rows.items() if part not in (None, "", [], {})}  # type: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [_lean(part) for part in value]  # type: ignore[reportUnknownVariableType]
    return value


class Cost(_Answer):
    """Money, exact, as text."""

    usd: str | None = None
    """Absent when nobody published it."""
    usd_at_most: str | None = None
    amount: str | None = None
    """In the vendor's own currency."""
    currency: str = "USD"
    arithmetic: str = ""
    price_date: str | None = None
    not_included: list[str] = []
    note: str = ""
    """What is worth knowing about the rate: where it is odd as printed, or how it is measured."""


class Settled(_Answer):
    """What was really charged, and how that is known."""

    usd: str | None = None
    amount: str | None = None
    currency: str = "USD"
    basis: str
    """reported, computed, rolled_back or not_documented."""


class TaskCost(_Answer):
    """Estimated at the order, settled at the end."""

    estimated: Cost
    settled: Settled | None = None


class OfferLine(_Answer):
    """One way to buy the clip that was asked for."""

    offer: str
    provider: str
    model: str
    tier: str
    mode: str
    cost: Cost
    has_key: bool
    duration: int | None = None
    aspect_ratio: str | None = None
    resolution: str | None = None
    audio: bool | None = None


class Estimate(_Answer):
    """The price of the chosen route, and every other offer that fits, cheapest first."""

    chosen: OfferLine
    prompt: str
    route: str
    others: list[OfferLine] = []
    more: str = ""
    """How many others there are, and how to see them."""
    dropped: dict[str, str] = {}
    """Offers that cannot do it, with the reason (the nearest few)."""
    count: int | None = None
    total: Cost | None = None
    """With `count`: the price of all."""
    warnings: list[str] = []
    simulated: bool = False
    next_step: str

    def short(self) -> Estimate:
        """The chosen one and the next few: what a model reads, whoever else sells it."""
        left = len(self.others) - NEXT
        more = f"and {left} more: `all: true` lists them; provider, model or tier narrows them down"
        dropped = dict(list(self.dropped.items())[:LEFT_OUT])
        return self.model_copy(
            update={"others": self.others[:NEXT], "dropped": dropped, "more": more if left > 0 else ""}
        )


class CopyAnswer(_Answer):
    """A copy beside the original, small enough for where it goes."""

    path: str
    bytes: int
    width: int
    height: int
    fps: float
    given_up: list[str] = []
    """What it has less of than the original; empty where the original is small enough and `path` is its own."""


class TaskAnswer(_Answer):
    """One purchase as it stands now."""

    task_id: str
    state: str
    provider: str
    plays: str | None = None
    """With `sandbox`: the vendor it plays."""
    model: str
    tier: str
    mode: str
    simulated: bool
    prompt: str = ""
    status: str = ""
    """The vendor's own word."""
    progress: int | None = None
    queue_position: int | None = None
    video_path: str | None = None
    video_url: str | None = None
    expires_at: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    ordered: dict[str, Any] = {}
    delivered: dict[str, Any] = {}
    """What the file really is, where the `media` extra could look."""
    differences: list[str] = []
    fitted_copy: CopyAnswer | None = None
    cost: TaskCost | None = None
    estimated_cost: Cost | None = None
    route: str = ""
    warnings: list[str] = []
    error: dict[str, Any] | None = None
    note: str = ""
    created_at: str | None = None
    updated_at: str | None = None
    finished_at: str | None = None
    expected_s: float | None = None
    """Seconds such clips usually take."""
    followed: bool | None = None
    """False when nobody looks after it any more, as asked."""
    poll_after_s: float | None = None
    next_step: str = ""

    @property
    def id(self) -> str:
        return self.task_id

    @property
    def place(self) -> str | None:
        """Where the finished clip is: its path, or the link to it where clips are in an object store."""
        return self.video_path or (self.video_url if self.state == "succeeded" else None)


class OrderAnswer(TaskAnswer):
    """One task, or several in `tasks`: what stands beside them is what they share, and the price of all."""

    tasks: list[TaskAnswer] = Field(default_factory=list[TaskAnswer])

    @property
    def each(self) -> list[TaskAnswer]:
        """Every task of the order."""
        return self.tasks or [self]


class BatchResult(_Answer):
    """What became of one line of a file of orders."""

    line: int
    tasks: list[TaskAnswer] = []


class ShotAnswer(_Answer):
    """One shot of a film as it stands now."""

    shot: str
    state: str
    """planned, waiting, blocked, used, or the state of its task."""
    begin: str = ""
    task_id: str = ""
    duration: int | None = None
    provider: str = ""
    model: str = ""
    tier: str = ""
    mode: str = ""
    cost: Cost | None = None
    progress: int | None = None
    video_path: str | None = None
    differences: list[str] = []
    warnings: list[str] = []
    why: str = ""
    """Why it waits, is blocked or failed."""

    @property
    def made(self) -> bool:
        """Whether its clip is there."""
        return self.state in ("used", "succeeded")


class FilmAnswer(_Answer):
    """A film as it stands now: the plan, its price, each shot, and the joined file."""

    film_id: str
    state: str
    """planned, filming, joining, succeeded, failed, cancelled or uncertain."""
    title: str = ""
    simulated: bool
    draft: bool = False
    total: Cost
    """Of the whole board."""
    to_buy: Cost | None = None
    """Of what is not bought yet."""
    final_total: Cost | None = None
    """With a draft: of the film as it was meant."""
    shots: list[ShotAnswer] = []
    progress: int | None = None
    remaining_s: float | None = None
    video_path: str | None = None
    video_url: str | None = None
    expires_at: str | None = None
    sheet_path: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    duration: float | None = None
    fitted_copy: CopyAnswer | None = None
    failed_checks: list[str] = []
    """What looking into the joined film found wrong."""
    notes: list[str] = []
    """What joining did so that the shots fit."""
    warnings: list[str] = []
    error: dict[str, Any] | None = None
    note: str = ""
    created_at: str | None = None
    updated_at: str | None = None
    finished_at: str | None = None
    poll_after_s: float | None = None
    next_step: str = ""

    @property
    def id(self) -> str:
        return self.film_id

    @property
    def place(self) -> str | None:
        """Where the joined file is: its path, or the link to it where films are in an object store."""
        return self.video_path or self.video_url

    @property
    def providers(self) -> frozenset[str]:
        """Whom its shots are bought from."""
        return frozenset(shot.provider for shot in self.shots)

    @property
    def made(self) -> int:
        """How many of its shots are there."""
        return sum(shot.made for shot in self.shots)

    @property
    def done(self) -> int:
        """How far it is, in percent: the shots are the most of it."""
        if self.finished_at:
            return 100
        shots = [100 if shot.made else shot.progress or 0 for shot in self.shots]
        return sum(shots) * SHOTS_PART // (100 * len(shots)) + (self.progress or 0) * (100 - SHOTS_PART) // 100

    def short(self) -> FilmAnswer:
        """The film as a line of a list."""
        return self.model_copy(update={"shots": [], "warnings": [], "notes": [], "to_buy": None})


OrderedAnswer = TaskAnswer | FilmAnswer
"""What an id of ours stands for."""


class TaskList(_Answer):
    """Several purchases, and the films made of such."""

    tasks: list[TaskAnswer] = []
    films: list[FilmAnswer] = []
    next_step: str = ""


class Rate(_Answer):
    """What a second or a clip of an offer costs, as published."""

    per: str
    """second, clip, unstated or unpublished."""
    currency: str
    silent: str | None = None
    audio: str | None = None
    silent_at_most: str | None = None
    """Where sources differ: the higher one."""
    audio_at_most: str | None = None
    when: dict[str, bool] = {}
    """Inputs that must be given (true) or absent (false)."""
    effective_from: str


class ModelLine(_Answer):
    """One offer."""

    offer: str
    provider: str
    model: str
    tier: str
    mode: str
    vendor_model: str = ""
    durations: str = ""
    seconds: list[int] = []
    """Lengths that can be ordered; none where what goes in decides."""
    aspect_ratios: list[str] = []
    resolutions: list[str] = []
    audio: str = ""
    takes: list[str] = []
    price: str = ""
    rates: list[Rate] = []
    has_key: bool = False
    not_sold_because: str = ""
    notes: list[str] = []


class ModelGroup(_Answer):
    """One model, tier and mode, and who sells it."""

    model: str
    tier: str
    mode: str
    sold_by: list[str] = Field(default_factory=list)
    only_listed_by: list[str] = Field(default_factory=list)
    """Who names it and cannot be ordered from."""


class Models(_Answer):
    """What can be bought."""

    providers: dict[str, str]
    """Provider → whether a key is there."""
    models: list[ModelGroup] = []
    offers: list[ModelLine] = []
    next_step: str = ""


class SpendLine(_Answer):
    """A day's purchases of one model from one provider."""

    day: str
    provider: str
    model: str
    tasks: int
    quoted_usd: str
    settled_usd: str
    unknown: int = 0
    """Tasks whose cost nobody knows; they are in no sum."""


class BalanceLine(_Answer):
    """One account, as its vendor says it stands."""

    provider: str
    left: str | None = None
    currency: str | None = None
    said: str
    """The same in words, or why nobody can say."""


class Balances(_Answer):
    """What is left with every vendor that has a key here."""

    accounts: list[BalanceLine] = []
    next_step: str = ""


class Spend(_Answer):
    """What was spent; simulations cost nothing and are not in it."""

    lines: list[SpendLine] = []
    quoted_usd: str
    settled_usd: str
    unknown: int = 0
    today_usd: str = "0"
    """What counts against today's budget: settled where it is known, else quoted, and what films hold back."""
    held_by_films_usd: str = "0"
    """For shots that are not bought yet: it counts on every day until they are."""
    daily_budget_usd: str | None = None
    drift: list[str] = []
    """Where a vendor's own bills differ from what was quoted."""
