"""Vendors' signed posts: whether one is genuine and fresh, and what it says. Who receives them is not known here.

A post is never the truth about a task: it makes a look due. Only the standard library is needed for the secrets that
are shared; for fal's public keys `cryptography` is imported when such a post comes (mcp brings it).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from json import loads
from typing import Any, Final, Protocol

from mcp_server.domain.catalog import Provider
from mcp_server.domain.task import JobReport
from mcp_server.errors import ArgumentError, KlingError
from mcp_server.providers import callback_reader
from mcp_server.providers.base import HttpCall, HttpReply
from mcp_server.providers.reading import mapping, number
from mcp_server.settings import Secret, Settings

WINDOW_S: Final = 300
"""How old, or how far ahead, a post may be: RunAPI, Kling and fal all say five minutes."""


class ForgedCallbackError(KlingError):
    """A post that claims to be the vendor's and cannot prove it."""

    code = "forged_callback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """A genuine post about one task."""

    id: str
    """Of the post, not of the task: the same post may come twice, so a receiver remembers these. One that is not
    signed brings none that could be believed: its state stands for it."""
    job_id: str
    report: JobReport


class Callbacks(Protocol):
    """How one vendor's posts prove themselves. As pure as `Wire`."""

    facts: Provider

    def asked(self, order: HttpCall, address: str) -> HttpCall | None:
        """The paid call with the wish that its end be posted there; None where the caller's own address is in it."""
        ...

    def keys_call(self) -> HttpCall | None:
        """The question whose answer the posts are held against; None where the user has a secret from the console."""
        ...

    def read_keys(self, reply: HttpReply) -> tuple[str, ...]:
        """The keys in that answer; any of them may have signed."""
        ...

    def read(self, headers: Mapping[str, str], body: bytes, *, keys: Sequence[str], now: float) -> Callback:
        """What a post says, after it has proved that the vendor wrote it lately. `body` is untouched bytes."""
        ...

    def unsigned(self, body: bytes) -> Callback:
        """What a post says where nothing signs it: whoever sent it has to have known its address."""
        ...


def secret_of(facts: Provider, settings: Settings) -> Secret | None:
    """What the user says the vendor signs with."""
    return settings.secret(facts.callback_secret) if facts.callback_secret else None


def provable(facts: Provider, settings: Settings) -> bool:
    """Whether this process can tell the vendor's posts from a stranger's.

    Where the vendor has keys to ask for they have to be there; where it signs with what its console shows, or not at
    all, the post's address is proof enough as long as no secret is set: nobody can guess it.
    """
    call = callback_reader(facts).keys_call()
    unasked = call is None or call.public or secret_of(facts, settings) is not None
    return unasked or settings.secret(facts.key_variable, facts.token_file) is not None


def in_body(order: HttpCall, name: str, address: str, **besides: Any) -> HttpCall | None:
    """The call with the address as a field of its body; None where there is one already."""
    body = mapping(order.json)
    return None if name in body else replace(order, json={**body, name: address, **besides})


def lower(headers: Mapping[str, str]) -> Mapping[str, str]:
    """The headers under names in lower case."""
    return {name.lower(): value for name, value in headers.items()}


def said(headers: Mapping[str, str], *names: str) -> tuple[str, ...]:
    """These headers' values; a post that lacks one proves nothing."""
    found = tuple(headers.get(name, "").strip() for name in names)
    if not all(found):
        raise ForgedCallbackError("A callback came without its id, time or signature")
    return found


def check_shared_secret(signed: bytes, signatures: Iterable[str], keys: Sequence[bytes]) -> None:
    """Nothing, or the refusal: one of the signatures is the base64 of this text's HMAC-SHA256 under one of the keys."""
    given = [signature.encode("utf-8", "surrogateescape") for signature in signatures]
    wanted = [base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()) for key in keys]
    # All are compared, whichever fits: the time it takes says nothing.
    fits = [hmac.compare_digest(ours, theirs) for ours in wanted for theirs in given]
    if not any(fits):
        raise _wrong()


def check_public_key(signed: bytes, signature: bytes, keys: Sequence[str]) -> None:
    """Nothing, or the refusal: it is the text's Ed25519 signature under one of the keys (base64url, as in a JWK)."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    for key in keys:
        try:
            public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key + "=" * (-len(key) % 4)))
            public.verify(signature, signed)
        except (InvalidSignature, binascii.Error, ValueError):
            continue
        return
    raise _wrong()


def check_fresh(stamp: str, now: float) -> None:
    """Nothing, or the refusal of a post of another time. After the signature: an unsigned time says nothing."""
    sent = number(stamp)
    if sent is None or abs(sent - Decimal(now)) > WINDOW_S:
        raise ForgedCallbackError(
            f"A callback is older than {WINDOW_S} seconds, or from the future",
            next_step="Check this machine's clock",
        )


def secret_key(secret: str) -> bytes:
    """The bytes of a secret as consoles show it: base64, with or without the padding at its end."""
    bare = secret.strip().rstrip("=")
    try:
        key = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise ArgumentError("The callback secret is not base64", next_step="Copy it whole from the vendor's console")
    return key


def standard(headers: Mapping[str, str], body: bytes, *, keys: Sequence[str], now: float) -> str:
    """The id of a genuine post after the Standard Webhooks specification, as Kling and Replicate send them.

    Signed is `id.timestamp.body`; several signatures, `v1,…`, stand beside each other while a secret is replaced. The
    specification's own library is not called: it reads the machine's clock by itself, and a body that is no UTF-8 or a
    signature without a comma ends it with an error of another kind. The tests hold this against it.
    """
    post, stamp, signatures = said(lower(headers), "webhook-id", "webhook-timestamp", "webhook-signature")
    signed = b".".join((post.encode("utf-8", "surrogateescape"), stamp.encode("utf-8", "surrogateescape"), body))
    given = [text for version, _, text in (one.partition(",") for one in signatures.split()) if version == "v1"]
    # The key is the base64 part after the prefix, whatever that is: `whsec_…`.
    check_shared_secret(signed, given, [secret_key(key.strip().rpartition("_")[2]) for key in keys])
    check_fresh(stamp, now)
    return post


def posted(body: bytes) -> tuple[Mapping[str, Any], HttpReply]:
    """A genuine body as the adapter reads answers."""
    try:
        task = mapping(loads(body, parse_float=Decimal))
    except (ValueError, RecursionError):
        task = mapping(None)
    return task, HttpReply(status=200, body=task, text=body.decode("utf-8", "replace")[:4000])


def nameless() -> ForgedCallbackError:
    """The error for a signed post that is about no task."""
    return ForgedCallbackError("A genuine callback names no task")


def _wrong() -> ForgedCallbackError:
    return ForgedCallbackError("A callback's signature is wrong", next_step="Check the callback secret")
