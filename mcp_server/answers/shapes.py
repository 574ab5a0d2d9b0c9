"""What a caller gets: one shape for the tools' structured answers and for the command line's `--json`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    def facts(self) -> dict[str, Any]:
        """As JSON, without what is unknown or empty."""
        return _lean(self.model_dump(mode="json"))


def _lean(value: Any) -> Any:
    if isinstance(value, dict):
        rows = {key: _lean(part) for key, part in value.items()}  # type: ignore[reportUnknownVariableType]
        return {key: part for key, part in rows.items() if part not in (None, "", [], {})}  # type: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [_lean(part) for part in value]  # type: ignore[reportUnknownVariableType]
    return value


class Cost(_Answer):
    """Money, exact, as text."""

    usd: str | None = None
    """Absent when nobody published it."""
    usd_at_most: str | None = None
    amount: str | None = None
    """In the vendor's own currency."""
    currency: str = "USD"
    arithmetic: str = ""
    price_date: str | None = None
    not_included: list[str] = []
    note: str = ""
    """What is worth knowing about the rate: where it is odd as printed, or how it is measured."""


class Settled(_Answer):
    """What was really charged, and how that is known."""

    usd: str | None = None
    amount: str | None = None
    currency: str = "USD"
    basis: str
    """reported, computed, rolled_back or not_documented."""


class TaskCost(_Answer):
    """Estimated at the order, settled at the end."""

    estimated: Cost
    settled: Settled | None = None


class OfferLine(_Answer):
    """One way to buy the clip that was asked for."""

    offer: str
    provider: str
    model: str
    tier: str
    mode: str
    cost: Cost
    has_key: bool
    duration: int | None = None
    aspect_ratio: str | None = None
    resolution: str | None = None
    audio: bool | None = None


class Estimate(_Answer):
    """The price of the chosen route, and every other offer that fits, cheapest first."""

    chosen: OfferLine
    prompt: str
    route: str
    others: list[OfferLine] = []
    dropped: dict[str, str] = {}
    """Offers that cannot do it, with the reason (the nearest few)."""
    warnings: list[str] = []
    simulated: bool = False
    next_step: str


class TaskAnswer(_Answer):
    """One purchase as it stands now."""

    task_id: str
    state: str
    provider: str
    plays: str | None = None
    """With `sandbox`: the vendor it plays."""
    model: str
    tier: str
    mode: str
    simulated: bool
    prompt: str = ""
    status: str = ""
    """The vendor's own word."""
    progress: int | None = None
    queue_position: int | None = None
    video_path: str | None = None
    video_url: str | None = None
    expires_at: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    ordered: dict[str, Any] = {}
    delivered: dict[str, Any] = {}
    """What the file really is, where the `media` extra could look."""
    differences: list[str] = []
    cost: TaskCost | None = None
    estimated_cost: Cost | None = None
    route: str = ""
    warnings: list[str] = []
    error: dict[str, Any] | None = None
    note: str = ""
    created_at: str | None = None
    updated_at: str | None = None
    finished_at: str | None = None
    expected_s: float | None = None
    """How long this offer's clips usually take, from the order on."""
    followed: bool | None = None
    """False when nobody looks after it any more, as asked."""
    poll_after_s: float | None = None
    next_step: str = ""


class TaskList(_Answer):
    """Several purchases."""

    tasks: list[TaskAnswer] = []
    next_step: str = ""


class ModelLine(_Answer):
    """One offer, short."""

    offer: str
    vendor_model: str = ""
    durations: str = ""
    aspect_ratios: list[str] = []
    resolutions: list[str] = []
    audio: str = ""
    takes: list[str] = []
    price: str = ""
    has_key: bool = False
    not_sold_because: str = ""
    notes: list[str] = []


class ModelGroup(_Answer):
    """One model, tier and mode, and who sells it."""

    model: str
    tier: str
    mode: str
    sold_by: list[str] = Field(default_factory=list)


class Models(_Answer):
    """What can be bought."""

    providers: dict[str, str]
    """Provider → whether a key is there."""
    models: list[ModelGroup] = []
    offers: list[ModelLine] = []
    next_step: str = ""


class SpendLine(_Answer):
    """A day's purchases of one model from one provider."""

    day: str
    provider: str
    model: str
    tasks: int
    quoted_usd: str
    settled_usd: str
    unknown: int = 0
    """Tasks whose cost nobody knows; they are in no sum."""


class Spend(_Answer):
    """What was spent; simulations cost nothing and are not in it."""

    lines: list[SpendLine] = []
    quoted_usd: str
    settled_usd: str
    unknown: int = 0
    drift: list[str] = []
    """Where a vendor's own bills differ from what was quoted."""
