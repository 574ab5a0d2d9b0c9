"""The engine: Procrastinate hands this process one job for each task it is to follow, for as long as somebody wants.

Of Procrastinate's, this uses the queue, the wake-up, the heartbeat and the bound on what one worker takes. Its way to
finish a job is not used: that goes by the job's number alone, and here a job ends in the commit that ends its task.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

import psycopg
from procrastinate import App, JobContext, PsycopgConnector
from procrastinate.exceptions import ConnectorException, ProcrastinateException
from procrastinate.jobs import DeleteJobCondition, Job, Notification, Status
from procrastinate.manager import JobManager, NotificationCallback

from mcp_server.clock import Clock
from mcp_server.errors import KlingError
from mcp_server.tasks.store.postgres.connections import Connections
from mcp_server.tasks.store.postgres.jobs import BEAT, FETCH, NAME, QUEUE, SILENCE_S
from mcp_server.tasks.store.postgres.share import FairShare

BEAT_S: Final = 2.0
LOOK_S: Final = 2.0
"""How often the queue is looked into where no notice came: jobs put in for later have none."""
FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 5.0
STEADY_S: Final = 30.0
"""An engine that ran so long begins again at once when it ends."""
AHEAD: Final = 64
"""Jobs asked for at once: what thousands of tasks of a dead worker wait for is the way to the database."""
ROOMY: Final = 2 * AHEAD
"""With less room than this, jobs are asked for one at a time."""
_NAME: Final = "kling-video"
_AWAY: Final = (ProcrastinateException, psycopg.Error, KlingError, OSError)
"""What says that the database cannot be used now."""
_log = logging.getLogger("kling_video.tasks")


def _reason(error: BaseException) -> str:
    """What is behind an error, in one line: the engine's own say no more than that there is one."""
    said = str(error.__cause__ or error).strip()
    return said.partition("\n")[0] or type(error).__name__


class _OneLine(logging.Filter):
    """In the engine's log a database that is away is a warning of one line; whatever else fails keeps its trace."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, ConnectorException):
            record.exc_info = record.exc_text = None
            record.levelno, record.levelname = logging.WARNING, "WARNING"
            record.msg, record.args = "The engine lost its connection: %s", (_reason(error),)
        return True


for _of in ("procrastinate.utils", "procrastinate.worker", f"procrastinate.worker.{_NAME}"):
    logging.getLogger(_of).addFilter(_OneLine())


def _concurrency(room: int) -> int:
    """Those asked for at once are all handed out, also where they are a few more than thousands."""
    return room + AHEAD if room > ROOMY else max(1, room)


class _Job(Job):
    """The engine's own, which is described for its log four times, also where nobody logs."""

    def log_context(self) -> dict[str, Any]:
        """Its number, and what it is for."""
        return {"id": self.id, "args": self.task_kwargs}


class _Manager(JobManager):
    """Procrastinate's own, but jobs come several at a time, end with their tasks, and a place is given up empty."""

    def __init__(
        self,
        connector: PsycopgConnector,
        registered: Callable[[int], Awaitable[None]],
        room: Callable[[], int],
        fetched: Callable[[Mapping[int, str]], None],
        share: FairShare,
    ) -> None:
        super().__init__(connector)
        self._registered = registered
        self._room = room
        self._fetched = fetched
        self._share = share
        self._ahead = deque[Job]()
        self._next = 1
        self._place = 0

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:  # noqa: ARG002 - see `_place`
        """The next of the jobs asked for last: twice as many as came before, so that a single one costs little."""
        if not self._ahead:
            count = self._next if self._room() > ROOMY else 1
            await self._share.turn()
            values = {"queues": queues, "worker_id": self._place, "count": count}
            found = await self.connector.execute_query_all_async(FETCH, **values)
            self._share.took(len(found))
            self._ahead.extend(map(_Job.from_row, found))
            self._fetched({int(each["id"]): str(each["args"]["task_id"]) for each in found})
            self._next = min(AHEAD, 2 * len(self._ahead)) or 1
        return self._ahead.popleft() if self._ahead else None

    async def register_worker(self) -> int:
        place = await super().register_worker()
        await self._registered(place)
        self._place = place
        return place

    async def update_heartbeat(self, worker_id: int) -> None:  # noqa: ARG002 - the place it began in
        """Beat; where the place is gone, take another. Raised, an error would end the beating and not the worker."""
        try:
            if not await self.connector.execute_query_all_async(BEAT, worker_id=self._place):
                _log.warning("This worker was silent for so long that its place was given up; it takes another")
                await self.register_worker()
        except _AWAY as error:
            _log.warning("The engine cannot beat now: %s", _reason(error))

    async def listen_for_jobs(
        self, *, on_notification: NotificationCallback, queues: Iterable[str] | None = None
    ) -> None:
        """For as long as the engine runs; an error would end this, too, and nobody would notice."""

        async def heard(*, channel: str, notification: Notification) -> None:
            if notification["type"] == "job_inserted":
                self._share.came()
            await on_notification(channel=channel, notification=notification)

        while True:
            try:
                await super().listen_for_jobs(on_notification=heard, queues=queues)
            except _AWAY as error:
                _log.warning("New jobs are looked for and not heard of now: %s", _reason(error))
            await asyncio.sleep(LOOK_S)

    async def unregister_worker(self, worker_id: int) -> None:
        """Nothing: what it holds is carried on, or given back first."""

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:  # noqa: FBT001 - as it is called
        """Nothing: the commit that ended the task ended the job."""


@dataclass
class Engine:
    """Runs until it is told to stop, and begins again whenever it ends by itself: it does so with the database."""

    connections: Connections
    take: Callable[[str, int], Awaitable[asyncio.Event | None]]
    """Task and job to an event that is set when this process has done with it; None where it is not ours to follow."""
    registered: Callable[[int], Awaitable[None]]
    """Told of the place this process now has among the workers, before it takes the first job."""
    room: Callable[[], int]
    """How many jobs may still be taken."""
    fetched: Callable[[Mapping[int, str]], None]
    """Told of jobs and their tasks as they come, several at once; each is asked for by `take` after that."""
    workers: Callable[[], int]
    """How many live, this one among them."""
    clock: Clock = field(default_factory=Clock)
    _running: asyncio.Task[None] | None = field(default=None, init=False)

    def start(self) -> None:
        """Take jobs from now until `stop`."""
        self._running = asyncio.create_task(self._run(), name="kling-engine")

    async def stop(self) -> None:
        """Take no more; what was taken stays taken."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self) -> None:
        pause = FIRST_PAUSE_S
        while True:
            began = self.clock.monotonic()
            try:
                await self._once()
                _log.warning("The engine ended with its connection and begins again")
            except _AWAY as error:
                _log.warning("The engine cannot run now: %s", _reason(error))
            except Exception:
                _log.exception("The engine failed and begins again")
            if self.clock.monotonic() - began > STEADY_S:
                pause = FIRST_PAUSE_S
            await self.clock.sleep(pause)
            pause = min(LONGEST_PAUSE_S, pause * 2)

    async def _once(self) -> None:
        connector = PsycopgConnector()
        app = App(connector=connector)
        share = FairShare(self.workers, self.clock)
        app.job_manager = _Manager(connector, self.registered, self.room, self.fetched, share)
        app.task(name=NAME, queue=QUEUE, pass_context=True)(self._follow)
        # Its pool is ours: one process needs no second.
        await connector.open_async(cast("Any", await self.connections.pool()))
        await app.run_worker_async(
            queues=[QUEUE],
            name=_NAME,
            concurrency=_concurrency(self.room()),
            fetch_job_polling_interval=LOOK_S,
            shutdown_graceful_timeout=0.0,
            delete_jobs=DeleteJobCondition.NEVER,
            install_signal_handlers=False,
            update_heartbeat_interval=BEAT_S,
            stalled_worker_timeout=6 * SILENCE_S,
        )

    async def _follow(self, context: JobContext, task_id: str) -> None:
        """Hold a job for as long as this process follows its task; the engine's end ends the holding, not the task."""
        number = context.job.id
        assert number is not None
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                try:
                    over = await self.take(task_id, number)
                    break
                except KlingError as error:
                    _log.warning("Task %s cannot be taken now: %s", task_id, error.what)
                    await self.clock.sleep(1.0)
            if over is not None:
                await over.wait()
