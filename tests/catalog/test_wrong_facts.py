"""A fact file that says something it may not say is refused, with the file and the entry named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.fact_copies import NEW_MODEL, NEW_OFFER, NEW_PRICE, copied

from mcp_server import catalog

BROKEN = {
    "not TOML": ("providers/uniall/offers.toml", "this is no TOML", ("uniall/offers.toml", "line")),
    "unknown field of an offer": (
        "providers/runcomfy/offers.toml",
        NEW_OFFER.replace("kling-5.0", "kling-3.0").replace("durations", "seconds").replace('"pro"', '"standard"'),
        ("runcomfy/offers.toml", "kling-3.0/standard/text-to-video", "unknown field: seconds"),
    ),
    "unknown model": (
        "providers/runcomfy/offers.toml",
        NEW_OFFER,
        ("runcomfy/offers.toml", "kling-5.0/pro", "unknown model: kling-5.0"),
    ),
    "unknown tier": (
        "providers/runcomfy/offers.toml",
        NEW_OFFER.replace("kling-5.0", "kling-3.0").replace('"pro"', '"ultra"'),
        ("runcomfy/offers.toml", "kling-3.0/ultra/text-to-video", "unknown tier: ultra"),
    ),
    "unknown sound": (
        "providers/runcomfy/offers.toml",
        NEW_OFFER.replace("kling-5.0", "kling-o1").replace('"choice"', '"perhaps"'),
        ("runcomfy/offers.toml", "kling-o1/pro/text-to-video", "unknown audio: perhaps"),
    ),
    "sound by an id that is not there": (
        "providers/runcomfy/offers.toml",
        NEW_OFFER.replace("kling-5.0", "kling-o1").replace('"choice"', '"by-model-id"'),
        ("runcomfy/offers.toml", "kling-o1/pro/text-to-video", "vendor_model_audio"),
    ),
    "unknown input": (
        "providers/runcomfy/offers.toml",
        NEW_OFFER.replace("kling-5.0", "kling-o1").replace('"negative_prompt"', '"smell"'),
        ("runcomfy/offers.toml", "kling-o1/pro/text-to-video", "unknown accepts: smell"),
    ),
    "unknown profile": (
        "providers/runcomfy/offers.toml",
        '[[offer]]\nprofile = "nobody"\n',
        ("runcomfy/offers.toml", "offer ", "nobody"),
    ),
    "no mode": (
        "providers/runcomfy/offers.toml",
        '[[offer]]\nmodel = "kling-o1"\ntier = "pro"\n',
        ("runcomfy/offers.toml", "kling-o1/pro/None", "mode"),
    ),
    "no schema": (
        "providers/runcomfy/offers.toml",
        '[[offer]]\nmodel = "kling-o1"\ntier = "pro"\nmode = "extend"\nvendor_model = "x"\n',
        ("runcomfy/offers.toml", "kling-o1/pro/extend", "schema"),
    ),
    "lengths in no order anybody knows": (
        "providers/runcomfy/offers.toml",
        NEW_OFFER.replace("kling-5.0", "kling-o1").replace('"4-30"', '"a few"'),
        ("runcomfy/offers.toml", "kling-o1/pro/text-to-video", "a few"),
    ),
    "a condition nobody can meet": (
        "providers/runcomfy/offers.toml",
        NEW_OFFER.replace("kling-5.0", "kling-o1") + "rules = [{ when = { weather = true }, durations = [5] }]\n",
        ("runcomfy/offers.toml", "kling-o1/pro/text-to-video", "unknown condition: weather"),
    ),
    "the same offer twice": (
        "providers/runcomfy/offers.toml",
        NEW_OFFER.replace("kling-5.0", "kling-3.0"),
        ("runcomfy/offers.toml", "runcomfy/kling-3.0/pro/text-to-video is listed twice"),
    ),
    "a day in quotes": (
        "providers/runcomfy/prices.toml",
        NEW_PRICE.replace("effective_from = 2027-02-01", 'effective_from = "2027-02-01"'),
        ("runcomfy/prices.toml", "kling-5.0", "effective_from must be a date"),
    ),
    "a rate that is no number": (
        "providers/runcomfy/prices.toml",
        NEW_PRICE.replace('"0.2"', '"cheap"'),
        ("runcomfy/prices.toml", "kling-5.0", "ConversionSyntax"),
    ),
    "a unit nobody knows": (
        "providers/runcomfy/prices.toml",
        NEW_PRICE.replace('"second"', '"frame"'),
        ("runcomfy/prices.toml", "kling-5.0", "unknown unit: frame"),
    ),
    "unknown field of a model": (
        "catalog/models.toml",
        NEW_MODEL.replace("family", "tribe"),
        ("catalog/models.toml", "kling-5.0", "tribe"),
    ),
    "unknown mode of a model": (
        "catalog/models.toml",
        NEW_MODEL.replace('"text-to-video"', '"smell-to-video"'),
        ("catalog/models.toml", "kling-5.0", "unknown preference: smell-to-video"),
    ),
    "unknown field of a provider": (
        "providers/uniall/provider.toml",
        None,
        ("uniall/provider.toml", "unknown field: colour"),
    ),
}


@pytest.mark.parametrize("wrong", BROKEN)
def test_a_wrong_fact_is_refused_with_file_and_entry(wrong: str, tmp_path: Path) -> None:
    file, rows, says = BROKEN[wrong]
    path = copied(tmp_path) / file
    text = path.read_text(encoding="utf-8")
    path.write_text('colour = "red"\n' + text if rows is None else text + "\n" + rows, encoding="utf-8")

    with pytest.raises(catalog.FactError) as caught:
        catalog.load(tmp_path / "facts")

    for part in says:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "file", ["catalog/models.toml", "providers/uniall/prices.toml", "providers/uniall/provider.toml"]
)
def test_a_missing_file_is_named(file: str, tmp_path: Path) -> None:
    root = copied(tmp_path)
    (root / file).unlink()

    with pytest.raises(catalog.FactError, match=re.escape(Path(file).name)):
        catalog.load(root)


@pytest.mark.parametrize(
    ("file", "key"), [("offers.toml", "source"), ("offers.toml", "checked"), ("prices.toml", "currency")]
)
def test_a_missing_head_of_a_file_is_named(file: str, key: str, tmp_path: Path) -> None:
    path = copied(tmp_path) / "providers" / "runcomfy" / file
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(rf"^{key} = .*$", "", text, count=1, flags=re.M), encoding="utf-8")

    with pytest.raises(catalog.FactError, match=rf"runcomfy/{file}.*{key}"):
        catalog.load(tmp_path / "facts")
