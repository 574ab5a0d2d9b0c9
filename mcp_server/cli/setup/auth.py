"""`kling-video auth`: keys into a file only this user can read; never an argument, never shown."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import secrets
import sys
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import IO, Any

from mcp_server import catalog
from mcp_server.cli import parser
from mcp_server.cli.setup import checks
from mcp_server.domain.catalog import Provider
from mcp_server.errors import ArgumentError, LocalError
from mcp_server.settings import KeyFile, KeyFiles, Settings

LOCK = "credentials.lock"
"""Empty, and left where it is: two that change keys at once take turns at it."""


def flags() -> parser.Parser:
    made = parser.command(
        "auth",
        "In a file only this user can read; a key is asked for, never an argument, and never shown.",
        as_json=False,
    )
    made.add_argument(
        "what",
        nargs="?",
        default="status",
        metavar="PROVIDER|status|remove",
        help=f"whose key to store ({', '.join(catalog.load().providers)}); `status`, or nothing, shows what there is",
    )
    made.add_argument("provider", nargs="?", metavar="PROVIDER", help="with `remove`: whose key")
    made.add_argument("--json", action="store_true", help="with `status`: one object")
    return made


def run(argv: list[str]) -> int:
    given = flags().parse_args(argv)
    providers = catalog.load().providers
    settings = Settings.read()
    if given.what == "status":
        return _status(settings, providers, as_json=given.json)
    if given.what == "remove":
        if given.provider not in providers:
            raise ArgumentError(
                "`auth remove` needs a provider", next_step=f"Say whose key to remove: {', '.join(providers)}"
            )
        return _remove(settings, providers[given.provider])
    # What stands here unasked may be a key: it is not said again.
    if given.what not in providers:
        raise ArgumentError("`auth` needs a provider", next_step=f"Say whose key to store: {', '.join(providers)}")
    if given.provider is not None:
        raise ArgumentError(
            "A key is never an argument",
            why="a shell remembers it, and every program on this machine can see it",
            next_step=f"Say `kling-video auth {given.what}` alone: it asks for it, or reads standard input",
        )
    return _store(settings, providers[given.what])


def _store(settings: Settings, facts: Provider) -> int:
    _readable(settings.key_file, settings.credentials_file)
    if sys.stdin.isatty():
        key = getpass.getpass(f"{facts.name} key (not shown): ")
    else:
        key = sys.stdin.readline()
    key = key.strip()
    if not key or any(ch.isspace() or not ch.isprintable() for ch in key):
        raise ArgumentError("That is not a key", why="it is empty or has spaces in it", next_step="Paste the key alone")
    change(settings.credentials_file, lambda keys: keys | {facts.key_variable: key})
    print(f"Stored for {facts.name} in {settings.credentials_file} (readable by you alone).")
    if settings.get(facts.key_variable):
        print(f"Note: {facts.key_variable} is also set in the environment, and goes first.")
    print("A server that is running takes it with its next call. From then on orders cost money.")
    if unpriced := checks.unpriced(settings, facts, catalog.load().prices):
        print(f"{unpriced}.")
    print("`kling-video doctor` asks the provider whether the key works; it spends nothing.")
    return 0


def _remove(settings: Settings, facts: Provider) -> int:
    _readable(settings.key_file, settings.credentials_file)
    name = facts.key_variable
    if name not in settings.key_file.held:
        print(f"There was no stored key for {facts.name}.")
        return 0
    change(settings.credentials_file, lambda keys: {other: keys[other] for other in keys if other != name})
    print(f"Removed the key for {facts.name}.")
    return 0


def _status(settings: Settings, providers: Mapping[str, Provider], *, as_json: bool) -> int:
    found = {
        facts.id: secret.origin if (secret := settings.secret(facts.key_variable, facts.token_file)) else None
        for facts in providers.values()
    }
    if as_json:
        print(json.dumps({"keys": found, "file": str(settings.credentials_file)}))
        _readable(settings.key_file, settings.credentials_file)
        return 0
    for name, origin in found.items():
        print(f"{name:10}  {'key from ' + origin if origin else 'no key'}")
    _readable(settings.key_file, settings.credentials_file)
    if not any(found.values()):
        print("No key at all: the sandbox plays the vendors, for free. `kling-video auth PROVIDER` stores a key.")
    return 0


def _readable(found: KeyFile, path: Path) -> None:
    """Nothing, or the refusal to touch a key file that cannot be understood: there may be keys in it."""
    if found.trouble:
        raise LocalError(
            f"{path} cannot be read",
            why=f"{found.trouble}. It was left as it is: keys in it would be lost",
            next_step="Correct it, or move it away and store the keys again",
        )


def change(path: Path, made: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """The key file with one change, made to what is in it at that moment and to nothing else."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _turn(path.with_name(LOCK)):
            found = KeyFiles().read(path)
            _readable(found, path)
            write(path, made(dict(found.held)))
    except OSError as error:
        raise LocalError(f"{path} could not be written ({error.strerror})", next_step="Set KLING_HOME") from error


@contextlib.contextmanager
def _turn(path: Path) -> Generator[None]:
    """One at a time; whoever holds it lets go by ending, however it ends."""
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        _lock(file)
        yield


def _lock(file: IO[bytes]) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)


def write(path: Path, keys: Mapping[str, Any]) -> None:
    """The key file, replaced whole, never readable by others even for a moment."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(keys, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise LocalError(f"{path} could not be written ({error.strerror})", next_step="Set KLING_HOME") from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()
