"""Cold start of the MCP server beside a bare SDK server, interleaved: spawn → initialize → tools/list.

    python benchmarks/coldstart.py [runs]

Agents spawn the server for every session, so this is paid each time. The aim is at most 0.2 × a bare `MCPServer` with
one tool on the same machine. Medians in milliseconds; CPU time is the number a busy machine disturbs least.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import select
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
AIM = 0.2
HELLO = """
from mcp.server import MCPServer
server = MCPServer("hello")
@server.tool()
def hello(name: str) -> str:
    return name
server.run()
"""
TARGETS = {
    "bare MCPServer": [sys.executable, "-c", HELLO],
    "kling-video": [sys.executable, "-m", "mcp_server"],
}
CLIENT = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "coldstart", "version": "1"}}


class Server:
    """One fresh process and what it said."""

    def __init__(self, command: list[str], home: str) -> None:
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "HOME": home},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.buffer = b""

    def ask(self, number: int, method: str, params: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin and self.process.stdout
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()
        while b"\n" not in self.buffer:
            if not select.select([self.process.stdout], [], [], 60)[0]:
                raise TimeoutError(method)
            self.buffer += os.read(self.process.stdout.fileno(), 1 << 20)
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)["result"]

    def since_start(self) -> float:
        return (time.perf_counter() - self.started) * 1000


def measure(command: list[str], home: str) -> dict[str, float]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    server = Server(command, home)
    first = server.ask(1, "initialize", CLIENT)
    initialized = server.since_start()
    server.process.stdin.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
    tools = server.ask(2, "tools/list", {})["tools"]
    listed = server.since_start()
    status = Path(f"/proc/{server.process.pid}/status")
    peak = 0.0
    if status.exists():
        peak = next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    leaving = time.perf_counter()
    server.process.stdin.close()
    server.process.wait(10)
    ended = (time.perf_counter() - leaving) * 1000
    server.process.stdout.close()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seen = [{key: tool[key] for key in ("name", "description", "inputSchema") if key in tool} for tool in tools]
    return {
        "initialize_ms": initialized,
        "tools_ms": listed,
        "cpu_ms": (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000,
        "peak_mib": peak,
        "exit_ms": ended,
        "tools": len(tools),
        "model_bytes": size(seen),
        "list_bytes": size({"tools": tools}),
        "instructions_bytes": len((first.get("instructions") or "").encode()),
    }


def size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in TARGETS}
    with tempfile.TemporaryDirectory() as home:
        for number in range(runs + 1):
            for name, command in TARGETS.items():
                row = measure(command, home)
                # The first run of each only fills caches.
                if number:
                    taken[name].append(row)
    medians = {
        name: {key: round(statistics.median(row[key] for row in rows), 1) for key in rows[0]}
        for name, rows in taken.items()
    }
    floor, ours = medians["bare MCPServer"], medians["kling-video"]
    ratio = {key: round(ours[key] / floor[key], 2) for key in ("tools_ms", "cpu_ms", "peak_mib")}
    report = {"machine": f"{platform.machine()}, Python {platform.python_version()}", "runs": runs}
    print(json.dumps({**report, "medians": medians, "ratio": ratio, "aim": AIM}, indent=2))
    return 0 if ratio["tools_ms"] <= AIM else 1


if __name__ == "__main__":
    raise SystemExit(main())
