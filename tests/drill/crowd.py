"""One of several processes on one store: `python crowd.py URL HOME NAME TASKS`; buys, follows, prints what it saw."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
import time
from pathlib import Path

from support.stub_vendor import Wire, catalog, facts, new_task

from mcp_server.domain.task import Job
from mcp_server.ordering import vendor_schema
from mcp_server.providers.accounts import Account
from mcp_server.providers.base import HttpCall
from mcp_server.providers.local_media import Intake
from mcp_server.providers.transport import Transport
from mcp_server.settings import Secret
from mcp_server.tasks.runner import TaskRunner
from mcp_server.tasks.runtime import TaskRuntime
from mcp_server.tasks.store.base import Filter, new_id
from mcp_server.tasks.store.sqlite import SqliteStore


def runner_at(url: str, home: Path, name: str, concurrency: int = 8) -> TaskRunner:
    provider = facts(concurrency=concurrency)
    account = Account(
        facts=provider,
        base_urls={"api": url},
        secret=Secret("k", "test"),
        simulated=True,
        trusted_origins=frozenset({url}),
    )

    class Named(Wire):
        def status(self, job: Job, offer: object) -> HttpCall:  # type: ignore[override]
            return dataclasses.replace(super().status(job, offer), headers={"X-Process": name})  # type: ignore[arg-type]

    async def reach(_: str, __: bool) -> Account:
        return account

    transport = Transport(now=time.time)
    runtime = TaskRuntime(
        store=SqliteStore(home / "tasks.db"),
        transport=transport,
        catalog=catalog(provider),
        account=reach,
        wire=Named,
    )
    return TaskRunner(runtime, Intake(transport, check=vendor_schema.check_body))


async def main(url: str, home: Path, name: str, count: int) -> dict[str, object]:
    runner = runner_at(url, home, name)
    await runner.start()
    began = time.perf_counter()
    room = asyncio.Semaphore(20)

    async def one(number: int) -> str:
        async with room:
            new = new_task(new_id(time.time()), output_dir=home / "out", prompt=f"{name} {number}", simulated=True)
            return (await runner.buy(new))[0].id

    ids = await asyncio.gather(*(one(number) for number in range(count)))
    bought_s = time.perf_counter() - began
    own = await runner.wait(ids, timeout_s=120)
    while any(not task.finished for task in await runner.store.find(Filter(limit=5000))):
        await asyncio.sleep(0.1)
    await runner.close()
    await runner.runtime.transport.aclose()
    return {
        "states": [task.state for task in own],
        "bought_s": bought_s,
        "notes": [task.note for task in own if task.note],
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])))))
