"""The environment, read once, and the key files, read again when they change; nothing else here looks at either."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

from mcp_server.errors import ArgumentError, LocalError

_UNEXPANDED = re.compile(r"^\$\{[^}]*\}$")
"""What a client passes when its own variable was missing: OpenClaw hands `${NAME}` on literally."""
MONEY: Final = (
    "KLING_DAILY_BUDGET_USD",
    "KLING_OWNER_BUDGETS",
    "KLING_CONFIRM_ABOVE_USD",
    "KLING_ACCEPT_UNKNOWN_PRICE",
    "KLING3API_USD_PER_CREDIT",
)
ACCESS: Final = ("KLING_HTTP_TOKEN", "KLING_HTTP_ISSUER", "KLING_HTTP_URL")
ENDPOINTS: Final = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)
"""OpenTelemetry's own variables; one of them turns all of this on."""
SHARED: Final = ("KLING_DATABASE_URL", "KLING_STORE_URL")
_GUARDS: Final = frozenset((*MONEY, *ACCESS, *SHARED))
"""What guards money or the door: of these, anything half expanded is refused, for unset would mean no limit, or a
record of its own."""
_AMOUNT: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9}")
_TOKEN_NAMES = ("token", "api_key", "access_token")
"""What vendors' own clients call a key in their files."""
TOKEN_LEAST: Final = 16
_SECRET_NAME: Final = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL|DATABASE_URL")
OBJECTS: Final = ("s3", "gs", "az")
"""Schemes of addresses in an object store."""
_LOOPBACK: Final = re.compile(r"http://(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?(?:/|$)")
_YES_OR_NO = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def is_object(address: str) -> bool:
    """Whether it lies in an object store and not in a folder."""
    scheme, found, _ = address.partition("://")
    return bool(found) and scheme in OBJECTS


@dataclass(frozen=True, slots=True)
class Secret:
    """A key that never shows itself."""

    value: str = field(repr=False)
    origin: str
    """Where it came from, for `doctor`; never the value."""

    def __str__(self) -> str:
        return "•••"


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A file of keys as it was found."""

    held: Mapping[str, Any] = field(repr=False, default_factory=dict[str, Any])
    trouble: str = ""
    """Why it cannot be read, never what is in it; empty when it can be, or is not there."""


class KeyFiles:
    """Files of keys, each read again only when it changed: `auth` may run beside a server of many days."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[object, KeyFile]] = {}

    def read(self, path: Path) -> KeyFile:
        """The file as it is now."""
        # Looked at before it is read: what is written in between shows at the next look.
        face = _face(path)
        if path not in self._known or self._known[path][0] != face:
            self._known[path] = (face, _read(path))
        return self._known[path][1]


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the user can set: variables as they were at the start, keys in files as they are now."""

    variables: Mapping[str, str] = field(repr=False)
    """Variables that are really set: not empty, not an unexpanded `${NAME}`."""
    _key_files: KeyFiles = field(repr=False, compare=False, default_factory=KeyFiles)
    _paths: dict[str, Path] = field(repr=False, compare=False, default_factory=dict[str, Path])
    """Made once of variables that stay: they are asked for many times at every order."""

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """The settings as they are now."""
        source = os.environ if environ is None else environ
        variables = {name: text for name, value in source.items() if (text := value.strip()) and not _unset(name, text)}
        return cls(variables)

    def check(self) -> None:
        """Nothing, or the refusal of a limit whose variable cannot be read: no server starts with it."""
        _ = (
            self.daily_budget_usd,
            self.owner_budgets,
            self.confirm_above_usd,
            self.accept_unknown_price,
            self.usd_per_credit,
        )
        _ = self.notify_command, self.notify_url and self.notify_secret
        _ = self.database_url, self.worker_providers, self.public_url, self.store_url, self.log_as_json

    def get(self, name: str) -> str | None:
        """A variable, or None when it is unset."""
        return self.variables.get(name)

    @property
    def user_home(self) -> Path:
        """The user's; LocalError where there is none: a container runs as any number, and not all have a name."""
        return self._made("HOME", lambda: Path(self.get("HOME") or _home()))

    @property
    def home(self) -> Path:
        """Where the record and the keys live."""
        name = "KLING_HOME"
        return self._made(name, lambda: _path(self.get(name), self.user_home) or self.user_home / ".kling-video")

    @property
    def output_dir(self) -> Path:
        """Where clips go, as far as they go into a folder."""
        return self._made("clips", self._clips)

    def _clips(self) -> Path:
        store = self.store_url
        if store is not None and not is_object(store):
            from urllib.parse import unquote

            return Path(unquote(store.removeprefix("file://").removeprefix("localhost")))
        return _path(self.get("KLING_OUTPUT_DIR"), self.user_home) or self.user_home / "kling-videos"

    def folder(self, name: str | None) -> Path:
        """The folder a caller named for a clip; the default one when none was."""
        return _path(name if name and name.strip() else None, self.user_home) or self.output_dir

    @property
    def store_url(self) -> str | None:
        """Where all machines keep clips, and what was ordered with: a bucket, or a folder that all of them reach."""
        text = self.get("KLING_STORE_URL")
        if text is None:
            return None
        from urllib.parse import urlsplit

        found = urlsplit(text)
        folder = found.scheme == "file" and found.netloc in ("", "localhost") and len(found.path) > 1
        bucket = is_object(text) and found.netloc and "@" not in found.netloc
        if not (folder or bucket) or found.query or found.fragment:
            raise ArgumentError(
                "KLING_STORE_URL is no address of a store for clips",
                next_step="Write it as s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or "
                "file:///FOLDER, or unset it for folders; the keys stand in variables of their own",
            )
        return text.rstrip("/")

    @property
    def bucket(self) -> str | None:
        """The object store all clips go to; None where they go to folders."""
        store = self.store_url
        return store if store is not None and is_object(store) else None

    def destination(self, name: str | None) -> str:
        """Where a caller's clip goes: the folder named, else the default one, else the object store; ArgumentError."""
        if self.bucket is None:
            return str(self.folder(name))
        if name and name.strip():
            raise ArgumentError(
                "No folder can be named here: clips go to the object store of this service",
                next_step="Leave output_dir out; get_task gives a link to the clip",
            )
        return self.bucket

    @property
    def kept_media(self) -> str:
        """Where the bytes of an order are kept: beside the clips where other machines work on it, else at home."""
        if self.bucket is not None:
            return f"{self.bucket}/media"
        return str(self.output_dir / ".media" if self.made_elsewhere else self.home / "media")

    @property
    def posters(self) -> Path:
        """The folder of clips' posters: beside the clips where other machines save and show them, else at home."""
        shared = self.made_elsewhere and self.bucket is None
        return self.output_dir / ".posters" if shared else self.home / "posters"

    @property
    def made_elsewhere(self) -> bool:
        """Whether what is ordered here may be made on another machine."""
        return self.database_url is not None

    @property
    def database(self) -> Path:
        return self.home / "tasks.db"

    @property
    def has_record(self) -> bool:
        """Whether there may be purchases to look after; where nothing was ever bought, there is no record."""
        return self.database_url is not None or self.database.exists()

    @property
    def database_url(self) -> Secret | None:
        """Where the record is that many machines share; None where it is the file of this one."""
        text = self.get("KLING_DATABASE_URL")
        if text is None:
            return None
        if sys.platform == "win32":
            raise ArgumentError(
                "KLING_DATABASE_URL does not work on Windows",
                why="the driver of that database cannot use the event loop there, which starts the media work",
                next_step="Unset it for a file of this machine, or run the servers and workers on Linux",
            )
        if not text.startswith(("postgresql://", "postgres://")):
            raise ArgumentError(
                "KLING_DATABASE_URL is no address of a Postgres database",
                next_step="Write it as postgresql://USER:PASSWORD@HOST/NAME, or unset it for a file of this machine",
            )
        return Secret(text, "KLING_DATABASE_URL")

    @property
    def worker_providers(self) -> frozenset[str]:
        """Vendors that the workers behind the shared record have keys for; a process that only orders needs none."""
        text = self.get("KLING_WORKER_PROVIDERS")
        if text is None or self.database_url is None:
            return frozenset()
        return frozenset(name.strip().lower() for name in text.split(",") if name.strip())

    @property
    def credentials_file(self) -> Path:
        return self._made("credentials", lambda: self.home / "credentials.json")

    @property
    def key_file(self) -> KeyFile:
        """`credentials.json` with all that is in it."""
        return self._key_files.read(self.credentials_file)

    @property
    def credentials(self) -> Mapping[str, str]:
        """Keys from `credentials.json`, by variable name."""
        return {name: text for name, value in self.key_file.held.items() if (text := _text(value))}

    @property
    def daily_budget_usd(self) -> Decimal | None:
        return self._money("KLING_DAILY_BUDGET_USD")

    @property
    def owner_budgets(self) -> Mapping[str, Decimal]:
        """What each owner of a server may spend in a day; `*` is everybody who is not named."""
        text = self.get("KLING_OWNER_BUDGETS")
        found: dict[str, Decimal] = {}
        for part in (text or "").split(","):
            if not part.strip():
                continue
            owner, sign, amount = part.rpartition("=")
            owner, amount = owner.strip(), amount.strip()
            if not sign or not owner or owner in found or not _AMOUNT.fullmatch(amount):
                raise ArgumentError(
                    f"KLING_OWNER_BUDGETS cannot be read at {part.strip()[:80]!r}",
                    why="a limit that is guessed holds nothing",
                    next_step="Write it as OWNER=USD,OWNER=USD, each owner once; * is everybody else: ann=20,*=5",
                )
            found[owner] = Decimal(amount)
        return found

    @property
    def confirm_above_usd(self) -> Decimal | None:
        return self._money("KLING_CONFIRM_ABOVE_USD")

    @property
    def accept_unknown_price(self) -> bool:
        """The standing yes to prices nobody publishes."""
        text = self.get("KLING_ACCEPT_UNKNOWN_PRICE") or "0"
        if text.lower() not in _YES_OR_NO:
            raise ArgumentError(
                f"KLING_ACCEPT_UNKNOWN_PRICE={text!r} is neither yes nor no",
                next_step="Set KLING_ACCEPT_UNKNOWN_PRICE to 1 or 0, or unset it",
            )
        return _YES_OR_NO[text.lower()]

    @property
    def usd_per_credit(self) -> Decimal | None:
        """What the user says a kling3api credit costs; nobody publishes it."""
        worth = self._money("KLING3API_USD_PER_CREDIT")
        if worth == 0:
            raise ArgumentError(
                "KLING3API_USD_PER_CREDIT is 0",
                why="every price in credits would be nothing, and no limit would hold",
                next_step="Set it to what one credit cost you, or unset it",
            )
        return worth

    @property
    def notify_command(self) -> tuple[str, ...]:
        """The program that is run when a task has ended, and its words; none where none shall be."""
        text = self.get("KLING_NOTIFY_COMMAND")
        if text is None:
            return ()
        import shlex

        try:
            if sys.platform != "win32":
                return tuple(shlex.split(text))
            # There a backslash parts folders, and quotes stay around a word that is split like this.
            return tuple(word.strip('"') for word in shlex.split(text, posix=False))
        except ValueError as error:
            raise ArgumentError(
                f"KLING_NOTIFY_COMMAND cannot be read: {error}",
                next_step="Give a program and its words as a shell would take them; no shell runs it",
            ) from error

    @property
    def notify_url(self) -> str | None:
        """Where the end of a task is posted: https, or this machine."""
        text = self._address("KLING_NOTIFY_URL")
        if text is not None and not text.startswith("https://") and not _LOOPBACK.match(text):
            raise ArgumentError(
                "KLING_NOTIFY_URL would send prompts and paths readable over the network",
                next_step="Begin KLING_NOTIFY_URL with https://; plain http is for this machine",
            )
        return text

    @property
    def notify_secret(self) -> bytes:
        """What posts to `notify_url` are signed with, as Standard Webhooks write it: whsec_ and base64."""
        found = self.secret("KLING_NOTIFY_SECRET")
        import base64
        import binascii

        try:
            held = b"" if found is None else base64.b64decode(found.value.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            held = b""
        if not 24 <= len(held) <= 64:
            raise ArgumentError(
                "KLING_NOTIFY_SECRET is no signing secret",
                why="without one nobody can tell your posts from others'; it is whsec_ and 24 to 64 bytes as base64",
                next_step='Make one: echo "whsec_$(openssl rand -base64 32)"',
            )
        return held

    @property
    def without_secrets(self) -> Mapping[str, str]:
        """The environment for a program that needs no key of ours."""
        return {name: value for name, value in self.variables.items() if not _SECRET_NAME.search(name.upper())}

    @property
    def sandbox_faults(self) -> str:
        """What the sandbox shall get wrong, as it is written there."""
        return self.get("KLING_SANDBOX_FAULTS") or ""

    @property
    def sandbox_seconds(self) -> float:
        """About how long the sandbox takes over a clip."""
        text = self.get("KLING_SANDBOX_SECONDS") or "2"
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds <= 3600:
            raise ArgumentError(
                f"KLING_SANDBOX_SECONDS={text!r} is not a number of seconds",
                next_step="Set KLING_SANDBOX_SECONDS to a number from 0 to 3600, or unset it",
            )
        return seconds

    @property
    def sends_telemetry(self) -> bool:
        """Whether OpenTelemetry's own variables name where traces or metrics go."""
        return any(self.get(name) for name in ENDPOINTS)

    @property
    def log_as_json(self) -> bool:
        """Whether the log is one JSON object a line."""
        text = self.get("KLING_LOG")
        if text not in (None, "text", "json"):
            raise ArgumentError(f"KLING_LOG={text!r} is no kind of log", next_step="Set KLING_LOG to json, or unset it")
        return text == "json"

    @property
    def secrets(self) -> frozenset[str]:
        """Every value here that must stand in nothing that is written."""
        named = {**self.variables, **self.credentials}
        return frozenset(value for name, value in named.items() if _SECRET_NAME.search(name.upper()) and len(value) > 5)

    @property
    def crash_at(self) -> str:
        """Where a crash drill wants this process dead (`tasks/failpoints.py`)."""
        return self.get("KLING_CRASH_AT") or ""

    @property
    def http_token(self) -> Secret | None:
        """The one bearer token of an HTTP server for few people."""
        token = self.secret("KLING_HTTP_TOKEN")
        if token is not None and ("${" in token.value or len(token.value) < TOKEN_LEAST):
            raise ArgumentError(
                "KLING_HTTP_TOKEN is no token",
                why=f"whoever guesses it spends the money behind this server; it needs {TOKEN_LEAST} characters",
                next_step="Set it to something long that nobody guesses, such as the output of `openssl rand -hex 32`",
            )
        return token

    @property
    def http_issuer(self) -> str | None:
        """Whose signed tokens an HTTP server accepts."""
        return self._address("KLING_HTTP_ISSUER")

    @property
    def http_url(self) -> str | None:
        """The address clients reach the HTTP server under; a token must be made for it."""
        return self._address("KLING_HTTP_URL")

    @property
    def public_url(self) -> str | None:
        """Where vendors reach `serve --http` with their posts: what its own paths stand under."""
        text = self.get("KLING_PUBLIC_URL")
        if text is None:
            return None
        if not _reachable(text):
            raise ArgumentError(
                "KLING_PUBLIC_URL is no address a vendor could post to",
                why="it must be https://…, or http:// on this machine, without a user name, a query or a fragment",
                next_step="Set KLING_PUBLIC_URL to the address under which this server is reached, or unset it",
            )
        return text.rstrip("/")

    def secret(self, variable: str, token_file: str = "", *, seen: KeyFile | None = None) -> Secret | None:
        """A vendor's key: environment, then our own file, then the vendor's own client's file.

        `seen` is our own file as it was a moment ago: whoever asks for many keys looks at it once.
        """
        if value := self.get(variable):
            return Secret(value, variable)
        # One name is looked up, not all of them read: this is asked for every vendor, at every order.
        if value := _text((seen or self.key_file).held.get(variable)):
            return Secret(value, str(self.credentials_file))
        if token_file:
            path = self._made(token_file, lambda: self.user_home / token_file)
            held = self._key_files.read(path).held
            if value := next(filter(None, (_text(held.get(name)) for name in _TOKEN_NAMES)), ""):
                return Secret(value, f"~/{token_file}")
        return None

    def _made(self, name: str, make: Callable[[], Path]) -> Path:
        if name not in self._paths:
            self._paths[name] = make()
        return self._paths[name]

    def _address(self, name: str) -> str | None:
        text = self.get(name)
        if text is not None and not text.startswith(("https://", "http://")):
            raise ArgumentError(f"{name}={text!r} is no web address", next_step=f"Begin {name} with https://")
        return text

    def _money(self, name: str) -> Decimal | None:
        text = self.get(name)
        if text is None:
            return None
        if not _AMOUNT.fullmatch(text):
            raise ArgumentError(
                f"{name}={text[:80]!r} is not an amount of money",
                next_step=f"Set {name} to a number such as 5 or 2.50, or unset it",
            )
        return Decimal(text)


def _unset(name: str, text: str) -> bool:
    """Whether a value says that nothing was set: a client's `${NAME}`. A guard is unset only by its own name."""
    if not _UNEXPANDED.match(text):
        return False
    return name not in _GUARDS or text[2:-1].rpartition(".")[2].upper() == name


def _reachable(text: str) -> bool:
    """Whether this is the beginning of addresses of ours: https, or http on this machine, and nothing more to it."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    plain = not ("@" in parts.netloc or parts.query or parts.fragment or any(sign.isspace() for sign in text))
    return bool(host) and plain and (parts.scheme == "https" or _LOOPBACK.match(text) is not None)


def _path(text: str | None, home: Path) -> Path | None:
    if text is None:
        return None
    path = Path(text)
    if text == "~" or text.startswith(("~/", "~\\")):
        path = home / text[2:]
    return path if path.is_absolute() else Path.cwd() / path


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        raise LocalError(
            "This user has no home folder",
            why="HOME is not set, and the system does not know the user",
            next_step="Set HOME to a folder that may be written to",
        ) from None


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _face(path: Path) -> object:
    """What changes with a file; None when there is none."""
    try:
        seen = path.stat()
    except OSError as error:
        return None if isinstance(error, FileNotFoundError | NotADirectoryError) else error.errno
    return seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino


def _read(path: Path) -> KeyFile:
    try:
        data: object = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return KeyFile()
    except OSError as error:
        return KeyFile(trouble=error.strerror or type(error).__name__)
    except json.JSONDecodeError as error:
        return KeyFile(trouble=f"it is not JSON: {error}")
    except UnicodeDecodeError:
        return KeyFile(trouble="it is not UTF-8 text")
    except (ValueError, RecursionError):
        return KeyFile(trouble="it is not JSON")
    if not isinstance(data, dict):
        return KeyFile(trouble="it is no JSON object of keys")
    return KeyFile(cast("dict[str, Any]", data))
