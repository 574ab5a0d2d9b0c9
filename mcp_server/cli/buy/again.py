"""`kling-video again`: buy an earlier clip once more, with changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_server.cli import parser, session
from mcp_server.cli.screen import Screen

if TYPE_CHECKING:
    from mcp_server.service import Service

WHAT = 'kling-video again TASK "9:16, pro", or --prompt and other flags.'


def flags() -> parser.Parser:
    """The command's flags."""
    made = parser.command("again", WHAT)
    made.add_argument("again", metavar="TASK", help="the earlier task")
    parser.add_video_flags(made, without="again")
    parser.add_buying_flags(made)
    return made


def run(argv: list[str]) -> int:
    """Buy it again."""
    given = flags().parse_intermixed_args(argv)
    arguments = parser.video_arguments(given)
    screen = Screen(as_json=given.json)
    from mcp_server.cli.buy.purchase import Purchase

    async def buy(service: Service) -> int:
        meant = arguments.model_copy(update={"again": await service.named(given.again)})
        buying = Purchase(
            service=service, screen=screen, arguments=meant, yes=given.yes, wait=not given.no_wait, notify=given.notify
        )
        return await buying.run()

    return session.run(buy)
