"""Whatever a vendor answers, an adapter reads it or refuses it with a ProviderError; it never crashes and never guesses."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server import catalog
from mcp_server.catalog import REGISTRY
from mcp_server.domain.task import Job
from mcp_server.errors import ProviderError
from mcp_server.providers import wire
from mcp_server.providers.base import Balance, HttpCall, HttpReply
from mcp_server.providers.reading import number

FIELDS = [
    "amount", "balance_cents", "balance_usd", "charged", "code", "consumed_credits", "content", "cost", "created_at", "currency",
    "data", "error", "error_code", "error_message", "errors", "external_id", "fail_reason", "id", "input", "message", "metadata", "model",
    "outcome", "results",
    "output", "progress", "queue_position", "request_id", "response", "result_url", "resultUrls", "status", "success",
    "task_id", "total_available", "type", "unlimited_quota", "url", "usage", "video", "video_url", "videos",
]  # fmt: skip
WORDS = [
    "completed", "COMPLETED", "success", "SUCCESS", "succeeded", "failed", "FAILED", "FAILURE", "in_queue", "queued",
    "in_progress", "IN_PROGRESS", "pending", "processing", "cancelled", "unknown", "settling", "200", "402", "30%",
    "https://example.com/v.mp4", "INSUFFICIENT_CREDITS", "",
]  # fmt: skip
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0, 200, 402, 500, Decimal("0.5")])
    | st.sampled_from(WORDS)
    | st.text(max_size=8)
)
bodies = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=6),
    max_leaves=14,
)
answers = st.builds(
    lambda status, body: HttpReply(status=status, body=body, text=json.dumps(body, default=str)[:4000]),
    st.sampled_from([200, 201, 202, 400, 401, 402, 403, 404, 409, 422, 429, 455, 500, 502, 503]),
    bodies,
)
JOB = Job(id="job")
ORDER = HttpCall(
    method="POST", path="/v1/models/x/predictions", json={"input": {}, "options": {"external_task_id": "1"}}
)


def read(step: Any, *given_: Any) -> Any:
    try:
        return step(*given_)
    except ProviderError as error:
        assert str(error).strip()
        return None


@pytest.mark.parametrize("provider", REGISTRY)
@settings(max_examples=150)
@given(answer=answers)
def test_any_json_is_read_or_refused(provider: str, answer: HttpReply) -> None:
    facts = catalog.load().providers[provider]
    adapter = wire(facts)

    job = read(adapter.read_submit, answer)
    reports = [read(adapter.read_status, JOB, answer), read(adapter.read_result, JOB, answer)]
    read(adapter.read_cancel, answer)
    balance = read(adapter.read_balance, answer)
    if facts.lookup:
        jobs = read(adapter.read_find, ORDER, 0.0, answer)
        assert all(job.id for job in jobs or ())

    assert job is None or job.id.strip()
    assert job is None or answer.status < 400
    assert balance is None or isinstance(balance, Balance)
    for report in reports:
        if report is None:
            continue
        assert answer.status < 400
        assert report.progress is None or 0 <= report.progress <= 100
        assert (report.failure is not None) or report.state != "failed"
        assert all(url.startswith(("https://", "http://")) for url in report.video_urls)
        if report.state == "succeeded":
            assert facts.statuses[report.status.lower()] == "succeeded"


@pytest.mark.parametrize("said", ["1e999999999", "-1E+400", "1e-999999999", "9" * 400])
def test_a_number_nobody_could_mean_is_no_number(said: str) -> None:
    """Written out in full it would fill the memory, and no bill or waiting time looks like this."""
    assert number(said) is None
    assert number(Decimal(said)) is None


def test_ordinary_numbers_are_numbers() -> None:
    assert [number(text) for text in ("0", "0.00", "1e3", "-5", "123456789.01")] == [
        Decimal(text) for text in ("0", "0.00", "1e3", "-5", "123456789.01")
    ]
