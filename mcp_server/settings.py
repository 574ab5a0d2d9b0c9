"""The environment, read once; nothing else in this package looks at it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path

from mcp_server.errors import ArgumentError

_UNEXPANDED = re.compile(r"^\$\{[^}]*\}$")
"""What a client passes when its own variable was missing: OpenClaw hands `${NAME}` on literally."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A key that never shows itself."""

    value: str = field(repr=False)
    origin: str
    """Where it came from, for `doctor`; never the value."""

    def __str__(self) -> str:
        return "•••"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the user can set, as one frozen value."""

    variables: Mapping[str, str] = field(repr=False)
    """Variables that are really set: not empty, not an unexpanded `${NAME}`."""
    credentials: Mapping[str, str] = field(repr=False, default_factory=dict[str, str])
    """Keys from `credentials.json`, by variable name."""

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """The settings as they are now."""
        source = os.environ if environ is None else environ
        variables = {
            name: value.strip()
            for name, value in source.items()
            if value.strip() and not _UNEXPANDED.match(value.strip())
        }
        draft = cls(variables)
        return cls(variables, _credentials(draft.credentials_file))

    def get(self, name: str) -> str | None:
        """A variable, or None when it is unset."""
        return self.variables.get(name)

    @property
    def user_home(self) -> Path:
        return Path(self.get("HOME") or Path.home())

    @property
    def home(self) -> Path:
        """Where the record and the keys live."""
        return _path(self.get("KLING_HOME"), self.user_home) or self.user_home / ".kling-video"

    @property
    def output_dir(self) -> Path:
        """Where clips go."""
        return _path(self.get("KLING_OUTPUT_DIR"), self.user_home) or self.user_home / "kling-videos"

    def folder(self, name: str | None) -> Path:
        """The folder a caller named for a clip; the default one when none was."""
        return _path(name if name and name.strip() else None, self.user_home) or self.output_dir

    @property
    def database(self) -> Path:
        return self.home / "tasks.db"

    @property
    def credentials_file(self) -> Path:
        return self.home / "credentials.json"

    @property
    def daily_budget_usd(self) -> Decimal | None:
        return self._money("KLING_DAILY_BUDGET_USD")

    @property
    def confirm_above_usd(self) -> Decimal | None:
        return self._money("KLING_CONFIRM_ABOVE_USD")

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
    def crash_at(self) -> str:
        """Where a crash drill wants this process dead (`tasks/marks.py`)."""
        return self.get("KLING_CRASH_AT") or ""

    @property
    def http_token(self) -> Secret | None:
        """The one bearer token of an HTTP server for few people."""
        return self.secret("KLING_HTTP_TOKEN")

    @property
    def http_issuer(self) -> str | None:
        """Whose signed tokens an HTTP server accepts."""
        return self._address("KLING_HTTP_ISSUER")

    @property
    def http_url(self) -> str | None:
        """The address clients reach the HTTP server under; a token must be made for it."""
        return self._address("KLING_HTTP_URL")

    def secret(self, variable: str, token_file: str = "") -> Secret | None:
        """A vendor's key: environment, then our own file, then the vendor's own client's file."""
        if value := self.get(variable):
            return Secret(value, variable)
        if value := self.credentials.get(variable):
            return Secret(value, str(self.credentials_file))
        if token_file and (value := _token(self.user_home / token_file)):
            return Secret(value, f"~/{token_file}")
        return None

    def _address(self, name: str) -> str | None:
        text = self.get(name)
        if text is not None and not text.startswith(("https://", "http://")):
            raise ArgumentError(f"{name}={text!r} is no web address", next_step=f"Begin {name} with https://")
        return text

    def _money(self, name: str) -> Decimal | None:
        text = self.get(name)
        if text is None:
            return None
        try:
            amount = Decimal(text)
        except InvalidOperation:
            amount = Decimal("NaN")
        if not amount.is_finite() or amount < 0:
            raise ArgumentError(
                f"{name}={text!r} is not an amount of money",
                next_step=f"Set {name} to a number such as 5 or 2.50, or unset it",
            )
        return amount


def _path(text: str | None, home: Path) -> Path | None:
    if text is None:
        return None
    path = Path(text)
    if text == "~" or text.startswith("~/"):
        path = home / text[2:]
    return path if path.is_absolute() else Path.cwd() / path


def _credentials(path: Path) -> dict[str, str]:
    data = _json(path)
    return {k: v for k, v in data.items() if isinstance(v, str) and v.strip()}


def _token(path: Path) -> str | None:
    data = _json(path)
    for name in ("token", "api_key", "access_token"):
        value = data.get(name)
        if isinstance(value, str) and value.strip():
            return value.strip()
    return None


def _json(path: Path) -> dict[str, object]:
    # A key file that cannot be read is the same as no key file: `doctor` is where that is looked into.
    try:
        data: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}  # type: ignore[reportUnknownVariableType]
