"""The sandbox as a server: inside a running event loop for a rehearsal, or by itself for other programs."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from mcp_server import catalog
from mcp_server.sandbox.app import create_app
from mcp_server.sandbox.vendors.base import CALLBACK_SECRET, DROP, PAIR_SECRET

if TYPE_CHECKING:
    from mcp_server.sandbox.sandbox import Sandbox

HOST: Final = "127.0.0.1"
KEY: Final = "sandbox"
PATIENCE_S: Final = 10.0


class _Protocol(H11Protocol):
    """HTTP whose connection a handler may close without answering."""

    def handle_events(self) -> None:
        before = self.cycle
        super().handle_events()
        # The handler runs only after this returns, so the scope can still be completed.
        if self.cycle is not before and self.scope is not None:  # type: ignore[reportUnnecessaryComparison]
            scope: dict[str, Any] = cast("dict[str, Any]", self.scope)
            scope["extensions"] = {**scope.get("extensions", {}), DROP: self.transport.close}


class _Guest(uvicorn.Server):
    """A server inside somebody else's process."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leaves the signals to the host."""
        yield


class SandboxServer:
    """The sandbox served from this process, on a port nobody has to choose."""

    def __init__(self, sandbox: Sandbox, *, host: str = HOST, port: int = 0) -> None:
        self.sandbox = sandbox
        self._address = (host, port)
        self._server: uvicorn.Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._urls: Mapping[str, str] = {}
        self._turn = asyncio.Lock()

    async def start(self) -> Mapping[str, str]:
        """Each provider's base URL; starts serving when it is not yet."""
        async with self._turn:
            if self._serving is None or self._serving.done():
                self._urls = await self._start()
            return self._urls

    async def stop(self) -> None:
        """Stop serving; jobs stay in the store."""
        async with self._turn:
            if self._server is not None and self._serving is not None:
                self._server.should_exit = True
                await asyncio.wait({self._serving}, timeout=PATIENCE_S)
            self._server = self._serving = None
            self._urls = {}

    async def _start(self) -> Mapping[str, str]:
        listener = listen(*self._address)
        self._server = _Guest(configuration(self.sandbox))
        self._serving = asyncio.create_task(self._server.serve([listener]), name="sandbox")
        while not self._server.started:
            if self._serving.done():
                await self._serving
                raise OSError("the sandbox did not start")
            await asyncio.sleep(0.001)
        return urls(listener)


def listen(host: str, port: int) -> socket.socket:
    """A socket of our own, so that the port is known before anything is served."""
    # With its protocol said: asyncio sends at once only on sockets that say TCP, others wait 40 ms for each answer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if sys.platform != "win32":
        # On Windows it would let two programs have one port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(256)
    return listener


def configuration(sandbox: Sandbox) -> uvicorn.Config:
    """A silent server for the sandbox."""
    return uvicorn.Config(
        create_app(sandbox),
        http=_Protocol,
        ws="none",
        loop="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=1,
    )


def urls(listener: socket.socket) -> Mapping[str, str]:
    """Each provider's base URL on this socket."""
    host, port = listener.getsockname()[:2]
    return {name: f"http://{host}:{port}/{name}" for name in catalog.load().rehearsable}


def variables(base_urls: Mapping[str, str]) -> Mapping[str, str]:
    """What to set in another program's environment so that it speaks with this sandbox."""
    made: dict[str, str] = {}
    for name, facts in catalog.load().providers.items():
        if name in base_urls:
            made |= {facts.base_url_variable: base_urls[name], facts.key_variable: KEY}
            if facts.callback_secret:
                made[facts.callback_secret] = CALLBACK_SECRET
            made |= dict(zip(facts.key_pair, (KEY, KEY + PAIR_SECRET), strict=False))
    return made


def serve(sandbox: Sandbox, host: str = HOST, port: int = 0, *, announce: Any = print) -> None:
    """Serve until interrupted; first says which variables to set."""
    listener = listen(host, port)
    said = "$env:{} = '{}'" if sys.platform == "win32" else "export {}={}"
    for name, value in variables(urls(listener)).items():
        announce(said.format(name, value))
    announce(said.format("KLING_SANDBOX_CONTROL", sandbox.control_key))
    asyncio.run(uvicorn.Server(configuration(sandbox)).serve([listener]))
