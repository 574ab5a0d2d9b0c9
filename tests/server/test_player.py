"""Letting the model see a clip, and the page that shows it to the person."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest
from mcp_types import ImageContent
from support.mcp_world import ERAS, Vendors, client, ended, ordered

from mcp_server import catalog
from mcp_server.media import WITHOUT
from mcp_server.server.player import CLIP_ORIGINS, PAGE
from mcp_server.server.tools.declarations import PLAYER

both = pytest.mark.parametrize("era", ERAS)


@both
async def test_a_finished_clip_comes_with_a_picture_of_its_frames_when_asked(shops: Vendors, era: str) -> None:
    async with client(shops.server(), era) as connected:
        task_id = (await ordered(connected))["task_id"]
        plain = await ended(connected, {"task_id": task_id, "wait_s": 25})
        seen = await connected.call_tool("get_task", {"task_id": task_id, "preview": True})

    assert not [block for block in plain.content if isinstance(block, ImageContent)]
    (picture,) = [block for block in seen.content if isinstance(block, ImageContent)]
    data = base64.b64decode(picture.data)
    assert (picture.mime_type, data[:3]) == ("image/jpeg", b"\xff\xd8\xff")
    assert len(data) <= 150_000
    beside = Path(seen.structured_content["video_path"]).with_suffix(".sheet.jpg")
    assert beside.read_bytes() == data
    last = Path(seen.structured_content["note"].removeprefix("The last frame: "))
    assert last.read_bytes().startswith(b"\x89PNG")
    assert "note" not in plain.structured_content


async def test_several_tasks_come_with_a_picture_each(shops: Vendors) -> None:
    async with client(shops.server(), ERAS[1]) as connected:
        ids = [(await ordered(connected, prompt=prompt))["task_id"] for prompt in ("a fox", "a whale")]
        seen = await ended(connected, {"task_ids": ids, "wait_s": 25, "preview": True})
    assert len([block for block in seen.content if isinstance(block, ImageContent)]) == 2


async def test_without_the_extra_the_answer_says_so_once_and_a_preview_says_why_not(
    shops: Vendors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_server.media.available", lambda: False)
    async with client(shops.server(), ERAS[1]) as connected:
        task_id = (await ordered(connected))["task_id"]
        first = await ended(connected, {"task_id": task_id, "wait_s": 25})
        second = await connected.call_tool("get_task", {"task_id": task_id})
        asked = await connected.call_tool("get_task", {"task_id": task_id, "preview": True})

    assert WITHOUT in first.structured_content["note"]
    assert "note" not in second.structured_content
    assert not asked.is_error
    assert "No preview: " in asked.structured_content["note"]
    assert "delivered" not in first.structured_content


@both
async def test_the_order_names_the_player_and_the_player_can_be_read(shops: Vendors, era: str) -> None:
    async with client(shops.server(), era) as connected:
        tools = {tool.name: tool for tool in (await connected.list_tools()).tools}
        listed = {str(resource.uri): resource for resource in (await connected.list_resources()).resources}
        read = (await connected.read_resource(PLAYER)).contents[0]

    assert tools["generate_video"].meta == {"ui": {"resourceUri": PLAYER}}
    assert [name for name, tool in tools.items() if tool.meta] == ["generate_video", "make_film"]
    assert listed[PLAYER].mime_type == read.mime_type == "text/html;profile=mcp-app"
    assert read.text == PAGE.read_text(encoding="utf-8")
    assert read.meta["ui"]["csp"] == {"resourceDomains": json.loads(CLIP_ORIGINS.read_text())}


def test_the_player_may_load_clips_from_where_vendors_say_they_lie() -> None:
    hosts = [host for provider in catalog.load().providers.values() for host in provider.media_hosts]
    assert json.loads(CLIP_ORIGINS.read_text()) == [f"https://{host}" for host in hosts]


def test_the_player_is_one_small_page_that_loads_nothing() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert len(page.encode()) <= 11_264
    assert not re.search(r"<(script|link|img|iframe)[^>]*\b(src|href)=", page)
    assert not re.search(r"\bimport\b|\bfetch\(|XMLHttpRequest|innerHTML|eval\(|@import|url\(", page)


def test_a_film_is_shown_with_its_shots_and_is_never_bought_again_by_a_button() -> None:
    """The page's own reading of an answer, run by Node where there is one."""
    import shutil
    import subprocess

    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node here to run the page's script")
    script = re.search(r"<script>\n(.*?)</script>", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert script is not None
    words, reading = re.search(r"const OVER.*?;\nconst WORDS.*?;\n", script[1], re.DOTALL), script[1]
    money = re.search(r"const money = .*?;\n", reading)
    as_task = re.search(r"function asTask.*?\n}\n", reading, re.DOTALL)
    assert words and money and as_task
    film = {
        "film_id": "kf-1",
        "title": "Boat",
        "state": "filming",
        "total": {"usd": "0.50"},
        "shots": [
            {"shot": "street", "state": "succeeded", "cost": {"usd": "0.25"}},
            {"shot": "drain", "state": "running", "progress": 40, "cost": {"usd": "0.25"}},
        ],
        "failed_checks": ["a black seam"],
    }
    code = f"{words[0]}{money[0]}{as_task[0]}console.log(JSON.stringify(asTask({json.dumps(film)})))"
    shown = json.loads(subprocess.run([node, "-e", code], capture_output=True, text=True, check=True).stdout)

    assert (shown["task_id"], shown["prompt"], shown["route"]) == ("kf-1", "Boat", "1 of 2 shots made")
    assert shown["cost"]["estimated"]["usd"] == "0.50"
    assert shown["differences"] == ["a black seam", "street · Ready · $0.25", "drain · Rendering · 40 % · $0.25"]
    assert '$("again").hidden = !over() || task.film_id' in reading
