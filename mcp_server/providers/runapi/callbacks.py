"""RunAPI's signed posts to a `callback_url`: whether one is genuine and fresh, and what it says.

Signed is `id.timestamp.body`, by HMAC-SHA256 with the base64-decoded secret, written in base64 (earlier RunAPI kling
skill). The vendor wants a 2xx within 10 seconds and may post the same id again, so a receiver remembers ids.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from json import loads
from typing import Any, Final

from mcp_server.domain.catalog import Provider
from mcp_server.domain.task import Job, JobReport
from mcp_server.errors import ArgumentError, KlingError
from mcp_server.providers.base import HttpReply
from mcp_server.providers.reading import mapping, number, text
from mcp_server.providers.runapi.wire import Wire

WINDOW_S: Final = 300
"""How old, or how far ahead, a post may be."""


class ForgedCallbackError(KlingError):
    """A post that claims to be the vendor's and cannot prove it."""

    code = "forged_callback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """A genuine post: one task has ended."""

    id: str
    """Of the post, not of the task: the same post may come twice."""
    job_id: str
    report: JobReport


def read(facts: Provider, headers: Mapping[str, str], body: bytes, *, secret: str, now: float) -> Callback:
    """What a post says, after it has proved that the vendor wrote it lately. `body` is untouched bytes."""
    names = {name.lower(): value for name, value in headers.items()}
    post, stamp = names.get("x-callback-id", ""), names.get("x-callback-timestamp", "")
    _verify(post, stamp, names.get("x-callback-signature", ""), body, secret=secret, now=now)
    task = _json(body)
    job_id = text(task.get("id"))
    if not job_id:
        raise ForgedCallbackError("A genuine callback names no task")
    reply = HttpReply(status=200, body=task, text=body.decode("utf-8", "replace")[:4000])
    return Callback(id=post, job_id=job_id, report=Wire(facts).read_status(Job(id=job_id), reply))


def signature(post: str, stamp: str, body: bytes, *, secret: str) -> str:
    """What the vendor writes into X-Callback-Signature."""
    signed = b".".join((post.encode(), stamp.encode(), body))
    return base64.b64encode(hmac.new(_key(secret), signed, hashlib.sha256).digest()).decode("ascii")


def _verify(post: str, stamp: str, signed: str, body: bytes, *, secret: str, now: float) -> None:
    if not (post and stamp and signed):
        raise ForgedCallbackError("A callback came without its id, time or signature")
    # The signature first: the time of a post that nobody signed says nothing.
    wanted = signature(post, stamp, body, secret=secret)
    if not hmac.compare_digest(wanted.encode(), signed.strip().encode("utf-8", "surrogateescape")):
        raise ForgedCallbackError("A callback's signature is wrong", next_step="Check the callback secret")
    sent = number(stamp)
    if sent is None or abs(sent - Decimal(now)) > WINDOW_S:
        raise ForgedCallbackError(
            f"A callback is older than {WINDOW_S} seconds, or from the future",
            next_step="Check this machine's clock",
        )


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise ArgumentError("The callback secret is not base64", next_step="Copy it whole from the vendor's console")
    return key


def _json(body: bytes) -> Mapping[str, Any]:
    try:
        return mapping(loads(body, parse_float=Decimal))
    except (ValueError, RecursionError):
        return {}
