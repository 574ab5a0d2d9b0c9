"""Where each client keeps its MCP servers, and what stands there: read by `doctor`, written by `install`."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from mcp_server.cli.setup.client_files import plain
from mcp_server.settings import Settings

NAME = "kling"
"""Our key in every client's table of servers: tools are called `kling__…` or `mcp__kling__…` after it."""
PLUGIN = "kling-video"
State = Literal["registered", "broken", "unregistered", "unreadable", "absent"]
"""`broken`: the command that is registered is not there; `absent`: this client is not on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A program that can start MCP servers."""

    id: str
    name: str
    program: str
    """Its command; empty for a program with windows only."""
    path: Callable[[Settings], Path]
    table: tuple[str, ...]
    """Keys that lead to the servers inside the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What one client knows of us."""

    client: Client
    state: State
    detail: str = ""
    variables: frozenset[str] = frozenset()
    """Names that are set for the server in the client's own file."""


def _applications(settings: Settings) -> Path:
    """Where programs with windows keep what they are set to."""
    if sys.platform == "darwin":
        return settings.user_home / "Library" / "Application Support"
    if sys.platform == "win32":
        return Path(settings.get("APPDATA") or settings.user_home)
    return settings.user_home / ".config"


def _claude_desktop(settings: Settings) -> Path:
    return _applications(settings) / "Claude" / "claude_desktop_config.json"


def _zed(settings: Settings) -> Path:
    """zed.dev/docs/configuring-zed: `~/.config/zed` on macOS, too."""
    folder = _applications(settings) / "Zed" if sys.platform == "win32" else settings.user_home / ".config" / "zed"
    return folder / "settings.json"


def _cline(settings: Settings) -> Path:
    """Inside VS Code's own storage of extensions."""
    storage = _applications(settings) / "Code" / "User" / "globalStorage"
    return storage / "saoudrizwan.claude-dev" / "settings" / "cline_mcp_settings.json"


def _opencode(settings: Settings) -> Path:
    """opencode.ai/docs/config: the same folder on every system; with comments the file may end in jsonc."""
    plain = settings.user_home / ".config" / "opencode" / "opencode.json"
    commented = plain.with_suffix(".jsonc")
    return commented if commented.exists() and not plain.exists() else plain


def _goose(settings: Settings) -> Path:
    """Goose's "Configuration Overview"."""
    if sys.platform == "win32":
        return _applications(settings) / "Block" / "goose" / "config" / "config.yaml"
    return settings.user_home / ".config" / "goose" / "config.yaml"


def _codex(settings: Settings) -> Path:
    folder = settings.get("CODEX_HOME")
    return (Path(folder) if folder else settings.user_home / ".codex") / "config.toml"


def _openclaw(settings: Settings) -> Path:
    if path := settings.get("OPENCLAW_CONFIG_PATH"):
        return Path(path)
    folder = settings.get("OPENCLAW_STATE_DIR")
    return (Path(folder) if folder else settings.user_home / ".openclaw") / "openclaw.json"


def _claude_code(settings: Settings) -> Path:
    folder = settings.get("CLAUDE_CONFIG_DIR")
    return (Path(folder) if folder else settings.user_home) / ".claude.json"


CLIENTS: Mapping[str, Client] = {
    client.id: client
    for client in (
        Client(id="openclaw", name="OpenClaw", program="openclaw", path=_openclaw, table=("mcp", "servers")),
        Client(id="claude-code", name="Claude Code", program="claude", path=_claude_code, table=("mcpServers",)),
        Client(id="claude-desktop", name="Claude Desktop", program="", path=_claude_desktop, table=("mcpServers",)),
        Client(id="codex", name="Codex", program="codex", path=_codex, table=("mcp_servers",)),
        Client(
            id="cursor",
            name="Cursor",
            program="cursor",
            path=lambda settings: settings.user_home / ".cursor" / "mcp.json",
            table=("mcpServers",),
        ),
        Client(
            id="vscode",
            name="VS Code (this folder)",
            program="code",
            path=lambda _settings: Path.cwd() / ".vscode" / "mcp.json",
            table=("servers",),
        ),
        Client(
            id="gemini",
            name="Gemini CLI",
            program="gemini",
            path=lambda settings: settings.user_home / ".gemini" / "settings.json",
            table=("mcpServers",),
        ),
        Client(
            id="windsurf",
            name="Windsurf",
            program="windsurf",
            path=lambda settings: settings.user_home / ".codeium" / "windsurf" / "mcp_config.json",
            table=("mcpServers",),
        ),
        Client(id="zed", name="Zed", program="zed", path=_zed, table=("context_servers",)),
        Client(id="cline", name="Cline in VS Code", program="", path=_cline, table=("mcpServers",)),
        Client(id="opencode", name="opencode", program="opencode", path=_opencode, table=("mcp",)),
        Client(id="goose", name="Goose", program="goose", path=_goose, table=("extensions",)),
    )
}


def registrations(settings: Settings) -> list[Registration]:
    """Every client, and whether it knows this server; only files are read, no client is started."""
    return [registration(client, settings) for client in CLIENTS.values()]


def registration(client: Client, settings: Settings) -> Registration:
    """What this client's own file says of us."""
    path = client.path(settings)
    installed = bool(client.program and shutil.which(client.program))
    if not path.exists():
        here = installed or _at_home(client, path)
        return Registration(client=client, state="unregistered" if here else "absent")
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        return Registration(client=client, state="unreadable", detail=f"{path}: {error.strerror}")
    try:
        known = _read(path, text)
    except ValueError:
        return _by_eye(client, path, text)
    found = next((entry for entry in _servers(known, client.table) if entry), None)
    if found is None:
        return _from_plugin(client, path, text)
    return _judged(client, found)


def _judged(client: Client, entry: Mapping[str, Any]) -> Registration:
    variables: object = entry.get("env", entry.get("environment"))
    names = frozenset(cast("dict[str, Any]", variables)) if isinstance(variables, dict) else frozenset[str]()
    command: object = entry.get("command")
    if isinstance(command, list) and command:
        # opencode's is one list with its words.
        command = cast("list[object]", command)[0]
    if not isinstance(command, str):
        return Registration(client=client, state="registered", detail=str(entry.get("url") or ""), variables=names)
    if shutil.which(command) is None:
        return Registration(client=client, state="broken", detail=f"{command} is not there", variables=names)
    return Registration(client=client, state="registered", detail=command, variables=names)


def _servers(known: Any, table: tuple[str, ...]) -> Iterable[dict[str, Any]]:
    """Our entry in the client's table; in Claude Code's file also in the tables of single projects."""
    yield _inside(known, (*table, NAME))
    for project in _inside(known, ("projects",)).values():
        yield _inside(project, (*table, NAME))


def _inside(known: Any, keys: Iterable[str]) -> dict[str, Any]:
    for key in keys:
        known = cast("dict[str, Any]", known).get(key) if isinstance(known, dict) else None
    return cast("dict[str, Any]", known) if isinstance(known, dict) else {}


def _from_plugin(client: Client, path: Path, text: str) -> Registration:
    """A client that installed our plugin starts the server from there, not from its table."""
    places = [text]
    if client.id == "claude-code":
        beside = path.parent / ".claude" / "settings.json"
        places = [beside.read_text(encoding="utf-8")] if beside.exists() else []
    if any(re.search(rf'"{PLUGIN}(@[\w.-]+)?"', place) for place in places):
        command = shutil.which(PLUGIN)
        state: State = "registered" if command else "broken"
        return Registration(client=client, state=state, detail=command or f"plugin; {PLUGIN} is not on the PATH")
    return Registration(client=client, state="unregistered")


def _read(path: Path, text: str) -> Any:
    match path.suffix:
        case ".toml":
            return tomllib.loads(text)
        case ".yaml":
            raise ValueError("YAML is read by eye")
        case _:
            return json.loads(plain(text).strip() or "{}")


def _by_eye(client: Client, path: Path, text: str) -> Registration:
    """YAML, or a file that cannot be read: whether our name is a key in it can still be seen."""
    if re.search(rf"""["']?\b{NAME}["']?\s*[:\]]""", text):
        return Registration(client=client, state="registered", detail=f"seen in {path}")
    if path.suffix == ".yaml":
        return Registration(client=client, state="unregistered")
    return Registration(client=client, state="unreadable", detail=f"{path} is not plain {path.suffix[1:].upper()}")


def _at_home(client: Client, path: Path) -> bool:
    """Whether the client's own folder exists; a project's or the user's home says nothing about it."""
    return client.id not in ("vscode", "claude-code") and path.parent.is_dir()
