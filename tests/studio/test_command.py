"""The studio as it is started: by its command, beside MCP, and not at all where nobody uses it."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
from support.http_serving import free_port, running
from support.mcp_wire import MODERN, Web
from support.services import hurried, settings

from mcp_server.composition import build
from mcp_server.server.http import build_app

ROOT = Path(__file__).resolve().parents[2]


async def test_the_command_says_the_link_and_ends_with_a_signal(tmp_path: Path) -> None:
    variables = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KLING_HOME": str(tmp_path / "home")}
    command = (sys.executable, "-m", "mcp_server", "studio", "--no-open", "--port")

    async with asyncio.timeout(120):
        first = await asyncio.create_subprocess_exec(
            *command, "0", cwd=ROOT, env=variables, stderr=asyncio.subprocess.PIPE
        )
        assert first.stderr is not None
        link = re.findall(r"http\S+code=\S+", (await first.stderr.readline()).decode())[0]
        async with httpx.AsyncClient(timeout=120) as http:
            assert (await http.get(link)).status_code == 200
            assert "Make your first clip" in (await http.get(link.partition("enter")[0])).text
            assert (await http.post(f"{link.partition('/studio')[0]}/mcp")).status_code == 404, "no MCP on this port"
        port = link.partition("/studio")[0].rpartition(":")[2]
        second = await asyncio.create_subprocess_exec(
            *command, port, cwd=ROOT, env=variables, stderr=asyncio.subprocess.PIPE
        )
        _, refused = await second.communicate()
        first.terminate()
        code = await first.wait()

    assert second.returncode == 73
    assert "Choose another --port" in refused.decode()
    assert code in (0, -15)
    assert not (tmp_path / "home").exists(), "looking makes no record"


async def test_it_stands_beside_mcp_and_asks_for_its_own_link(tmp_path: Path) -> None:
    port, given, clock = free_port(), settings(tmp_path), hurried()
    app = build_app(given, host="127.0.0.1", port=port, make=lambda: build(given, clock=clock), clock=clock)
    async with running(app, port) as address, httpx.AsyncClient(timeout=120) as http:
        listed = await Web(http, f"{address}/mcp", MODERN).send("tools/list")
        assert (await http.get(f"{address}/studio/")).status_code == 401
        assert (await http.get(re.findall(r"http\S+code=\S+", app.state.studio)[0])).status_code == 200
        assert (await http.get(f"{address}/studio/")).status_code == 200

    assert listed.status_code == 200


def test_nothing_of_it_is_imported_before_it_is_used() -> None:
    program = """
import sys
from mcp_server.server.server import build_server
build_server()
print(sorted(name for name in sys.modules if name.startswith(("jinja2", "mcp_server.studio"))))
from mcp_server.server.http import build_app
from mcp_server.settings import Settings
build_app(Settings.read({}), host="127.0.0.1", port=1)
print(sorted(name for name in sys.modules if name.startswith(("jinja2", "mcp_server.studio"))))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "['mcp_server.studio', 'mcp_server.studio.sessions']"]
