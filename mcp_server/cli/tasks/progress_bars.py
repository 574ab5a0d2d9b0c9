"""Tasks as bars on a terminal; the only module that draws with rich's progress, imported when somebody watches."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.text import Text

from mcp_server.answers.shapes import FilmAnswer, OrderedAnswer, TaskAnswer
from mcp_server.cli import formatting
from mcp_server.cli.tasks import film_screen


class Bars:
    """One bar per task, one per shot of a film, on standard error, gone when all is over."""

    def __init__(self, says: Callable[[OrderedAnswer], str]) -> None:
        self._says = says
        self._rows: dict[str, TaskID] = {}
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            _Clock(),
            console=Console(stderr=True),
            transient=True,
            # The answer goes to standard output; rich must not paint over it.
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    async def see(self, found: Sequence[OrderedAnswer]) -> None:
        for each in found:
            if isinstance(each, FilmAnswer):
                self._film(each)
            else:
                done = 100 if each.state == "succeeded" else each.progress or 0
                # Without a percentage the bar wanders.
                known = each.finished_at is not None or each.progress is not None
                self._row(each.id, f"{each.id}  {self._says(each)}", done, known=known, task=each)

    def _film(self, film: FilmAnswer) -> None:
        """A row for each shot, and one for the whole."""
        heads, *lines = film_screen.lines(film)
        for shot, line in zip(film.shots, lines, strict=True):
            known = shot.made or shot.progress is not None or not shot.task_id
            self._row(f"{film.id} {shot.shot}", line, 100 if shot.made else shot.progress or 0, known=known)
        whole = f"{film.id}  {self._says(film)}".ljust(max(map(len, (heads, *lines))))
        self._row(film.id, whole, film.done, known=True, task=film)

    def _row(self, name: str, says: str, done: int, *, known: bool, task: OrderedAnswer | None = None) -> None:
        text, total = formatting.shown(says), 100 if known else None
        row = self._rows.get(name)
        if row is None:
            self._rows[name] = self._progress.add_task(text, total=total, completed=done, task=task)
        else:
            self._progress.update(row, description=text, total=total, completed=done, task=task)


class _Clock(ProgressColumn):
    """How long it runs, and how long such a clip usually takes; drawn anew with every frame."""

    def render(self, task: Task) -> Text:
        answer: OrderedAnswer | None = task.fields.get("task")
        if answer is None or answer.created_at is None or answer.finished_at is not None:
            return Text()
        elapsed = formatting.clock(time.time() - formatting.moment(answer.created_at).timestamp())
        expected_s = answer.expected_s if isinstance(answer, TaskAnswer) and answer.state != "saving" else None
        usual = f" of about {formatting.clock(expected_s)}" if expected_s else ""
        return Text(f"{elapsed}{usual}", style="progress.elapsed")
