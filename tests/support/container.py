"""The Dockerfile's steps without a builder, as its unprivileged user: `python tests/support/container.py`.

What it copies and runs is read from the Dockerfile itself: the wheels are built from the files it copies, installed in an
environment of their own, and started with its words; its health check answers, an order through MCP is made, and nothing
is written but in its two volumes. The base image, which no registry is asked for, is this machine's Python.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UID = 10001
TOKEN = "a-token-for-this-run"
PATIENCE_S = 60.0


def instructions() -> list[tuple[str, str]]:
    """Each instruction with its words, as the Dockerfile has them."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, words) for name, _, words in (line.partition(" ") for line in lines)]


def told(name: str) -> list[str]:
    return [words for each, words in instructions() if each == name]


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="kling-container-") as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)
        home, clips = built(folder)
        served(folder, home, clips)
    print("the Dockerfile's steps: built, installed, healthy, an order made, only its volumes written")
    return 0


def built(folder: Path) -> tuple[Path, Path]:
    """The image's file system, as far as it matters: an environment, and the two volumes."""
    source, wheels = folder / "src", folder / "wheels"
    source.mkdir()
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for words in told("COPY"):
        *files, target = words.split()
        for name in files:
            assert name in allowed, f"{name} is copied, and .dockerignore keeps it out"
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, source / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, source)
    python = shutil.which("python3", path="/usr/local/bin:/usr/bin") if os.geteuid() == 0 else None
    made = folder / "python"
    run([python or sys.executable, "-m", "venv", str(made)])
    place = {"/wheels": str(wheels), "/data": str(folder / "data"), "/clips": str(folder / "clips")}
    build, install, users = told("RUN")
    run([str(made / "bin" / "python"), "-m", *shlex.split(build.replace("/wheels", str(wheels)))], cwd=source)
    _, _, install = install.partition("pip ")
    run([str(made / "bin" / "python"), "-m", "pip", *shlex.split(install.replace("/wheels", str(wheels)))], cwd=folder)
    assert f"--uid {UID} " in users, users
    for words in users.split("&&")[1:]:
        match = re.match(r"\s*install -d -o kling -g kling (?:-m (\d+) )?(/\w+)", words)
        assert match, words
        volume = Path(place[match[2]])
        volume.mkdir(mode=int(match[1] or "755", 8))
        if os.geteuid() == 0:
            os.chown(volume, UID, UID)
    assert json.loads(told("VOLUME")[0]) == ["/data", "/clips"]
    assert told("USER") == [str(UID)]
    return folder / "data", folder / "clips"


def served(folder: Path, home: Path, clips: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    given = dict(word.split("=", 1) for word in told("ENV")[0].split())
    assert given["KLING_HOME"] == "/data" and given["KLING_OUTPUT_DIR"] == "/clips"
    env = {name: value.replace("/data", str(home)).replace("/clips", str(clips)) for name, value in given.items()}
    env |= {"PATH": f"{folder / 'python' / 'bin'}:/usr/bin:/bin", "KLING_SANDBOX_SECONDS": "0.1"}
    words = [*json.loads(told("ENTRYPOINT")[0]), *json.loads(told("CMD")[0])]
    words = [word.replace("8080", port) for word in words]
    open_to_all = subprocess.run(words, env=env, capture_output=True, text=True, check=False, timeout=60, **nobody())
    assert open_to_all.returncode == 64 and "KLING_HTTP_TOKEN" in open_to_all.stderr, open_to_all
    before = {str(path) for path in folder.rglob("*")}
    with subprocess.Popen(words, env={**env, "KLING_HTTP_TOKEN": TOKEN}, cwd="/", **nobody()) as server:
        try:
            healthy(env, port, server)
            task = ordered(port)
        finally:
            server.terminate()
        assert server.wait(timeout=30) in (0, -15), server.returncode
    assert Path(task["video_path"]).parent == clips, task
    assert (home / "tasks.db").stat().st_uid == os.stat(home).st_uid
    new = {str(path) for path in folder.rglob("*")} - before
    outside = [path for path in new if not path.startswith((str(home), str(clips))) and "__pycache__" not in path]
    assert not outside, outside


def healthy(env: dict[str, str], port: str, server: subprocess.Popen[bytes]) -> None:
    """The image's own check, until it says yes."""
    _, _, check = told("HEALTHCHECK")[0].partition("CMD ")
    words = [word.replace("8080", port) for word in json.loads(check)]
    end = time.monotonic() + PATIENCE_S
    while subprocess.run(words, env=env, stderr=subprocess.DEVNULL, check=False, **nobody()).returncode:
        assert server.poll() is None and time.monotonic() < end, "the health check never said yes"


def ordered(port: str) -> dict[str, object]:
    """A rehearsal, through MCP and with the token."""
    address = f"http://127.0.0.1:{port}/mcp"

    def call(name: str, **arguments: object) -> dict[str, object]:
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
        headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        headers |= {"authorization": f"Bearer {TOKEN}", "mcp-protocol-version": "2025-11-25"}
        request = urllib.request.Request(address, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as reply:
            lines = [line for line in reply.read().decode().splitlines() if line.startswith("data: {")]
        return json.loads(lines[-1].removeprefix("data: "))["result"]["structuredContent"]

    try:
        urllib.request.urlopen(urllib.request.Request(address, b"{}"), timeout=10)
        raise AssertionError("without a token it answers")
    except urllib.error.HTTPError as error:
        assert error.code == 401, error
    task = call("generate_video", prompt="a paper boat", duration=5)
    while task.get("state") != "succeeded":
        assert task.get("state") in {"submitting", "queued", "running", "saving"}, task
        task = call("get_task", task_id=task["task_id"], wait_s=20)
        task = task["tasks"][0] if "tasks" in task else task
    return task


def nobody() -> dict[str, object]:
    """The container's user, where this one may become it."""
    return {"user": UID, "group": UID, "extra_groups": []} if os.geteuid() == 0 else {}


def run(words: list[str], cwd: Path | None = None) -> None:
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


if __name__ == "__main__":
    sys.exit(main())
