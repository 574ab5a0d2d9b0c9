"""Vendors' posts about jobs: proved, and turned into a look that is due now. What a post says is never the truth.

A post is believed when it came to the address its order named, which nobody can guess, and when it is signed by whom
that vendor signs with. Then whoever follows the task looks at it, which shows what became of it.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from mcp_server.domain.catalog import Provider
from mcp_server.domain.task import Task
from mcp_server.errors import KlingError, ProviderError
from mcp_server.providers import callback_reader
from mcp_server.providers.callbacks import Callback, Callbacks, ForgedCallbackError
from mcp_server.settings import Secret
from mcp_server.tasks.runtime import TaskRuntime

LARGEST: Final = 1024 * 1024
"""Of a post's body: vendors post a job, not its clip."""
KEYS_KEPT_S: Final = 3_600.0
ASKED_EVERY_S: Final = 60.0
"""So often at most a vendor is asked for other keys, however many posts have a wrong signature."""
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
Heard = Literal["due", "known", "over", "under way"]
"""A look is due now; the post came before; nothing is waited for any more; the job goes on, says the post."""


class StrangeCallbackError(KlingError):
    """No order named this address."""

    code = "strange_callback"


@dataclass(slots=True)
class _Keys:
    held: Sequence[str]
    asked_at: float


@dataclass
class CallbackReceiver:
    """Hears what vendors post, whichever process follows the task."""

    runtime: TaskRuntime
    secret: Callable[[Provider], Secret | None]
    """What the user says this vendor signs with."""
    simulated_secret: str
    """The same of the sandbox."""
    _keys: dict[tuple[str, bool], _Keys] = field(default_factory=dict[tuple[str, bool], _Keys], init=False)

    async def hear(self, provider: str, task_id: str, token: str, headers: Mapping[str, str], body: bytes) -> Heard:
        """What a post came to; StrangeCallbackError or ForgedCallbackError where it proves nothing.

        Any other KlingError: it cannot be told now, and the vendor may post again.
        """
        task = await self._addressed(provider, task_id, token)
        found = await self._proved(task, headers, body)
        if task.job_id is not None and found.job_id != task.job_id:
            raise ForgedCallbackError("A callback is about another job than its address")
        if task.finished or task.stopped_following:
            return "over"
        if found.report.state in ("queued", "running"):
            return "under way"
        new = await self.runtime.store.posted(task_id, f"{provider} {task_id} {found.id}"[:400])
        return "due" if new else "known"

    async def _addressed(self, provider: str, task_id: str, token: str) -> Task:
        facts = self.runtime.catalog.providers.get(provider)
        if facts is not None and facts.callbacks and _ID.match(task_id) and _ID.match(token):
            for task in await self.runtime.store.many([task_id]):
                known = str(task.call.get("callback", ""))
                if task.provider == provider and known and hmac.compare_digest(known, token):
                    return task
        raise StrangeCallbackError("No order names this address")

    async def _proved(self, task: Task, headers: Mapping[str, str], body: bytes) -> Callback:
        facts = self.runtime.provider(task)
        posts, now = callback_reader(facts), self.runtime.clock.now()
        given = self._given(facts, task)
        if given is None and posts.keys_call() is None:
            return _readable(lambda: posts.unsigned(body))
        keys = (given,) if given is not None else await self._asked(task, posts, KEYS_KEPT_S)
        try:
            return _readable(lambda: posts.read(headers, body, keys=keys, now=now))
        except ForgedCallbackError:
            # The vendor may have new keys.
            newer = keys if given is not None else await self._asked(task, posts, ASKED_EVERY_S)
            if newer == keys:
                raise
            return _readable(lambda: posts.read(headers, body, keys=newer, now=now))

    def _given(self, facts: Provider, task: Task) -> str | None:
        if task.simulated:
            return self.simulated_secret if facts.callback_secret else None
        secret = self.secret(facts)
        return None if secret is None else secret.value

    async def _asked(self, task: Task, posts: Callbacks, kept_s: float) -> Sequence[str]:
        """The vendor's keys, asked for when those that are here are older than this."""
        name, at = (task.provider, task.simulated), self.runtime.clock.monotonic()
        known = self._keys.get(name)
        if known is None or at - known.asked_at >= kept_s:
            call = posts.keys_call()
            assert call is not None
            reply = await self.runtime.transport.ask(await self.runtime.account_of(task), call)
            known = self._keys[name] = _Keys(posts.read_keys(reply), at)
        return known.held


def _readable(read: Callable[[], Callback]) -> Callback:
    try:
        return read()
    except ProviderError as error:
        raise ForgedCallbackError(f"A callback cannot be read: {error.what}") from error
