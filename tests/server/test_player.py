"""Letting the model see a clip, and the page that shows it to the person."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mcp_types import ImageContent
from support.mcp_world import ERAS, Vendors, client, ordered, vendors

from mcp_server import catalog
from mcp_server.media import WITHOUT
from mcp_server.server.player import CLIP_ORIGINS, PAGE
from mcp_server.server.tools.declarations import PLAYER

both = pytest.mark.parametrize("era", ERAS)


@pytest.fixture
async def shops(tmp_path: Path) -> AsyncIterator[Vendors]:
    async with vendors(tmp_path) as made:
        yield made


@both
async def test_a_finished_clip_comes_with_a_picture_of_its_frames_when_asked(shops: Vendors, era: str) -> None:
    async with client(shops.server(), era) as connected:
        task_id = (await ordered(connected))["task_id"]
        plain = await connected.call_tool("get_task", {"task_id": task_id, "wait_s": 25})
        seen = await connected.call_tool("get_task", {"task_id": task_id, "preview": True})

    assert not [block for block in plain.content if isinstance(block, ImageContent)]
    (picture,) = [block for block in seen.content if isinstance(block, ImageContent)]
    data = base64.b64decode(picture.data)
    assert (picture.mime_type, data[:3]) == ("image/jpeg", b"\xff\xd8\xff")
    assert len(data) <= 150_000
    beside = Path(seen.structured_content["video_path"]).with_suffix(".sheet.jpg")
    assert beside.read_bytes() == data


async def test_several_tasks_come_with_a_picture_each(shops: Vendors) -> None:
    async with client(shops.server(), ERAS[1]) as connected:
        ids = [(await ordered(connected, prompt=prompt))["task_id"] for prompt in ("a fox", "a whale")]
        seen = await connected.call_tool("get_task", {"task_ids": ids, "wait_s": 25, "preview": True})
    assert len([block for block in seen.content if isinstance(block, ImageContent)]) == 2


async def test_without_the_extra_the_answer_says_so_once_and_a_preview_says_why_not(
    shops: Vendors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_server.media.available", lambda: False)
    async with client(shops.server(), ERAS[1]) as connected:
        task_id = (await ordered(connected))["task_id"]
        first = await connected.call_tool("get_task", {"task_id": task_id, "wait_s": 25})
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
    assert [name for name, tool in tools.items() if tool.meta] == ["generate_video"]
    assert listed[PLAYER].mime_type == read.mime_type == "text/html;profile=mcp-app"
    assert read.text == PAGE.read_text(encoding="utf-8")
    assert read.meta["ui"]["csp"] == {"resourceDomains": json.loads(CLIP_ORIGINS.read_text())}


def test_the_player_may_load_clips_from_where_vendors_say_they_lie() -> None:
    hosts = [host for provider in catalog.load().providers.values() for host in provider.media_hosts]
    assert json.loads(CLIP_ORIGINS.read_text()) == [f"https://{host}" for host in hosts]


def test_the_player_is_one_small_page_that_loads_nothing() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert len(page.encode()) <= 10_240
    assert not re.search(r"<(script|link|img|iframe)[^>]*\b(src|href)=", page)
    assert not re.search(r"\bimport\b|\bfetch\(|XMLHttpRequest|innerHTML|eval\(|@import|url\(", page)
