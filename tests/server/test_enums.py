"""Every value a tool's schema offers, called with real tasks and offers: what comes back is what the value names."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from support.mcp_world import Vendors, client, ended, ordered, vendors
from support.orders import ordinary
from support.services import arguments

from mcp_server import catalog, places
from mcp_server.__main__ import main
from mcp_server.domain.task import FINISHED, STATES
from mcp_server.sandbox import jobs

SOLD = [offer for offer in catalog.load().offers if not offer.not_sold_because]


def values() -> dict[tuple[str, str], list[str]]:
    """(tool, argument) → what its published schema lets it be."""
    found: dict[tuple[str, str], list[str]] = {}

    def look(tool: str, schema: dict[str, Any]) -> None:
        for name, inner in schema.get("properties", {}).items():
            if "enum" in inner:
                found[tool, name] = inner["enum"]
            look(tool, inner)
        if "items" in schema:
            look(tool, schema["items"])

    for path in sorted((places.schemas() / "tools").glob("*.input.json")):
        look(path.name.removesuffix(".input.json"), json.loads(path.read_text(encoding="utf-8")))
    return found


VALUES = values()
ORDERS = ("estimate_cost", "generate_video")
CALLED = {
    ("list_tasks", "state"),
    ("get_task", "until"),
    ("make_film", "begin"),
    *(("list_models", name) for name in ("tier", "mode")),
    *((tool, name) for tool in ORDERS for name in ("mode", "tier", "resolution")),
}
"""What is called below; a value that is published and not called fails the first test."""


def each(*tools: str, names: tuple[str, ...]) -> pytest.MarkDecorator:
    rows = [(tool, name, value) for tool in tools for name in names for value in VALUES[tool, name]]
    return pytest.mark.parametrize(("tool", "name", "value"), rows)


def test_no_value_is_published_that_is_not_called_here() -> None:
    assert set(VALUES) == CALLED


async def listed(connected: Client, **wanted: Any) -> dict[str, str]:
    """Task id → state, of what list_tasks answers."""
    answer = await connected.call_tool("list_tasks", wanted)
    assert not answer.is_error, answer.content[0].text
    return {task["task_id"]: task["state"] for task in answer.structured_content.get("tasks", [])}


async def reached(connected: Client, task_id: str, state: str) -> str:
    """The task's id, once it stands there."""
    async with asyncio.timeout(120):
        while (await listed(connected, limit=100)).get(task_id) != state:
            await asyncio.sleep(0.05)
    return task_id


async def one_in_each_state(shops: Vendors, connected: Client, patch: pytest.MonkeyPatch) -> dict[str, str]:
    """State → the id of a real order that stands there, and will for a while."""
    made: dict[str, str] = {}
    for state, fault in (("failed", "content_refused"), ("uncertain", "drop_after_accept")):
        shops.fault("runcomfy", fault)
        answer = await connected.call_tool("generate_video", {"prompt": state, "provider": "runcomfy"})
        made[state] = answer.structured_content["task_id"]
    done = (await ordered(connected, prompt="succeeded"))["task_id"]
    made["succeeded"] = await reached(connected, done, "succeeded")
    shops.fault("runcomfy", "file_slow", "600")
    made["saving"] = await reached(connected, (await ordered(connected, prompt="saving"))["task_id"], "saving")
    shops.box.seconds = 6_000
    made["cancelled"] = (await ordered(connected, prompt="cancelled"))["task_id"]
    await connected.call_tool("cancel_task", {"task_id": made["cancelled"]})
    made["queued"] = (await ordered(connected, prompt="queued"))["task_id"]
    patch.setattr(jobs, "QUEUED_SHARE", 0.0)
    made["running"] = await reached(connected, (await ordered(connected, prompt="running"))["task_id"], "running")
    return made


async def test_every_state_finds_the_tasks_that_stand_there_and_no_others(
    shops: Vendors, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with client(shops.server(), "legacy") as connected:
        made = await one_in_each_state(shops, connected, monkeypatch)
        shops.fault("runapi", "429", "60", None)
        waiting = asyncio.create_task(ordered(connected, prompt="submitting", provider="runapi", max_cost_usd=9))
        try:
            async with asyncio.timeout(120):
                while not (sent := await listed(connected, state="submitting")):
                    await asyncio.sleep(0.05)
            made["submitting"] = next(iter(sent))
            assert set(made) == set(STATES)

            for state in VALUES["list_tasks", "state"]:
                wanted = {made[s] for s in STATES if s == state or (state == "unfinished" and s not in FINISHED)}
                assert set(await listed(connected, state=state)) == wanted, state
                assert set(await asyncio.to_thread(at_the_command_line, shops, state, capsys)) == wanted, state
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)


def at_the_command_line(shops: Vendors, state: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in shops.environment.items():
            patch.setenv(name, value)
        assert main(["tasks", "--state", state, "--json"]) == 0
    return [task["task_id"] for task in json.loads(capsys.readouterr().out).get("tasks", [])]


async def test_an_empty_answer_never_leads_to_a_second_purchase(shops: Vendors) -> None:
    async with client(shops.server(), "legacy") as connected:

        async def said(**wanted: Any) -> str:
            answer = await connected.call_tool("list_tasks", wanted)
            assert "tasks" not in answer.structured_content
            return answer.structured_content["next_step"]

        assert "generate_video makes one" in await said()
        shops.box.seconds = 6_000
        task_id = (await ordered(connected))["task_id"]
        for wanted in ({"state": "succeeded"}, {"search": "no such words"}, {"provider": "runapi"}):
            hint = await said(**wanted)
            assert "makes one" not in hint
            assert task_id in hint
        await connected.call_tool("cancel_task", {"task_id": task_id})
        for wanted in ({"state": "unfinished"}, {"state": "succeeded"}, {"search": "no such words"}):
            assert "makes one" not in await said(**wanted)


async def test_every_provider_lists_what_was_ordered_there_and_rehearsals_stand_apart(shops: Vendors) -> None:
    names = [*catalog.load().providers, "sandbox"]
    async with client(shops.server(), "legacy") as connected:
        made = {
            name: (await ordered(connected, provider=name, accept_unknown_price=True))["task_id"]
            for name in names
            if any(offer.provider == name and offer.mode == "text-to-video" for offer in SOLD) or name == "sandbox"
        }
        assert set(made) == set(names)

        for name, task_id in made.items():
            assert list(await listed(connected, provider=name)) == [task_id]
            models = await connected.call_tool("list_models", {"provider": name, "detail": True})
            sellers = {offer["offer"].partition("/")[0] for offer in models.structured_content["offers"]}
            assert sellers == ({name} if name != "sandbox" else set(catalog.load().providers))
        wrong = await connected.call_tool("list_tasks", {"provider": "runcomfi"})
        assert "Did you mean 'runcomfy'?" in wrong.content[0].text


@each("list_models", names=("tier", "mode"))
async def test_every_tier_and_mode_lists_its_offers(shops: Vendors, tool: str, name: str, value: str) -> None:
    async with client(shops.server(), "legacy") as connected:
        short = (await connected.call_tool(tool, {name: value})).structured_content
        long = (await connected.call_tool(tool, {name: value, "detail": True})).structured_content

    wanted = {offer.id for offer in catalog.load().offers if getattr(offer, name) == value}
    assert {offer["offer"] for offer in long.get("offers", [])} == wanted != set()
    assert {group[name] for group in short.get("models", [])} <= {value}


@each(*ORDERS, names=("mode", "tier", "resolution"))
async def test_every_mode_tier_and_resolution_is_what_is_priced_and_ordered(
    shops: Vendors, tool: str, name: str, value: str
) -> None:
    fitting = [o for o in SOLD if (value in o.resolutions if name == "resolution" else getattr(o, name) == value)]
    async with client(shops.server(), "legacy") as connected:
        if not fitting:
            refused = await connected.call_tool(tool, {"prompt": "a boat", name: value})
            assert refused.is_error
            assert "Nothing was charged." in refused.content[0].text
            return
        offer = next((o for o in fitting if o.mode == "text-to-video"), fitting[0])
        wish = arguments(ordinary(offer), **{"provider": offer.provider, "mode": offer.mode, name: value})
        wish = {**wish.given(), "accept_unknown_price": True}
        if "source_task" in wish:
            first = next(
                o for o in SOLD if (o.provider, o.model) == (offer.provider, offer.model) and o.mode != offer.mode
            )
            source = await ordered(connected, provider=first.provider, model=first.model, tier=first.tier)
            wish["source_task"] = await reached(connected, source["task_id"], "succeeded")
        answer = await connected.call_tool(tool, wish)

    assert not answer.is_error, answer.content[0].text
    facts = answer.structured_content
    if name == "resolution":
        assert (facts.get("chosen") or facts["ordered"])["resolution"] == value
    else:
        assert facts.get("chosen", facts)[name] == value


@pytest.mark.parametrize("value", VALUES["make_film", "begin"])
async def test_every_way_to_begin_a_shot_is_how_it_is_planned_and_filmed(tmp_path: Path, value: str) -> None:
    look = {"provider": "runcomfy", "tier": "standard", "audio": False}
    shots = [{"id": "one", "prompt": "a boat", "duration": 3}, {"id": "two", "prompt": "a pier", "duration": 3}]
    board = {"title": value, "look": look, "shots": [shots[0], {**shots[1], "begin": value}]}
    async with vendors(tmp_path, rendering=True) as shops, client(shops.server(), "legacy") as connected:
        planned = (await connected.call_tool("make_film", {"board": board})).structured_content
        assert [shot["begin"] for shot in planned["shots"]] == ["cut", value]
        await connected.call_tool("make_film", {"film_id": planned["film_id"], "max_cost_usd": 1})
        async with asyncio.timeout(120):
            while (film := await got(connected, planned["film_id"]))["state"] in ("filming", "joining"):
                pass
        routes = [line["path"] for line in shops.submits()]

    assert film["state"] == "succeeded", film
    assert len(routes) == (1 if value == "multi-shot" else 2)
    assert sum("image-to-video" in route for route in routes) == (value == "continue")


async def got(connected: Client, film_id: str) -> dict[str, Any]:
    return (await ended(connected, {"task_id": film_id, "wait_s": 20})).structured_content


@pytest.mark.parametrize("value", VALUES["get_task", "until"])
async def test_until_any_waits_for_the_first_and_until_all_for_the_last(shops: Vendors, value: str) -> None:
    async with client(shops.server(), "legacy") as connected:
        first = (await ordered(connected))["task_id"]
        await reached(connected, first, "succeeded")
        shops.box.seconds = 1.5 if value == "all" else 6_000
        second = (await ordered(connected, prompt="later"))["task_id"]

        done = await connected.call_tool("get_task", {"task_ids": [first, second], "wait_s": 25, "until": value})

    ended = [task["state"] == "succeeded" for task in done.structured_content["tasks"]]
    assert ended == {"any": [True, False], "all": [True, True]}[value]
