"""`kling-video worker`: submits, polls, saves and joins what anybody ordered in a record that many machines share."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import TYPE_CHECKING

from mcp_server.cli import parser
from mcp_server.errors import ArgumentError
from mcp_server.settings import Settings

if TYPE_CHECKING:
    from mcp_server.service import Service


def flags() -> parser.Parser:
    made = parser.command(
        "worker",
        "Until SIGTERM or Ctrl-C: then its tasks are the other workers' at once. The vendors' keys are needed here.",
        as_json=False,
    )
    made.add_argument(
        "--port", type=parser.port, metavar="NUMBER", help="show /health, /ready and /metrics there; else nowhere"
    )
    made.add_argument("--host", default="127.0.0.1", help="with --port: address to listen on (only this machine)")
    return made


def run(argv: list[str]) -> int:
    """Work until a signal; 0."""
    given = flags().parse_args(argv)
    settings = Settings.read()
    settings.check()
    if settings.database_url is None:
        raise ArgumentError(
            "KLING_DATABASE_URL is not set: there is no shared record to work for",
            why="with a file on this machine every process follows what it ordered, and needs no worker",
            next_step="Set KLING_DATABASE_URL to the database the servers order in",
        )
    from mcp_server.cli.logs import readable_log

    readable_log(settings)
    asyncio.run(_work(settings, given.host, given.port))
    return 0


async def _work(settings: Settings, host: str, port: int | None) -> None:
    from mcp_server.composition import build
    from mcp_server.tasks.store.base import Filter

    told = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hear(_signal: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(told.set)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, hear)
    service = build(settings, worker=True)
    try:
        # A record that is away or has no tables is said now, not in a log.
        await service.runner.store.find(Filter(limit=1))
        if settings.bucket is not None:
            # Nor does a worker buy what it could not keep.
            await service.objects.check(settings.bucket)
        await service.start()
        showing = None if port is None else _shown(settings, service, host, port)
        print("Working", file=sys.stderr, flush=True)
        await told.wait()
        if showing is not None:
            await showing()
    finally:
        await service.close()


def _shown(settings: Settings, service: Service, host: str, port: int) -> Callable[[], Awaitable[None]]:
    """A few pages about this worker, for whoever keeps it; what ends them."""
    from mcp_server.server import http

    async def ready() -> Service:
        return service

    app = http.build_worker_app(settings, host=host, port=port, ready=ready)
    listener = http.bound(host, port)
    print(f"Health at http://{host}:{listener.getsockname()[1]}/ready", file=sys.stderr, flush=True)
    return http.served_beside(app, listener)
