"""Clients nobody here wrote, against the sandbox: it speaks as their vendors do, or they would not understand it.

RunAPI's own SDK (runapi-kling) and the OpenAI SDK, whose video routes OctopusX and UniAll keep.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from runapi import core
from runapi.core import FilesClient, PricingClient, RequestOptions
from runapi.core.options import PollingOptions
from runapi.kling import (
    AuthenticationError,
    InsufficientCreditsError,
    KlingClient,
    NotFoundError,
    RateLimitError,
    TaskFailedError,
    ValidationError,
)
from support.town import Town

if TYPE_CHECKING:
    from openai import OpenAI

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*[Ss]ora.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*[Vv]ideo.*:DeprecationWarning"),
]
QUICK = {"poll_interval": 0.02, "max_wait": 20}


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with Town(tmp_path / "sandbox.db") as town:
        yield town


@pytest.fixture
def kling(town: Town) -> Iterator[KlingClient]:
    client = KlingClient(api_key="sandbox-sdk", base_url=town.urls["runapi"], max_retries=0)
    yield client
    client._http.close()


def test_runapis_own_sdk_creates_polls_and_completes(kling: KlingClient) -> None:
    created = kling.text_to_video.create(model="kling-3.0", prompt="a paper boat", duration_seconds=3)
    assert created.status == "pending" and created.runapi_task_id == created.id

    done = polled(kling.text_to_video, created.id)

    assert done.status == "completed"
    assert done.videos[0].url.startswith("http://127.0.0.1")
    assert done.usage["cost"] == pytest.approx(0.42)


def polled(resource: Any, job: str) -> Any:
    return resource._poll_until_complete(lambda: resource.get(job), PollingOptions(**QUICK))


@pytest.mark.parametrize(
    ("resource", "body"),
    [
        (
            "text_to_video",
            {
                "model": "kling-3.0",
                "prompt": "x",
                "first_frame_image_url": "https://example.com/a.png",
                "output_resolution": "1080p",
                "enable_sound": True,
            },
        ),
        (
            "image_to_video",
            {
                "model": "kling-v2.5-turbo-image-to-video-pro",
                "prompt": "x",
                "first_frame_image_url": "https://example.com/a.png",
                "duration_seconds": 5,
            },
        ),
        (
            "motion_control",
            {
                "model": "kling-3.0",
                "source_image_url": "https://example.com/a.png",
                "reference_video_url": "https://example.com/v.mp4",
            },
        ),
        (
            "edit_video",
            {
                "model": "kling-v3-omni-edit",
                "prompt": "snow",
                "source_video_url": "https://example.com/v.mp4",
                "aspect_ratio": "auto",
                "duration_seconds": 5,
            },
        ),
        (
            "ai_avatar",
            {
                "model": "kling-ai-avatar-pro",
                "prompt": "x",
                "source_image_url": "https://example.com/a.png",
                "source_audio_url": "https://example.com/v.mp3",
            },
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_action_of_runapis_sdk_completes(kling: KlingClient, resource: str, body: dict[str, Any]) -> None:
    actions = getattr(kling, resource)

    done = polled(actions, actions.create(**body).id)

    assert done.status == "completed" and done.to_dict()["videos"][0]["url"]


def test_runapis_sdk_extends_a_finished_clip(kling: KlingClient) -> None:
    turbo = {"model": "kling-v2.5-turbo-text-to-video-pro", "prompt": "x", "duration_seconds": 5}
    source = polled(kling.text_to_video, kling.text_to_video.create(**turbo).id)

    done = polled(kling.extend_video, kling.extend_video.create(source_task_id=source.id).id)

    assert done.status == "completed"


def test_runapis_sdk_raises_what_it_should(town: Town, kling: KlingClient) -> None:
    def create(**changes: Any) -> Any:
        return kling.text_to_video.create(**{"model": "kling-3.0", "prompt": "x", **changes})

    def client(key: str) -> KlingClient:
        return KlingClient(api_key=key, base_url=town.urls["runapi"], max_retries=0)

    with pytest.raises(ValidationError, match="duration|15"):
        create(duration_seconds=99)
    for key, kind in (("nonsense", AuthenticationError), ("sandbox-broke", InsufficientCreditsError)):
        other = client(key)
        with pytest.raises(kind):
            other.text_to_video.create(model="kling-3.0", prompt="x")
        other._http.close()
    with pytest.raises(NotFoundError):
        kling.text_to_video.get("00000000-0000-4000-8000-000000000000")
    town.fault("runapi", "429", value="2.5")
    with pytest.raises(RateLimitError) as slow:
        create()
    assert slow.value.retry_after == 2.5
    town.fault("runapi", "failed", value="the model fell over")
    with pytest.raises(TaskFailedError, match="the model fell over"):
        polled(kling.text_to_video, create().id)
    town.fault("runapi", "status_unknown", value="pondering")
    with pytest.raises(ValidationError, match="pondering"):
        polled(kling.text_to_video, create().id)


def test_runapis_sdk_resends_under_its_key_and_buys_once(town: Town) -> None:
    client = KlingClient(
        api_key="sandbox-sdk", base_url=town.urls["runapi"], max_retries=2, retry_base_delay=0.01, retry_max_delay=0.02
    )
    options = RequestOptions(headers={"Idempotency-Key": "k"})
    town.fault("runapi", "drop_after_accept")

    created = client.text_to_video.create(model="kling-3.0", prompt="x", options=options)
    again = client.text_to_video.create(model="kling-3.0", prompt="x", options=options)

    assert created.id == again.id
    lines = town.sandbox.store.journal(vendor="runapi", action="submit")
    assert [line["accepted"] for line in lines] == [True, False, False]
    with pytest.raises(core.ConflictError):
        client.text_to_video.create(model="kling-3.0", prompt="another", options=options)
    client._http.close()


def test_runapis_sdk_reads_balance_prices_and_uploads(town: Town, kling: KlingClient, tmp_path: Path) -> None:
    (tmp_path / "boat.png").write_bytes(b"\x89PNG not really")
    pricing = PricingClient(base_url=town.urls["runapi"])
    files = FilesClient(api_key="sandbox-sdk", base_url=town.urls["runapi"])

    schedules = pricing.list_schedules(service="kling", model="kling-3.0")
    quote = pricing.create_quote("kling", "text_to_video", "kling-3.0", {"prompt": "x", "duration_seconds": 5})
    uploaded = files.create(file=tmp_path / "boat.png")

    assert {row.action for row in schedules.price_schedules} >= {"text_to_video", "motion_control"}
    assert quote.price_quote.reservation_amount_cents == 70
    assert kling.account.balance().balance_cents > 0
    assert uploaded.size_bytes == 15 and uploaded.url.startswith(town.urls["runapi"])
    for client in (pricing, files):
        client._http.close()


@pytest.fixture
def gateway(town: Town, request: pytest.FixtureRequest) -> Iterator[OpenAI]:
    # A second to import, and every worker collects this file.
    from openai import OpenAI

    with OpenAI(api_key="sandbox-sdk", base_url=f"{town.urls[request.param]}/v1", max_retries=0) as client:
        yield client


ORDERS: dict[str, Any] = {
    "octopusx": (
        "/videos",
        {
            "model": "Kling-3.0-Omni",
            "prompt": "a paper boat",
            "seconds": "5",
            "metadata": {"output_config": {"duration": 5, "resolution": "720P", "audio_generation": "Disabled"}},
        },
    ),
    "uniall": ("/video/generations", {"model": "kling-v3-std-silent", "prompt": "a paper boat", "duration": 5}),
}
BOTH = pytest.mark.parametrize("gateway", ["octopusx", "uniall"], indirect=True)


@BOTH
def test_the_openai_sdk_retrieves_and_downloads(gateway: OpenAI, tmp_path: Path) -> None:
    vendor = str(gateway.base_url).rstrip("/").split("/")[-2]
    path, body = ORDERS[vendor]
    ordered = gateway.post(path, body=body, cast_to=dict[str, object])

    video = gateway.videos.retrieve(str(ordered["id"]))
    seen = {video.status}
    while video.status not in ("completed", "failed"):
        time.sleep(0.02)
        video = gateway.videos.retrieve(video.id)
        seen.add(video.status)
    gateway.videos.download_content(video.id).write_to_file(tmp_path / "clip.mp4")

    assert video.status == "completed" and video.progress == 100
    assert seen <= {"queued", "in_progress", "processing", "completed"}
    assert (tmp_path / "clip.mp4").read_bytes()[4:8] == b"ftyp"
    assert video.model_extra is not None and str(video.model_extra["video_url"]).startswith("http://127.0.0.1")


@BOTH
def test_the_openai_sdk_understands_the_refusals(gateway: OpenAI, town: Town) -> None:
    import openai

    vendor = str(gateway.base_url).rstrip("/").split("/")[-2]
    with pytest.raises(openai.BadRequestError, match="task_not_exist"):
        gateway.videos.retrieve("task_nobody")
    with pytest.raises(openai.NotFoundError):
        gateway.videos.download_content("task_nobody")
    with pytest.raises(openai.AuthenticationError):
        gateway.with_options(api_key="nonsense").videos.retrieve("task_nobody")
    town.fault(vendor, "429")
    path, body = ORDERS[vendor]
    with pytest.raises(openai.RateLimitError):
        gateway.post(path, body=body, cast_to=dict[str, object])


@pytest.mark.parametrize("gateway", ["octopusx"], indirect=True)
def test_the_openai_sdk_orders_at_octopusx_with_json_and_with_a_form(gateway: OpenAI) -> None:
    asjson = gateway.videos.create(
        model="Kling-3.0-Omni",
        prompt="a paper boat",
        seconds="5",  # type: ignore[arg-type]
        extra_headers={"Content-Type": "application/json"},
        extra_body={"metadata": {"output_config": {"duration": 5, "resolution": "1080P"}}},
    )
    asform = gateway.videos.create(model="Kling-3.0-Omni", prompt="a paper boat", seconds="5", size="720x1280")  # type: ignore[arg-type]

    assert asjson.model == "kling-3.0-omni-1080p-noref-mute"
    assert asform.model == "kling-3.0-omni-720p-noref-mute"
    assert {asjson.status, asform.status} == {"queued"}
