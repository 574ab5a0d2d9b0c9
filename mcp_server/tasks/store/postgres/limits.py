"""What all workers together may ask of one vendor account: calls at once, and calls a second.

No vendor publishes either number, so both are ours; but a vendor counts an account's calls whoever sends them. Calls at
once are rows, each leased to one worker for a few seconds; calls a second are tokens of one row, taken for as
many as wait. A worker that dies leaves its rows to the others when they run out; its calls in flight run out with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from mcp_server.clock import Clock
from mcp_server.errors import KlingError
from mcp_server.providers.accounts import Account
from mcp_server.tasks.store.postgres.connections import Connection, Connections, row, rows, run

CALLS_PER_TURN_S: Final = 10.0
"""Calls a second for each call that may be in flight: twice what looks alone are paced to, so that orders have room."""
BURST: Final = 10
LEASE_S: Final = 10.0
RENEW_S: Final = 2.0
HELD_S: Final = 1.0
"""So long a worker keeps what it holds beyond its even share, where others could want it."""
AGAIN_S: Final = 0.05
STALE_S: Final = 1.0
"""Tokens that nobody used in this time are gone: saved up, they would pass the rate later."""
_log = logging.getLogger("kling_video.tasks")
_SLOTS: Final = """
    UPDATE vendor_slots AS slot SET holder = %(holder)s, until = now() + make_interval(secs => %(lease)s)
    FROM (SELECT account, number FROM vendor_slots WHERE account = %(account)s AND number <= %(most)s AND until <= now()
          ORDER BY number LIMIT %(wanted)s FOR UPDATE SKIP LOCKED) AS free
    WHERE slot.account = free.account AND slot.number = free.number RETURNING slot.number
"""


@dataclass
class Door:
    """One account's, as this process stands before it."""

    limits: SharedLimits
    account: str
    most: int
    """Calls at once, of all workers together."""
    _slots: dict[int, tuple[float, float]] = field(default_factory=dict[int, "tuple[float, float]"], init=False)
    """Each by its number: since when it is held and until when, by this process's own clock."""
    _inside: int = field(default=0, init=False)
    _tokens: int = field(default=0, init=False)
    _tokens_at: float = field(default=0.0, init=False)
    _waiting: deque[asyncio.Future[None]] = field(default_factory=deque["asyncio.Future[None]"], init=False)
    _working: asyncio.Task[None] | None = field(default=None, init=False)
    _known: bool = field(default=False, init=False)
    _came: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    async def enter(self) -> None:
        """Return when a call may leave."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._let_in()
        self._came.set()
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work(), name="kling-limits")
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            raise

    def leave(self) -> None:
        """The call is over."""
        self._inside -= 1
        self._let_in()

    async def close(self) -> None:
        """Give back what is held."""
        if self._working is not None:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)
        with contextlib.suppress(KlingError):
            await self._give_back(list(self._slots))

    async def _work(self) -> None:
        """Let in whoever may go, lease what they lack, and give back what nobody uses; until there is nothing to do."""
        clock = self.limits.clock
        renewed = clock.monotonic()
        while self._waiting or self._slots:
            self._came.clear()
            try:
                self._let_in()
                if self._waiting:
                    await self._lease()
                    self._let_in()
                if clock.monotonic() - renewed >= RENEW_S:
                    renewed = clock.monotonic()
                    await self._renew()
                await self._share()
            except KlingError as error:
                _log.warning("A vendor's limits cannot be asked for now: %s", error.what)
            except Exception:
                _log.exception("A vendor's limits could not be kept")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_S * random.uniform(0.5, 1.5)):  # noqa: S311 - spreads, hides nothing
                    await self._came.wait()

    def _let_in(self) -> None:
        now = self.limits.clock.monotonic()
        self._slots = {number: held for number, held in self._slots.items() if held[1] > now}
        if now - self._tokens_at > STALE_S:
            self._tokens = 0
        while self._waiting and self._tokens and self._inside < len(self._slots):
            turn = self._waiting.popleft()
            if not turn.done():
                self._tokens -= 1
                self._inside += 1
                turn.set_result(None)

    async def _lease(self) -> None:
        wanted = sum(not turn.done() for turn in self._waiting)
        share = math.ceil(self.most / self.limits.workers())
        slots = max(0, min(wanted - (len(self._slots) - self._inside), share - len(self._slots)))
        tokens = min(wanted - self._tokens, BURST)
        if slots <= 0 and tokens <= 0:
            return
        began = self.limits.clock.monotonic()
        async with self.limits.connections.transaction() as connection:
            await run(connection, "SET LOCAL synchronous_commit TO off")
            if not self._known:
                await self._made(connection)
            values = {"holder": self.limits.process, "lease": LEASE_S, "account": self.account, "most": self.most}
            found = await rows(connection, _SLOTS, {**values, "wanted": slots}) if slots else []
            # Without a turn a token would only grow stale.
            able = len(self._slots) + len(found) - self._inside
            granted = await self._granted(connection, min(tokens, able - self._tokens))
        self._known = True
        self._slots |= {each["number"]: (began, began + LEASE_S) for each in found}
        if granted:
            self._tokens, self._tokens_at = self._tokens + granted, began

    async def _granted(self, connection: Connection, wanted: int) -> int:
        if wanted <= 0:
            return 0
        rate = self.most * CALLS_PER_TURN_S
        query = (
            "SELECT extract(epoch FROM spent_until)::float8 AS spent, "
            "extract(epoch FROM clock_timestamp())::float8 AS at FROM vendor_pace WHERE account = %s FOR UPDATE"
        )
        found = await row(connection, query, [self.account])
        assert found is not None
        spent = max(found["spent"], found["at"] - BURST / rate)
        granted = min(wanted, int((found["at"] - spent) * rate))
        if granted > 0:
            query = "UPDATE vendor_pace SET spent_until = to_timestamp(%s) WHERE account = %s"
            await run(connection, query, [spent + granted / rate, self.account])
        return max(0, granted)

    async def _made(self, connection: Connection) -> None:
        query = "INSERT INTO vendor_pace VALUES (%s, to_timestamp(0)) ON CONFLICT DO NOTHING"
        await run(connection, query, [self.account])
        await run(
            connection,
            "INSERT INTO vendor_slots (account, number, until) SELECT %s, n, to_timestamp(0) "
            "FROM generate_series(1, %s) AS n ON CONFLICT DO NOTHING",
            [self.account, self.most],
        )

    async def _renew(self) -> None:
        """Hold on to what is held; what another has by now is not."""
        if not self._slots:
            return
        began = self.limits.clock.monotonic()
        async with self.limits.connections.transaction() as connection:
            await run(connection, "SET LOCAL synchronous_commit TO off")
            kept = await rows(
                connection,
                "UPDATE vendor_slots SET until = now() + make_interval(secs => %s) WHERE account = %s AND holder = %s "
                "AND number = ANY(%s) AND until > now() RETURNING number",
                [LEASE_S, self.account, self.limits.process, list(self._slots)],
            )
        held = {each["number"] for each in kept}
        self._slots = {n: (since, began + LEASE_S) for n, (since, _) in self._slots.items() if n in held}

    async def _share(self) -> None:
        """Give back what is not in use: all of it where nobody waits here, else what is more than an even share."""
        now, even = self.limits.clock.monotonic(), self.most // self.limits.workers()
        spare = len(self._slots) - self._inside
        if self._waiting:
            spare = min(spare, len(self._slots) - even)
        old = [number for number, (since, _) in self._slots.items() if now - since > HELD_S]
        if spare > 0 and old:
            await self._give_back(old[:spare])

    async def _give_back(self, numbers: list[int]) -> None:
        for number in numbers:
            self._slots.pop(number, None)
        if numbers:
            async with self.limits.connections.transaction() as connection:
                await run(
                    connection,
                    "UPDATE vendor_slots SET holder = NULL, until = to_timestamp(0) "
                    "WHERE account = %s AND holder = %s AND number = ANY(%s)",
                    [self.account, self.limits.process, numbers],
                )


@dataclass
class SharedLimits:
    """The doors of one worker."""

    connections: Connections
    process: str
    workers: Callable[[], int]
    """How many live, itself among them, as last seen."""
    clock: Clock = field(default_factory=Clock)
    _doors: dict[str, Door] = field(default_factory=dict[str, Door], init=False)

    def door(self, account: Account) -> Door:
        """This account's; the sandbox is of this machine alone and has none."""
        name = f"{account.facts.id}:{account.mark}"
        if name not in self._doors:
            self._doors[name] = Door(self, name, account.facts.concurrency)
        return self._doors[name]

    async def close(self) -> None:
        """Give everything back."""
        for each in self._doors.values():
            await each.close()
