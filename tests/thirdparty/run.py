"""Clients and suites nobody here wrote, against the real server: `python tests/thirdparty/run.py [--only WORD]`.

The MCP conformance suites, the Inspector's command line and mcporter, fal's and Replicate's own clients, and azurite, on which the contract of
object stores (tests/stores) is tried, all from npm at pinned versions, kept in ~/.cache/kling-video-ci between runs. They need Node 22 or newer, which npm itself can bring (`node@24`). Where even that
cannot be had, the run says so loudly and ends with 0; everything else that fails, fails.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kling-video-ci"
PACKAGES = {
    "conformance-0.1": "@modelcontextprotocol/conformance@0.1.16",
    "conformance-0.2": "@modelcontextprotocol/conformance@0.2.0-alpha.12",
    "inspector": "@modelcontextprotocol/inspector@2.12.0",
    "mcporter": "mcporter@0.12.3",
    "vendors": "@fal-ai/client@1.10.1 replicate@1.4.0",
    "azurite": "azurite@3.37.0",
}
REQUEST = "kling 4k, vertical, 5 seconds: a paper boat in the rain"


class Unavailable(Exception):
    """npm or Node cannot be had here."""


def node() -> Path:
    """A Node that is new enough."""
    found = CACHE / "node24" / "node_modules" / "node" / "bin" / "node"
    if not found.exists():
        install("node24", "node@24", scripts=True)
    if not found.exists():
        raise Unavailable("npm brought no node@24 for this machine")
    return found


def install(folder: str, package: str, *, scripts: bool = False) -> None:
    target = CACHE / folder
    npm = shutil.which("npm")
    if npm is None:
        raise Unavailable("there is no npm")
    target.mkdir(parents=True, exist_ok=True)
    (target / "package.json").write_text('{"private": true}\n', encoding="utf-8")
    command = [npm, "install", "--no-audit", "--no-fund", *([] if scripts else ["--ignore-scripts"]), *package.split()]
    done = subprocess.run(command, check=False, cwd=target, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise Unavailable(f"npm install {package}: {done.stderr.strip()[-400:]}")


def tool(folder: str, entry: str) -> list[str]:
    """The command of a pinned package."""
    path = CACHE / folder / "node_modules" / entry
    if not path.exists():
        install(folder, PACKAGES[folder])
    return [str(node()), str(path)]


def environment(home: Path) -> dict[str, str]:
    """Nobody's keys, a fresh home, and a sandbox that renders in a blink."""
    keep = {name: value for name, value in os.environ.items() if name in {"LANG", "SSL_CERT_FILE", "TMPDIR"}}
    return {
        **keep,
        "PATH": f"{node().parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "KLING_HOME": str(home / "kling"),
        "KLING_OUTPUT_DIR": str(home / "videos"),
        "KLING_SANDBOX_SECONDS": "1",
        "NO_COLOR": "1",
    }


@contextmanager
def serving(home: Path, *command: str) -> Iterator[str]:
    """An HTTP server of ours; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (home / "server.log").open("w+")
    process = subprocess.Popen([*command, str(port)], cwd=ROOT, env=environment(home), stdout=log, stderr=log)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        process.wait(15)
        log.close()


def wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except (urllib.error.URLError, ConnectionError):
            if process.poll() is not None:
                raise SystemExit("the server did not start") from None
            time.sleep(0.1)
    raise SystemExit("the server did not answer in 30 s")


def call(command: list[str], home: Path, *, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        check=False,
        cwd=home,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )


def expect(done: subprocess.CompletedProcess[str], what: str, *, code: int = 0) -> str:
    if done.returncode != code:
        raise SystemExit(f"FAILED {what}: exit {done.returncode}\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}")
    print(f"ok  {what}", flush=True)
    return done.stdout


def conformance(home: Path) -> None:
    with serving(home, sys.executable, str(HERE / "serve_fixtures.py")) as url:
        for folder in ("conformance-0.1", "conformance-0.2"):
            command = tool(folder, "@modelcontextprotocol/conformance/dist/index.js")
            command += ["server", "--url", url, "--suite", "all", "--expected-failures", str(HERE / "baseline.yml")]
            out = expect(call(command, home, timeout=600), f"{PACKAGES[folder]} --suite all")
            print("    " + next((line for line in out.splitlines() if line.startswith("Total:")), "no total"))


def inspector(home: Path) -> None:
    cli = [*tool("inspector", "@modelcontextprotocol/inspector/clients/launcher/build/index.js"), "--cli"]
    stdio = [sys.executable, "-m", "mcp_server"]
    out = expect(
        call([*cli, *stdio, "--method", "tools/list", "--strict"], home), "Inspector tools/list --strict, stdio"
    )
    assert "generate_video" in out
    with serving(home, sys.executable, "-m", "mcp_server", "serve", "--http", "--port") as url:
        http = [url, "--transport", "http"]
        for where, target in (("stdio", stdio), ("HTTP", http)):
            for era in ("legacy", "modern"):
                purchase(home, [*cli, *target, "--protocol-era", era], f"Inspector, {where}, {era}")
        skills = [*cli, *http, "--protocol-era", "modern", "--method", "skills/list", "--verify"]
        expect(call(skills, home), "Inspector skills/list --verify")
        schema = [*cli, *http, "--protocol-era", "modern", "--method", "tools/list", "--strict"]
        expect(call(schema, home), "Inspector tools/list --strict, HTTP")


def purchase(home: Path, client: list[str], label: str) -> None:
    """Order, wait, and hold the file."""

    def tool_call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        command = [*client, "--method", "tools/call", "--tool-name", name, "--tool-args-json", json.dumps(arguments)]
        answer = json.loads(expect(call([*command, "--format", "json"], home), f"{label}: {name}"))
        answer = answer.get("result", answer)
        facts = answer["structuredContent"]
        assert json.loads(answer["content"][0]["text"]) == facts
        return facts

    ordered = tool_call("generate_video", {"request": REQUEST})
    assert ordered["task_id"]
    assert ordered["simulated"] is True
    done = tool_call("get_task", {"task_id": ordered["task_id"], "wait_s": 25})
    assert done["state"] == "succeeded", done
    assert Path(done["video_path"]).stat().st_size == done["bytes"]


def mcporter(home: Path) -> None:
    cli = tool("mcporter", "mcporter/dist/cli.js")
    server = ["--stdio", f"{sys.executable} -m mcp_server", "--name", "kling"]
    out = expect(call([*cli, "list", *server, "--schema"], home), "mcporter list")
    assert "generate_video" in out
    command = [*cli, "call", *server, "estimate_cost", "request=kling 4k, 5 seconds: rain", "--output", "json"]
    facts = json.loads(expect(call(command, home), "mcporter call estimate_cost"))
    assert facts["chosen"]["tier"] == "4k", facts
    wrong = [*cli, "call", *server, "estimate_cost", "durration=5", "--output", "json"]
    done = call(wrong, home)
    expect(done, "mcporter: a refusal is an error", code=1)
    assert "duration" in done.stdout + done.stderr
    _film(cli, server, home)


def _film(cli: list[str], server: list[str], home: Path) -> None:
    """A film of five shots: planned, bought, waited for. Each call is a process of its own, and a call waits 25 s."""
    scenes = ("a paper boat in a gutter", "it falls into the drain", "a canal", "the harbour", "the open sea")
    shots = [{"id": f"s{number}", "prompt": scene, "duration": 3} for number, scene in enumerate(scenes)]
    board = json.dumps({"title": "Boat", "look": {"tier": "standard"}, "shots": shots})

    def called(tool_name: str, *words: str) -> dict[str, Any]:
        command = [*cli, "call", *server, tool_name, *words, "--output", "json"]
        return json.loads(expect(call(command, home), f"mcporter call {tool_name}"))

    planned = called("make_film", f"board={board}")
    assert planned["state"] == "planned", planned
    called("make_film", f"film_id={planned['film_id']}", "max_cost_usd=50")
    film, waits = planned, 0
    while not film.get("finished_at") and waits < 12:
        film, waits = called("get_task", f"task_id={planned['film_id']}", "wait_s=25"), waits + 1
    assert film["state"] == "succeeded", film
    assert Path(film["video_path"]).stat().st_size == film["bytes"]
    print(f"    a film of {len(shots)} shots in {2 + waits} calls")


def vendors(home: Path) -> None:
    """fal's and Replicate's own clients, at the sandbox that plays their vendors."""
    shutil.copy(HERE / "vendors.mjs", CACHE / "vendors" / "vendors.mjs")
    command = [sys.executable, str(ROOT / "tests" / "drill" / "vendors.py"), str(home / "vendors.db"), "0.3"]
    played = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE)
    try:
        assert played.stdout is not None
        urls = json.loads(played.stdout.readline())
        wait_for(f"{urls['FAL_BASE_URL'].removesuffix('/fal')}/health", played)
        script = [str(node()), str(CACHE / "vendors" / "vendors.mjs"), urls["FAL_BASE_URL"], urls["REPLICATE_BASE_URL"]]
        out = expect(call(script, home), PACKAGES["vendors"])
        print("".join(f"    {line}\n" for line in out.splitlines()), end="")
    finally:
        played.kill()
        played.communicate()


def azure(home: Path) -> None:
    """What an object store promises, on Azure's: the tests that run on S3's and Google's in the suite."""
    azurite = tool("azurite", "azurite/dist/src/blob/main.js")
    variables = {**os.environ, "OBJECT_STORES": "az", "AZURITE": json.dumps(azurite), "TMPDIR": str(home)}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/stores/test_contract.py"]
    done = subprocess.run(command, check=False, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=600)
    print("    " + expect(done, PACKAGES["azurite"]).splitlines()[-1])


CHECKS: dict[str, Callable[[Path], None]] = {
    "conformance": conformance,
    "inspector": inspector,
    "mcporter": mcporter,
    "vendors": vendors,
    "azure": azure,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=sorted(CHECKS))
    only = parser.parse_args().only
    try:
        print(subprocess.run([str(node()), "--version"], capture_output=True, text=True, check=True).stdout.strip())
        for folder, package in PACKAGES.items():
            if not (CACHE / folder / "node_modules").exists():
                install(folder, package)
    except (Unavailable, subprocess.SubprocessError, OSError) as missing:
        print(
            f"{'=' * 80}\nSKIPPED: neither third-party clients nor Azure's store were tried, because {missing}\n{'=' * 80}",
            file=sys.stderr,
        )
        return 0
    for name, check in CHECKS.items():
        if only in (None, name):
            with tempfile.TemporaryDirectory() as home:
                check(Path(home))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
