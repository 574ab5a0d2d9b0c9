"""The sandbox itself: accepts orders, keeps their clock and their bills, and draws what was ordered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from mcp_server.sandbox import faults, jobs, offers
from mcp_server.sandbox.jobs import ClipOrder, SandboxJob
from mcp_server.sandbox.store import Store
from mcp_server.sandbox.video.cache import Clips
from mcp_server.sandbox.video.render import can_render

OPENING: Final = Decimal(1_000_000)
"""What every account begins with, in the vendor's own unit: dollars, credits or tokens."""
BROKE: Final = "sandbox-broke"
"""A key whose account is empty."""
FAILED: Final = "Generation failed: the model could not render this clip (simulated)"
MODERATED: Final = "The content was refused by moderation: ContentModerationFailed (simulated)"


class Sandbox:
    """Every vendor's jobs, accounts and clips, over one store."""

    def __init__(
        self,
        store: Path | str,
        *,
        now: Callable[[], float],
        seconds: float = 2.0,
        fault_text: str = "",
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        rendering: bool | None = None,
    ) -> None:
        """Over `store`, a file or `:memory:`.

        `seconds` is about how long a clip takes; `rendering=False` plays an installation without the `media` extra.
        """
        self.now = now
        self.sleep = sleep
        self.seconds = seconds
        self.store = Store(store, now=now())
        self.rendering = can_render() if rendering is None else rendering
        self.clips = Clips(store, rendering=self.rendering)
        self.posting: set[asyncio.Task[None]] = set()
        """Posts of this process that wait for their job's end."""
        self.armed = faults.Armed(faults.parse(fault_text))

    @property
    def notice(self) -> str:
        """What somebody who gets these clips has to know."""
        if self.rendering:
            return "Simulated: nothing was asked of a vendor, nothing was charged, and the clip is drawn here."
        return (
            "Simulated: nothing was asked of a vendor and nothing was charged. The clip is always the same short "
            "example, whatever was ordered: install the `media` extra to have the order drawn."
        )

    @property
    def control_key(self) -> str:
        """What opens the control API: whoever may read this home's store has it."""
        return sha256(f"{self.store.secret}control".encode()).hexdigest()[:32]

    def close(self) -> None:
        """Let go of the files; jobs stay, where the store is a file. What was to be posted is not."""
        for each in self.posting:
            each.cancel()
        self.store.close()
        self.clips.close()

    def take_fault(self, vendor: str, kinds: Iterable[str], prompt: str = "") -> tuple[str, str] | None:
        """Use up one fault of these kinds: this process's own, then one armed over the control API, which all share."""
        wanted = tuple(kinds)
        return self.armed.take(vendor, wanted, prompt) or self.store.take_fault(vendor, wanted)

    def account(self, key: str) -> str | None:
        """The account a key opens; None for a key that is no good. Keys begin with `sandbox`."""
        # The code family of two vendors cuts this prefix off (new-api source middleware/auth.go).
        name = key.removeprefix("sk-")
        if not name.startswith("sandbox"):
            return None
        return BROKE if name == BROKE else sha256(name.encode()).hexdigest()[:16]

    def accept(
        self, job_id: str, order: ClipOrder, account: str, *, key: str = "", digest: str = "", defects: bool = True
    ) -> tuple[SandboxJob, bool]:
        """Take the order on; with a key that is known, the job it stands for. Whether the job is new."""
        now = self.now()
        scenes = " ".join((order.prompt, *(shot.prompt for shot in order.shots)))
        ending = self.take_fault(order.vendor, faults.ENDINGS, scenes)
        defect = self.take_fault(order.vendor, faults.DEFECTS, scenes) if defects else None
        length = jobs.sandbox_seconds(order, self.seconds)
        job = SandboxJob(
            id=job_id,
            order=order,
            account=account,
            accepted=now,
            starts=now + length * jobs.QUEUED_SHARE,
            ends=now + length,
            ending="done" if ending is None else "moderated" if ending[0] == "moderation" else "failed",
            words="" if ending is None else ending[1] or (MODERATED if ending[0] == "moderation" else FAILED),
            price=offers.cost(order, now),
            defect=defect[0] if defect else "",
        )
        return self.store.add(job, key=key, digest=digest)

    def spent(self, vendor: str, account: str, *, refunds: bool, since: float = 0.0) -> Decimal:
        """What was taken from the account; with `refunds`, failed and cancelled jobs cost nothing."""
        now = self.now()
        return sum(
            (
                price
                for price, accepted, ends, ending, cancelled in self.store.bills(vendor, account)
                if accepted >= since and not cancelled and not (refunds and ending != "done" and now >= ends)
            ),
            Decimal(0),
        )

    def can_pay(self, vendor: str, account: str, *, refunds: bool) -> bool:
        """Whether anything is left; the whole bill is added up only when it could be close."""
        opening = Decimal(0) if account == BROKE else OPENING
        return self.store.reserved(vendor, account) < opening or self.left(vendor, account, refunds=refunds) > 0

    def left(self, vendor: str, account: str, *, refunds: bool) -> Decimal:
        """What is left on the account."""
        opening = Decimal(0) if account == BROKE else OPENING
        return opening - self.spent(vendor, account, refunds=refunds)

    def describe(self, vendor: str, job_id: str) -> dict[str, Any] | None:
        """A job as the sandbox sees it; what it would take in life, and here."""
        job = self.store.find(vendor, job_id)
        if job is None:
            return None
        order = job.order
        width, height = jobs.pixels(order)
        return {
            "id": job.id,
            "phase": job.phase(self.now()),
            "model": order.model,
            "tier": order.tier,
            "mode": order.mode,
            "seconds": order.seconds,
            "audio": order.audio,
            "width": width,
            "height": height,
            "price": None if job.price is None else str(job.price),
            "takes_s": round(job.ends - job.accepted, 3),
            "in_life_s": round(jobs.life_seconds(order)),
            "defect": job.defect,
            "notice": self.notice,
        }

    def link(self, job: SandboxJob, at: float) -> tuple[str, str]:
        """The query of a signed link: until when, and the signature."""
        expires = str(int(at))
        return expires, sha256(f"{self.store.secret}{job.id}{expires}".encode()).hexdigest()[:32]
