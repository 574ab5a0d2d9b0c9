"""The promises of every place in which purchases are written down (`TaskStore`) and of who works on them (`Ownership`).

A `TaskStore` promises: one row per purchase, every change of state is one transaction with a line of history, an
illegal move is refused, and only the process that has a task's lease may change it. It proves itself with the number
of the lease; a process that slept through its own replacement gets `None` back from `change` and lets go. Another
database can stand here without the rest noticing.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal, Protocol, TypedDict, Unpack

from mcp_server.domain.task import Artifact, LocalMedium, Settlement, State, Task
from mcp_server.metrics import Reading
from mcp_server.providers.base import HttpCall

_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(now: float, kind: Literal["kv", "kf"] = "kv") -> str:
    """A task's id, or a film's: sorts by day, 60 random bits, safe in a file name, a URL and a header."""
    day = datetime.fromtimestamp(now, UTC).strftime("%y%m%d")
    # One call of the system: each of them may cost the turn of whoever serves.
    bits = secrets.randbits(60)
    return f"{kind}-{day}-{''.join(_LETTERS[bits >> place & 31] for place in range(0, 60, 5))}"


def day_of(now: float) -> str:
    """The budget's day, in UTC."""
    return datetime.fromtimestamp(now, UTC).date().isoformat()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """A purchase that was agreed on and not yet begun."""

    id: str
    """From `new_id`: the vendor's idempotency key is made of it, so the call needs it first."""
    provider: str
    simulated: bool
    offer_id: str
    model: str
    tier: str
    mode: str
    prompt: str
    request: Mapping[str, Any]
    """As JSON; `off_peak: true` in it lifts the deadline."""
    request_digest: str
    call: HttpCall
    quote_amount: Decimal | None
    quote_currency: Literal["USD", "credits"]
    quote_usd: Decimal | None
    quote: Mapping[str, Any]
    reserve_usd: Decimal | None
    """What this may cost at most; None when nobody knows."""
    output_dir: str
    ordered: Mapping[str, Any] = field(default_factory=dict[str, Any])
    local_media: tuple[LocalMedium, ...] = ()
    route: str = ""
    warnings: tuple[str, ...] = ()
    idempotency_key: str | None = None
    owner: str = ""
    allow_unknown_price: bool = False
    """The caller's explicit yes to a price nobody knows, which a daily budget otherwise refuses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What may be spent in one day (UTC), by everybody together and by each owner; None is no limit."""

    daily_usd: Decimal | None = None
    owners: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    """By owner; `*` is everybody who is not named."""

    def of(self, owner: str) -> Decimal | None:
        """The owner's own limit; whoever uses the machine itself (no owner) has none but the house's."""
        return self.owners.get(owner, self.owners.get("*")) if owner else None


@dataclass(frozen=True, slots=True)
class Lease:
    """A task this process may change, with the proof."""

    task: Task
    number: int
    """Grows with every holder: an older one's is worth nothing."""


class LeaseLostError(Exception):
    """The task is another process's now, or it was cancelled: whoever had the lease lets go and writes nothing."""


class Changes(TypedDict, total=False):
    """What can become of a task."""

    state: State
    local_media: tuple[LocalMedium, ...]
    sent_at: float | None
    accepted_at: float | None
    ready_at: float | None
    took_s: float | None
    job_id: str | None
    job_links: Mapping[str, str]
    status: str
    progress: int | None
    queue_position: int | None
    video_url: str | None
    expires_at: float | None
    artifact: Artifact | None
    settlement: Settlement | None
    reserved_usd: Decimal
    error: Mapping[str, Any] | None
    note: str
    stopped_following: bool
    attempts: int
    output_dir: str
    by_hand: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which tasks to list; what is None does not matter."""

    states: tuple[State, ...] = ()
    provider: str | None = None
    simulated: bool | None = None
    text: str | None = None
    """Words in the prompt."""
    key: str | None = None
    """The caller's idempotency key."""
    job_id: str | None = None
    """The vendor's id."""
    ending: str | None = None
    """What the task's own id ends with."""
    since: float | None = None
    before: str | None = None
    """Only older ones than this task: the last one of a list that is gone on with."""
    owner: str | None = None
    limit: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """A day's purchases of one model from one provider."""

    day: str
    provider: str
    model: str
    tasks: int
    quoted_usd: Decimal
    settled_usd: Decimal
    counted_usd: Decimal
    """What counts against the day's budget: settled where known, else reserved."""
    unknown: int
    """Tasks whose cost nobody knows."""


class TaskStore(Protocol):
    """Where tasks are written down, for every process that shares it."""

    @property
    def ownership(self) -> Ownership:
        """Who works on which task, as far as this process has a part in it."""
        ...

    async def create(self, new: NewTask, budget: Budget) -> tuple[Lease, bool]:
        """The new row, leased as `ownership` says; or the row that already has this key (then False).

        It outlives this process, and is durable before `sending` says that the paid call may leave.
        """
        ...

    async def create_all(self, order: Sequence[NewTask], budget: Budget) -> tuple[list[Lease], bool]:
        """The same for several purchases of one order: every row in one transaction, or none."""
        ...

    async def get(self, task_id: str, owner: str | None = None) -> Task:
        """The task as it stands; UnknownTaskError."""
        ...

    async def many(self, ids: Iterable[str]) -> list[Task]:
        """Those of the tasks that exist."""
        ...

    async def find(self, wanted: Filter) -> list[Task]:
        """The tasks the filter lets through, newest first."""
        ...

    async def sending(self, lease: Lease, at: float, sent_as: str = "") -> bool:
        """Note, durably, that the paid call leaves now, and as whose; False when it may not (cancelled, not ours)."""
        ...

    async def change(
        self, lease: Lease, what: str = "", *, money: bool = False, **changes: Unpack[Changes]
    ) -> Task | None:
        """What happened, by who has the lease; None when that is not this process any more.

        It outlives this process at once; with `money` it outlives a power cut, too, a few hundredths of a second later.
        """
        ...

    async def still_leased(self, lease: Lease) -> bool:
        """Whether the lease is still this process's, and the task not finished."""
        ...

    async def decide(
        self, task_id: str, expected: Iterable[State], what: str, **changes: Unpack[Changes]
    ) -> Task | None:
        """What somebody other than the lease's holder decides, durably; None when the task is in no expected state.

        It also ends the lease; where the task is to be followed after it, it goes to whoever takes it over next.
        """
        ...

    async def withdraw(self, task_id: str) -> Task | None:
        """Cancel a purchase whose call has not left; None when it has, or the task is elsewhere."""
        ...

    async def posted(self, task_id: str, post_id: str) -> bool:
        """Let whoever follows the task look at it now, for its vendor posted about it; False when that post was known.

        Posts are remembered longer than a signed one stays fresh.
        """
        ...

    async def wish_stopped(self, task_id: str) -> bool:
        """Ask whoever follows the task to stop it at its vendor; False where nobody could but this process."""
        ...

    async def wish_answer(self, task_id: str) -> tuple[bool, str] | None:
        """What came of the wish: whether it is stopped, and a sentence; None while nobody has answered."""
        ...

    async def answer_wish(self, task_id: str, words: str, *, done: bool) -> None:
        """Say what came of it, to whoever wished."""
        ...

    async def readings(self) -> list[Reading]:
        """What there is to see of a record that many processes share; reading it proves that it can be used."""
        ...

    async def stopped(self, why: str) -> None:
        """Note that this process's scheduler ended by a defect and begins again; `doctor` shows it."""
        ...

    async def durations(self, offer_id: str, *, simulated: bool, length: int | None = None) -> list[float]:
        """How long this offer's last clips took, in seconds; those of this ordered length where there are some."""
        ...

    async def spent(self, since_day: str, owner: str | None = None) -> list[Spent]:
        """Purchases by day, provider and model; simulations cost nothing and are not in it."""
        ...

    async def close(self) -> None:
        """Finish what is waiting, then let go of the database."""
        ...


class Ownership(Protocol):
    """Which process works on which open task: every one has at most one holder, and a dead one's find another."""

    @property
    def at_once(self) -> bool:
        """Whether an order is leased to the process that writes it down; else it goes to one that follows tasks."""
        ...

    @property
    def workers(self) -> int:
        """How many processes follow tasks of this record at the same vendors, as last seen; at least this one."""
        ...

    @property
    def woken(self) -> asyncio.Event:
        """Set when there is something to take over before the next beat."""
        ...

    async def take_over(self) -> list[Lease]:
        """Unfinished tasks no living process has a lease of; from now on it is ours."""
        ...

    async def lost(self, task_ids: Set[str]) -> set[str]:
        """Those of these tasks that this process has no lease of any more, or that are finished."""
        ...

    async def moved(self) -> frozenset[str] | None:
        """Tasks that other processes changed since this was last asked; None where any may have been."""
        ...

    def posted_about(self) -> frozenset[str]:
        """Tasks that a vendor posted about since this was last asked; `woken` is set with each."""
        ...

    def wished_stopped(self) -> frozenset[str]:
        """Tasks of this process that somebody without their vendor's key wants stopped; each is told once."""
        ...

    async def heartbeat(self) -> bool:
        """Say that this process lives; False when it had been given up and its tasks are others' now."""
        ...

    async def set_aside(self, lease: Lease, why: str) -> None:
        """Leave the task to another process, with a note: this one cannot work on it and does not take it again."""
        ...

    def told(self, task: Task) -> None:
        """Hear of every state this process records: what is over needs no holder."""
        ...

    async def leave(self, keep: Set[str]) -> None:
        """Take nothing more, and give back all but `keep`: orders whose answers are still waited for."""
        ...

    async def release(self, task_ids: Iterable[str] | None = None) -> None:
        """Give tasks (all of ours by default) to whoever takes them over next."""
        ...
