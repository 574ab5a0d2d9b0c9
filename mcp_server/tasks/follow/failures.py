"""How a task that brought no clip ends, in the words of its `error`."""

from __future__ import annotations

from mcp_server.domain.catalog import Provider
from mcp_server.domain.task import Settlement, VendorFailure
from mcp_server.errors import KlingError

Told = dict[str, object]


def failed(failure: VendorFailure | None, facts: Provider, settlement: Settlement) -> Told:
    """The error of a job that its vendor calls failed, with what is known about its cost."""
    found = failure or VendorFailure(fault="unknown", words="")
    reported = "unknown" if settlement.basis != "reported" else "charged" if settlement.amount else "not_spent"
    return {
        "code": "provider_error",
        "fault": found.fault,
        "provider": facts.id,
        "what": f"{facts.name} could not make the clip",
        "why": found.words or "it gives no reason",
        "vendor_words": found.words,
        "vendor_code": found.code,
        "money": "not_spent" if settlement.basis == "rolled_back" else reported,
    }


def nameless(error: KlingError, word: str, settlement: Settlement) -> Told:
    """The vendor says that it is done, and never where the clip is."""
    return {
        **error.as_dict(),
        "fault": "unreadable",
        "why": f"its word was {word!r} at every look for an hour",
        "next_step": "Look for the clip in the vendor's dashboard",
        "money": "charged" if settlement.basis == "reported" else "may_have_been_charged",
    }


def unfetchable(error: KlingError, *, expired: bool) -> Told:
    """The clip was made, and no link to it leads anywhere."""
    return {
        **error.as_dict(),
        "fault": "expired" if expired else "unreadable",
        "why": error.why or "the clip was made, and asking the vendor again gave no better link",
        "next_step": error.next_step or "Try video_url by hand, or look for the clip in the vendor's dashboard",
        "money": "charged",
    }


def forgotten(error: KlingError, facts: Provider) -> Told:
    """The vendor does not know the job any more."""
    return {
        **error.as_dict(),
        "what": f"{facts.name} does not know this job any more",
        "next_step": "Look for it in the vendor's dashboard; what became of it is not known here",
        "money": "may_have_been_charged",
    }


def overdue(facts: Provider, limit_s: float, word: str) -> Told:
    """It went on far longer than any clip takes."""
    return {
        "code": "deadline",
        "fault": "expired",
        "what": f"{facts.name} had not finished after {limit_s / 3600:.0f} hours",
        "why": f"its last word was {word!r}",
        "next_step": "It may still finish, and be charged: look in the vendor's dashboard",
        "money": "may_have_been_charged",
    }
