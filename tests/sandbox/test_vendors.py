"""Each vendor's protocol as the sandbox plays it: order, status, clip, and every refusal in that vendor's words."""

from __future__ import annotations

import pytest
from support import recorded_vendors
from support.sandboxes import BY_VENDOR, PROTOCOLS, Protocol, bench, bought, link, look, order, problems

EACH = pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.vendor)


@EACH
async def test_an_order_waits_runs_and_ends_in_the_vendors_own_words(protocol: Protocol) -> None:
    async with bench() as b:
        reply = await order(b, protocol)
        assert reply.status_code == 200, reply.text
        assert problems(protocol.vendor, protocol.schemas[0], reply.json()) == []
        job = protocol.at(reply.json(), protocol.job)

        seen = []
        for step in (0, 20, 1_000):
            b.clock.now += step
            status = await look(b, protocol, job)
            assert status.status_code == 200
            assert problems(protocol.vendor, protocol.schemas[1], status.json()) == []
            seen.append(protocol.at(status.json(), protocol.word))

        assert tuple(seen) == protocol.words
        assert (await link(b, protocol, job)).startswith(f"{b.host}/{protocol.vendor}/files/{job}/")


@EACH
async def test_a_finished_clip_can_be_fetched_whole_in_part_and_by_its_head(protocol: Protocol) -> None:
    async with bench(rendering=False) as b:
        job = await bought(b, protocol)
        b.finish()
        address = await link(b, protocol, job)

        whole = await b.stranger.get(address)
        part = await b.stranger.get(address, headers={"Range": "bytes=1000-", "If-Range": whole.headers["etag"]})
        other = await b.stranger.get(address, headers={"Range": "bytes=1000-", "If-Range": '"another"'})
        head = await b.stranger.head(address)
        beyond = await b.stranger.get(address, headers={"Range": "bytes=99999999-"})

        assert whole.status_code == 200 and whole.headers["content-type"] == "video/mp4"
        assert part.status_code == 206 and part.content == whole.content[1000:]
        assert other.status_code == 200 and other.content == whole.content
        assert head.headers["content-length"] == str(len(whole.content)) and head.content == b""
        assert head.headers["etag"] == whole.headers["etag"]
        assert beyond.status_code == 416


@EACH
async def test_a_link_works_without_the_key_and_not_with_it(protocol: Protocol) -> None:
    async with bench(rendering=False) as b:
        job = await bought(b, protocol)
        b.finish()
        address = await link(b, protocol, job)

        assert (await b.stranger.get(address)).status_code == 200
        assert (await b.client.get(address)).status_code == 400
        assert (await b.stranger.get(address.partition("&")[0])).status_code == 403
        b.clock.now += 8 * 24 * 3600
        assert (await b.stranger.get(address)).status_code == 403
        lines = (await b.journal(action="file"))["entries"]
        assert [line["facts"].get("key_sent", False) for line in lines] == [False, True, False, False]
        assert "Signature" not in str(lines)


@EACH
async def test_a_clip_is_not_there_before_it_is_done(protocol: Protocol) -> None:
    async with bench() as b:
        job = await bought(b, protocol)
        expires, signature = b.sandbox.link(b.sandbox.store.find(protocol.vendor, job), b.clock.now + 60)
        address = f"{b.host}/{protocol.vendor}/files/{job}/clip.mp4?Expires={expires}&Signature={signature}"

        assert (await b.stranger.get(address)).status_code == 404


BAD_KEY = {
    "runapi": (401, "error", "Invalid API key"),
    "kling3api": (401, "code", "INVALID_API_KEY"),
    "octopusx": (401, "error.type", "new_api_error"),
    "uniall": (401, "error.type", "new_api_error"),
    "runcomfy": (401, "error_code", 400004),
}


@EACH
@pytest.mark.parametrize("key", ["", "Bearer wrong", "Basic sandbox", "Bearer "])
async def test_a_bad_key_is_refused_in_the_vendors_envelope(protocol: Protocol, key: str) -> None:
    async with bench() as b:
        address = f"{b.host}/{protocol.vendor}{protocol.path}"
        reply = await b.stranger.post(address, json=protocol.body, headers={"Authorization": key} if key else {})

        status, path, words = BAD_KEY.get(protocol.vendor) or recorded_vendors.refusal(protocol.vendor, "auth")
        assert reply.status_code == status
        assert problems(protocol.vendor, "error", reply.json()) == []
        assert protocol.at(reply.json(), path) == words
        assert (await b.journal())["accepted"] == {}


NO_MONEY = {
    "runapi": (402, "error", "Insufficient balance"),
    "kling3api": (402, "code", "INSUFFICIENT_CREDITS"),
    "octopusx": (403, "error.code", "insufficient_user_quota"),
    "uniall": (403, "error.code", "insufficient_user_quota"),
    "runcomfy": (402, "error_code", 400002),
}


@EACH
async def test_an_empty_account_buys_nothing(protocol: Protocol) -> None:
    async with bench() as b:
        reply = await order(b, protocol, headers={"Authorization": "Bearer sandbox-broke"})

        status, path, words = NO_MONEY.get(protocol.vendor) or recorded_vendors.refusal(protocol.vendor, "no_money")
        assert (reply.status_code, protocol.at(reply.json(), path)) == (status, words)
        assert problems(protocol.vendor, "error", reply.json()) == []


UNKNOWN = {
    "runapi": ("00000000-0000-4000-8000-000000000000", 404, "error", "Task not found"),
    "kling3api": ("nobody", 404, "code", 404),
    "octopusx": ("task_nobody", 400, "code", "task_not_exist"),
    "uniall": ("task_nobody", 400, "code", "task_not_exist"),
    "runcomfy": ("nobody", 404, "error_code", 404001),
}


@EACH
async def test_an_unknown_job_and_somebody_elses_are_refused_alike(protocol: Protocol) -> None:
    async with bench() as b:
        job = await bought(b, protocol)
        unknown, status, path, words = UNKNOWN.get(protocol.vendor) or (
            "nobody",
            *recorded_vendors.refusal(protocol.vendor, "not_found"),
        )
        replies = [await look(b, protocol, unknown)]
        b.client.headers["Authorization"] = "Bearer sandbox-another"
        replies.append(await look(b, protocol, job))

        for reply in replies:
            assert (reply.status_code, protocol.at(reply.json(), path)) == (status, words)


REFUSED = [
    ("runapi", {"duration_seconds": 16}, 422, "errors.duration_seconds.0", None),
    ("runapi", {"model": "kling-9"}, 422, "errors.model.0", None),
    ("runapi", {"image_urls": ["https://example.com/x.png"]}, 422, "error", None),
    ("kling3api", {"type": "max-text-to-video"}, 400, "code", "INVALID_TYPE"),
    ("kling3api", {"duration": 99}, 400, "code", "INVALID_DURATION"),
    ("kling3api", {"prompt": ""}, 400, "code", "INVALID_PROMPT"),
    ("kling3api", {"type": "pro-image-to-video"}, 400, "code", "MISSING_IMAGE"),
    ("kling3api", {"type": "o3-std-reference-to-video"}, 400, "code", "MISSING_IMAGE"),
    ("kling3api", {"type": "o3-pro-video-edit"}, 400, "code", "MISSING_VIDEO"),
    ("octopusx", {"prompt": " "}, 400, "message", "prompt is required"),
    ("octopusx", {"model": ""}, 400, "code", "missing_model"),
    ("octopusx", {"model": "Kling-9"}, 503, "error.code", "model_not_found"),
    ("octopusx", {"seconds": 5}, 400, "code", "invalid_request"),
    ("octopusx", {"seconds": "7"}, 400, "code", "invalid_request"),
    ("uniall", {"model": "kling-v3-max-silent"}, 503, "error.code", "model_not_found"),
    ("uniall", {"duration": 2}, 400, "code", "invalid_request"),
    ("uniall", {"enable_sound": True}, 400, "code", "invalid_request"),
    ("runcomfy", {"generate_audio": True}, 422, "detail.0.msg", None),
    ("runcomfy", {"aspect_ratio": "21:9"}, 422, "detail.0.loc.0", "aspect_ratio"),
]


@pytest.mark.parametrize(("vendor", "changes", "status", "path", "words"), REFUSED)
async def test_a_body_the_vendor_would_refuse_is_refused(vendor, changes, status, path, words) -> None:  # type: ignore[no-untyped-def]
    protocol = BY_VENDOR[vendor]
    async with bench() as b:
        reply = await order(b, protocol, **changes)

        assert reply.status_code == status, reply.text
        assert problems(vendor, "error", reply.json()) == []
        said = protocol.at(reply.json(), path)
        assert said == words if words is not None else said
        assert (await b.journal())["accepted"] == {}


@EACH
async def test_what_is_no_json_object_is_refused(protocol: Protocol) -> None:
    async with bench() as b:
        for sent in (b"{", b"[1]", b"\xff\xfe"):
            reply = await b.client.post(f"{b.host}/{protocol.vendor}{protocol.path}", content=sent)
            assert 400 <= reply.status_code < 500


async def test_kling3api_takes_credits_at_submit_and_keeps_them() -> None:
    protocol = BY_VENDOR["kling3api"]
    async with bench() as b:
        await b.fault("kling3api=failed@the model fell over")
        reply = await order(b, protocol)
        b.finish()
        status = (await look(b, protocol, reply.json()["data"]["task_id"])).json()["data"]

        assert reply.json()["data"]["consumed_credits"] == status["consumed_credits"] == 180  # 3 s × 60
        assert (status["status"], status["error_message"]) == ("FAILED", "the model fell over")


async def test_octopusx_answers_with_its_billing_name() -> None:
    async with bench() as b:
        reply = await order(b, BY_VENDOR["octopusx"], image="https://example.com/a.png")

        assert reply.json()["model"] == "kling-3.0-omni-720p-ref-audio"


async def test_octopusx_has_an_alternate_route_with_the_gateways_own_record() -> None:
    async with bench() as b:
        job = await bought(b, BY_VENDOR["octopusx"])
        b.clock.now += 20
        reply = await b.client.get(f"{b.host}/octopusx/v1/video/generations/{job}")

        assert problems("octopusx", "generations_status_response", reply.json()) == []
        assert reply.json()["data"]["status"] == "IN_PROGRESS"
        assert reply.json()["data"]["progress"].endswith("%")


@pytest.mark.parametrize("vendor", ["octopusx", "uniall"])
async def test_the_gateway_hands_out_content_only_when_it_is_done(vendor: str) -> None:
    async with bench(rendering=False) as b:
        job = await bought(b, BY_VENDOR[vendor])
        address = f"{b.host}/{vendor}/v1/videos/{job}/content"
        early = await b.client.get(address)
        b.finish()
        done = await b.client.get(address, headers={"Range": "bytes=0-9"})
        unknown = await b.client.get(f"{b.host}/{vendor}/v1/videos/task_x/content")

        assert (early.status_code, unknown.status_code) == (400, 404)
        assert early.json()["error"]["message"].startswith("Task is not completed yet")
        assert (done.status_code, len(done.content)) == (206, 10)
        assert done.headers["cache-control"] == "public, max-age=86400"


async def test_octopusx_says_what_is_left() -> None:
    async with bench() as b:
        reply = await b.client.get(f"{b.host}/octopusx/api/usage/token/")

        assert problems("octopusx", "balance_response", reply.json()) == []
        assert reply.json()["data"]["total_available"] > 0


async def test_uniall_wants_either_a_prompt_or_shots_with_a_picture() -> None:
    protocol = BY_VENDOR["uniall"]
    shots = {"multi_prompt": [{"prompt": "one"}, {"prompt": "two"}]}
    picture = "https://example.com/a.png"
    async with bench() as b:
        both = await order(b, protocol, image=picture, extra_body=shots)
        body = {key: value for key, value in protocol.body.items() if key != "prompt"}
        address = f"{b.host}/uniall/v1/video/generations"
        one = await b.client.post(address, json={**body, "image": picture, "extra_body": shots})
        none = await b.client.post(address, json=body)

        assert (both.status_code, one.status_code, none.status_code) == (400, 200, 400)


async def test_runcomfy_cancels_only_what_waits() -> None:
    protocol = BY_VENDOR["runcomfy"]
    async with bench() as b:
        waiting, running = await bought(b, protocol), await bought(b, protocol)
        queued = (await look(b, protocol, waiting)).json()

        async def cancel(job: str) -> str:
            reply = await b.client.post(f"{b.host}/runcomfy/v1/requests/{job}/cancel")
            assert problems("runcomfy", "cancel_response", reply.json()) == []
            return reply.json()["outcome"]

        assert queued["queue_position"] >= 1
        assert await cancel(waiting) == "cancelled"
        b.clock.now += 20
        assert await cancel(running) == "not_cancellable"
        b.finish()
        assert (await look(b, protocol, waiting)).json()["status"] == "cancelled"
        assert (await look(b, protocol, running)).json()["status"] == "completed"
        balance = (await b.client.get(f"{b.host}/runcomfy/prod/v2/balance")).json()
        assert problems("runcomfy", "balance_response", balance) == []
        assert balance["balance_usd"] == pytest.approx(1_000_000 - 3 * 0.126)


async def test_runcomfy_tells_the_cost_only_when_asked() -> None:
    protocol = BY_VENDOR["runcomfy"]
    async with bench() as b:
        job = await bought(b, protocol)
        b.finish()
        asked = (await look(b, protocol, job, result=True)).json()
        plain = (await b.client.get(f"{b.host}/runcomfy/v1/requests/{job}/result")).json()

        assert problems("runcomfy", "result_response", asked) == []
        assert asked["cost"] == pytest.approx(3 * 0.126)
        assert "cost" not in plain


async def test_runcomfy_left_to_its_defaults_is_dear() -> None:
    """Sound on and ten seconds: the trap its page does not mention."""
    async with bench() as b:
        body = {"prompt": "x", "start_image_url": "https://example.com/a.png"}
        address = f"{b.host}/runcomfy/v1/models/kling/kling-3.0/pro/image-to-video"
        job = (await b.client.post(address, json=body)).json()["request_id"]
        seen = (await b.client.get(f"{b.host}/control/jobs/runcomfy/{job}")).json()

        assert (seen["seconds"], seen["audio"], seen["price"]) == (10, True, "1.680")


async def test_runcomfy_does_not_sell_what_its_catalog_lacks() -> None:
    async with bench() as b:
        reply = await b.client.post(
            f"{b.host}/runcomfy/v1/models/kling/kling-3.0/8k/text-to-video", json={"prompt": "x"}
        )
        listed = (await b.client.get(f"{b.host}/runcomfy/v1/models")).json()
        one = await b.client.get(f"{b.host}/runcomfy/v1/models/kling/kling-3.0/pro/text-to-video")

        assert (reply.status_code, reply.json()["error_code"]) == (400, 400001)
        assert listed["total"] >= 17
        assert problems("runcomfy", "model_response", one.json()) == []
        assert one.json()["base_price_usd"] == 0.112


async def test_an_unknown_route_is_said_to_be_one() -> None:
    async with bench() as b:
        assert (await b.client.get(f"{b.host}/runapi/api/v2/kling")).status_code == 404
        assert (await b.client.get(f"{b.host}/kling3api/api/generate")).status_code == 405
