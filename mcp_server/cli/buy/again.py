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
    made.add_argument("task", metavar="TASK", help="the earlier task")
    parser.add_video_flags(made)
    parser.add_buying_flags(made)
    return made


def run(argv: list[str]) -> int:
    """Buy it again."""
    given = flags().parse_intermixed_args(argv)
    changes = parser.said(given)
    screen = Screen(as_json=given.json)
    from mcp_server.cli.buy.purchase import Purchase

    async def buy(service: Service) -> int:
        arguments = await service.again(given.task, changes, words=" ".join(given.words))
        return await Purchase(
            service=service, screen=screen, arguments=arguments, yes=given.yes, wait=not given.no_wait
        ).run()

    return session.run(buy)
