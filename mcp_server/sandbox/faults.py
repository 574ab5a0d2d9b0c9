"""What can be made to go wrong, and how that is said: `runcomfy=drop_after_accept,runapi=429:2@1.5`.

`vendor=kind`, or `*=kind` for all; `:2` for the next two times (once is what is meant when nothing is said,
`:always` for good); `~words` for orders alone whose prompt has these words (`*=failed~paper boat` fails that shot of a
film, whichever is ordered first); `@value` where a kind takes one (seconds for 429 and the slow ones, an HTTP status
for the 500s, a word for status_unknown and failed).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from mcp_server import catalog
from mcp_server.errors import ArgumentError

KINDS: Final[Mapping[str, str]] = {
    "drop_before_accept": "the connection closes without an answer and nothing was bought",
    "drop_after_accept": "the job exists and is charged, and the connection closes without an answer",
    "500_before_accept": "a server error, and nothing was bought",
    "500_after_accept": "a server error, and yet the job exists and is charged",
    "429": "the submit is refused; @ seconds to wait",
    "html": "the job exists, and the answer is a web page with HTTP 200",
    "slow": "the answer to the submit takes a while; @ seconds",
    "no_money": "the account is empty; @200 says it inside HTTP 200, where a vendor does that",
    "content_refused": "the submit is refused for its content",
    "moderation": "the job ends badly, for its content; @ the vendor's reason",
    "failed": "the job ends badly; @ the vendor's reason",
    "status_drop": "a status request gets no answer",
    "status_500": "a server error instead of a status",
    "status_429": "a status request is refused; @ seconds to wait",
    "status_html": "a web page instead of a status",
    "status_slow": "a status takes a while; @ seconds",
    "status_unknown": "a status word nobody documented; @ the word",
    "status_missing": "the vendor says it knows no such job, though it does",
    "find_missing": "looking for a lost order does not show it, though it is there",
    "callback_lost": "the end of the job is not posted, though that was asked for",
    "callback_twice": "the end of the job is posted twice",
    "file_cut": "the download breaks off half way",
    "file_expired": "the link is refused with 403",
    "file_gone": "the link answers 410",
    "file_html": "a web page with HTTP 200 instead of the clip",
    "file_slow": "the download starts late; @ seconds",
    "clip_black": "the clip is black",
    "clip_frozen": "nothing moves in the clip",
    "clip_long": "the clip is two seconds longer than ordered",
    "clip_size": "width and height of the clip are exchanged (a square becomes wide)",
    "clip_small": "the clip is one size smaller than ordered",
    "clip_soft": "the sound is ten decibels softer than that of other clips",
    "clip_silent": "sound was ordered, none is there",
    "clip_sound": "silence was ordered, sound is there",
}
ENDINGS: Final = ("failed", "moderation")
DEFECTS: Final = tuple(kind for kind in KINDS if kind.startswith("clip_"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that will go wrong."""

    vendor: str
    kind: str
    count: int | None = 1
    """None: always."""
    value: str = ""
    words: str = ""
    """In the prompt of the only orders it is for; empty where it is for any."""


class Armed:
    """Faults of one process, from its settings: they end with it."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self._left: dict[tuple[str, str, str], Fault] = {}
        for fault in faults:
            self.add(fault)

    def add(self, fault: Fault) -> None:
        """Arm it, beside what is armed."""
        place = fault.vendor, fault.kind, fault.words
        before = self._left.get(place)
        self._left[place] = fault if before is None else _both(before, fault)

    def take(self, vendor: str, kinds: Iterable[str], prompt: str = "") -> tuple[str, str] | None:
        """Use up one fault of these kinds, the first that is there and meant for such a prompt: its kind and value."""
        for kind in kinds:
            for owner in (vendor, "*"):
                for place, fault in self._left.items():
                    if place[:2] != (owner, kind) or fault.count == 0 or place[2] not in prompt:
                        continue
                    if fault.count is not None:
                        self._left[place] = replace(fault, count=fault.count - 1)
                    return kind, fault.value
        return None

    def clear(self) -> None:
        self._left.clear()

    def rows(self) -> list[dict[str, object]]:
        """What is armed, in the store's shape."""
        rows: list[dict[str, object]] = []
        for fault in self._left.values():
            if fault.count is None or fault.count > 0:
                only = {"words": fault.words} if fault.words else {}
                rows.append(
                    {"vendor": fault.vendor, "kind": fault.kind, "remaining": fault.count, "value": fault.value, **only}
                )
        return rows


def _both(first: Fault, second: Fault) -> Fault:
    """The same fault asked for twice: as often as both together, with the value that was said last."""
    count = None if first.count is None or second.count is None else first.count + second.count
    return replace(second, count=count)


def parse(text: str) -> Iterator[Fault]:
    """The faults a text asks for; a text that cannot be meant is refused, not half obeyed."""
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        vendor, equals, rest = part.partition("=")
        rest, _, value = rest.partition("@")
        rest, tilde, words = rest.partition("~")
        kind, _, count = rest.partition(":")
        fault = checked(vendor.strip(), kind.strip(), count.strip(), value.strip(), said=part if equals else "")
        if tilde and not (words.strip() and fault.kind in (*ENDINGS, *DEFECTS)):
            raise ArgumentError(
                f"{part!r} says for which orders, and that is no such fault",
                why=f"words of a prompt pick the orders for {', '.join((*ENDINGS, *DEFECTS))}",
                next_step="Write it as vendor=kind~words",
            )
        yield replace(fault, words=words.strip())


def checked(vendor: str, kind: str, count: str, value: str, *, said: str) -> Fault:
    """The fault, if there is such a vendor, kind and count."""
    known = catalog.load().rehearsable
    if vendor not in (*known, "*") or kind not in KINDS or not said:
        raise ArgumentError(
            f"{said or vendor!r} is no fault the sandbox can play",
            why=f"vendors: {', '.join(known)} or *; kinds: {', '.join(KINDS)}",
            next_step="Write it as vendor=kind, vendor=kind:2 or vendor=kind:always",
        )
    if count not in ("", "always") and not (count.isdecimal() and int(count) > 0):
        raise ArgumentError(f"{said!r} does not say how often", next_step="Use a number such as 2, or `always`")
    return Fault(vendor=vendor, kind=kind, count=None if count == "always" else int(count or 1), value=value)


def seconds(value: str, default: float) -> float:
    """The value as seconds, never less than none; what is no number is the default."""
    try:
        return max(0.0, float(value))
    except ValueError:
        return default


def http_status(value: str, default: int) -> int:
    """The value as an HTTP status."""
    return int(value) if value.isdecimal() and 400 <= int(value) <= 599 else default
