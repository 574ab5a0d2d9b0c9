"""A call pasted into `request` as JSON is read as the call it is, and no clip is ever made of the text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.services import service

from mcp_server.domain.arguments import VideoArguments
from mcp_server.domain.parsing import read
from mcp_server.errors import ArgumentError, KlingError, RequestError

CALL: dict[str, Any] = {"prompt": "a paper boat", "duration": 10, "tier": "pro", "model": "kling-3.0"}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(CALL),
        f"\n {json.dumps(CALL, indent=2)}\n",
        f"```json\n{json.dumps(CALL, indent=2)}\n```",
        f"```\n{json.dumps(CALL)}```",
        json.dumps({"request": json.dumps(CALL)}),
        json.dumps({**CALL, "duration": 10.0, "cfg_scale": None}),
    ],
)
async def test_it_is_the_call_it_holds_and_says_so(text: str, tmp_path: Path) -> None:
    buyer = service(tmp_path)
    wish = read(VideoArguments, {"request": text})
    assert wish.given() == CALL

    estimate = await buyer.estimate(wish)
    task = await buyer.generate(wish)
    same = await buyer.generate(VideoArguments(**CALL, idempotency_key="k"))
    known = await buyer.generate(read(VideoArguments, {"request": text, "idempotency_key": "k"}))

    await buyer.close()
    assert estimate.prompt == task.prompt == "a paper boat"
    assert task.ordered["duration"] == 10
    assert "`request` held a JSON object" in estimate.warnings[0]
    assert any("next time give them as arguments" in warning for warning in task.warnings)
    assert not any("JSON" in warning for warning in same.warnings)
    assert known.task_id == same.task_id, "one order, however it was written"


def test_what_stands_beside_it_goes_first() -> None:
    wish = read(VideoArguments, {"request": json.dumps(CALL), "duration": 5})
    assert wish.given() == {**CALL, "duration": 5}
    assert wish.pasted.startswith("`request` held a JSON object: prompt, tier, model taken")


def test_words_inside_it_stay_words() -> None:
    wish = read(VideoArguments, {"request": '{"request": "kling 4k: a neon city", "max_cost_usd": 3}'})
    assert wish.given() == {"request": "kling 4k: a neon city", "max_cost_usd": 3}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"scene": "a boat", "style": "noir"}', "no arguments: scene, style"),
        ('{"prompt": "a boat", "seed": 7}', "no arguments: seed (no Kling vendor takes one"),
        ('{"name": "generate_video", "arguments": {"prompt": "a boat"}}', "no arguments: name, arguments"),
        ('{"prompt": "a boat", "duration": "ten"}', "duration must be a whole number"),
        ('[{"prompt": "a boat"}, {"prompt": "a car"}]', "not one object"),
        ('{"prompt": "a boat", "duration": 10', "not one object"),
        ("{'prompt': 'a boat', 'duration': 10}", "not one object"),
        ('generate_video {"prompt": "a boat"}', "not one object"),
        ('kling 4k, 10s: {"prompt": "a boat"} please', "not one object"),
        ('{"prompt": "a boat", "accept_unknown_price": true}', "said by itself"),
    ],
)
async def test_what_cannot_be_read_is_refused_and_not_filmed(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError) as refused:
        read(VideoArguments, {"request": text})
    assert says in str(refused.value)
    assert str(refused.value).endswith("Nothing was charged.")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["{red|blue} boats", "a {boat}", "[wide] a boat", "kling: a sign says {hello: you}"])
def test_braces_are_no_json(text: str) -> None:
    wish = read(VideoArguments, {"request": text})
    assert (wish.given(), wish.pasted) == ({"request": text}, "")


async def test_an_empty_object_orders_nothing(tmp_path: Path) -> None:
    buyer = service(tmp_path)
    with pytest.raises(KlingError):
        await buyer.generate(read(VideoArguments, {"request": '{"prompt": ""}'}))
    with pytest.raises(KlingError):
        await buyer.generate(read(VideoArguments, {"request": "{}"}))
    await buyer.close()


async def test_over_the_network_it_names_no_files_of_the_server(tmp_path: Path) -> None:
    buyer = service(tmp_path)
    pasted = read(VideoArguments, {"request": '{"prompt": "it moves", "image": "/etc/face.png"}'})
    with pytest.raises(RequestError, match="over the network"):
        await buyer.generate(pasted, owner="ada")
    await buyer.close()


def test_a_prompt_in_json_is_the_callers_own_business() -> None:
    scene = '{"scene": "a boat", "style": "noir"}'
    assert read(VideoArguments, {"prompt": scene}).given() == {"prompt": scene}
