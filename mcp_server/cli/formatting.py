"""Money, times and tasks as people read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mcp_server.errors import ArgumentError, BudgetError, LocalError, NotSignedInError, RequestError

if TYPE_CHECKING:
    from mcp_server.answers.shapes import Cost, Settled, TaskAnswer

INTERRUPTED = 130
"""What shells say of a program that Ctrl-C ended."""
_EXIT = {"succeeded": 0, "failed": 69, "cancelled": 69, "uncertain": 75}
_TOOLS = {
    "generate_video": "generate",
    "get_task": "task",
    "estimate_cost": "estimate",
    "list_models": "models",
    "cancel_task": "cancel",
    "list_tasks": "tasks",
}
_TOOL = re.compile(rf"`?\b({'|'.join(_TOOLS)})\b`?(?: with task_id (kv-[\w-]*\w))?(?: and wait_s up to \d+)?")
_ARGUMENTS = (
    ("max_cost_usd", "--max-cost-usd"),
    ("accept_unknown_price", "--accept-unknown-price"),
    ("output_dir", "--output-dir"),
    ("provider=sandbox", "--provider sandbox"),
)
_FAULT_EXIT = {"auth": 77, "rate_limited": 75}
_ENDED_BY = (ArgumentError, RequestError, NotSignedInError, BudgetError, LocalError)
_CODE_EXIT = {"unreachable": 75, **{kind.code: kind.exit_code for kind in _ENDED_BY}}
"""Errors of ours that can end a task before its vendor has a say."""


def typed(text: str) -> str:
    """Advice for agents as a person types it: `kling-video task kv-…` for get_task with task_id kv-…."""
    text = _TOOL.sub(lambda found: f"`{' '.join(filter(None, ('kling-video', _TOOLS[found[1]], found[2])))}`", text)
    for said, typed_so in _ARGUMENTS:
        text = text.replace(said, typed_so)
    return text


def cost(found: Cost | None) -> str:
    """`$0.56`, `100 credits`, `at most $1.40`, `price unknown`."""
    if found is None:
        return "price unknown"
    if found.usd is not None:
        own = f" ({found.amount} {found.currency})" if found.amount else ""
        return f"${found.usd}{own}"
    if found.amount is not None:
        return f"{found.amount} {found.currency}"
    if found.usd_at_most is not None:
        return f"at most ${found.usd_at_most}"
    return "price unknown"


def reckoning(found: Cost) -> str:
    """The arithmetic, and what is worth knowing about it."""
    return "; ".join(filter(None, (found.arithmetic, found.note, *(f"not included: {x}" for x in found.not_included))))


def settled(found: Settled | None) -> str:
    """What was charged and how that is known."""
    if found is None:
        return ""
    amount = f"${found.usd}" if found.usd is not None else f"{found.amount} {found.currency}" if found.amount else ""
    match found.basis:
        case "reported":
            return f"{amount} (the vendor's own number)"
        case "computed":
            return f"{amount} (as quoted; the vendor reports none)"
        case "rolled_back":
            return "nothing: the vendor gives it back"
        case _:
            return "not known: the vendor does not say"


def paid(task: TaskAnswer) -> str:
    """One cell for the money of a task: settled where it is, else quoted."""
    if task.simulated:
        return "free"
    if task.cost is None:
        return cost(task.estimated_cost)
    found = task.cost.settled
    if found is None and (task.error or {}).get("money") == "not_spent":
        return "nothing"
    if found is None or found.basis == "not_documented":
        return cost(task.cost.estimated)
    return f"${found.usd}" if found.usd is not None else f"{found.amount} {found.currency}"


def ago(stamp: str | None) -> str:
    """A moment, in local time."""
    if stamp is None:
        return ""
    return moment(stamp).astimezone().strftime("%Y-%m-%d %H:%M")


def moment(stamp: str) -> datetime:
    """ISO 8601 as the answers write it."""
    return datetime.fromisoformat(stamp.replace("Z", "+00:00")).astimezone(UTC)


def clock(seconds: float) -> str:
    """`1:05`: minutes and seconds."""
    whole = max(0, int(seconds))
    return f"{whole // 60}:{whole % 60:02}"


def size(count: int | None) -> str:
    """`12.3 MB`, `4.0 kB`; empty when unknown."""
    if count is None:
        return ""
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.1f} kB"


def clip(task: TaskAnswer) -> str:
    """`runcomfy · kling-3.0 · 4k · text-to-video`: who makes what."""
    seller = f"sandbox as {task.plays}" if task.plays else task.provider
    return f"{seller} · {task.model} · {task.tier} · {task.mode}"


def short(text: str, width: int) -> str:
    """The text on one line, cut with an ellipsis."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 1].rstrip()}…"


def exit_code(task: TaskAnswer) -> int:
    """How a program ends that waited for this task."""
    error = (task.error or {}) if task.state == "failed" else {}
    by_error = _FAULT_EXIT.get(str(error.get("fault"))) or _CODE_EXIT.get(str(error.get("code")))
    return by_error or _EXIT.get(task.state, 75)
