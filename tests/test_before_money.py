"""Before money moves: the folder can be written to, and what is built on is there and can be built on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from support.mcp_world import Vendors, client, ended, ordered
from support.services import service

from mcp_server.__main__ import main
from mcp_server.domain.arguments import VideoArguments
from mcp_server.errors import LocalError

UNKNOWN_JOB = "0b5c2f1e-7a53-4a86-9a54-3a5b8f5f2b11"


def blocked(tmp_path: Path, kind: str) -> Path:
    """A folder in which nothing can be saved."""
    place = tmp_path / "place"
    if kind == "a file":
        place.write_text("")
    elif kind == "below a file":
        place.write_text("")
        place = place / "clips"
    else:
        place = Path("/proc/clips")
    return place


@pytest.mark.parametrize("kind", ["a file", "below a file", "where nobody may write"])
@pytest.mark.parametrize("how", ["argument", "variable"])
async def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_bought(
    shops: Vendors, tmp_path: Path, kind: str, how: str
) -> None:
    folder = str(blocked(tmp_path, kind))
    variables = {"KLING_OUTPUT_DIR": folder} if how == "variable" else {}
    async with client(shops.server(**variables), "legacy") as connected:
        order = {"prompt": "a boat", "provider": "runcomfy"} | ({"output_dir": folder} if how == "argument" else {})
        refused = await connected.call_tool("generate_video", order)

        assert refused.is_error
        said = refused.content[0].text
        assert f"No clip can be saved in {folder}" in said
        assert "output_dir" in said and "KLING_OUTPUT_DIR" in said
        assert said.endswith("Nothing was charged.")
        assert refused.structured_content["error"]["code"] == "local_error"
        assert shops.submits() == []
        assert "tasks" not in (await connected.call_tool("list_tasks", {})).structured_content


def test_at_the_command_line_it_is_refused_with_the_disks_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "kling: a boat", "--output-dir", str(blocked(tmp_path, "a file"))]) == 73
    assert "Name a folder that can be written to in --output-dir" in capsys.readouterr().err


async def test_the_folder_is_made_and_nothing_is_left_in_it(shops: Vendors, tmp_path: Path) -> None:
    buyer = service(tmp_path)
    folder = tmp_path / "new" / "clips"

    await buyer.prepare(VideoArguments(prompt="a boat", output_dir=str(folder)))
    await buyer.estimate(VideoArguments(prompt="a boat", output_dir=str(tmp_path / "asked")))

    await buyer.close()
    assert list(folder.iterdir()) == []
    assert not (tmp_path / "asked").exists(), "an estimate makes no folder"


async def stuck(buyer: Any, folder: Path) -> str:
    """A task whose clip is ready, and whose folder a file has taken the place of."""
    task = await buyer.generate(VideoArguments(prompt="a boat", output_dir=str(folder)))
    folder.rmdir()
    folder.write_text("")
    for _ in range(400):
        (now,) = await buyer.get([task.task_id], wait_s=1)
        if now.state == "saving" and now.note:
            assert "--output-dir" in now.note
            return task.task_id
    raise AssertionError(now)


async def test_a_task_stuck_in_saving_is_moved_to_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_server.sandbox.sandbox.can_render", lambda: False)
    buyer = service(tmp_path)
    task_id = await stuck(buyer, tmp_path / "first")
    with pytest.raises(LocalError, match="No clip can be saved in"):
        await buyer.move(task_id, str(tmp_path / "first" / "deeper"))

    await buyer.move(task_id, str(tmp_path / "second"))
    (task,) = await buyer.get([task_id], wait_s=60)

    again = await buyer.runner.store.get(task_id)
    await buyer.close()
    assert task.state == "succeeded"
    assert Path(task.video_path).parent == tmp_path / "second"
    assert again.output_dir == str(tmp_path / "second")


async def test_another_process_moves_it_too_and_the_command_shows_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import asyncio

    monkeypatch.setattr("mcp_server.sandbox.sandbox.can_render", lambda: False)
    first = service(tmp_path)
    task_id = await stuck(first, tmp_path / "first")
    words = ["task", task_id, "--output-dir", str(tmp_path / "second"), "--wait", "20", "--json"]

    assert await asyncio.to_thread(main, words) == 0

    await first.close()
    task = json.loads(capsys.readouterr().out)
    assert task["state"] == "succeeded"
    assert Path(task["video_path"]).parent == tmp_path / "second"
    assert os.listdir(tmp_path / "second") == [Path(task["video_path"]).name]
    assert await asyncio.to_thread(main, words) == 65, "it is saved already"


@pytest.mark.parametrize("tool", ["generate_video", "estimate_cost"])
@pytest.mark.parametrize(
    ("source", "more", "says"),
    [
        ("kv-261121-000000000000", {}, "no task 'kv-261121-000000000000'"),
        ("kv-misspelt", {"provider": "runapi"}, "No vendor names a job so"),
        ("the boat of yesterday", {"provider": "runapi"}, "No vendor names a job so"),
        ("https://example.com/a.mp4", {"provider": "runapi"}, "No vendor names a job so"),
        (UNKNOWN_JOB, {}, "only with its `provider`"),
    ],
)
async def test_a_source_nobody_knows_is_refused_instead_of_forwarded(
    shops: Vendors, tool: str, source: str, more: dict[str, str], says: str
) -> None:
    async with client(shops.server(), "legacy") as connected:
        order = {"prompt": "on", "mode": "extend", "source_task": source, "accept_unknown_price": True, **more}
        refused = await connected.call_tool(tool, order)

    assert refused.is_error
    assert says.lower() in refused.content[0].text.lower()
    assert refused.content[0].text.endswith("Nothing was charged.")
    assert shops.submits() == []


async def test_a_vendors_own_job_goes_out_where_the_vendor_is_named(shops: Vendors) -> None:
    async with client(shops.server(), "legacy") as connected:
        order = {"prompt": "on", "mode": "extend", "source_task": UNKNOWN_JOB, "provider": "runapi"}
        await connected.call_tool("generate_video", order | {"accept_unknown_price": True})

    assert len(shops.submits()) == 1


@pytest.mark.parametrize(
    ("made_by", "mode", "says"),
    [
        ({"provider": "runcomfy"}, "extend", "--last-frame"),
        ({"provider": "runapi", "model": "kling-3.0"}, "extend", "only sold for clips of kling-2.5-turbo"),
        ({"provider": "runcomfy"}, "video-edit", "as `video`"),
    ],
)
async def test_a_clip_that_cannot_be_built_on_says_how_to_go_on_with_it(
    shops: Vendors, made_by: dict[str, str], mode: str, says: str
) -> None:
    async with client(shops.server(), "legacy") as connected:
        first = (await ordered(connected, **made_by))["task_id"]
        done = await ended(connected, {"task_id": first, "wait_s": 25})
        assert done.structured_content["state"] == "succeeded"
        before = len(shops.submits())
        for tool in ("estimate_cost", "generate_video"):
            refused = await connected.call_tool(tool, {"prompt": "on", "mode": mode, "source_task": first})
            assert refused.is_error
            assert says in refused.content[0].text
            assert "Nearest is" not in refused.content[0].text, "which would be another dead end"

    assert len(shops.submits()) == before


@pytest.mark.parametrize("ratio", ["9:16", "1:1"])
async def test_with_a_key_of_kling3api_alone_a_vertical_clip_is_ordered_with_a_warning(
    shops: Vendors, ratio: str
) -> None:
    others = {name: "" for name in shops.environment if name.endswith(("_KEY", "_TOKEN")) and "KLING3API" not in name}
    order = {"prompt": "a boat", "aspect_ratio": ratio, "accept_unknown_price": True}
    async with client(shops.server(**others), "legacy") as connected:
        answer = await connected.call_tool("generate_video", order)

    assert not answer.is_error, answer.content[0].text
    assert any("documents no list of aspect ratios" in warning for warning in answer.structured_content["warnings"])
    (submit,) = shops.submits()
    job = shops.box.store.find("kling3api", submit["job"])
    assert job is not None
    assert job.order.ratio == ratio
