"""Answers to a paid call that are neither a yes nor a no anybody wrote down, as each vendor's own adapter reads them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from support.stub_vendor import House

from mcp_server import catalog, providers
from mcp_server.catalog import REGISTRY
from mcp_server.domain.task import Job
from mcp_server.providers.accounts import Account
from mcp_server.settings import Secret
from mcp_server.tasks.runner import TaskRunner
from mcp_server.tasks.submit import outcome

FACTS = catalog.load()


def real(house: House) -> TaskRunner:
    """A runner that reads answers as the real vendors' adapters do."""

    async def account(provider: str, simulated: bool) -> Account:
        known = FACTS.providers[provider]
        return Account(facts=known, base_urls=known.base_urls, secret=Secret("k", "test"), simulated=simulated)

    return house.runner(account=account, catalog=FACTS, wire=providers.wire)


async def ordered(house: House, provider: str, *answers: Any) -> Any:
    house.vendor.answers = list(answers)
    runner = real(house)
    offer = next(each for each in FACTS.offers if each.provider == provider)
    new = house.new(
        provider=provider, offer_id=offer.id, keyed=provider == "runapi", quote_currency="USD", mode=offer.mode
    )
    await runner.buy(new, wait_s=0)
    return await house.until(runner, new.id, "queued", "running", "failed", "uncertain", limit_s=600)


DOCUMENTED: list[tuple[str, int, Any, str]] = [
    ("kling3api", 200, {"code": 402, "message": "No available credits"}, "no_funds"),
    ("kling3api", 200, {"code": "INVALID_PROMPT", "message": "too long", "data": None}, "bad_input"),
    ("kling3api", 200, {"error": {"code": "INVALID_API_KEY"}}, "auth"),
    ("octopusx", 200, {"error": {"message": "no quota", "code": "insufficient_user_quota"}}, "no_funds"),
    ("octopusx", 200, {"code": "invalid_request", "message": "prompt is required", "data": None}, "bad_input"),
    ("uniall", 200, {"error": {"message": "blocked", "code": "sensitive_words_detected"}}, "content_policy"),
    ("runcomfy", 200, {"error_code": 400002, "error_message": "InsufficientResources"}, "no_funds"),
    ("runcomfy", 200, {"error_code": "403001", "error_message": "PermissionDeniedError"}, "auth"),
    ("runapi", 200, {"error": {"code": "invalid_resource_id", "message": "no such clip"}}, "bad_input"),
]


@pytest.mark.parametrize(("provider", "status", "body", "fault"), DOCUMENTED)
async def test_a_code_somebody_wrote_down_refuses_inside_a_two_hundred_too(
    house: House, provider: str, status: int, body: Any, fault: str
) -> None:
    task = await ordered(house, provider, (status, body))

    assert task.state == "failed", task.note
    assert (task.error["fault"], task.error["money"]) == (fault, "not_spent")
    assert task.reserved_usd == 0
    assert len(house.vendor.submits) == 1


OPEN: list[tuple[str, int, Any]] = [
    ("kling3api", 200, {"code": 451, "message": "no"}),
    ("kling3api", 200, {"code": 500, "message": "oops"}),
    ("kling3api", 200, {"code": "NOT_TODAY", "message": "come again", "data": None}),
    ("kling3api", 200, {"success": False, "message": "sorry"}),
    ("octopusx", 200, {"error": {"message": "no", "type": "new_api_error"}}),
    ("octopusx", 200, {"code": "something_new", "message": "x", "data": None}),
    ("octopusx", 200, {"success": False, "message": "sorry"}),
    ("octopusx", 200, {"code": "success", "message": "", "data": "task_abc"}),
    ("uniall", 201, {"code": "something_new", "message": "x"}),
    ("uniall", 200, {"error": "sorry"}),
    ("runcomfy", 200, {"error_code": 500002, "error_message": "SomethingNew"}),
    ("runcomfy", 200, {"error_code": 499999, "error_message": "SomethingNew"}),
    ("kling3api", 400, {"code": "INTERNAL_ERROR", "message": "oops"}),
    ("kling3api", 302, "<html>"),
    ("octopusx", 499, "client closed request"),
    ("uniall", 204, ""),
]


@pytest.mark.parametrize(("provider", "status", "body"), OPEN)
async def test_what_nobody_wrote_down_is_no_refusal(house: House, provider: str, status: int, body: Any) -> None:
    task = await ordered(house, provider, (status, body))
    await house.clock.advance(300)

    assert task.state == "uncertain", task.error
    assert task.error["money"] == "may_have_been_charged"
    assert "Nothing was charged" not in str(task.error)
    assert task.reserved_usd == Decimal("0.56")
    assert len(house.vendor.submits) == 1


@pytest.mark.parametrize(
    ("provider", "body", "job"),
    [
        ("kling3api", {"code": 0, "message": "ok", "data": {"task_id": "n7", "status": "IN_PROGRESS"}}, "n7"),
        ("kling3api", {"code": Decimal("200.0"), "data": {"task_id": "n7"}}, "n7"),
        ("kling3api", {"code": "INTERNAL_ERROR", "data": {"task_id": "n7", "status": "IN_PROGRESS"}}, "n7"),
        ("octopusx", {"id": "task_7", "error": {"message": "no", "code": "something_new"}}, "task_7"),
        ("octopusx", {"success": False, "id": "task_7", "message": "busy"}, "task_7"),
        ("uniall", {"code": "accepted", "data": {"task_id": "task_7", "status": "queued"}}, "task_7"),
        ("runcomfy", {"request_id": "r-7", "error_code": 0}, "r-7"),
        ("runcomfy", {"request_id": "r-7", "error_code": 500002, "error_message": "SomethingNew"}, "r-7"),
        ("runapi", {"id": "b0a7", "error": {"message": "SomethingNew"}}, "b0a7"),
    ],
)
async def test_a_job_that_is_named_is_followed_whatever_stands_beside_it(
    house: House, provider: str, body: Any, job: str
) -> None:
    text = {**body, "code": float(body["code"])} if isinstance(body.get("code"), Decimal) else body
    task = await ordered(house, provider, (200, text))

    assert task.state in ("queued", "running"), task.error
    assert task.job_id == job
    assert len(house.vendor.submits) == 1


@pytest.mark.parametrize("status", [301, 307, 308])
async def test_an_order_that_is_sent_on_elsewhere_was_not_taken(house: House, status: int) -> None:
    task = await ordered(house, "uniall", (status, "", {"location": "https://elsewhere.test"}))

    assert task.state == "failed"
    assert task.error["money"] == "not_spent"


@pytest.mark.parametrize("answer", [(200, {"error": "something new"}), (455, {"error": "busy"})], ids=str)
async def test_where_a_key_makes_it_one_purchase_an_open_answer_is_asked_about_again(house: House, answer: Any) -> None:
    task = await ordered(house, "runapi", answer, answer)

    assert (task.state, task.job_id) == ("queued", "job-1")
    assert {key for key, _ in house.vendor.submits} == {task.id}


async def test_an_answer_that_stays_open_under_a_key_is_uncertain_at_last(house: House) -> None:
    task = await ordered(house, "runapi", *[(200, {"error": "something new"})] * 20)

    assert task.state == "uncertain"
    assert len(house.vendor.submits) == outcome.DOUBT_TRIES


@pytest.mark.parametrize("provider", REGISTRY)
def test_every_adapter_looks_at_a_job_whose_offer_is_sold_no_more(provider: str) -> None:
    look = providers.wire(FACTS.providers[provider]).status(Job(id="job-7"), None)

    assert look.method == "GET"
    assert "job-7" in f"{look.path} {dict(look.params)}"
