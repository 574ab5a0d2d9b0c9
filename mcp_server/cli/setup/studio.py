"""`kling-video studio`: clips, films and spending as a page in the browser."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mcp_server.cli.parser import Parser

PORT: Final = 8765
_WHAT: Final = (
    "Only this machine reaches it, and a link that is good once opens it; KLING_HTTP_TOKEN lets others in.\n"
    "Ctrl-C ends it. `serve --http` has the same page at /studio."
)


def flags() -> Parser:
    from mcp_server.cli.parser import command, port

    made = command("studio", _WHAT, as_json=False)
    made.add_argument("--host", default="127.0.0.1", help="address to listen on (only this machine)")
    made.add_argument("--port", type=port, default=PORT, metavar="NUMBER")
    made.add_argument("--no-open", action="store_true", help="do not open the browser")
    return made


def run(arguments: list[str]) -> int:
    """Serve until a signal comes."""
    wanted = flags().parse_args(arguments)
    from mcp_server.cli.formatting import harmless_log
    from mcp_server.server import http
    from mcp_server.settings import Settings

    harmless_log()
    settings = Settings.read()

    def announce(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    def opened(link: str) -> None:
        if not wanted.no_open and sys.stderr.isatty():
            # The socket listens already: the browser waits the moment until somebody answers.
            _browse(link)

    http.run(
        settings,
        host=wanted.host,
        port=wanted.port,
        announce=announce,
        build=lambda port: http.build_studio(settings, host=wanted.host, port=port, announce=announce, opened=opened),
    )
    return 0


def _browse(link: str) -> None:
    """Open it in the browser, where this machine has one to open."""
    import contextlib

    from mcp_server import desktop
    from mcp_server.errors import LocalError

    with contextlib.suppress(LocalError):
        desktop.show(link)
