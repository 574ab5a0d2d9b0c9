"""What the words of one call wish, in `request` and in `prompt`, and what of them the route does not do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

from mcp_server.domain.catalog import Catalog
from mcp_server.domain.request import SPOKEN, CheckedRequest, Match, VideoRequest, Wishes
from mcp_server.errors import NotAnOrderError
from mcp_server.routing.request import MEDIA, NAMED_MEDIA, spoken

_JOINED: Final = (
    *SPOKEN, *NAMED_MEDIA, "vendor_model", "prefer", "max_cost_usd", "not_tiers", "not_models", "not_providers",
    "negative_prompt", "shots",
)  # fmt: skip
ANY_FILE: Final = "https://example.com/file"
"""Stands where a file is not there yet, or not at its vendor's: for prices and schemas, never sent."""
_NEEDS: Final = {
    "image-to-video": ("image",),
    "reference-to-video": ("references",),
    "video-edit": ("video",),
    "motion-control": ("image", "video"),
    "avatar": ("image", "audio_file"),
    "lip-sync": ("video", "audio_file"),
}
"""What a mode is made from, where nothing is given yet."""
_WITHOUT_WORDS: Final = frozenset(("lip-sync",))


def heard(request: str, prompt: str, catalog: Catalog) -> tuple[Wishes | None, str | None]:
    """The wishes of both, `request` first; and the prompt without the order it began with, where it is one."""
    from mcp_server.language import reader

    has_scene = bool(prompt.strip())
    said = reader.read(request, catalog=catalog, named=True, beside_scene=has_scene) if request.strip() else None
    if not has_scene:
        return said, None
    scene = reader.read_scene(prompt, catalog=catalog, beside_request=said is not None)
    if not any(_is_said(getattr(scene, name)) for name in _JOINED):
        return (replace(said, unread=(*said.unread, *scene.unread)) if said else scene), None
    return _joined(said, scene), scene.prompt


def _is_said(value: object) -> bool:
    return value not in (None, ())


def _joined(said: Wishes | None, scene: Wishes) -> Wishes:
    taken = ", ".join(f"“{match.words}”" for match in scene.matched)
    notes = [*scene.notes, *([f"taken from `prompt`, and out of the scene: {taken}"] if taken else [])]
    if said is None:
        return replace(scene, notes=tuple(notes))
    both: dict[str, Any] = {}
    for name in _JOINED:
        first, second = getattr(said, name), getattr(scene, name)
        both[name] = first if _is_said(first) else second
        if _is_said(first) and _is_said(second) and first != second:
            notes.append(f"`request` says {name} {spoken(first)}, `prompt` says {spoken(second)}; `request` decides")
    return replace(
        said,
        **both,
        notes=(*said.notes, *notes),
        unread=(*said.unread, *scene.unread),
        contradictions=(*said.contradictions, *scene.contradictions),
        unsettled=(*said.unsettled, *scene.unsettled),
    )


def settled(wishes: Wishes, *, prompt: str, buying: bool) -> Wishes:
    """Wishes of words that are no order: a price may be asked for, and a `prompt` is one; else NotAnOrderError."""
    if not wishes.none:
        return wishes
    if wishes.asks and not buying:
        return replace(wishes, none="")
    if prompt.strip() and not wishes.asks:
        note = f"the words of `request` are no order for Kling: {wishes.none}"
        if wishes.rival:
            return replace(wishes, none="", notes=(*wishes.notes, f"{note}; this is Kling all the same"))
        return Wishes(notes=(f"{note}; only `prompt` and the arguments count",), unread=wishes.unread)
    raise NotAnOrderError(
        f"These words do not order a Kling video: {wishes.none}",
        why=_lost(wishes),
        next_step="estimate_cost answers what it costs; to buy it, say it as an order"
        if wishes.asks
        else "Give the scene in `prompt`, or name Kling in `request`",
    )


def _lost(wishes: Wishes) -> str:
    """What was read all the same, so that it can be said again as arguments."""
    said = [f"{name} {spoken(getattr(wishes, name))}" for name in SPOKEN if getattr(wishes, name) is not None]
    return f"they were read as {', '.join(said)}" if said else ""


def example(request: VideoRequest) -> tuple[VideoRequest, tuple[str, ...]]:
    """A request that can be priced although its scene or its media are not there yet, and what it still needs."""
    mode = request.mode or "text-to-video"
    needs = () if any(getattr(request, name) for name in MEDIA) else _NEEDS.get(mode, ())
    found: dict[str, Any] = {name: (ANY_FILE,) if name == "references" else ANY_FILE for name in needs}
    if not request.prompt.strip() and not request.shots and mode not in _WITHOUT_WORDS:
        found["prompt"] = "…"
    return replace(request, **found), tuple(found)


def unheard(unread: Iterable[Match], request: VideoRequest, checked: CheckedRequest) -> tuple[str, ...]:
    """A sentence for each strong word left in the scene that says something else than what is ordered."""
    return tuple(dict.fromkeys(_unheard(unread, request, checked)))


def _unheard(unread: Iterable[Match], request: VideoRequest, checked: CheckedRequest) -> Iterator[str]:
    offer = checked.offer
    ordered = {name: getattr(offer, name) for name in ("tier", "mode", "model", "provider")}
    ordered |= {name: getattr(checked, name) for name in ("duration", "aspect_ratio", "resolution", "audio")}
    for match in unread:
        if match.field == "file":
            if not any(match.words in str(getattr(request, name)) for name in MEDIA):
                yield (
                    f"“{match.words}” is left in the words and is used for nothing: "
                    "give it as image, references, video or audio_file if the clip is made from it"
                )
        elif str(ordered[match.field]).lower() != match.value:
            known = ordered[match.field]
            said = "nothing of the kind" if known is None else f"{match.field} {spoken(known)}"
            yield f"the words say “{match.words}”; {said} is ordered: set `{match.field}` to choose"
