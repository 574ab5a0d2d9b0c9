"""A request against an offer: every problem at once, in the caller's words; or the checked request."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeVar

from mcp_server.domain import prompt_markers
from mcp_server.domain.catalog import Offer, Rule, Wanted, spans
from mcp_server.domain.request import CheckedRequest, Misfit, Shot, VideoRequest, native_option
from mcp_server.domain.vocabulary import INPUTS, Input

PREFERRED_SECONDS = 5
"""What is ordered when nobody says how long: the shortest length every vendor sells."""
PREFERRED_RATIO = "16:9"
RATIOS = ("16:9", "9:16", "1:1")

_LABEL: Final[Mapping[str, str]] = {
    "shots": "shots",
    "references": "reference images",
    "cfg_scale": "cfg_scale",
    "off_peak": "off-peak rendering",
}
"""What an input is called in a sentence, where that is not its own name with an article."""
_NO_CHOICE_OF_SOUND: Final[Mapping[str, tuple[bool | None, str]]] = {
    "always": (True, "is always with sound"),
    "never": (False, "is always silent"),
    "from-input": (None, "takes its sound from what goes in; it cannot be chosen"),
    "unknown": (None, "does not say whether its clips have sound, and it cannot be chosen"),
}
"""Whether there will be sound where the caller has no say, and what is said to one who asks."""
T = TypeVar("T")


def check(request: VideoRequest, offer: Offer) -> CheckedRequest | Misfit:
    """The request as this offer will fulfil it, or every reason why it cannot."""
    if offer.not_sold_because:
        return Misfit(offer=offer, problems=(f"{offer.id} cannot be ordered: {offer.not_sold_because}",))
    found = _Findings(offer)
    rules = tuple(rule for rule in offer.rules if _holds(rule, request))
    _inputs(request, offer, rules, found)
    duration = _duration(request, offer, rules, found)
    ratio = _aspect_ratio(request, offer, rules, found)
    resolution = _resolution(request, offer, rules, found)
    audio = _audio(request, offer, rules, found)
    _shots(request, offer, duration, found)
    _numbers(request, found)
    prompt = _prompt(request, offer, found)
    found.warnings += [rule.warns for rule in rules if rule.warns]
    if found.problems:
        return Misfit(offer=offer, problems=tuple(found.problems), missing=tuple(found.missing))
    return CheckedRequest(
        request=request,
        offer=offer,
        duration=duration,
        aspect_ratio=ratio,
        resolution=resolution,
        audio=audio,
        prompt=prompt,
        warnings=tuple(found.warnings),
        unlisted=tuple(found.unlisted),
    )


@dataclass
class _Findings:
    offer: Offer
    problems: list[str] = field(default_factory=list[str])
    warnings: list[str] = field(default_factory=list[str])
    missing: list[str] = field(default_factory=list[str])
    unlisted: list[str] = field(default_factory=list[str])

    def problem(self, text: str) -> None:
        if text not in self.problems:
            self.problems.append(text)

    @property
    def seller(self) -> str:
        offer = self.offer
        return f"{offer.provider} {offer.model} {offer.tier} {offer.mode}"


def _holds(rule: Rule, request: VideoRequest) -> bool:
    return all(_matches(request, name, wanted) for name, wanted in rule.when.items())


def _matches(request: VideoRequest, name: str, wanted: Wanted) -> bool:
    if name.startswith("options."):
        return (native_option(request.options, name.removeprefix("options.")) is not None) is wanted
    if isinstance(wanted, tuple):
        return getattr(request, name) in wanted
    if isinstance(wanted, bool) and name != "audio":
        return request.given(name) is wanted
    return getattr(request, name) == wanted


def _inputs(request: VideoRequest, offer: Offer, rules: Iterable[Rule], found: _Findings) -> None:
    for rule in rules:
        for name in filter(request.given, rule.forbids):
            found.problem(f"{found.seller} does not take {label(name)} here{_because(rule)}")
    needs = _needed(request, offer, rules)
    for name in INPUTS:
        given = request.given(name)
        if given and name not in offer.takes:
            found.problem(f"{found.seller} does not take {label(name)}")
        elif not given and name in needs:
            found.missing.append(name)
            found.problem(f"{found.seller} needs {label(name)} (`{name}`)")
    for group in offer.one_of:
        _one_of(request, group, found)
    _native_fields(request, offer, found)
    _references(request, offer, rules, found)


def _needed(request: VideoRequest, offer: Offer, rules: Iterable[Rule]) -> set[Input]:
    """What has to be given, with this request."""
    needs = set(offer.requires)
    for rule in rules:
        needs.update(rule.requires)
        needs.difference_update(rule.waives)
    # Shots carry their own words, where they are a list of their own.
    if request.given("shots") and "shots" in offer.takes and not request.prompt:
        needs.discard("prompt")
    return needs


def _one_of(request: VideoRequest, group: tuple[Input, ...], found: _Findings) -> None:
    count = sum(map(request.given, group))
    if count == 1:
        return
    if not count:
        found.missing.append(group[0])
    names = " or ".join(f"`{name}`" for name in group)
    found.problem(f"{found.seller} needs exactly one of {names}; {count} are given")


def _native_fields(request: VideoRequest, offer: Offer, found: _Findings) -> None:
    missing = [name for name in offer.requires_options if native_option(request.options, name) is None]
    if missing:
        found.problem(
            f"{found.seller} needs the vendor's own field{'s' if len(missing) > 1 else ''} "
            f"{', '.join(f'`{name}`' for name in missing)} in `options`: what goes into it is not documented"
        )


def _references(request: VideoRequest, offer: Offer, rules: Iterable[Rule], found: _Findings) -> None:
    if "references" not in offer.takes or not request.references:
        return
    limit = offer.references_max
    if request.given("video") and offer.references_max_with_video is not None:
        limit = offer.references_max_with_video
    limit = min((rule.references_max for rule in rules if rule.references_max is not None), default=limit)
    if limit is not None and len(request.references) > limit:
        found.problem(f"{len(request.references)} reference images are not sold by {found.seller}: at most {limit}")


def _duration(request: VideoRequest, offer: Offer, rules: Iterable[Rule], found: _Findings) -> int | None:
    wanted = _wanted_seconds(request, found)
    if not offer.durations:
        if wanted is not None:
            note = offer.duration_note or "the vendor decides the length"
            found.problem(f"{found.seller} has no choice of duration: {note}")
        return None
    allowed: tuple[int, ...] = offer.durations
    why = ""
    for rule in rules:
        if rule.durations is not None:
            allowed = tuple(second for second in allowed if second in frozenset(rule.durations))
            why += _because(rule)
    if not allowed:
        found.problem(f"no duration is sold by {found.seller} for all of this together{why}")
        return wanted
    if wanted is None:
        return _preferred(PREFERRED_SECONDS, offer.duration_default, allowed, min(allowed))
    if wanted not in allowed:
        found.problem(f"duration {wanted} is not sold by {found.seller}: {spans(allowed)} seconds{why}")
    return wanted


def _wanted_seconds(request: VideoRequest, found: _Findings) -> int | None:
    """The length that was asked for, by itself or as the sum of the shots."""
    wanted, total = request.duration, _shot_seconds(request)
    if wanted is not None and total not in (None, wanted):
        found.problem(f"the shots last {total} seconds together, but `duration` is {wanted}")
    return total if wanted is None else wanted


def _preferred(ours: T, default: T | None, allowed: Collection[T], least: T) -> T:
    """What is ordered where nobody said: what every vendor sells, else this vendor's own default."""
    if ours in allowed:
        return ours
    return default if default is not None and default in allowed else least


def _aspect_ratio(request: VideoRequest, offer: Offer, rules: Iterable[Rule], found: _Findings) -> str | None:
    wanted = request.aspect_ratio
    allowed, why = _ruled(offer.aspect_ratios, rules, "aspect_ratios")
    if offer.aspect_ratio_unlisted and wanted in RATIOS and wanted not in allowed:
        found.warnings.append(
            f"{offer.provider} documents no list of aspect ratios for {offer.mode}; {wanted} goes out as Kling takes it"
        )
        found.unlisted.append("aspect_ratio")
        return wanted
    if not allowed:
        if wanted is not None:
            note = offer.aspect_ratio_note or "the picture or clip that goes in decides it"
            found.problem(f"{found.seller} has no aspect ratio to choose: {note}")
        return None
    if wanted is None:
        # Where nobody asked, a picture that goes in has a shape of its own.
        default = offer.aspect_ratio_default or PREFERRED_RATIO
        return _preferred(default, None, allowed, allowed[0]) if offer.aspect_ratio_guaranteed else None
    if wanted not in allowed:
        known = dict.fromkeys((*allowed, *(RATIOS if offer.aspect_ratio_unlisted else ())))
        found.problem(f"aspect ratio {wanted} is not sold by {found.seller}: {', '.join(known)}{why}")
    elif not offer.aspect_ratio_guaranteed:
        found.warnings.append(f"{offer.provider} does not guarantee the aspect ratio in {offer.mode}")
    return wanted


def _ruled(
    allowed: tuple[str, ...], rules: Iterable[Rule], name: Literal["aspect_ratios", "resolutions"]
) -> tuple[tuple[str, ...], str]:
    """What may be ordered under these rules, the last of which decides, and why."""
    why = ""
    for rule in rules:
        only: tuple[str, ...] | None = getattr(rule, name)
        if only is not None:
            allowed, why = only, _because(rule)
    return allowed, why


def _resolution(request: VideoRequest, offer: Offer, rules: Iterable[Rule], found: _Findings) -> str | None:
    wanted = request.resolution
    allowed, why = _ruled(offer.resolutions, rules, "resolutions")
    if wanted is None:
        return allowed[0] if allowed else None
    if not allowed:
        note = offer.resolution_note or "no source says which one it delivers"
        found.problem(f"resolution {wanted} cannot be promised by {found.seller}: {note}")
    elif wanted not in allowed:
        found.problem(f"resolution {wanted} is not sold by {found.seller}: {', '.join(allowed)}{why}")
    return wanted


def _audio(request: VideoRequest, offer: Offer, rules: Iterable[Rule], found: _Findings) -> bool | None:
    wanted = request.audio
    forced = next((rule for rule in rules if rule.audio is not None), None)
    if forced is not None and wanted is not None and wanted is not forced.audio:
        found.problem(f"{found.seller} is {_sound(forced.audio is True)} here{_because(forced)}")
    if offer.audio in ("choice", "by-model-id"):
        return bool(wanted) if forced is None else forced.audio
    has, no_choice = _NO_CHOICE_OF_SOUND[offer.audio]
    if wanted is not None and wanted is not has:
        found.problem(f"{found.seller} {no_choice}")
    return has


def _shots(request: VideoRequest, offer: Offer, duration: int | None, found: _Findings) -> None:
    shots = request.shots
    if not shots or "shots" not in offer.takes:
        return
    if offer.shots_max is not None and len(shots) > offer.shots_max:
        found.problem(f"{len(shots)} shots are not sold by {found.seller}: at most {offer.shots_max}")
    for index, shot in enumerate(shots, 1):
        _shot(shot, index, offer, found)
    timed = [shot for shot in shots if shot.duration is not None]
    if timed and len(timed) != len(shots):
        found.problem("either every shot has a duration, or none has")
    if offer.shots_in_prompt:
        if timed:
            found.warnings.append(
                f"{offer.provider} takes shots as words in the prompt; the length of each shot is not guaranteed"
            )
    elif not timed and duration is not None and len(shots) > duration:
        found.problem(f"{len(shots)} shots do not fit into {duration} seconds")


def _shot(shot: Shot, index: int, offer: Offer, found: _Findings) -> None:
    if not shot.prompt.strip():
        found.problem(f"shot {index} has no prompt")
    if offer.shot_prompt_max is not None and len(shot.prompt) > offer.shot_prompt_max:
        found.problem(f"shot {index} has {len(shot.prompt)} characters: at most {offer.shot_prompt_max}")
    if shot.duration is not None and shot.duration < 1:
        found.problem(f"shot {index} lasts {shot.duration} seconds: at least 1")


def _numbers(request: VideoRequest, found: _Findings) -> None:
    scale = request.cfg_scale
    # Comparing a NaN raises: whether it is a number comes first.
    if scale is not None and not (scale.is_finite() and 0 <= scale <= 1):
        found.problem(f"cfg_scale {scale} is out of range: 0 to 1")


def _prompt(request: VideoRequest, offer: Offer, found: _Findings) -> str:
    prompt = request.prompt
    if offer.shots_in_prompt and request.shots:
        prompt = "\n".join(part for part in (prompt, *_numbered(request)) if part)
    if offer.reference_marker or offer.video_marker:
        prompt = _named(prompt, request, offer, found)
    if offer.prompt_max is not None and len(prompt) > offer.prompt_max:
        found.problem(f"the prompt has {len(prompt)} characters; {found.seller} takes {offer.prompt_max}")
    return prompt


def _named(prompt: str, request: VideoRequest, offer: Offer, found: _Findings) -> str:
    """The prompt with every picture and clip called by name, as this vendor asks."""
    for name in prompt_markers.stray(request, offer):
        found.problem(f"the prompt says {name}, but no such picture or clip goes in")
    missing = prompt_markers.missing(request, offer)
    if missing and prompt:
        found.warnings.append(
            f"{found.seller} wants what goes in called by name; added at the end of the prompt: {' '.join(missing)}"
        )
        prompt = " ".join((prompt, *missing))
    return prompt


def _numbered(request: VideoRequest) -> Iterable[str]:
    for index, shot in enumerate(request.shots, 1):
        length = f" ({shot.duration} s)" if shot.duration is not None else ""
        yield f"Shot {index}{length}: {shot.prompt.strip()}"


def _shot_seconds(request: VideoRequest) -> int | None:
    lengths = [shot.duration for shot in request.shots]
    if not lengths or any(length is None for length in lengths):
        return None
    return sum(length for length in lengths if length is not None)


def label(name: str) -> str:
    """What an input is called in a sentence."""
    plain = name.replace("_", " ")
    return _LABEL.get(name) or f"{'an' if plain[0] in 'aeiou' else 'a'} {plain}"


def _because(rule: Rule) -> str:
    return f" ({rule.why})" if rule.why else ""


def _sound(has: bool) -> str:  # noqa: FBT001 - the one argument is the question
    return "with sound" if has else "silent"
