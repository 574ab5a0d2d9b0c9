"""Following tasks that the engine hands out: each is this process's by a job, a lease, and a living worker's beat."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Final

from mcp_server.domain.task import Task
from mcp_server.errors import KlingError
from mcp_server.tasks.store.base import Lease
from mcp_server.tasks.store.moves import to_be_followed
from mcp_server.tasks.store.postgres import jobs
from mcp_server.tasks.store.postgres.connections import rows
from mcp_server.tasks.store.postgres.engine import AHEAD, Engine
from mcp_server.tasks.store.postgres.limits import SharedLimits
from mcp_server.tasks.store.postgres.notices import POSTED, Notices
from mcp_server.tasks.store.postgres.store import PostgresStore, Taken
from mcp_server.tasks.store.schema import OPEN

MOST: Final = 10_000
"""Tasks of one worker: about 13 kB of memory each."""
SWEEP_S: Final = 2.0
MEND_EVERY: Final = 15
"""Sweeps between two looks for open tasks without a job."""
RETAKEN_AFTER_S: Final = 1.0
ASIDE_AGAIN_S: Final = 60.0
TAKING_S: Final = 2.0
"""How long who ends waits for what it is taking; what it then still holds is swept."""
_log = logging.getLogger("kling_video.tasks")


@dataclass(slots=True)
class _Held:
    number: int
    """Of the lease."""
    job: int
    over: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class _Asked:
    job: int
    task_id: str
    answer: asyncio.Future[asyncio.Event | None]


@dataclass
class Following:
    """`Ownership` through the engine: what a worker holds, and what dead workers left swept up for all."""

    store: PostgresStore
    notices: Notices
    most: int = MOST
    woken: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    workers: int = field(default=1, init=False)
    """How many live, as counted at the last sweep."""
    limits: SharedLimits = field(init=False)
    mended: int = field(default=0, init=False)
    """Open tasks found without a job: any but 0 is a defect, told as an error."""
    _engine: Engine = field(init=False)
    _held: dict[str, _Held] = field(default_factory=dict[str, _Held], init=False)
    _taken: list[Lease] = field(default_factory=list[Lease], init=False)
    _asked: list[_Asked] = field(default_factory=list[_Asked], init=False)
    _answers: dict[int, asyncio.Future[asyncio.Event | None]] = field(
        default_factory=dict[int, "asyncio.Future[asyncio.Event | None]"], init=False
    )
    """Of jobs that were fetched and that the engine did not hand out yet."""
    _taking: asyncio.Task[None] | None = field(default=None, init=False)
    _posted: set[str] = field(default_factory=set[str], init=False)
    _wished: set[str] = field(default_factory=set[str], init=False)
    _worker: int | None = field(default=None, init=False)
    _rounds: asyncio.Task[None] | None = field(default=None, init=False)
    _leaving: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        store = self.store
        store.ownership, store.refused = self, self._refused
        self.limits = SharedLimits(store.connections, store.process, lambda: self.workers, store.clock)
        self.notices.called = self._hears_of
        store.films.worker = lambda: None if self._leaving else self._worker
        self._engine = Engine(
            store.connections,
            self._take,
            self._registered,
            self._room,
            self._fetched,
            lambda: self.workers,
            store.clock,
        )

    @property
    def at_once(self) -> bool:
        return False

    def __len__(self) -> int:
        """How many tasks this process holds."""
        return len(self._held)

    async def take_over(self) -> list[Lease]:
        if self._rounds is None and not self._leaving:
            self._engine.start()
            self._rounds = asyncio.create_task(self._sweeping(), name="kling-sweep")
        taken, self._taken = self._taken, []
        # Some were lost again before anybody asked.
        return [lease for lease in taken if self._holds(lease)]

    async def lost(self, task_ids: Set[str]) -> set[str]:
        async with self.store.connections.transaction() as connection:
            found = await rows(
                connection,
                f"SELECT id FROM tasks WHERE id = ANY(%s) AND holder = %s AND {OPEN}",  # noqa: S608
                [list(task_ids), self.store.process],
            )
        gone = set(task_ids) - {each["id"] for each in found}
        for task_id in gone:
            self._let_go(task_id)
        return gone

    async def moved(self) -> frozenset[str] | None:
        return await self.notices.take()

    def posted_about(self) -> frozenset[str]:
        found, self._posted = frozenset(self._posted), set()
        return found

    def wished_stopped(self) -> frozenset[str]:
        found, self._wished = frozenset(self._wished), set()
        return found

    async def heartbeat(self) -> bool:
        """The engine beats; whose tasks are another's now is heard by notice and seen at every write."""
        return True

    async def set_aside(self, lease: Lease, why: str) -> None:
        if lease.task.note != why:
            await self.store.change(lease, f"set aside: {why}", note=why)
        await self._give_back([lease.task.id], after_s=ASIDE_AGAIN_S)

    def told(self, task: Task) -> None:
        if not to_be_followed(task):
            self._let_go(task.id)

    async def leave(self, keep: Set[str]) -> None:
        self._leaving = True
        await self._stop_taking()
        await self._give_back(set(self._held) - set(keep))

    async def release(self, task_ids: Iterable[str] | None = None) -> None:
        if task_ids is not None:
            await self._give_back(task_ids, after_s=RETAKEN_AFTER_S)
            return
        if self._rounds is not None:
            self._rounds.cancel()
            await asyncio.gather(self._rounds, return_exceptions=True)
        await self._stop_taking()
        await self.notices.close()
        await self.limits.close()
        try:
            await self._give_back(self._held)
        finally:
            async with self.store.connections.transaction() as connection:
                await jobs.leave(connection, self._worker)

    def _fetched(self, found: Mapping[int, str]) -> None:
        """Ask for all of them at once: they are leased in one commit, before the engine hands out the first."""
        self._answers |= {job: self._ask(job, task_id) for job, task_id in found.items()}

    async def _take(self, task_id: str, job: int) -> asyncio.Event | None:
        return await (self._answers.pop(job, None) or self._ask(job, task_id))

    def _ask(self, job: int, task_id: str) -> asyncio.Future[asyncio.Event | None]:
        asked = _Asked(job, task_id, asyncio.get_running_loop().create_future())
        self._asked.append(asked)
        if self._taking is None or self._taking.done():
            self._taking = asyncio.create_task(self._take_asked(), name="kling-take")
        return asked.answer

    async def _take_asked(self) -> None:
        while self._asked:
            asked, self._asked = self._asked[:AHEAD], self._asked[AHEAD:]
            try:
                taken = await self.store.take({each.job: each.task_id for each in asked})
            except Exception as error:  # Whoever asked is told, if there still is anybody.
                for each in asked:
                    if not each.answer.done():
                        each.answer.set_exception(error)
                        each.answer.exception()
                continue
            for each in asked:
                over = self._hold(taken[each.job], each.job) if each.job in taken else None
                if not each.answer.done():
                    each.answer.set_result(over)
            self.woken.set()

    def _hold(self, taken: Taken, job: int) -> asyncio.Event:
        task_id = taken.lease.task.id
        self._let_go(task_id)
        held = self._held[task_id] = _Held(taken.lease.number, job)
        self._taken.append(taken.lease)
        if taken.wished:
            self._wished.add(task_id)
        return held.over

    async def _stop_taking(self) -> None:
        """Take no more; what was fetched already is ours to give back at once."""
        await self._engine.stop()
        if self._taking is not None:
            await asyncio.wait([self._taking], timeout=TAKING_S)
            self._taking.cancel()

    async def _registered(self, worker: int) -> None:
        """This process has another place: what it held in the one before it holds in this one."""
        async with self.store.connections.transaction() as connection:
            await jobs.adopt(connection, worker, self._worker, [held.job for held in self._held.values()])
            await self.store.films.moved_in(connection, worker)
        self._worker = worker
        # What the engine of the place before would have handed out is not handed out any more.
        self._answers.clear()
        # Nothing was heard while the connection was gone.
        self.notices.doubt()

    def _hears_of(self, task_id: str, what: str = POSTED) -> None:
        if task_id in self._held:
            (self._posted if what == POSTED else self._wished).add(task_id)
            self.woken.set()

    def _room(self) -> int:
        return self.most - len(self._held)

    def _holds(self, lease: Lease) -> bool:
        held = self._held.get(lease.task.id)
        return held is not None and held.number == lease.number

    def _refused(self, lease: Lease) -> None:
        if self._holds(lease):
            self._let_go(lease.task.id)

    def _let_go(self, task_id: str) -> None:
        if (held := self._held.pop(task_id, None)) is not None:
            held.over.set()

    async def _give_back(self, task_ids: Iterable[str], *, after_s: float = 0.0) -> None:
        ids = list(task_ids)
        if not ids:
            return
        async with self.store.connections.transaction() as connection:
            await jobs.replace(connection, ids, holder=self.store.process, after_s=after_s)
        for task_id in ids:
            self._let_go(task_id)

    async def _sweeping(self) -> None:
        """Every two seconds: the beat where the engine cannot, then what silent workers left; no error ends it."""
        count = 0
        while True:
            try:
                await self._round(count)
            except KlingError as error:
                _log.warning("Silent workers cannot be looked for now: %s", error.what)
            except Exception:
                _log.exception("Looking for silent workers failed")
            count += 1
            await self.store.clock.sleep(SWEEP_S)

    async def _round(self, count: int) -> None:
        async with self.store.connections.transaction() as connection:
            if self._worker is not None and self._leaving:
                await jobs.beat(connection, self._worker)
        async with self.store.connections.transaction() as connection:
            swept = await jobs.sweep(connection)
            self.workers = max(1, await jobs.living(connection))
        if swept:
            _log.warning("%d tasks of silent workers wait for others", len(swept))
        if count % MEND_EVERY:
            return
        async with self.store.connections.transaction() as connection:
            mended = await jobs.mend(connection)
        if mended:
            self.mended += len(mended)
            self.store.metrics.count("kling_tasks_mended_total", len(mended))
            _log.error("%d open tasks had nobody to follow them; a defect: %s", len(mended), ", ".join(sorted(mended)))
