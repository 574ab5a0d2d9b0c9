"""Signed posts of every vendor that signs them: read when genuine and fresh, refused in one way when not."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest
import replicate
from replicate.webhook import WebhookSigningSecret
from support.signed_posts import CLIP, FAL_KEY, NOW, STAMP, VENDORS, by_fal, public

from mcp_server import catalog
from mcp_server.errors import ArgumentError, ProviderError
from mcp_server.providers import callback_reader
from mcp_server.providers.base import HttpReply
from mcp_server.providers.callbacks import Callback, ForgedCallbackError

PROVIDERS = catalog.load().providers
EACH = pytest.mark.parametrize("vendor", VENDORS)


def read(vendor: str, headers: Mapping[str, str], body: bytes, *, now: float = NOW, keys: Any = None) -> Callback:
    posts = callback_reader(PROVIDERS[vendor])
    return posts.read(headers, body, keys=VENDORS[vendor].keys if keys is None else keys, now=now)


def test_every_vendor_that_signs_its_posts_is_read_here() -> None:
    assert {name for name, facts in PROVIDERS.items() if facts.callbacks} == set(VENDORS)


@EACH
def test_a_genuine_post_is_a_report(vendor: str) -> None:
    known = VENDORS[vendor]
    found = read(vendor, {name.lower(): text for name, text in known.sign(known.body).items()}, known.body)

    assert found.job_id == known.job and found.id
    assert (found.report.state, found.report.charged) == ("succeeded", known.charged)
    assert found.report.video_urls == (CLIP,)


@EACH
def test_a_failure_says_why(vendor: str) -> None:
    body = json.dumps(VENDORS[vendor].failed).encode()
    report = read(vendor, VENDORS[vendor].sign(body), body).report

    assert report.state == "failed" and report.failure is not None
    assert report.failure.words == "the words"


@EACH
def test_the_same_post_is_known_again_by_its_id(vendor: str) -> None:
    known = VENDORS[vendor]
    first, second = (read(vendor, known.sign(known.body, stamp), known.body) for stamp in (STAMP, "1795000009"))

    assert first.id == second.id


@EACH
def test_a_changed_or_missing_header_is_a_forgery(vendor: str) -> None:
    known = VENDORS[vendor]
    headers = known.sign(known.body)
    for name in headers:
        for text in ("", "1", "é" * 44, base64.b64encode(bytes(32)).decode(), "00" * 64, "v1,", "\udcff"):
            with pytest.raises(ForgedCallbackError):
                read(vendor, headers | {name: text}, known.body)


@EACH
def test_a_changed_body_and_a_foreign_key_are_forgeries(vendor: str) -> None:
    known = VENDORS[vendor]
    for headers, body, keys in (
        (known.sign(known.body), known.body + b" ", None),
        (known.sign(known.body, secret=known.foreign), known.body, None),
        (known.sign(known.body), known.body, ()),
        ({}, known.body, None),
    ):
        with pytest.raises(ForgedCallbackError):
            read(vendor, headers, body, keys=keys)


@EACH
def test_five_minutes_either_way_are_fresh_and_no_more(vendor: str) -> None:
    known = VENDORS[vendor]
    headers = known.sign(known.body)
    for shift in (-300, 0, 300):
        assert read(vendor, headers, known.body, now=NOW + shift).job_id == known.job
    for shift in (-301, 301, 86_400):
        with pytest.raises(ForgedCallbackError, match="older than 300 seconds"):
            read(vendor, headers, known.body, now=NOW + shift)


@pytest.mark.parametrize("vendor", ["runapi", "fal"])
@pytest.mark.parametrize("stamp", ["yesterday", "2026-11-21T10:00:00Z", "NaN", "Infinity", "1e400"])
def test_a_signed_time_that_is_none_is_refused(vendor: str, stamp: str) -> None:
    known = VENDORS[vendor]
    with pytest.raises(ForgedCallbackError):
        read(vendor, known.sign(known.body, stamp), known.body)


@EACH
def test_a_signed_post_that_says_nothing_is_an_error_and_no_crash(vendor: str) -> None:
    for body in (b"", b"[]", b"{}", b'{"status":"completed"}', b"[" * 100_000):
        with pytest.raises(ForgedCallbackError, match="names no task"):
            read(vendor, VENDORS[vendor].sign(body), body)


@pytest.mark.parametrize("vendor", ["runapi", "fal"])
def test_a_signed_body_that_is_no_text_is_an_error_and_no_crash(vendor: str) -> None:
    with pytest.raises(ForgedCallbackError, match="names no task"):
        read(vendor, VENDORS[vendor].sign(b"\xff\xfe"), b"\xff\xfe")


@EACH
def test_a_word_nobody_knows_is_no_end(vendor: str) -> None:
    body = json.dumps({**VENDORS[vendor].failed, "status": "PONDERING"}).encode()

    assert read(vendor, VENDORS[vendor].sign(body), body).report.state == "unknown"


@pytest.mark.parametrize("vendor", ["runapi", "klingai", "replicate"])
@pytest.mark.parametrize("secret", ["", "   ", "not base64!", "a"])
def test_a_secret_that_is_none_is_the_users_mistake(vendor: str, secret: str) -> None:
    known = VENDORS[vendor]
    with pytest.raises(ArgumentError, match="not base64"):
        read(vendor, known.sign(known.body), known.body, keys=(secret,))


def test_runapis_signature_has_a_fixed_value() -> None:
    # Worked out with: printf 'cb_1.1795000000.{"id":"t","status":"failed","error":"no"}' |
    #   openssl dgst -sha256 -hmac key -binary | base64
    body = b'{"id":"t","status":"failed","error":"no"}'
    headers = {"x-callback-id": "cb_1", "x-callback-timestamp": STAMP, "x-callback-signature": FIXED}

    assert read("runapi", headers, body, keys=(base64.b64encode(b"key").decode(),)).job_id == "t"


FIXED = "PIgqMbPWR7P3ehiPzIOKoVZedURErgG+4bOhITXjWjY="


def test_svixs_documented_example_is_genuine() -> None:
    # docs.svix.com, "Verifying webhooks manually": its secret, id, time, body and signature.
    body = b'{"event_type":"ping","data":{"success":true}}'
    headers = {
        "webhook-id": "msg_loFOjxBNrRLzqYUf",
        "webhook-timestamp": "1731705121",
        "webhook-signature": "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
    }
    secret = ("whsec_plJ3nmyCDGBKInavdOK15jsl",)
    with pytest.raises(ForgedCallbackError, match="names no task"):
        read("replicate", headers, body, keys=secret, now=1_731_705_121)
    with pytest.raises(ForgedCallbackError, match="signature is wrong"):
        read("replicate", headers, body + b" ", keys=secret, now=1_731_705_121)


def test_what_is_genuine_here_is_genuine_for_replicates_own_client() -> None:
    known = VENDORS["replicate"]
    headers = known.sign(known.body)
    theirs = {**headers, "webhook-signature": headers["webhook-signature"].split()[1]}

    replicate.webhooks.validate(
        headers=theirs, body=known.body.decode(), secret=WebhookSigningSecret(key=known.keys[0])
    )
    assert read("replicate", theirs, known.body).job_id == "abc"


def test_keys_are_asked_for_where_the_vendor_gives_them_out() -> None:
    asked = {name: callback_reader(PROVIDERS[name]).keys_call() for name in VENDORS}

    assert {name: call and (call.method, call.host, call.path, call.public) for name, call in asked.items()} == {
        "runapi": None,
        "klingai": None,
        "replicate": ("GET", "api", "/v1/webhooks/default/secret", False),
        "fal": ("GET", "rest", "/.well-known/jwks.json", True),
    }


def test_keys_are_read_from_the_answers() -> None:
    jwks = {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": public(FAL_KEY)}, {"kty": "RSA", "n": "x"}, None]}
    fal, own = (callback_reader(PROVIDERS[name]) for name in ("fal", "replicate"))

    assert fal.read_keys(HttpReply(status=200, body=jwks)) == (public(FAL_KEY),)
    assert own.read_keys(HttpReply(status=200, body={"key": "whsec_x"})) == ("whsec_x",)
    for posts, reply in (
        (fal, HttpReply(status=200, body={"keys": []})),
        (fal, HttpReply(status=503, body=None)),
        (own, HttpReply(status=200, body={})),
        (own, HttpReply(status=401, body={"detail": "no"})),
        (callback_reader(PROVIDERS["runapi"]), HttpReply(status=200, body={})),
        (callback_reader(PROVIDERS["klingai"]), HttpReply(status=200, body={})),
    ):
        with pytest.raises(ProviderError):
            posts.read_keys(reply)


def test_fals_post_without_its_output_makes_the_clip_be_fetched() -> None:
    body = json.dumps({"request_id": "r-9", "status": "OK", "payload": None, "payload_error": "too long"}).encode()
    report = read("fal", by_fal(body), body).report

    assert (report.state, report.video_urls, report.needs_result) == ("succeeded", (), True)
