"""What is asked: wishes read from words, and the whole request after explicit arguments had their say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal, cast

from mcp_server.domain.catalog import Offer
from mcp_server.domain.vocabulary import CHOICES, Mode, Tier

SPOKEN: Final = ("tier", "mode", "model", "provider", *CHOICES, "off_peak")
"""Wishes with one value each that are arguments by the same name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One scene of several in a single clip."""

    prompt: str
    duration: int | None = None


def shot_lengths(shots: Sequence[Shot], total: int | None) -> list[int]:
    """A length for each shot; those without one share the clip evenly, the first ones getting the odd seconds."""
    each, odd = divmod(total or 0, len(shots))
    return [shot.duration if shot.duration is not None else each + (at < odd) for at, shot in enumerate(shots)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Which words set which wish."""

    words: str
    start: int
    field: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the user's own words ask for; None and empty mean "not said"."""

    tier: Tier | None = None
    mode: Mode | None = None
    model: str | None = None
    provider: str | None = None
    vendor_model: str | None = None
    """A vendor's own id that was named; it fixes model and tier, and sometimes mode and sound."""
    duration: int | None = None
    aspect_ratio: str | None = None
    resolution: str | None = None
    audio: bool | None = None
    off_peak: bool | None = None
    prefer: Literal["cheapest", "best"] | None = None
    max_cost_usd: Decimal | None = None
    """The most the words allow to be spent."""
    not_tiers: tuple[Tier, ...] = ()
    not_models: tuple[str, ...] = ()
    not_providers: tuple[str, ...] = ()
    shots: tuple[Shot, ...] = ()
    prompt: str = ""
    """What is left when the order is taken out, untouched otherwise."""
    negative_prompt: str | None = None
    image: str | None = None
    end_image: str | None = None
    references: tuple[str, ...] = ()
    video: str | None = None
    audio_file: str | None = None
    """Addresses and files that the words name."""
    matched: tuple[Match, ...] = ()
    unread: tuple[Match, ...] = ()
    """Words that read like an order and were left in the scene; an address or a file has the field `file`."""
    notes: tuple[str, ...] = ()
    """Words that can mean several things, or more than one call can do: nothing was chosen for them."""
    contradictions: tuple[str, ...] = ()
    """Words that disagree with each other, as sentences for the answer."""
    unsettled: tuple[str, ...] = ()
    """The fields those words leave open: an argument has to settle them."""
    none: str = ""
    """Why this is no order for a Kling video; empty when it is one."""
    asks: bool = False
    """With `none`: it asks about something that could be ordered, such as its price."""
    rival: bool = False
    """With `none`: another model is named for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRequest:
    """One clip as it is wanted, in our words: arguments first, then the words of `request`."""

    prompt: str = ""
    negative_prompt: str | None = None
    mode: Mode | None = None
    tier: Tier | None = None
    not_tiers: tuple[Tier, ...] = ()
    not_models: tuple[str, ...] = ()
    not_providers: tuple[str, ...] = ()
    model: str | None = None
    provider: str | None = None
    vendor_model: str | None = None
    duration: int | None = None
    aspect_ratio: str | None = None
    resolution: str | None = None
    audio: bool | None = None
    off_peak: bool | None = None
    cfg_scale: Decimal | None = None
    image: str | None = None
    end_image: str | None = None
    references: tuple[str, ...] = ()
    video: str | None = None
    audio_file: str | None = None
    source_task: str | None = None
    shots: tuple[Shot, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    prefer: Literal["cheapest", "best"] | None = None

    def given(self, name: str) -> bool:
        """Whether the caller brought this input."""
        value = getattr(self, name)
        if isinstance(value, str):
            return bool(value.strip())
        return value is not None and value != () and value is not False


def native_option(options: Mapping[str, Any], path: str) -> Any:
    """What the caller put into `options` under this dotted path (`metadata.ext_info`); None when nothing."""
    found: Any = options
    for name in path.split("."):
        found = cast("Mapping[str, Any]", found).get(name) if isinstance(found, Mapping) else None
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedRequest:
    """A request that this offer can fulfil exactly, with every value the wire will say aloud."""

    request: VideoRequest
    offer: Offer
    duration: int | None
    """None only where the vendor decides the length."""
    aspect_ratio: str | None
    """None where the offer has no such field, or nobody asked and the vendor does not guarantee it."""
    resolution: str | None
    audio: bool | None
    """What will be asked for, and billed; None where nobody can choose or know."""
    prompt: str
    """With shots written in where the offer takes them that way."""
    warnings: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()
    """What goes out although the vendor documents no list of values for it."""
    clip_seconds: Decimal | None = None
    """How long the clip that goes in lasts, where it decides the length and could be looked at."""

    @property
    def vendor_model(self) -> str:
        """The id to order, which may depend on sound."""
        offer = self.offer
        if offer.audio == "by-model-id" and self.audio:
            return offer.vendor_model_audio
        return offer.vendor_model


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """An offer that cannot do what was asked, and every reason why."""

    offer: Offer
    problems: tuple[str, ...]
    missing: tuple[str, ...] = ()
    """Inputs it needs that nobody gave; each is a problem too."""
