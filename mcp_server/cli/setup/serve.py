"""`kling-video` alone, and `kling-video serve`: the MCP server on stdio or HTTP."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final

from mcp_server.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp_server.cli.parser import Parser

_HARMLESS: Final = ("KLING_HOME", "KLING_OUTPUT_DIR")
"""Variables that no start is refused for."""
_TO_A_PERSON: Final = (
    "kling-video is serving MCP on standard input and output, and waits for a client: agents start it like this.\n"
    "To use it yourself: kling-video --help. To register it with a client: kling-video install. Ctrl-C ends it."
)


def stdio() -> None:
    """Serve stdin and stdout; returns when the client left before anything was needed of the SDK, or never."""
    from mcp_server.server.handshake.front import open_connection
    from mcp_server.server.wire import Wire

    # Reading a limit takes longer than the first answer: only where there may be one.
    if any(name.startswith("KLING") and name not in _HARMLESS for name in os.environ):
        _refuse_bad_settings()
    if sys.stdin.isatty():
        print(_TO_A_PERSON, file=sys.stderr, flush=True)
    taken = open_connection(Wire.claim(), _has_record, _facts)
    if taken is None:
        return
    from mcp_server.server.turns import loading

    # Importing the SDK makes a great many objects: to look through them for garbage is a tenth of the start.
    with loading():
        from mcp_server.cli.formatting import harmless_log
        from mcp_server.server import stdio as runner
        from mcp_server.server.server import build_server

        harmless_log()
        server = build_server()
    runner.run(server, taken)


def _refuse_bad_settings() -> None:
    from mcp_server.settings import Settings

    Settings.read().check()


def _facts(tool: str, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
    from mcp_server.server.tools.catalog_answers import early

    return early(tool, arguments)


def _has_record() -> bool:
    from mcp_server.settings import Settings

    return Settings.read().has_record


def flags() -> Parser:
    from mcp_server.cli.parser import command, port

    made = command("serve", as_json=False)
    made.add_argument("--http", action="store_true", help="streamable HTTP at /mcp instead of stdio")
    made.add_argument("--host", default="127.0.0.1", help="address to listen on (only this machine)")
    made.add_argument("--port", type=port, default=8000, metavar="NUMBER")
    made.add_argument(
        "--worker", action="store_true", help="with --http and KLING_DATABASE_URL: follow tasks, too, as `worker` does"
    )
    return made


def run(arguments: list[str]) -> int:
    """Serve until the client leaves or a signal comes."""
    wanted = flags().parse_args(arguments)
    if wanted.worker and not wanted.http:
        raise ArgumentError(
            "--worker goes with --http", next_step="`kling-video worker` follows tasks and serves nobody"
        )
    if not wanted.http:
        stdio()
        return 0
    from mcp_server.cli.logs import readable_log
    from mcp_server.server import http
    from mcp_server.settings import Settings

    settings = Settings.read()
    readable_log(settings)

    http.run(
        settings,
        host=wanted.host,
        port=wanted.port,
        announce=lambda line: print(line, file=sys.stderr, flush=True),
        worker=wanted.worker,
    )
    return 0
