"""The clips of finished jobs: drawn when somebody wants them, kept beside the store until they are fetched.

Then whoever ordered one has it, and a copy here would be one too many; the same clip is drawn again for whoever asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from base64 import b64decode
from binascii import Error as Base64Error
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from typing import Final
from urllib.parse import unquote_to_bytes

from mcp_server.sandbox import jobs
from mcp_server.sandbox.jobs import SandboxJob
from mcp_server.sandbox.video.drawing import size_of
from mcp_server.sandbox.video.render import Clip, Still, render

KEPT: Final = 16
KEPT_BYTES: Final = 128 * 1024 * 1024
"""Of clips that nobody has fetched to their end."""
SMALLER: Final = {2160: Fraction(1, 2), 1080: Fraction(2, 3)}
"""From 4k to 1080p, from there to 720p; else half of it."""
STALE_S: Final = 24 * 3600.0
PREBUILT: Final = Path(__file__).with_name("prebuilt.mp4")
"""What is served where nothing can be drawn; made by make_prebuilt.py."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A clip on disk, and the tag a download can be resumed under."""

    path: Path
    etag: str
    prebuilt: bool


class Clips:
    """The clips beside the store."""

    def __init__(self, store: Path | str, *, rendering: bool) -> None:
        self._rendering = rendering
        self._own = store == ":memory:"
        self._store = Path(store)
        self._folder: Path | None = None
        # One drawing uses one core; two at a time leave the rest of the machine usable.
        self._room = asyncio.Semaphore(2)
        self._busy: dict[str, asyncio.Lock] = {}
        self._serving: Counter[Path] = Counter()

    def close(self) -> None:
        """Drop the folder of a store that was only in memory."""
        if self._own and self._folder is not None:
            rmtree(self._folder, ignore_errors=True)

    async def of(self, job: SandboxJob, pictures: Mapping[str, bytes]) -> Drawn:
        """The job's clip. `pictures` are the ones that were uploaded, by address."""
        if not self._rendering:
            return Drawn(PREBUILT, _etag(PREBUILT.name), prebuilt=True)
        clip = await asyncio.to_thread(plan, job, pictures)
        name = clip.digest()
        path = self._home() / f"{name}.mp4"
        async with self._busy.setdefault(name, asyncio.Lock()):
            if not path.exists():
                async with self._room:
                    await asyncio.to_thread(self._draw, clip, path)
        self._busy.pop(name, None)
        self._serving[path] += 1
        return Drawn(path, _etag(name), prebuilt=False)

    def fetched(self, drawn: Drawn, *, whole: bool) -> None:
        """Somebody has what they asked for; with the end of it they have the clip, and it is kept here no longer."""
        self._serving[drawn.path] -= 1
        if self._serving[drawn.path] <= 0:
            del self._serving[drawn.path]
            if whole and not drawn.prebuilt:
                _drop(drawn.path)

    def _home(self) -> Path:
        if self._folder is None:
            if self._own:
                self._folder = Path(tempfile.mkdtemp(prefix="kling-sandbox-"))
            else:
                self._folder = self._store.with_name(f"{self._store.name}.clips")
                self._folder.mkdir(parents=True, exist_ok=True)
                _tidy(self._folder)
        return self._folder

    def _draw(self, clip: Clip, path: Path) -> None:
        """Draw beside, then rename: another process sees the whole file or none."""
        draft = path.with_suffix(f".{os.getpid()}.part")
        try:
            render(clip, draft)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        self._forget(path)

    def _forget(self, newest: Path) -> None:
        """Keep the folder bounded; what is dropped is drawn again when it is asked for."""
        kept = sorted(self._home().glob("*.mp4"), key=_age, reverse=True)
        total = 0
        for number, path in enumerate(kept):
            total += path.stat().st_size if path.exists() else 0
            if path != newest and (number >= KEPT or total > KEPT_BYTES):
                _drop(path)


def _tidy(folder: Path) -> None:
    """Drop what was drawn long ago, and what a killed process had half drawn."""
    for path in folder.iterdir():
        if path.suffix in (".mp4", ".part") and time.time() - _age(path) > STALE_S:
            _drop(path)


def _drop(path: Path) -> None:
    """Away with it; on Windows it stays while somebody reads it, and goes the next time."""
    with contextlib.suppress(PermissionError):
        path.unlink(missing_ok=True)


def plan(job: SandboxJob, pictures: Mapping[str, bytes]) -> Clip:
    """What will be drawn for a job, with the defect it was given."""
    order = job.order
    first = _still(order.image, "image", pictures)
    last = _still(order.end_image, "end image", pictures)
    given = first.data if first else None
    width, height = jobs.pixels(order, size_of(given) if given else None)
    clip = Clip(
        width=width,
        height=height,
        audio=order.audio,
        title=f"{order.vendor} {order.model or order.vendor_model} {order.tier}",
        shots=order.shots or jobs.numbered(order.prompt, order.seconds),
        first=first,
        last=last,
    )
    return _spoilt(clip, job.defect)


def _spoilt(clip: Clip, defect: str) -> Clip:
    match defect:
        case "clip_black":
            return replace(clip, look="black")
        case "clip_frozen":
            return replace(clip, look="frozen")
        case "clip_long":
            *others, last = clip.shots
            return replace(clip, shots=(*others, replace(last, seconds=last.seconds + 2)))
        case "clip_size":
            if clip.width == clip.height:
                return replace(clip, width=clip.height * 16 // 9 // 2 * 2)
            return replace(clip, width=clip.height, height=clip.width)
        case "clip_small":
            less = SMALLER.get(min(clip.width, clip.height), Fraction(1, 2))
            return replace(clip, width=round(clip.width * less / 2) * 2, height=round(clip.height * less / 2) * 2)
        case "clip_soft":
            return replace(clip, soft=True)
        case "clip_silent":
            return replace(clip, audio=False)
        case "clip_sound":
            return replace(clip, audio=True)
        case _:
            return clip


def _still(address: str, what: str, pictures: Mapping[str, bytes]) -> Still | None:
    if not address:
        return None
    # Without the query, which may carry a signature.
    shown = address.partition("," if address.startswith("data:") else "?")[0][:120]
    return Still(label=f"{what} {shown}", data=decoded(address) or pictures.get(address))


def decoded(address: str) -> bytes | None:
    """The bytes inside a data: address; None for any other, which is never fetched."""
    head, comma, body = address.partition(",")
    if not head.startswith("data:") or not comma:
        return None
    try:
        return b64decode(body, validate=True) if head.endswith(";base64") else unquote_to_bytes(body)
    except Base64Error:
        return None


def _etag(name: str) -> str:
    return f'"{sha256(name.encode()).hexdigest()[:32]}"'


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
