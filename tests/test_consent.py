"""Consent at every door: no paid call leaves without a known price within the limit, or somebody's yes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mcp_types import ElicitResult
from support.mcp_world import Vendors, client, ended

if sys.platform == "win32":
    pytest.skip("a pty is a Unix thing", allow_module_level=True)

from support.terminal import Terminal, command, environment

BELOW = {"prompt": "a paper boat", "provider": "runcomfy", "tier": "standard"}
ABOVE = {"prompt": "a paper boat", "provider": "runcomfy", "tier": "4k"}
UNKNOWN = {"prompt": "a paper boat", "provider": "uniall"}
PRICES = {"below": BELOW, "above": ABOVE, "unknown": UNKNOWN}


@dataclass(frozen=True)
class Outcome:
    """What a door came to."""

    asked: bool
    refused: str = ""
    """The words of the refusal; empty where it was ordered."""
    code: int = 0


def flags(order: Mapping[str, Any]) -> list[str]:
    said = [[f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])] for name, value in order.items()]
    return ["generate", "--no-wait", *sum(said, [])]


def surroundings(shops: Vendors, more: Mapping[str, str]) -> dict[str, str]:
    return environment(Path(shops.environment["HOME"]), **{**shops.environment, **more})


async def terminal(shops: Vendors, order: Mapping[str, Any], answer: str, **more: str) -> Outcome:
    def sit() -> Outcome:
        person = Terminal(*flags(order), env=surroundings(shops, more))
        try:
            asked = person.shows("[y/N]")
            if asked:
                person.type(f"{answer}\n")
            code = person.end()
            return Outcome(asked, "" if code == 0 else person.text, code)
        finally:
            person.close()

    return await asyncio.to_thread(sit)


async def piped(shops: Vendors, order: Mapping[str, Any], *words: str, **more: str) -> Outcome:
    done = await asyncio.to_thread(
        subprocess.run,
        command(*flags(order), *words),
        env=surroundings(shops, more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return Outcome(False, "" if done.returncode == 0 else done.stderr, done.returncode)


async def agent(shops: Vendors, order: Mapping[str, Any], era: str, answer: str | None, **more: str) -> Outcome:
    asked: list[str] = []

    async def person(_context: object, params: Any) -> ElicitResult:
        asked.append(params.message)
        # A no is said in the form, or by closing it.
        if answer == "n" and era != "legacy":
            return ElicitResult(action="decline")
        return ElicitResult(action="accept", content={"buy": answer == "y"})

    server = shops.server(**{"KLING_CONFIRM_ABOVE_USD": "1", **more})
    options = {} if answer is None else {"elicitation_callback": person}
    async with client(server, era, **options) as connected:
        done = await connected.call_tool("generate_video", dict(order))
    return Outcome(bool(asked), done.content[0].text if done.is_error else "")


Door = Callable[..., Awaitable[Outcome]]
DOORS: dict[str, Door] = {
    "terminal, a yes": lambda shops, order, **more: terminal(shops, order, "y", **more),
    "terminal, a no": lambda shops, order, **more: terminal(shops, order, "n", **more),
    "no terminal": piped,
    "no terminal, --yes": lambda shops, order, **more: piped(shops, order, "--yes", **more),
    "agent, a yes": lambda shops, order, **more: agent(shops, order, "legacy", "y", **more),
    "agent, a no": lambda shops, order, **more: agent(shops, order, "legacy", "n", **more),
    "agent that cannot ask": lambda shops, order, **more: agent(shops, order, "legacy", None, **more),
    "modern agent, a yes": lambda shops, order, **more: agent(shops, order, "2026-07-28", "y", **more),
    "modern agent, a no": lambda shops, order, **more: agent(shops, order, "2026-07-28", "n", **more),
    "modern agent that cannot ask": lambda shops, order, **more: agent(shops, order, "2026-07-28", None, **more),
}
ASKS = {door: door.endswith(("a yes", "a no")) for door in DOORS}


def allowed(door: str, price: str) -> bool:
    """The rule, once more and by hand."""
    return price == "below" or door.endswith("a yes") or (door.endswith("--yes") and price == "above")


@pytest.mark.parametrize("price", PRICES)
@pytest.mark.parametrize("door", DOORS)
async def test_no_order_leaves_without_a_known_price_or_a_yes(shops: Vendors, door: str, price: str) -> None:
    came = await DOORS[door](shops, PRICES[price])

    assert len(shops.submits()) == int(allowed(door, price))
    assert came.asked is (ASKS[door] and price != "below")
    assert bool(came.refused) is not allowed(door, price)
    if came.refused and not came.asked:
        assert "Nothing was charged" in came.refused
        assert {"above": "$2.10", "unknown": "The price is not known: UniAll publishes no prices"}[
            price
        ] in came.refused
        typed = {"above": "--yes, or --max-cost-usd", "unknown": "--accept-unknown-price"}
        called = {"above": "max_cost_usd", "unknown": "accept_unknown_price"}
        assert ("agent" in door and called or typed)[price] in came.refused
    if "terminal" in door:
        assert came.code == (0 if allowed(door, price) else 78)


async def earlier(shops: Vendors, order: Mapping[str, Any]) -> str:
    """A task that was bought with everybody's consent, and whose clip is there."""
    async with client(shops.server(), "legacy") as connected:
        made = await connected.call_tool("generate_video", {**order, "accept_unknown_price": True})
        task_id: str = made.structured_content["task_id"]
        done = await ended(connected, {"task_id": task_id, "wait_s": 25})
    assert done.structured_content["state"] == "succeeded"
    return task_id


async def repeated(shops: Vendors, price: str) -> dict[str, Any]:
    """An order that was agreed to once, as the next one's start: neither its limit nor its yes is this one's."""
    return {"again": await earlier(shops, PRICES[price] | ({} if price == "unknown" else {"max_cost_usd": 9}))}


async def several(_shops: Vendors, price: str) -> dict[str, Any]:
    """One of three is below the limit, all of them are above it."""
    return {**PRICES[price], **(BELOW if price == "above" else {}), "count": 3 if price == "above" else 2}


async def continued(shops: Vendors, price: str) -> dict[str, Any]:
    """A clip from the last frame of another."""
    unpublished = {"prompt": "on", "provider": "runapi", "model": "kling-o1", "tier": "standard"}
    order = unpublished if price == "unknown" else PRICES[price]
    return {**order, "image": await earlier(shops, BELOW)}


KINDS = {"again": repeated, "count": several, "a picture by its task": continued}


@pytest.mark.parametrize("price", PRICES)
@pytest.mark.parametrize("door", [door for door in DOORS if door != "modern agent that cannot ask"])
@pytest.mark.parametrize("kind", KINDS)
async def test_no_way_to_order_goes_round_the_rule(shops: Vendors, kind: str, door: str, price: str) -> None:
    order = await KINDS[kind](shops, price)
    before = len(shops.submits())

    came = await DOORS[door](shops, order)

    assert len(shops.submits()) - before == (order.get("count", 1) if allowed(door, price) else 0)
    assert came.asked is (ASKS[door] and price != "below")
    assert bool(came.refused) is not allowed(door, price)
    if came.refused and not came.asked:
        assert "Nothing was charged" in came.refused
        assert ("The price is not known" if price == "unknown" else "$1.26" if kind == "count" else "$2.10") in (
            came.refused
        )


@pytest.mark.parametrize("how", ["argument", "variable"])
@pytest.mark.parametrize("door", ["terminal, a no", "no terminal", "agent, a no", "agent that cannot ask"])
async def test_an_unknown_price_is_paid_where_it_was_agreed_to_beforehand(shops: Vendors, door: str, how: str) -> None:
    order = UNKNOWN | ({"accept_unknown_price": True} if how == "argument" else {})
    standing = {"KLING_ACCEPT_UNKNOWN_PRICE": "1"} if how == "variable" else {}

    came = await DOORS[door](shops, order, **standing)

    assert (came.asked, came.refused) == (False, "")
    assert len(shops.submits()) == 1


@pytest.mark.parametrize("door", ["terminal, a no", "no terminal", "agent, a no"])
async def test_a_yes_to_unknown_prices_is_none_to_a_dear_one(shops: Vendors, door: str) -> None:
    came = await DOORS[door](shops, ABOVE, KLING_ACCEPT_UNKNOWN_PRICE="1")

    assert came.refused
    assert shops.submits() == []


@pytest.mark.parametrize("door", ["terminal, a no", "no terminal", "agent, a no", "agent that cannot ask"])
async def test_a_sum_that_was_named_is_agreed_to(shops: Vendors, door: str) -> None:
    came = await DOORS[door](shops, ABOVE | {"max_cost_usd": 2.5})

    assert (came.asked, came.refused) == (False, "")
    assert len(shops.submits()) == 1


@pytest.mark.parametrize("price", PRICES)
@pytest.mark.parametrize("door", ["terminal, a no", "no terminal", "agent, a no", "modern agent that cannot ask"])
async def test_a_simulation_asks_nobody(shops: Vendors, door: str, price: str) -> None:
    keys = {name: "" for name in shops.environment if name.endswith(("_KEY", "_TOKEN"))}
    order = {name: value for name, value in PRICES[price].items() if name != "provider"}

    came = await DOORS[door](shops, order | {"provider": "sandbox"}, **keys)

    assert (came.asked, came.refused) == (False, "")
    assert shops.submits() == []


async def test_a_word_that_is_neither_yes_nor_no_is_no_consent(shops: Vendors) -> None:
    came = await piped(shops, UNKNOWN, KLING_ACCEPT_UNKNOWN_PRICE="perhaps")

    assert came.code == 64
    assert "KLING_ACCEPT_UNKNOWN_PRICE" in came.refused
    assert shops.submits() == []
