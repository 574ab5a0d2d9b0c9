"""Resources, prompts, completions, the Tasks and Skills extensions, and updates for who watches."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any, Literal

import pytest
from mcp.client.extension import ClientExtension, ResultClaim
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CallToolResult,
    EmptyResult,
    PromptReference,
    Request,
    RequestParams,
    ResourceTemplateReference,
    Result,
    SubscribeRequest,
    SubscribeRequestParams,
    TextContent,
)
from pydantic import ConfigDict
from support.mcp_world import ERAS, ORDER, Vendors, client, ended, ordered, vendors

from mcp_server import places
from mcp_server.catalog import REGISTRY
from mcp_server.server.frontmatter import frontmatter
from mcp_server.server.tools import replies

both = pytest.mark.parametrize("era", ERAS)
MODERN = ERAS[1]
TASKS = "io.modelcontextprotocol/tasks"


async def finished(connected: Any, **more: Any) -> dict[str, Any]:
    task_id = (await ordered(connected, **more))["task_id"]
    return (await ended(connected, {"task_id": task_id, "wait_s": 25})).structured_content


@both
async def test_a_task_and_its_clip_are_resources(shops: Vendors, era: str) -> None:
    async with client(shops.server(), era) as connected:
        task = await finished(connected)

        shown = await connected.read_resource(f"task://{task['task_id']}")
        clip = await connected.read_resource(f"video://{task['task_id']}")

    assert json.loads(shown.contents[0].text)["video_path"] == task["video_path"]
    assert base64.b64decode(clip.contents[0].blob) == Path(task["video_path"]).read_bytes()


@both
async def test_a_clip_too_large_for_the_protocol_is_pointed_to(shops: Vendors, era: str, monkeypatch) -> None:
    monkeypatch.setattr(replies, "BLOB_LIMIT", 10)
    monkeypatch.setattr("mcp_server.server.resources.BLOB_LIMIT", 10)
    async with client(shops.server(), era) as connected:
        task_id = (await ordered(connected))["task_id"]
        done = await ended(connected, {"task_id": task_id, "wait_s": 25})
        clip = await connected.read_resource(f"video://{task_id}")

    assert done.content[1].uri == Path(done.structured_content["video_path"]).as_uri()
    assert clip.contents[0].mime_type == "application/json"
    assert json.loads(clip.contents[0].text)["video_path"] == done.structured_content["video_path"]


@both
@pytest.mark.parametrize("uri", ["task://kv-none", "video://kv-none", "kling://models/kling-9", "kling://nothing"])
async def test_what_is_not_there_is_an_invalid_request(shops: Vendors, era: str, uri: str) -> None:
    async with client(shops.server(), era) as connected:
        with pytest.raises(MCPError) as refused:
            await connected.read_resource(uri)

    assert refused.value.error.code == -32602


@both
async def test_a_clip_that_was_deleted_is_no_defect(shops: Vendors, era: str) -> None:
    async with client(shops.server(), era) as connected:
        task = await finished(connected)
        Path(task["video_path"]).unlink()
        with pytest.raises(MCPError) as refused:
            await connected.read_resource(f"video://{task['task_id']}")

    assert "no longer at" in refused.value.error.message


@both
async def test_models_are_resources(shops: Vendors, era: str) -> None:
    async with client(shops.server(), era) as connected:
        every = json.loads((await connected.read_resource("kling://models")).contents[0].text)
        one = json.loads((await connected.read_resource("kling://models/kling-3.0")).contents[0].text)

    assert "kling-3.0" in {group["model"] for group in every["models"]}
    assert {offer["offer"].split("/")[1] for offer in one["offers"]} == {"kling-3.0"}


@both
async def test_what_was_spent_and_what_is_left_are_resources(shops: Vendors, era: str) -> None:
    async with client(shops.server(), era) as connected:
        listed = {str(resource.uri) for resource in (await connected.list_resources()).resources}
        task = await finished(connected)
        spent = json.loads((await connected.read_resource("kling://spend")).contents[0].text)
        left = json.loads((await connected.read_resource("kling://balance")).contents[0].text)

    assert {"kling://spend", "kling://balance"} <= listed
    assert [(line["provider"], line["model"], line["tasks"]) for line in spent["lines"]] == [
        (task["provider"], task["model"], 1)
    ]
    assert spent["quoted_usd"] == task["cost"]["estimated"]["usd"]
    assert float(spent["today_usd"]) > 0
    accounts = {account["provider"]: account for account in left["accounts"]}
    assert set(accounts) == set(REGISTRY)
    assert accounts["runapi"]["currency"] == "USD" and float(accounts["runapi"]["left"]) > 0
    assert accounts["fal"]["said"] == "this vendor has no documented way to ask"
    assert shops.submits()[1:] == [], "asking buys nothing"


async def test_an_account_whose_vendor_cannot_be_asked_says_why(shops: Vendors) -> None:
    async with client(shops.server(RUNAPI_API_KEY="a-wrong-MARKED-key"), MODERN) as connected:
        text = (await connected.read_resource("kling://balance")).contents[0].text

    (account,) = [one for one in json.loads(text)["accounts"] if one["provider"] == "runapi"]
    assert "left" not in account and "RunAPI" in account["said"]
    assert "MARKED" not in text


async def test_without_a_key_there_is_no_account(shops: Vendors) -> None:
    keys = {name: "" for name in shops.environment if name.endswith(("_KEY", "_TOKEN"))}
    async with client(shops.server(**keys), MODERN) as connected:
        left = json.loads((await connected.read_resource("kling://balance")).contents[0].text)

    assert "accounts" not in left and "No key is set" in left["next_step"]


async def test_whose_keys_are_not_his_does_not_see_what_is_left_behind_them(
    shops: Vendors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_server.server.resources.owner", lambda: "somebody")
    async with client(shops.server(), MODERN) as connected:
        with pytest.raises(MCPError, match="on the machine that has the keys"):
            await connected.read_resource("kling://balance")
        spent = json.loads((await connected.read_resource("kling://spend")).contents[0].text)

    assert "lines" not in spent


@both
async def test_settling_a_lost_order_is_a_prompt_that_says_what_to_look_for(shops: Vendors, era: str) -> None:
    shops.fault("fal", "drop_after_accept")
    async with client(shops.server(), era) as connected:
        told = await connected.call_tool("generate_video", {**ORDER, "provider": "fal", "prompt": "a paper boat"})
        (lost,) = (await connected.call_tool("list_tasks", {"state": "uncertain"})).structured_content["tasks"]
        fine = await finished(connected)
        asked = await connected.get_prompt("settle", {"task_id": lost["task_id"]})
        needless = await connected.get_prompt("settle", {"task_id": fine["task_id"]})
        with pytest.raises(MCPError):
            await connected.get_prompt("settle", {"task_id": "kv-none"})

    assert told.is_error and lost["state"] == "uncertain"
    words = asked.messages[0].content.text
    for way in ("--job ID", "--bought", "--not-bought"):
        assert f"kling-video settle {lost['task_id']} {way}" in words
    for fact in ("fal", lost["model"], lost["created_at"], "a paper boat", lost["cost"]["estimated"]["arithmetic"]):
        assert fact in words
    assert (
        "is succeeded" in needless.messages[0].content.text
        and "kling-video settle" not in needless.messages[0].content.text
    )


@both
async def test_prompts_carry_the_advice_and_the_idea(shops: Vendors, era: str) -> None:
    async with client(shops.server(), era) as connected:
        listed = (await connected.list_prompts()).prompts
        board = await connected.get_prompt("storyboard", {"idea": "a paper boat", "seconds": "12", "style": "noir"})
        better = await connected.get_prompt("improve_prompt", {"prompt": "boat", "mode": "image-to-video"})

    assert {prompt.name for prompt in listed} == {"storyboard", "film_board", "improve_prompt", "settle"}
    assert all(prompt.title and prompt.description for prompt in listed)
    assert all(argument.description for prompt in listed for argument in prompt.arguments)
    words = board.messages[0].content.text
    assert all(part in words for part in ("a paper boat", "12 seconds", "noir", "shots", "estimate_cost"))
    assert "image-to-video" in better.messages[0].content.text


@pytest.mark.parametrize(
    ("prompt", "seconds", "words"),
    [
        ("storyboard", "40", "one Kling clip is 3 to 15 seconds long"),
        ("storyboard", "abc", "one Kling clip is 3 to 15 seconds long"),
        ("storyboard", "40", "what is longer is a film: prompt film_board"),
        ("film_board", "abc", "a film is 3 seconds long or longer"),
        ("film_board", "-1", "a film is 3 seconds long or longer"),
    ],
)
async def test_a_length_that_no_clip_has_is_refused(shops: Vendors, prompt: str, seconds: str, words: str) -> None:
    async with client(shops.server(), MODERN) as connected:
        with pytest.raises(MCPError, match=re.escape(words)):
            await connected.get_prompt(prompt, {"idea": "a paper boat", "seconds": seconds})


@both
async def test_names_complete(shops: Vendors, era: str) -> None:
    models = ResourceTemplateReference(type="ref/resource", uri="kling://models/{model}")
    tasks = ResourceTemplateReference(type="ref/resource", uri="task://{task_id}")
    prompt = PromptReference(type="ref/prompt", name="improve_prompt")
    async with client(shops.server(), era) as connected:
        task_id = (await ordered(connected))["task_id"]

        async def complete(ref: Any, name: str, value: str) -> list[str]:
            return (await connected.complete(ref, {"name": name, "value": value})).completion.values

        assert (await complete(models, "model", "kling-3"))[0].startswith("kling-3.0")
        assert await complete(models, "model", "o3") == ["kling-o3"]
        assert await complete(prompt, "mode", "text") == ["text-to-video"]
        assert await complete(prompt, "provider", "") == list(REGISTRY)
        assert await complete(prompt, "tier", "4") == ["4k"]
        assert await complete(tasks, "task_id", task_id[:4]) == [task_id]
        assert await complete(prompt, "prompt", "a") == []


async def test_who_listens_is_told_when_a_task_moves(tmp_path: Path) -> None:
    async with vendors(tmp_path, seconds=1) as shops, client(shops.server(), MODERN) as connected:
        uri = f"task://{(await ordered(connected))['task_id']}"
        async with asyncio.timeout(120), connected.listen(resource_subscriptions=[uri]) as updates:
            async for update in updates:
                assert update.uri == uri
                shown = json.loads((await connected.read_resource(uri)).contents[0].text)
                if shown["state"] == "succeeded":
                    break


async def test_who_subscribes_is_told_when_a_task_moves(tmp_path: Path) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()

    async def message(note: Any) -> None:
        if getattr(note, "method", "") == "notifications/resources/updated":
            told.put_nowait(str(note.params.uri))

    async with vendors(tmp_path, seconds=1) as shops:
        async with client(shops.server(), "legacy", message_handler=message) as connected:
            uri = f"task://{(await ordered(connected))['task_id']}"
            params = SubscribeRequestParams(uri=uri)
            await connected.session.send_request(SubscribeRequest(params=params), EmptyResult)
            async with asyncio.timeout(120):
                while True:
                    assert await told.get() == uri
                    shown = json.loads((await connected.read_resource(uri)).contents[0].text)
                    if shown["state"] == "succeeded":
                        break


# Tasks (SEP-2663)


class AnyResult(Result):
    model_config = ConfigDict(extra="allow")


class TaskResult(Result):
    model_config = ConfigDict(extra="allow")

    result_type: Literal["task"]


class TaskParams(RequestParams):
    model_config = ConfigDict(extra="allow")


class TaskRequest(Request[TaskParams, str]):
    pass


class Tasks(ClientExtension):
    """A client that understands tasks and leaves the polling to the test."""

    identifier = TASKS

    def __init__(self) -> None:
        self.created: list[dict[str, Any]] = []

    def claims(self) -> list[ResultClaim]:
        async def keep(result: TaskResult, _context: Any) -> Any:
            self.created.append(result.model_dump(by_alias=True))
            return CallToolResult(content=[TextContent(type="text", text="a task")], structured_content={})

        return [ResultClaim(result_type="task", model=TaskResult, resolve=keep)]


async def ask(connected: Any, method: str, task_id: str) -> dict[str, Any]:
    request = TaskRequest(method=method, params=TaskParams(taskId=task_id))
    return (await connected.session.send_request(request, AnyResult)).model_dump(by_alias=True)


async def test_a_client_that_knows_tasks_gets_one_with_our_id(shops: Vendors) -> None:
    extension = Tasks()
    async with client(shops.server(), MODERN, extensions=[extension]) as connected:
        await connected.call_tool("generate_video", {"prompt": "a boat", "provider": "runcomfy", "duration": 5})
        created = extension.created[0]
        task_id = created["taskId"]
        ours = (await ended(connected, {"task_id": task_id, "wait_s": 25})).structured_content
        view = await ask(connected, "tasks/get", task_id)
        assert await ask(connected, "tasks/cancel", task_id)
        with pytest.raises(MCPError) as unknown:
            await ask(connected, "tasks/get", "kv-none")

    assert created["status"] == "working"
    assert created["ttlMs"] is None
    assert "result" not in created
    assert view["status"] == "completed"
    assert view["result"]["structuredContent"]["video_path"] == ours["video_path"]
    assert unknown.value.error.code == -32602


async def test_several_variations_are_told_to_a_client_that_knows_tasks_as_they_are(shops: Vendors) -> None:
    extension = Tasks()
    async with client(shops.server(), MODERN, extensions=[extension]) as connected:
        order = {"prompt": "a boat", "provider": "runcomfy", "duration": 5, "count": 2}
        answer = (await connected.call_tool("generate_video", order)).structured_content

    assert extension.created == [], "one task in the place of two would lose the other"
    assert len(answer["tasks"]) == 2


async def test_a_failed_clip_is_completed_with_an_error(shops: Vendors) -> None:
    shops.fault("runcomfy", "failed")
    extension = Tasks()
    async with client(shops.server(), MODERN, extensions=[extension]) as connected:
        await connected.call_tool("generate_video", {"prompt": "a boat", "provider": "runcomfy", "duration": 5})
        task_id = extension.created[0]["taskId"]
        await ended(connected, {"task_id": task_id, "wait_s": 25})
        view = await ask(connected, "tasks/get", task_id)

    assert view["status"] == "completed"
    assert view["result"]["isError"] is True


async def test_a_client_that_knows_no_tasks_may_not_ask_for_them(shops: Vendors) -> None:
    async with client(shops.server(), MODERN) as connected:
        task_id = (await ordered(connected))["task_id"]
        with pytest.raises(MCPError) as refused:
            await ask(connected, "tasks/get", task_id)

    assert refused.value.error.code == -32021


# Skills (SEP-2640)


async def test_our_skill_is_served_as_it_lies_on_disk(shops: Vendors) -> None:
    async with client(shops.server(), MODERN) as connected:
        listed = await connected.session.send_request(TaskRequest(method="skills/list", params=TaskParams()), AnyResult)
        (skill,) = listed.model_dump()["skills"]
        for entry in skill["resources"]:
            text = (await connected.read_resource(entry["uri"])).contents[0].text.encode()
            assert entry["digest"] == f"sha256:{hashlib.sha256(text).hexdigest()}"
            assert entry["size"] == len(text)
        one = await connected.session.send_request(
            TaskRequest(method="skills/get", params=TaskParams(uri=skill["uri"])), AnyResult
        )
        described = {
            str(resource.uri): resource.description for resource in (await connected.list_resources()).resources
        }
        with pytest.raises(MCPError) as unknown:
            await connected.session.send_request(
                TaskRequest(method="skills/get", params=TaskParams(uri="skill://other/SKILL.md")), AnyResult
            )

    assert one.model_dump()["skill"] == skill
    assert described[skill["uri"]] == skill["frontmatter"]["description"]
    assert skill["uri"] == f"skill://{skill['frontmatter']['name']}/SKILL.md"
    assert {Path(entry["uri"]).name for entry in skill["resources"]} >= {"SKILL.md", "prompting.md"}
    assert unknown.value.error.code == -32602


def test_the_head_of_our_page_is_read_completely() -> None:
    found = frontmatter(places.skill_page().read_text(encoding="utf-8"))

    assert found["name"] == "kling-video"
    claw = found["metadata"]["openclaw"]
    assert {"name", "required", "description"} <= set(claw["envVars"][0])
    assert claw["envVars"][0]["required"] is False
    assert claw["install"][0]["bins"] == ["kling-video"]


@pytest.mark.parametrize(
    ("head", "found"),
    [
        ('a: 1\nb: true\nc: "x: \\n"\nd:\n', {"a": 1, "b": True, "c": "x: \n", "d": None}),
        ("a:\n  - x\n  - y z\nb: 'it''s'", {"a": ["x", "y z"], "b": "it's"}),
        ("a:\n  - n: 1\n    m:\n      k: v\n  - n: 2", {"a": [{"n": 1, "m": {"k": "v"}}, {"n": 2}]}),
    ],
)
def test_the_yaml_a_page_uses(head: str, found: dict[str, Any]) -> None:
    assert frontmatter(f"---\n{head}\n---\n# Page\n") == found


@pytest.mark.parametrize(
    "head", ["a: {b: 1}", "a: [1]", "a: |\n  text", "a: &x 1", "a: b: c", "a:\n    b: 1\n  c: 2", "x"]
)
def test_other_yaml_is_refused_and_not_misread(head: str) -> None:
    with pytest.raises(ValueError):
        frontmatter(f"---\n{head}\n---\n")
