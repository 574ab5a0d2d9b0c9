"""Films on vendors that draw what was ordered, and a reader of boards that is short to write."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.films import FilmMaking, film_making


@pytest.fixture
async def films(tmp_path: Path) -> AsyncIterator[FilmMaking]:
    """One user's films, and the vendors behind them."""
    async with film_making(tmp_path) as made:
        yield made
