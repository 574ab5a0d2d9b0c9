"""Two processes on one store, in every order hypothesis can think of: crashes, lost answers, pauses, jumping clocks."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from support.stub_vendor import MP4, PENDING, SAVING, House, facts, quiet, with_files

from mcp_server.domain.task import FINISHED
from mcp_server.errors import LocalError, RequestError
from mcp_server.providers.transport import UnreachableError
from mcp_server.tasks.failpoints import POINTS
from mcp_server.tasks.store.base import Filter

LATER = (429, {}, {"retry-after": "3"})
ANSWERS: dict[str, Any] = {
    "yes": None,
    "lost": "lost",
    "500": (500, {}),
    "html": (200, "<html>"),
    "odd": (200, {"refused": "in words nobody wrote down"}),
    "no": (422, {}),
    "later": LATER,
}


ARRIVALS: dict[str, Any] = {
    "at once": lambda: None,
    "late": lambda: UnreachableError("no route"),
    "never": lambda: RequestError("the file was changed"),
}
"""How a file arrives at the vendor; a slow one does when a rule says so."""
LOOKUPS: dict[str, Any] = {
    "there": None,
    "hidden": "hidden",
    "in trouble": (503, "down"),
    "unreadable": (200, "<html>"),
    "unreachable": UnreachableError("no route"),
}
STUMBLES = (
    "change",
    "create",
    "decide",
    "durations",
    "heartbeat",
    "leased",
    "release",
    "sending",
    "still_leased",
    "take_over",
)
"""What the store may refuse to do for a while: a full disk, another process that locks it."""
WAY = [point for point in POINTS if not point.startswith("cancel")]


class KilledError(BaseException):
    """What a process would not even notice."""


class Machine(RuleBasedStateMachine):
    tasks = Bundle("tasks")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.home = Path(tempfile.mkdtemp())
        self.house = House(self.home, providers=(facts(), facts("asked", lookup=True)))
        self.alive: list[Any] = [None, None]
        self.points: dict[int, str] = {}
        self.ordered: dict[str, bool] = {}
        self.doubted: set[str] = set()
        self.keyless_sent: dict[str, int] = {}
        self.bodies: dict[str, str] = {}
        self.on_the_way: list[asyncio.Future[None]] = []
        self._watch_vendor()
        for slot in (0, 1):
            self.run(self._start(slot))

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def _watch_vendor(self) -> None:
        plain = self.house.vendor._submit

        async def submit(call: Any) -> Any:
            prompt = call.json["prompt"]
            body = json.dumps(call.json)
            assert "here: " not in body, "nothing leaves that only stands for a file"
            if call.idempotency_key:
                assert self.bodies.setdefault(prompt, body) == body
            before = set(self.house.vendor.jobs)
            try:
                reply = await plain(call)
            except Exception:
                self.doubted.add(prompt)
                raise
            finally:
                for job in set(self.house.vendor.jobs) - before:
                    self.house.vendor.jobs[job]["prompt"] = prompt
            if (
                reply.status >= 500
                or not isinstance(reply.body, dict)
                or (reply.status < 300 and "refused" in reply.body)
            ):
                self.doubted.add(prompt)
            if reply.status < 400 or reply.status >= 500:
                self.keyless_sent[prompt] = self.keyless_sent.get(prompt, 0) + (call.idempotency_key is None)
            return reply

        self.house.vendor._submit = submit  # type: ignore[method-assign]

    async def _start(self, slot: int) -> None:
        def failpoint(point: str) -> None:
            if self.points.get(slot) == point and self.alive[slot] is runner:
                del self.points[slot]
                # Any call that is on its way when its process dies is in doubt.
                if point in {"submit.before_send", "submit.answered"} or runner.dispatcher.submitter.unanswered:
                    self.doubted |= set(self.ordered)
                event(f"killed at {point}")
                self._kill(slot)
                raise KilledError

        runner = self.house.runner(failpoint=failpoint)
        self.alive[slot] = runner
        await runner.start()

    def _kill(self, slot: int) -> None:
        """The process is gone: nothing of it runs or writes any more."""
        runner = self.alive[slot]
        self.alive[slot] = None
        runner.store._writer._closed = True
        runner.dispatcher.closed = True
        for each in (*runner.leases.loops, *runner.dispatcher._work, *runner.dispatcher.scheduler._running):
            each.cancel()
        runner.dispatcher.scheduler.clear()

    @rule(
        target=tasks,
        slot=st.sampled_from([0, 1]),
        keyed=st.booleans(),
        answers=st.lists(st.sampled_from(sorted(ANSWERS)), max_size=2),
        files=st.lists(st.sampled_from(["slow", *ARRIVALS]), max_size=3),
        asked=st.booleans(),
    )
    def buy(self, slot: int, keyed: bool, answers: list[str], files: list[str], asked: bool) -> str:
        if self.alive[slot] is None:
            self.run(self._start(slot))
        runner = self.alive[slot]
        prompt = f"clip {len(self.ordered)}"
        self.house.vendor.answers = [ANSWERS[name] for name in answers]
        if {"lost", "500", "html", "odd"} & set(answers):
            self.doubted.add(prompt)
        self.house.intake.answers = [ARRIVALS[name]() if name != "slow" else self._slow() for name in files]
        vendor = {"provider": "asked"} if asked else {}
        new = self.house.new(prompt=prompt, keyed=keyed, **vendor)
        if files:
            key = new.id if keyed else None
            new = self.house.new(
                new.id,
                **with_files(*(f"{number}.png" for number in range(len(files))), prompt=prompt, key=key),
                **vendor,
            )
        self.ordered[prompt] = keyed

        async def go() -> None:
            caller = asyncio.create_task(runner.buy(new, wait_s=0))
            await quiet()
            caller.cancel()
            await asyncio.gather(caller, return_exceptions=True)

        self._quietly(go())
        self.house.vendor.answers = []
        self.house.intake.answers = []
        return new.id

    @rule(
        slot=st.sampled_from([0, 1]),
        answer=st.sampled_from(["lost", "500", "html"]),
        lies=st.lists(st.sampled_from(sorted(LOOKUPS)), max_size=9),
        seconds=st.sampled_from([0.5, 9.0, 60.0, 150.0]),
    )
    def buy_and_look_it_up(self, slot: int, answer: str, lies: list[str], seconds: float) -> None:
        """An answer is lost, and the vendor shows the order late, at times not at all, or is in trouble itself."""
        self.house.vendor.found_answers = [LOOKUPS[name] for name in lies]
        self.buy(slot, keyed=False, answers=[answer], files=[], asked=True)
        self.wait(seconds)

    @rule(lies=st.lists(st.sampled_from(sorted(LOOKUPS)), max_size=9))
    def lie_later(self, lies: list[str]) -> None:
        """What look-ups say from now on, also of orders they showed before."""
        self.house.vendor.found_answers = [LOOKUPS[name] for name in lies]

    @rule(target=tasks, slot=st.sampled_from([0, 1]), point=st.sampled_from(["", *WAY]), done=st.booleans())
    def buy_and_go_a_way(self, slot: int, point: str, done: bool) -> str:
        """An order that goes well, as far as the point at which its process dies."""
        self.points.pop(slot, None)
        if point:
            self.points[slot] = point
        task_id = self.buy(slot, keyed=False, answers=[], files=["at once"], asked=False)
        if done:
            self.work(succeed=True)
            self.wait(9.0)
        return task_id

    def _quietly(self, work: Any) -> None:
        try:
            self.run(work)
        except (KilledError, LocalError):
            pass

    def _slow(self) -> asyncio.Future[None]:
        self.on_the_way.append(self.loop.create_future())
        return self.on_the_way[-1]

    @rule()
    def arrive(self) -> None:
        """A file that was on its way is there, if anybody still waits for it."""
        while self.on_the_way:
            if not (file := self.on_the_way.pop(0)).done():
                file.set_result(None)
                return

    @rule(slot=st.sampled_from([0, 1]), after=st.sampled_from([0.0, 3.0]))
    def pause(self, slot: int, after: float) -> None:
        """The process stops for long enough to be given up, and then goes on as if nothing had been."""
        runner, other = self.alive[slot], self.alive[1 - slot]
        if runner is None or other is None:
            return
        self.doubted |= set(self.ordered) if runner.dispatcher.submitter.unanswered else set()
        for loop in runner.leases.loops:
            loop.cancel()
        runner.leases.loops = []
        self.wait(9.0)
        if self.alive[slot] is runner:
            self._quietly(runner.start())
        self.wait(after)

    @rule(slot=st.sampled_from([0, 1]))
    def die(self, slot: int) -> None:
        if self.alive[slot] is not None:
            # A call that is on its way when its process dies is in doubt.
            self.doubted |= set(self.ordered) if self.alive[slot].dispatcher.submitter.unanswered else set()
            self._kill(slot)

    @rule(slot=st.sampled_from([0, 1]), point=st.sampled_from(WAY))
    def die_at(self, slot: int, point: str) -> None:
        self.points[slot] = point

    @rule(slot=st.sampled_from([0, 1]))
    def start(self, slot: int) -> None:
        if self.alive[slot] is None:
            self.run(self._start(slot))

    @rule(slot=st.sampled_from([0, 1]))
    def close(self, slot: int) -> None:
        if (runner := self.alive[slot]) is not None:
            # An answer that cannot be written down before the end is lost.
            self.doubted |= set(self.ordered) if runner.dispatcher.submitter.unanswered else set()
            self._quietly(runner.close(grace_s=0))
            self.alive[slot] = None

    @rule(
        slot=st.sampled_from([0, 1]),
        name=st.sampled_from(STUMBLES),
        times=st.sampled_from([1, 2, 5]),
        defect=st.booleans(),
    )
    def stumble(self, slot: int, name: str, times: int, defect: bool) -> None:
        """The store does not do this the next few times."""
        if (runner := self.alive[slot]) is None or name in vars(runner.store):
            return
        real, left = getattr(runner.store, name), [None] * times
        regular = name in {"heartbeat", "take_over", "leased"}

        async def stumbles(*given: Any, **more: Any) -> Any:
            if not left:
                return await real(*given, **more)
            left.pop()
            event(f"stumbled at {name}")
            # Only where nothing is being bought: there a defect of ours is not what is tried here.
            raise TypeError("a defect") if defect and regular else LocalError("The record of tasks cannot be used")

        setattr(runner.store, name, stumbles)

    @rule(seconds=st.sampled_from([0.5, 3.0, 9.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self._quietly(self.house.clock.advance(seconds))

    @rule(seconds=st.sampled_from([-86_400.0, -60.0, 60.0, 86_400.0]))
    def jump(self, seconds: float) -> None:
        self.house.clock.jumped += seconds

    @rule(succeed=st.booleans())
    def work(self, succeed: bool) -> None:
        for job_id, job in self.house.vendor.jobs.items():
            if job["status"] == "pending":
                if succeed:
                    self.house.vendor.finish(job_id)
                else:
                    job |= {"status": "failed", "error": "no"}
                break

    @rule(answer=st.sampled_from([(503, "down"), (200, "<html>"), (404, {}), LATER]))
    def trouble(self, answer: Any) -> None:
        self.house.vendor.status_answers.append(answer)

    @invariant()
    def nothing_is_bought_twice(self) -> None:
        prompts = [job["prompt"] for job in self.house.vendor.jobs.values() if "prompt" in job]
        assert len(prompts) == len(set(prompts))
        assert all(count <= 1 for count in self.keyless_sent.values()), self.keyless_sent

    @invariant()
    def no_half_file_has_a_name(self) -> None:
        if self.house.out.exists():
            for path in self.house.out.glob("[!.]*"):
                assert path.read_bytes() == MP4

    def teardown(self) -> None:
        try:
            self._end()
        finally:
            self._quietly(self.house.close())
            self.run(self._sweep())
            self.loop.close()
            PENDING.clear()
            SAVING.clear()
            shutil.rmtree(self.home)

    async def _sweep(self) -> None:
        rest = [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]
        for each in rest:
            each.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        for runner in self.house.runners:
            await runner.store._writer.close()

    def _end(self) -> None:
        """In the end everything that was recorded is told, saved and true."""
        self.points.clear()
        self.house.vendor.status_answers.clear()
        self.house.vendor.found_answers.clear()
        self.house.clock.jumped = max(self.house.clock.jumped, 0.0)
        if self.alive[0] is None:
            self.run(self._start(0))
        runner = self.alive[0]
        while self.on_the_way:
            self.arrive()
        for _ in range(400):
            for job_id, job in self.house.vendor.jobs.items():
                if job["status"] == "pending":
                    self.house.vendor.finish(job_id)
            self.run(self.house.clock.advance(5.0))
            found = self.run(runner.store.find(Filter(limit=500)))
            if all(task.finished for task in found):
                break
        jobs = {job["prompt"]: job for job in self.house.vendor.jobs.values() if "prompt" in job}
        for task in found:
            event(f"ends {task.state}")
            if task.prompt in self.house.vendor.lookups:
                event(f"looked up, ends {task.state}")
            assert task.state in FINISHED, (task.state, task.note, task.sent_at)
            if task.state == "uncertain":
                assert task.prompt in self.doubted, task
            if task.state == "succeeded":
                assert hashlib.sha256(Path(task.artifact.path).read_bytes()).hexdigest() == task.artifact.sha256
                assert jobs[task.prompt]["status"] == "completed"
            if task.prompt in jobs and task.state not in {"uncertain"}:
                assert task.job_id is not None
            if task.job_id is not None and task.prompt in jobs:
                # Whatever a look-up showed, and when: the job that is followed is this order's.
                assert jobs[task.prompt]["id"] == task.job_id, task
            if task.prompt in jobs and task.state == "failed":
                assert task.error["money"] != "not_spent", task
        paths = [task.artifact.path for task in found if task.artifact]
        assert len(paths) == len(set(paths))
        # Whatever the vendor was paid for stands in the store.
        assert set(jobs) <= {task.prompt for task in found}


Machine.TestCase.settings = settings(
    max_examples=int(os.environ.get("DRILL_EXAMPLES", "80")),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    # The same walks in every run of the suite; the drill draws others.
    derandomize="DRILL_EXAMPLES" not in os.environ,
)
TestInterleavings = Machine.TestCase
