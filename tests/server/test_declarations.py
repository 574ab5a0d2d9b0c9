"""What a client sees before it calls anything: a visible diff when it changes, and small enough to carry."""

# pyright: basic

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mcp_server.catalog import REGISTRY
from mcp_server.server.server import build_server
from mcp_server.server.tools import arguments, declarations

SNAPSHOTS = Path(__file__).parents[1] / "snapshots" / "tools"
NAMES = [tool.name for tool in declarations.TOOLS]


def nothing() -> Any:
    raise AssertionError("a list must not need the service")


async def listed() -> dict[str, dict[str, Any]]:
    tools = await build_server(nothing).list_tools()
    return {tool.name: tool.model_dump(by_alias=True, mode="json", exclude_none=True) for tool in tools}


def compact(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def keywords(schema: Any) -> Iterator[str]:
    """The words of JSON Schema in it: an argument may be called as it likes."""
    for part in schema if isinstance(schema, list) else []:
        yield from keywords(part)
    for word, part in schema.items() if isinstance(schema, dict) else []:
        yield word
        for inside in part.values() if word == "properties" else [part]:
            yield from keywords(inside)


def test_the_seven_tools_in_a_fixed_order() -> None:
    assert NAMES == [
        *("generate_video", "get_task", "estimate_cost", "list_models", "cancel_task", "list_tasks", "make_film"),
    ]
    assert list(arguments.ARGUMENTS) == NAMES == list(arguments.ANSWERS)


@pytest.mark.parametrize("name", NAMES)
async def test_a_tool_is_announced_as_its_snapshot_says(name: str) -> None:
    path = SNAPSHOTS / f"{name}.json"
    found = json.dumps((await listed())[name], ensure_ascii=False, indent=2) + "\n"
    # A vendor that is added changes no surface but its own name in this list.
    found = found.replace(", ".join(REGISTRY), "{vendors}")
    if os.environ.get("UPDATE_SNAPSHOTS") == "1":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found, encoding="utf-8")

    assert path.exists(), f"{path} is missing; UPDATE_SNAPSHOTS=1 writes it"
    assert path.read_text(encoding="utf-8") == found, "the surface changed; UPDATE_SNAPSHOTS=1 accepts it"


def test_no_snapshot_of_a_tool_that_is_gone() -> None:
    assert {path.stem for path in SNAPSHOTS.glob("*.json")} == set(NAMES)


def test_the_icon_is_where_clients_are_sent_for_it() -> None:
    assert (Path(__file__).parents[2] / declarations.ICON.removeprefix(f"{declarations.HOMEPAGE}/raw/main/")).is_file()


async def test_the_context_cost_stays_within_its_budget() -> None:
    tools = await listed()
    seen = sum(compact({key: tool[key] for key in ("name", "description", "inputSchema")}) for tool in tools.values())

    # A twelfth of it is what bounds every text and list.
    assert seen <= 8_500
    assert compact({"tools": list(tools.values())}) <= 17_000
    assert len(declarations.INSTRUCTIONS.encode()) <= 1_000


async def test_schemas_are_plain_enough_for_every_client() -> None:
    for name, tool in (await listed()).items():
        schema = tool["inputSchema"]
        assert schema["type"] == "object", name
        assert schema["additionalProperties"] is False, name
        for side in ("inputSchema", "outputSchema"):
            assert not {"$ref", "anyOf", "oneOf", "title", "$defs"} & set(keywords(tool[side])), (name, side)
            assert '"null"' not in json.dumps(tool[side]), (name, side)
        # A refusal carries `error` alone, and some clients validate even that.
        assert "required" not in tool["outputSchema"], name
        assert "error" in tool["outputSchema"]["properties"], name


async def test_estimate_cost_keeps_every_constraint_of_generate_video() -> None:
    def bare(node: Any) -> Any:
        if isinstance(node, dict):
            return {
                key: {name: bare(part) for name, part in value.items()} if key == "properties" else bare(value)
                for key, value in node.items()
                if key != "description"
            }
        return [bare(part) for part in node] if isinstance(node, list) else node

    tools = await listed()
    own = tools["estimate_cost"]["inputSchema"]
    assert own["properties"].pop("all") == {"type": "boolean"}
    assert own == bare(tools["generate_video"]["inputSchema"])


async def test_the_hints_tell_the_truth() -> None:
    hints = {name: tool["annotations"] for name, tool in (await listed()).items()}

    assert {name for name, hint in hints.items() if not hint["readOnlyHint"]} == {
        *("generate_video", "cancel_task", "make_film"),
    }
    assert hints["generate_video"]["idempotentHint"] is False
    assert hints["cancel_task"]["destructiveHint"] is True
    assert all(hint["title"] for hint in hints.values())


@pytest.mark.parametrize(
    "words",
    ["kling", "video", "4k", "text to video", "image to video", "cost", "price", "task status"],
)
def test_a_lexical_search_finds_the_tools(words: str) -> None:
    assert any(words in f"{tool.name} {tool.title} {tool.description}".lower() for tool in declarations.TOOLS)


def test_every_tool_names_kling_and_video() -> None:
    for tool in declarations.TOOLS:
        text = f"{tool.name} {tool.title} {tool.description}".lower()
        assert "kling" in text and "video" in text, tool.name


def test_a_start_imports_nothing_it_does_not_need() -> None:
    import subprocess
    import sys

    heavy = {"rich", "httpx", "sqlite3", "av", "jsonschema", "mcp_server.composition", "mcp_server.service"}
    code = f"""
import sys
from mcp_server.server import stdio
from mcp_server.server.server import build_server
server = build_server()
print(sorted({heavy!r} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_first_order_imports_nothing_on_the_loop_and_no_command_of_httpx() -> None:
    import subprocess
    import sys

    code = """
import asyncio, sys
from mcp_server.composition import load_buying
from mcp_server.server.lazy_service import LazyService, make_service
from mcp_server.settings import Settings
async def first():
    service = await LazyService(Settings.read({}), make_service).loaded()
    await asyncio.to_thread(service.load)
    await asyncio.to_thread(load_buying)
    before = set(sys.modules)
    service.runner
    print(sorted(name for name in set(sys.modules) - before if not name.startswith("mcp_server")))
    print(sorted({"rich", "pygments"} & {name.partition(".")[0] for name in sys.modules}))
asyncio.run(first())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "[]"]


def test_announcing_needs_neither_pydantic_nor_the_sdk() -> None:
    import subprocess
    import sys

    code = "import sys; import mcp_server.server.tools.declarations; print(sorted({'pydantic', 'mcp', 'mcp_types'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
