"""Orders made from the facts: the smallest request an offer accepts, and every request one step outside a limit."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from mcp_server import places
from mcp_server.domain.catalog import Offer, Rule, spans
from mcp_server.domain.request import Shot, VideoRequest
from mcp_server.domain.vocabulary import INPUTS
from mcp_server.ordering import validation

GIVEN: dict[str, Any] = {
    "prompt": "a paper boat on a canal",
    "negative_prompt": "blur",
    "image": "https://example.com/first.png",
    "end_image": "https://example.com/last.png",
    "references": ("https://example.com/1.png",),
    "video": "https://example.com/dance.mp4",
    "audio_file": "https://example.com/voice.mp3",
    "source_task": "0b5c2f1e-7a53-4a86-9a54-3a5b8f5f2b11",
    "shots": (Shot(prompt="wide of the canal"), Shot(prompt="close-up of the boat")),
    "cfg_scale": Decimal("0.5"),
    "off_peak": True,
}
ABSENT: dict[str, Any] = dict.fromkeys(INPUTS) | {"prompt": "", "references": (), "shots": ()}


def ordinary(offer: Offer, **wanted: Any) -> VideoRequest:
    """The smallest request this offer accepts, with these values in it."""
    names = {*offer.requires, *(group[0] for group in offer.one_of if not any(name in wanted for name in group))}
    request = VideoRequest(**({name: GIVEN[name] for name in names} | wanted), options=options(offer))
    for rule in offer.rules:
        if validation._holds(rule, request):
            missing = {name: GIVEN[name] for name in rule.requires if not request.given(name) and name not in wanted}
            request = replace(request, **missing)
    return request


def options(offer: Offer) -> dict[str, Any]:
    """The native fields the caller has to bring, with something the vendor's schema takes in them."""
    found: dict[str, Any] = {}
    for path in offer.requires_options:
        field = json.loads((places.schemas() / offer.provider / f"{offer.schema}.json").read_text(encoding="utf-8"))
        for name in path.split("."):
            field = field["properties"][name]
        put(found, path, field.get("enum", ["text"])[0])
    return found


def put(into: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for name in parents:
        into = into.setdefault(name, {})
    into[last] = value


@dataclass(frozen=True)
class Step:
    """A request one step outside a limit, and what the refusal has to say."""

    limit: str
    request: VideoRequest
    says: tuple[str, ...]


def outside(offer: Offer) -> Iterator[Step]:
    """One step outside every limit of this offer."""
    yield from _lengths(offer)
    yield from _shapes(offer)
    yield from _sound(offer)
    yield from _inputs(offer)
    yield from _counts(offer)
    for rule in offer.rules:
        yield from _ruled(offer, rule)


def _lengths(offer: Offer) -> Iterator[Step]:
    if not offer.durations:
        note = offer.duration_note or "the vendor decides the length"
        yield Step("no duration", ordinary(offer, duration=5), ("has no choice of duration", note))
        return
    allowed = allowed_seconds(offer, ordinary(offer))
    low, high = min(allowed), max(allowed)
    strangers = {low - 1, high + 1, *(set(range(low, high)) - set(allowed))}
    for seconds in sorted(strangers):
        says = (f"duration {seconds} is not sold", spans(allowed))
        yield Step(f"duration {seconds}", ordinary(offer, duration=seconds), says)


def allowed_seconds(offer: Offer, request: VideoRequest) -> list[int]:
    """The lengths that are left after the rules that hold for this request."""
    found = set(offer.durations)
    for rule in offer.rules:
        if rule.durations is not None and validation._holds(rule, request):
            found &= set(rule.durations)
    return sorted(found)


def allowed_ratios(offer: Offer, request: VideoRequest) -> tuple[str, ...]:
    """The shapes that are left after the rules that hold for this request."""
    ruled = [rule.aspect_ratios for rule in offer.rules if rule.aspect_ratios and validation._holds(rule, request)]
    return ruled[-1] if ruled else offer.aspect_ratios


def _shapes(offer: Offer) -> Iterator[Step]:
    ratios = allowed_ratios(offer, ordinary(offer))
    said = ("aspect ratio 5:4 is not sold", *ratios) if ratios else ("has no aspect ratio to choose",)
    yield Step("aspect ratio", ordinary(offer, aspect_ratio="5:4"), said)
    said = ("resolution 8k is not sold", *offer.resolutions) if offer.resolutions else ("cannot be promised",)
    yield Step("resolution", ordinary(offer, resolution="8k"), said)


def _sound(offer: Offer) -> Iterator[Step]:
    match offer.audio:
        case "always":
            yield Step("silence", ordinary(offer, audio=False), ("is always with sound",))
        case "never":
            yield Step("sound", ordinary(offer, audio=True), ("is always silent",))
        case "from-input" | "unknown":
            for wanted in (True, False):
                yield Step(f"sound {wanted}", ordinary(offer, audio=wanted), ("it cannot be chosen",))
        case "choice" | "by-model-id":
            pass


def _inputs(offer: Offer) -> Iterator[Step]:
    base = ordinary(offer)
    for name in INPUTS:
        if name not in offer.takes:
            yield Step(f"{name} given", replace(base, **{name: GIVEN[name]}), ("does not take", validation.label(name)))
    for name in offer.requires:
        yield Step(f"{name} missing", replace(base, **{name: ABSENT[name]}), ("needs", f"`{name}`"))
    for group in offer.one_of:
        names = " or ".join(f"`{name}`" for name in group)
        none = replace(base, **{name: ABSENT[name] for name in group})
        every = replace(base, **{name: GIVEN[name] for name in group})
        yield Step("none of a group", none, ("exactly one of", names, "0 are given"))
        yield Step("all of a group", every, ("exactly one of", names, f"{len(group)} are given"))
    if offer.requires_options:
        yield Step("no options", replace(base, options={}), (*offer.requires_options, "`options`"))
    if "cfg_scale" in offer.takes:
        for value in ("-0.01", "1.01", "NaN"):
            yield Step(
                f"cfg_scale {value}", ordinary(offer, cfg_scale=Decimal(value)), (f"cfg_scale {value}", "0 to 1")
            )


def _counts(offer: Offer) -> Iterator[Step]:
    pictures = tuple(f"https://example.com/{n}.png" for n in range(40))
    if offer.references_max is not None and "references" in offer.takes:
        many = pictures[: offer.references_max + 1]
        yield Step("references", ordinary(offer, references=many), (f"at most {_pictures(offer, many)}",))
    if offer.references_max_with_video is not None and {"references", "video"} <= offer.takes:
        many = pictures[: offer.references_max_with_video + 1]
        request = ordinary(offer, references=many, video=GIVEN["video"])
        yield Step("references beside a video", request, (f"at most {offer.references_max_with_video}",))
    if offer.shots_max is not None:
        shots = tuple(Shot(prompt=f"scene {n}") for n in range(offer.shots_max + 1))
        yield Step("shots", ordinary(offer, shots=shots), (f"{len(shots)} shots", f"at most {offer.shots_max}"))
    if offer.shot_prompt_max is not None:
        shots = (Shot(prompt="x" * (offer.shot_prompt_max + 1)),)
        yield Step("a shot's words", ordinary(offer, shots=shots), (f"at most {offer.shot_prompt_max}",))
    if offer.prompt_max is not None:
        long = "x" * (offer.prompt_max + 1)
        yield Step("prompt", ordinary(offer, prompt=long), ("characters", f"takes {offer.prompt_max}"))


def _pictures(offer: Offer, many: tuple[str, ...]) -> int | None:
    """The limit that holds for an ordinary request with pictures; one that must bring a clip has another."""
    request = ordinary(offer, references=many)
    held = [rule.references_max for rule in offer.rules if validation._holds(rule, request)]
    limit = (
        offer.references_max_with_video if request.video and offer.references_max_with_video else offer.references_max
    )
    return min((found for found in held if found is not None), default=limit)


def _ruled(offer: Offer, rule: Rule) -> Iterator[Step]:
    base = under(offer, rule)
    why = (rule.why,) if rule.why else ()
    if rule.durations is not None:
        for seconds in sorted(set(offer.durations) - set(allowed_seconds(offer, base)))[:2]:
            yield Step(f"duration {seconds} here", replace(base, duration=seconds), (f"duration {seconds}", *why))
    if rule.aspect_ratios is not None:
        yield Step("aspect ratio here", replace(base, aspect_ratio="5:4"), ("aspect ratio 5:4",))
    if rule.resolutions is not None:
        yield Step("resolution here", replace(base, resolution="8k"), ("resolution 8k",))
    if rule.audio is not None:
        yield Step(
            "sound here", replace(base, audio=not rule.audio), ("silent" if not rule.audio else "with sound", *why)
        )
    if rule.references_max is not None:
        many = tuple(f"https://example.com/{n}.png" for n in range(rule.references_max + 1))
        yield Step("references here", replace(base, references=many), (f"at most {rule.references_max}",))
    for name in rule.forbids:
        if name in offer.takes:
            says = ("does not take", validation.label(name), *why)
            yield Step(f"{name} here", replace(base, **{name: GIVEN[name]}), says)
    for name in rule.requires:
        yield Step(f"no {name} here", replace(base, **{name: ABSENT[name]}), ("needs", f"`{name}`"))


def under(offer: Offer, rule: Rule) -> VideoRequest:
    """An ordinary request for which this rule holds."""
    wanted: dict[str, Any] = {}
    native: dict[str, Any] = options(offer)
    for name, value in rule.when.items():
        if name.startswith("options."):
            if value:
                put(native, name.removeprefix("options."), ["x"])
        elif isinstance(value, tuple):
            wanted[name] = value[0]
        elif isinstance(value, bool) and name != "audio":
            wanted[name] = GIVEN[name] if value else ABSENT[name]
        else:
            wanted[name] = value
    return replace(ordinary(offer, **wanted), options=native)


def _png(side: int) -> bytes:
    """A blue square."""

    def part(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    size = side.to_bytes(4, "big")
    rows = (b"\0" + b"\0\0\xff" * side) * side
    parts = (b"IHDR", size + size + b"\x08\2\0\0\0"), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(part(*one) for one in parts)


PIXEL = _png(300)
"""The smallest picture every vendor takes."""
