"""`kling-video auth`: keys into a file only this user can read; never an argument, never shown."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import secrets
import sys
from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from mcp_server import catalog
from mcp_server.cli import parser
from mcp_server.cli.setup import checks
from mcp_server.domain.catalog import Provider
from mcp_server.errors import ArgumentError, LocalError
from mcp_server.providers.key_pair import key_pair, missing_half
from mcp_server.settings import KeyFile, KeyFiles, Settings

LOCK = "credentials.lock"
"""Empty, and left where it is: two that change keys at once take turns at it."""


KEY_LEAST = 8
"""Characters; what is shorter is a slip of the hand."""


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
    made.add_argument(
        "--pair",
        action="store_true",
        help=f"the access key and the secret key, which some offers go under ({', '.join(_paired())})",
    )
    made.add_argument("--json", action="store_true", help="with `status`: one object")
    return made


def _paired() -> Iterable[str]:
    return (facts.id for facts in catalog.load().providers.values() if facts.key_pair)


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
        facts = providers[given.provider]
        return _remove(settings, _with_pair(facts) if given.pair else facts, pair_alone=given.pair)
    # What stands here unasked may be a key: it is not said again.
    if given.what not in providers:
        raise ArgumentError("`auth` needs a provider", next_step=f"Say whose key to store: {', '.join(providers)}")
    if given.provider is not None:
        raise ArgumentError(
            "A key is never an argument",
            why="a shell remembers it, and every program on this machine can see it",
            next_step=f"Say `kling-video auth {given.what}` alone: it asks for it, or reads standard input",
        )
    facts = providers[given.what]
    return _store_pair(settings, _with_pair(facts)) if given.pair else _store(settings, facts)


def _with_pair(facts: Provider) -> Provider:
    if not facts.key_pair:
        raise ArgumentError(
            f"{facts.name} has no pair of keys",
            next_step=f"`kling-video auth {facts.id}` stores its key; a pair have {', '.join(_paired())}",
        )
    return facts


def _store(settings: Settings, facts: Provider) -> int:
    _readable(settings.key_file, settings.credentials_file)
    key = _alone(_asked(f"{facts.name} key (not shown): "), facts.key_variable)
    change(settings.credentials_file, lambda keys: keys | {facts.key_variable: key})
    _stored(settings, facts, (facts.key_variable,))
    if unpriced := checks.unpriced(settings, facts, catalog.load().prices):
        print(f"{unpriced}.")
    print("`kling-video doctor` asks the provider whether the key works; it spends nothing.")
    return 0


def _store_pair(settings: Settings, facts: Provider) -> int:
    """Both halves, or neither: one alone signs nothing."""
    _readable(settings.key_file, settings.credentials_file)
    asked = zip(facts.key_pair, ("access", "secret"), strict=True)
    pair = {name: _alone(_asked(f"{facts.name} {half} key (not shown): "), name) for name, half in asked}
    change(settings.credentials_file, lambda keys: keys | pair)
    _stored(settings, facts, facts.key_pair)
    print("The secret key is never sent: it signs a token for each call.")
    return 0


def _asked(words: str) -> str:
    return getpass.getpass(words) if sys.stdin.isatty() else sys.stdin.readline()


def _stored(settings: Settings, facts: Provider, names: Iterable[str]) -> None:
    print(f"Stored for {facts.name} in {settings.credentials_file} (readable by you alone).")
    for name in filter(settings.get, names):
        print(f"Note: {name} is also set in the environment, and goes first.")
    print("A server that is running takes it with its next call. From then on orders cost money.")


def _alone(pasted: str, variable: str) -> str:
    """The key without what is pasted around it; ArgumentError, which never repeats it, where it can be no key."""
    key = pasted.strip().removeprefix("export ").removeprefix(f"{variable}=")
    for word in ("Authorization:", "Bearer ", "Key ", "Token "):
        if key[: len(word)].lower() == word.lower():
            key = key[len(word) :].strip()
    if len(key) > 1 and key[0] == key[-1] and key[0] in "\"'":
        key = key[1:-1]
    why = ""
    if not key or any(sign.isspace() or not sign.isprintable() for sign in key):
        why = "it is empty or has spaces in it"
    elif not key.isascii():
        why = "it has letters that no header can carry"
    elif key.startswith(("http://", "https://", "${", "$", "<")):
        why = "it is an address, or stands for a key that is somewhere else"
    elif len(key) < KEY_LEAST:
        why = f"it has {len(key)} characters; every key that was seen has {KEY_LEAST} or more"
    if why:
        raise ArgumentError("That is not a key", why=why, next_step="Paste the key alone")
    return key


def _remove(settings: Settings, facts: Provider, *, pair_alone: bool) -> int:
    """Everything stored for it; of a pair and a key the pair alone, where that was said."""
    _readable(settings.key_file, settings.credentials_file)
    wanted = facts.key_pair if pair_alone else (facts.key_variable, *facts.key_pair)
    what = "pair of keys" if pair_alone else "key"
    if not any(name in settings.key_file.held for name in wanted):
        print(f"There was no stored {what} for {facts.name}.")
        return 0
    change(settings.credentials_file, lambda keys: {name: keys[name] for name in keys if name not in wanted})
    print(f"Removed the {what} for {facts.name}.")
    return 0


def _status(settings: Settings, providers: Mapping[str, Provider], *, as_json: bool) -> int:
    found = {
        facts.id: secret.origin if (secret := settings.secret(facts.key_variable, facts.token_file)) else None
        for facts in providers.values()
    }
    pairs = {
        facts.id: " and ".join(dict.fromkeys((pair.access.origin, pair.signing.origin)))
        if (pair := key_pair(facts, settings))
        else None
        for facts in providers.values()
        if facts.key_pair
    }
    if as_json:
        print(json.dumps({"keys": found, "pairs": pairs, "file": str(settings.credentials_file)}))
        _readable(settings.key_file, settings.credentials_file)
        return 0
    for name, origin in found.items():
        print(f"{name:10}  {'key from ' + origin if origin else 'no key'}")
        if said := f"pair from {pairs[name]}" if pairs.get(name) else missing_half(providers[name], settings):
            print(f"{'':10}  {said}")
    _readable(settings.key_file, settings.credentials_file)
    if not any((*found.values(), *pairs.values())):
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
