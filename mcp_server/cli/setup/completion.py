"""`kling-video completion`: tab completion, written from the commands' own flags."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from mcp_server import catalog
from mcp_server.cli import COMMANDS, parser
from mcp_server.domain.vocabulary import SANDBOX

_ASK = " $(kling-video completion tasks 2>/dev/null)"
SHELLS = ("bash", "zsh", "fish")
TASKS = "tasks"
"""What the scripts ask for in the place of a shell."""
_NEWEST = 50
_TAKE_TASKS = ("task", "wait", "again", "cancel", "settle", "open")
_TASK_FLAGS = ("--again", "--source-task")


def _shell(text: str) -> str:
    """A shell, or what its script asks for by itself."""
    if text not in (*SHELLS, TASKS):
        raise argparse.ArgumentTypeError(f"there are no completions for {text!r}, but for {', '.join(SHELLS)}")
    return text


@dataclass(frozen=True, slots=True)
class _Flag:
    """One flag, and what may follow it."""

    names: tuple[str, ...]
    what: str
    values: tuple[str, ...]
    takes_value: bool


def flags() -> parser.Parser:
    made = parser.command(
        "completion",
        'bash, zsh: eval "$(kling-video completion bash)"; fish: kling-video completion fish | source',
        as_json=False,
    )
    made.add_argument("shell", type=_shell, metavar="bash|zsh|fish")
    return made


def run(argv: list[str]) -> int:
    given = flags().parse_args(argv)
    if given.shell == TASKS:
        print("\n".join(asyncio.run(_newest())))
        return 0
    known = {name: _flags(name) for name in COMMANDS}
    print({"bash": _bash, "zsh": _zsh, "fish": _fish}[given.shell](known))
    return 0


async def _newest() -> list[str]:
    """Ids of the newest tasks, for the shell that asks while somebody types; nothing is followed or begun."""
    from mcp_server.composition import build

    service = build()
    try:
        return [task.task_id for task in (await service.tasks(limit=_NEWEST)).tasks]
    finally:
        await service.close()


def _flags(name: str) -> list[_Flag]:
    made: argparse.ArgumentParser = COMMANDS[name].load().flags()
    return [
        _Flag(
            names=tuple(action.option_strings),
            what=(action.help or "").replace("%%", "%"),
            values=tuple(str(value) for value in action.choices or _known(action.dest)),
            takes_value=action.nargs != 0,
        )
        for action in made._actions  # type: ignore[reportPrivateUsage] - argparse lists them nowhere else
        if action.option_strings and action.help != argparse.SUPPRESS
    ]


def _known(argument: str) -> Iterable[str]:
    """What stands in the facts for an argument whose values are no closed set."""
    found = catalog.load()
    match argument:
        case "provider":
            return (*found.providers, SANDBOX)
        case "model":
            return found.models
        case _:
            return ()


def _bash(known: dict[str, list[_Flag]]) -> str:
    every = [flag for found in known.values() for flag in found]
    choices = sorted({flag.values for flag in every if flag.values})
    cases = [
        f'    {_names(flag for flag in every if flag.values == values)}) words="{" ".join(values)}";;'
        for values in choices
    ]
    commands = [
        f'    {name}) words="{_names(found).replace("|", " ")}{_ASK if name in _TAKE_TASKS else ""}";;'
        for name, found in known.items()
    ]
    return "\n".join(
        [
            "_kling_video() {",
            '  local here="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" words=""',
            '  case "$before" in',
            *cases,
            f'    {"|".join(_TASK_FLAGS)}) words="{_ASK.strip()}";;',
            f'    {_names(filter(_is_file, every))}) COMPREPLY=($(compgen -f -- "$here")); return;;',
            "  esac",
            '  if [ "$COMP_CWORD" -eq 1 ]; then',
            f'    words="{" ".join(known)}"',
            '  elif [ -z "$words" ]; then',
            '    case "${COMP_WORDS[1]}" in',
            *commands,
            "    esac",
            "  fi",
            '  COMPREPLY=($(compgen -W "$words" -- "$here"))',
            "}",
            "complete -o default -F _kling_video kling-video kling",
        ]
    )


def _names(flags: Iterable[_Flag]) -> str:
    """A pattern of bash's `case`."""
    return "|".join(sorted({name for flag in flags for name in flag.names}))


def _zsh(known: dict[str, list[_Flag]]) -> str:
    lines = [
        "#compdef kling-video kling",
        f"_kling_video_tasks() {{ local -a ids=({_ASK.strip()}); compadd -a ids }}",
        "_kling_video() {",
        "  if (( CURRENT == 2 )); then",
        "    local -a commands=(",
    ]
    lines += [f"      {_quoted(f'{name}:{COMMANDS[name].what}')}" for name in known]
    lines += ["    )", "    _describe command commands", "    return", "  fi", '  case "$words[2]" in']
    for name, found in known.items():
        specs = " ".join(_zsh_spec(flag, one) for flag in found for one in flag.names)
        rest = "'*:task:_kling_video_tasks'" if name in _TAKE_TASKS else "'*:file:_files'"
        lines.append(f"    {name}) shift words; (( CURRENT-- )); _arguments {specs} {rest};;")
    lines += ["  esac", "}", "compdef _kling_video kling-video kling"]
    return "\n".join(lines)


def _zsh_spec(flag: _Flag, name: str) -> str:
    what = flag.what.replace("[", "(").replace("]", ")").replace(":", " ")
    spec = f"{name}[{what}]"
    if flag.values:
        spec += f":value:({' '.join(flag.values)})"
    elif name in _TASK_FLAGS:
        spec += ":task:_kling_video_tasks"
    elif _is_file(flag):
        spec += ":file:_files"
    elif flag.takes_value:
        spec += ":value:"
    return _quoted(spec)


def _fish(known: dict[str, list[_Flag]]) -> str:
    lines: list[str] = []
    for program in ("kling-video", "kling"):
        for name, found in known.items():
            lines.append(
                f"complete -c {program} -n __fish_use_subcommand -f -a {name} -d {_quoted(COMMANDS[name].what)}"
            )
            if name in _TAKE_TASKS:
                asked = _quoted(_ASK.strip().removeprefix("$"))
                lines.append(f"complete -c {program} -n '__fish_seen_subcommand_from {name}' -f -a {asked}")
            for flag in found:
                parts = [f"complete -c {program} -n '__fish_seen_subcommand_from {name}'"]
                parts += [f"-l {one[2:]}" if one.startswith("--") else f"-s {one[1:]}" for one in flag.names]
                if flag.values:
                    parts.append(f"-x -a {_quoted(' '.join(flag.values))}")
                elif flag.takes_value:
                    parts.append("-r")
                parts.append(f"-d {_quoted(flag.what)}")
                lines.append(" ".join(parts))
    return "\n".join(lines)


def _is_file(flag: _Flag) -> bool:
    return flag.takes_value and bool(
        {"--input", "--output-dir", "--image", "--video", "--audio-file"} & set(flag.names)
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
