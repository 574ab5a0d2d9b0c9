"""RunAPI at the sandbox: its idempotency keys, bills, price lists, uploads and continued clips."""

from __future__ import annotations

import base64
import hashlib
from decimal import Decimal
from uuid import UUID

import pytest
from support.sandboxes import BY_VENDOR, bench, bought, look, order, problems


async def test_runapi_knows_an_idempotency_key_again() -> None:
    protocol = BY_VENDOR["runapi"]
    async with bench() as b:
        first = await order(b, protocol, headers={"Idempotency-Key": "k1"})
        again = await order(b, protocol, headers={"Idempotency-Key": "k1"})
        other = await order(b, protocol, prompt="another", headers={"Idempotency-Key": "k1"})
        fresh = await order(b, protocol, headers={"Idempotency-Key": "k2"})
        stranger = await order(b, protocol, headers={"Idempotency-Key": "k1", "Authorization": "Bearer sandbox-2"})

        assert again.json() == first.json()
        assert (other.status_code, other.json()["error"]["code"]) == (409, "request_conflict")
        assert len({reply.json()["id"] for reply in (first, fresh, stranger)}) == 3
        assert (await b.journal())["accepted"] == {"runapi": 3}
        assert UUID(first.json()["id"]) and first.json()["task_id"] == first.json()["id"]


async def test_runapi_labels_its_answers() -> None:
    async with bench() as b:
        reply = await order(b, BY_VENDOR["runapi"], headers={"X-Client-Request-Id": "mine"})

        assert reply.headers["x-client-request-id"] == "mine"
        assert reply.headers["x-runapi-task-id"] == reply.json()["id"]
        assert reply.headers["x-request-id"]


async def test_runapi_takes_kling_3_with_a_picture_under_text_to_video_only() -> None:
    picture = {"first_frame_image_url": "https://example.com/a.png"}
    body = {"model": "kling-3.0", "prompt": "x", **picture}
    async with bench() as b:
        there = await b.client.post(f"{b.host}/runapi/api/v1/kling/image_to_video", json=body)
        here = await b.client.post(f"{b.host}/runapi/api/v1/kling/text_to_video", json=body)

        assert (there.status_code, here.status_code) == (422, 200)


async def test_runapi_status_knows_where_a_job_was_ordered() -> None:
    async with bench() as b:
        job = await bought(b, BY_VENDOR["runapi"])
        api = f"{b.host}/runapi/api/v1/kling"

        assert (await b.client.get(f"{api}/{job}")).json()["id"] == job
        assert (await b.client.get(f"{api}/motion_control/{job}")).status_code == 404
        malformed = await b.client.get(f"{api}/text_to_video/tsk_abc123")
        assert (malformed.status_code, malformed.json()["error"]["code"]) == (400, "invalid_resource_id")


async def test_runapi_extends_only_a_finished_clip_of_the_line_that_can_go_on() -> None:
    turbo = {
        "model": "kling-v2.5-turbo-text-to-video-pro",
        "prompt": "x",
        "duration_seconds": 5,
        "aspect_ratio": "16:9",
    }
    async with bench() as b:
        api = f"{b.host}/runapi/api/v1/kling"

        async def extend(source: str) -> tuple[int, str]:
            reply = await b.client.post(f"{api}/extend_video", json={"source_task_id": source, "mode": "std"})
            found = reply.json()
            return reply.status_code, found["error"]["code"] if "error" in found else found["status"]

        source = (await b.client.post(f"{api}/text_to_video", json=turbo)).json()["id"]
        other = await bought(b, BY_VENDOR["runapi"])

        assert await extend(source) == (409, "source_task_not_ready")
        b.finish()
        assert await extend(source) == (200, "pending")
        assert await extend(other) == (422, "continuation_not_supported")
        assert await extend("00000000-0000-4000-8000-000000000000") == (422, "source_task_unusable")


async def test_runapi_reserves_bills_and_rolls_back() -> None:
    protocol = BY_VENDOR["runapi"]
    async with bench() as b:

        async def left() -> int:
            reply = (await b.client.get(f"{b.host}/runapi/api/v1/me/balance")).json()
            assert problems("runapi", "balance_response", reply) == []
            assert reply["spent_cents_total"] + reply["balance_cents"] == 100_000_000
            return reply["balance_cents"]

        before = await left()
        good = await bought(b, protocol)  # 3 s × 20 ¢ (720p with sound)
        assert before - await left() == 60
        await b.fault("runapi=failed")
        bad = await bought(b, protocol)
        assert before - await left() == 120
        b.finish()

        assert before - await left() == 60
        assert (await look(b, protocol, good)).json()["usage"] == {"cost": 0.6}
        failed = (await look(b, protocol, bad)).json()
        assert failed["status"] == "failed" and "usage" not in failed and failed["error"]


async def test_runapi_quotes_and_lists_its_prices() -> None:
    async with bench() as b:
        params = {"prompt": "x", "duration_seconds": 10, "output_resolution": "1080p", "enable_sound": True}
        asked = {"service": "kling", "action": "text_to_video", "model": "kling-3.0", "params": params}
        quote = await b.stranger.post(f"{b.host}/runapi/api/v1/price_quotes", json=asked)
        listed = await b.stranger.get(f"{b.host}/runapi/api/v1/price_schedules", params={"model": "kling-3.0"})
        etag = {"If-None-Match": listed.headers["etag"]}
        again = await b.stranger.get(listed.request.url, headers=etag)

        assert problems("runapi", "price_quote_response", quote.json()) == []
        assert quote.json()["price_quote"]["reservation_amount_cents"] == 270
        assert problems("runapi", "price_schedules_response", listed.json()) == []
        rows = {row["action"]: row for row in listed.json()["price_schedules"]}
        assert rows["text_to_video"]["billing_config"]["keys"] == ["enable_sound", "output_resolution"]
        assert rows["text_to_video"]["billing_config"]["matrix"]["true"] == {"720p": 20, "1080p": 27, "4k": 67}
        assert again.status_code == 304


async def test_runapi_takes_a_file_in_three_steps() -> None:
    data = b"\x89PNG not really"
    checksum = base64.b64encode(hashlib.md5(data).digest()).decode()
    async with bench() as b:
        files = f"{b.host}/runapi/api/v1/files"
        asked = {"filename": "boat 1.png", "byte_size": len(data), "checksum": checksum}
        prepared = (await b.client.post(f"{files}/prepare", json=asked)).json()
        assert problems("runapi", "file_prepare_response", prepared) == []
        early = await b.client.post(f"{files}/confirm", json={"signed_id": prepared["signed_id"]})
        wrong = await b.stranger.put(prepared["upload_url"], content=b"other")
        with_key = await b.client.put(prepared["upload_url"], content=data, headers=prepared["headers"])
        put = await b.stranger.put(prepared["upload_url"], content=data, headers=prepared["headers"])
        twice = await b.stranger.put(prepared["upload_url"], content=data, headers=prepared["headers"])
        done = await b.client.post(f"{files}/confirm", json={"signed_id": prepared["signed_id"]})

        statuses = [reply.status_code for reply in (early, wrong, with_key, put, twice, done)]
        assert statuses == [422, 422, 400, 204, 422, 201]
        assert problems("runapi", "file_confirm_response", done.json()) == []
        assert (await b.stranger.get(done.json()["url"])).content == data


async def test_an_account_can_run_dry_and_a_failed_job_fills_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_server.sandbox.sandbox.OPENING", Decimal(1))
    protocol = BY_VENDOR["runapi"]
    async with bench() as b:
        await b.fault("runapi=failed")
        replies = [await order(b, protocol) for _ in range(3)]  # 60 ¢ each
        b.finish()
        replies.append(await order(b, protocol))

        assert [reply.status_code for reply in replies] == [200, 200, 402, 200]
