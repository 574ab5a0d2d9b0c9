"""Everything that can go wrong, in the words the caller reads.

KlingError
├── RequestError            the caller's input; nothing was sent
│   ├── ArgumentError       an argument that is not known, or not of its type
│   ├── NoOfferError        no vendor sells exactly this
│   ├── NotAnOrderError     the words do not order a Kling video
│   ├── UnknownTaskError    no such task in this record
│   └── KeyConflictError    the idempotency key already stands for another request
├── NotSignedInError        no key, or the vendor refused it
├── BudgetError             a limit of the user's would be passed; nothing was sent
├── ProviderError           the vendor said no, or failed
│   └── RateLimitedError    the vendor said "later"
├── UncertainError          a paid call went out and its answer was lost
└── LocalError              this machine: disk, file, another process
    └── ClipError           a shot's file that cannot go into a film

Every error says four things: what happened, why, what to do now, and whether money moved.
"""

from __future__ import annotations

from typing import Literal

Money = Literal["not_spent", "may_have_been_charged", "charged", "unknown"]
"""What became of the money. `unknown` is only for reading a task whose vendor does not say."""

WORDS_TOLD = 4_000
"""Characters of one part of a refusal; a vendor once sent seven million."""
MONEY_SENTENCE: dict[Money, str] = {
    "not_spent": "Nothing was charged.",
    "may_have_been_charged": "This may have been charged.",
    "charged": "This was charged.",
    "unknown": "Whether this was charged is not known.",
}


class KlingError(Exception):
    """An error with a sentence for the person, and facts for the program."""

    code = "error"
    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        why: str = "",
        next_step: str = "",
        money: Money = "not_spent",
        details: dict[str, object] | None = None,
    ) -> None:
        super().__init__(bounded(what))
        # Vendors' words, names and paths stand in these: an answer that repeats them stays an answer.
        self.what = bounded(what)
        self.why = bounded(why)
        self.next_step = bounded(next_step)
        self.money: Money = money
        self.details: dict[str, object] = details or {}

    def __str__(self) -> str:
        """All four answers as one short paragraph."""
        return f"{self.story} {MONEY_SENTENCE[self.money]}"

    @property
    def story(self) -> str:
        """The same without the money: for trouble with what was bought before, whose money it says nothing about."""
        return paragraph(self.what, self.why, self.next_step)

    def as_dict(self) -> dict[str, object]:
        """The same facts for structured answers; empty ones are left out."""
        facts: dict[str, object] = {
            "code": self.code,
            "what": self.what,
            "why": self.why,
            "next_step": self.next_step,
            "money": self.money,
            **self.details,
        }
        return {key: value for key, value in facts.items() if value not in ("", None)}


def bounded(text: str) -> str:
    """A text as long as somebody reads; what is left out is said."""
    return text if len(text) <= WORDS_TOLD else f"{text[:WORDS_TOLD]}… ({len(text) - WORDS_TOLD} characters more)"


def paragraph(what: str, why: str, *rest: str) -> str:
    """What and why, then the rest, as sentences; a reason that starts small goes on with the sentence before it."""
    what, why = what.strip(), why.strip()
    if why[:1].islower() and what[-1:] not in ".!?…:":
        what, why = f"{what}: {why}", ""
    return " ".join(sentence(part) for part in (what, why, *rest) if part)


def sentence(text: str) -> str:
    """The text, closed with a full stop when it has no end of its own."""
    text = text.strip()
    return text if not text or text[-1] in ".!?…:" or text.endswith((".)", "!)", "?)")) else f"{text}."


class RequestError(KlingError):
    """The request cannot be bought as asked; every problem found is in `problems`."""

    code = "bad_request"
    exit_code = 65

    def __init__(self, what: str, *, problems: tuple[str, ...] = (), **rest: object) -> None:
        super().__init__(what, **rest)  # type: ignore[arg-type]
        self.problems = problems
        if problems:
            self.details["problems"] = list(problems)


class ArgumentError(RequestError):
    """An argument that is not known, or not of its type."""

    code = "bad_argument"
    exit_code = 64


class NoOfferError(RequestError):
    """Nobody sells exactly this."""

    code = "no_offer"


class NotAnOrderError(RequestError):
    """The words do not order a Kling video."""

    code = "not_an_order"


class UnknownTaskError(RequestError):
    """No such task in this record."""

    code = "unknown_task"


class KeyConflictError(RequestError):
    """The idempotency key already stands for another request."""

    code = "idempotency_conflict"


class NotSignedInError(KlingError):
    """No key for this provider, or the provider refused the key."""

    code = "not_signed_in"
    exit_code = 77


class BudgetError(KlingError):
    """A limit the user set would be passed."""

    code = "over_budget"
    exit_code = 78


ProviderFault = Literal[
    "auth",
    "no_funds",
    "bad_input",
    "content_policy",
    "not_found",
    "conflict",
    "rate_limited",
    "blocked_network",
    "provider_fault",
    "not_cancellable",
    "expired",
    "unreadable",
    "unknown",
]
"""Why a vendor refused or failed: the taxonomy that decides what may be tried again."""


class ProviderError(KlingError):
    """The vendor refused or failed; its own words stand beside ours."""

    code = "provider_error"
    exit_code = 69

    def __init__(
        self,
        what: str,
        *,
        fault: ProviderFault,
        provider: str,
        vendor_words: str = "",
        vendor_code: str = "",
        http_status: int | None = None,
        request_id: str = "",
        retry_after_s: float | None = None,
        **rest: object,
    ) -> None:
        super().__init__(what, **rest)  # type: ignore[arg-type]
        self.fault: ProviderFault = fault
        self.provider = provider
        self.vendor_words = vendor_words = bounded(vendor_words)
        self.vendor_code = vendor_code = bounded(vendor_code)
        self.http_status = http_status
        self.request_id = request_id = bounded(request_id)
        self.retry_after_s = retry_after_s
        self.details |= {
            key: value
            for key, value in (
                ("fault", fault),
                ("provider", provider),
                ("vendor_words", vendor_words),
                ("vendor_code", vendor_code),
                ("http_status", http_status),
                ("request_id", request_id),
                ("retry_after_s", retry_after_s),
            )
            if value not in ("", None)
        }
        if fault == "auth":
            self.exit_code = NotSignedInError.exit_code


class RateLimitedError(ProviderError):
    """The vendor said "later"; nothing was bought."""

    code = "try_later"
    exit_code = 75


class UncertainError(KlingError):
    """A paid call went out and no answer came back: nobody may resend it unasked."""

    code = "uncertain"
    exit_code = 75


class LocalError(KlingError):
    """This machine stood in the way: a full disk, a folder nobody may write to."""

    code = "local_error"
    exit_code = 73


class ClipError(LocalError):
    """A shot's file that cannot go into a film: missing, damaged, another one than was saved."""

    code = "bad_clip"

    def __init__(self, what: str, *, shot: str, **rest: object) -> None:
        super().__init__(what, **rest)  # type: ignore[arg-type]
        self.shot = shot
        self.details["shot"] = shot
