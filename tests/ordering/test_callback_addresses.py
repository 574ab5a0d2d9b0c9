"""Whom an order asks to post its end: every vendor that documents how, at an address nobody can guess, and no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.orders import ordinary
from support.services import arguments, service

from mcp_server import catalog
from mcp_server.domain.arguments import VideoArguments
from mcp_server.errors import ArgumentError
from mcp_server.settings import Settings
from mcp_server.tasks.store.schema import task_of

OURS = "https://video.example.com/kling"
PROVIDERS = catalog.load().providers
KEYS = {facts.key_variable: "a-key" for facts in PROVIDERS.values()}
PAIRS = {name: "half-of-a-pair" for facts in PROVIDERS.values() for name in facts.key_pair}
SOLD = [
    offer
    for offer in catalog.load().offers
    if not offer.not_sold_because and "source_task" not in {*offer.requires, *(group[0] for group in offer.one_of)}
]
WHERE = {
    "runapi": lambda call: call.json["callback_url"],
    "klingai": lambda call: (call.json.get("options") or call.json)["callback_url"],
    "fal": lambda call: call.params["fal_webhook"],
    "replicate": lambda call: call.json["webhook"],
}


async def drafted(folder: Path, offer: Any, **variables: str) -> Any:
    buyer = service(folder, KLING_PUBLIC_URL=OURS, KLING_ACCEPT_UNKNOWN_PRICE="1", **variables)
    wish = arguments(ordinary(offer), provider=offer.provider, model=offer.model, tier=offer.tier, mode=offer.mode)
    return await buyer.prepare(wish)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_order_names_where_its_end_is_posted_where_the_vendor_documents_that(
    provider: str, tmp_path: Path
) -> None:
    tokens: set[str] = set()
    offers = [offer for offer in SOLD if offer.provider == provider]
    for offer in offers:
        draft = await drafted(tmp_path, offer, **KEYS, **PAIRS)
        if not PROVIDERS[provider].callbacks:
            assert draft.call.callback == "" and OURS not in json.dumps(
                [draft.call.json, draft.call.params], default=str
            )
            continue
        base, _, token = WHERE[provider](draft.call).rpartition("/")
        assert base == f"{OURS}/callbacks/{provider}/{draft.task_id}" and len(token) >= 32
        (new,) = draft.new_tasks(output_dir=tmp_path, owner="", agreed=True)
        assert task_of(new, 0.0, (), new.quote_amount or 0).call["callback"] == token == draft.call.callback  # type: ignore[arg-type]
        tokens.add(token)
    assert len(tokens) == (len(offers) if PROVIDERS[provider].callbacks else 0), "each task has its own"


async def test_what_the_caller_asks_for_stands(tmp_path: Path) -> None:
    buyer = service(tmp_path, KLING_PUBLIC_URL=OURS, **KEYS)
    theirs = "https://theirs.example/hook"
    said: dict[str, Any] = {"prompt": "a boat", "provider": "runapi", "model": "kling-3.0"}
    draft = await buyer.prepare(VideoArguments(**said, options={"callback_url": theirs}))
    assert (draft.call.json["callback_url"], draft.call.callback) == (theirs, "")
    several = await buyer.prepare(VideoArguments(**said, count=3))
    calls = [several.call, *(call for _, call in several.variations)]
    assert len({call.json["callback_url"] for call in calls}) == 3


async def test_nobody_is_asked_whose_posts_could_not_be_told_from_a_stranger_s(tmp_path: Path) -> None:
    offer = next(offer for offer in SOLD if offer.provider == "replicate")
    shared = {"KLING_DATABASE_URL": "postgresql://kling@127.0.0.1:1/nothing", "KLING_WORKER_PROVIDERS": "replicate"}
    without = await drafted(tmp_path, offer, **shared)
    assert without.call.callback == "" and "webhook" not in without.call.json
    secret = await drafted(tmp_path, offer, **shared, REPLICATE_CALLBACK_SECRET="whsec_c2VjcmV0")
    assert secret.call.callback


async def test_a_rehearsal_is_posted_on_this_machine_alone(tmp_path: Path) -> None:
    wish = VideoArguments(prompt="a boat", provider="sandbox")
    for address, told in ((OURS, False), ("http://127.0.0.1:8000", True)):
        buyer = service(tmp_path, KLING_PUBLIC_URL=address)
        assert bool((await buyer.prepare(wish)).call.callback) is (told and _posts(await buyer.prepare(wish)))


def _posts(draft: Any) -> bool:
    return PROVIDERS[draft.plan.offer.provider].callbacks


@pytest.mark.parametrize(
    "address",
    [
        "http://video.example.com",
        "https://a:b@video.example.com",
        "https://video.example.com/?x=1",
        "ftp://x",
        "https://[",
        "x",
    ],
)
def test_an_address_nobody_could_post_to_is_refused(address: str) -> None:
    with pytest.raises(ArgumentError, match="KLING_PUBLIC_URL"):
        Settings.read({"KLING_PUBLIC_URL": address}).check()
