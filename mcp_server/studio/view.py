"""Tasks as the studio shows them: words for states, shapes of pictures, days."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from mcp_server.answers import wording

if TYPE_CHECKING:
    from mcp_server.answers.shapes import TaskAnswer

STATES: Final[Mapping[str, str]] = {
    "submitting": "Ordering",
    "queued": "In the queue",
    "running": "Rendering",
    "saving": "Saving",
    "succeeded": "Ready",
    "failed": "Failed",
    "cancelled": "Cancelled",
    "uncertain": "Perhaps charged",
    "planned": "Planned",
    "filming": "Filming",
    "joining": "Joining",
    "waiting": "Waiting",
    "blocked": "Blocked",
    "used": "Used as it is",
}
"""What a person reads for a state of a task, a shot or a film."""
_LOOKS: Final[Mapping[str, str]] = {"succeeded": "good", "used": "good", "failed": "bad", "blocked": "bad"}
_SHAPES: Final = ((21, 9), (16, 9), (4, 3), (1, 1), (3, 4), (9, 16))
MODES: Final[Mapping[str, str]] = {
    "text-to-video": "from words",
    "image-to-video": "from a picture",
    "reference-to-video": "from references",
    "video-edit": "edited",
    "motion-control": "with a clip's motion",
    "avatar": "avatar",
    "lip-sync": "lip-sync",
    "extend": "extended",
    "template-effect": "effect",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One clip in a grid."""

    task: TaskAnswer
    title: str
    state: str
    look: str
    """good, bad, doubt or busy."""
    busy: bool
    playable: bool
    shape: str
    """Class of its picture: `r16x9`."""
    seller: str
    facts: str
    price: str
    at: datetime | None


def card(task: TaskAnswer) -> Card:
    """A task as it stands in a grid."""
    seconds = task.delivered.get("duration") or task.ordered.get("duration")
    facts = [task.model, task.tier, f"{seconds:g} s" if seconds else ""]
    return Card(
        task=task,
        title=task.prompt or MODES.get(task.mode, task.mode),
        state=state_words(task.state, task.progress),
        look=look_of(task.state),
        busy=task.finished_at is None,
        playable=task.place is not None,
        shape=shape_of(task.ordered, task.delivered),
        seller=seller_of(task),
        facts=" · ".join(filter(None, facts)),
        price=_paid(task),
        at=local(task.created_at),
    )


def days(cards: Iterable[Card], today: date) -> list[tuple[str, str, list[Card]]]:
    """Cards under the days they were ordered on: a mark, its name, its cards."""
    found: list[tuple[str, str, list[Card]]] = []
    for day, some in groupby(cards, key=lambda each: each.at.date() if each.at else None):
        found.append((str(day), "Some day" if day is None else _day(day, today), list(some)))
    return found


def state_words(state: str, progress: int | None = None) -> str:
    """A state, with how far it is where that is known."""
    words = STATES.get(state, state)
    return f"{words} {progress} %" if progress is not None and state in ("running", "joining") else words


def look_of(state: str) -> str:
    """How a state is coloured."""
    if state in ("cancelled", "planned", "waiting"):
        return "calm"
    return "doubt" if state == "uncertain" else _LOOKS.get(state, "busy")


def seller_of(task: TaskAnswer) -> str:
    """Who makes it; a rehearsal names whom the sandbox plays."""
    return f"sandbox as {task.plays}" if task.plays else task.provider


def shape_of(ordered: Mapping[str, Any], delivered: Mapping[str, Any]) -> str:
    """The class of the nearest usual shape; what nobody knows is taken for 16:9."""
    width, height = delivered.get("width"), delivered.get("height")
    if not (width and height):
        first, _, second = str(ordered.get("aspect_ratio") or "16:9").partition(":")
        width, height = (int(first), int(second)) if first.isdecimal() and second.isdecimal() else (16, 9)
    ratio = width / max(height, 1)
    wide, high = min(_SHAPES, key=lambda shape: abs(shape[0] / shape[1] - ratio) / (shape[0] / shape[1]))
    return f"r{wide}x{high}"


def local(stamp: str | None) -> datetime | None:
    """A moment in this machine's time."""
    return None if stamp is None else wording.moment(stamp).astimezone()


def _day(day: date, today: date) -> str:
    away = (today - day).days
    if away in (0, 1):
        return ("Today", "Yesterday")[away]
    year = "" if day.year == today.year else f" {day.year}"
    return f"{day:%A} {day.day} {day:%B}{year}"


def _paid(task: TaskAnswer) -> str:
    found = wording.paid(task)
    return "not charged" if found in ("$0", "nothing") else found


def facts(task: TaskAnswer) -> list[tuple[str, str]]:
    """What was ordered and what came, as names and words; what nobody knows is left out."""
    ordered, got = task.ordered, task.delivered
    sound = {None: "", True: "with sound", False: "silent"}
    rows: list[tuple[str, str]] = [
        ("Made by", seller_of(task)),
        ("Model", " · ".join(filter(None, (task.model, task.tier, task.mode)))),
        ("Length", _both(_seconds(ordered.get("duration")), _seconds(got.get("duration")))),
        ("Shape", _both(str(ordered.get("aspect_ratio") or ""), _size(got))),
        ("Resolution", str(ordered.get("resolution") or "")),
        ("Sound", sound[ordered.get("audio")]),
        ("Ordered", _moment(task.created_at)),
        ("Ready", _moment(task.finished_at)),
        ("Size", wording.size(task.bytes)),
        ("SHA-256", task.sha256 or ""),
    ]
    return [(name, value) for name, value in rows if value]


def money(task: TaskAnswer) -> list[tuple[str, str]]:
    """What it was quoted at and what was charged."""
    quoted = task.cost.estimated if task.cost else task.estimated_cost
    rows = [("Quoted", wording.cost(quoted) if quoted else wording.UNKNOWN)]
    if quoted and (reckoning := wording.reckoning(quoted)):
        rows.append(("Reckoned", reckoning))
    if task.simulated:
        rows.append(("Charged", "nothing: a rehearsal"))
    elif task.cost and task.cost.settled:
        rows.append(("Charged", wording.settled(task.cost.settled)))
    elif task.finished_at is None:
        rows.append(("Charged", "not known yet"))
    return rows


def _both(first: str, second: str) -> str:
    """As ordered, and as it came where that says more."""
    return first if not second or first == second else f"{first}, came as {second}" if first else second


def _seconds(value: Any) -> str:
    return f"{value:g} s" if isinstance(value, int | float) else ""


def _size(got: Mapping[str, Any]) -> str:
    return f"{got['width']} × {got['height']}" if got.get("width") and got.get("height") else ""


def _moment(stamp: str | None) -> str:
    at = local(stamp)
    return f"{at:%H:%M}, {at.day} {at:%B %Y}" if at else ""
