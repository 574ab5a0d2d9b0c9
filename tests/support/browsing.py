"""The studio on a real socket, and a browser's way of using it: a cookie, forms with their tokens, parts of pages."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import unescape
from typing import Any

import httpx
from support.http_serving import free_port, running
from support.services import hurried

from mcp_server.clock import Clock
from mcp_server.composition import build
from mcp_server.server.http import build_studio
from mcp_server.service import Service
from mcp_server.settings import Settings

_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')


@dataclass
class Studio:
    """One studio, and the lines it said at its terminal."""

    address: str
    service: Service
    said: list[str] = field(default_factory=list[str])

    @property
    def link(self) -> str:
        """The one that opens it now."""
        return re.findall(r"http\S+code=\S+", self.said[-1])[0]


@dataclass
class Browser:
    """Somebody with a browser."""

    http: httpx.AsyncClient
    studio: Studio

    async def get(self, place: str, **headers: str) -> httpx.Response:
        return await self.http.get(f"{self.studio.address}{place}", headers={"accept": "text/html", **headers})

    async def post(self, place: str, fields: Mapping[str, Any], **headers: str) -> httpx.Response:
        return await self.http.post(f"{self.studio.address}{place}", data=dict(fields), headers=headers)

    async def csrf(self) -> str:
        return hidden((await self.get("/")).text)["csrf"]


def hidden(page: str) -> dict[str, str]:
    """The hidden fields of a page's forms."""
    return {name: unescape(value) for name, value in _HIDDEN.findall(page)}


@asynccontextmanager
async def studio(settings: Settings, *, clock: Clock | None = None) -> AsyncGenerator[Studio]:
    """The studio by itself, over one service."""
    port, said = free_port(), list[str]()
    clock = clock or hurried()
    service = build(settings, clock=clock)
    app = build_studio(settings, host="127.0.0.1", port=port, make=lambda: service, clock=clock, announce=said.append)
    async with running(app, port) as address:
        yield Studio(f"{address}/studio", service, said)


@asynccontextmanager
async def browser(opened: Studio, *, entered: bool = True) -> AsyncGenerator[Browser]:
    async with httpx.AsyncClient(timeout=120) as http:
        if entered:
            assert (await http.get(opened.link)).status_code == 200
        yield Browser(http, opened)
