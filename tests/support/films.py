"""A film maker for tests: vendors on loopback that draw what was ordered, and boards that are short to write."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from support.mcp_world import Vendors, vendors
from support.services import hurried

from mcp_server.answers.shapes import FilmAnswer
from mcp_server.clock import Clock
from mcp_server.composition import build
from mcp_server.films.board import Board, from_arguments
from mcp_server.films.films import FilmOrder
from mcp_server.service import Service

LOOK = {"provider": "runcomfy", "tier": "standard", "audio": False}
"""The smallest pictures there are."""
ENOUGH = Decimal(50)


def board(*begins: str | dict[str, Any], title: str = "Boat", **more: Any) -> Board:
    """A shot for each word it begins with, or for what is said of it; three seconds each."""
    found = [
        {"id": f"s{number}", "prompt": f"a paper boat, picture {number}", "duration": 3}
        | (one if isinstance(one, dict) else {"begin": one})
        for number, one in enumerate(begins, 1)
    ]
    for shot in found:
        if "clip" in shot:
            del shot["prompt"], shot["duration"]
    return from_arguments({"title": title, "look": LOOK, "shots": found} | more)


@dataclass
class FilmMaking:
    """One user who makes films."""

    vendors: Vendors
    clock: Clock = field(default_factory=hurried)
    variables: dict[str, str] = field(default_factory=dict)
    _services: list[Service] = field(default_factory=list)

    def service(self, **more: str) -> Service:
        """Another process's service, over the same record."""
        made = build(self.vendors.settings(**self.variables, **more), clock=self.clock)
        self._services.append(made)
        return made

    @property
    def first(self) -> Service:
        return self._services[0] if self._services else self.service()

    async def buy(self, wanted: Board | None = None, *, limit: Decimal = ENOUGH, **more: Any) -> FilmAnswer:
        """The film, bought as far as it is not."""
        order = FilmOrder(board=wanted, max_cost_usd=limit, **more)
        return await self.first.films.make(order, buying=True)

    async def made(self, wanted: Board | None = None, **more: Any) -> FilmAnswer:
        """The film, at its end."""
        return await self.ended((await self.buy(wanted, **more)).film_id)

    async def ended(self, film_id: str) -> FilmAnswer:
        (film,) = await self.first.films.get([film_id], wait_s=2_000)
        assert film.finished_at is not None, film
        return film

    def orders(self) -> int:
        """How many orders the vendors took on."""
        return sum(bool(line["accepted"]) for line in self.vendors.submits())

    async def close(self) -> None:
        for each in self._services:
            await each.close()


@asynccontextmanager
async def film_making(folder: Path, **variables: str) -> AsyncIterator[FilmMaking]:
    async with vendors(folder, rendering=True) as shops:
        made = FilmMaking(shops, variables=variables)
        try:
            yield made
        finally:
            await made.close()


def states(film: FilmAnswer) -> dict[str, str]:
    """How each shot stands."""
    return {shot.shot: shot.state for shot in film.shots}
