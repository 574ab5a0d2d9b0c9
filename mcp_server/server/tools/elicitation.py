"""Asking the person before a price above their limit is paid, where the client can ask them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from mcp.shared.exceptions import NoBackChannelError
from mcp_types import (
    CallToolResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from mcp_server.errors import BudgetError, sentence
from mcp_server.server.refusals import refusal

if TYPE_CHECKING:
    from mcp_server.ordering.limits import ConfirmationNeededError
    from mcp_server.server.tools.tool import Call

QUESTION: Final = "buy"
FORM: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"buy": {"type": "boolean", "title": "Buy it", "description": "Yes orders it and spends the money."}},
    "required": ["buy"],
}

Agreed = Literal[True]


async def ask(call: Call, error: ConfirmationNeededError) -> Agreed | CallToolResult | InputRequiredResult:
    """True when the person said yes to this very price; else the question, or the refusal."""
    if not _can_be_asked(call):
        return refusal(error)
    message = f"{sentence(error.what)} Buy it?"
    if call.context.protocol_version in MODERN_PROTOCOL_VERSIONS:
        return _later(call, error, message)
    try:
        answer = await call.context.session.elicit_form(message, FORM, related_request_id=call.context.request_id)
    except NoBackChannelError:
        # Stateless HTTP of the older versions: nothing can be asked while a call runs.
        return refusal(error)
    return _judged(answer)


def _later(call: Call, error: ConfirmationNeededError, message: str) -> Agreed | CallToolResult | InputRequiredResult:
    """The question now, the judgement when the client calls again with the answer.

    The state carries the price that was shown, sealed by the SDK to this call's arguments and caller.
    """
    answers = call.context.input_responses or {}
    answer = answers.get(QUESTION)
    if isinstance(answer, ElicitResult) and call.context.request_state == error.what:
        return _judged(answer)
    question = ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=FORM))
    return InputRequiredResult(input_requests={QUESTION: question}, request_state=error.what)


def _judged(answer: ElicitResult) -> Agreed | CallToolResult:
    if answer.action == "accept" and (answer.content or {}).get("buy") is True:
        return True
    return refusal(BudgetError("The user did not agree to the price", next_step="Do not order this again unasked"))


def _can_be_asked(call: Call) -> bool:
    capabilities = call.context.client_capabilities
    elicitation = capabilities.elicitation if capabilities else None
    if elicitation is None:
        return False
    # An empty declaration means forms; a client may also say that it only opens addresses.
    return elicitation.form is not None or elicitation.url is None
