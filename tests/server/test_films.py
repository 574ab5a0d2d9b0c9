"""Films over MCP: planned for nothing, bought within one limit, followed, stopped and found like any order."""

# pyright: basic

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from support.mcp_world import ERAS, Vendors, client, ended, ordered, vendors
from support.small_disk import SmallDisk

BOARD: dict[str, Any] = {
    "title": "Boat",
    "look": {"provider": "runcomfy", "tier": "standard", "audio": False},
    "shots": [
        {"id": "street", "prompt": "a paper boat in a gutter", "duration": 3},
        {"id": "drain", "prompt": "it falls into the drain", "duration": 3, "begin": "continue"},
    ],
}
both = pytest.mark.parametrize("era", ERAS)


@pytest.fixture
async def shops(tmp_path: Path) -> AsyncIterator[Vendors]:
    async with vendors(tmp_path, rendering=True) as made:
        yield made


def told(answer: Any) -> str:
    """What the model reads of it."""
    return answer.content[0].text


@both
async def test_a_board_is_planned_bought_and_waited_for_in_three_calls(shops: Vendors, era: str) -> None:
    async with client(shops.server(), era) as connected:
        planned = (await connected.call_tool("make_film", {"board": BOARD})).structured_content
        assert (planned["state"], planned["total"]["usd"], shops.submits()) == ("planned", "0.504", [])
        assert [shot["cost"]["usd"] for shot in planned["shots"]] == ["0.252", "0.252"]
        film_id = planned["film_id"]
        assert film_id in planned["next_step"] and "max_cost_usd" in planned["next_step"]

        bought = await connected.call_tool("make_film", {"film_id": film_id, "max_cost_usd": 0.51})
        assert bought.structured_content["state"] == "filming"
        assert bought.structured_content["film_id"] == film_id

        seen: list[float] = []

        async def note(progress: float, total: float | None, message: str | None) -> None:
            assert (total, bool(message)) == (100, True)
            seen.append(progress)

        wait = {"task_id": film_id, "wait_s": 25, "preview": True}
        done: Any = await ended(connected, wait, progress_callback=note)

        facts = done.structured_content
        assert (facts["state"], facts["film_id"], facts.get("failed_checks")) == ("succeeded", film_id, None)
        assert json.loads(told(done)) == facts
        assert Path(facts["video_path"]).stat().st_size == facts["bytes"]
        assert [block.type for block in done.content] == ["text", "resource_link", "image"]
        clip = await connected.read_resource(done.content[1].uri)
        assert clip.contents[0].mime_type == "video/mp4"
        read: Any = await connected.read_resource(f"film://{film_id}")
        assert json.loads(read.contents[0].text) == {name: value for name, value in facts.items() if name != "note"}
        # Where it took two calls, the second begins a hair before the end of the first.
        assert [round(done) for done in seen] == sorted(round(done) for done in seen) and seen[-1] == 100
    assert len(shops.submits()) == 2


async def test_films_are_found_and_waited_for_beside_tasks(shops: Vendors) -> None:
    async with client(shops.server(), "legacy") as connected:
        film = (await connected.call_tool("make_film", {"board": BOARD, "max_cost_usd": 5})).structured_content
        task_id = (await ordered(connected))["task_id"]
        ids = [film["film_id"], task_id]
        done = await ended(connected, {"task_ids": ids, "wait_s": 25})

        found = done.structured_content["tasks"]
        assert [one.get("film_id", one.get("task_id")) for one in found] == ids
        assert {one["state"] for one in found} == {"succeeded"}
        listed = (await connected.call_tool("list_tasks", {"search": "drain"})).structured_content
        assert [one["film_id"] for one in listed["films"]] == [film["film_id"]]
        assert "shots" not in listed["films"][0]
        unfinished = (await connected.call_tool("list_tasks", {"state": "unfinished"})).structured_content
        assert "films" not in unfinished


async def test_a_board_lies_in_a_file_and_what_it_names_beside_it(shops: Vendors, tmp_path: Path) -> None:
    path = tmp_path / "boat.json"
    path.write_text(json.dumps(BOARD), encoding="utf-8")
    async with client(shops.server(), "legacy") as connected:
        by_path = (await connected.call_tool("make_film", {"board": str(path)})).structured_content
        by_text = (await connected.call_tool("make_film", {"board": json.dumps(BOARD)})).structured_content

    assert by_path["state"] == "planned"
    assert by_text["film_id"] == by_path["film_id"]


@pytest.mark.parametrize("limit", [0.5, "0.50"], ids=["a number", "as answers write money"])
async def test_more_than_the_limit_is_refused_as_a_whole(shops: Vendors, limit: float | str) -> None:
    async with client(shops.server(), "legacy") as connected:
        refused = await connected.call_tool("make_film", {"board": BOARD, "max_cost_usd": limit})

    assert refused.is_error
    assert "0.504" in told(refused) and "Nothing was charged" in told(refused)
    assert shops.submits() == []


async def test_a_price_that_nobody_publishes_needs_a_yes_of_its_own(shops: Vendors) -> None:
    board = BOARD | {"look": {"provider": "uniall"}, "shots": BOARD["shots"][:1]}
    async with client(shops.server(), "legacy") as connected:
        planned = (await connected.call_tool("make_film", {"board": board})).structured_content
        refused = await connected.call_tool("make_film", {"board": board, "max_cost_usd": 5})
        assert "usd" not in planned["total"] and "street" in planned["total"]["arithmetic"]
        assert refused.is_error and "not known" in told(refused)
        assert shops.submits() == []

        bought = await connected.call_tool("make_film", {"board": board, "accept_unknown_price": True})
        assert bought.structured_content["state"] == "filming"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cast": {"Ann": {"picture": ["a.png"]}}}, "board.cast.Ann.picture; the nearest known one is pictures"),
        ({"shots": [{"id": "a", "prompt": "x", "begin": "continue"}]}, "there is nothing to continue from"),
        ({"shots": [{"id": "a", "prompt": "x", "cast": ["Bob"]}]}, "the cast has no 'Bob'"),
        ({"shots": [{"id": "a", "prompt": "x"}, {"id": "a", "prompt": "y"}]}, "2 shots have the id 'a'"),
        ({"shots": [{"id": "a", "prompt": "x", "duration": 99}]}, "99"),
        ({"look": {"tier": "gold"}}, "board.look.tier must be 'standard', 'pro' or '4k'"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
async def test_a_mistake_in_a_board_is_told_in_a_line(shops: Vendors, change: dict[str, Any], words: str) -> None:
    async with client(shops.server(), "legacy") as connected:
        refused = await connected.call_tool("make_film", {"board": BOARD | change})

    assert refused.is_error
    assert words in told(refused)
    assert "Nothing was charged" in told(refused)


async def test_a_film_is_stopped_and_what_is_bought_is_kept(shops: Vendors) -> None:
    shops.fault("runcomfy", "status_slow", "20", None)
    async with client(shops.server(), "legacy") as connected:
        film = (await connected.call_tool("make_film", {"board": BOARD, "max_cost_usd": 5})).structured_content
        stopped = (await connected.call_tool("cancel_task", {"task_id": film["film_id"]})).structured_content
        refused = await connected.call_tool("cancel_task", {"task_id": film["film_id"], "stop_following": True})

    assert stopped["state"] == "cancelled"
    assert "drain: not bought, it cost nothing" in stopped["note"]
    assert refused.is_error and "stop_following" in told(refused)
    assert len(shops.submits()) <= 1


async def test_what_stood_in_the_way_of_joining_is_said_and_the_next_look_joins_it(
    shops: Vendors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SmallDisk(tmp_path / "disk", 50_000)
    monkeypatch.setenv("PYTHONPATH", disk.path)
    async with client(shops.server(), "legacy") as connected:
        film = (await connected.call_tool("make_film", {"board": BOARD, "max_cost_usd": 5})).structured_content
        look = {"task_id": film["film_id"], "wait_s": 25}

        async def looked() -> dict[str, Any]:
            return (await ended(connected, look)).structured_content

        full = await looked()
        folder = Path(full["shots"][0]["video_path"]).parent
        assert (full["state"], full["error"]["why"]) == ("failed", "there is no room left")
        assert full["next_step"].startswith("Make room there; then get_task with task_id kf-")
        assert "nothing is bought again" in full["next_step"] and "video_path" not in full
        assert not list(folder.glob(".*")) and len(list(folder.glob("*.mp4"))) == 2

        # Room, but a clip that somebody moved.
        disk.make_room()
        clip = Path(full["shots"][1]["video_path"])
        clip.rename(tmp_path / "moved.mp4")
        gone = await looked()
        assert gone["state"] == "failed" and str(clip) in gone["error"]["what"]
        assert "Put it back" in gone["next_step"] and "redo ['drain']" in gone["next_step"]

        (tmp_path / "moved.mp4").rename(clip)
        done = await looked()
        assert (done["state"], done.get("error"), done.get("failed_checks")) == ("succeeded", None, None)
        assert done["sha256"] == sha256(Path(done["video_path"]).read_bytes()).hexdigest()
    assert len(shops.submits()) == 2


async def test_a_folder_that_vanished_is_named_and_another_one_takes_the_film(
    shops: Vendors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with client(shops.server(), "legacy") as connected:
        made = (await connected.call_tool("make_film", {"board": BOARD, "max_cost_usd": 5})).structured_content
        made = (await ended(connected, {"task_id": made["film_id"], "wait_s": 25})).structured_content
        shots = [{"id": shot["shot"], "clip": shot["task_id"]} for shot in made["shots"]]
        disk = SmallDisk(tmp_path / "disk", 50_000)
        monkeypatch.setenv("PYTHONPATH", disk.path)
        order = {"board": {"title": "Cut", "shots": shots}, "max_cost_usd": 0, "output_dir": str(tmp_path / "films")}
        film = (await connected.call_tool("make_film", order)).structured_content
        look = {"task_id": film["film_id"], "wait_s": 25}
        await ended(connected, look)
        disk.make_room()
        (tmp_path / "films").rmdir()
        (tmp_path / "films").write_text("a file by now")

        vanished = (await ended(connected, look)).structured_content
        assert vanished["error"]["what"] == f"The film cannot be written to {tmp_path / 'films'}"
        assert "output_dir and max_cost_usd puts it into another folder" in vanished["next_step"]
        elsewhere = {"film_id": film["film_id"], "max_cost_usd": 0, "output_dir": str(tmp_path / "elsewhere")}
        await connected.call_tool("make_film", elsewhere)
        done = (await ended(connected, look)).structured_content

    assert done["state"] == "succeeded", done
    assert Path(done["video_path"]).parent == tmp_path / "elsewhere"
    assert len(shops.submits()) == 2


WORDS = (
    "kling standard, 40 seconds, vertical, silent. Shot 1 (8s): a paper boat. Shot 2: it falls. Shot 3: the sea, dawn"
)


async def test_words_longer_than_any_clip_are_planned_as_a_film_and_not_bought(shops: Vendors) -> None:
    async with client(shops.server(), "legacy") as connected:
        order = {"request": WORDS, "provider": "runcomfy", "max_cost_usd": 50}
        answer = await connected.call_tool("generate_video", order)
        facts: Any = answer.structured_content

        assert not answer.is_error, told(answer)
        assert facts["state"] == "planned" and facts["film_id"].startswith("kf-")
        assert [shot["duration"] for shot in facts["shots"]] == [8, 15, 15]
        assert facts["total"]["usd"] and "come to 38 of 40 s" in facts["note"]
        assert shops.submits() == []

        again: Any = (await connected.call_tool("generate_video", order)).structured_content
        assert again["film_id"] == facts["film_id"]
        bought: Any = await connected.call_tool("make_film", {"film_id": facts["film_id"], "max_cost_usd": 50})
        assert bought.structured_content["state"] == "filming"


async def test_what_a_film_in_words_would_cost_is_answered_to_the_cent_and_nothing_is_written(shops: Vendors) -> None:
    async with client(shops.server(), "legacy") as connected:
        order = {"request": WORDS, "provider": "runcomfy"}
        priced: Any = (await connected.call_tool("estimate_cost", order)).structured_content
        listed: Any = (await connected.call_tool("list_tasks", {})).structured_content
        planned: Any = (await connected.call_tool("generate_video", order)).structured_content
        again: Any = (await connected.call_tool("estimate_cost", order)).structured_content

    assert "film_id" not in priced and "films" not in listed
    assert (priced["total"], priced["shots"]) == (planned["total"], planned["shots"])
    assert [shot["cost"]["usd"] for shot in priced["shots"]] == ["0.672", "1.26", "1.26"]
    assert priced["total"]["usd"] == "3.192" and "3.192" in priced["next_step"]
    assert "generate_video" in priced["next_step"] and "come to 38 of 40 s" in priced["note"]
    # Once it is written down, its price says under which id.
    assert again["film_id"] == planned["film_id"] and again["next_step"] == planned["next_step"]
    assert shops.submits() == []


@pytest.mark.parametrize(
    "words",
    [
        "kling standard, 40 seconds: a paper boat",
        "kling standard, 10 seconds. Shot 1: a paper boat. Shot 2: it falls into the drain",
    ],
    ids=["one scene", "short enough"],
)
async def test_other_orders_are_what_they_were(shops: Vendors, words: str) -> None:
    async with client(shops.server(), "legacy") as connected:
        answer = await connected.call_tool("generate_video", {"request": words, "provider": "runcomfy"})
    facts: Any = answer.structured_content

    assert "film_id" not in facts
