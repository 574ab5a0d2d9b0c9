"""What is sold: models, providers, offers and prices, as read from the fact files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from mcp_server.domain.vocabulary import Audio, Input, Mode, Tier


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A Kling model, whoever sells it."""

    id: str
    name: str
    family: str
    """`3.0`, `o3`, …: what people call the generation."""
    aliases: tuple[str, ...]
    summary: str
    preference: Mapping[Mode, int]
    """For a mode nobody named a model for: lower is asked first; absent is only bought by name."""
    by_name: bool = False
    """Bought only where it is named, never for what others cannot do."""
    ended: date | None = None
    """The day Kling took it out of service: bought only by its name, and with a warning; None while it is sold."""
    ended_source: str = ""
    """Where that stands."""
    source: str
    checked: date

    @property
    def farewell(self) -> str:
        """That it has ended, as a sentence; empty while it is sold."""
        if self.ended is None:
            return ""
        day = self.ended.isoformat()
        return f"Kling ended {self.name} on {day} ({self.ended_source}); whoever still lists it may refuse the order"


Wanted = bool | str | int | tuple[str | int, ...]
"""What a condition asks: given or not, this value, or one of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A limit that holds only under a condition, such as "an end image needs 5 seconds"."""

    when: Mapping[str, Wanted]
    """Input or field name → whether it is given (bool), the value it has, or a list of such values;
    `options.a.b` → whether the caller brought that native field."""
    durations: tuple[int, ...] | None = None
    aspect_ratios: tuple[str, ...] | None = None
    resolutions: tuple[str, ...] | None = None
    audio: bool | None = None
    references_max: int | None = None
    requires: tuple[Input, ...] = ()
    forbids: tuple[Input, ...] = ()
    waives: tuple[Input, ...] = ()
    """What the offer requires otherwise and does not need here."""
    why: str = ""
    warns: str = ""
    """A sentence for the answer; the order still goes out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One provider selling one model × tier × mode."""

    id: str
    """`provider/model/tier/mode`."""
    provider: str
    model: str
    tier: Tier
    mode: Mode
    vendor_model: str
    """The vendor's own id, as it goes on the wire (for `by-model-id` audio: the silent one)."""
    vendor_model_audio: str = ""
    """The id to order instead when sound is wanted and the id decides it."""
    schema: str
    """File stem in `schemas/<provider>/` of the request body."""
    wire: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Constants this offer puts on the wire; only that provider's `wire.py` reads them."""

    requires: tuple[Input, ...] = ()
    accepts: tuple[Input, ...] = ()
    one_of: tuple[tuple[Input, ...], ...] = ()
    """Groups of inputs of which exactly one must be given."""
    requires_options: tuple[str, ...] = ()
    """Native fields (dotted paths) the caller must bring in `options`, because their content is not documented."""

    source_models: tuple[str, ...] = ()
    """Models whose clips it builds on; empty where no source limits them."""

    signed: bool = False
    """Whether it goes under the provider's key pair where the user has one; else under the key, like all others."""

    durations: tuple[int, ...] = ()
    """Seconds that can be ordered; empty when the vendor decides."""
    duration_default: int | None = None
    duration_note: str = ""
    """What decides the length when the caller cannot."""
    duration_at_most: int | None = None
    """Documented upper bound of the length when the caller cannot choose it."""
    aspect_ratios: tuple[str, ...] = ()
    """Ratios that can be ordered; empty when there is no such field."""
    aspect_ratio_default: str | None = None
    aspect_ratio_guaranteed: bool = True
    aspect_ratio_unlisted: bool = False
    """The vendor has the field and documents no list of values: what Kling itself takes goes out, with a warning."""
    aspect_ratio_note: str = ""
    """What decides the shape when the caller cannot."""
    resolutions: tuple[str, ...] = ()
    """Resolutions this offer is documented to deliver; empty when no source says."""
    resolution_note: str = ""
    audio: Audio = "unknown"
    references_max: int | None = None
    references_max_with_video: int | None = None
    shots_max: int | None = None
    shot_prompt_max: int | None = None
    shots_in_prompt: bool = False
    """Shots are written into the prompt ("Shot 1: …") because the vendor's list format is not public."""
    prompt_max: int | None = None
    reference_marker: str = ""
    """How the prompt must name each reference image (`<<<image_{n}>>>`, from 1), where the vendor insists."""
    video_marker: str = ""
    """How the prompt must name the clip that goes in, where the vendor insists."""
    rules: tuple[Rule, ...] = ()

    not_sold_because: str = ""
    """Listed but never bought: what is missing to order it without guessing."""
    notes: tuple[str, ...] = ()
    source: str
    checked: date

    @property
    def takes(self) -> frozenset[str]:
        """Every input this offer knows."""
        return frozenset((*self.requires, *self.accepts, *(i for group in self.one_of for i in group)))


PriceUnit = Literal["second", "clip", "unstated", "unpublished"]
"""`unstated`: a number is printed without saying per what; `unpublished`: there is no number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A published rate with its day; a newer one for the same thing replaces it in force, never in the file."""

    provider: str
    models: tuple[str, ...]
    tiers: tuple[Tier, ...]
    """Empty: every tier."""
    modes: tuple[Mode, ...]
    """Empty: every mode."""
    unit: PriceUnit
    currency: Literal["USD", "credits"]
    silent: Decimal | None
    audio: Decimal | None
    """None where sound has no published rate."""
    silent_at_most: Decimal | None = None
    """Where sources differ: the higher one, which counts for every limit."""
    audio_at_most: Decimal | None = None
    when: Mapping[str, bool]
    """Inputs that must be given (true) or absent (false) for this price to hold."""
    effective_from: date
    source: str
    checked: date
    note: str = ""
    """What is worth knowing about this rate."""
    not_included: tuple[str, ...] = ()
    """What is charged besides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A company we pay, and how it is spoken with."""

    id: str
    name: str
    docs: str
    """Where its documents begin."""
    base_urls: Mapping[str, str]
    """`api`, and other hosts a vendor uses (`balance`)."""
    key_variable: str
    base_url_variable: str
    spoken: tuple[str, ...] = ()
    """What people call it in an order, where its id and its name would be taken for something else."""
    key_header: str = "Authorization"
    """The header that carries the key."""
    key_scheme: str = "Bearer"
    """The word before the key in that header; empty where the key stands alone."""
    key_pair: tuple[str, ...] = ()
    """The variables of an access key and of the secret key that signs, where there is such a pair besides the key."""
    token_file: str = ""
    """Where the vendor's own client keeps its token, below the home directory."""
    statuses: Mapping[str, str]
    """The vendor's word, lower case → our state; a word that is not here says nothing."""
    faults: Mapping[str, str]
    """The vendor's error code, lower case → our fault; asked before the HTTP status."""
    http_faults: Mapping[str, str]
    field_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, "tuple[str, ...]"])
    """Our argument → what this vendor and its pages call it."""
    media_inputs: tuple[str, ...]
    """`https`, `data`, `bare` (the same without its prefix), `upload`: how pictures and clips get in."""
    open_price_options: tuple[str, ...] = ()
    """Native fields of which nobody says what they add to the bill."""
    upload_max_bytes: int | None = None
    picture_least_px: int | None = None
    """The shortest side a picture may have; None where the vendor names none."""
    media_hosts: tuple[str, ...] = ()
    """Hosts results come from; empty when the vendor names none."""
    cancel: Literal["none", "queued", "running"] = "none"
    """Until when a job can be stopped: `running`, also while it is made."""
    idempotent: bool = False
    lookup: bool = False
    """Whether an order whose answer was lost can be looked for."""
    balance: bool = False
    live_prices: bool = False
    """Whether the vendor says, for nothing, what an order would cost today."""
    live_facts: bool = False
    """Whether the vendor says, for nothing, which models it has today, and what they take or cost."""
    callbacks: bool = False
    """Whether the vendor posts how a job ends to an address that the order names, signs it, and how is known."""
    callback_secret: str = ""
    """The variable of the secret those posts are signed with, where the vendor's console shows one."""
    refunds_failures: bool | None = None
    """Whether failed jobs are documented to cost nothing; None: not documented."""
    result_life_days: int | None = None
    result_life_note: str = ""
    """What is known of it besides, as the skill's page of vendors says it."""
    concurrency: int
    """Our own limit on calls in flight to this vendor; no vendor publishes one."""
    rehearsable: bool = False
    """Whether the sandbox can play this vendor: its protocol is written out there, or its exchanges are recorded."""
    unknown: tuple[str, ...]
    """What nobody has found out, in words."""
    disagreements: tuple[Disagreement, ...]
    source: str
    checked: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """Two sources that say different things, and which one the wire follows."""

    about: str
    page_says: str
    page_source: str
    vendor_says: str
    vendor_source: str
    we_send: str


@dataclass(frozen=True, slots=True)
class Catalog:
    """Everything that can be bought, frozen."""

    models: Mapping[str, Model]
    providers: Mapping[str, Provider]
    offers: tuple[Offer, ...]
    prices: tuple[Price, ...]

    @property
    def rehearsable(self) -> tuple[str, ...]:
        """Every vendor the sandbox can play, in the registry's order."""
        return tuple(facts.id for facts in self.providers.values() if facts.rehearsable)

    def offer(self, offer_id: str) -> Offer:
        """The offer with this id."""
        if (found := self.known(offer_id)) is None:
            raise KeyError(offer_id)
        return found

    def known(self, offer_id: str) -> Offer | None:
        """The offer with this id; None when it is not sold any more, which a clip that was ordered may outlive."""
        return next((offer for offer in self.offers if offer.id == offer_id), None)


def spans(seconds: Iterable[int]) -> str:
    """`3 to 15`, or `5 or 10`: how a person says which lengths there are."""
    found = sorted(seconds)
    if not found:
        return "no"
    if len(found) > 2 and found == list(range(found[0], found[-1] + 1)):
        return f"{found[0]} to {found[-1]}"
    return " or ".join(str(second) for second in found)
