"""Money, sizes and advice as people read them, at the command line and in the studio."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcp_server.answers.shapes import Cost, Settled, TaskAnswer

UNKNOWN = "price unknown"
_TOOLS = {
    "generate_video": "generate",
    "get_task": "task",
    "estimate_cost": "estimate",
    "list_models": "models",
    "cancel_task": "cancel",
    "list_tasks": "tasks",
    "make_film": "film",
}
_TOOL = re.compile(rf"`?\b({'|'.join(_TOOLS)})\b`?(?: with (?:task|film)_id (k[vf]-[\w-]*\w))?( and wait_s up to \d+)?")
_REDO = re.compile(r"\bredo \[([^\]]*)\]")
_SHOT = re.compile(r"[\w-]+")
_PHRASES = (
    ("provider=sandbox", "--provider sandbox"),
    ("`request`", "the words"),
    ("Correct this and call again", "Correct this and try again"),
    ("the user wants to be asked above", "you are asked above"),
    ("Call `kling-video task", "Run `kling-video task"),
    ("Go on with other work; later call", "It goes on by itself; later run"),
    ("Deliver the file at video_path, and say how it differs from the order.", "`kling-video open` shows the clip."),
    ("Deliver the file at video_path.", "`kling-video open` shows the clip."),
    ("Deliver the film at video_path, and say which checks failed.", "`kling-video open` shows the film."),
    ("Deliver the film at video_path.", "`kling-video open` shows the film."),
    (
        "Deliver the draft at video_path; when the user likes it,",
        "`kling-video open` shows the draft; when you like it,",
    ),
    (", draft false and max_cost_usd", " --no-draft"),
    ("Show the user the price (", "It would cost what is shown ("),
    ("when they agree, call", "when you agree, run"),
    ("Ask the user to look at the vendor's dashboard", "Look at the vendor's dashboard"),
    ("records what they find", "records what you find"),
    ("Read `error`; change what it names", "Change what the error names"),
)
"""What is said to an agent, and how the same is said to a person."""
_FLAGS = {"references": "reference", "shots": "shot", "options": "option"}
"""Lists, of which a flag is one."""
_ARGUMENT = re.compile(
    r"(?<!own field )(?<!own fields )"
    r"`(prompt|mode|tier|model|provider|duration|image|references|video|audio|again|count|shots|options|resolution)`"
    r"|(?<![\w./-])`?(negative_prompt|aspect_ratio|cfg_scale|end_image|audio_file|source_task|off_peak|max_cost_usd"
    r"|accept_unknown_price|idempotency_key|output_dir)\b`?(?![\w./=])"
)
"""An argument's name: short ones only where they are marked, for they are words as well."""


def typed(text: str) -> str:
    """Advice for agents as a person types it: `kling-video task kv-…` for get_task with task_id kv-…."""
    text = _TOOL.sub(_command, text)
    for said, typed_so in _PHRASES:
        text = text.replace(said, typed_so)
    text = _REDO.sub(lambda found: " ".join(f"--redo {shot}" for shot in _SHOT.findall(found[1])), text)
    return _ARGUMENT.sub(_flag, text)


def _command(found: re.Match[str]) -> str:
    name = "wait" if found[3] else _TOOLS[found[1]]
    return f"`{' '.join(filter(None, ('kling-video', name, found[2])))}`"


def _flag(found: re.Match[str]) -> str:
    name = found[1] or found[2]
    return f"--{_FLAGS.get(name, name).replace('_', '-')}"


def cost(found: Cost | None) -> str:
    """`$0.56`, `100 credits`, `at most $1.40`, `price unknown`."""
    if found is None:
        return UNKNOWN
    if found.usd is not None:
        own = f" ({found.amount} {found.currency})" if found.amount else ""
        return f"${found.usd}{own}"
    if found.amount is not None:
        return f"{found.amount} {found.currency}"
    if found.usd_at_most is not None:
        return f"at most ${found.usd_at_most}"
    return UNKNOWN


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


def moment(stamp: str) -> datetime:
    """ISO 8601 as the answers write it."""
    return datetime.fromisoformat(stamp.replace("Z", "+00:00")).astimezone(UTC)


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
