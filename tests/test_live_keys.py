"""Keys that come, go and change while a server runs: the next call knows, and no money moves that nobody meant."""

from __future__ import annotations

import asyncio
import io
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from support.mcp_wire import pipe
from support.mcp_world import ORDER, Vendors, client, ordered, vendors

from mcp_server.__main__ import main
from mcp_server.cli.setup import auth
from mcp_server.composition import build
from mcp_server.domain.arguments import VideoArguments
from mcp_server.errors import KeyConflictError, NotSignedInError
from mcp_server.settings import Settings

FREE = {name: value for name, value in ORDER.items() if name != "provider"}


@pytest.fixture
async def shops(tmp_path: Path) -> AsyncIterator[Vendors]:
    """Vendors to buy from, and no key for any of them yet."""
    async with vendors(tmp_path) as made:
        for name in [name for name in made.environment if name.endswith(("_KEY", "_TOKEN"))]:
            del made.environment[name]
        yield made


def sign_in(monkeypatch: pytest.MonkeyPatch, provider: str, key: str = "sandbox-key") -> None:
    """What the user does in a terminal."""
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{key}\n"))
    assert main(["auth", provider]) == 0


async def told(connected: Client, name: str, **arguments: Any) -> dict[str, Any]:
    answer = await connected.call_tool(name, arguments)
    assert answer.structured_content is not None
    return answer.structured_content


@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
async def test_a_running_server_takes_a_new_key_with_the_next_call(
    shops: Vendors, era: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with client(shops.server(), era) as connected:
        rehearsal = await ordered(connected, provider=None)
        assert rehearsal["simulated"] is True
        assert (await told(connected, "estimate_cost", **FREE))["simulated"] is True
        assert "no key" in (await told(connected, "list_models"))["providers"]["runcomfy"]

        sign_in(monkeypatch, "runcomfy")

        estimate = await told(connected, "estimate_cost", **FREE)
        assert (estimate["simulated"], estimate["chosen"]["provider"], estimate["chosen"]["has_key"]) == (
            False,
            "runcomfy",
            True,
        )
        keys = (await told(connected, "list_models"))["providers"]
        assert {name for name, word in keys.items() if word == "key set"} == {"runcomfy"}
        real = await ordered(connected, provider=None)
        assert (real["simulated"], real["provider"]) == (False, "runcomfy")
        assert len(shops.submits()) == 1
        for task, simulated in ((rehearsal, True), (real, False)):
            found = await told(connected, "get_task", task_id=task["task_id"], wait_s=25)
            assert (found["state"], found["simulated"]) == ("succeeded", simulated)

        assert main(["auth", "remove", "runcomfy"]) == 0

        assert (await told(connected, "estimate_cost", **FREE))["simulated"] is True
        assert (await ordered(connected, provider=None))["simulated"] is True
        assert len(shops.submits()) == 1


async def test_it_holds_for_a_server_on_a_pipe_and_for_doctor_beside_it(
    shops: Vendors, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with pipe(shops.environment) as server:
        assert (await server.call("generate_video", FREE))["structuredContent"]["simulated"] is True
        sign_in(monkeypatch, "octopusx")
        models = (await server.call("list_models", {}))["structuredContent"]
        order = await server.call("estimate_cost", FREE)
    capsys.readouterr()
    for name, value in shops.environment.items():
        monkeypatch.setenv(name, value)
    doctor = await asyncio.to_thread(main, ["doctor", "--offline", "--json"])

    assert models["providers"]["octopusx"] == "key set"
    assert order["structuredContent"]["simulated"] is False
    assert doctor == 0
    found = {row["name"]: row for row in json.loads(capsys.readouterr().out)["findings"] if row["about"] == "keys"}
    assert {name for name, row in found.items() if "key from" in row["what"]} == {"octopusx"}


async def test_the_vendors_own_token_file_is_noticed_too(shops: Vendors) -> None:
    service = build(shops.settings())
    token = Path(shops.environment["HOME"]) / ".config" / "runcomfy" / "token.json"
    try:
        assert service.models().providers["runcomfy"] == "no key"
        token.parent.mkdir(parents=True)
        token.write_text('{"token": "sandbox"}')
        assert service.models().providers["runcomfy"] == "key set"
        assert (await service.generate(VideoArguments.model_validate(FREE))).simulated is False
        token.unlink()
        assert service.models().providers["runcomfy"] == "no key"
    finally:
        await service.close()


async def test_a_replaced_key_is_the_one_that_pays(shops: Vendors, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(monkeypatch, "runcomfy", "sandbox-ada")
    service = build(shops.settings())
    try:
        first = await service.generate(VideoArguments.model_validate(FREE))
        sign_in(monkeypatch, "runcomfy", "sandbox-bob")
        second = await service.generate(VideoArguments.model_validate(FREE))
        tasks = [await service.runner.store.get(task.task_id) for task in (first, second)]
        account = await service.account("runcomfy", False)
    finally:
        await service.close()

    accounts = [shops.box.account("sandbox-ada"), shops.box.account("sandbox-bob")]
    assert [shops.box.store.find("runcomfy", task.job_id).account for task in tasks] == accounts
    assert tasks[0].sent_as != tasks[1].sent_as == account.mark


async def test_an_order_without_its_key_is_refused_and_free(shops: Vendors, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(monkeypatch, "runcomfy")
    sign_in(monkeypatch, "octopusx")
    service = build(shops.settings())
    try:
        assert main(["auth", "remove", "runcomfy"]) == 0
        with pytest.raises(NotSignedInError, match="RunComfy"):
            await service.generate(VideoArguments.model_validate(ORDER))
    finally:
        await service.close()
    assert shops.submits() == []


async def test_a_key_that_goes_between_the_plan_and_the_order_buys_nothing(
    shops: Vendors, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(monkeypatch, "runcomfy")
    service = build(shops.settings())

    def still() -> bool:
        """Asked last of all: the plan is made, the order not yet recorded."""
        return main(["auth", "remove", "runcomfy"]) == 0

    try:
        task = await service.generate(VideoArguments.model_validate(FREE), still=still)
    finally:
        await service.close()
    assert (task.state, task.simulated) == ("failed", False), "what was meant as a purchase never becomes a rehearsal"
    assert task.error is not None
    assert (task.error["code"], task.error["money"]) == ("not_signed_in", "not_spent")
    assert shops.submits() == []


async def test_a_key_that_comes_between_the_plan_and_the_order_is_not_spent_from(
    shops: Vendors, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = build(shops.settings())

    def still() -> bool:
        sign_in(monkeypatch, "runcomfy")
        return True

    try:
        task = await service.generate(VideoArguments.model_validate(FREE), still=still)
        assert (await service.get([task.task_id], wait_s=25))[0].state == "succeeded"
    finally:
        await service.close()
    assert task.simulated is True, "it was planned as a rehearsal"
    assert shops.submits() == []


async def test_a_key_used_in_a_rehearsal_is_refused_once_it_would_buy(
    shops: Vendors, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = build(shops.settings())
    wish = VideoArguments.model_validate({**FREE, "idempotency_key": "boat-1"})
    try:
        rehearsal = await service.generate(wish)
        sign_in(monkeypatch, "runcomfy")
        with pytest.raises(KeyConflictError, match="rehearsal"):
            await service.generate(wish)
        assert main(["auth", "remove", "runcomfy"]) == 0
        assert (await service.generate(wish)).task_id == rehearsal.task_id
    finally:
        await service.close()
    assert shops.submits() == []


async def test_a_variable_goes_before_the_file_for_good(shops: Vendors, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = shops.settings(RUNCOMFY_TOKEN="sandbox-env")
    sign_in(monkeypatch, "runcomfy", "sandbox-file")
    secret = settings.secret("RUNCOMFY_TOKEN", ".config/runcomfy/token.json")
    assert secret is not None
    assert (secret.value, secret.origin) == ("sandbox-env", "RUNCOMFY_TOKEN")


@pytest.mark.parametrize("how", ["in place", "by a rename", "same length, old date"])
def test_every_way_to_change_the_file_shows(tmp_path: Path, how: str) -> None:
    path = tmp_path / "home" / "credentials.json"
    settings = Settings.read({"HOME": str(tmp_path), "KLING_HOME": str(tmp_path / "home")})
    auth.write(path, {"UNIALL_API_KEY": "first"})
    assert settings.secret("UNIALL_API_KEY").value == "first"
    match how:
        case "in place":
            path.write_text('{"UNIALL_API_KEY": "second!"}')
        case "by a rename":
            auth.write(path, {"UNIALL_API_KEY": "second!"})
        case _:
            date = path.stat()
            path.write_text(path.read_text().replace("first", "other"))
            os.utime(path, ns=(date.st_atime_ns, date.st_mtime_ns))
    assert settings.secret("UNIALL_API_KEY").value in {"second!", "other"}


def test_a_file_that_did_not_change_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "home" / "credentials.json"
    auth.write(path, {"UNIALL_API_KEY": "first"})
    settings = Settings.read({"HOME": str(tmp_path), "KLING_HOME": str(tmp_path / "home")})
    read: list[Path] = []
    real = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda self, *a, **k: read.append(self) or real(self, *a, **k))
    for _ in range(3):
        assert settings.secret("UNIALL_API_KEY").value == "first"
        assert settings.secret("RUNCOMFY_TOKEN", ".config/runcomfy/token.json") is None
    assert read.count(path) == 1
    assert len(read) <= 2


async def test_a_key_file_that_cannot_be_read_is_said_and_not_passed_over(
    shops: Vendors, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(monkeypatch, "runcomfy")
    path = Path(shops.environment["KLING_HOME"]) / "credentials.json"
    whole = path.read_text()
    service = build(shops.settings())
    wish = VideoArguments.model_validate(FREE)
    try:
        path.write_text(whole[:-2])
        estimate = await service.estimate(wish)
        assert estimate.simulated is True
        assert str(path) in estimate.warnings[0]
        assert "cannot be read" in estimate.warnings[0]
        assert "sandbox" not in estimate.warnings[0], "what is in it is not shown"
        path.write_text(whole)
        estimate = await service.estimate(wish)
        assert estimate.simulated is False
        assert not any("cannot be read" in warning for warning in estimate.warnings)
    finally:
        await service.close()
