"""Clients without any SDK, so that a test can die in the middle of a call: newline-framed pipes, and plain HTTP posts."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
MODERN = "2026-07-28"
LEGACY = "2025-11-25"
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "wire", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


def request(number: int, method: str, params: dict[str, Any], era: str) -> dict[str, Any]:
    if era == MODERN:
        params = {**params, "_meta": {**params.get("_meta", {}), **ENVELOPE}}
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def greeting(version: str = LEGACY) -> dict[str, Any]:
    client = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "wire", "version": "1"}}
    return {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": client}


class Pipe:
    """The server as a child process."""

    def __init__(self, process: asyncio.subprocess.Process, era: str) -> None:
        self.process = process
        self.era = era
        self.number = 0
        self.lines: list[bytes] = []

    async def send(self, method: str, params: dict[str, Any]) -> int:
        self.number += 1
        self.post(request(self.number, method, params, self.era))
        await self.process.stdin.drain()
        return self.number

    def post(self, message: dict[str, Any]) -> None:
        self.process.stdin.write(json.dumps(message).encode() + b"\n")

    async def answer(self, number: int) -> dict[str, Any]:
        async with asyncio.timeout(120):
            while True:
                line = await self.process.stdout.readline()
                if not line:
                    errors = (await self.process.stderr.read()).decode()
                    raise EOFError(f"the server is gone: {errors[-2000:]}")
                self.lines.append(line)
                message = json.loads(line)
                if message.get("id") == number and "method" not in message:
                    return message

    async def until(self, method: str) -> None:
        """Read on until the server says this."""
        async with asyncio.timeout(120):
            while method.encode() not in await self.process.stdout.readline():
                pass

    async def ask(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        return await self.answer(await self.send(method, params or {}))

    async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        reply = await self.ask("tools/call", {"name": name, "arguments": arguments})
        return reply["result"]


@asynccontextmanager
async def pipe(environment: dict[str, str], era: str = LEGACY) -> AsyncIterator[Pipe]:
    """A fresh server on stdio, greeted in the way of its era."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "mcp_server",
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=1 << 22,
    )
    made = Pipe(process, era)
    try:
        if era != MODERN:
            made.post(greeting(era))
            await made.answer(0)
            made.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        yield made
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        # The transport's own end; without it a later collection complains of an open pipe.
        process._transport.close()  # type: ignore[attr-defined]


class Web:
    """The server behind an address, asked one post at a time."""

    def __init__(self, http: httpx.AsyncClient, address: str, era: str, token: str = "") -> None:
        self.http = http
        self.address = address
        self.era = era
        self.token = token
        self.number = 0

    def post(self, method: str, params: dict[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
        """Headers and body of one request."""
        self.number += 1
        headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": self.era}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if self.era == MODERN:
            headers["Mcp-Method"] = method
            if "name" in params:
                headers["Mcp-Name"] = params["name"]
        return headers, request(self.number, method, params, self.era)

    async def send(self, method: str, params: dict[str, Any] | None = None) -> httpx.Response:
        headers, body = self.post(method, params or {})
        return await self.http.post(self.address, headers=headers, json=body, timeout=120)

    async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        reply = await self.send("tools/call", {"name": name, "arguments": arguments})
        assert reply.status_code == 200, reply.text
        return message(reply)["result"]


def message(reply: httpx.Response) -> dict[str, Any]:
    """The answer, out of JSON or out of the last event of a stream."""
    if reply.headers["content-type"].startswith("text/event-stream"):
        return json.loads([line[6:] for line in reply.text.splitlines() if line.startswith("data: {")][-1])
    return reply.json()
