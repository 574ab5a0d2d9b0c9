"""One purchase, from "yes" to a file on disk."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import PurePath
from typing import Any, Final, Literal, get_args

from mcp_server.errors import ProviderFault, bounded

State = Literal["submitting", "queued", "running", "saving", "succeeded", "failed", "cancelled", "uncertain"]
STATES: Final = get_args(State)
FINISHED: Final[frozenset[State]] = frozenset({"succeeded", "failed", "cancelled", "uncertain"})
UNFINISHED: Final[tuple[State, ...]] = tuple(state for state in STATES if state not in FINISHED)
StateWord = State | Literal["unfinished"]
"""What somebody who looks for tasks may call their state."""
STATE_WORDS: Final = (*STATES, "unfinished")


STATUS_MAX: Final = 200
"""A vendor's status is a word; a page of words is shown by its beginning."""
_JOB_ID = re.compile(r"[A-Za-z0-9][\w.:-]{2,127}")
"""No vendor's page promises a form; all that were seen are one run of letters, digits and few signs."""
_OUR_IDS = ("kv-", "kf-")
_TASK_ID = re.compile(r"kv-\d{6}-[0-9a-z]{12}")
_ENDING = re.compile(r"(?:^|-)([0-9a-z]{4,12})(?:(?:\.sheet|\.last)?\.\w{2,4})?$")
"""At the end of a clip's name, and of the pictures beside it."""
_BARE = re.compile(r"[\w-]+")


def is_task_id(text: str) -> bool:
    """Whether it has the form of our own task ids; anything else named as a source is the vendor's id."""
    return _TASK_ID.fullmatch(text) is not None


def names_film(text: str) -> bool:
    """Whether an id of a film of ours is meant, be it misspelt."""
    return text.strip().startswith("kf-")


def names_task(text: str) -> bool:
    """Whether an id of ours is meant in the place of a file or an address, be it misspelt: a file has a suffix."""
    text = text.strip()
    return text.startswith(_OUR_IDS) and _BARE.fullmatch(text) is not None


def short_name(text: str) -> str | None:
    """The end of a task id as a file name carries it, by itself or in that file's name; None for a whole id."""
    if text.startswith(_OUR_IDS):
        return None
    found = _ENDING.search(PurePath(text.strip()).name)
    return found[1] if found else None


def plausible_job(text: str) -> bool:
    """Whether a vendor could call a job so; ours, an address and words are none."""
    return _JOB_ID.fullmatch(text) is not None and not text.startswith(_OUR_IDS)


def states_of(word: StateWord | None) -> tuple[State, ...]:
    """The states a word means; none where it does not matter."""
    if word is None:
        return ()
    return UNFINISHED if word == "unfinished" else (word,)


MOVES: Final[Mapping[State, frozenset[State]]] = {
    "submitting": frozenset({"queued", "running", "saving", "failed", "cancelled", "uncertain"}),
    "queued": frozenset({"queued", "running", "saving", "failed", "cancelled"}),
    "running": frozenset({"queued", "running", "saving", "failed", "cancelled"}),
    "saving": frozenset({"saving", "succeeded", "failed"}),
    "succeeded": frozenset(),
    # What the user said of a lost order can be said better; nothing else makes a failed task go on.
    "failed": frozenset({"queued"}),
    "cancelled": frozenset(),
    # A late answer or the user's own word can still settle what was in doubt.
    "uncertain": frozenset({"queued", "running", "saving", "failed"}),
}
"""Every legal move; the store refuses all others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The vendor's remote work, as its answer to our purchase names it."""

    id: str
    status: str = ""
    """The vendor's word at submit; empty when it said none."""
    charged: Decimal | None = None
    """What the vendor says it took at submit, in the offer's currency."""
    links: Mapping[str, str] = field(default_factory=dict[str, str])
    """Addresses the vendor gave for status, result and cancel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorFailure:
    """Why a job failed, in the vendor's words and in our taxonomy."""

    fault: ProviderFault
    words: str
    code: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", bounded(self.words))
        object.__setattr__(self, "code", bounded(self.code))


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReport:
    """What one look at a job showed."""

    state: Literal["queued", "running", "succeeded", "failed", "cancelled", "unknown"]
    """`unknown`: a word we do not know; the task goes on."""
    status: str
    """The vendor's word, as it came."""
    progress: int | None = None
    """Percent."""
    queue_position: int | None = None
    video_urls: tuple[str, ...] = ()
    failure: VendorFailure | None = None
    charged: Decimal | None = None
    """What the vendor says it really cost, in the offer's currency."""
    needs_result: bool = False
    """Finished, but the clip's address is behind a second call."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "status", self.status[:STATUS_MAX])


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What was really charged, and how that is known."""

    amount: Decimal | None
    currency: Literal["USD", "credits"]
    usd: Decimal | None
    basis: Literal["reported", "computed", "rolled_back", "not_documented"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A finished file we hold."""

    path: str
    sha256: str
    bytes: int
    media_type: str
    saved_at: float
    delivered: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What the file really is, where somebody could look into it."""
    differences: Sequence[str] = ()
    """Every way in which it is not what was ordered, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalMedium:
    """A picture, clip or recording of this machine that was ordered with: these bytes and no others are sent."""

    place: str
    """Which input it is, such as `image` or `references[0]`."""
    path: str
    """Where the file is, from whatever folder; empty while the request itself holds the bytes (a data: URI)."""
    bytes: int
    sha256: str
    placeholder: str
    """What the recorded call says in its place."""
    address: str = ""
    """Where the vendor keeps it, once it does; stays empty where the bytes go into the order itself."""
    handed_as: str = ""
    """Which account it was sent with (`Account.mark`)."""

    @property
    def name(self) -> str:
        """What to call it in a sentence."""
        # What came inside the order is kept under its hash, which says nobody anything.
        ours = not self.path or PurePath(self.path).stem == self.sha256
        return f"`{self.place}`" if ours else PurePath(self.path).name


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Our durable record of one purchase, made before money moves."""

    id: str
    state: State
    created_at: float
    updated_at: float
    provider: str
    """Whose protocol is spoken; with `simulated` the sandbox plays it."""
    simulated: bool
    offer_id: str
    model: str
    tier: str
    mode: str
    prompt: str
    request: Mapping[str, Any]
    """The whole request as JSON, to buy it again or to compare keys."""
    request_digest: str
    call: Mapping[str, Any]
    """The paid call (path, body), so that a restart can resend it where that is safe. Never a secret, never a file."""
    route: str
    """Why this offer."""
    warnings: tuple[str, ...]
    quote_amount: Decimal | None
    quote_currency: Literal["USD", "credits"]
    quote_usd: Decimal | None
    quote: Mapping[str, Any]
    """The quote as it was shown (arithmetic, price date), as JSON."""
    reserved_usd: Decimal
    idempotency_key: str | None
    """The caller's."""
    owner: str
    """Who bought it, where callers are told apart (HTTP); empty on one person's machine."""
    output_dir: str
    ordered: Mapping[str, Any]
    """duration, aspect_ratio, resolution, audio as ordered: what the file is compared with."""
    local_media: tuple[LocalMedium, ...] = ()
    """What has to be at the vendor before the call may leave."""

    sent_at: float | None = None
    """Set, durably, immediately before the paid call goes out."""
    sent_as: str = ""
    """Which account it was sent with (`Account.mark`): another one's idempotency keys and jobs are not ours."""
    accepted_at: float | None = None
    """When the vendor's yes was recorded."""
    ready_at: float | None = None
    """When we saw that the vendor was done."""
    took_s: float | None = None
    """How long the vendor needed, where we watched closely enough to know."""
    attempts: int = 0
    """Paid calls that went out (more than one only under a vendor's idempotency key, or after a clear "later")."""
    job_id: str | None = None
    job_links: Mapping[str, str] = field(default_factory=dict[str, str])
    status: str = ""
    progress: int | None = None
    queue_position: int | None = None
    video_url: str | None = None
    expires_at: float | None = None
    artifact: Artifact | None = None
    settlement: Settlement | None = None
    error: Mapping[str, Any] | None = None
    note: str = ""
    """What is worth knowing now ("the disk is full: …")."""
    finished_at: float | None = None
    stopped_following: bool = False
    by_hand: bool = False
    """Whether what became of the order is the user's word, not the vendor's answer."""

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.state in FINISHED

    @property
    def to_be_settled(self) -> bool:
        """Whether the user's word decides it: its answer was lost, and the vendor has not shown an end since."""
        error = self.error or {}
        unheard = self.state == "failed" and (error.get("code") == "uncertain" or error.get("fault") == "not_found")
        return self.state == "uncertain" or (self.by_hand and (unheard or self.state in ("queued", "running")))
