"""Many machines on one: servers and workers as processes of their own, one database, one set of vendors."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx
import psycopg
from drill.lives import Vendors, vendors
from psycopg.rows import dict_row

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Machine:
    """One process, its words kept in a file."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    _out: IO[bytes]

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def until(self, words: str, limit_s: float = 300.0) -> str:
        """What it said once these words are in it."""
        end = time.monotonic() + limit_s
        while words not in self.said():
            assert self.process.poll() is None, f"{self.name} ended: {self.said()[-3000:]}"
            assert time.monotonic() < end, f"{self.name} did not say {words!r}: {self.said()[-3000:]}"
            time.sleep(0.02)
        return self.said()

    def end(self, number: int = signal.SIGTERM, limit_s: float = 20.0) -> int:
        self.process.send_signal(number)
        return self.process.wait(limit_s)


@dataclass
class Machines:
    """A fleet; every process has a home of its own, clips go where all get at them."""

    folder: Path
    database: str
    shops: Vendors
    running: list[Machine] = field(default_factory=list)
    root: Path = ROOT
    """Whose code a process that begins now runs: this checkout's, or a copy's of another version."""

    @property
    def clips(self) -> Path:
        return self.folder / "clips"

    def begin(self, name: str, *words: str, keys: bool = True, inside: Sequence[str] = (), **variables: str) -> Machine:
        """`inside` is a command that runs another in its own place, in a network of its own for one."""
        home = self.folder / name
        home.mkdir(exist_ok=True)
        env = {name: value for name, value in os.environ.items() if not name.startswith(("KLING", "PYTEST"))}
        mine = {
            name: value for name, value in self.shops.variables.items() if keys or not name.endswith(("_KEY", "_TOKEN"))
        }
        env |= {
            **mine, "HOME": str(home), "KLING_HOME": str(home / "state"), "KLING_OUTPUT_DIR": str(self.clips),
            "KLING_DATABASE_URL": self.database, "PYTHONPATH": str(self.root), "PYTHONUNBUFFERED": "1",
        }  # fmt: skip
        out = (home / "log").open("ab")
        process = subprocess.Popen(
            [*inside, sys.executable, "-m", "mcp_server", *words],
            cwd=self.root, env={**env, **variables}, stdout=out, stderr=out,
        )  # fmt: skip
        made = Machine(name, process, home / "log", out)
        self.running.append(made)
        return made

    def worker(self, name: str, **given: Any) -> Machine:
        made = self.begin(name, "worker", **given)
        made.until("Working")
        return made

    def server(self, name: str = "server", *words: str, **given: Any) -> tuple[Machine, str]:
        made = self.begin(name, "serve", "--http", "--port", "0", *words, **given)
        address = made.until("/mcp").partition("MCP at ")[2].partition("/mcp")[0]
        # It listens a moment after it said where.
        while True:
            try:
                httpx.get(f"{address}/health", timeout=60)
                return made, address
            except httpx.ConnectError:
                time.sleep(0.02)

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        with psycopg.connect(self.database, autocommit=True, row_factory=dict_row) as connection:
            return connection.execute(query.encode(), values or None).fetchall()

    def until(self, what: str, query: str, wanted: Any, limit_s: float = 60.0) -> None:
        """Return once the query's only value is this."""
        end, found = time.monotonic() + limit_s, None
        while (found := next(iter(self.rows(query)[0].values()))) != wanted:
            logs = "\n".join(f"{each.name}: {each.said()[-1500:]}" for each in self.running)
            assert time.monotonic() < end, f"{what}: {found}, not {wanted}\n{logs}"
            time.sleep(0.1)

    def orders(self, vendor: str = "runapi") -> int:
        """How many this vendor took."""
        return sum(self.shops.journal(vendor, "")["all"]["accepted"].values())

    def close(self) -> None:
        for each in self.running:
            if each.process.poll() is None:
                each.process.send_signal(signal.SIGCONT)
                each.process.kill()
            each.process.wait()
            each._out.close()


@contextmanager
def machines(
    folder: Path, database: str, seconds: float = 0.4, *, rendering: bool = False, host: str = "127.0.0.1"
) -> Iterator[Machines]:
    with vendors(folder, seconds, rendering=rendering, host=host) as shops:
        made = Machines(folder, database, shops)
        try:
            yield made
        finally:
            made.close()
