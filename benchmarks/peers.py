"""Other servers for the same work beside this one, in one run: `python benchmarks/peers.py [ROUNDS] [ORDERS]`.

Each is installed by its package and version into a folder of its own, which goes when this ends, and runs against one
vendor on loopback that answers every one of them in its own shapes at once. Measured in turn, round after round:

- spawn to the answer to tools/list, beside a bare `MCPServer` with one tool ("hello"): the machine's own figure;
- an order to its task id, one after the other, and so many at once; how many of them reached the vendor.

Printed are medians, and ratios to hello and to this server. Nobody here but this server writes an order down before it
leaves, and nobody but KIE afterwards. What cannot be installed or does not start is said, and left out.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from coldstart import HELLO
from mcp_calls import CLIENT, ORDER, ROOT, Server, Vendor

ROUNDS: Final = 5
ORDERS: Final = 40
INSTALL_S: Final = 300.0
"""Some build a database while they are installed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Peer:
    """One server: where it comes from, how it is started, and how one video is ordered from it."""

    name: str
    package: str = ""
    """`pypi:NAME==VERSION` or `npm:NAME@VERSION`; empty for what is here."""
    command: tuple[str, ...]
    """Its program by name, or a whole command line."""
    environment: dict[str, str] = field(default_factory=dict[str, str])
    """`{url}` is the vendor, `{folder}` a folder of its own."""
    tool: str = ""
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])


PEERS: Final = (
    Peer(name="hello (bare MCPServer)", command=(sys.executable, "-c", HELLO), tool="hello", arguments={"name": "x"}),
    Peer(
        name="kling-video",
        command=(sys.executable, "-m", "mcp_server"),
        environment={"UNIALL_API_KEY": "sk-benchmark", "UNIALL_BASE_URL": "{url}"},
        tool="generate_video",
        arguments=ORDER,
    ),
    Peer(
        name="mcp-kling",
        package="pypi:mcp-kling==2026.10.24.0",
        command=("mcp-kling",),
        environment={
            "ACEDATACLOUD_API_BASE_URL": "{url}", "ACEDATACLOUD_API_TOKEN": "benchmark", "LOG_LEVEL": "ERROR",
        },
        tool="kling_generate_video",
    ),
    Peer(
        name="minimax-mcp",
        package="pypi:minimax-mcp==0.0.19",
        command=("minimax-mcp",),
        environment={
            "MINIMAX_API_HOST": "{url}", "MINIMAX_API_KEY": "benchmark", "MINIMAX_MCP_BASE_PATH": "{folder}",
        },
        tool="generate_video",
        arguments={"async_mode": True},
    ),
    Peer(
        name="minimax-mcp-js",
        package="npm:minimax-mcp-js@0.0.18",
        command=("minimax-mcp-js",),
        environment={
            "MINIMAX_API_HOST": "{url}", "MINIMAX_API_KEY": "benchmark", "MINIMAX_MCP_BASE_PATH": "{folder}",
        },
        tool="generate_video",
        arguments={"asyncMode": True},
    ),
    Peer(
        name="KIE",
        package="npm:@felores/kie-ai-mcp-server@5.0.0",
        command=("kie-ai-mcp-server",),
        environment={
            "KIE_AI_BASE_URL": "{url}/kie", "KIE_AI_API_KEY": "benchmark", "KIE_AI_ALLOW_DIRECT_GENERATION": "true",
            "KIE_AI_DB_PATH": "{folder}/tasks.db",
        },
        tool="kling_video",
    ),
)  # fmt: skip


class AnyVendor(Vendor):
    """Takes every order at once, in whichever protocol it comes, and counts them."""

    def answer(self, job: str) -> dict[str, Any]:
        minimax = {"base_resp": {"status_code": 0}, "success": True, "trace_id": job}
        return {**super().answer(job), **minimax, "code": 200, "data": {"taskId": job}}


def installed(peer: Peer, folder: Path) -> tuple[str, ...] | None:
    """Its command line, once it is installed; None where it cannot be."""
    kind, _, package = peer.package.partition(":")
    if not kind:
        return peer.command
    folder.mkdir()
    if kind == "pypi":
        made = [[sys.executable, "-m", "venv", str(folder)], [str(folder / "bin/pip"), "install", "-q", package]]
        program = folder / "bin" / peer.command[0]
    else:
        made = [["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), package]]
        program = folder / "node_modules/.bin" / peer.command[0]
    for command in made:
        try:
            ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=INSTALL_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            print(f"{peer.name}: not installed ({error})", file=sys.stderr)
            return None
        if ended.returncode:
            print(f"{peer.name}: not installed ({ended.stderr.strip()[-200:]})", file=sys.stderr)
            return None
    return (str(program), *peer.command[1:])


async def spawned(peer: Peer, command: tuple[str, ...], url: str, folder: str) -> tuple[Server, float]:
    """The server after its tools/list, and how many milliseconds that took."""
    said = {name: value.format(url=url, folder=folder) for name, value in peer.environment.items()}
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": folder, **said},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=1 << 24,
    )
    server = Server(process)
    async with asyncio.timeout(60):
        await server.ask("initialize", CLIENT)
        process.stdin.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
        await server.ask("tools/list", {})
    return server, (time.perf_counter() - began) * 1000


async def ordered(peer: Peer, server: Server, vendor: AnyVendor, count: int) -> dict[str, float]:
    """Orders, one after the other and all at once; refused where not every one of them reached the vendor."""

    async def one(number: int) -> float:
        said = peer.arguments if peer.tool == "hello" else {**peer.arguments, "prompt": f"a paper boat, {number}"}
        began = time.perf_counter()
        answer = await server.ask("tools/call", {"name": peer.tool, "arguments": said})
        if answer.get("isError"):
            raise RuntimeError(str(answer["content"])[:200])
        return (time.perf_counter() - began) * 1000

    await one(-1)
    before, cpu = vendor.submits, server.cpu_s()
    alone = [await one(number) for number in range(count)]
    began = time.perf_counter()
    await asyncio.gather(*(one(count + number) for number in range(5 * count)))
    at_once = 5 * count / (time.perf_counter() - began)
    sent = vendor.submits - before
    if peer.tool != "hello" and sent != 6 * count:
        raise RuntimeError(f"{sent} of {6 * count} orders reached the vendor")
    cpu_ms = (server.cpu_s() - cpu) * 1000 / (6 * count)
    return {"order_ms": statistics.median(alone), "at_once_per_s": at_once, "cpu_ms": cpu_ms}


async def a_round(peer: Peer, command: tuple[str, ...], vendor: AnyVendor, url: str, count: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        server, tools_ms = await spawned(peer, command, url, folder)
        try:
            async with asyncio.timeout(120):
                return {"tools_ms": tools_ms, **await ordered(peer, server, vendor, count)}
        except (RuntimeError, TimeoutError, KeyError) as error:
            print(f"{peer.name}: no orders ({type(error).__name__}: {error})", file=sys.stderr)
            return {"tools_ms": tools_ms}
        finally:
            server.process.kill()
            await server.process.wait()
            server.reading.cancel()


async def main(rounds: int, count: int) -> None:
    vendor = AnyVendor()
    listening = await vendor.serve()
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    found: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        commands = {peer: installed(peer, Path(folder) / str(at)) for at, peer in enumerate(PEERS)}
        for number in range(rounds + 1):
            for peer, command in commands.items():
                if command is None:
                    continue
                try:
                    row = await a_round(peer, command, vendor, url, count)
                except (OSError, TimeoutError) as error:
                    print(f"{peer.name}: does not start ({type(error).__name__})", file=sys.stderr)
                    continue
                # The first round only fills caches.
                if number:
                    found.setdefault(peer.name, []).append(row)
    listening.close()
    told(found)


def told(found: dict[str, list[dict[str, float]]]) -> None:
    """The table: medians, and the two ratios."""
    middle = {
        name: {key: statistics.median(row[key] for row in rows if key in row) for key in rows[-1]}
        for name, rows in found.items()
    }
    hello, ours = middle[PEERS[0].name], middle[PEERS[1].name]
    print("| server | tools/list ms | × hello | order p50 ms | × ours | at once /s | CPU ms an order |")
    print("|---|---|---|---|---|---|---|")
    for name, row in middle.items():
        cells = [f"{row['tools_ms']:.0f}", f"{row['tools_ms'] / hello['tools_ms']:.2f}"]
        if "order_ms" in row:
            cells += [f"{row['order_ms']:.1f}", f"{row['order_ms'] / ours['order_ms']:.2f}"]
            cells += [f"{row['at_once_per_s']:.0f}", f"{row['cpu_ms']:.2f}"]
        else:
            cells += ["–"] * 4
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    given = [int(text) for text in sys.argv[1:3]]
    asyncio.run(main(*(*given, *(ROUNDS, ORDERS)[len(given) :])))
