"""Where everything meets: settings, facts, store, transport and sandbox become one service.

Building costs nothing: the catalog, the store, connections and the sandbox are made at their first use.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from mcp_server.clock import Clock
from mcp_server.errors import LocalError
from mcp_server.metrics import Metrics
from mcp_server.service import Service
from mcp_server.settings import Settings, is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp_server.domain.catalog import Catalog
    from mcp_server.domain.task import Task
    from mcp_server.films.films import Films
    from mcp_server.object_store import ObjectStore
    from mcp_server.ordering.plan import Planner
    from mcp_server.providers.accounts import Account
    from mcp_server.sandbox.server import SandboxServer
    from mcp_server.tasks.notify.notifier import Way
    from mcp_server.tasks.runner import TaskRunner
    from mcp_server.tasks.store.postgres.store import PostgresStore
    from mcp_server.tasks.store.sqlite import SqliteStore
    from mcp_server.tasks.submit.kept_media import KeptMedia

_BUYING: Final = (
    "films.filming",
    "films.films",
    "films.joining",
    "films.long_order",
    "media.isolated",
    "providers.accounts",
    "providers.local_media",
    "providers.transport",
    "tasks.download.files",
    "tasks.notify.notifier",
    "tasks.runner",
    "tasks.store.sqlite",
    "tasks.submit.kept_media",
)
"""What the first order or look at the record imports. One that is missing here is imported then, and costs time."""


def load_buying() -> None:
    """Import what a purchase takes; whoever serves does it beside the loop, which it would hold up for a while."""
    for name in _BUYING:
        import_module(f"mcp_server.{name}")


def build(settings: Settings | None = None, *, clock: Clock | None = None, worker: bool = False) -> Service:
    """The service for these settings; for the environment's when none are given.

    Where many machines share a record only a `worker` follows tasks; where one does, every process does.
    """
    parts = _Parts(settings or Settings.read(), clock or Clock(), worker=worker)
    return Service(
        settings=parts.settings,
        load_catalog=parts.load,
        open_objects=parts.objects,
        open_runner=parts.runner,
        open_films=parts.films,
        kept_media=parts.kept_media,
        account=parts.account,
        now=parts.clock.now,
        closing=parts.close,
    )


@dataclass
class _Parts:
    settings: Settings
    clock: Clock
    worker: bool = False
    metrics: Metrics = field(default_factory=Metrics)
    _sandbox: SandboxServer | None = field(default=None, init=False)
    _catalog: Catalog | None = field(default=None, init=False)
    _objects: ObjectStore | None = field(default=None, init=False)
    _store: SqliteStore | PostgresStore | None = field(default=None, init=False)

    def load(self) -> Catalog:
        from mcp_server import catalog

        if self._catalog is None:
            self._catalog = catalog.load()
        return self._catalog

    def objects(self) -> ObjectStore:
        from mcp_server.object_store import ObjectStore

        if self._objects is None:
            self._objects = ObjectStore(self.settings.home / "cache", now=self.clock.now)
        return self._objects

    def runner(self) -> TaskRunner:
        from mcp_server.media import isolated
        from mcp_server.ordering import vendor_schema
        from mcp_server.providers.local_media import Intake
        from mcp_server.providers.transport import Transport
        from mcp_server.tasks.download.saver import Saver
        from mcp_server.tasks.failpoints import Failpoints
        from mcp_server.tasks.notify.notifier import Notifier
        from mcp_server.tasks.runner import TaskRunner
        from mcp_server.tasks.runtime import TaskRuntime
        from mcp_server.tasks.store.base import Budget
        from mcp_server.telemetry import traces

        ways = self._ways()
        self._store = store = self._record(tuple(ways))
        limits = store.limits
        transport = Transport(
            now=self.clock.now,
            sleep=self.clock.sleep,
            shared_door=None if limits is None else limits.door,
            metrics=self.metrics,
            traces=traces(self.settings.sends_telemetry, self.metrics),
        )
        runtime = TaskRuntime(
            store=store,
            transport=transport,
            catalog=self.load(),
            account=self.account,
            clock=self.clock,
            failpoint=Failpoints(self.settings.crash_at),
            usd_per_credit=self.settings.usd_per_credit,
            metrics=self.metrics,
        )
        return TaskRunner(
            runtime,
            Intake(transport, check=vendor_schema.check_body, local=self.objects().local),
            Budget(daily_usd=self.settings.daily_budget_usd, owners=self.settings.owner_budgets),
            saver=Saver(runtime, objects=self.objects()),
            examine=isolated.in_turns(posters=self.settings.posters),
            notifier=Notifier(store.outbox, store.get, ways, self.clock) if ways else None,
        )

    def _record(self, channels: tuple[str, ...]) -> SqliteStore | PostgresStore:
        shared = self.settings.database_url
        if shared is None:
            from mcp_server.tasks.store.sqlite import SqliteStore

            return SqliteStore(self.settings.database, self.clock, channels=channels)
        try:
            from mcp_server.tasks.store.postgres.opening import opened
        except ImportError as error:
            raise LocalError(
                f"KLING_DATABASE_URL is set, and what speaks to a database is not installed ({error.name})",
                next_step="Install the extra `scale`: pip install 'kling-video[scale]'",
            ) from error
        return opened(shared.value, self.clock, channels=channels, follows=self.worker, metrics=self.metrics)

    def _ways(self) -> dict[str, Way]:
        """Where ends are told, by the channel's name in the record."""
        settings = self.settings
        ways: dict[str, Way] = {}
        if settings.notify_command:
            from mcp_server.tasks.notify.ways import CommandWay

            ways["command"] = CommandWay(words=settings.notify_command, environment=settings.without_secrets)
        if settings.notify_url:
            from mcp_server.providers.posts import post
            from mcp_server.tasks.notify.ways import PostWay

            ways["url"] = PostWay(
                url=settings.notify_url,
                secret=settings.notify_secret,
                send=post,
                describe=self._described,
                clock=self.clock,
            )
        return ways

    async def _described(self, task: Task) -> Mapping[str, Any]:
        """A task as posts tell of it, its clip by a link where it is in the object store."""
        from mcp_server.answers.tasks import linked, task_answer

        answer = task_answer(task)
        if task.artifact is None or not is_object(task.artifact.path):
            return answer.facts()
        try:
            return linked(answer, await self.objects().link(task.artifact.path)).facts()
        except LocalError as error:
            return linked(answer, None, error.story).facts()

    def films(self, runner: TaskRunner, planner: Planner) -> Films:
        from mcp_server.films import joining
        from mcp_server.films.filming import FilmDriver
        from mcp_server.films.films import Films
        from mcp_server.films.order import ShotOrders

        assert self._store is not None
        orders = ShotOrders(planner, runner.runtime, self.kept_media())
        driver = FilmDriver(runner, self._store.films, orders, joining.Joiner(self.objects()).joined)
        runner.leases.others.append(driver)
        return Films(self.settings, planner, runner, self._store.films, driver, self.objects())

    def kept_media(self) -> KeptMedia:
        from mcp_server.tasks.submit.kept_media import KeptMedia

        return KeptMedia(self.objects(), self.settings.kept_media, files=self.settings.made_elsewhere)

    async def account(self, provider: str, simulated: bool) -> Account:  # noqa: FBT001 - two answers, one question
        """How to reach a provider; the sandbox begins to play when it is first asked for."""
        from mcp_server.providers.accounts import account, sandbox_account
        from mcp_server.providers.reading import not_rehearsable

        facts = self.load().providers[provider]
        if not simulated:
            return account(facts, self.settings)
        base = (await self._play().start()).get(provider)
        if base is None:
            raise not_rehearsable(facts)
        return sandbox_account(facts, base)

    def _play(self) -> SandboxServer:
        import sqlite3

        from mcp_server.sandbox.sandbox import Sandbox
        from mcp_server.sandbox.server import SandboxServer

        if self._sandbox is None:
            try:
                self.settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
                sandbox = Sandbox(
                    self.settings.home / "sandbox.db",
                    now=self.clock.now,
                    sleep=self.clock.sleep,
                    seconds=self.settings.sandbox_seconds,
                    fault_text=self.settings.sandbox_faults,
                )
            except (OSError, sqlite3.Error) as error:
                raise LocalError(
                    f"Nothing can be kept in {self.settings.home}: {error}",
                    next_step="Set KLING_HOME to a folder that may be written to",
                ) from error
            self._sandbox = SandboxServer(sandbox)
        return self._sandbox

    async def close(self) -> None:
        """End what was begun, the sandbox last: tasks may still be asking it."""
        if self._sandbox is not None:
            await self._sandbox.stop()
            self._sandbox.sandbox.close()
            self._sandbox = None
