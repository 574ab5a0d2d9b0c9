"""The fact folders copied out, and rows nobody ships to add to them."""

from __future__ import annotations

import shutil
from pathlib import Path

from mcp_server import places

NEW_MODEL = """
["kling-5.0"]
name = "Kling 5.0"
family = "5.0"
aliases = ["kling 5.0", "kling 5", "kling v5"]
summary = "The next one."
preference = { "text-to-video" = 1 }
source = "a page that does not exist yet"
checked = 2027-02-01
"""
NEW_SCHEMA = """
{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "$id": "urn:kling-video:runcomfy:5.0-text-to-video",
  "x-source": "a page that does not exist yet",
  "type": "object",
  "additionalProperties": false,
  "required": ["prompt"],
  "properties": {
    "prompt": {"type": "string"},
    "negative_prompt": {"type": "string"},
    "aspect_ratio": {"enum": ["16:9", "21:9"]},
    "duration": {"type": "integer", "minimum": 4, "maximum": 30},
    "sound": {"type": "boolean"}
  }
}
"""
NEW_OFFER = """
[[offer]]
model = "kling-5.0"
tier = "pro"
mode = "text-to-video"
vendor_model = "kling/kling-5.0/pro/text-to-video"
schema = "5.0-text-to-video"
requires = ["prompt"]
accepts = ["negative_prompt"]
durations = "4-30"
aspect_ratios = ["16:9", "21:9"]
resolutions = ["8k"]
audio = "choice"
wire = { audio = "sound" }
"""
NEW_PRICE = """
[[price]]
models = ["kling-5.0"]
unit = "second"
silent = "0.2"
audio = "0.25"
effective_from = 2027-02-01
source = "a page that does not exist yet"
checked = 2027-02-01

[[price]]
models = ["kling-5.0"]
unit = "second"
silent = "0.15"
audio = "0.2"
effective_from = 2027-06-01
source = "a later page"
checked = 2027-06-01
"""


def copied(tmp_path: Path) -> Path:
    """The fact folders alone, without a line of code."""
    root = tmp_path / "facts"
    for path in (*places.PACKAGE.glob("catalog/*.toml"), *places.PACKAGE.glob("providers/*/*.toml")):
        target = root / path.relative_to(places.PACKAGE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return root
