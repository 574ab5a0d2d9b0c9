"""What a vendor's answer to a paid call means: bought, refused, later, or nobody knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from mcp_server.domain.task import Job, Task
from mcp_server.errors import KlingError, NotSignedInError, ProviderError, UncertainError
from mcp_server.providers.base import HttpCall
from mcp_server.providers.transport import LostAnswerError, UnreachableError

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

_DECIDES_THE_FIRST: Final = frozenset({"bad_input", "content_policy"})
"""Refusals that would have met the first call too; others (money, key, turn) may be newer than it."""


@dataclass(frozen=True, slots=True)
class Bought:
    """The vendor said yes."""

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


def of_error(error: KlingError) -> Outcome:
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
    # 303 is how a server answers an order that it took; 408 comes from a machine that stopped listening.
    refused = status is not None and 300 <= status < 500 and status not in {303, 408}
    # Some vendors refuse in the body of a 2xx; "internal error" there is as open as a 5xx.
    said_so = status is not None and status < 300 and error.fault not in {"unreadable", "provider_fault"}
    if refused or said_so:
        if error.fault == "rate_limited":
            return NotBought(error, error.retry_after_s or 5.0, "later")
        return NotBought(error, None, "refused")
    return InDoubt(error)


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
        return max(pause, error.retry_after_s or 0.0) if status in {408, 429} or status >= 500 else None
    return pause if isinstance(error, (UnreachableError, LostAnswerError)) else None


def call_of(task: Task) -> HttpCall:
    """The paid call as it was recorded; where local media go with it, stand-ins are in their place."""
    facts = task.call
    return HttpCall(
        method=facts["method"],
        path=facts["path"],
        json=facts["json"],
        params=facts["params"],
        headers=facts["headers"],
        host=facts["host"],
        schema=facts["schema"],
        paid=True,
        idempotency_key=facts["idempotency_key"],
    )


def refused(error: KlingError) -> Mapping[str, Any]:
    """The error of a task that was surely not bought."""
    return {**error.as_dict(), "money": "not_spent"}


def uncertain(error: KlingError, name: str) -> Mapping[str, Any]:
    """The error of a task whose purchase nobody can confirm."""
    told = UncertainError(
        f"{name} got the order, but its answer was lost",
        why=error.what,
        next_step=f"It was not sent again. Look for it in {name}'s dashboard; generate_video again buys anew",
        money="may_have_been_charged",
    )
    return {**error.details, **told.as_dict()}
