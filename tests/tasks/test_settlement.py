"""What a job really cost: the vendor's own number, else the quote, and dollars only where somebody said what a credit is."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from support.stub_vendor import House, bought, facts


@pytest.mark.parametrize(
    ("refunds", "cost", "basis", "money", "counted"),
    [
        (True, None, "rolled_back", "not_spent", "0"),
        (None, None, "not_documented", "unknown", "0.56"),
        (None, 0.3, "reported", "charged", "0.3"),
    ],
)
async def test_a_failed_job_costs_what_the_vendor_says(
    house: House, refunds: Any, cost: Any, basis: str, money: str, counted: str
) -> None:
    house.providers = (facts(refunds_failures=refunds),)
    runner, task = await bought(house)
    house.vendor.jobs["job-1"] |= {"status": "failed", "error": "moderation"} | ({} if cost is None else {"cost": cost})

    task = await house.until(runner, task.id, "failed")

    assert task.error["vendor_words"] == "moderation"
    assert (task.settlement.basis, task.error["money"]) == (basis, money)
    assert task.reserved_usd == Decimal(counted)


async def test_a_clip_is_settled_by_the_vendors_number_else_by_the_quote(house: House) -> None:
    runner, one = await bought(house)
    _, two = await bought(house, runner)
    house.vendor.finish("job-1", cost=0.42)
    house.vendor.finish("job-2")
    one = await house.until(runner, one.id, "succeeded")
    two = await house.until(runner, two.id, "succeeded")

    assert (one.settlement.usd, one.settlement.basis, one.reserved_usd) == (
        Decimal("0.42"),
        "reported",
        Decimal("0.42"),
    )
    assert (two.settlement.usd, two.settlement.basis) == (Decimal("0.56"), "computed")
    spent = await runner.store.spent("2000-01-01")
    assert [(row.tasks, row.quoted_usd, row.settled_usd) for row in spent] == [(2, Decimal("1.12"), Decimal("0.98"))]


async def test_credits_become_dollars_only_where_the_user_said_what_one_costs(house: House) -> None:
    for rate, usd in ((None, None), (Decimal("0.002"), Decimal("0.48"))):
        runner = house.runner(usd_per_credit=rate)
        _, task = await bought(house, runner, quote_currency="credits", quote_amount=Decimal(240), quote_usd=None)
        house.vendor.finish(task.job_id, cost=240)
        task = await house.until(runner, task.id, "succeeded")
        assert (task.settlement.amount, task.settlement.currency, task.settlement.usd) == (Decimal(240), "credits", usd)
        await runner.close(grace_s=0)
