"""`kling-video generate`: order a clip, watch it being made, get the file."""

from __future__ import annotations

from mcp_server.cli import parser, session
from mcp_server.cli.screen import Screen

WHAT = "Its path is printed on standard output, all else on standard error."
EXAMPLE = 'Example: kling-video generate "kling 4k, vertical, 10s: a neon city"'


def flags() -> parser.Parser:
    """The command's flags."""
    made = parser.command("generate", WHAT, epilog=EXAMPLE)
    parser.add_video_flags(made)
    parser.add_buying_flags(made)
    return made


def run(argv: list[str]) -> int:
    """Buy one clip."""
    given = flags().parse_intermixed_args(argv)
    arguments = parser.video_arguments(given)
    from mcp_server.cli.buy.purchase import Purchase

    screen = Screen(as_json=given.json)
    return session.run(
        lambda service: Purchase(
            service=service,
            screen=screen,
            arguments=arguments,
            yes=given.yes,
            wait=not given.no_wait,
            notify=given.notify,
        ).run()
    )
