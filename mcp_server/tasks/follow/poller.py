"""One poll of a job, and what it changes in the task's row; one try to save its clip."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Unpack

from mcp_server.domain.catalog import Provider
from mcp_server.domain.task import Job, JobReport
from mcp_server.errors import KlingError, LocalError, ProviderError
from mcp_server.tasks.download.files import NotAVideoError
from mcp_server.tasks.download.links import LinkRefusedError
from mcp_server.tasks.download.saver import IncompleteClipError, LinkExpiredError
from mcp_server.tasks.follow import failures, intervals
from mcp_server.tasks.follow.fetch import ClipFetch
from mcp_server.tasks.follow.notes import lasting, more
from mcp_server.tasks.follow.pace import PollPacing
from mcp_server.tasks.follow.scheduler import Followed, Streak, lane_of
from mcp_server.tasks.runtime import TaskRuntime
from mcp_server.tasks.settlement import counted, disbelieved, settled, unmade
from mcp_server.tasks.store.base import Changes, LeaseLostError
from mcp_server.telemetry import working_on

_log = logging.getLogger("kling_video.tasks")

FORGOTTEN_AFTER_S = 3_900.0
"""A vendor that does not know the job for this long, at every poll, does not know it any more. Longer than an
hour: a gateway that is being repaired answers 404, too."""
FORGOTTEN_POLLS = 5
REASON_AFTER_S = 120.0
"""How long the reason of a failed job is asked for; that it failed is known."""
UNSAVED_LIFE_S = 7 * 86_400.0
"""How long saving is tried where the vendor does not say how long its link lives."""
LATER_AT_MOST_S = 300.0
"""A vendor's "come back later" is heard up to here: its link to the clip may not live longer."""
LATE_GRACE_S = 3_600.0
"""A deadline is only believed after this much watching of our own: the wall clock may have been set."""
FRESH_LINKS = 6
"""How often the sandbox is asked for another link; a real vendor is asked as long as it may keep the paid clip."""


class NamelessClipError(KlingError):
    """The vendor says that the clip is done, and does not say where it is."""

    code = "nameless_clip"


@dataclass
class Poller:
    """Takes a followed task one step on: polls its job, or saves its clip; no error of a step loses the task."""

    runtime: TaskRuntime
    pacing: PollPacing
    fetch: ClipFetch

    async def step(self, followed: Followed) -> float | None:
        """One poll, or one try to save: seconds until the next step; None when there is nothing more to do."""
        try:
            with working_on(followed.id):
                if followed.task.state == "saving":
                    return await self._save(followed)
                return await self._poll(followed)
        except LeaseLostError:
            return None
        except KlingError as error:
            return await self._trouble_told(followed, error)
        except Exception as error:
            # A defect of ours must not lose a clip somebody paid for.
            _log.exception("Task %s: looking at it failed", followed.id)
            return await self._trouble_told(followed, KlingError(f"Looking at it failed ({type(error).__name__})"))

    async def _trouble_told(self, followed: Followed, error: KlingError) -> float | None:
        try:
            return await self._trouble(followed, error)
        except LeaseLostError:
            return None
        except KlingError as worse:
            _log.warning("Task %s: %s", followed.id, worse.what)
        except Exception:
            _log.exception("Task %s: its trouble could not be told", followed.id)
        return intervals.trouble(followed.failures)

    async def _poll(self, followed: Followed) -> float | None:
        task = followed.task
        facts = self.runtime.provider(task)
        wire = self.runtime.wire(facts)
        account = await self.runtime.account_of(task)
        job = Job(id=task.job_id or "", status=task.status, links=task.job_links)
        followed.last_word = None
        self.runtime.failpoint("follow.before_look")
        async with self.runtime.transport.slot(account):
            call = wire.status(job, self.runtime.catalog.known(task.offer_id))
            reply = await self.runtime.transport.send(account, call)
        report = wire.read_status(job, reply)
        if report.needs_result and (call := wire.result(job)) is not None:
            followed.last_word = report
            async with self.runtime.transport.slot(account):
                reply = await self.runtime.transport.send(account, call)
            report = wire.read_result(job, reply)
        self.runtime.failpoint("follow.answered")
        if report.state != "succeeded" or report.video_urls:
            followed.failures = 0
            followed.bare.ends()
        followed.missing.ends()
        return await self._seen(followed, report, facts)

    async def _seen(self, followed: Followed, report: JobReport, facts: Provider) -> float | None:
        task = followed.task
        if report.state in ("succeeded", "failed", "cancelled") and followed.posted_at is None:
            self.pacing.missed(task)
        match report.state:
            case "queued" | "running" | "unknown":
                return await self._still_going(followed, report)
            case "succeeded" if report.video_urls:
                return await self._ready(followed, report, facts)
            case "succeeded":
                followed.last_word = report
                error = NamelessClipError(f"{facts.name} says it is done and names no clip")
                return await self._trouble(followed, error)
            case "failed" | "cancelled":
                settlement = unmade(task, report.charged, facts, usd_per_credit=self.runtime.usd_per_credit)
                await self._note(
                    followed,
                    f"the vendor says {report.status!r}",
                    state=report.state,
                    status=report.status,
                    ready_at=self.runtime.clock.now(),
                    settlement=settlement,
                    reserved_usd=counted(task, settlement),
                    error=None if report.state == "cancelled" else failures.failed(report.failure, facts, settlement),
                    note="",
                )
                return None

    async def _still_going(self, followed: Followed, report: JobReport) -> float | None:
        task = followed.task
        now = self.runtime.clock.now()
        followed.last_running = now
        limit = intervals.deadline_s(task.mode, off_peak=bool(task.request.get("off_peak")))
        if limit is not None and self.pacing.age(task) > limit and self._watched_long(followed):
            await self._overdue(followed, limit, report.status)
            return None
        state = task.state if report.state == "unknown" or task.state == "saving" else report.state
        odd = f"{task.provider} says {report.status!r}, a word nobody documented" if report.state == "unknown" else ""
        note = odd or lasting(task)
        shown = (state, report.status, report.progress, report.queue_position, note)
        if shown != (task.state, task.status, task.progress, task.queue_position, task.note):
            await self._note(
                followed,
                money=False,
                state=state,
                status=report.status,
                progress=report.progress,
                queue_position=report.queue_position,
                note=note,
            )
        return await self.pacing.gap(followed.task, posted=followed.posted_at is not None)

    async def _ready(self, followed: Followed, report: JobReport, facts: Provider) -> float | None:
        task = followed.task
        now = self.runtime.clock.now()
        settlement = settled(task, report.charged, usd_per_credit=self.runtime.usd_per_credit)
        life = facts.result_life_days
        others = report.video_urls[1:]
        took = self._took(followed, now)
        await self._note(
            followed,
            f"the clip is ready ({report.status})",
            state="saving",
            status=report.status,
            progress=100 if report.progress is None else report.progress,
            queue_position=None,
            ready_at=task.ready_at or now,
            took_s=took,
            video_url=report.video_urls[0],
            expires_at=None if life is None else (task.ready_at or now) + life * 86_400,
            settlement=settlement,
            reserved_usd=counted(task, settlement),
            note=" ".join(filter(None, (disbelieved(task, report.charged), more(others)))) or lasting(task),
        )
        self.runtime.failpoint("follow.recorded")
        followed.lane = lane_of(followed.task)
        return 0.0

    async def _save(self, followed: Followed) -> float | None:
        if followed.saved is None:
            try:
                followed.saved = await self.fetch.clip(followed)
            except (LinkExpiredError, LinkRefusedError, NotAVideoError) as error:
                return await self._fresh_link(followed, error)
            except IncompleteClipError as error:
                return await self._incomplete(followed, error)
        task = followed.task
        await self.fetch.saver.tidy(task)
        await self._note(
            followed,
            f"saved {followed.saved.path}",
            state="succeeded",
            artifact=followed.saved,
            note=lasting(task),
        )
        self.runtime.failpoint("save.settled")
        return None

    async def _incomplete(self, followed: Followed, error: IncompleteClipError) -> float | None:
        """Fetch it again; the same bytes for long enough are all there is, and are kept with what is wrong."""
        self.fetch.came_incomplete(followed, error)
        return await self._trouble(followed, error)

    async def _fresh_link(self, followed: Followed, error: KlingError) -> float | None:
        """Ask the vendor for the link again, which may have expired or may not be filled yet; at last say so."""
        over = followed.asked_again >= FRESH_LINKS if followed.task.simulated else self._too_late(followed)
        if not over:
            followed.asked_again += 1
            after_s = await self._poll(followed)
            if after_s is None:
                return None
            if followed.asked_again > 1 and followed.task.note != error.story:
                await self._note(followed, money=False, note=error.story)
            return max(after_s, intervals.reminder(followed.asked_again))
        return await self._unfetchable(followed, error)

    async def _unfetchable(self, followed: Followed, error: KlingError) -> None:
        await self._note(
            followed,
            "the clip cannot be fetched",
            state="failed",
            error=failures.unfetchable(error, expired=isinstance(error, LinkExpiredError)),
        )
        await self.fetch.saver.tidy(followed.task)

    async def _trouble(self, followed: Followed, error: KlingError) -> float | None:
        """Something is in the way: the task stays what it is, and says why it does not move."""
        followed.failures += 1
        if not isinstance(error, ProviderError) or error.fault != "not_found":
            followed.missing.ends()
        elif await self._forgotten(followed, error):
            return None
        if await self._ended_bare(followed, error):
            return None
        if followed.task.state == "saving" and self._too_late(followed):
            return await self._unfetchable(followed, error)
        if followed.failures >= 2 or isinstance(error, LocalError):
            note = error.story
            if note != followed.task.note:
                await self._note(followed, money=False, note=note)
        slow = isinstance(error, LocalError)
        pause = intervals.trouble(followed.failures + (3 if slow else 0))
        wait = error.retry_after_s if isinstance(error, ProviderError) else None
        return max(pause, min(wait or 0.0, LATER_AT_MOST_S))

    async def _forgotten(self, followed: Followed, error: ProviderError) -> bool:
        """Whether the vendor has lost the job for good; new jobs may not be known everywhere at once."""
        followed.missing.goes_on(self.runtime.clock.monotonic())
        if not self._long(followed.missing, FORGOTTEN_AFTER_S):
            return False
        account = await self.runtime.account_of(followed.task)
        if not followed.task.simulated and followed.task.sent_as not in ("", account.mark):
            # Another key than the one it was bought with: of course it is not known under this one.
            return False
        await self._note(
            followed,
            "the vendor does not know the job any more",
            state="failed",
            error=failures.forgotten(error, self.runtime.provider(followed.task)),
        )
        return True

    async def _ended_bare(self, followed: Followed, error: KlingError) -> bool:
        """Whether the vendor's last word has to do: it says that the job ended, and the rest is not to be had."""
        word, facts = followed.last_word, self.runtime.provider(followed.task)
        # A clip that was made is not given up because its address cannot be asked for just now.
        if word is None or (word.state == "succeeded" and not isinstance(error, NamelessClipError)):
            followed.bare.ends()
            return False
        followed.bare.goes_on(self.runtime.clock.monotonic())
        patience = REASON_AFTER_S if word.state == "failed" else FORGOTTEN_AFTER_S
        if followed.task.state == "saving" or not self._long(followed.bare, patience):
            return False
        if word.state == "failed":
            await self._seen(followed, word, facts)
            return True
        settlement = settled(followed.task, word.charged, usd_per_credit=self.runtime.usd_per_credit)
        await self._note(
            followed,
            "done, and no clip is named",
            state="failed",
            status=word.status,
            settlement=settlement,
            reserved_usd=counted(followed.task, settlement),
            error=failures.nameless(error, word.status, settlement),
        )
        return True

    def _long(self, streak: Streak, patience: float) -> bool:
        return streak.lasted(self.runtime.clock.monotonic(), patience, FORGOTTEN_POLLS)

    async def _overdue(self, followed: Followed, limit: float, word: str) -> None:
        await self._note(
            followed,
            "the deadline has passed",
            state="failed",
            status=word,
            error=failures.overdue(self.runtime.provider(followed.task), limit, word),
        )

    async def _note(
        self, followed: Followed, what: str = "", *, money: bool = True, **changes: Unpack[Changes]
    ) -> None:
        """Record it; LeaseLostError when another process has the task now."""
        followed.task = await self.runtime.record(followed.lease, what, money=money, **changes)

    def _too_late(self, followed: Followed) -> bool:
        task = followed.task
        end = task.expires_at or (task.ready_at or task.created_at) + UNSAVED_LIFE_S
        return followed.saved is None and self.runtime.clock.now() > end and self._watched_long(followed)

    def _watched_long(self, followed: Followed) -> bool:
        return self.runtime.clock.monotonic() - followed.since > LATE_GRACE_S

    def _took(self, followed: Followed, now: float) -> float | None:
        """How long the job took, if we saw its end closely enough to learn from it."""
        task = followed.task
        if task.took_s is not None or task.accepted_at is None:
            return task.took_s
        if followed.posted_at is not None:
            return max(0.0, followed.posted_at - task.accepted_at) or None
        last = followed.last_running or task.accepted_at
        took = (last + now) / 2 - task.accepted_at
        return took if 0 < now - last <= max(5.0, 0.5 * took) else None
