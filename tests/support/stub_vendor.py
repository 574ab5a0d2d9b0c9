"""A vendor nobody sells: the smallest protocol that has everything the tasks care about, and a clock to turn."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from mcp_server.domain.catalog import Catalog, Offer, Provider
from mcp_server.domain.task import Job, JobReport, LocalMedium, Task
from mcp_server.errors import KlingError
from mcp_server.providers import reading
from mcp_server.providers.accounts import Account
from mcp_server.providers.base import Cancellation, HttpCall, HttpReply
from mcp_server.providers.downloads import Taker
from mcp_server.providers.transport import LostAnswerError, UnreachableError
from mcp_server.settings import Secret
from mcp_server.tasks.download.saver import Saver
from mcp_server.tasks.runner import TaskRunner
from mcp_server.tasks.runtime import TaskRuntime
from mcp_server.tasks.store.base import NewTask, new_id
from mcp_server.tasks.store.sqlite import SqliteStore
from mcp_server.tasks.store.writer_thread import WriterThread
from mcp_server.telemetry import NoTraces

MP4 = b"\0\0\0\x14ftypisom\0\0\2\0iso2" + b"\0\0\0\x6cmoov" + bytes(100) + b"\0\0\x28\x08mdat" + bytes(range(256)) * 40
DAY = date(2026, 11, 21)


def facts(name: str = "stub", **changes: Any) -> Provider:
    values: dict[str, Any] = {
        "id": name, "name": "Stub", "docs": "", "base_urls": {"api": "https://stub.test"},
        "key_variable": "STUB_KEY", "base_url_variable": "STUB_BASE_URL",
        "statuses": {"pending": "queued", "processing": "running", "completed": "succeeded", "failed": "failed"},
        "faults": {}, "http_faults": {"401": "auth", "402": "no_funds", "404": "not_found", "422": "bad_input", "429": "rate_limited", "409": "conflict"},
        "media_inputs": (), "concurrency": 4, "unknown": (), "disagreements": (), "source": "test", "checked": DAY,
    }  # fmt: skip
    return Provider(**(values | changes))


def offer(provider: str = "stub", mode: Any = "text-to-video") -> Offer:
    return Offer(
        id=f"{provider}/kling-3.0/pro/{mode}", provider=provider, model="kling-3.0", tier="pro", mode=mode,
        vendor_model="k3", schema="submit", source="test", checked=DAY,
    )  # fmt: skip


def catalog(*providers: Provider) -> Catalog:
    some = providers or (facts(),)
    return Catalog({}, {each.id: each for each in some}, tuple(offer(each.id) for each in some), ())


class Wire:
    def __init__(self, provider: Provider) -> None:
        self.facts = provider

    def read_submit(self, reply: HttpReply) -> Job:
        body = self._body(reply)
        if "id" not in body:
            raise reading.unreadable(self.facts, reply, "an id")
        return Job(id=body["id"], status=body.get("status", ""), charged=reading.number(body.get("cost")))

    def status(self, job: Job, offer: Offer | None) -> HttpCall:
        return HttpCall(method="GET", path=f"/jobs/{job.id}")

    def read_status(self, job: Job, reply: HttpReply) -> JobReport:
        body = self._body(reply)
        word = body["status"]
        state = reading.state_of(self.facts, word)
        return JobReport(
            state=state,
            status=word,
            progress=body.get("progress"),
            video_urls=tuple(body.get("videos", ())),
            failure=reading.failure(self.facts, body.get("error", "")) if state == "failed" else None,
            charged=reading.number(body.get("cost")),
            needs_result=bool(body.get("needs_result")),
        )

    def result(self, job: Job) -> HttpCall | None:
        return HttpCall(method="GET", path=f"/jobs/{job.id}/result")

    def read_result(self, job: Job, reply: HttpReply) -> JobReport:
        return self.read_status(job, reply)

    def find(self, order: HttpCall) -> HttpCall:
        return HttpCall(method="GET", path="/orders", params={"prompt": order.json["prompt"]})

    def read_find(self, order: HttpCall, sent_at: float, reply: HttpReply) -> tuple[Job, ...]:
        return tuple(Job(id=found) for found in self._body(reply)["found"])

    def cancel(self, job: Job) -> HttpCall | None:
        return HttpCall(method="POST", path=f"/jobs/{job.id}/cancel") if self.facts.cancel == "queued" else None

    def read_cancel(self, reply: HttpReply) -> Cancellation:
        return Cancellation(done=self._body(reply)["outcome"] == "cancelled", words=self._body(reply)["outcome"])

    def _body(self, reply: HttpReply) -> Any:
        if reply.status >= 400 or (isinstance(reply.body, dict) and "refused" in reply.body):
            raise reading.refusal(self.facts, reply)
        if not isinstance(reply.body, dict):
            raise reading.unreadable(self.facts, reply, "JSON")
        return reply.body


def new_task(
    task_id: str = "", *, provider: str = "stub", output_dir: Path | str = "/nowhere", **changes: Any
) -> NewTask:
    task_id = task_id or new_id(1_795_000_000)
    keyed = changes.pop("keyed", False)
    prompt = changes.pop("prompt", "a neon city")
    values: dict[str, Any] = {
        "id": task_id, "provider": provider, "simulated": False, "offer_id": f"{provider}/kling-3.0/pro/text-to-video",
        "model": "kling-3.0", "tier": "pro", "mode": "text-to-video", "prompt": prompt,
        "request": {"prompt": prompt}, "request_digest": f"digest of {prompt}",
        "call": HttpCall(
            method="POST", path="/jobs", json={"prompt": prompt, "cfg": Decimal("0.5")}, schema="submit", paid=True,
            headers={"Idempotency-Key": task_id} if keyed else {}, idempotency_key=task_id if keyed else None,
        ),
        "quote_amount": Decimal("0.56"), "quote_currency": "USD", "quote_usd": Decimal("0.56"),
        "quote": {"usd": "0.56"}, "reserve_usd": Decimal("0.56"), "output_dir": str(output_dir),
    }  # fmt: skip
    return NewTask(**(values | changes))


class ManualClock:
    """Time that moves only when told; sleepers wake in their order."""

    def __init__(self, at: float = 1_795_000_000.0) -> None:
        self.start = at
        self.passed = 0.0
        self.jumped = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> float:
        return self.start + self.passed + self.jumped

    def monotonic(self) -> float:
        return self.passed

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        self._sleepers.append((self.passed + max(seconds, 0), self._count, future))
        await future

    async def advance(self, seconds: float) -> None:
        """Let time pass, waking whoever's time comes on the way."""
        end = self.passed + seconds
        while True:
            await quiet()
            self._sleepers = [entry for entry in self._sleepers if not entry[2].done()]
            due = min(self._sleepers, default=None, key=lambda entry: entry[:2])
            if due is None or due[0] > end:
                break
            self.passed = max(self.passed, due[0])
            self._sleepers.remove(due)
            due[2].set_result(None)
        self.passed = end
        await quiet()


PENDING: set[object] = set()
"""Operations of stores that are not answered yet."""
SAVING: set[object] = set()


async def quiet() -> None:
    """Let everything that can run now run; threads need a moment of real time."""
    calm = 0
    while calm < 3:
        for _ in range(6):
            await asyncio.sleep(0)
        if SAVING or PENDING:
            calm = 0
            await asyncio.sleep(0.0003)
        else:
            calm += 1


class WatchedWriter(WriterThread):
    """A writer thread whose answers are waited for before time goes on."""

    async def do(self, *arguments: Any) -> Any:
        token = object()
        PENDING.add(token)
        try:
            return await super().do(*arguments)
        finally:
            PENDING.discard(token)


class WatchedSaver(Saver):
    """A saver whose threads are waited for before time goes on."""

    async def save(self, *arguments: Any, **more: Any) -> Any:
        token = object()
        SAVING.add(token)
        try:
            return await super().save(*arguments, **more)
        finally:
            SAVING.discard(token)


@dataclass
class Vendor:
    """What the stub knows, and what it was asked. It is also the transport."""

    submits: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    looks: list[str] = field(default_factory=list)
    downloads: list[str] = field(default_factory=list)
    cancels: list[str] = field(default_factory=list)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    by_key: dict[str, str] = field(default_factory=dict)
    answers: list[Any] = field(default_factory=list)
    """What the next submits get: an exception, a (status, body), "lost" (taken, answer lost), or a Future to wait for."""
    status_answers: list[Any] = field(default_factory=list)
    found_answers: list[Any] = field(default_factory=list)
    """What the next look-ups get: an exception, or a (status, body); "hidden" where the order does not show yet."""
    lookups: list[str] = field(default_factory=list)
    files: dict[str, Any] = field(default_factory=dict)
    traces: NoTraces = field(default_factory=NoTraces)
    on_look: Any = None
    plays: Any = None
    """Called with a job when it is looked at."""

    @asynccontextmanager
    async def slot(self, account: Account) -> Any:
        yield

    def proxied(self, url: str) -> bool:
        return False

    async def send(self, account: Account, call: HttpCall, *, leaves: Any = None) -> HttpReply:
        if call.paid:
            await leaves()
            return await self._submit(call)
        if call.path == "/orders":
            return self._looked_up(call.params["prompt"])
        if call.path.endswith("/cancel"):
            self.cancels.append(call.path.split("/")[2])
            job = self.jobs[self.cancels[-1]]
            done = job["status"] == "pending"
            if done:
                job["status"] = "cancelled"
            return reply(200, {"outcome": "cancelled" if done else "not_cancellable"})
        job_id = call.path.split("/")[2]
        self.looks.append(job_id)
        if self.status_answers:
            return self._given(self.status_answers.pop(0))
        if job_id not in self.jobs:
            return reply(404, {"error": "no such job"})
        if self.plays:
            self.plays(self.jobs[job_id])
        return reply(200, self.jobs[job_id])

    async def _submit(self, call: HttpCall) -> HttpReply:
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, asyncio.Future):
            answer = await answer
        if isinstance(answer, UnreachableError):
            raise answer
        key = call.idempotency_key or ""
        self.submits.append((key, call.json))
        if isinstance(answer, Exception) or (answer is not None and answer != "lost"):
            return self._given(answer)
        if key and key in self.by_key:
            job_id = self.by_key[key]
        else:
            job_id = f"job-{len(self.jobs) + 1}"
            self.jobs[job_id] = {"id": job_id, "status": "pending"}
            self.by_key[key] = job_id
        if answer == "lost":
            raise LostAnswerError("Stub did not answer (ReadTimeout)", money="may_have_been_charged")
        return reply(200, {"id": job_id, "status": "pending"})

    def _looked_up(self, prompt: str) -> HttpReply:
        self.lookups.append(prompt)
        answer = self.found_answers.pop(0) if self.found_answers else None
        if answer is not None and answer != "hidden":
            return self._given(answer)
        there = [job_id for job_id, job in self.jobs.items() if job.get("prompt") == prompt]
        return reply(200, {"found": [] if answer == "hidden" else there})

    def _given(self, answer: Any) -> HttpReply:
        if isinstance(answer, KlingError):
            raise answer
        return reply(*answer)

    def finish(self, job_id: str, **facts: Any) -> None:
        url = f"https://media.test/{job_id}.mp4"
        self.files.setdefault(url, MP4)
        self.jobs[job_id] |= {"status": "completed", "videos": [url], **facts}

    async def download(self, url: str, taker: Taker, *, start: int = 0, etag: str = "", addresses: Any = ()) -> None:
        self.downloads.append(url)
        found = self.files.get(url, (404, {}, [b"gone"]))
        if isinstance(found, KlingError):
            raise found
        if isinstance(found, bytes):
            found = (200, {"content-length": str(len(found)), "etag": '"one"'}, [found])
        await asyncio.to_thread(_hand_over, taker, *found)


def _hand_over(taker: Taker, status: int, headers: dict[str, str], parts: list[Any]) -> None:
    if not taker.head(status, headers):
        return
    try:
        for part in parts:
            if isinstance(part, Exception):
                raise part
            taker.take(part)
    finally:
        taker.close()
    taker.whole()


def reply(status: int, body: Any, headers: dict[str, str] | None = None) -> HttpReply:
    text = body if isinstance(body, str) else json.dumps(body)
    return HttpReply(
        status=status,
        body=None if isinstance(body, str) else json.loads(text, parse_float=Decimal),
        text=text,
        headers=headers or {},
    )


async def everywhere(host: str, port: int) -> list[str]:
    return ["93.184.216.34"]


@dataclass
class StubIntake:
    """Where the stub vendor keeps what is handed over to it."""

    got: list[str] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)
    """What the next files get: an exception, or a Future to wait for."""

    async def hand_over(self, account: Account, task: Task, medium: LocalMedium) -> str:
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, asyncio.Future):
            answer = await answer
        if isinstance(answer, Exception):
            raise answer
        self.got.append(medium.name)
        return f"https://stub.test/files/{len(self.got)}"

    async def body(self, task: Task) -> Any:
        text = json.dumps(task.call["json"])
        for medium in task.local_media:
            text = text.replace(medium.placeholder, medium.address)
        return json.loads(text)


def with_files(*names: str, **changes: Any) -> dict[str, Any]:
    """What an order with these local files says more than another."""
    media = tuple(
        LocalMedium(
            place=f"references[{index}]", path=f"/pictures/{name}", bytes=1, sha256="", placeholder=f"here: {name}"
        )
        for index, name in enumerate(names)
    )
    body = {"prompt": changes.get("prompt", "a neon city"), "pictures": [medium.placeholder for medium in media]}
    key = changes.pop("key", None)
    return {
        "local_media": media,
        "call": HttpCall(method="POST", path="/jobs", json=body, schema="submit", paid=True, idempotency_key=key),
        **changes,
    }


@dataclass
class House:
    """One home, one vendor, one clock; as many processes as wanted."""

    home: Path
    clock: ManualClock = field(default_factory=ManualClock)
    vendor: Vendor = field(default_factory=Vendor)
    intake: StubIntake = field(default_factory=StubIntake)
    providers: tuple[Provider, ...] = field(default_factory=lambda: (facts(),))
    runners: list[TaskRunner] = field(default_factory=list)

    @property
    def out(self) -> Path:
        return self.home / "out"

    def runner(self, **changes: Any) -> TaskRunner:
        async def account(provider: str, simulated: bool) -> Account:
            known = next(each for each in self.providers if each.id == provider)
            return Account(facts=known, base_urls=known.base_urls, secret=Secret("k", "test"), simulated=simulated)

        store = SqliteStore(self.home / "tasks.db", self.clock)  # type: ignore[arg-type]
        store._writer = WatchedWriter(store._open)
        values: dict[str, Any] = {
            "store": store,
            "transport": self.vendor,
            "account": account,
            "catalog": catalog(*self.providers),
            "clock": self.clock,
            "wire": Wire,
        }
        surroundings = {field.name for field in dataclasses.fields(TaskRuntime)}
        values |= {name: changes.pop(name) for name in surroundings & set(changes)}
        runtime = TaskRuntime(**values)
        saver = WatchedSaver(runtime, resolve=everywhere)
        made = TaskRunner(runtime, **({"intake": self.intake, "saver": saver} | changes))
        self.runners.append(made)
        return made

    def new(self, task_id: str = "", **changes: Any) -> NewTask:
        return new_task(task_id, **({"output_dir": self.out} | changes))

    async def given_up(self) -> tuple[TaskRunner, TaskRunner, Any, asyncio.Future[Any]]:
        """A process that slept while its paid call was out, its heir that calls the order uncertain, and the answer."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.vendor.answers = [answer]
        paused = self.runner()
        task, _ = await paused.buy(self.new(), wait_s=0.02)
        await quiet()
        for loop in paused.leases.loops:
            loop.cancel()
        heir = self.runner()
        await heir.start()
        task = await self.until(heir, task.id, "uncertain", limit_s=30)
        return paused, heir, task, answer

    async def until(self, runner: TaskRunner, task_id: str, *states: str, limit_s: float = 3_000.0) -> Any:
        """Turn the clock until the task is in one of these states."""
        for _ in range(int(limit_s)):
            task = await runner.store.get(task_id)
            if task.state in states:
                return task
            await self.clock.advance(1.0)
        raise AssertionError(f"still {task.state} ({task.note}) after {limit_s} s")

    async def close(self) -> None:
        for runner in self.runners:
            await runner.close(grace_s=0)
        PENDING.clear()
        SAVING.clear()


async def bought(house: House, runner: TaskRunner | None = None, **changes: Any) -> tuple[TaskRunner, Any]:
    """A process, and a task it has bought."""
    runner = runner or house.runner()
    task, _ = await runner.buy(house.new(**changes))
    assert task.state == "queued"
    return runner, task
