"""How a test orders at a vendor the sandbox plays from its recorded exchanges: read off that vendor's own cases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mcp_server.sandbox.vendors.exchanges import Step, load

CASES = Path(__file__).parents[1] / "cases"
REASONS = {"auth": "Invalid API key", "no_money": "Insufficient balance", "not_found": "No such task"}
"""What the sandbox says where the vendor's envelope holds nothing but words."""


def protocol(vendor: str) -> dict[str, Any]:
    """What a `Protocol` is made of: the shortest documented order, and the look that shows its clip."""
    cases = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((CASES / vendor).glob("*.json"))]
    orders = [case for case in cases if case["step"] == "submit" and "job" in case["becomes"] and case["schema"]]
    order = min(orders, key=lambda case: len(json.dumps(case["sends"])))
    looks = {
        case["step"]: case
        for case in cases
        if case["becomes"].get("report", {}).get("state") == "succeeded" and case["schema"]
        if case["step"] == "result" or case["becomes"]["report"].get("video_urls") or "result" in steps(cases)
    }
    clip = looks.get("result", looks["status"])
    statuses = load(vendor).statuses
    return {
        "vendor": vendor,
        "path": order["sends"]["path"],
        "body": order["sends"]["json"],
        "job": place(order["reply"]["json"], order["becomes"]["job"]["id"]),
        "status": address(looks["status"]),
        "word": place(looks["status"]["reply"]["json"], looks["status"]["becomes"]["report"]["status"]),
        "url": place(clip["reply"]["json"], clip["becomes"]["report"]["video_urls"][0]),
        "words": (statuses.get("queued", statuses["running"]), statuses["running"], statuses["succeeded"]),
        "schemas": (order["schema"], looks["status"]["schema"]),
        "result": address(looks["result"]) if "result" in looks else "",
        "fails_in_result": fails_in_result(vendor),
    }


def refusal(vendor: str, fault: str) -> tuple[int, str, object]:
    """HTTP status, and one field of the envelope with what stands there."""
    status, body = load(vendor).refusal(fault)
    found = list(leaves(body))
    fixed = [(path, value) for path, value in found if value is not None and "{" not in str(value)]
    path, value = fixed[-1] if fixed else (next(path for path, value in found if value == "{reason}"), REASONS[fault])
    return status, path, value


def failed(vendor: str) -> tuple[str, str, str]:
    """Where a failed job shows its word, the word, and where it says why."""
    recorded = load(vendor)
    step: Step = recorded.result if recorded.result and fails_in_result(vendor) else recorded.status
    answer = step.answers["failed"]
    return place(answer, "{status}"), recorded.statuses["failed"], place(answer, "{reason}")


def fails_in_result(vendor: str) -> bool:
    """Whether the second call tells of a failure, not the first."""
    recorded = load(vendor)
    return recorded.result is not None and "failed" in recorded.result.answers


def steps(cases: list[dict[str, Any]]) -> set[str]:
    return {case["step"] for case in cases}


def address(case: dict[str, Any]) -> str:
    sends, job = case["sends"], case["job"]["id"]
    query = "&".join(f"{name}={value}" for name, value in sends.get("params", {}).items())
    return (sends["path"] + (f"?{query}" if query else "")).replace(job, "{id}")


def place(body: Any, wanted: object) -> str:
    """The dotted path at which this stands."""
    return next(path for path, value in leaves(body) if value == wanted)


def leaves(body: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    rows = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else None
    if rows is None:
        yield at, body
        return
    for name, part in rows:
        yield from leaves(part, f"{at}.{name}" if at else str(name))
