"""The tools' arguments and answers as pydantic shapes; `schemas/tools/` is generated from here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, model_validator
from pydantic.json_schema import SkipJsonSchema

from mcp_server.answers.shapes import Estimate, FilmAnswer, Models, OrderAnswer, TaskAnswer, TaskList
from mcp_server.domain.arguments import Dollars, Medium, Name, VideoArguments, Whole, at_most
from mcp_server.domain.described import Described
from mcp_server.domain.task import StateWord
from mcp_server.domain.vocabulary import Mode, Tier
from mcp_server.films.board import SHOTS_MAX, Board

_absent = SkipJsonSchema[None]

TaskId = Annotated[str, Field(min_length=1), at_most(100)]


class _Strict(Described, BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


class EstimateArguments(VideoArguments):
    """An order to price, and how much to tell of who else could take it."""

    all: bool = False
    """Every offer that fits, in place of the next few."""

    def given(self) -> dict[str, Any]:
        """What was said of the order: how much shall be told is no part of it."""
        return {name: value for name, value in super().given().items() if name != "all"}


class GetTaskArguments(_Strict):
    """Which tasks, and how long to wait for them."""

    task_id: TaskId | _absent = None
    task_ids: Annotated[list[TaskId], Field(min_length=1), at_most(100)] | _absent = None
    """Several at once."""
    wait_s: Annotated[float, Field(ge=0, le=25)] = 0
    """Seconds to wait for the end."""
    until: Literal["any", "all"] = "all"
    """With task_ids: wait for the first or for all."""
    preview: bool = False
    """Add a picture of frames of each clip."""
    fit_mb: Annotated[float, Field(ge=0)] | _absent = None
    """Add a copy of so few MB."""

    @model_validator(mode="after")
    def _one_of_the_two(self) -> GetTaskArguments:
        if (self.task_id is None) == (self.task_ids is None):
            raise ValueError("Give either task_id or task_ids")
        return self


class MakeFilmArguments(_Strict):
    """A film to plan, to buy, or to go on with."""

    # No `_absent`: what is wrong with a board is then told by its place alone.
    board: Annotated[Board | None, Field(json_schema_extra={"type": ["object", "string"]})] = None
    """The film, or the path of a .toml or .json file"""
    film_id: Name | _absent = None
    """Go on with this film"""
    redo: Annotated[list[Name], at_most(SHOTS_MAX)] | _absent = None
    """Shots to buy again"""
    draft: bool | _absent = None
    """Cheapest silent version first"""
    max_cost_usd: Dollars | _absent = None
    """Buy, if all of it costs no more"""
    accept_unknown_price: bool = False
    output_dir: Medium | _absent = None

    _file: str = ""

    @model_validator(mode="wrap")
    @classmethod
    def _path_apart(cls, given: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        said = cast("Mapping[str, Any]", given) if isinstance(given, Mapping) else dict[str, Any]()
        path = said.get("board")
        if not isinstance(path, str):
            return handler(given)
        made = handler({name: value for name, value in said.items() if name != "board"})
        made._file = path
        return made

    @property
    def board_file(self) -> str:
        """The path of the board, or the board as JSON text; empty where it came as an object or not at all."""
        return self._file


class ListModelsArguments(_Strict):
    """What to look for; nothing given lists everything, short."""

    provider: Name | _absent = None
    model: Name | _absent = None
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

    search: Name | _absent = None
    """Words of the prompt."""
    state: StateWord | _absent = None
    provider: Name | _absent = None
    limit: Annotated[int, Field(ge=1, le=100), Whole] = 20


ARGUMENTS: dict[str, type[BaseModel]] = {
    "generate_video": VideoArguments,
    "get_task": GetTaskArguments,
    "estimate_cost": EstimateArguments,
    "list_models": ListModelsArguments,
    "cancel_task": CancelTaskArguments,
    "list_tasks": ListTasksArguments,
    "make_film": MakeFilmArguments,
}
ANSWERS: dict[str, type[BaseModel]] = {
    "generate_video": OrderAnswer,
    "get_task": OrderAnswer,
    "estimate_cost": Estimate,
    "list_models": Models,
    "cancel_task": TaskAnswer,
    "list_tasks": TaskList,
    "make_film": FilmAnswer,
}
