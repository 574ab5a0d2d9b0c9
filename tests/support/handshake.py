"""Starts a command as an MCP stdio server and asks what it can do, with nothing but the standard library."""

from __future__ import annotations

import json
import subprocess
import sys

VERSION = "2025-11-25"
TOOLS = {"generate_video", "get_task", "estimate_cost", "list_models", "cancel_task", "list_tasks", "make_film"}


def main(command: list[str]) -> int:
    lines = [
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "initialize",
            "params": {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": {"name": "ci", "version": "0"}},
        },
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin and server.stdout
        for line in lines:
            server.stdin.write(json.dumps(line) + "\n")
        server.stdin.flush()
        replies = {reply["id"]: reply["result"] for reply in (json.loads(server.stdout.readline()) for _ in range(2))}
        server.stdin.close()
        code = server.wait(timeout=120)
    found = {tool["name"] for tool in replies[2]["tools"]}
    print(f"{replies[1]['serverInfo']['name']} {replies[1]['serverInfo']['version']}: {', '.join(sorted(found))}")
    assert found == TOOLS, found
    assert code == 0, code
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
