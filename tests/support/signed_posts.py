"""How each vendor that signs its posts would sign one, written from its documents and not from the code under test."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import standardwebhooks
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

NOW = 1_795_000_000.0
STAMP = "1795000000"
SECRET = base64.b64encode(b"a secret of thirty-two bytes !!!").decode()
OTHER = base64.b64encode(b"another one").decode()
FAL_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
FAL_OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))


def public(key: Ed25519PrivateKey) -> str:
    return base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).rstrip(b"=").decode()


def by_runapi(body: bytes, stamp: str = STAMP, post: str = "p_1", secret: str = SECRET) -> dict[str, str]:
    """Headers as the rule in words makes them, without the code under test."""
    mac = hmac.new(base64.b64decode(secret), f"{post}.{stamp}.".encode() + body, hashlib.sha256)
    return {
        "X-Callback-Id": post,
        "X-Callback-Timestamp": stamp,
        "X-Callback-Signature": base64.b64encode(mac.digest()).decode(),
    }


def by_the_standard(body: bytes, stamp: str = STAMP, post: str = "p_1", secret: str = SECRET) -> dict[str, str]:
    """As the specification's own library signs."""
    when = datetime.fromtimestamp(int(stamp), UTC)
    signature = standardwebhooks.Webhook(f"whsec_{secret}").sign(post, when, body.decode())
    return {"webhook-id": post, "webhook-timestamp": stamp, "webhook-signature": f"v1a,AAAA {signature}"}


def by_fal(body: bytes, stamp: str = STAMP, post: str = "r-1", secret: Ed25519PrivateKey = FAL_KEY) -> dict[str, str]:
    lines = "\n".join((post, "user-1", stamp, hashlib.sha256(body).hexdigest())).encode()
    return {
        "X-Fal-Webhook-Request-Id": post,
        "X-Fal-Webhook-User-Id": "user-1",
        "X-Fal-Webhook-Timestamp": stamp,
        "X-Fal-Webhook-Signature": secret.sign(lines).hex(),
    }


@dataclass(frozen=True)
class Vendor:
    """How one vendor posts that a clip is done."""

    sign: Any
    keys: tuple[str, ...]
    foreign: Any
    done: Mapping[str, Any]
    failed: Mapping[str, Any]
    job: str
    charged: Decimal | None = None

    @property
    def body(self) -> bytes:
        return json.dumps(self.done).encode()


CLIP = "https://clips.example/a.mp4"
KLING = {"id": "926", "external_id": "kv-1", "message": "", "create_time": 1, "update_time": 2}
VENDORS = {
    "runapi": Vendor(
        by_runapi,
        (SECRET,),
        OTHER,
        {"id": "7c3d", "status": "completed", "usage": {"cost": 0.7}, "videos": [{"url": CLIP}]},
        {"id": "7c3d", "status": "failed", "error": "the words"},
        "7c3d",
        Decimal("0.7"),
    ),
    "klingai": Vendor(
        by_the_standard,
        (f"whsec_{OTHER}", f"kl_{SECRET}"),
        base64.b64encode(b"a third").decode(),
        KLING
        | {
            "status": "succeeded",
            "outputs": [{"type": "video", "id": "v", "url": CLIP, "duration": "5.041"}],
            "billing": [{"charge_type": "cash", "amount": "0.42", "currency": "USD"}],
        },
        KLING | {"status": "failed", "message": "the words", "outputs": [], "billing": []},
        "926",
        Decimal("0.42"),
    ),
    "replicate": Vendor(
        by_the_standard,
        (f"whsec_{SECRET}",),
        OTHER,
        {"id": "abc", "status": "succeeded", "output": CLIP, "error": None},
        {"id": "abc", "status": "failed", "output": None, "error": "the words"},
        "abc",
    ),
    "fal": Vendor(
        by_fal,
        (public(FAL_OTHER), public(FAL_KEY)),
        Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))),
        {"request_id": "r-9", "gateway_request_id": "r-1", "status": "OK", "payload": {"video": {"url": CLIP}}},
        {"request_id": "r-9", "status": "ERROR", "error": "422", "payload": {"detail": "the words"}},
        "r-9",
    ),
}
