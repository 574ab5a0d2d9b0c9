"""How long a caller waits: generate_video → task id, many orders at once, get_task; over one stdio pipe.

    python benchmarks/mcp_calls.py [calls]

The vendor is a stub on loopback that accepts at once and never finishes, so what is measured is ours: arguments, route,
price, schema check, the durable record and the protocol. Peers measured the same way on two
cores in November 2026, per call at p50 and for 1,000 calls at once: mcp-kling 24 ms and 39 calls/s; the TypeScript
servers 1.2 to 2 ms and 600 to 1,500 calls/s. One of them writes its tasks down.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CLIENT = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "calls", "version": "1"}}
ORDER = {"prompt": "a paper boat", "provider": "uniall", "tier": "standard", "duration": 5, "audio": False}
# Nobody publishes this vendor's prices.
ORDER["accept_unknown_price"] = True


class Vendor:
    """UniAll's two answers, from memory, over kept-alive connections."""

    def __init__(self) -> None:
        self.submits = 0
        self.looks = 0
        self.connections = 0

    def answer(self, job: str) -> dict[str, Any]:
        return {"id": job, "task_id": job, "object": "video.generation.job", "status": "queued", "progress": 0}

    async def serve(self) -> asyncio.Server:
        return await asyncio.start_server(self.connected, "127.0.0.1", 0)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
                )
                await reader.readexactly(length)
                if head.startswith(b"POST"):
                    self.submits += 1
                    job = f"job_{self.submits}"
                else:
                    self.looks += 1
                    job = head.split(b" ")[1].decode().rpartition("/")[2]
                body = json.dumps(self.answer(job)).encode()
                top = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
                writer.write(top + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


class Server:
    """The server as a child, answers matched by id so that many calls can be out at once."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.number = 0
        self.reading = asyncio.create_task(self.read())

    async def read(self) -> None:
        while line := await self.process.stdout.readline():
            message = json.loads(line)
            if waiter := self.waiting.pop(message.get("id"), None):
                waiter.set_result(message["result"])

    def ask(self, method: str, params: dict[str, Any]) -> asyncio.Future[dict[str, Any]]:
        self.number += 1
        waiter = self.waiting[self.number] = asyncio.get_running_loop().create_future()
        message = {"jsonrpc": "2.0", "id": self.number, "method": method, "params": params}
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        return waiter

    async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        answer = await self.ask("tools/call", {"name": name, "arguments": arguments})
        if answer.get("isError"):
            raise SystemExit(f"{name}: {answer['content'][0]['text']}")
        return answer["structuredContent"]

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mib(self) -> float:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


async def timed(server: Server, name: str, arguments: list[dict[str, Any]]) -> list[float]:
    """One after the other, in milliseconds."""
    taken: list[float] = []
    for one in arguments:
        started = time.perf_counter()
        await server.call(name, one)
        taken.append((time.perf_counter() - started) * 1000)
    return taken


def shown(taken: list[float]) -> dict[str, float]:
    ordered = sorted(taken)
    at = lambda share: round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 2)  # noqa: E731
    return {"p50_ms": round(statistics.median(ordered), 2), "p95_ms": at(0.95), "p99_ms": at(0.99)}


async def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    vendor = Vendor()
    listening = await vendor.serve()
    port = listening.sockets[0].getsockname()[1]
    with tempfile.TemporaryDirectory() as home:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mcp_server"),
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "HOME": home,
                "UNIALL_API_KEY": "sk-benchmark",
                "UNIALL_BASE_URL": f"http://127.0.0.1:{port}",
            },
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 24,
        )
        server = Server(process)
        await server.ask("initialize", CLIENT)
        process.stdin.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
        first = (await timed(server, "generate_video", [{**ORDER, "prompt": "the first"}]))[0]
        alone = await timed(server, "generate_video", [{**ORDER, "prompt": f"boat {n}"} for n in range(200)])
        task_id = (await server.call("generate_video", ORDER))["task_id"]
        asked = await timed(server, "get_task", [{"task_id": task_id}] * 200)
        priced = await timed(server, "estimate_cost", [ORDER] * 100)

        cpu, started, before = server.cpu_s(), time.perf_counter(), vendor.submits
        answers = await asyncio.gather(
            *(server.call("generate_video", {**ORDER, "prompt": f"many {n}"}) for n in range(calls))
        )
        took = time.perf_counter() - started
        report = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
            "first generate_video of a process, ms": round(first, 1),
            "generate_video, one after the other": shown(alone),
            "get_task, pending": shown(asked),
            "estimate_cost": shown(priced),
            f"{calls} generate_video at once": {
                "seconds": round(took, 2),
                "calls_per_s": round(calls / took),
                "cpu_ms_per_call": round((server.cpu_s() - cpu) * 1000 / calls, 2),
                "distinct_ids": len({answer["task_id"] for answer in answers}),
                "submits": vendor.submits - before,
                "connections": vendor.connections,
                "status_requests_meanwhile": vendor.looks,
                "peak_mib": round(server.peak_mib()),
            },
        }
        print(json.dumps(report, indent=2))
        process.kill()
        await process.wait()
        server.reading.cancel()
    listening.close()


if __name__ == "__main__":
    asyncio.run(main())
