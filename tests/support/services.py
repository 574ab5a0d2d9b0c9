"""A whole service on the sandbox, for tests that buy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import Any

from mcp_server.clock import Clock
from mcp_server.composition import build
from mcp_server.domain.arguments import VideoArguments
from mcp_server.domain.request import VideoRequest
from mcp_server.service import Service
from mcp_server.settings import Settings

LEAST_S = 0.4
"""Of a hurried wait, on its own clock: far below a heartbeat, and what looks every tenth of a second would look at the record
two hundred times a second, which costs a core more than what is tested."""


def hurried(times: float = 20) -> Clock:
    """A clock on which everything that waits waits a fraction of the time."""
    day, start = time.time(), time.monotonic()

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(max(seconds, LEAST_S) / times)

    return Clock(
        now=lambda: day + (time.monotonic() - start) * times,
        monotonic=lambda: start + (time.monotonic() - start) * times,
        sleep=sleep,
    )


def service(folder: Path, *, clock: Clock | None = None, **variables: str) -> Service:
    """One user's service with a home of its own; without keys the sandbox plays every vendor."""
    return build(settings(folder, **variables), clock=clock or hurried())


def settings(folder: Path, **variables: str) -> Settings:
    given: Mapping[str, str] = {
        "HOME": str(folder / "user"),
        "KLING_HOME": str(folder / "home"),
        "KLING_OUTPUT_DIR": str(folder / "videos"),
        "KLING_SANDBOX_SECONDS": "2",
    }
    return Settings.read({**given, **variables})


def arguments(request: VideoRequest, **more: Any) -> VideoArguments:
    """The same wish as a caller would say it."""
    said: dict[str, Any] = {}
    for field in fields(request):
        value = getattr(request, field.name)
        if field.name in VideoArguments.model_fields and value not in (None, "", (), {}):
            said[field.name] = plain(value)
    return VideoArguments.model_validate(said | more)


def plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, tuple):
        return [plain(part) for part in value]
    if hasattr(value, "prompt"):
        return {"prompt": value.prompt} | ({"duration": value.duration} if value.duration else {})
    return value
