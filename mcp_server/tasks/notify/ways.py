"""The ways a notice goes: a program of the user's, and a signed POST to an address of theirs."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from mcp_server.clock import Clock
from mcp_server.domain.money import plain
from mcp_server.domain.task import Task
from mcp_server.tasks.store.notices import Notice

COMMAND_S: Final = 30.0
PAUSES_S: Final = (5, 300, 1_800, 7_200, 18_000, 36_000, 36_000)
"""Between one try and the next, as the Standard Webhooks specification recommends; after the last nobody tries."""
HOLD_S: Final = 120.0
"""Longer than a POST may take: until then no other process takes it for lost."""
_GONE: Final = 410


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandWay:
    """Runs the user's program, once for each end: whether it ran is not asked again after a crash."""

    words: Sequence[str]
    environment: Mapping[str, str]
    """What it gets besides the facts; without keys."""
    limit_s: float = COMMAND_S
    hold_s: float = 0.0

    async def tell(self, task: Task, notice: Notice) -> tuple[str, float | None]:
        """How it ended. It gets facts in its environment and nothing on its command line, and no shell sees them."""
        try:
            child = await asyncio.create_subprocess_exec(
                *self.words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                env={**self.environment, **_facts(task, notice)},
            )
        except (OSError, ValueError) as error:
            return f"it could not be started: {error}", None
        try:
            code = await asyncio.wait_for(child.wait(), self.limit_s)
        except TimeoutError:
            return f"it was ended after {self.limit_s:g} s", None
        finally:
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
                await child.wait()
        return f"exit code {code}", None


def _facts(task: Task, notice: Notice) -> dict[str, str]:
    found = {
        "KLING_TASK_ID": task.id,
        "KLING_TASK_STATE": notice.state,
        "KLING_TASK_PATH": task.artifact.path if task.artifact else "",
        "KLING_TASK_COST_USD": cost(task),
        "KLING_TASK_SIMULATED": "1" if task.simulated else "0",
        "KLING_TASK_PROMPT": task.prompt,
    }
    # No variable can hold a zero byte.
    return {name: value.replace("\0", "") for name, value in found.items()}


def cost(task: Task) -> str:
    """What it cost in dollars, as far as it is known: settled, else as quoted; empty when nobody knows."""
    if task.simulated:
        return "0"
    if task.settlement is not None:
        return plain(task.settlement.usd) or ""
    if (task.error or {}).get("money") == "not_spent":
        return "0"
    return plain(task.quote_usd) or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostWay:
    """Posts to the user's address as Standard Webhooks have it, until it is taken: every try says the same id."""

    url: str
    secret: bytes
    send: Callable[[str, bytes, Mapping[str, str]], Awaitable[int | str]]
    """Address, body and headers → the HTTP status, or why there is none."""
    describe: Callable[[Task], Awaitable[Mapping[str, Any]]]
    clock: Clock
    hold_s: float = HOLD_S

    async def tell(self, task: Task, notice: Notice) -> tuple[str, float | None]:
        """Taken, given up, or when to try again."""
        body = json.dumps(await self._message(task, notice), ensure_ascii=False, separators=(",", ":")).encode()
        found = await self.send(self.url, body, self._headers(notice, body))
        if isinstance(found, int) and 200 <= found < 300:
            return f"HTTP {found}", None
        said = f"HTTP {found}" if isinstance(found, int) else found
        if found == _GONE or notice.attempts > len(PAUSES_S):
            return f"given up: {said}", None
        return said, PAUSES_S[notice.attempts - 1]

    async def _message(self, task: Task, notice: Notice) -> dict[str, Any]:
        at = datetime.fromtimestamp(notice.at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        # The state of this end: the task may have gone on since.
        return {
            "type": f"task.{notice.state}",
            "timestamp": at,
            "data": {**await self.describe(task), "state": notice.state},
        }

    def _headers(self, notice: Notice, body: bytes) -> dict[str, str]:
        name, now = f"msg_{notice.task_id}_{notice.id}", str(int(self.clock.now()))
        return {
            "content-type": "application/json",
            "webhook-id": name,
            "webhook-timestamp": now,
            "webhook-signature": signature(self.secret, name, now, body),
        }


def signature(secret: bytes, name: str, timestamp: str, body: bytes) -> str:
    """As Standard Webhooks sign: HMAC-SHA256 over id, time and body."""
    made = hmac.new(secret, f"{name}.{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(made.digest()).decode()}"
