"""The server on HTTP: who may use it, whose tasks are whose, and no purchase hangs on a connection."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from support.http_serving import free_port, running
from support.mcp_wire import LEGACY, MODERN, ROOT, Web, greeting, message
from support.mcp_world import ORDER, Vendors, vendors

from mcp_server.clock import Clock
from mcp_server.composition import build
from mcp_server.errors import ArgumentError
from mcp_server.server.auth import ASK_EVERY_S, KEPT_S
from mcp_server.server.http import build_app
from mcp_server.settings import Settings

both = pytest.mark.parametrize("era", [LEGACY, MODERN])


@asynccontextmanager
async def served(shops: Vendors, *, clock: Clock | None = None, **more: str) -> AsyncIterator[str]:
    settings = shops.settings(**more)
    port = free_port()
    app = build_app(settings, host="127.0.0.1", port=port, make=lambda: build(settings), clock=clock)
    async with running(app, port) as address:
        yield address


@asynccontextmanager
async def web(address: str, era: str, token: str = "") -> AsyncIterator[Web]:
    async with httpx.AsyncClient(timeout=60) as http:
        yield Web(http, f"{address}/mcp", era, token)


@both
async def test_a_whole_purchase(shops: Vendors, era: str) -> None:
    async with served(shops) as address, web(address, era) as client:
        assert (await client.http.get(f"{address}/health")).json()["status"] == "ok"
        task = (await client.call("generate_video", ORDER))["structuredContent"]
        done = (await client.call("get_task", {"task_id": task["task_id"], "wait_s": 25}))["structuredContent"]

    assert done["state"] == "succeeded"
    assert Path(done["video_path"]).exists()


async def test_nothing_is_promised_that_a_stateless_server_cannot_send(shops: Vendors) -> None:
    async with served(shops) as address, web(address, LEGACY) as client:
        reply = await client.http.post(client.address, headers=client.post("ping", {})[0], json=greeting())

    assert message(reply)["result"]["capabilities"]["resources"]["subscribe"] is False


@both
async def test_a_strange_host_or_origin_is_turned_away(shops: Vendors, era: str) -> None:
    async with served(shops) as address, web(address, era) as client:
        for name, value, status in (("Host", "evil.example", 421), ("Origin", "http://evil.example", 403)):
            headers, body = client.post("tools/list", {})
            reply = await client.http.post(client.address, headers={**headers, name: value}, json=body)
            assert reply.status_code == status


@both
async def test_a_token_is_asked_for_and_compared(shops: Vendors, era: str) -> None:
    async with served(shops, KLING_HTTP_TOKEN="let-me-in-or-not") as address:
        for token, status in (
            ("", 401),
            ("let-me-in-or-nut", 401),
            ("let-me-in-or-not-too", 401),
            ("let-me-in-or-not", 200),
        ):
            async with web(address, era, token) as client:
                assert (await client.send("tools/list")).status_code == status
        async with httpx.AsyncClient(timeout=60) as http:
            assert (await http.get(f"{address}/health")).status_code == 200


def test_a_public_address_without_a_token_is_refused(shops: Vendors) -> None:
    for host in ("0.0.0.0", "::", "192.168.1.10", "video.example.com"):
        with pytest.raises(ArgumentError, match="KLING_HTTP_TOKEN"):
            build_app(shops.settings(), host=host, port=8000)
    for host in ("127.0.0.1", "localhost", "::1", "127.0.0.2"):
        assert build_app(shops.settings(), host=host, port=8000)
    for host in ("0.0.0.0", "::", "::1"):
        assert build_app(shops.settings(KLING_HTTP_TOKEN="x" * 16), host=host, port=8000)


def test_an_issuer_needs_our_own_address(shops: Vendors) -> None:
    with pytest.raises(ArgumentError, match="KLING_HTTP_URL"):
        build_app(shops.settings(KLING_HTTP_ISSUER="https://id.example"), host="127.0.0.1", port=8000)
    with pytest.raises(ArgumentError, match="no web address"):
        build_app(shops.settings(KLING_HTTP_ISSUER="id.example"), host="127.0.0.1", port=8000)


class Issuer:
    """An authorization server that publishes its keys and signs whatever a test needs."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        self.keys = {"keys": [{**public, "kid": "one", "use": "sig", "alg": "RS256"}]}
        self.asked: list[str] = []
        self.down = False
        self.hold: asyncio.Event | None = None

    def app(self) -> Starlette:
        async def metadata(_request: Any) -> JSONResponse:
            self.asked.append("metadata")
            if self.hold is not None:
                await self.hold.wait()
            if self.down:
                return JSONResponse({}, status_code=503)
            return JSONResponse({"issuer": self.address, "jwks_uri": f"{self.address}/keys"})

        async def keys(_request: Any) -> JSONResponse:
            self.asked.append("keys")
            return JSONResponse(self.keys)

        return Starlette(routes=[Route("/.well-known/oauth-authorization-server", metadata), Route("/keys", keys)])

    def renew(self, kid: str) -> None:
        """The key is replaced by another, of another name."""
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        self.keys = {"keys": [{**public, "kid": kid, "use": "sig", "alg": "RS256"}]}

    def token(self, audience: str, subject: str = "ada", key: Any = None, kid: str = "one", **more: Any) -> str:
        claims = {"iss": self.address, "aud": audience, "sub": subject, "exp": int(time.time()) + 600, **more}
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(claims, key or self.key, algorithm="RS256", headers={"kid": kid})


@asynccontextmanager
async def issued(shops: Vendors, clock: Clock | None = None) -> AsyncIterator[tuple[str, str, Issuer]]:
    """A server that trusts an issuer: its address, its name, and the issuer."""
    at = free_port()
    issuer = Issuer(f"http://127.0.0.1:{at}")
    audience = "https://video.example.com/mcp"
    settings = {"KLING_HTTP_ISSUER": issuer.address, "KLING_HTTP_URL": audience}
    async with running(issuer.app(), at), served(shops, clock=clock, **settings) as address:
        yield address, audience, issuer


@both
async def test_only_a_good_token_for_this_very_server_is_let_in(shops: Vendors, era: str) -> None:
    async with issued(shops) as (address, audience, issuer):
        stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        bad = {
            "another audience": issuer.token("https://other.example.com/mcp"),
            "no audience": issuer.token(audience, aud=None),
            "another issuer": issuer.token(audience, iss="https://evil.example"),
            "expired": issuer.token(audience, exp=int(time.time()) - 60),
            "without an end": issuer.token(audience, exp=None),
            "without a subject": issuer.token(audience, sub=None),
            "of nobody": issuer.token(audience, sub=""),
            "of a blank": issuer.token(audience, sub=" "),
            "another key": issuer.token(audience, key=stranger),
            "unsigned": jwt.encode({"iss": issuer.address, "aud": audience, "sub": "ada"}, "", algorithm="none"),
            "no token at all": "nonsense",
        }
        for why, token in bad.items():
            async with web(address, era, token) as client:
                reply = await client.send("tools/list")
                assert reply.status_code == 401, why
                assert "resource_metadata=" in reply.headers["www-authenticate"]
        async with web(address, era, issuer.token(audience)) as client:
            assert (await client.send("tools/list")).status_code == 200
            about = await client.http.get(f"{address}/.well-known/oauth-protected-resource/mcp")
            assert about.json()["resource"] == audience
            assert about.json()["authorization_servers"] == [issuer.address]


class Turned:
    """A clock to turn."""

    def __init__(self) -> None:
        self.at = 1_000.0

    @property
    def clock(self) -> Clock:
        return Clock(monotonic=lambda: self.at)


async def status(address: str, token: str) -> int:
    async with web(address, MODERN, token) as client:
        return (await client.send("tools/list")).status_code


async def test_strangers_cannot_make_us_ask_the_issuer_again_and_again(shops: Vendors) -> None:
    time_ = Turned()
    async with issued(shops, time_.clock) as (address, audience, issuer):
        assert await status(address, issuer.token(audience)) == 200
        assert issuer.asked == ["metadata", "keys"]
        stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        for number in range(20):
            assert await status(address, issuer.token(audience, key=stranger, kid=f"guess-{number}")) == 401
        assert issuer.asked == ["metadata", "keys"], "asked a moment ago"
        time_.at += ASK_EVERY_S
        together = [status(address, issuer.token(audience, key=stranger, kid=f"more-{number}")) for number in range(20)]
        assert set(await asyncio.gather(*together)) == {401}
        assert issuer.asked == ["metadata", "keys"] * 2, "twenty at once share one question"
        assert await status(address, "nonsense") == 401
        time_.at += ASK_EVERY_S
        assert await status(address, "nonsense") == 401
        assert issuer.asked == ["metadata", "keys"] * 2, "what is no token asks nobody"


async def test_a_new_key_of_the_issuer_is_found_and_an_old_one_ends(shops: Vendors) -> None:
    time_ = Turned()
    async with issued(shops, time_.clock) as (address, audience, issuer):
        old = issuer.token(audience)
        assert await status(address, old) == 200
        issuer.renew("two")
        new = issuer.token(audience, kid="two")
        assert await status(address, new) == 401, "asked a moment ago"
        assert await status(address, old) == 200
        time_.at += ASK_EVERY_S
        assert await status(address, new) == 200
        assert await status(address, old) == 401, "the issuer publishes that key no more"

        issuer.renew("three")
        time_.at += KEPT_S
        assert await status(address, new) == 401, "keys do not count for ever"
        assert await status(address, issuer.token(audience, kid="three")) == 200


async def test_an_issuer_that_is_down_is_asked_now_and_then(shops: Vendors) -> None:
    time_ = Turned()
    async with issued(shops, time_.clock) as (address, audience, issuer):
        issuer.down = True
        for _ in range(5):
            assert await status(address, issuer.token(audience)) == 401
        asked = len(issuer.asked)
        assert issuer.asked == ["metadata"] * asked
        issuer.down = False
        assert await status(address, issuer.token(audience)) == 401, "asked a moment ago"
        assert len(issuer.asked) == asked
        time_.at += ASK_EVERY_S
        assert await status(address, issuer.token(audience)) == 200


async def test_while_the_issuer_is_asked_for_a_strange_key_known_ones_open(shops: Vendors) -> None:
    time_ = Turned()
    async with issued(shops, time_.clock) as (address, audience, issuer):
        good = issuer.token(audience)
        assert await status(address, good) == 200
        time_.at += ASK_EVERY_S
        issuer.hold = asyncio.Event()
        stranger = asyncio.create_task(status(address, issuer.token(audience, kid="guess")))
        async with asyncio.timeout(120):
            while len(issuer.asked) < 3:
                await asyncio.sleep(0.005)
            assert await status(address, good) == 200
        assert not stranger.done()
        issuer.hold.set()
        assert await stranger == 401


@both
async def test_a_task_is_seen_only_by_whoever_bought_it(shops: Vendors, era: str) -> None:
    async with issued(shops) as (address, audience, issuer):
        async with web(address, era, issuer.token(audience, "ada")) as ada:
            task_id = (await ada.call("generate_video", ORDER))["structuredContent"]["task_id"]
            own = await ada.call("get_task", {"task_id": task_id, "wait_s": 25})
            assert own["structuredContent"]["state"] == "succeeded"
        async with web(address, era, issuer.token(audience, "bob")) as bob:
            for name, arguments in (("get_task", {"task_id": task_id}), ("cancel_task", {"task_id": task_id})):
                answer = await bob.call(name, arguments)
                assert answer["isError"] is True
                assert answer["structuredContent"]["error"]["code"] == "unknown_task"
            assert "tasks" not in (await bob.call("list_tasks", {}))["structuredContent"]
            for scheme in ("task", "video"):
                reply = message(await bob.send("resources/read", {"uri": f"{scheme}://{task_id}"}))
                assert reply["error"]["code"] in (-32602, -32020)


@both
@pytest.mark.parametrize("tool", ["generate_video", "estimate_cost"])
async def test_a_clip_is_built_on_only_by_whoever_bought_it(shops: Vendors, era: str, tool: str) -> None:
    order = {"prompt": "a boat", "provider": "runapi", "model": "kling-2.5-turbo", "accept_unknown_price": True}
    async with issued(shops) as (address, audience, issuer):
        async with web(address, era, issuer.token(audience, "ada")) as ada:
            task_id = (await ada.call("generate_video", order))["structuredContent"]["task_id"]
            await ada.call("get_task", {"task_id": task_id, "wait_s": 25})
            job_id = shops.box.store.journal(vendor="runapi", action="submit")[0]["job"]
            further = {"prompt": "on it goes", "mode": "extend", "accept_unknown_price": True}
            for name in (task_id, job_id):
                own = await ada.call(tool, {**further, "source_task": name})
                assert not own.get("isError"), own
        async with web(address, era, issuer.token(audience, "bob")) as bob:
            before = len(shops.submits())
            told = []
            for name in (task_id, job_id, "0b5c2f1e-7a53-4a86-9a54-3a5b8f5f2b11"):
                answer = await bob.call(tool, {**further, "source_task": name, "provider": "runapi"})
                assert answer["isError"] is True
                assert answer["structuredContent"]["error"]["code"] == "unknown_task"
                told.append(answer["structuredContent"]["error"]["what"].replace(name, "ID"))
            assert told[1] == told[2], "what another has cannot be told from what nobody has"
            assert len(shops.submits()) == before


async def test_without_a_token_a_vendors_own_job_can_be_built_on(shops: Vendors) -> None:
    wish = {
        "mode": "extend",
        "prompt": "on",
        "provider": "runapi",
        "source_task": "0b5c2f1e-7a53-4a86-9a54-3a5b8f5f2b11",
    }
    async with served(shops) as address, web(address, MODERN) as client:
        answer = await client.call("estimate_cost", wish)
    assert not answer.get("isError"), answer


@both
async def test_a_connection_that_breaks_in_the_middle_of_an_order_loses_nothing(shops: Vendors, era: str) -> None:
    shops.fault("runcomfy", "slow", "1")
    async with served(shops) as address:
        async with web(address, era) as client:
            order = asyncio.create_task(client.call("generate_video", ORDER))
            async with asyncio.timeout(120):
                while not shops.submits():
                    await asyncio.sleep(0.01)
            order.cancel()
        await arrives(shops, address, era)


@both
async def test_a_connection_that_breaks_while_it_waits_loses_nothing(tmp_path: Path, era: str) -> None:
    async with vendors(tmp_path, seconds=1.5) as shops, served(shops) as address:
        async with web(address, era) as client:
            task_id = (await client.call("generate_video", ORDER))["structuredContent"]["task_id"]
            waiting = {"name": "get_task", "arguments": {"task_id": task_id, "wait_s": 25}}
            headers, body = client.post("tools/call", {**waiting, "_meta": {"progressToken": "p"}})
            async with client.http.stream("POST", client.address, headers=headers, json=body) as stream:
                await anext(line async for line in stream.aiter_lines() if "notifications/progress" in line)
        await arrives(shops, address, era)


async def arrives(shops: Vendors, address: str, era: str) -> None:
    async with web(address, era) as client:
        (task,) = (await client.call("list_tasks", {}))["structuredContent"]["tasks"]
        done = (await client.call("get_task", {"task_id": task["task_id"], "wait_s": 25}))["structuredContent"]
    assert done["state"] == "succeeded"
    assert Path(done["video_path"]).exists()
    assert len(shops.submits()) == 1


async def test_the_command_serves_with_pythons_loop_and_ends_within_its_grace(shops: Vendors, tmp_path: Path) -> None:
    # uvicorn takes uvloop wherever that is installed; over it no line to a vendor could be opened.
    (tmp_path / "uvloop.py").write_text("def new_event_loop():\n    raise SystemExit('uvloop was asked for')\n")
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "mcp_server", "serve", "--http", "--port", str(port)),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path), **shops.environment},
        stderr=asyncio.subprocess.PIPE,
    )
    address = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(timeout=60) as http, asyncio.timeout(120):
        while True:
            try:
                assert (await http.get(f"{address}/health")).status_code == 200
                break
            except httpx.ConnectError:
                await asyncio.sleep(0.05)
        headers, body = Web(http, f"{address}/mcp", MODERN).post(
            "subscriptions/listen", {"notifications": {"resourceSubscriptions": ["task://kv-none"]}}
        )
        async with http.stream("POST", f"{address}/mcp", headers=headers, json=body) as stream:
            assert "acknowledged" in await anext(
                line async for line in stream.aiter_lines() if line.startswith("data: {")
            )
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 30) in (0, -signal.SIGTERM)


async def test_the_command_says_where_it_serves_and_a_taken_port_is_refused_in_words(shops: Vendors) -> None:
    async def command(port: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "mcp_server", "serve", "--http", "--port", str(port)),
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **shops.environment},
            stderr=asyncio.subprocess.PIPE,
        )

    async with asyncio.timeout(120):
        first = await command(0)
        said = (await first.stderr.readline()).decode()
        port = int(said.removeprefix("MCP at http://127.0.0.1:").partition("/mcp")[0])
        second = await command(port)
        _, refused = await second.communicate()
        async with httpx.AsyncClient(timeout=60) as http:
            # It listens a moment after it said where.
            while True:
                try:
                    health = await http.get(f"http://127.0.0.1:{port}/health")
                    break
                except httpx.ConnectError:
                    await asyncio.sleep(0.05)
        first.terminate()
        await first.wait()

    assert said.endswith("/mcp, for this machine alone\n")
    assert health.status_code == 200
    assert second.returncode == 73
    assert "cannot be served: Address already in use. Choose another --port" in refused.decode()


def test_settings_that_are_not_set_ask_nothing() -> None:
    settings = Settings.read({"KLING_HTTP_TOKEN": "${KLING_HTTP_TOKEN}"})
    assert settings.http_token is None
    assert settings.http_issuer is None
