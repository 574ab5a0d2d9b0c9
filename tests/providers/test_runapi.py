"""RunAPI: what cases cannot say one by one."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from runapi.core import FilesClient, Pricing

from mcp_server import catalog, places
from mcp_server.domain.catalog import Offer
from mcp_server.domain.request import CheckedRequest, Misfit, Shot, VideoRequest
from mcp_server.errors import ProviderError
from mcp_server.ordering import validation
from mcp_server.providers import uploads, wire
from mcp_server.providers.base import HttpCall, HttpReply
from mcp_server.providers.runapi import pricing_calls

FACTS = catalog.load().providers["runapi"]
OFFERS = [offer for offer in catalog.load().offers if offer.provider == "runapi"]
PICTURE, CLIP, VOICE = (f"https://example.com/a.{suffix}" for suffix in ("png", "mp4", "mp3"))
MARKED = "<<<image_1>>> and <<<image_2>>> as in <<<video_1>>>"


def problems(stem: str, body: Any) -> list[str]:
    schema = json.loads((places.schemas() / "runapi" / f"{stem}.json").read_text(encoding="utf-8"))
    plain = json.loads(json.dumps(body, default=float))
    return [error.message for error in Draft202012Validator(schema).iter_errors(plain)]


def answer(body: Any, status: int = 200) -> HttpReply:
    return HttpReply(status=status, body=body, text=json.dumps(body, default=str))


def order(offer: str, **request: Any) -> HttpCall:
    checked = validation.check(VideoRequest(**request), catalog.load().offer(f"runapi/{offer}"))
    assert isinstance(checked, CheckedRequest), checked
    return wire(FACTS).submit(checked, key="k")


# --- orders ---------------------------------------------------------------------------------------------------------

wishes = st.fixed_dictionaries(
    {},
    optional={
        "prompt": st.sampled_from(["x", MARKED, "<<<image_1>>>", "y" * 2500]),
        "negative_prompt": st.just("blur"),
        "image": st.just(PICTURE),
        "end_image": st.just(PICTURE),
        "references": st.integers(0, 8).map(lambda count: (PICTURE,) * count),
        "video": st.just(CLIP),
        "audio_file": st.just(VOICE),
        "source_task": st.just("7c3d7a0e-54a6-4f2e-9e1a-6f6f0f1d2b3c"),
        "shots": st.lists(st.just(Shot(prompt="x")) | st.just(Shot(prompt="x", duration=3)), max_size=4).map(tuple),
        "cfg_scale": st.sampled_from([Decimal(0), Decimal("0.5"), Decimal(1)]),
        "duration": st.integers(2, 16),
        "aspect_ratio": st.sampled_from(["16:9", "9:16", "1:1", "auto", "4:3"]),
        "audio": st.booleans(),
    },
)


@settings(max_examples=600)
@given(offer=st.sampled_from(OFFERS), wish=wishes)
def test_whatever_an_offer_accepts_the_vendors_rules_accept_too(offer: Offer, wish: dict[str, Any]) -> None:
    needed: dict[str, Any] = {"prompt": "x", "image": PICTURE, "video": CLIP, "audio_file": VOICE, "source_task": "t"}
    known = {
        name: value
        for name, value in wish.items()
        if name in offer.takes or name in ("duration", "audio", "aspect_ratio")
    }
    checked = validation.check(
        VideoRequest(**({name: needed[name] for name in offer.requires if name in needed} | known)), offer
    )
    if isinstance(checked, Misfit):
        return

    call = wire(FACTS).submit(checked, key="task_1")

    assert problems(call.schema, call.json) == []
    assert call.headers == {"Idempotency-Key": "task_1"}
    assert (call.paid, call.idempotency_key) == (True, "task_1")
    assert call.json.get("duration_seconds") == checked.duration
    assert call.json.get("enable_sound") is checked.audio
    assert call.json.get("output_resolution") == checked.resolution
    if checked.request.shots:
        assert sum(shot["duration_seconds"] for shot in call.json["multi_prompt"]) == checked.duration


def test_the_orientation_the_caller_brings_is_not_said_twice() -> None:
    media = {"image": PICTURE, "video": CLIP}
    silent = order("kling-2.6/pro/motion-control", **media)
    said = order("kling-2.6/pro/motion-control", **media, options={"character_orientation": "image"})

    assert silent.json["character_orientation"] == "video"
    assert "character_orientation" not in said.json


def test_a_choice_made_for_the_caller_is_told() -> None:
    offer = catalog.load().offer("runapi/kling-2.6/pro/motion-control")
    silent = validation.check(VideoRequest(image=PICTURE, video=CLIP), offer)
    said = validation.check(VideoRequest(image=PICTURE, video=CLIP, options={"character_orientation": "image"}), offer)

    assert isinstance(silent, CheckedRequest)
    assert isinstance(said, CheckedRequest)
    assert "character_orientation image" in silent.warnings[0]
    assert said.warnings == ()


def test_what_the_prompt_does_not_name_is_named_at_its_end_and_told() -> None:
    offer = catalog.load().offer("runapi/kling-o1/pro/reference-to-video")
    named = validation.check(VideoRequest(prompt=MARKED, references=(PICTURE,) * 2, video=CLIP), offer)
    unnamed = validation.check(VideoRequest(prompt="a walk", references=(PICTURE,) * 2, video=CLIP), offer)

    assert isinstance(named, CheckedRequest)
    assert isinstance(unnamed, CheckedRequest)
    assert (named.prompt, named.warnings) == (MARKED, ())
    assert unnamed.prompt == "a walk <<<image_1>>> <<<image_2>>> <<<video_1>>>"
    assert "<<<image_1>>> <<<image_2>>> <<<video_1>>>" in unnamed.warnings[0]


@pytest.mark.parametrize("stray", ["<<<image_2>>>", "<<<image_0>>>", "<<<image_x>>>", "<<<video_1>>>"])
def test_a_name_for_nothing_is_refused(stray: str) -> None:
    offer = catalog.load().offer("runapi/kling-o1/pro/reference-to-video")

    outcome = validation.check(VideoRequest(prompt=f"<<<image_1>>> {stray}", references=(PICTURE,)), offer)

    assert isinstance(outcome, Misfit)
    assert outcome.problems == (f"the prompt says {stray}, but no such picture or clip goes in",)


def test_the_names_count_towards_the_length_of_the_prompt() -> None:
    offer = catalog.load().offer("runapi/kling-o1/pro/reference-to-video")

    outcome = validation.check(VideoRequest(prompt="x" * 2490, references=(PICTURE,)), offer)

    assert isinstance(outcome, Misfit)
    assert "takes 2500" in outcome.problems[0]


# --- local files ----------------------------------------------------------------------------------------------------


class Recorder:
    """The vendor's HTTP client, without HTTP."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.calls: list[Any] = []
        self.put: tuple[str, dict[str, str], bytes] | None = None

    def request(self, method: str, path: str, body: Any = None, options: Any = None) -> Any:
        self.calls.append((method.upper(), path, body))
        return self.answers.pop(0)

    def upload(self, url: str, headers: dict[str, str], body: bytes) -> None:
        self.put = (url, headers, body)


PREPARED = {
    "signed_id": "signed-blob-id",
    "upload_url": "https://storage.example.com/put?X-Amz-Signature=abc",
    "headers": {"Content-Type": "application/octet-stream", "Content-MD5": "tPPhYpc0jTcPRJ7zrFPCWA=="},
}
CONFIRMED = {"url": "https://files.runapi.ai/temp/input.png", "expires_at": "2026-06-08T11:30:00Z"}


def test_an_upload_is_what_the_vendors_own_client_sends(tmp_path: Path) -> None:
    file = tmp_path / "input.png"
    file.write_bytes(b"png")
    theirs = Recorder(
        PREPARED,
        CONFIRMED | {"file_name": "input.png", "size_bytes": 3, "mime_type": "image/png", "created_at": "x"},
    )
    FilesClient(http=theirs).create(file=file)

    steps = uploads(FACTS)
    prepare = steps.prepare("input.png", b"png")
    target = steps.read_prepared(answer(PREPARED))
    put = steps.put(target, b"png")
    confirm = steps.confirm(target)

    assert [(call.method, call.path, call.json) for call in (prepare, confirm)] == theirs.calls
    assert (put.path, dict(put.headers), put.content) == theirs.put
    assert problems(prepare.schema, prepare.json) == problems(confirm.schema, confirm.json) == []
    assert (put.method, put.bare, put.json, put.paid) == ("PUT", True, None, False)
    assert not prepare.bare
    assert steps.read_confirmed(answer(CONFIRMED)).url == "https://files.runapi.ai/temp/input.png"
    assert steps.read_confirmed(answer(CONFIRMED)).expires_at == "2026-06-08T11:30:00Z"
    assert "X-Amz-Signature" not in repr(target)


@pytest.mark.parametrize(
    "url", ["http://storage.example.com/put", "https://169.254.169.254/latest", "https://u:p@example.com/", "nonsense"]
)
def test_bytes_go_to_no_private_place(url: str) -> None:
    with pytest.raises(ProviderError) as caught:
        uploads(FACTS).read_prepared(answer(PREPARED | {"upload_url": url}))

    assert caught.value.fault == "unreadable"


def test_a_stand_in_on_this_machine_may_take_them() -> None:
    target = uploads(FACTS).read_prepared(answer(PREPARED | {"upload_url": "http://127.0.0.1:9/uploads/1"}))

    assert target.url == "http://127.0.0.1:9/uploads/1"


def test_a_stores_refusal_does_not_repeat_the_signed_address() -> None:
    steps = uploads(FACTS)
    steps.read_put(HttpReply(status=204, body=None))
    with pytest.raises(ProviderError) as caught:
        steps.read_put(HttpReply(status=403, body=None, text="<StringToSign>secret</StringToSign>"))

    assert caught.value.http_status == 403
    assert "secret" not in str(caught.value.as_dict())


def test_an_upload_that_is_refused_or_half_answered_is_an_error() -> None:
    steps = uploads(FACTS)
    for reading, body, status, fault in (
        (steps.read_prepared, {"error": {"message": "upload failed"}}, 422, "bad_input"),
        (steps.read_prepared, {"error": "Unauthorized"}, 401, "auth"),
        (steps.read_prepared, {"signed_id": "x"}, 200, "unreadable"),
        (steps.read_prepared, ["strange"], 200, "unreadable"),
        (steps.read_confirmed, {"file_name": "x"}, 200, "unreadable"),
        (steps.read_confirmed, {"error": "Payload too large"}, 413, "bad_input"),
    ):
        with pytest.raises(ProviderError) as caught:
            reading(answer(body, status))
        assert caught.value.fault == fault


# --- live prices ----------------------------------------------------------------------------------------------------


def schedule(**changes: Any) -> dict[str, Any]:
    row = {
        "service": "kling",
        "action": "text_to_video",
        "model": "kling-3.0",
        "pricing_status": "available",
        "catalog_status": "active",
        "currency": "USD",
        "unit_price_cents": 67,
        "billing_config": {
            "keys": ["enable_sound", "output_resolution"],
            "matrix": {
                "false": {"720p": 14, "1080p": 18, "4k": 67},
                "true": {"720p": 20, "1080p": 27, "4k": Decimal("119.5")},
            },
        },
    }
    return row | changes


def listed(*rows: Any) -> tuple[pricing_calls.Schedule, ...]:
    body = {"as_of": "2026-07-23T00:00:00.000000Z", "price_schedules": list(rows)}
    assert problems("price_schedules_response", body) == []
    return pricing_calls.read_schedules(FACTS, answer(body))


def test_the_list_is_asked_for_as_the_vendors_client_does_and_without_a_key() -> None:
    theirs = Recorder({"as_of": "x", "price_schedules": []})
    Pricing(theirs).list_schedules(service="kling", action="text_to_video", model="kling-3.0")
    ((_, path, _),) = theirs.calls

    call = pricing_calls.schedules_call(action="text_to_video", model="kling-3.0")

    assert f"{call.path}?" + "&".join(f"{name}={value}" for name, value in call.params.items()) == path
    assert call.public
    assert pricing_calls.schedules_call().params == {"service": "kling"}


def test_todays_rate_is_read_for_exactly_this_order() -> None:
    (row,) = listed(schedule())
    order_ = order("kling-3.0/pro/text-to-video", prompt="x", audio=True).json

    assert row.rate_usd(order_) == Decimal("0.27")
    assert row.rate_usd(order_ | {"enable_sound": False, "output_resolution": "720p"}) == Decimal("0.14")
    assert row.rate_usd(order_ | {"output_resolution": "4k"}) == Decimal("1.195")
    assert (row.as_of, row.unit) == ("2026-07-23T00:00:00.000000Z", "")


def test_a_combination_that_is_not_listed_has_no_rate() -> None:
    (row,) = listed(
        schedule(
            model="kling-v2.6",
            unit_price_cents=40,
            billing_config={"keys": ["mode", "enable_sound"], "matrix": {"std": {"false": 12}, "pro": {"true": 40}}},
        )
    )

    assert row.rate_usd({"mode": "std", "enable_sound": False}) == Decimal("0.12")
    assert row.rate_usd({"mode": "std", "enable_sound": True}) is None
    assert row.rate_usd({}) is None


def test_one_field_or_none_may_decide_the_rate() -> None:
    by_mode, flat, gone, none = listed(
        schedule(
            action="extend_video",
            billing_config={"key": "mode", "overrides": {"std": Decimal("4.2"), "pro": Decimal("8.4")}},
        ),
        schedule(action="ai_avatar", unit_price_cents=16, billing_config=None, billing_unit="per_second"),
        schedule(pricing_status="unavailable"),
        schedule(unit_price_cents=None, billing_config={"duration_source": {"kind": "response_body"}}),
    )

    assert by_mode.rate_usd({"mode": "pro"}) == Decimal("0.084")
    assert (flat.rate_usd({}), flat.unit) == (Decimal("0.16"), "per_second")
    assert gone.rate_usd({"enable_sound": False, "output_resolution": "720p"}) is None
    assert none.rate_usd({}) is None


def test_rows_about_others_and_other_currencies_are_left_alone() -> None:
    assert listed(schedule(service="suno"), schedule(currency="EUR")) == ()


def test_a_quote_is_asked_for_as_the_vendors_client_does() -> None:
    paid = order("kling-3.0/pro/image-to-video", prompt="x", image=PICTURE)
    theirs = Recorder(
        {
            "price_quote": {
                "service": "kling", "action": "a", "pricing_status": "available", "currency": "USD",
                "reservation_amount_cents": 90, "estimate_basis": "exact", "as_of": "x",
            }
        }
    )  # fmt: skip
    params = {name: value for name, value in paid.json.items() if name != "model"}
    Pricing(theirs).create_quote(service="kling", action="text_to_video", model="kling-3.0", params=params)

    call = pricing_calls.quote_call(paid)

    assert (call.method, call.path, call.json) == theirs.calls[0]
    assert (call.public, call.paid) == (True, False)
    assert problems(call.schema, call.json) == []
    assert paid.json["model"] == "kling-3.0"


def test_about_an_earlier_task_it_is_asked_with_the_key() -> None:
    call = pricing_calls.quote_call(order("kling-2.5-turbo/pro/extend", source_task="t"))

    assert call.json == {"service": "kling", "action": "extend_video", "params": {"mode": "pro", "source_task_id": "t"}}
    assert not call.public
    assert problems(call.schema, call.json) == []


def test_a_quote_is_dollars_or_nothing() -> None:
    quote = {
        "service": "kling", "action": "text_to_video", "pricing_status": "available", "currency": "USD",
        "reservation_amount_cents": Decimal("112.5"), "estimate_basis": "exact", "as_of": "2026-07-23T00:00:00Z",
    }  # fmt: skip

    def read(**changes: Any) -> pricing_calls.LiveQuote:
        return pricing_calls.read_quote(FACTS, answer({"price_quote": quote | changes}))

    assert read() == pricing_calls.LiveQuote(usd=Decimal("1.125"), basis="exact", as_of="2026-07-23T00:00:00Z")
    for changes in (
        {"pricing_status": "unavailable"},
        {"currency": "EUR"},
        {"reservation_amount_cents": None},
        {"reservation_amount_cents": -1},
    ):
        assert read(**changes).usd is None


def test_a_refused_or_strange_price_is_an_error() -> None:
    refused = {
        "error": {"code": "protected_pricing_context_not_found", "message": "Protected pricing context not found"}
    }
    for reading, body, status, fault in (
        (pricing_calls.read_quote, refused, 404, "not_found"),
        (pricing_calls.read_quote, {}, 200, "unreadable"),
        (pricing_calls.read_schedules, {"as_of": "x"}, 200, "unreadable"),
        (pricing_calls.read_schedules, {"error": "Too many requests"}, 429, "rate_limited"),
    ):
        with pytest.raises(ProviderError) as caught:
            reading(FACTS, answer(body, status))
        assert caught.value.fault == fault


NAMES = [
    "price_schedules", "price_quote", "service", "currency", "billing_config", "keys", "key", "matrix", "overrides",
    "unit_price_cents", "pricing_status", "reservation_amount_cents", "signed_id", "upload_url", "headers", "url", "id",
]  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers() | st.sampled_from(["kling", "USD", "available", "mode", "true"])
JSON = st.recursive(
    LEAVES, lambda part: st.lists(part, max_size=4) | st.dictionaries(st.sampled_from(NAMES), part, max_size=6)
)


@settings(max_examples=300)
@given(body=JSON, row=JSON, status=st.sampled_from([200, 201, 404, 422, 500]))
def test_no_json_breaks_a_reader(body: Any, row: Any, status: int) -> None:
    steps = uploads(FACTS)
    for found in (body, {"price_schedules": [row]}, {"price_quote": row}):
        reply = answer(found, status)
        for reading in (
            lambda reply: pricing_calls.read_schedules(FACTS, reply),
            lambda reply: pricing_calls.read_quote(FACTS, reply),
            steps.read_prepared,
            steps.read_confirmed,
            steps.read_put,
        ):
            try:
                result = reading(reply)
            except ProviderError:
                continue
            if isinstance(result, tuple):
                for one in result:
                    one.rate_usd({"mode": "true"})
