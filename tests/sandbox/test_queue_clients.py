"""The clients of fal, Replicate and Comfy, which nobody here wrote, against the sandbox that plays their vendors."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import comfy_sdk
import fal_client
import fal_client.client
import pytest
import replicate
from comfy_sdk.router_exceptions import InsufficientCredits, InvalidInput, RouterError, Unauthorized
from fal_client.client import FalClientHTTPError
from replicate.exceptions import ModelError, ReplicateError
from support.town import Town

# Neither fal's client nor Replicate's can be closed.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <(ssl|socket).socket")
TEXT = "fal-ai/kling-video/v3/standard/text-to-video"
PICTURE = "fal-ai/kling-video/v3/pro/image-to-video"
ORDER = {"prompt": "a paper boat", "duration": "5", "generate_audio": False}


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with Town(tmp_path / "sandbox.db") as town:
        yield town


def clip(url: str) -> bytes:
    with urllib.request.urlopen(url) as found:
        return found.read()


def submits(town: Town, vendor: str) -> list[bool]:
    return [line["accepted"] for line in town.sandbox.store.journal(vendor=vendor, action="submit")]


# --- fal ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def fal(town: Town, monkeypatch: pytest.MonkeyPatch) -> fal_client.SyncClient:
    # Its addresses are https by construction; only they are told to be elsewhere.
    monkeypatch.setattr(fal_client.client, "QUEUE_URL_FORMAT", f"{town.urls['fal']}/")
    monkeypatch.setattr(fal_client.client, "REST_URL", town.urls["fal"], raising=False)
    return fal_client.SyncClient(key="sandbox-sdk")


def test_fals_client_orders_follows_and_fetches(fal: fal_client.SyncClient, town: Town) -> None:
    seen: list[str] = []
    handle = fal.submit(TEXT, ORDER)
    for event in handle.iter_events(interval=0.02):
        seen.append(type(event).__name__)
    result = handle.get()

    assert seen[-1] == "Completed" and set(seen) <= {"Queued", "InProgress", "Completed"}
    assert clip(result["video"]["url"])[4:8] == b"ftyp"
    assert fal.result(TEXT, handle.request_id) == result, "also by the addresses the client builds itself"
    assert submits(town, "fal") == [True]


def test_fals_client_understands_refusals_and_failures(fal: fal_client.SyncClient, town: Town) -> None:
    with pytest.raises(FalClientHTTPError, match="duration") as wrong:
        fal.submit(TEXT, {**ORDER, "duration": "99"})
    assert wrong.value.status_code == 422
    with pytest.raises(FalClientHTTPError) as stranger:
        fal_client.SyncClient(key="nonsense").submit(TEXT, ORDER)
    assert stranger.value.status_code == 401
    with pytest.raises(FalClientHTTPError, match="Exhausted balance"):
        fal_client.SyncClient(key="sandbox-broke").submit(TEXT, ORDER)
    town.fault("fal", "failed", value="the model fell over")
    handle = fal.submit(TEXT, ORDER)
    *_, last = handle.iter_events(interval=0.02)
    assert last.error == "the model fell over"


def test_fals_client_cancels_what_waits(fal: fal_client.SyncClient, town: Town) -> None:
    town.sandbox.seconds = 60
    handle = fal.submit(TEXT, ORDER)
    fal.cancel(TEXT, handle.request_id)

    status = handle.status()
    assert isinstance(status, fal_client.Completed) and status.error_type == "client_cancelled"


def test_fals_client_buys_again_when_an_answer_is_lost_which_is_why_it_is_not_used(
    fal: fal_client.SyncClient, town: Town
) -> None:
    town.fault("fal", "drop_after_accept")
    fal.submit(TEXT, ORDER)

    assert submits(town, "fal") == [True, True]


# --- Replicate ------------------------------------------------------------------------------------------------------


@pytest.fixture
def cloud(town: Town) -> replicate.Client:
    return replicate.Client(api_token="sandbox-sdk", base_url=town.urls["replicate"])


BOAT = {"prompt": "a paper boat", "mode": "standard", "duration": 5, "generate_audio": False}
KLING = "kwaivgi/kling-v3-video"


def finished(prediction: Any) -> Any:
    for _ in range(1_000):
        prediction.reload()
        if prediction.status in ("succeeded", "failed", "canceled"):
            return prediction
    raise AssertionError(prediction.status)


def test_replicates_client_orders_follows_lists_and_fetches(cloud: replicate.Client, town: Town) -> None:
    made = cloud.models.predictions.create(model=KLING, input=BOAT)
    listed = cloud.predictions.list()
    done = finished(made)

    assert done.status == "succeeded" and clip(done.output)[4:8] == b"ftyp"
    assert [one.id for one in listed.results] == [made.id] and listed.results[0].input == BOAT
    assert submits(town, "replicate") == [True]


def test_replicates_client_runs_in_one_call_and_says_why_it_failed(cloud: replicate.Client, town: Town) -> None:
    cloud.poll_interval = 0.02
    assert clip(str(cloud.run(KLING, input=BOAT, wait=False)))[4:8] == b"ftyp"
    town.fault("replicate", "failed", value="the model fell over")
    with pytest.raises(ModelError, match="the model fell over"):
        cloud.run(KLING, input=BOAT, wait=False)


def test_replicates_client_understands_the_refusals(cloud: replicate.Client, town: Town) -> None:
    def status(client: replicate.Client, **wrong: Any) -> int | None:
        with pytest.raises(ReplicateError) as caught:
            client.models.predictions.create(model=KLING, input={**BOAT, **wrong})
        return caught.value.status

    url = town.urls["replicate"]
    assert status(cloud, duration=99) == 422
    assert status(replicate.Client(api_token="nonsense", base_url=url)) == 401
    assert status(replicate.Client(api_token="sandbox-broke", base_url=url)) == 402
    with pytest.raises(ReplicateError):
        cloud.predictions.get("nobody")


def test_replicates_client_cancels_and_reads_what_a_model_takes(cloud: replicate.Client, town: Town) -> None:
    town.sandbox.seconds = 60
    made = cloud.models.predictions.create(model=KLING, input=BOAT)
    cloud.predictions.cancel(made.id)
    assert finished(made).status == "canceled"

    version = cloud.models.get(KLING).latest_version
    assert version is not None
    taken = version.openapi_schema["components"]["schemas"]["Input"]["properties"]
    assert taken["mode"]["enum"] == ["standard", "pro", "4k"]


# --- Comfy Router ---------------------------------------------------------------------------------------------------


@pytest.fixture
def comfy(town: Town, monkeypatch: pytest.MonkeyPatch) -> Iterator[comfy_sdk.Comfy]:
    monkeypatch.setenv("COMFY_ROUTER_BASE_URL", town.urls["comfy"])
    with comfy_sdk.Comfy(api_key="sandbox-sdk") as client:
        yield client


BODY: dict[str, Any] = {
    "prompt": "a paper boat",
    "settings": {"resolution": "720p", "duration": 5, "aspect_ratio": "16:9"},
}


def test_comfys_sdk_queues_follows_and_collects(comfy: comfy_sdk.Comfy, town: Town) -> None:
    handle = comfy.models.submit("kling/kling-4.0", BODY, idempotency_key="k-1")
    result = handle.get()
    again = comfy.models.submit("kling/kling-4.0", BODY, idempotency_key="k-1")

    assert clip(result["data"][0]["outputs"][0]["url"])[4:8] == b"ftyp"
    assert again.request_id == handle.request_id
    assert submits(town, "comfy") == [True, False], "one key, one order"


def test_comfys_sdk_understands_the_refusals(comfy: comfy_sdk.Comfy, town: Town) -> None:
    with pytest.raises(InvalidInput, match="duration") as wrong:
        comfy.models.submit("kling/kling-4.0", {**BODY, "settings": {**BODY["settings"], "duration": 99}})
    assert wrong.value.http_status == 422
    with comfy_sdk.Comfy(api_key="nonsense") as stranger, pytest.raises(Unauthorized):
        stranger.models.submit("kling/kling-4.0", BODY)
    with comfy_sdk.Comfy(api_key="sandbox-broke") as poor, pytest.raises(InsufficientCredits):
        poor.models.submit("kling/kling-4.0", BODY)
    town.fault("comfy", "failed", value="the model fell over")
    with pytest.raises(RouterError, match="the model fell over"):
        comfy.models.submit("kling/kling-4.0", BODY).get()


def test_comfys_sdk_cancels_and_reads_the_catalog_and_a_schema(comfy: comfy_sdk.Comfy, town: Town) -> None:
    assert [model.id for model in comfy.models.list()] == ["kling/kling-4.0", "kling/kling-4.0-flash"]
    document = comfy.models.schema("kling/kling-4.0").document
    assert document is not None and "settings" in document["components"]["schemas"]["Input"]["properties"]
    town.sandbox.seconds = 60
    handle = comfy.models.submit("kling/kling-4.0", BODY)
    handle.cancel()
    assert handle.status().error_type == "cancelled"
