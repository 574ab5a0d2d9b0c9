"""The tools' arguments and answers as pydantic shapes; `schemas/tools/` is generated from here."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from mcp_server.answers.shapes import Estimate, Models, TaskAnswer, TaskList
from mcp_server.domain.arguments import VideoArguments, Whole
from mcp_server.domain.task import StateWord
from mcp_server.domain.vocabulary import Mode, Tier

_absent = SkipJsonSchema[None]

TaskId = Annotated[str, Field(min_length=1, max_length=100)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, strict=True)


class GetTaskArguments(_Strict):
    """Which tasks, and how long to wait for them."""

    task_id: TaskId | _absent = None
    task_ids: Annotated[list[TaskId], Field(min_length=1, max_length=100)] | _absent = None
    """Several at once."""
    wait_s: Annotated[float, Field(ge=0, le=25)] = 0
    """Wait up to this many seconds for the end."""
    until: Literal["any", "all"] = "all"
    """With task_ids: wait for the first or for all."""
    preview: bool = False
    """Add a picture of frames of each finished clip."""

    @model_validator(mode="after")
    def _one_of_the_two(self) -> GetTaskArguments:
        if (self.task_id is None) == (self.task_ids is None):
            raise ValueError("Give either task_id or task_ids")
        return self


class ListModelsArguments(_Strict):
    """What to look for; nothing given lists everything, short."""

    provider: str | _absent = None
    model: str | _absent = None
    tier: Tier | _absent = None
    mode: Mode | _absent = None
    detail: bool = False
    """Limits and prices of each offer."""


class CancelTaskArguments(_Strict):
    """Which task to stop, at its vendor or only here."""

    task_id: TaskId
    stop_following: bool = False


class ListTasksArguments(_Strict):
    """Which tasks to show, the newest first."""

    search: str | _absent = None
    """Words of the prompt."""
    state: StateWord | _absent = None
    provider: str | _absent = None
    limit: Annotated[int, Field(ge=1, le=100), Whole] = 20


class TasksAnswer(TaskAnswer):
    """One task, or `tasks` when task_ids were given."""

    tasks: list[TaskAnswer] = Field(default_factory=list[TaskAnswer])


ARGUMENTS: dict[str, type[BaseModel]] = {
    "generate_video": VideoArguments,
    "get_task": GetTaskArguments,
    "estimate_cost": VideoArguments,
    "list_models": ListModelsArguments,
    "cancel_task": CancelTaskArguments,
    "list_tasks": ListTasksArguments,
}
ANSWERS: dict[str, type[BaseModel]] = {
    "generate_video": TaskAnswer,
    "get_task": TasksAnswer,
    "estimate_cost": Estimate,
    "list_models": Models,
    "cancel_task": TaskAnswer,
    "list_tasks": TaskList,
}
