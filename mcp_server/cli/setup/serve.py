"""`kling-video` alone, and `kling-video serve`: the MCP server on stdio or HTTP."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcp_server.cli.parser import Parser


def stdio() -> None:
    """Serve stdin and stdout; does not return."""
    # Importing the SDK makes a great many objects that live as long as the process: looking through them again and
    # again while they are made, and at every collection after, is a tenth of the start and finds nothing.
    gc.disable()
    from mcp_server.server import stdio as runner
    from mcp_server.server.server import build_server

    server = build_server()
    gc.freeze()
    gc.enable()
    runner.run(server)


def flags() -> Parser:
    from mcp_server.cli.parser import command, port

    made = command("serve", as_json=False)
    made.add_argument("--http", action="store_true", help="streamable HTTP at /mcp instead of stdio")
    made.add_argument("--host", default="127.0.0.1", help="address to listen on (only this machine)")
    made.add_argument("--port", type=port, default=8000, metavar="NUMBER")
    return made


def run(arguments: list[str]) -> int:
    """Serve until the client leaves or a signal comes."""
    wanted = flags().parse_args(arguments)
    if not wanted.http:
        stdio()
        return 0
    from mcp_server.server import http
    from mcp_server.settings import Settings

    http.run(Settings.read(), host=wanted.host, port=wanted.port, announce=lambda line: print(line, file=sys.stderr))
    return 0
