from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.stub_vendor import House


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    made = House(tmp_path)
    yield made
    await made.close()
