"""Cold start of the MCP server beside a bare SDK server, interleaved: spawn → initialize → tools/list → a first call.

    python benchmarks/coldstart.py [runs]

Agents spawn the server for every session, so this is paid each time. The aim is at most 0.2 × a bare `MCPServer` with
one tool on the same machine until the list, and 0.7 × its list until a first price. Medians in milliseconds; CPU time
is the number a busy machine disturbs least. `first_order` is a simulated one, after nothing but the list.
"""

from __future__ import annotations

import json
import os
import platform
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
ESTIMATE = ("estimate_cost", {"request": "kling 4k, vertical, 10s: a neon city"})
HELLO = """
from mcp.server import MCPServer
server = MCPServer("hello")
@server.tool()
def hello(name: str) -> str:
    return name
server.run()
"""
OURS = [sys.executable, "-m", "mcp_server"]
TARGETS: dict[str, tuple[list[str], tuple[str, dict[str, Any]]]] = {
    "bare MCPServer": ([sys.executable, "-c", HELLO], ("hello", {"name": "x"})),
    "kling-video": (OURS, ESTIMATE),
    "kling-video, list_models": (OURS, ("list_models", {})),
    "kling-video, first_order": (OURS, ("generate_video", {"request": "kling standard, 5s: a paper boat"})),
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

    def status_mib(self, name: str) -> float:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))

    def cpu_ms(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def measure(command: list[str], call: tuple[str, dict[str, Any]], home: str) -> dict[str, float]:
    server = Server(command, home)
    first = server.ask(1, "initialize", CLIENT)
    initialized = server.since_start()
    server.process.stdin.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
    tools = server.ask(2, "tools/list", {})["tools"]
    listed = server.since_start()
    found = {"tools_cpu_ms": server.cpu_ms(), "tools_peak_mib": server.status_mib("VmHWM")}
    answer = server.ask(3, "tools/call", {"name": call[0], "arguments": call[1]})
    if answer.get("isError"):
        raise SystemExit(f"{call[0]}: {answer['content'][0]['text']}")
    found |= {"call_ms": server.since_start(), "call_cpu_ms": server.cpu_ms(), "call_mib": server.status_mib("VmRSS")}
    leaving = time.perf_counter()
    server.process.stdin.close()
    server.process.wait(10)
    ended = (time.perf_counter() - leaving) * 1000
    server.process.stdout.close()
    seen = [{key: tool[key] for key in ("name", "description", "inputSchema") if key in tool} for tool in tools]
    return {
        "initialize_ms": initialized,
        "tools_ms": listed,
        **found,
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
            for name, (command, call) in TARGETS.items():
                row = measure(command, call, str(Path(home, name)))
                # The first run of each only fills caches.
                if number:
                    taken[name].append(row)
    medians = {
        name: {key: round(statistics.median(row[key] for row in rows), 1) for key in rows[0]}
        for name, rows in taken.items()
    }
    floor, ours = medians["bare MCPServer"], medians["kling-video"]
    ratio = {key: round(ours[key] / floor[key], 2) for key in ("tools_ms", "tools_cpu_ms", "tools_peak_mib")}
    for name, row in medians.items():
        to_list = {key: round(row[f"call_{key}"] / floor[f"tools_{key}"], 2) for key in ("ms", "cpu_ms")}
        ratio |= {f"{name}: first call, {key}, to the bare list": value for key, value in to_list.items()}
    report = {"machine": f"{platform.machine()}, Python {platform.python_version()}", "runs": runs}
    print(json.dumps({**report, "medians": medians, "ratio": ratio, "aim": AIM}, indent=2))
    return 0 if ratio["tools_ms"] <= AIM else 1


if __name__ == "__main__":
    raise SystemExit(main())
