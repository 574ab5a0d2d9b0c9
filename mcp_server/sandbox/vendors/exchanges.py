"""A vendor's recorded exchanges, `providers/<id>/exchanges.json`: what its documents show, with places to fill in.

  source    where the exchanges stand              checked   the day somebody looked
  order     what the sandbox needs to know of a body: name -> where it stands there, as a dotted path, or several of
            which the first that is there counts (`contents.type=prompt.text` goes through the rows of a list), or
            {"at": ..., "means": {vendor's word: ours}, "default": ...}; `model` may also stand in the submit path
  statuses  queued, running, succeeded, failed, cancelled -> the vendor's word
  submit    {"paths": [...], "answer": ...}
  status    {"paths": [...], "queued": ..., "running": ..., "succeeded": ..., "failed": ...}, as far as they differ
  result    the same, where the clip's address comes by a second call
  cancel    {"paths": [...], "cancelled": ..., "too_late": ...}, where a waiting job can be stopped
  refusals  auth, no_money, bad_input, content_policy, rate_limited, not_found, server -> {"status": ..., "json": ...};
            `other` is the vendor's envelope for those it shows no example of

Answers take {job}, {model}, {status}, {progress}, {created}, {created_iso}, {clip}, {price}, {reason} and {base}, the
vendor's own address.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, cast, get_args

from mcp_server import places
from mcp_server.catalog import FactError

Name = Literal[
    "model", "tier", "prompt", "seconds", "ratio", "resolution", "audio", "image", "end_image", "references", "video",
    "audio_file", "source_task", "shots", "off_peak",
]  # fmt: skip
"""What can be read from a body."""
FAULTS: Final[Mapping[str, int]] = {
    "auth": 401,
    "no_money": 402,
    "bad_input": 400,
    "content_policy": 400,
    "rate_limited": 429,
    "not_found": 404,
    "server": 500,
}
"""Kinds of refusal, and the HTTP status of those a vendor shows no example of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Where a body says something, and what the vendor's words for it mean."""

    at: str | tuple[str, ...]
    means: Mapping[str, Any] = field(default_factory=dict[str, Any])
    default: Any = None

    def of(self, body: Any) -> Any:
        """What the body says, in our words; the default where it says nothing."""
        places = (self.at,) if isinstance(self.at, str) else self.at
        found = next((said for place in places if (said := _at(body, place)) is not None), None)
        return self.default if found is None else self.means.get(str(found), found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One refusal as the vendor words it."""

    json: Any
    status: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The addresses of one step, and its answers by what they tell."""

    paths: tuple[str, ...]
    answers: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanges:
    """One vendor's file, read and checked."""

    source: str
    checked: str
    order: Mapping[str, Reading]
    statuses: Mapping[str, str]
    submit: Step
    status: Step
    result: Step | None = None
    cancel: Step | None = None
    refusals: Mapping[str, Refusal]

    def refusal(self, fault: str) -> tuple[int, Any]:
        """HTTP status and body for this kind of refusal."""
        found = self.refusals.get(fault) or self.refusals["other"]
        return found.status or FAULTS.get(fault, 400), found.json


def load(vendor: str) -> Exchanges:
    """The vendor's file; a FactError names what is wrong in it."""
    path = places.PACKAGE / "providers" / vendor / "exchanges.json"
    try:
        return _exchanges(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FactError(f"{vendor}/{path.name}: {error}") from error


def _exchanges(row: dict[str, Any]) -> Exchanges:
    _known(row, [f.name for f in fields(Exchanges)], "part")
    _known(row["order"], get_args(Name), "name in order")
    _known(row["refusals"], (*FAULTS, "other"), "refusal")
    _there(row["refusals"], "other")
    _there(row["statuses"], "running", "succeeded", "failed")
    row["order"] = {
        name: _reading(cast("dict[str, Any]", said) if isinstance(said, dict) else {"at": said})
        for name, said in row["order"].items()
    }
    row["refusals"] = {name: Refusal(**said) for name, said in row["refusals"].items()}
    for name in ("submit", "status", "result", "cancel"):
        if name in row:
            answers = dict(row[name])
            row[name] = Step(paths=tuple(answers.pop("paths")), answers=answers)
    return Exchanges(**row)


def _reading(row: dict[str, Any]) -> Reading:
    if isinstance(row.get("at"), list):
        row = row | {"at": tuple(cast("list[str]", row["at"]))}
    return Reading(**row)


def _at(body: Any, place: str) -> Any:
    """What stands there; in a list, `name=value` picks its rows, and what stands in them is a list again."""
    for part in place.split("."):
        name, picks, value = part.partition("=")
        if isinstance(body, list):
            rows = [cast("Mapping[str, Any]", row) for row in cast("list[Any]", body) if isinstance(row, dict)]
            body = [row for row in rows if row.get(name) == value] if picks else [row.get(part) for row in rows]
            body = body or None
        else:
            body = cast("Mapping[str, Any]", body).get(part) if isinstance(body, dict) else None
    return body


def _known(found: Iterable[str], allowed: Iterable[str], what: str) -> None:
    if strange := sorted(set(found) - set(allowed)):
        raise ValueError(f"unknown {what}: {', '.join(strange)}")


def _there(found: Mapping[str, Any], *names: str) -> None:
    if missing := [name for name in names if name not in found]:
        raise ValueError(f"missing: {', '.join(missing)}")


def filled(answer: Any, values: Mapping[str, Any]) -> Any:
    """The answer with the places filled in; a text that is one place alone becomes the value as it is."""
    if isinstance(answer, dict):
        return {name: filled(part, values) for name, part in cast("dict[str, Any]", answer).items()}
    if isinstance(answer, list):
        return [filled(part, values) for part in cast("list[Any]", answer)]
    if not isinstance(answer, str):
        return answer
    if answer[1:-1] in values and answer == f"{{{answer[1:-1]}}}":
        return values[answer[1:-1]]
    for name, value in values.items():
        answer = answer.replace(f"{{{name}}}", str(value))
    return answer
