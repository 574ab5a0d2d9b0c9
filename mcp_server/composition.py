"""Where everything meets: settings, facts, store, transport and sandbox become one service.

Building costs nothing: the catalog, the store, connections and the sandbox are made at their first use.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mcp_server.clock import Clock
from mcp_server.service import Service
from mcp_server.settings import Settings

if TYPE_CHECKING:
    from mcp_server.domain.catalog import Catalog
    from mcp_server.providers.accounts import Account
    from mcp_server.sandbox.server import SandboxServer
    from mcp_server.tasks.runner import TaskRunner


def build(settings: Settings | None = None, *, clock: Clock | None = None) -> Service:
    """The service for these settings; for the environment's when none are given."""
    parts = _Parts(settings or Settings.read(), clock or Clock())
    return Service(
        settings=parts.settings,
        load_catalog=parts.load,
        open_runner=parts.runner,
        account=parts.account,
        now=parts.clock.now,
        closing=parts.close,
    )


@dataclass
class _Parts:
    settings: Settings
    clock: Clock
    _sandbox: SandboxServer | None = field(default=None, init=False)
    _catalog: Catalog | None = field(default=None, init=False)

    def load(self) -> Catalog:
        from mcp_server import catalog

        if self._catalog is None:
            self._catalog = catalog.load()
        return self._catalog

    def runner(self) -> TaskRunner:
        from mcp_server.media import isolated
        from mcp_server.ordering import vendor_schema
        from mcp_server.providers.local_media import Intake
        from mcp_server.providers.transport import Transport
        from mcp_server.tasks.failpoints import Failpoints
        from mcp_server.tasks.runner import TaskRunner
        from mcp_server.tasks.runtime import TaskRuntime
        from mcp_server.tasks.store.base import Budget
        from mcp_server.tasks.store.sqlite import SqliteStore

        transport = Transport(now=self.clock.now, sleep=self.clock.sleep)
        runtime = TaskRuntime(
            store=SqliteStore(self.settings.database, self.clock),
            transport=transport,
            catalog=self.load(),
            account=self.account,
            clock=self.clock,
            failpoint=Failpoints(self.settings.crash_at),
            usd_per_credit=self.settings.usd_per_credit,
        )
        return TaskRunner(
            runtime,
            Intake(transport, check=vendor_schema.check_body),
            Budget(daily_usd=self.settings.daily_budget_usd),
            examine=isolated.in_turns(),
        )

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
        from mcp_server.sandbox.sandbox import Sandbox
        from mcp_server.sandbox.server import SandboxServer

        if self._sandbox is None:
            self.settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
            sandbox = Sandbox(
                self.settings.home / "sandbox.db",
                now=self.clock.now,
                sleep=self.clock.sleep,
                seconds=self.settings.sandbox_seconds,
                fault_text=self.settings.sandbox_faults,
            )
            self._sandbox = SandboxServer(sandbox)
        return self._sandbox

    async def close(self) -> None:
        """End what was begun, the sandbox last: tasks may still be asking it."""
        if self._sandbox is not None:
            await self._sandbox.stop()
            self._sandbox.sandbox.close()
            self._sandbox = None
