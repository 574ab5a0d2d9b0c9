"""What a vendor's answer to a paid call means: bought, refused, later, or nobody knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from mcp_server.domain.task import Job, Task
from mcp_server.errors import KlingError, LocalError, NotSignedInError, ProviderError, UncertainError
from mcp_server.providers.base import HttpCall
from mcp_server.providers.transport import LATER_S, LostAnswerError, UnreachableError

LATER_TRIES: Final = 6
LATER_LIMIT_S: Final = 600.0
"""A vendor that says "later" longer than this is busy, not the order lost."""
UNREACHABLE_TRIES: Final = 4
DOUBT_TRIES: Final = 8
KEY_LIFE_S: Final = 3_600.0
"""No vendor says how long it remembers an idempotency key; after an hour it is not relied on."""
UNSENT_LIFE_S: Final = 600.0
"""An order that a crash kept from leaving is not sent later than this: by then nobody expects it."""
HAND_OVER_TRIES: Final = 4

_SURE_WORDS: Final = frozenset(
    {"auth", "no_funds", "bad_input", "content_policy", "not_found", "conflict", "rate_limited", "blocked_network"}
)
"""What a refusal in the body of a 2xx must be to be one. The documents behind each `faults` table say of these codes
that the order did not begin; each table names its source. No vendor says
what a code means that stands in none of these tables: it may come before the purchase or after it."""
_NOBODY_READ_IT: Final = frozenset({408, 499})
"""From a machine between us and the vendor that stopped listening; the order may have passed it before."""
_SENT_ON: Final = frozenset({301, 307, 308})
"""The order is wanted elsewhere (RFC 9110, 15.4). 303 answers one that was taken; 302 is used in both ways."""
_DECIDES_THE_FIRST: Final = frozenset({"bad_input", "content_policy"})
"""Refusals that would have met the first call too; others (money, key, turn) may be newer than it."""


@dataclass(frozen=True, slots=True)
class Bought:
    """The vendor took the order, as this job."""

    job: Job


@dataclass(frozen=True, slots=True)
class NotBought:
    """The vendor surely did not take the order."""

    error: KlingError
    again_s: float | None
    """Seconds after which trying again makes sense; None: it does not."""
    kind: Literal["refused", "later", "unreachable"]


@dataclass(frozen=True, slots=True)
class InDoubt:
    """It may or may not have been bought."""

    error: KlingError


Outcome = Bought | NotBought | InDoubt


def outcome_of(error: KlingError) -> Outcome:
    """What an exception of the transport or the adapter says about the purchase."""
    match error:
        case UnreachableError():
            return NotBought(error, 2.0, "unreachable")
        case LostAnswerError():
            return InDoubt(error)
        case NotSignedInError():
            return NotBought(error, None, "refused")
        case ProviderError():
            return _of_refusal(error)
        case _:
            return NotBought(error, None, "refused")


def _of_refusal(error: ProviderError) -> Outcome:
    status = error.http_status
    if status == 429 and error.fault == "rate_limited":
        return NotBought(error, error.retry_after_s or 5.0, "later")
    if _surely_refused(status or 0, error.fault):
        if error.fault == "rate_limited":
            return NotBought(error, error.retry_after_s or 5.0, "later")
        return NotBought(error, None, "refused")
    return InDoubt(error)


def _surely_refused(status: int, fault: str) -> bool:
    if status < 300:
        return fault in _SURE_WORDS
    if status < 400:
        return status in _SENT_ON
    # "Internal error" under a 4xx is as open as a 5xx; a 429 says that it is not the turn of this order.
    return status == 429 or (status < 500 and status not in _NOBODY_READ_IT and fault != "provider_fault")


def after_doubt(outcome: Outcome) -> Outcome:
    """What the answer to a repeat says about the first call, whose answer was lost."""
    if not isinstance(outcome, NotBought) or outcome.kind != "refused":
        return outcome if isinstance(outcome, Bought) else InDoubt(outcome.error)
    fault = outcome.error.fault if isinstance(outcome.error, ProviderError) else ""
    return outcome if fault in _DECIDES_THE_FIRST else InDoubt(outcome.error)


def hand_over_again_s(error: KlingError, tries: int) -> float | None:
    """Seconds until a file that did not arrive is handed over once more, which is free; None: it would not help."""
    if tries >= HAND_OVER_TRIES:
        return None
    pause = 2.0 * 2 ** (tries - 1)
    if isinstance(error, ProviderError):
        status = error.http_status or 0
        return max(pause, min(error.retry_after_s or 0.0, LATER_S)) if status in {408, 429} or status >= 500 else None
    # A store of ours that cannot be reached may be back in a moment, too.
    return pause if isinstance(error, (UnreachableError, LostAnswerError, LocalError)) else None


def call_of(task: Task) -> HttpCall:
    """The paid call as it was recorded; where local media go with it, placeholders are in their place."""
    facts = task.call
    return HttpCall(
        method=facts["method"],
        path=facts["path"],
        json=facts["json"],
        params=facts["params"],
        headers=facts["headers"],
        host=facts["host"],
        schema=facts["schema"],
        signed=facts.get("signed", False),  # not in what was recorded before there was such a thing
        paid=True,
        idempotency_key=facts["idempotency_key"],
    )


def refusal_told(error: KlingError) -> Mapping[str, Any]:
    """The error of a task that was surely not bought."""
    return {**error.as_dict(), "money": "not_spent"}


def doubt_told(error: KlingError, name: str, seen: str = "") -> Mapping[str, Any]:
    """The error of a task whose purchase nobody can confirm; `seen`: what looking for it showed."""
    answered = isinstance(error, ProviderError)
    told = UncertainError(
        f"{name} got the order, but its answer does not say whether it took it"
        if answered
        else f"The order went out to {name}, and its answer was lost",
        why="; ".join(filter(None, (error.what, seen))),
        next_step=f"It was not sent again. Look for it in {name}'s dashboard; generate_video again buys anew",
        money="may_have_been_charged",
    )
    return {**error.details, **told.as_dict()}
