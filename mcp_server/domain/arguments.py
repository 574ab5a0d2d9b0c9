"""What a caller may say, as one strict shape: the tools' input schema, the command line's `--input`, one home."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sized
from functools import cached_property
from typing import Annotated, Any, Final, Literal, Self, TypeVar, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticKnownError

from mcp_server.domain.described import Described
from mcp_server.domain.pasted_call import WORDS_MAX, told, unpacked
from mcp_server.domain.vocabulary import Mode, Tier
from mcp_server.settings import is_object

# `anyOf null` confuses several clients; an argument that was not given is simply absent.
type_none = SkipJsonSchema[None]
_SUM: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


def _whole(value: Any) -> Any:
    """5.0 as 5: JSON knows one kind of number, and so does JSON Schema."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _sum(value: Any) -> Any:
    """The text "2.10" as 2.1: our answers write money as text, and whoever agrees hands back what it read."""
    return float(value) if isinstance(value, str) and _SUM.fullmatch(value) else value


def _sized(options: dict[str, Any]) -> dict[str, Any]:
    """The vendor's own fields, refused where they are no fields any more; media have arguments of their own."""
    if len(json.dumps(options, ensure_ascii=False, default=str)) > OPTIONS_TEXT_MAX:
        raise ValueError(f"more than {OPTIONS_TEXT_MAX} characters as JSON")
    return options


_Sized = TypeVar("_Sized", bound=Sized)

# Outermost, so that the limits stay the number's own.
Whole = BeforeValidator(_whole)
Seconds = Annotated[int, Field(strict=True, ge=1, le=600), Whole]
Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False), BeforeValidator(_sum)]
SCENE_MAX: Final = 5_000
"""Twice the longest prompt a vendor takes (`prompt_max` in offers.toml): a vendor of ours may raise it."""
MEDIUM_MAX: Final = 32 * 1024 * 1024
"""A picture as a data: address; more than the HTTP server takes in one request."""


def at_most(count: int) -> AfterValidator:
    """A bound on text or a list that is checked and not announced: what a model reads of the tools is short, and no
    model writes so much.
    """

    def bounded(given: _Sized) -> _Sized:
        if len(given) <= count:
            return given
        if isinstance(given, str):
            raise PydanticKnownError("string_too_long", {"max_length": count})
        of = {"field_type": "List", "max_length": count, "actual_length": len(given)}
        raise PydanticKnownError("too_long", of)

    return AfterValidator(bounded)


Words = Annotated[str, at_most(WORDS_MAX)]
Scene = Annotated[str, at_most(SCENE_MAX)]
Name = Annotated[str, at_most(200)]
"""What something is called: a model, a vendor, a shape, a task of ours or of a vendor's."""


def _medium(medium: str) -> str:
    if "\0" in medium:
        raise ValueError("a zero byte stands in it, which no file and no address has")
    return medium


Medium = Annotated[str, at_most(MEDIUM_MAX), AfterValidator(_medium)]
OPTIONS_MAX: Final = 50
BIG: Final = 2_000
"""Reading words takes about 10 ms for so many characters."""
OPTIONS_TEXT_MAX: Final = 20_000

Options = Annotated[dict[str, Any], at_most(OPTIONS_MAX), AfterValidator(_sized)]


class _Strict(Described, BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


class ShotArgument(_Strict):
    """One scene of several in a clip."""

    prompt: Annotated[str, Field(min_length=1), at_most(SCENE_MAX)]
    duration: Seconds | type_none = None


class VideoArguments(_Strict):
    """One Kling video. Explicit arguments beat the words of `request`."""

    request: Words | type_none = None
    """The user's own words: "kling 4k, vertical, 10s with sound: a neon city"."""
    prompt: Words | type_none = None
    """Only the scene; default: the rest of `request`."""
    negative_prompt: Scene | type_none = None
    mode: Mode | type_none = None
    tier: Tier | type_none = None
    model: Name | type_none = None
    """kling-3.0, kling-o3, … or any vendor's own id."""
    provider: Name | type_none = None
    """{vendors}; sandbox = free rehearsal."""
    duration: Seconds | type_none = None
    """Seconds."""
    aspect_ratio: Name | type_none = None
    """16:9, 9:16 or 1:1."""
    resolution: Literal["720p", "1080p", "4k"] | type_none = None
    audio: bool | type_none = None
    """Sound; often costs more."""
    cfg_scale: Annotated[float, Field(ge=0, le=1)] | type_none = None
    image: Medium | type_none = None
    """First frame: https URL, path, data: URI or task_id (its last frame)."""
    end_image: Medium | type_none = None
    references: Annotated[list[Medium], at_most(50)] | type_none = None
    """Pictures of people or things to keep."""
    video: Medium | type_none = None
    """Clip (or task_id) to edit or take motion from."""
    audio_file: Medium | type_none = None
    """Voice, for avatar and lip-sync."""
    source_task: Name | type_none = None
    """task_id, for extend or edit."""
    again: Name | type_none = None
    """task_id to repeat with these changes."""
    shots: Annotated[list[ShotArgument], at_most(50)] | type_none = None
    """Several scenes in one clip."""
    count: Annotated[int, Field(strict=True, ge=1, le=4), Whole] | type_none = None
    """Variations; each is paid."""
    off_peak: bool | type_none = None
    """Cheaper, no time promised."""
    options: Options | type_none = None
    """The vendor's own extra fields."""
    max_cost_usd: Dollars | type_none = None
    """Refuse if the price of all is higher or unknown."""
    accept_unknown_price: bool | type_none = None
    """Buy at an unpublished price."""
    idempotency_key: Annotated[str, Field(min_length=1), at_most(200)] | type_none = None
    """Same key = same task, never bought twice."""
    output_dir: Medium | type_none = None
    """Folder for the file."""

    _pasted: str = ""
    _notes: tuple[str, ...] = ()
    _carried: frozenset[str] = frozenset()

    @model_validator(mode="wrap")
    @classmethod
    def _opened(cls, given: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        said = cast("Mapping[str, Any]", given) if isinstance(given, Mapping) else dict[str, Any]()
        taken = unpacked(said, cls.model_fields)
        if taken is None:
            return handler(given)
        made = handler(taken)
        made._pasted = told(said, taken)
        return made

    @property
    def pasted(self) -> str:
        """What is worth a word when these came as JSON inside `request`; empty when they did not."""
        return self._pasted

    @property
    def notes(self) -> tuple[str, ...]:
        """All that is worth a word about how these came."""
        return (*filter(None, (self._pasted,)), *self._notes)

    @property
    def repeats_words(self) -> bool:
        """Whether the words in `request` are those of an earlier order."""
        return "request" in self._carried

    def keeps(self, name: str, text: str) -> bool:
        """Whether this is what an earlier order was made with, kept in the object store: nobody else may name that."""
        return name in self._carried and is_object(text)

    @property
    def agreed_usd(self) -> float | None:
        """The sum that was named as an argument of this very call: it agrees to a price, other limits only refuse."""
        return None if "max_cost_usd" in self._carried else self.max_cost_usd

    def carrying(self, names: Iterable[str], notes: Iterable[str]) -> Self:
        """The same, where these arguments were not said in this call, and with more that is worth a word."""
        made = self.model_copy()
        made._carried = frozenset(names)
        made._notes = tuple(notes)
        return made

    @cached_property
    def big(self) -> bool:
        """Whether reading them takes long enough to be noticed by whoever else is served."""
        texts = [self.request, self.prompt, self.image, self.end_image, self.video, self.audio_file]
        return sum(len(text or "") for text in [*texts, *(self.references or ())]) > BIG

    def given(self) -> dict[str, Any]:
        """What was said, by name: neither defaults nor nulls."""
        return self.model_dump(exclude_none=True, exclude_unset=True)

    @property
    def clips(self) -> int:
        """How many are wanted: variations of one order."""
        return self.count or 1

    @property
    def keys(self) -> tuple[str, ...]:
        """The idempotency key of each of them, the first one's as it came; none where none came."""
        key = self.idempotency_key
        return () if key is None else (key, *(f"{key} #{number}" for number in range(2, self.clips + 1)))

    @cached_property
    def digest(self) -> str:
        """What makes two requests the same; the key itself and limits are no part of it."""
        core = {name: value for name, value in self.given().items() if name not in ("idempotency_key", "max_cost_usd")}
        if self.clips == 1:
            core.pop("count", None)
        return hashlib.sha256(json.dumps(core, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
