"""Pictures, clips and recordings on their way in: what may be sent where, and a local file as checked bytes."""

from __future__ import annotations

import base64
import binascii
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from mcp_server.domain.catalog import Provider
from mcp_server.domain.file_format import ENOUGH, Format, Sort, sniff
from mcp_server.domain.picture_size import picture_size
from mcp_server.domain.request import VideoRequest
from mcp_server.errors import RequestError
from mcp_server.providers.media_addresses import unfit

Kind = Literal["https", "data", "file"]
"""How it comes: an address, its bytes in a data: URI, a path on this machine."""

SLOTS: Final[Mapping[str, Sort]] = {
    "image": "image",
    "end_image": "image",
    "references": "image",
    "video": "video",
    "audio_file": "audio",
}
"""Which inputs are media, and of what sort."""
LIMITS: Final[Mapping[Sort, int]] = {"image": 20 << 20, "video": 100 << 20, "audio": 20 << 20}
"""Bytes this program reads of one local file; ours, a vendor's own limit may be lower."""
_TAKEN_BY: Final[Mapping[Kind, tuple[str, ...]]] = {
    "https": ("https",),
    "data": ("upload", "data", "bare"),
    "file": ("upload", "data", "bare"),
}
"""What a vendor must know (`media_inputs` in provider.toml) to take each kind."""
_SAID: Final[Mapping[Kind, str]] = {"https": "an address", "data": "a data: URI", "file": "a local file"}
_CALLED: Final[Mapping[Sort, str]] = {"image": "a picture", "video": "a clip", "audio": "a recording"}
_WANTED: Final[Mapping[Sort, str]] = {
    "image": "JPEG, PNG, WebP or BMP",
    "video": "MP4 or QuickTime",
    "audio": "MP3, WAV, M4A or AAC",
}
_SCHEME = re.compile(r"^([a-z][a-z0-9+.-]+):", re.IGNORECASE)
_SLOT = re.compile(r"^references\[(\d+)\]$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """A local picture, clip or recording, read and recognised."""

    format: Format
    name: str
    """Its file name, with the suffix its bytes deserve."""
    content: bytes = field(repr=False)

    @property
    def data_uri(self) -> str:
        """The bytes as an address of their own, for vendors that take those."""
        return f"data:{self.format.media_type};base64,{base64.b64encode(self.content).decode('ascii')}"


def inputs(request: VideoRequest) -> Iterator[tuple[str, str]]:
    """Every medium of a request by its place, such as `image` or `references[0]`."""
    for slot in SLOTS:
        value = getattr(request, slot)
        if slot == "references":
            yield from ((f"references[{index}]", text) for index, text in enumerate(request.references))
        elif request.given(slot):
            yield slot, value


def kind_of(text: str) -> Kind | None:
    """How it comes; None for a scheme nobody takes."""
    scheme = _SCHEME.match(text.strip())
    if scheme is None:
        return "file"
    match scheme.group(1).lower():
        case "http" | "https":
            return "https"
        case "data":
            return "data"
        case "file":
            return "file"
        case _:
            return None


def inspect(request: VideoRequest, *, simulated: bool = False) -> dict[str, Kind]:
    """How each medium comes, by its place; refuses addresses that no vendor should be sent to. Reads no file."""
    given: dict[str, Kind] = {}
    problems: list[str] = []
    for place, text in inputs(request):
        kind = kind_of(text)
        if problem := _problem(place, text, kind, simulated=simulated):
            problems.append(problem)
        elif kind is not None:
            given[place] = kind
    if problems:
        raise RequestError(
            "A picture, clip or recording cannot be used" if len(problems) > 1 else problems[0],
            problems=tuple(problems),
            next_step="Use a public https address, or a path to a file on this machine",
        )
    return given


def _problem(place: str, text: str, kind: Kind | None, *, simulated: bool) -> str:
    if kind is None:
        return f"`{place}` is no address, data: URI or path: {_short(text)}"
    if kind == "https" and (reason := unfit(text, simulated=simulated)):
        return f"`{place}` cannot be sent to a vendor, {reason}: {_short(text)}"
    if kind == "data" and enclosed_bytes(text) is None:
        return f"`{place}` is a data: URI that cannot be read; it should start like data:image/png;base64,"
    return ""


def refused_by(provider: Provider, given: Mapping[str, Kind], others: Iterable[Provider] = ()) -> tuple[str, ...]:
    """Why this provider cannot take what is given, and which of the others can; nothing when it can."""
    everybody = tuple(others)
    return tuple(
        f"{provider.id} does not take {_SAID[kind]} (`{place}`){_instead(kind, everybody)}"
        for place, kind in given.items()
        if not takes(provider, kind)
    )


def takes(provider: Provider, kind: Kind) -> bool:
    """Whether this vendor can be given a medium that comes like this."""
    return any(way in provider.media_inputs for way in _TAKEN_BY[kind])


def load(place: str, text: str, provider: Provider, *, read: Callable[[Path, int], bytes] | None = None) -> Material:
    """A data: URI or a local file as bytes of the right sort and size for this provider."""
    limit = min(LIMITS[_sort(place)], provider.upload_max_bytes or LIMITS[_sort(place)])
    path = located(text)
    content = enclosed_bytes(text) if path is None else (read or read_file)(path, limit)
    if not content:
        raise RequestError(f"`{place}` is empty")
    if len(content) > limit:
        raise RequestError(
            f"`{place}` is too large: {_size(len(content))}, at most {_size(limit)} for {provider.name}",
            next_step="Make it smaller, or give a public https address instead",
        )
    material = recognised(place, path, content)
    _large_enough(place, material, provider)
    return material


def _large_enough(place: str, material: Material, provider: Provider) -> None:
    """Nothing, or the refusal of a picture that its vendor would take the upload of and refuse the order for."""
    least = provider.picture_least_px
    sides = picture_size(material.format, material.content) if least is not None else None
    if least is not None and sides is not None and min(sides) < least:
        raise RequestError(
            f"`{place}` is too small: {sides[0]} × {sides[1]} pixels, at least {least} a side for {provider.name}",
            next_step="Give a larger picture",
        )


def recognised(place: str, path: Path | None, content: bytes) -> Material:
    """These bytes as what they are; RequestError when that is not what this place takes."""
    found = _format(place, _sort(place), content)
    stem = place.replace("[", "-").rstrip("]") if path is None else path.stem
    return Material(format=found, name=f"{stem}{found.suffix}", content=content)


def located(text: str) -> Path | None:
    """Where a local file is, from whatever folder; None for a data: URI."""
    if kind_of(text) == "data":
        return None
    path = _path(text)
    try:
        return path.absolute()
    except OSError:
        raise RequestError(
            f"{path} cannot be found: the folder this program was started in is gone", next_step="Give the whole path"
        ) from None


def said(request: Mapping[str, Any], place: str) -> str:
    """What the caller gave at this place of the recorded request."""
    several = _SLOT.match(place)
    found: str = request["references"][int(several.group(1))] if several else request[place]
    return found


def placed(request: VideoRequest, addresses: Mapping[str, str]) -> VideoRequest:
    """The request with the media at these places replaced by what can be sent."""
    references = list(request.references)
    changes: dict[str, str] = {}
    for place, address in addresses.items():
        if several := _SLOT.match(place):
            references[int(several.group(1))] = address
        else:
            changes[place] = address
    return replace(request, references=tuple(references), **changes)


def read_file(path: Path, limit: int) -> bytes:
    """A regular file's bytes; one more than `limit` at most, so that too much shows."""
    try:
        # Asked before opening: a pipe would wait for its other end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise RequestError(f"{path} is no ordinary file")
        with path.open("rb") as file:
            return file.read(limit + 1)
    except FileNotFoundError:
        raise RequestError(
            f"There is no file {path}", next_step="Check the path; an address starts with https://"
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise RequestError(f"{_short(str(path))} cannot be read: {reason}") from None


def _sort(place: str) -> Sort:
    return SLOTS[place.partition("[")[0]]


def _format(place: str, sort: Sort, content: bytes) -> Format:
    found = sniff(content[:ENOUGH])
    wanted = f"{_CALLED[sort]} is wanted here ({_WANTED[sort]})"
    if found is None:
        raise RequestError(f"`{place}` is no file this program knows; {wanted}")
    if found.sort != sort:
        raise RequestError(f"`{place}` is {_CALLED[found.sort]} ({found.name}); {wanted}")
    if not found.fit:
        raise RequestError(
            f"`{place}` is {found.name}, which no vendor takes; {wanted}", next_step=f"Convert it to {_WANTED[sort]}"
        )
    return found


def enclosed_bytes(text: str) -> bytes | None:
    """What a data: URI holds; None when it is none."""
    head, comma, body = text.strip()[len("data:") :].partition(",")
    if not comma:
        return None
    if not head.lower().endswith(";base64"):
        return unquote_to_bytes(body)
    packed = re.sub(r"\s", "", unquote(body))
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _path(text: str) -> Path:
    """A path, also from a file: address and from one that starts with ~."""
    text = text.strip()
    if text.lower().startswith("file:"):
        text = _path_of(text)
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def _path_of(address: str) -> str:
    """The path in a file: address; on Windows its drive stands behind a slash, and its host is a share's."""
    parts = urlsplit(address)
    path = unquote(parts.path)
    if sys.platform != "win32":
        return path
    if parts.netloc and parts.netloc != "localhost":
        return f"//{parts.netloc}{path}"
    return path[1:] if re.match(r"/[A-Za-z]:", path) else path


def _instead(kind: Kind, providers: Iterable[Provider]) -> str:
    able = [provider.id for provider in providers if takes(provider, kind)]
    return f"; {' and '.join(able)} can" if able else ""


def _short(text: str) -> str:
    """Enough to recognise it by, without a query that may hold a signature."""
    bare = text.strip().partition("?")[0]
    bare = re.sub(r"//[^/@]*@", "//…@", bare)
    return bare if len(bare) <= 80 else f"{bare[:77]}…"


def _size(count: int) -> str:
    return f"{count / (1 << 20):.1f} MiB"
