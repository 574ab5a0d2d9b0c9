"""A scratch machine for one client: a home of its own, our command on the PATH, no keys, the client's own logs off."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = Path(os.environ["KLING_CLIENTS"])
"""Where `run` put the clients' packages."""
COMMAND = ROOT / ".venv" / "bin" / "kling-video"

_PACKAGES = ("UV_", "PIP_", "SSL_CERT", "REQUESTS_CA", "PYENV_")


@dataclass
class Machine:
    """One scratch home."""

    home: Path

    @property
    def environ(self) -> dict[str, str]:
        path = [Path(os.environ["KLING_NODE"]), CLIENTS / "node_modules" / ".bin", COMMAND.parent]
        return {
            "HOME": str(self.home),
            "PATH": ":".join([*map(str, path), "/usr/local/bin", "/usr/bin", "/bin"]),
            "TMPDIR": str(self.home / "tmp"),
            "LANG": "C.UTF-8",
            "NO_COLOR": "1",
            "CI": "1",
            "DISABLE_TELEMETRY": "1",
            "DISABLE_AUTOUPDATER": "1",
            "GEMINI_CLI_TRUST_WORKSPACE": "true",
            "KLING_SANDBOX_SECONDS": "1",
        }

    @property
    def with_packages(self) -> dict[str, str]:
        """For what may fetch Python packages: the caller's own ways to the index, and its cache."""
        kept = {
            name: value for name, value in os.environ.items() if name.startswith(_PACKAGES) or "PROXY" in name.upper()
        }
        uv = str(Path(shutil.which("uv") or sys.exit("uv is not on the PATH")).parent)
        cache = os.environ.get("UV_CACHE_DIR") or str(Path.home() / ".cache" / "uv")
        return {**self.environ, **kept, "UV_CACHE_DIR": cache, "PATH": f"{self.environ['PATH']}:{uv}"}

    def run(
        self,
        *command: str | Path,
        cwd: Path | None = None,
        rc: int = 0,
        timeout: float = 180,
        environ: dict[str, str] | None = None,
    ) -> str:
        """What the command says, both streams; any other exit code than `rc` ends the proof."""
        began = time.monotonic()
        done = subprocess.run(
            [str(part) for part in command],
            cwd=cwd or self.home,
            env=environ or self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        shown = " ".join(str(part) for part in command)[:110]
        print(f"   {time.monotonic() - began:5.1f} s  {shown}", flush=True)
        said = done.stdout + done.stderr
        if done.returncode != rc:
            sys.exit(f"{shown}: exit code {done.returncode}, not {rc}\n{said[-3000:]}")
        return said

    def json(self, *command: str | Path, cwd: Path | None = None, timeout: float = 180) -> Any:
        """The JSON the command prints, from the first brace on."""
        said = self.run(*command, cwd=cwd, timeout=timeout)
        start = min(place for sign in "{[" if (place := said.find(sign)) >= 0)
        return json.JSONDecoder().raw_decode(said[start:])[0]


@contextmanager
def machine() -> Iterator[Machine]:
    """A fresh one, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="kling-client-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        (home / "tmp").mkdir()
        yield Machine(home)


def holds(condition: object, what: str, seen: object = "") -> None:
    """One thing the proof claims."""
    if not condition:
        sys.exit(f"   not so: {what}\n{str(seen)[-3000:]}")
    print(f"   ok  {what}", flush=True)


def main(*proofs: Any) -> None:
    """Run the proofs named on the command line, or all."""
    wanted: Sequence[str] = sys.argv[1:]
    for proof in proofs:
        if not wanted or proof.__name__ in wanted:
            print(f"-- {proof.__name__}: {proof.__doc__}", flush=True)
            with machine() as scratch:
                proof(scratch)
