"""`kling-video install CLIENT`: registers the server with a client, without touching what is there already."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from mcp_server import catalog
from mcp_server.cli import parser
from mcp_server.cli.setup import client_files
from mcp_server.cli.setup.clients import CLIENTS, NAME
from mcp_server.cli.setup.variables import variables
from mcp_server.errors import LocalError, RequestError
from mcp_server.settings import Settings

CALL_MS = 120_000
"""No tool takes longer than 25 s; this is room for a slow machine, not a need."""
START_S = 60
"""A first start compiles the program's files; clients' own limits of 10 s are too close to that."""


@dataclass(frozen=True, slots=True)
class Server:
    """How a client starts us."""

    command: str
    args: tuple[str, ...]
    env: Mapping[str, str]

    def entry(self, **extra: object) -> dict[str, object]:
        """As most clients write it."""
        row: dict[str, object] = {"command": self.command, "args": list(self.args), **extra}
        return {**row, "env": dict(self.env)} if self.env else row


@dataclass(frozen=True, slots=True)
class Ask:
    """What the user wants done."""

    settings: Settings
    server: Server
    only_print: bool
    force: bool


def flags() -> parser.Parser:
    made = parser.command("install", "What is there already is not touched.", as_json=False)
    made.add_argument("client", choices=tuple(WAYS), metavar="CLIENT", help=", ".join(WAYS))
    made.add_argument("--print", action="store_true", dest="only_print", help="show what would be written")
    made.add_argument("--force", action="store_true", help="replace an entry of the same name")
    return made


def run(argv: list[str]) -> int:
    """Write the registration, or print it."""
    given = flags().parse_args(argv)
    settings = Settings.read()
    print(WAYS[given.client](Ask(settings, this_server(settings), given.only_print, given.force)))
    return 0


def this_server(settings: Settings) -> Server:
    """This very installation, by absolute path: clients start servers with a path of their own."""
    beside = [Path(sys.executable).with_name(name) for name in ("kling-video", "kling-video.exe")]
    command = next((str(path) for path in beside if path.exists()), None) or shutil.which("kling-video")
    env = {
        variable.name: value
        for variable in variables(catalog.load())
        # Clients' files are read by many: keys stay in ours. What is set for a rehearsal or for HTTP is not for them.
        if not variable.secret and not variable.name.startswith(("KLING_SANDBOX", "KLING_HTTP"))
        if (value := settings.get(variable.name))
    }
    if command is None:
        return Server(sys.executable, ("-m", "mcp_server"), env)
    return Server(command, (), env)


def _openclaw(ask: Ask) -> str:
    entry = ask.server.entry(requestTimeoutMs=CALL_MS, connectTimeoutMs=START_S * 1000, supportsParallelToolCalls=True)
    command = ["openclaw", "mcp", "set", NAME, json.dumps(entry)]
    return _by_command(command, ["openclaw", "mcp", "show", NAME], ask)


def _claude_code(ask: Ask) -> str:
    command = [
        "claude",
        "mcp",
        "add-json",
        "--scope",
        "user",
        NAME,
        json.dumps({"type": "stdio", **ask.server.entry()}),
    ]
    return _by_command(command, ["claude", "mcp", "get", NAME], ask)


def _claude_desktop(ask: Ask) -> str:
    return _into_json("claude-desktop", ask.server.entry(), ask)


def _cursor(ask: Ask) -> str:
    return _into_json("cursor", ask.server.entry(), ask)


def _vscode(ask: Ask) -> str:
    return _into_json("vscode", {"type": "stdio", **ask.server.entry()}, ask)


def _gemini(ask: Ask) -> str:
    return _into_json("gemini", ask.server.entry(timeout=CALL_MS), ask)


def _windsurf(ask: Ask) -> str:
    return _into_json("windsurf", ask.server.entry(), ask)


def _zed(ask: Ask) -> str:
    return _into_json("zed", ask.server.entry(), ask)


def _cline(ask: Ask) -> str:
    return _into_json("cline", ask.server.entry(timeout=CALL_MS // 1000), ask)


def _opencode(ask: Ask) -> str:
    """opencode.ai/docs/mcp-servers: the command and its words are one list; `timeout` is for the list of tools."""
    entry: dict[str, object] = {"type": "local", "command": [ask.server.command, *ask.server.args], "enabled": True}
    if ask.server.env:
        entry["environment"] = dict(ask.server.env)
    return _into_json("opencode", {**entry, "timeout": START_S * 1000}, ask)


def _goose(ask: Ask) -> str:
    """Goose's "Configuration Overview": an extension of the type stdio."""
    path = CLIENTS["goose"].path(ask.settings)
    rows = {
        "enabled": True,
        "name": NAME,
        "type": "stdio",
        "description": "Kling video: priced first, bought once, saved to disk",
        "cmd": ask.server.command,
        "args": list(ask.server.args),
        "envs": dict(ask.server.env),
        "timeout": CALL_MS // 1000,
    }
    text = client_files.in_yaml("", "extensions", NAME, rows) or ""
    if ask.only_print:
        return f"# {path}\n{text}"
    try:
        made = client_files.in_yaml(_known(path), "extensions", NAME, rows)
    except client_files.PlaceError as error:
        raise _not_ours(path, "it is written in another way than Goose writes it", text) from error
    if made is None:
        raise _already(path, text)
    _write(path, made)
    return f"Added `{NAME}` to the extensions in {path}. Restart Goose."


def _codex(ask: Ask) -> str:
    path = CLIENTS["codex"].path(ask.settings)
    lines = [
        f"[mcp_servers.{NAME}]",
        f"command = {json.dumps(ask.server.command)}",
        f"args = {json.dumps(list(ask.server.args))}",
        f"startup_timeout_sec = {START_S}",
        f"tool_timeout_sec = {CALL_MS // 1000}",
    ]
    if ask.server.env:
        lines += [
            f"[mcp_servers.{NAME}.env]",
            *(f"{key} = {json.dumps(value)}" for key, value in ask.server.env.items()),
        ]
    text = "\n".join(lines) + "\n"
    if ask.only_print:
        return f"# {path}\n{text}"
    import tomllib

    known = _known(path)
    try:
        there = NAME in cast("dict[str, Any]", tomllib.loads(known).get("mcp_servers", {}))
    except tomllib.TOMLDecodeError as error:
        raise _not_ours(path, f"it is not valid TOML ({error})", text) from error
    if there:
        # Taking a table out of someone's TOML by hand loses their comments; they know their file better.
        raise _already(path, text)
    _write(path, known + ("\n" if known and not known.endswith("\n\n") else "") + text)
    return f"Added [mcp_servers.{NAME}] to {path}. Restart Codex."


WAYS: Mapping[str, Callable[[Ask], str]] = {
    "openclaw": _openclaw,
    "claude-code": _claude_code,
    "claude-desktop": _claude_desktop,
    "codex": _codex,
    "cursor": _cursor,
    "vscode": _vscode,
    "gemini": _gemini,
    "windsurf": _windsurf,
    "zed": _zed,
    "cline": _cline,
    "opencode": _opencode,
    "goose": _goose,
}


def _by_command(command: list[str], look: list[str], ask: Ask) -> str:
    """Through the client's own command: only it knows its file's format."""
    import shlex

    text = subprocess.list2cmdline(command) if sys.platform == "win32" else shlex.join(command)
    if ask.only_print:
        return text
    program = shutil.which(command[0])
    if program is None:
        print(text)
        raise LocalError(f"`{command[0]}` is not on the PATH", next_step="Run what is printed here where it is")
    there = subprocess.run([program, *look[1:]], capture_output=True, stdin=subprocess.DEVNULL, check=False)  # noqa: S603
    if there.returncode == 0 and not ask.force:
        raise _already(Path(command[0]), text)
    done = subprocess.run(  # noqa: S603 - the client's own command, found on the user's PATH
        [program, *command[1:]], capture_output=True, stdin=subprocess.DEVNULL, check=False, text=True
    )
    if done.returncode != 0:
        raise LocalError(
            f"`{command[0]}` refused: {(done.stderr or done.stdout).strip()[:400]}",
            next_step=f"Run it yourself: {text}",
        )
    return f"Registered `{NAME}` with {command[0]}. {done.stdout.strip()}"


def _into_json(client: str, entry: dict[str, object], ask: Ask) -> str:
    path, table = CLIENTS[client].path(ask.settings), CLIENTS[client].table[0]
    text = json.dumps({table: {NAME: entry}}, indent=2)
    if ask.only_print:
        return f"// {path}\n{text}"
    known = _known(path)
    try:
        root: Any = json.loads(client_files.plain(known).strip() or "{}")
    except ValueError as error:
        raise _not_ours(path, "it is not JSON", text) from error
    if not isinstance(root, dict) or not isinstance(root.get(table, {}), dict):  # type: ignore[reportUnknownMemberType]
        raise _not_ours(path, f"`{table}` is not an object in it", text)
    servers = cast("dict[str, Any]", root.get(table, {}))  # type: ignore[reportUnknownMemberType]
    if servers.get(NAME) == entry:
        return f"{path} has this entry already."
    if NAME in servers and not ask.force:
        raise _already(path, text)
    try:
        made = client_files.in_json(known, table, NAME, entry)
    except client_files.PlaceError as error:
        raise _not_ours(path, f"`{table}` was not found in it for sure", text) from error
    _write(path, made)
    return f"Wrote `{NAME}` into {path}. Restart the client."


def _known(path: Path) -> str:
    """What is in the file, as it is written there."""
    return path.read_text(encoding="utf-8-sig") if path.exists() else ""


def _write(path: Path, text: str) -> None:
    """The file, replaced whole, with a copy of what was there beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        shutil.copy2(path, path.with_name(f"{path.name}.before-kling"))
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    if path.exists():
        shutil.copymode(path, draft)
    draft.replace(path)


def _already(path: Path, text: str) -> RequestError:
    print(text)
    return RequestError(
        f"{path} has an entry `{NAME}` already; it was left as it is",
        next_step="Use --force to replace it, or put there what is printed here",
    )


def _not_ours(path: Path, why: str, text: str) -> RequestError:
    print(text)
    return RequestError(f"{path} was left as it is", why=why, next_step="Put there yourself what is printed here")
