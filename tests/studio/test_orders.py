"""Ordering from a page: the price first, a yes to that very price, bought once, under the limits of every other door."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest
from support.browsing import Browser, browser, hidden, studio
from support.mcp_world import Vendors, vendors

from mcp_server.domain.arguments import VideoArguments

SAID = {"request": "kling standard, five seconds, via runcomfy: a paper boat"}
DEAR = {"request": "kling 4k, ten seconds, via runcomfy: a paper boat"}


@pytest.fixture
async def sellers(tmp_path: Path) -> AsyncGenerator[Vendors]:
    async with vendors(tmp_path) as made:
        yield made


@pytest.fixture
async def buyer(sellers: Vendors) -> AsyncGenerator[Browser]:
    async with studio(sellers.settings(KLING_DAILY_BUDGET_USD="6")) as opened, browser(opened) as made:
        yield made


async def priced(visitor: Browser, fields: dict[str, str]) -> httpx.Response:
    """The panel that shows the price."""
    csrf = await visitor.csrf()
    return await visitor.post("/order/price", {"csrf": csrf, **fields}, **{"x-studio-part": "1"})


async def ordered(visitor: Browser, panel: str, **more: str) -> httpx.Response:
    return await visitor.post("/order", {**hidden(panel), **more})


def shown(panel: str) -> str:
    found = re.search(r'class="sum">\s*([^<]+?)\s*<', panel)
    assert found, panel
    return found[1]


async def test_the_price_stands_there_before_anything_is_ordered(sellers: Vendors, buyer: Browser) -> None:
    panel = (await priced(buyer, SAID)).text

    assert shown(panel) == "$0.42"
    assert "Buy for $0.42" in panel
    assert "5 s × $0.084 (silent) = $0.42" in panel
    assert sellers.submits() == []


async def test_the_button_buys_what_was_shown_and_a_second_press_buys_nothing(sellers: Vendors, buyer: Browser) -> None:
    panel = (await priced(buyer, SAID)).text
    first, second = await ordered(buyer, panel), await ordered(buyer, panel)

    assert first.status_code == second.status_code == 303
    assert first.headers["location"] == second.headers["location"]
    task_id = first.headers["location"].rpartition("/")[2]
    (done,) = await buyer.studio.service.get([task_id], wait_s=400)
    assert done.state == "succeeded"
    assert [line["accepted"] for line in sellers.submits()] == [True]


async def test_without_the_forms_token_nothing_is_bought(sellers: Vendors, buyer: Browser) -> None:
    fields = hidden((await priced(buyer, SAID)).text)
    for wrong in ({}, {"csrf": "x"}):
        refused = await buyer.post("/order", {name: fields[name] for name in ("order", "shown")} | wrong)
        assert refused.status_code == 403
        assert "Nothing was done" in refused.text
    assert (await buyer.post("/order", fields, origin="http://evil.example")).status_code == 403
    assert (await buyer.post("/order", fields, **{"sec-fetch-site": "same-site"})).status_code == 403
    assert sellers.submits() == []


async def test_another_price_than_was_shown_is_shown_again_and_not_paid(sellers: Vendors, buyer: Browser) -> None:
    panel = (await priced(buyer, SAID)).text
    fields = hidden(panel)
    fields["order"] = fields["order"].replace("five seconds", "ten seconds")

    answer = await buyer.post("/order", fields)

    assert answer.status_code == 409
    assert "not the price that was shown before" in answer.text
    assert shown(answer.text) == "$0.84"
    assert sellers.submits() == []


async def test_above_a_dollar_it_takes_a_tick(sellers: Vendors, buyer: Browser) -> None:
    panel = (await priced(buyer, DEAR)).text
    unticked = await ordered(buyer, panel)

    assert shown(panel) == "$4.20"
    assert "Yes, spend this" in panel
    assert unticked.status_code == 402
    assert "Tick the box" in unticked.text
    assert "Nothing was charged" in unticked.text
    assert sellers.submits() == []

    assert (await ordered(buyer, panel, agree="yes")).status_code == 303


async def test_a_limit_in_the_order_refuses_with_the_price(sellers: Vendors, buyer: Browser) -> None:
    panel = (await priced(buyer, {**DEAR, "max_cost_usd": "$2"})).text
    assert "more than the limit of $2" in panel
    assert "Buy for" not in panel

    fields = hidden((await priced(buyer, DEAR)).text)
    fields["order"] = fields["order"].replace('"request"', '"max_cost_usd": 2, "request"')
    refused = await buyer.post("/order", {**fields, "agree": "yes"})
    assert refused.status_code == 402
    assert sellers.submits() == []


async def test_the_days_budget_holds_here_too(sellers: Vendors, buyer: Browser) -> None:
    first, second = (await priced(buyer, DEAR)).text, (await priced(buyer, DEAR)).text
    assert (await ordered(buyer, first, agree="yes")).status_code == 303
    refused = await ordered(buyer, second, agree="yes")
    assert refused.status_code == 402
    assert "daily budget" in refused.text


async def test_a_price_nobody_publishes_takes_a_tick_too(sellers: Vendors, buyer: Browser) -> None:
    panel = (await priced(buyer, {"request": "kling standard, five seconds: a boat", "provider": "uniall"})).text
    assert shown(panel) == "price unknown"
    refused = await ordered(buyer, panel)
    assert refused.status_code == 402
    assert sellers.submits() == []


async def test_again_opens_with_its_price_and_orders_with_what_is_changed(sellers: Vendors, buyer: Browser) -> None:
    service = buyer.studio.service
    before = await service.generate(
        VideoArguments(prompt="a paper boat", provider="runcomfy", tier="standard", duration=5)
    )
    page = (await buyer.get(f"/order?again={before.task_id}")).text
    changed = (await priced(buyer, {"again": before.task_id, "request": "9:16, pro", "prompt": "a paper boat"})).text

    assert shown(page) == "$0.42"
    assert ">a paper boat</textarea>" in page
    assert shown(changed) == "$0.56"
    task_id = (await ordered(buyer, changed)).headers["location"].rpartition("/")[2]
    (task,) = await service.look([task_id])
    assert (task.tier, task.ordered["aspect_ratio"], task.prompt) == ("pro", "9:16", "a paper boat")


async def test_what_cannot_be_ordered_says_why_and_what_would_work(buyer: Browser) -> None:
    for fields in ({"request": "kling 500 seconds: a boat"}, {"request": "a boat", "duration": "x"}, {}):
        refused = await priced(buyer, fields)
        assert refused.status_code in (422, 402)
        assert 'class="refused"' in refused.text
        assert "<html" not in refused.text
    whole = await buyer.post("/order/price", {"csrf": await buyer.csrf(), "request": "a boat", "duration": "x"})
    assert whole.status_code == 422
    assert ">a boat</textarea>" in whole.text, "what was said is still there"


@pytest.mark.parametrize("order", ["", "[]", "null", "{}", '{"prompt": "x"}', "{" * 3_000])
async def test_a_form_that_holds_no_order_is_refused(sellers: Vendors, buyer: Browser, order: str) -> None:
    refused = await buyer.post("/order", {"csrf": await buyer.csrf(), "order": order, "shown": "", "agree": "yes"})
    assert refused.status_code == 422
    assert sellers.submits() == []


async def test_a_rehearsal_is_free_whatever_keys_there_are(sellers: Vendors, buyer: Browser) -> None:
    fields = {"csrf": await buyer.csrf(), "prompt": "a first boat", "key": "one"}
    first, second = await buyer.post("/rehearse", fields), await buyer.post("/rehearse", fields)

    assert first.headers["location"] == second.headers["location"]
    task_id = first.headers["location"].rpartition("/")[2]
    (task,) = await buyer.studio.service.get([task_id], wait_s=400)
    assert (task.state, task.simulated, task.prompt) == ("succeeded", True, "a first boat")
    assert sellers.submits() == []
