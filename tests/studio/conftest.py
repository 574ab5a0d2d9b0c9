"""A studio over the sandbox, and a browser that is signed in to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.browsing import Browser, Studio, browser, studio
from support.services import settings

from mcp_server import media


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Studio]:
    async with studio(settings(tmp_path)) as made:
        yield made


@pytest.fixture
async def visitor(opened: Studio) -> AsyncIterator[Browser]:
    async with browser(opened) as made:
        yield made


@pytest.fixture
def unexamined(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips are not looked into, which takes a process each: for tests that only need some to be there."""
    monkeypatch.setattr(media, "available", lambda: False)
