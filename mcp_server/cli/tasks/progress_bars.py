"""Tasks as bars on a terminal; the only module that draws with rich's progress, imported when somebody watches."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.text import Text

from mcp_server.answers.shapes import TaskAnswer
from mcp_server.cli import formatting


class Bars:
    """One bar per task on standard error, gone when all is over."""

    def __init__(self, says: Callable[[TaskAnswer], str]) -> None:
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

    async def see(self, tasks: Sequence[TaskAnswer]) -> None:
        for task in tasks:
            says = f"{task.task_id}  {self._says(task)}"
            done = 100 if task.state == "succeeded" else task.progress or 0
            # Without a percentage the bar wanders.
            total = 100 if task.finished_at is not None or task.progress is not None else None
            row = self._rows.get(task.task_id)
            if row is None:
                self._rows[task.task_id] = self._progress.add_task(says, total=total, completed=done, task=task)
            else:
                self._progress.update(row, description=says, total=total, completed=done, task=task)


class _Clock(ProgressColumn):
    """How long it runs, and how long such a clip usually takes; drawn anew with every frame."""

    def render(self, task: Task) -> Text:
        answer: TaskAnswer | None = task.fields.get("task")
        if answer is None or answer.created_at is None or answer.finished_at is not None:
            return Text()
        elapsed = formatting.clock(time.time() - formatting.moment(answer.created_at).timestamp())
        usual = (
            f" of about {formatting.clock(answer.expected_s)}" if answer.expected_s and answer.state != "saving" else ""
        )
        return Text(f"{elapsed}{usual}", style="progress.elapsed")
