"""What a caller may say, as one strict shape: the tools' input schema, the command line's `--input`, one home."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ModelWrapValidatorHandler, model_validator
from pydantic.json_schema import SkipJsonSchema

from mcp_server.domain.pasted_call import told, unpacked
from mcp_server.domain.vocabulary import Mode, Tier

# `anyOf null` confuses several clients; an argument that was not given is simply absent.
type_none = SkipJsonSchema[None]


def _whole(value: Any) -> Any:
    """5.0 as 5: JSON knows one kind of number, and so does JSON Schema."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


# Outermost, so that the limits stay the number's own.
Whole = BeforeValidator(_whole)
Seconds = Annotated[int, Field(strict=True, ge=1, le=600), Whole]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, strict=True)


class ShotArgument(_Strict):
    """One scene of several in a clip."""

    prompt: str = Field(min_length=1)
    duration: Seconds | type_none = None


class VideoArguments(_Strict):
    """One Kling video. Explicit arguments beat the words of `request`."""

    request: str | type_none = None
    """The user's own words: "kling 4k, vertical, 10s with sound: a neon city"."""
    prompt: str | type_none = None
    """Only the scene; default: what is left of `request`."""
    negative_prompt: str | type_none = None
    mode: Mode | type_none = None
    tier: Tier | type_none = None
    model: str | type_none = None
    """kling-3.0, kling-o3, … or any vendor's own id."""
    provider: str | type_none = None
    """{vendors}; sandbox = free rehearsal."""
    duration: Seconds | type_none = None
    """Seconds."""
    aspect_ratio: str | type_none = None
    """16:9, 9:16 or 1:1."""
    resolution: Literal["720p", "1080p", "4k"] | type_none = None
    audio: bool | type_none = None
    """Sound; often costs more."""
    cfg_scale: Annotated[float, Field(ge=0, le=1)] | type_none = None
    image: str | type_none = None
    """First frame: https URL, local path or data: URI."""
    end_image: str | type_none = None
    references: list[str] | type_none = None
    """Pictures of people or things to keep."""
    video: str | type_none = None
    """Clip to edit or to take motion from."""
    audio_file: str | type_none = None
    """Voice, for avatar and lip-sync."""
    source_task: str | type_none = None
    """Earlier task_id, for extend or edit."""
    shots: list[ShotArgument] | type_none = None
    """Several scenes in one clip."""
    off_peak: bool | type_none = None
    """Cheaper, no time promised."""
    options: dict[str, Any] | type_none = None
    """The vendor's own extra fields."""
    max_cost_usd: Annotated[float, Field(ge=0)] | type_none = None
    """Refuse before paying if the price is higher or unknown."""
    accept_unknown_price: bool | type_none = None
    """Buy although no price is published."""
    idempotency_key: Annotated[str, Field(min_length=1, max_length=200)] | type_none = None
    """Same key = same task, never bought twice."""
    output_dir: str | type_none = None
    """Folder for the file."""

    _pasted: str = ""

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

    def given(self) -> dict[str, Any]:
        """What was said, by name: neither defaults nor nulls."""
        return self.model_dump(exclude_none=True, exclude_unset=True)

    @cached_property
    def digest(self) -> str:
        """What makes two requests the same; the key itself and limits are no part of it."""
        core = {name: value for name, value in self.given().items() if name not in ("idempotency_key", "max_cost_usd")}
        return hashlib.sha256(json.dumps(core, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
