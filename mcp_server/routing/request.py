"""Explicit arguments over words, and the media decide what is made from what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from decimal import Decimal
from typing import Any, Final, cast

from mcp_server.catalog.names import Named, Names, names
from mcp_server.domain.catalog import Catalog
from mcp_server.domain.request import SPOKEN, Shot, VideoRequest, Wishes
from mcp_server.domain.vocabulary import Mode
from mcp_server.errors import RequestError

Explicit = Mapping[str, Any]
"""The arguments that were really given, by the names of `generate_video`, without `request`."""

_ELSEWHERE: Final = frozenset(
    ("request", "count", "max_cost_usd", "accept_unknown_price", "idempotency_key", "output_dir")
)
"""Arguments about buying, not about the clip."""
_WISHED: Final = tuple(field.name for field in fields(VideoRequest) if field.name in {f.name for f in fields(Wishes)})
NAMED_MEDIA: Final = ("image", "end_image", "references", "video", "audio_file")
"""What is named by an address or a file."""
MEDIA: Final = (*NAMED_MEDIA, "source_task")
_TAKES: Final[Mapping[Mode, frozenset[str]]] = {
    "text-to-video": frozenset(),
    "image-to-video": frozenset(("image", "end_image", "references")),
    "reference-to-video": frozenset(("references", "video", "source_task")),
    "video-edit": frozenset(("video", "source_task", "references")),
    "motion-control": frozenset(("image", "video")),
    "avatar": frozenset(("image", "audio_file")),
    "lip-sync": frozenset(("video", "audio_file")),
    "extend": frozenset(("source_task", "video")),
    "template-effect": frozenset(("image", "references")),
}
"""What goes into a mode, whoever sells it: words that name a mode which cannot take the given media are overruled."""
_FIXED_BY_ID: Final = ("model", "tier", "mode", "provider", "audio")


def request_from(
    explicit: Explicit, wishes: Wishes | None, *, catalog: Catalog, repeated: bool = False
) -> tuple[VideoRequest, tuple[str, ...]]:
    """The whole request, and what the caller should know about how it was read; `repeated`: the words are an earlier
    order's, and what is said otherwise now is a change of it.
    """
    given = {name: _typed(name, value) for name, value in explicit.items() if _is_given(name, value)}
    notes: list[str] = []
    values: dict[str, Any] = {}
    if wishes is not None:
        _no_contradictions(explicit, given, wishes, notes)
        notes += wishes.notes
        values = {name: getattr(wishes, name) for name in _WISHED}
    known = names(catalog)
    if "model" in given:
        _by_model(given, known)
    if given.get("resolution") == "4k" and given.get("tier", "4k") == "4k":
        given["tier"] = "4k"
        del given["resolution"]
        values["resolution"] = None
    if wishes is not None:
        _set_id_aside(given, values, wishes, notes, known)
        _overruled(given, wishes, notes, repeated=repeated)
        _limit(explicit, wishes, notes)
    for name in ("tier", "model", "provider"):
        # What an argument names is wanted, whatever the words ruled out.
        values[f"not_{name}s"] = tuple(one for one in values.get(f"not_{name}s", ()) if one != given.get(name))
    values |= given
    values["mode"] = _mode(given, values, notes, catalog)
    return VideoRequest(**values), tuple(dict.fromkeys(notes))


def mode_of(given: Mapping[str, Any]) -> Mode | None:
    """What is made from these media; None when they do not say."""
    has = {name for name in MEDIA if given.get(name)}
    if "audio_file" in has:
        return "lip-sync" if "video" in has else "avatar"
    if "image" in has and "video" in has:
        return "motion-control"
    if "video" in has:
        return "video-edit"
    if "source_task" in has:
        return "extend"
    if "image" in has or "end_image" in has:
        return "image-to-video"
    return "reference-to-video" if "references" in has else None


def _is_given(name: str, value: Any) -> bool:
    if name in _ELSEWHERE or value is None:
        return False
    return bool(value.strip()) if isinstance(value, str) else value != []


def _typed(name: str, value: Any) -> Any:
    match name:
        case "shots":
            return tuple(shot if isinstance(shot, Shot) else Shot(**shot) for shot in value)
        case "references":
            return tuple(value)
        case _:
            # Exact from here on, as it was written.
            return Decimal(str(value)) if isinstance(value, float) else value


def most_of(explicit: Explicit, wishes: Wishes | None) -> Decimal | None:
    """The most that may be spent: as an argument, else in the words."""
    if explicit.get("max_cost_usd") is not None:
        return Decimal(str(explicit["max_cost_usd"]))
    return None if wishes is None else wishes.max_cost_usd


def _no_contradictions(explicit: Explicit, given: Explicit, wishes: Wishes, notes: list[str]) -> None:
    """Words that disagree are settled by an argument, or by nobody."""
    settled = given.keys() | {name for name in _ELSEWHERE if explicit.get(name) is not None}
    open_fields = [field for field in wishes.unsettled if field not in settled]
    if open_fields:
        named = " or ".join(f"`{field}`" for field in open_fields)
        raise RequestError(
            f"The words leave {named} open",
            problems=wishes.contradictions,
            why="; ".join(wishes.contradictions),
            next_step=f"Say it once, or set {named}",
        )
    notes += [f"{said}; the arguments decide" for said in wishes.contradictions]


def _by_model(given: dict[str, Any], known: Names) -> None:
    """`model` as our id, and as whatever else a vendor's own id fixes."""
    asked = str(given["model"])
    fixed = dict(known.certain_model(asked).sets)
    for field in _FIXED_BY_ID[1:]:
        if field in fixed and given.get(field, fixed[field]) != fixed[field]:
            raise RequestError(
                f"{asked} is {field} {spoken(fixed[field])}, but `{field}` says {spoken(given[field])}",
                next_step=f"Leave out `{field}`, or name another model",
            )
    given |= fixed


def _set_id_aside(given: Explicit, values: dict[str, Any], wishes: Wishes, notes: list[str], known: Names) -> None:
    """A vendor's id in the words holds only as long as no argument says otherwise about what it fixes."""
    if wishes.vendor_model is None:
        return
    named = known.named(wishes.vendor_model) or Named(())
    against = [field for field, value in named.sets if field in given and given[field] != value]
    if not against:
        return
    values["vendor_model"] = None
    if "model" in against or "provider" in against:
        # What only the id said goes with it; what other words said stays.
        places = {match.start for match in wishes.matched if match.field == "vendor_model"}
        for field in _FIXED_BY_ID:
            said_at = {match.start for match in wishes.matched if match.field == field}
            if said_at and said_at <= places and (field == "provider" or "model" in against):
                values[field] = None
    notes.append(f"{wishes.vendor_model} is set aside: {' and '.join(f'`{name}`' for name in against)} says otherwise")


def _overruled(given: Explicit, wishes: Wishes, notes: list[str], *, repeated: bool) -> None:
    """Says what of the words does not hold."""
    for name in (*SPOKEN, *NAMED_MEDIA):
        said = getattr(wishes, name)
        if said not in (None, ()) and name in given and given[name] != said:
            before, now = spoken(said), spoken(given[name])
            notes.append(
                f"{name} is {now} now; the earlier order's was {before}"
                if repeated
                else f"the words say {name} {before}; the argument decides: {now}"
            )
    if wishes.prompt and "prompt" in given and given["prompt"].strip() != wishes.prompt:
        notes.append(f"the scene in the words is not used, because `prompt` is given: “{wishes.prompt[:80]}”")
    if wishes.shots and "shots" in given:
        notes.append("the shots in the words are not used, because `shots` are given")


def _limit(explicit: Explicit, wishes: Wishes, notes: list[str]) -> None:
    """Says which limit of price holds, where the words say one."""
    said, most = wishes.max_cost_usd, most_of(explicit, wishes)
    if said is not None and most is not None:
        decides = "" if most == said else f"; the argument decides: {most}"
        notes.append(f"the words allow at most {said} USD{decides}")


def _mode(given: Explicit, values: Mapping[str, Any], notes: list[str], catalog: Catalog) -> Mode | None:
    """Named as an argument, else by words that fit the media, else by the media, else by what the model can do."""
    if "mode" in given:
        return given["mode"]
    said: Mode | None = values.get("mode")
    brought = {name: given.get(name) or values.get(name) for name in MEDIA}
    media = frozenset(name for name in MEDIA if brought[name])
    if said is not None and media <= _TAKES[said]:
        return said
    decided = mode_of(brought)
    if decided is not None:
        if said is not None:
            notes.append(f"the words say {said}; with {' and '.join(sorted(media))} it is {decided}")
        return decided
    return _only_mode(values, catalog)


def _only_mode(values: Mapping[str, Any], catalog: Catalog) -> Mode:
    """Text alone makes text-to-video, except where a model is named that can do one other thing only."""
    model, provider = values.get("model"), values.get("provider")
    if model is None:
        return "text-to-video"
    modes: set[Mode] = {
        offer.mode for offer in catalog.offers if offer.model == model and provider in (None, offer.provider)
    }
    return modes.pop() if len(modes) == 1 else "text-to-video"


def spoken(value: object) -> str:
    """A value as a sentence says it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return ", ".join(map(str, cast("tuple[object, ...]", value))) if isinstance(value, tuple) else str(value)
