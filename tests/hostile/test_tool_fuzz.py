"""Every tool called with generated JSON against a live server: always an answer, never a crash, never a paid call.

A few examples in the suite; TOOL_FUZZ_EXAMPLES says how many a gate runs.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import strategies as st
from support.mcp_wire import Pipe, pipe
from support.mcp_world import Vendors, vendors

from mcp_server.server.tools.arguments import ARGUMENTS
from mcp_server.server.tools.tool import published

EXAMPLES = int(os.environ.get("TOOL_FUZZ_EXAMPLES", "25"))
PATIENCE_S = 2.0
"""How long one answer may take, on a machine that has time."""
ODD = ["", " ", "\x00", "\x1b[2J", "kv-261129-000000000000", "kling 4k: a boat", "{", "[]", "```", "${X}", "../../etc/passwd", "\u202e", "猫", "🎬" * 50,
       "https://example.com/a.png", "data:image/png;base64,AAAA", "file:///etc/passwd", "x" * 11_000]  # fmt: skip
TEXT = st.one_of(st.sampled_from(ODD), st.text(max_size=60))
NUMBERS = st.one_of(
    st.sampled_from([0, -1, 1, 5, 10, 1.5, 1e308, 2**63, 10**400, -0.0]), st.integers(), st.floats(allow_nan=False)
)
ANY = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXT),
    lambda inside: st.one_of(st.lists(inside, max_size=4), st.dictionaries(TEXT, inside, max_size=4)),
    max_leaves=12,
)


def fitting(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """What the published schema lets through, or something near it."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "string":
            return TEXT
        case "integer" | "number":
            low, high = schema.get("minimum", -10), schema.get("maximum", 1000)
            return st.one_of(st.integers(int(low), int(high)), NUMBERS)
        case "boolean":
            return st.booleans()
        case "array":
            return st.lists(fitting(schema["items"]), max_size=4)
        case _:
            named = {name: fitting(part) for name, part in schema.get("properties", {}).items()}
            return st.fixed_dictionaries({}, optional=named) if named else st.dictionaries(TEXT, ANY, max_size=3)


def calls() -> st.SearchStrategy[tuple[str, Any]]:
    """A tool with arguments: mostly of its schema, with one thing wrong, or anything at all."""

    def of(name: str) -> st.SearchStrategy[Any]:
        schema = published(f"{name}.input")
        good = fitting(schema)
        bent = st.tuples(good, st.sampled_from([*schema["properties"], "nonsense"]), ANY).map(
            lambda parts: {**parts[0], parts[1]: parts[2]}
        )
        return st.one_of(good, good, bent, st.dictionaries(TEXT, ANY, max_size=3), ANY)

    return st.sampled_from(sorted(ARGUMENTS)).flatmap(lambda name: st.tuples(st.just(name), of(name)))


def drawn() -> list[tuple[str, Any]]:
    """The same calls every time."""
    found: list[tuple[str, Any]] = []

    @settings(
        max_examples=EXAMPLES,
        database=None,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate],
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    @given(calls())
    def collect(call: tuple[str, Any]) -> None:
        found.append(call)

    collect()
    return found


@pytest.fixture
async def shops(tmp_path: Path) -> AsyncIterator[Vendors]:
    async with vendors(tmp_path, seconds=0.05) as made:
        yield made


async def called(server: Pipe, name: str, arguments: Any) -> dict[str, Any]:
    return await server.answer(await server.send("tools/call", {"name": name, "arguments": arguments}))


async def test_every_tool_answers_whatever_it_is_called_with(shops: Vendors) -> None:
    # A limit of nothing: with keys of vendors who count every order, none may come.
    environment = {**shops.environment, "KLING_DAILY_BUDGET_USD": "0", "KLING_CONFIRM_ABOVE_USD": "0"}
    del environment["OCTOPUSX_API_KEY"], environment["UNIALL_API_KEY"], environment["KLING3API_API_KEY"]
    async with pipe(environment) as server:
        await called(server, "list_tasks", {})
        for name, arguments in drawn():
            wanted = {**arguments, "wait_s": 0} if isinstance(arguments, dict) and name == "get_task" else arguments
            if isinstance(wanted, dict) and wanted.get("provider") == "sandbox":
                wanted = {**wanted, "provider": "runapi"}
            shown = json.dumps([name, wanted])[:400]
            start = time.monotonic()
            try:
                said = await called(server, name, wanted)
            except (EOFError, TimeoutError) as error:
                raise AssertionError(f"no answer to {shown}") from error
            took = time.monotonic() - start
            assert ("result" in said) != ("error" in said), shown
            assert "defect" not in json.dumps(said), (shown, said)
            assert len(json.dumps(said)) < 200_000, shown
            assert took < PATIENCE_S * (1 if os.environ.get("TOOL_FUZZ_EXAMPLES") else 5), (took, shown)
        assert (await server.ask("ping"))["result"] == {}
        assert server.process.returncode is None
    assert not shops.submits()
    assert b"Traceback" not in await asyncio.wait_for(server.process.stderr.read(), 10)
