"""`kling-video worker`: submits, polls, saves and joins what anybody ordered in a record that many machines share."""

from __future__ import annotations

import asyncio
import signal
import sys
from types import FrameType

from mcp_server.cli import parser
from mcp_server.errors import ArgumentError
from mcp_server.settings import Settings


def flags() -> parser.Parser:
    return parser.command(
        "worker",
        "Until SIGTERM or Ctrl-C: then its tasks are the other workers' at once. The vendors' keys are needed here.",
        as_json=False,
    )


def run(argv: list[str]) -> int:
    """Work until a signal; 0."""
    flags().parse_args(argv)
    settings = Settings.read()
    settings.check()
    if settings.database_url is None:
        raise ArgumentError(
            "KLING_DATABASE_URL is not set: there is no shared record to work for",
            why="with a file on this machine every process follows what it ordered, and needs no worker",
            next_step="Set KLING_DATABASE_URL to the database the servers order in",
        )
    from mcp_server.cli.formatting import harmless_log

    harmless_log()
    asyncio.run(_work(settings))
    return 0


async def _work(settings: Settings) -> None:
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
        await service.start()
        print("Working", file=sys.stderr, flush=True)
        await told.wait()
    finally:
        await service.close()
