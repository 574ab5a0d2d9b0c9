from __future__ import annotations

import pytest

from mcp_server import media


@pytest.fixture(autouse=True)
def unexamined(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips are not looked into, which takes a process each; a test that wants it says so."""
    monkeypatch.setattr(media, "available", lambda: False)
