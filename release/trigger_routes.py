"""The generated part of `skill/triggers.json`: what a model, a tier and a mode are called at each vendor, and where."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import groupby, product
from operator import itemgetter
from typing import Any

from mcp_server.catalog.names import names
from mcp_server.domain.catalog import Catalog, Offer
from mcp_server.domain.request import CheckedRequest, VideoRequest
from mcp_server.domain.vocabulary import MODES
from mcp_server.ordering.validation import check
from mcp_server.providers import wire

BY = "python -m release"
_PART = re.compile(r'(?:,\n  "generated": .*)?\n}\n\Z', re.DOTALL)
"""From where the hand-written part ends to the end of the file."""
_MEDIA = {"image": "png", "end_image": "png", "video": "mp4", "audio_file": "mp3"}


def with_routes(manifest: str, catalog: Catalog) -> str:
    """The manifest's text with that part as the facts are now."""
    part = {
        "by": BY,
        "models": dict(names(catalog).phrases()),
        "asked_first": _asked_first(catalog),
        "routes": routes(catalog),
    }
    return _PART.sub(lambda _: f',\n  "generated": {_pretty(part, "  ")}\n}}\n', manifest)


def routes(catalog: Catalog) -> dict[str, dict[str, dict[str, list[dict[str, Any]]]]]:
    """Model → tier → mode → every vendor that sells it, in the catalog's order."""
    found: dict[str, dict[str, dict[str, list[dict[str, Any]]]]] = {}
    for offer in catalog.offers:
        if not offer.not_sold_because:
            sellers = found.setdefault(offer.model, {}).setdefault(offer.tier, {}).setdefault(offer.mode, [])
            sellers.append(_endpoint(offer, catalog))
    return found


def _asked_first(catalog: Catalog) -> dict[str, list[str]]:
    """Mode → the models that are asked when no model is named, the first first."""
    return {
        mode: sorted(
            (model.id for model in catalog.models.values() if mode in model.preference),
            key=lambda name: catalog.models[name].preference[mode],
        )
        for mode in MODES
    }


def _endpoint(offer: Offer, catalog: Catalog) -> dict[str, Any]:
    """Where the offer is ordered, from two orders that have nothing in common but the offer."""
    provider = catalog.providers[offer.provider]
    one, other = (wire(provider).submit(_order(offer, turn), key=f"{turn}") for turn in (0, 1))
    endpoint = {
        "provider": offer.provider,
        "url": provider.base_urls[one.host] + one.path,
        # Some ask for no id: the address and the body say it all.
        "model": offer.vendor_model if offer.vendor_model in (one.path + _json(one.json)) else "",
        "model_with_sound": offer.vendor_model_audio,
        "fixed": _common(one.json, other.json),
    }
    return {name: value for name, value in endpoint.items() if value not in ("", {})}


def _order(offer: Offer, turn: int) -> CheckedRequest:
    """One of two orders for this offer that differ wherever the offer leaves a choice."""
    way = -1 if turn else 1
    choices = product(offer.durations[::way] or (None,), offer.aspect_ratios[::way] or (None,))
    for duration, ratio in choices:
        request = VideoRequest(
            duration=duration,
            aspect_ratio=ratio,
            audio=bool(turn) if offer.audio == "choice" else None,
            options=_options(offer, turn),
        )
        given = {*offer.requires, *(group[0] for group in offer.one_of)}
        while given:
            request = replace(request, **{name: _input(name, turn) for name in given})
            checked = check(request, offer)
            if isinstance(checked, CheckedRequest):
                return checked
            given = {name for name in checked.missing if not request.given(name)}
    raise ValueError(f"no order for {offer.id} passes its own checks")


def _input(name: str, turn: int) -> Any:
    if name == "references":
        return (f"https://example.com/{turn}.png",)
    return f"https://example.com/{turn}.{_MEDIA[name]}" if name in _MEDIA else f"{name} {turn}"


def _options(offer: Offer, turn: int) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for path in offer.requires_options:
        *parents, last = path.split(".")
        into = options
        for name in parents:
            into = into.setdefault(name, {})
        into[last] = f"{turn}"
    return options


def _common(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """What both bodies say."""
    common: dict[str, Any] = {}
    for name, value in one.items():
        if isinstance(value, Mapping) and isinstance(other.get(name), Mapping):
            if inner := _common(value, other[name]):
                common[name] = inner
        elif name in other and other[name] == value:
            common[name] = value
    return common


def _pretty(value: Any, indent: str) -> str:
    """JSON with one line per vendor, and per model for its names; the last line closes what others opened."""
    indent += "  "
    parted = f",\n{indent}"
    if isinstance(value, list) and isinstance(value[0], dict):
        return f"[{parted.join(_json(endpoint) for endpoint in value)}]"
    if not isinstance(value, dict):
        return _json(value)
    if all(isinstance(name, str) for name in value.values()):
        groups = groupby(value.items(), key=itemgetter(1))
        lines = [_json(dict(same)).strip("{}") for _, same in groups]
    else:
        lines = [f"{_json(name)}: {_pretty(found, indent)}" for name, found in value.items()]
    return f"{{\n{indent}{parted.join(lines)}}}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
