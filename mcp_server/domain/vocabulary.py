"""The closed sets every other module speaks in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

Tier = Literal["standard", "pro", "4k"]
Mode = Literal[
    "text-to-video",
    "image-to-video",
    "reference-to-video",
    "video-edit",
    "motion-control",
    "avatar",
    "lip-sync",
    "extend",
    "template-effect",
]
Audio = Literal["choice", "always", "never", "by-model-id", "from-input", "unknown"]
"""Who decides whether the clip has sound: the caller, the vendor, the model id that is ordered,
the media that go in; `unknown` when no source says."""

Input = Literal[
    "prompt",
    "negative_prompt",
    "image",
    "end_image",
    "references",
    "video",
    "audio_file",
    "source_task",
    "shots",
    "cfg_scale",
    "off_peak",
]
"""What an offer may take besides the `CHOICES`, which have tables of their own."""

TIERS: Final = get_args(Tier)
MODES: Final = get_args(Mode)
INPUTS: Final = get_args(Input)
UNSOLD: Final[Mapping[str, str]] = {"seed": "no Kling vendor takes one, so no clip can be made twice the same"}
"""What people ask for that cannot be bought anywhere, and why; an offer that takes it makes it an input."""
CHOICES: Final = ("duration", "aspect_ratio", "resolution", "audio")
"""What is chosen of every clip, where its offer leaves a choice."""
SANDBOX: Final = "sandbox"
"""The provider that is none: it plays whichever vendor the order leads to, without money."""
