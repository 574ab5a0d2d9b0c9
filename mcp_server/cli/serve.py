"""`kling-video` alone, and `kling-video serve`: the MCP server on stdio or HTTP."""

from __future__ import annotations

import argparse
import gc

from mcp_server.settings import Settings


def stdio() -> None:
    """Serve stdin and stdout; does not return."""
    # Importing the SDK makes a great many objects that live as long as the process: looking through them again and
    # again while they are made, and at every collection after, is a tenth of the start and finds nothing.
    gc.disable()
    from mcp_server.tools.server import build_server
    from mcp_server.tools.stdio import run

    server = build_server()
    gc.freeze()
    gc.enable()
    run(server)


def run(arguments: list[str]) -> int:
    """`serve [--http] [--host HOST] [--port PORT]`."""
    parser = argparse.ArgumentParser(prog="kling-video serve", description="Serve MCP on stdio, or on HTTP.")
    parser.add_argument("--http", action="store_true", help="streamable HTTP at /mcp instead of stdio")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: only this machine)")
    parser.add_argument("--port", type=int, default=8000)
    wanted = parser.parse_args(arguments)
    if not wanted.http:
        stdio()
        return 0
    from mcp_server.tools import http

    http.run(Settings.read(), host=wanted.host, port=wanted.port)
    return 0
