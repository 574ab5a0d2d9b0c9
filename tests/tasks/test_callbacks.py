"""What proves a vendor's post: its address, its signature, its time; whatever else comes changes nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from support.signed_posts import FAL_KEY, FAL_OTHER, NOW, OTHER, STAMP, VENDORS, public
from support.stub_vendor import ManualClock, new_task

from mcp_server import catalog
from mcp_server.errors import KlingError
from mcp_server.providers.accounts import Account
from mcp_server.providers.base import HttpCall, HttpReply
from mcp_server.providers.callbacks import ForgedCallbackError
from mcp_server.providers.transport import UnreachableError
from mcp_server.settings import Secret
from mcp_server.tasks.callbacks import ASKED_EVERY_S, KEYS_KEPT_S, CallbackReceiver, StrangeCallbackError
from mcp_server.tasks.runtime import TaskRuntime
from mcp_server.tasks.store.base import Budget
from mcp_server.tasks.store.sqlite import SqliteStore

TOKEN = "an-address-nobody-can-guess-0123"
EACH = pytest.mark.parametrize("vendor", VENDORS)


@dataclass
class Desk:
    """A receiver over a record, and vendors that give out their keys."""

    store: SqliteStore
    clock: ManualClock
    secrets: dict[str, str] = field(default_factory=dict)
    answers: list[Any] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        async def account(provider: str, simulated: bool) -> Account:
            facts = catalog.load().providers[provider]
            return Account(facts=facts, base_urls=facts.base_urls, secret=Secret("k", "test"), simulated=simulated)

        runtime: Any = TaskRuntime(
            store=self.store, transport=self, catalog=catalog.load(), account=account, clock=self.clock  # type: ignore[arg-type]
        )  # fmt: skip
        self.receiver = CallbackReceiver(
            runtime, lambda facts: Secret(self.secrets[facts.id], "test") if facts.id in self.secrets else None, OTHER
        )

    async def ask(self, account: Account, call: HttpCall) -> HttpReply:
        self.asked.append(call.path)
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            answer = {"key": VENDORS["replicate"].keys[0], "keys": [{"crv": "Ed25519", "x": public(FAL_KEY)}]}
        return HttpReply(status=200, body=answer)

    async def bought(self, vendor: str, *, job: str | None = "", callback: str = TOKEN, **changes: Any) -> str:
        call = HttpCall(method="POST", path="/x", json={}, schema="x", paid=True, callback=callback)
        new = new_task(provider=vendor, call=call, **changes)
        lease, _ = await self.store.create(new, Budget())
        if job is not None:
            await self.store.change(lease, state="queued", job_id=job or VENDORS[vendor].job)
        return new.id

    async def hear(self, vendor: str, task_id: str, body: bytes | None = None, **changes: Any) -> str:
        body = VENDORS[vendor].body if body is None else body
        headers = changes.pop("headers", None)
        headers = VENDORS[vendor].sign(body, **changes) if headers is None else headers
        return await self.receiver.hear(vendor, task_id, changes.pop("token", TOKEN), headers, body)


@pytest.fixture
async def desk(tmp_path: Any) -> Any:
    clock = ManualClock(NOW)
    store = SqliteStore(tmp_path / "tasks.db", clock)  # type: ignore[arg-type]
    made = Desk(store, clock, {name: VENDORS[name].keys[-1] for name in ("runapi", "klingai")})
    yield made
    await store.close()


@EACH
async def test_a_genuine_post_makes_a_look_due_once_and_decides_nothing(desk: Desk, vendor: str) -> None:
    task_id = await desk.bought(vendor)
    before = await desk.store.get(task_id)

    assert await desk.hear(vendor, task_id) == "due"
    assert desk.store.woken.is_set() and desk.store.posted_about() == {task_id}
    assert [await desk.hear(vendor, task_id) for _ in range(3)] == ["known"] * 3
    assert desk.store.posted_about() == frozenset()
    assert await desk.store.get(task_id) == before, "the status answer stays the truth"


@EACH
async def test_what_is_strange_or_forged_is_refused_and_makes_nothing_due(desk: Desk, vendor: str) -> None:
    known = VENDORS[vendor]
    mine, other = await desk.bought(vendor), await desk.bought(vendor, callback="another-address", job="another")
    unasked = await desk.bought(vendor, callback="", job="not asked")
    simulated = await desk.bought(vendor, simulated=True, job="played")
    hear = desk.receiver.hear
    headers = known.sign(known.body)
    strange = [
        (vendor, mine, "guess", headers, known.body),
        (vendor, mine, "", headers, known.body),
        (vendor, unasked, "", headers, known.body),
        (vendor, other, TOKEN, headers, known.body),
        (vendor, "kv-nobody", TOKEN, headers, known.body),
        (vendor, "../../etc", TOKEN, headers, known.body),
        (vendor, mine, "é" * 32, headers, known.body),
        ("nobody", mine, TOKEN, headers, known.body),
        ("kling3api", mine, TOKEN, headers, known.body),
        *((name, mine, TOKEN, headers, known.body) for name in VENDORS if name != vendor),
    ]
    forged = [
        (vendor, mine, TOKEN, {}, known.body),
        (vendor, mine, TOKEN, known.sign(known.body, secret=known.foreign), known.body),
        (vendor, mine, TOKEN, headers, known.body + b" "),
        (vendor, mine, TOKEN, known.sign(b"{}"), b"{}"),
        (vendor, mine, TOKEN, known.sign(known.body, stamp=str(int(STAMP) - 400)), known.body),
        (vendor, other, "another-address", headers, known.body),
    ]
    for case in strange:
        with pytest.raises(StrangeCallbackError):
            await hear(*case)
    for case in forged:
        with pytest.raises(ForgedCallbackError):
            await hear(*case)
    if vendor in ("runapi", "klingai"):
        with pytest.raises(ForgedCallbackError):
            await hear(vendor, simulated, TOKEN, headers, known.body)
    assert desk.store.posted_about() == frozenset()
    assert await desk.hear(vendor, mine) == "due", "and none of it is in the way of the genuine one"


@EACH
async def test_any_order_of_arrival(desk: Desk, vendor: str) -> None:
    early = await desk.bought(vendor, job=None)
    assert await desk.hear(vendor, early) == "due", "before the vendor's yes was written down"
    over = await desk.bought(vendor, job=None)
    await desk.store.withdraw(over)
    assert await desk.hear(vendor, over) == "over"
    assert desk.store.posted_about() == {early}


async def test_a_post_that_says_it_goes_on_makes_no_look_due(desk: Desk) -> None:
    task_id = await desk.bought("klingai")
    body = json.dumps({**VENDORS["klingai"].done, "status": "processing", "outputs": []}).encode()

    assert await desk.hear("klingai", task_id, body) == "under way"
    assert desk.store.posted_about() == frozenset()


@pytest.mark.parametrize("vendor", ["runapi", "klingai"])
async def test_without_a_secret_the_address_is_the_proof(desk: Desk, vendor: str) -> None:
    desk.secrets.clear()
    task_id = await desk.bought(vendor)
    bare = VENDORS[vendor].body

    with pytest.raises(StrangeCallbackError):
        await desk.receiver.hear(vendor, task_id, "guess", {}, bare)
    with pytest.raises(ForgedCallbackError):
        await desk.receiver.hear(vendor, task_id, TOKEN, {}, b"{}")
    assert await desk.receiver.hear(vendor, task_id, TOKEN, {}, bare) == "due"
    again = json.dumps({**VENDORS[vendor].done, "padding": "x"}).encode()
    assert await desk.receiver.hear(vendor, task_id, TOKEN, {}, again) == "known", "it says the same"


async def test_keys_are_asked_for_seldom_and_again_when_they_changed(desk: Desk) -> None:
    ids = [await desk.bought("fal") for _ in range(4)]
    assert await desk.hear("fal", ids[0]) == await desk.hear("fal", ids[1], post="r-2") == "due"
    assert desk.asked == ["/.well-known/jwks.json"]
    for _ in range(20):
        with pytest.raises(ForgedCallbackError):
            await desk.hear("fal", ids[2], secret=FAL_OTHER)
    assert len(desk.asked) == 1, "who posts forgeries does not make us ask"
    await desk.clock.advance(ASKED_EVERY_S)
    desk.answers = [{"keys": [{"crv": "Ed25519", "x": public(FAL_OTHER)}]}]
    assert await desk.hear("fal", ids[2], secret=FAL_OTHER, post="r-3") == "due", "a new key is found"
    assert len(desk.asked) == 2
    await desk.clock.advance(KEYS_KEPT_S)
    desk.answers = [UnreachableError("down")]
    with pytest.raises(UnreachableError):
        await desk.hear("fal", ids[3], stamp=str(int(NOW + desk.clock.passed)), post="r-4")
    assert desk.store.posted_about() == {*ids[:3]}


async def test_a_secret_that_is_none_is_told_and_not_believed(desk: Desk) -> None:
    desk.secrets["runapi"] = "not base64!"
    with pytest.raises(KlingError, match="not base64"):
        await desk.hear("runapi", await desk.bought("runapi"))
