"""Joining: the clips of a film as a cut list, and where its file goes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mcp_server.domain.film import clips_of
from mcp_server.object_store import ObjectStore
from mcp_server.settings import is_object
from mcp_server.tasks.download.files import stem

if TYPE_CHECKING:
    from mcp_server.domain.film import Film, ShotStanding
    from mcp_server.media.joining.cut_list import Clip, CutList
    from mcp_server.media.progress import Progress

TELL_S: Final = 1.0
"""How often the record hears how far it is."""


@dataclass(frozen=True, slots=True)
class Joiner:
    """Joins films on this machine, wherever their clips lie and they go."""

    objects: ObjectStore

    async def joined(
        self,
        film: Film,
        standing: Sequence[ShotStanding],
        told: Callable[[int, float | None], Awaitable[None]],
        passed: Callable[[str], None],
    ) -> dict[str, Any]:
        """The film's file with its sheet and its checks; LocalError where it cannot be made.

        `passed` hears of every step at once: `measuring`, `joining`, `checking`.
        """
        from mcp_server.media import isolated

        heard: list[Progress] = []

        def hear(progress: Progress) -> None:
            heard.append(progress)
            passed(progress.step)

        work = asyncio.ensure_future(isolated.join(await self._cut_list(film, standing), hear))
        try:
            while not work.done():
                await asyncio.wait({work}, timeout=TELL_S)
                if heard:
                    now = heard[-1]
                    heard.clear()
                    await told(int(100 * now.done), now.remaining_s)
            return await self._stored(film, work.result().facts())
        finally:
            # Whoever is told may say that this film is another process's by now.
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def _cut_list(self, film: Film, standing: Sequence[ShotStanding]) -> CutList:
        here = [await self.objects.local(shots[0].path or "") for shots in clips_of(standing)]
        place = Path(film.output_dir)
        if is_object(film.output_dir):
            place = self.objects.work / f".{film.id}.named"
            await asyncio.to_thread(place.mkdir, parents=True, exist_ok=True)
        sound = str(film.board.get("sound") or "")
        return cut_list(film, standing, here, place, str(await self.objects.local(sound)) if sound else "")

    async def _stored(self, film: Film, facts: dict[str, Any]) -> dict[str, Any]:
        """What was made, in the object store where the film goes there: each once more is the same object."""
        if not is_object(film.output_dir):
            return facts
        root = f"{film.output_dir}/clips"
        made = [Path(facts[name]) for name in ("path", "sheet") if facts[name]]
        stored = {str(file): await self.objects.put_made(file, root) for file in made}
        for file in made:
            await asyncio.to_thread(file.unlink, missing_ok=True)
        return facts | {name: stored[facts[name]] for name in ("path", "sheet") if facts[name]}


def cut_list(
    film: Film, standing: Sequence[ShotStanding], here: Sequence[Path], place: Path, sound: str = ""
) -> CutList:
    """The clips in their order, each known by the bytes it was saved with, and the file they become."""
    from mcp_server.media.joining.cut_list import CutList

    return CutList(
        clips=tuple(_clip(shots, path) for shots, path in zip(clips_of(standing), here, strict=True)),
        target=str(place / name_of(film)),
        sound=sound,
    )


def name_of(film: Film) -> str:
    """What its file is called: one name for one film, however often it is joined anew; a draft has its own."""
    said = f"{film.title} draft" if film.draft else film.title
    return f"{stem(film.created_at, said, film.id, simulated=film.simulated)}.mp4"


def _clip(shots: Sequence[ShotStanding], path: Path) -> Clip:
    """One clip, with the shots in it."""
    from mcp_server.media.joining.cut_list import Clip

    each = shots[0]
    artifact = each.task.artifact if each.task is not None else None
    return Clip(
        shot="+".join(one.shot.id for one in shots),
        path=str(path),
        # A shot that goes on from the last frame of the one before is cut to: they meet there.
        begin="dissolve" if each.shot.begin == "dissolve" else "cut",
        sha256=artifact.sha256 if artifact is not None else "",
        parts=tuple((one.shot.id, float(one.shot.seconds or 0)) for one in shots) if len(shots) > 1 else (),
    )
