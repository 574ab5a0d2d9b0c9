"""Reading vendors' answers: what all adapters need to do the same way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal, cast

from mcp_server.domain.catalog import Provider
from mcp_server.domain.task import VendorFailure
from mcp_server.errors import NotSignedInError, ProviderError, ProviderFault, RateLimitedError
from mcp_server.providers.base import HttpReply

LONGEST: Final = 500
"""Characters of a vendor's words that are kept: they go into rows, answers and terminals."""
_LONGEST_ID: Final = 256
_LONGEST_ADDRESS: Final = 8_192
_ACTED_ON: Final = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u2069\\ufeff\\U000e0000-\\U000e007f]"
)
"""What a terminal obeys, or what hides and turns around the words beside it."""
_QUEUE: Final = 10_000_000
_FARTHEST = 18
"""Powers of ten beyond which nothing a vendor counts can lie; written out, such a number fills the memory."""
JobWord = Literal["queued", "running", "succeeded", "failed", "cancelled", "unknown"]

_NEXT_STEP: Mapping[str, str] = {
    "no_funds": "Top up the account at the vendor, or name another provider",
    "bad_input": "Change the request as the vendor's words say",
    "content_policy": "Change the prompt or the pictures; the vendor's moderation refused them",
    "not_found": "Check the id; the vendor does not know it, or no longer does",
    "conflict": "The vendor already holds another request under this key",
    "rate_limited": "Wait and ask again",
    "blocked_network": "Allow this machine's address in the vendor's console",
    "provider_fault": "This is the vendor's fault; look at its status page and try again later",
    "unreadable": "The vendor answered something nobody documented; report it with the request id",
}


def mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is a JSON object, else an empty one."""
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def shown(words: str, most: int = LONGEST) -> str:
    """A vendor's words as they can be shown: line breaks and escapes as what they are, and not without an end."""
    # Cut first: an escape is up to ten times as long.
    words = _ACTED_ON.sub(_escaped, words[: most + 1])
    return words if len(words) <= most else f"{words[: most - 1]}…"


def text(value: Any) -> str:
    """A string as it can be shown, a number as written; anything else is no text."""
    if isinstance(value, str):
        return shown(value.strip())
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return shown(str(value))
    return ""


def identifier(value: Any) -> str:
    """What a vendor calls a job, exactly; nothing where that cannot be said and sent back as it is."""
    found = value.strip() if isinstance(value, str) else text(value)
    exact = len(found) <= _LONGEST_ID and shown(found) == found and not any(map(str.isspace, found))
    return found if exact else ""


def address(value: Any) -> str:
    """A web address as it is; anything else is none."""
    found = value.strip() if isinstance(value, str) else ""
    exact = len(found) <= _LONGEST_ADDRESS and shown(found, _LONGEST_ADDRESS) == found
    return found if exact and found.startswith(("https://", "http://")) else ""


def status_word(facts: Provider, reply: HttpReply, body: Mapping[str, Any]) -> str:
    """The vendor's word for how a job stands; the error for an answer without one."""
    word = text(body.get("status"))
    if not word:
        raise unreadable(facts, reply, "a status")
    return word


def check_stored(facts: Provider, reply: HttpReply) -> None:
    """Nothing, or the error of a store that did not take a file.

    What it says in a refusal may quote the signed address, so only its status is told.
    """
    if not 200 <= reply.status < 300:
        raise ProviderError(
            f"{facts.name}'s store did not take the file (HTTP {reply.status})",
            fault="provider_fault",
            provider=facts.id,
            http_status=reply.status,
            request_id=reply.request_id,
            next_step="Try again, or give a public https address instead",
        )


def position(value: Any) -> int | None:
    """A place in a queue that there can be."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _QUEUE else None


def number(value: Any) -> Decimal | None:
    """A number, also from text; None when it is none."""
    try:
        found = Decimal(text(value))
    except InvalidOperation:
        return None
    if not found.is_finite() or (found and abs(found.adjusted()) > _FARTHEST):
        return None
    return found


def percent(value: Any) -> int | None:
    """Progress as a number or as "30%"."""
    found = number(value.rstrip("% ") if isinstance(value, str) else value)
    return None if found is None or not 0 <= found <= 100 else int(found)


def state_of(facts: Provider, word: str) -> JobWord:
    """Our state for the vendor's word; a word that is not in `provider.toml` is `unknown`."""
    return cast("JobWord", facts.statuses.get(word.strip().lower(), "unknown"))


def fault_of(facts: Provider, code: str, http_status: int) -> ProviderFault:
    """Why it was refused: the vendor's code first, since a 429 can mean "no money"."""
    fault = facts.faults.get(code.lower()) or facts.http_faults.get(str(http_status))
    if fault is None and http_status >= 500:
        fault = "provider_fault"
    return cast("ProviderFault", fault or "unknown")


def failure(facts: Provider, words: str, code: str = "") -> VendorFailure:
    """Why a job failed, classified as far as the vendor's code allows."""
    fault = facts.faults.get(code.lower(), "unknown") if code else "unknown"
    return VendorFailure(fault=cast("ProviderFault", fault), words=shown(words), code=shown(code, 100))


def refusal(facts: Provider, reply: HttpReply, *, code: str = "", words: str = "") -> ProviderError:
    """The error for an answer that is a refusal."""
    fault = fault_of(facts, code, reply.status)
    said = shown(words or reply.text.strip())
    kind: type[ProviderError] = RateLimitedError if fault == "rate_limited" else ProviderError
    # A 2xx with a code that nobody wrote down is no yes, and no no either.
    is_open = reply.status < 300 and fault == "unknown"
    did = "answered" if is_open else "refused"
    return kind(
        f"{facts.name} {did}: {said}" if said else f"{facts.name} answered HTTP {reply.status} without a reason",
        fault=fault,
        provider=facts.id,
        vendor_words=said,
        vendor_code=shown(code, 100),
        http_status=reply.status,
        request_id=reply.request_id,
        retry_after_s=retry_after(reply),
        next_step=_sign_in(facts) if fault == "auth" else _NEXT_STEP.get(fault, ""),
        # A question costs nothing, however it is answered. A vendor in trouble may say so inside HTTP 200, too.
        money="unknown"
        if reply.paid and (is_open or reply.status >= 500 or fault == "provider_fault")
        else "not_spent",
    )


def unreadable(facts: Provider, reply: HttpReply, missing: str) -> ProviderError:
    """The error for an answer that lacks what every documented answer has."""
    return ProviderError(
        f"{facts.name} answered HTTP {reply.status} without {missing}",
        fault="unreadable",
        provider=facts.id,
        vendor_words=shown(reply.text.strip()),
        http_status=reply.status,
        request_id=reply.request_id,
        next_step=_NEXT_STEP["unreadable"],
        money="unknown" if reply.paid else "not_spent",
    )


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def not_signed_in(facts: Provider, *, why: str = "") -> NotSignedInError:
    """The error for a provider without a key."""
    return NotSignedInError(f"There is no key for {facts.name}", why=why, next_step=_sign_in(facts))


def not_rehearsable(facts: Provider) -> NotSignedInError:
    """The error for a provider that can only be bought from: nobody taught the sandbox to play it."""
    return NotSignedInError(
        f"The sandbox cannot play {facts.name}",
        why="no exchanges with it are recorded here, and nobody wrote its protocol",
        next_step=f"{_sign_in(facts)}, or name another provider",
    )


def no_key(facts: Provider, origin: str) -> NotSignedInError:
    """The error for a key that no vendor can have given out; it is not shown."""
    return NotSignedInError(
        f"The key for {facts.name} ({origin}) is none",
        why="it has blanks, line breaks or letters in it that a key cannot have",
        next_step=_sign_in(facts),
    )


def _sign_in(facts: Provider) -> str:
    return f"Set {facts.key_variable} or run `kling-video auth {facts.id}`"


def is_documented_refusal(facts: Provider, code: str, http_status: int) -> bool:
    """Whether somebody's documents say that nothing was begun; beside any other code, a job that is named counts."""
    return http_status >= 300 or fault_of(facts, code, http_status) not in ("unknown", "provider_fault")


def retry_after(reply: HttpReply) -> float | None:
    """`Retry-After` in seconds; a date is left to the transport, which knows the time."""
    found = number(reply.headers.get("retry-after", ""))
    return None if found is None or found < 0 else float(found)
