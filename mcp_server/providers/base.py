"""What every vendor's adapter can do, and the plain values that go in and out.

An adapter is pure translation: a checked request becomes an HttpCall, an HttpReply becomes a Job, a
JobReport or a ProviderError. It never sends, waits, reads a clock or knows a key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal, Protocol

from mcp_server.domain.catalog import Offer, Provider
from mcp_server.domain.request import CheckedRequest
from mcp_server.domain.task import Job, JobReport


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCall:
    """One request to a vendor, without its key: the transport adds that."""

    method: Literal["GET", "POST", "PUT"]
    path: str
    """Below the base URL, starting with `/`."""
    json: Any = None
    params: Mapping[str, str] = field(default_factory=dict[str, str])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    host: str = "api"
    """Which of the provider's base URLs."""
    schema: str = ""
    """File stem in `schemas/<provider>/` that `json` must satisfy; required for paid calls."""
    content: bytes | None = None
    """Bytes to send instead of JSON (an upload)."""
    bare: bool = False
    """`path` is a whole address of another party: our key is not for it."""
    addresses: tuple[str, ...] = ()
    """The machines that a `bare` address was seen to mean: one of these is asked and no other."""
    public: bool = False
    """The vendor answers this to anybody: asked without a key, so also before there is one."""
    signed: bool = False
    """The user's key pair signs it, where there is one; else the key goes along as with all others."""
    paid: bool = False
    idempotency_key: str | None = None
    """Set only where the vendor documents that a repeat under this key buys nothing new."""
    callback: str = ""
    """What the address ends with that the vendor was told for its posts about this order; empty where it was told
    none."""


_REQUEST_IDS: Final = (
    "x-request-id",
    "x-runapi-request-id",
    "x-fal-request-id",
    "x-comfy-request-id",
    "request-id",
    "x-oneapi-request-id",
)
"""Where vendors put their id for an exchange."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpReply:
    """What came back, parsed once."""

    status: int
    body: Any
    """Parsed JSON with numbers as int or Decimal; None when it is not JSON."""
    text: str = ""
    """The body as it came, cut to 4,000 characters."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Names in lower case."""
    paid: bool = False
    """Whether it answers a call that costs money."""

    @property
    def request_id(self) -> str:
        """The vendor's own id for this exchange, for a support question."""
        for name in _REQUEST_IDS:
            if value := self.headers.get(name):
                return value
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancellation:
    """A vendor's answer to "please stop"."""

    done: bool | None
    """None: the vendor passes the wish on, and the next looks show what became of it."""
    words: str
    """Its own word: `cancelled`, `not_cancellable`, …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What is left on an account."""

    amount: Decimal | None
    """None for an account without a limit."""
    currency: Literal["USD", "credits", "tokens"]
    details: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    """A file that a vendor keeps for a while."""

    url: str
    """What goes into an order."""
    expires_at: str = ""
    """As the vendor writes it; empty when it does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a vendor wants a file's bytes, once."""

    id: str
    """What the vendor calls the upload when it is confirmed."""
    url: str = field(repr=False)
    """Signed: it is as good as a key."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """To be sent exactly."""
    ready: Uploaded | None = None
    """The address to order with, where the vendor names it beforehand; then nothing is confirmed."""


class Uploads(Protocol):
    """How a vendor takes a local file: announce it, send the bytes, confirm. As pure as `Wire`."""

    facts: Provider

    def prepare(self, name: str, content: bytes) -> HttpCall:
        """The call that announces the file and asks where its bytes go."""
        ...

    def read_prepared(self, reply: HttpReply) -> Target:
        """Where the bytes go, once; or the refusal."""
        ...

    def put(self, target: Target, content: bytes) -> HttpCall:
        """The bytes, to whoever stores them; without our key, and not to be repeated."""
        ...

    def read_put(self, reply: HttpReply) -> None:
        """The bytes are there; else the refusal."""
        ...

    def confirm(self, target: Target) -> HttpCall:
        """The call that says the bytes are complete; never asked for where the target is ready by itself."""
        ...

    def read_confirmed(self, reply: HttpReply) -> Uploaded:
        """The address to order with."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveQuote:
    """What a vendor says, today, that one order would cost."""

    usd: Decimal | None
    """None when it has no price for it."""
    basis: str
    """How sure, in the vendor's word: `exact`, …"""
    as_of: str


class LivePrices(Protocol):
    """How a vendor is asked for today's price of an order; asking costs nothing."""

    def quote_call(self, order: HttpCall) -> HttpCall:
        """The question. `order` is the paid call as it would go out."""
        ...

    def read_quote(self, facts: Provider, reply: HttpReply) -> LiveQuote:
        """Today's sum in dollars, as exact as the vendor says it is."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelToday:
    """What a vendor tells today about one of its models, as far as it tells it."""

    vendor_model: str
    there: bool = True
    takes: Mapping[str, Any] | None = None
    """What can be ordered, as JSON Schema with every reference resolved."""
    within: str = ""
    """The field of the paid body that `takes` is about; empty where it is about all of it."""
    usd_per_second: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One answer about models."""

    models: tuple[ModelToday, ...]
    complete: bool = False
    """Whether a model that is not among these is not there."""


class LiveFacts(Protocol):
    """How a vendor is asked for today's models, limits and rates; asking costs nothing."""

    def calls(self, offers: Sequence[Offer]) -> Iterable[HttpCall]:
        """The questions. `offers` is what we say that it sells."""
        ...

    def read(self, facts: Provider, call: HttpCall, reply: HttpReply) -> Told:
        """What this answer says."""
        ...


class Wire(Protocol):
    """One vendor's protocol. `read_*` raise ProviderError when the answer is a refusal or cannot be read."""

    facts: Provider

    def submit(self, checked: CheckedRequest, *, key: str) -> HttpCall:
        """The paid call. `key` is our own id for this purchase, for vendors that know idempotency."""
        ...

    def read_submit(self, reply: HttpReply) -> Job:
        """The job that was bought."""
        ...

    def status(self, job: Job, offer: Offer | None) -> HttpCall:
        """One look; without an offer, at a job whose offer is sold no more."""
        ...

    def read_status(self, job: Job, reply: HttpReply) -> JobReport:
        """What the look showed; an unknown word is `unknown`, never success and never failure."""
        ...

    def result(self, job: Job) -> HttpCall | None:
        """The second call, where the clip's address is not in the status; else None."""
        ...

    def read_result(self, job: Job, reply: HttpReply) -> JobReport:
        """The finished job with its addresses and its cost."""
        ...

    def cancel(self, job: Job) -> HttpCall | None:
        """The call that asks to stop; None where the vendor has none."""
        ...

    def read_cancel(self, reply: HttpReply) -> Cancellation:
        """Whether it stopped, with the vendor's own word."""
        ...

    def balance(self) -> HttpCall | None:
        """The call that asks what is left; None where the vendor has none."""
        ...

    def read_balance(self, reply: HttpReply) -> Balance:
        """What is left, in the account's own currency."""
        ...


class Finder(Protocol):
    """What the adapter of a vendor can besides, whose `lookup` says that a lost order can be looked for."""

    def find(self, order: HttpCall) -> HttpCall:
        """The question that shows it, if it is there. `order` is the paid call as it went out."""
        ...

    def read_find(self, order: HttpCall, sent_at: float, reply: HttpReply) -> tuple[Job, ...]:
        """Every job that may be this order; none says nothing, it may show later."""
        ...
