"""`kling-video`: the MCP server when called alone, a command otherwise. Imports nothing heavy before it knows which."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Final

from mcp_server import __version__
from mcp_server.cli import COMMANDS
from mcp_server.errors import ArgumentError, KlingError

_BAD_USAGE: Final = 64
_INTERRUPTED: Final = 130
_PIPE_CLOSED: Final = 141
_INVALID: Final = 22
_LISTED: Final = '`kling-video --help` lists the commands; `kling-video "kling 4k: a neon city"` orders a clip'
_ELSEWHERE: Final = {
    "redo": "`kling-video again TASK` orders a clip again, `kling-video film FILM --redo SHOT` one shot of a film",
    "sheet": "`kling-video task TASK --sheet` makes the contact sheet of a clip",
    "balance": "`kling-video doctor` asks every vendor what is left",
    "list": "`kling-video tasks` lists what was ordered, `kling-video models` what is sold",
    "buy": "`kling-video generate` orders a clip",
    "play": "`kling-video open TASK` shows a clip",
}
"""What people look for under other names than ours."""


def main(argv: list[str] | None = None) -> int:
    """One command; the exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    _never_silenced()
    if not arguments:
        from mcp_server.cli.setup.serve import stdio

        try:
            stdio()
        except KlingError as error:
            return _refused(error, "serve", as_json=False)
        return 0
    name, *rest = arguments
    if name == "help" and rest:
        name, rest = rest[0], ["--help"]
    if name in {"-h", "--help", "help"}:
        print(usage())
        return 0
    if name in {"-V", "--version", "version"}:
        print(f"kling-video {__version__}")
        return 0
    try:
        _whole(arguments)
        if _is_sentence(name):
            name, rest = "generate", arguments
        return _ended(lambda: command(name)(rest))
    except KlingError as error:
        return _refused(error, name, as_json="--json" in rest)


def _never_silenced() -> None:
    """No command ends for what it cannot say, least of all behind a purchase: nobody there, or no letter for it."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        # Closed by the caller (`>&-`), or none by nature, as under pythonw.
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - open to the end
    if getattr(sys.stdout, "errors", "") == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[reportAttributeAccessIssue]


def command(name: str) -> Callable[[list[str]], int]:
    """What runs this command; ArgumentError names the nearest one there is."""
    if name not in COMMANDS:
        from difflib import get_close_matches

        near = get_close_matches(name, COMMANDS, n=1)
        if name in _ELSEWHERE:
            raise ArgumentError(f"There is no command {name!r}", next_step=_ELSEWHERE[name])
        hint = f"Did you mean `kling-video {near[0]}`?" if near else _LISTED
        raise ArgumentError(f"There is no command {name!r}", next_step=hint)
    return COMMANDS[name].run


def _is_sentence(argument: str) -> bool:
    """Whether it can only be an order in words; ArgumentError if it is a command that was quoted as one word."""
    first, *more = argument.split()[:2] or [""]
    if more and first in COMMANDS:
        # Taken as an order, a quoted "estimate kling 4k: a cat" would buy.
        raise ArgumentError(f"{argument!r} is one word here", next_step=f"Put the quotes after `kling-video {first}`")
    return bool(more)


def _whole(arguments: list[str]) -> None:
    """Nothing, or the refusal of bytes that are no text; Python hands those on as halves of characters."""
    from mcp_server.domain.damaged_text import damaged

    for number, text in enumerate(arguments, 1):
        if where := damaged(text, f"argument {number}"):
            raise ArgumentError(
                f"A character was damaged on its way here, in {where}",
                why="it is no UTF-8, or U+FFFD, which stands where something could not be read",
                next_step="Write it again, whole and in UTF-8; a file with such a name has to be renamed",
            )


def usage() -> str:
    """All commands, one line each."""
    lines = [f"  {name:<10}  {entry.what}" for name, entry in COMMANDS.items()]
    return "\n".join(
        [
            "kling-video: every way to buy a Kling video. Alone, it serves MCP on stdio.",
            "",
            "usage: kling-video [COMMAND] [--help]",
            "",
            *lines,
            "",
            'kling-video "kling 4k, vertical, 10s: a neon city" is short for generate.',
            "Without a key every vendor is played by a free sandbox; `kling-video auth` stores a key.",
            "Exit codes: 0 done, 64 bad arguments, 65 bad input, 69 provider failed, 73 disk, file or record,",
            "75 try later, 77 not signed in, 78 refused by budget, 130 stopped by Ctrl-C.",
        ]
    )


def _ended(run: Callable[[], int]) -> int:
    """The exit code, also where the command was cut short."""
    try:
        code = run()
        sys.stdout.flush()
    except SystemExit as end:
        # argparse says 2 of a wrong flag.
        return _BAD_USAGE if end.code == 2 else end.code if isinstance(end.code, int) else 0
    except KeyboardInterrupt:
        return _INTERRUPTED
    except OSError as error:
        # Whoever read has seen enough, which Windows calls an invalid argument.
        if not (isinstance(error, BrokenPipeError) or (sys.platform == "win32" and error.errno == _INVALID)):
            raise
        # Without this, Python complains once more while it ends.
        import os

        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    else:
        return code


def _refused(error: KlingError, name: str, *, as_json: bool) -> int:
    if as_json:
        import json

        from mcp_server.cli.screen import Screen

        Screen().facts(json.loads(json.dumps({"error": error.as_dict()}, default=str)))
    from mcp_server.cli.formatting import shown, typed

    # Nobody fears for their money while keys, clients and shells are set up.
    without_money = name in COMMANDS and COMMANDS[name].module.startswith("setup.") and error.money == "not_spent"
    print(shown(typed(error.story if without_money else str(error))), file=sys.stderr)
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
