"""The crash drill: a real process is killed at a named point, another one is started, and the books are compared."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from support.orders import PIXEL

from mcp_server import catalog
from mcp_server.tasks.failpoints import POINTS

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
FACTS = catalog.load()
PROVIDERS = FACTS.rehearsable
IDEMPOTENT = {name for name in PROVIDERS if FACTS.providers[name].idempotent}
LOOKED_UP = {name for name in PROVIDERS if FACTS.providers[name].lookup}
CANCELS = {name for name in PROVIDERS if FACTS.providers[name].cancel != "none"}
PICTURES = {name for name in PROVIDERS if {"data", "upload"} & {*FACTS.providers[name].media_inputs}}
"""Who takes files of this machine: every order goes there with one."""
UPLOAD_CALLS = {"runapi": 3, "fal": 2}
"""How many calls hand one file over."""
FOUND_OR_NOT_S = 400
"""What was never sent is looked for in vain, for two minutes, and a busy machine takes its time."""
PROMPT = "a paper boat in the rain"


def model(provider: str) -> str:
    """What this provider is asked for: Kling 3.0 where it sells it."""
    sold = [offer.model for offer in FACTS.offers if (offer.provider, offer.mode) == (provider, "text-to-video")]
    return next((name for name in ("kling-3.0", "kling-o3") if name in sold), sold[0])


def silence(provider: str) -> dict[str, bool]:
    """That it shall be silent, where that can be asked for."""
    always = {offer.audio for offer in FACTS.offers if (offer.provider, offer.model) == (provider, model(provider))}
    return {} if always == {"always"} else {"audio": False}


@dataclass
class Vendors:
    """The vendors, in a process of their own that outlives every crash."""

    variables: dict[str, str]
    control: str
    store: Path
    """Their jobs, as they keep them."""

    @property
    def key(self) -> dict[str, str]:
        # By a name of this machine, wherever the vendors listen: the control API answers no other.
        return {"X-Sandbox-Key": self.variables["KLING_SANDBOX_CONTROL"], "Host": "localhost"}

    def journal(self, provider: str, key: str) -> dict[str, Any]:
        """What this provider was asked, and how many orders it took on."""
        found = httpx.get(
            f"{self.control}/control/journal", params={"vendor": provider}, headers=self.key, timeout=60.0
        ).json()
        mine = [line for line in found["entries"] if key in json.dumps(line)]
        return {"entries": mine, "accepted": sum(bool(line["accepted"]) for line in mine), "all": found}

    def arm(self, faults: str) -> None:
        """Let this go wrong from now on: `runapi=slow:10@2`."""
        sent = httpx.post(f"{self.control}/control/faults", json={"faults": faults}, headers=self.key, timeout=60.0)
        assert sent.status_code == 200, sent.text

    def counted(self, provider: str) -> dict[str, int]:
        """What this provider was asked at most at once and in any one second, and how often in all."""
        return httpx.get(f"{self.control}/counted/{provider}", timeout=60.0).json()

    def clear(self) -> None:
        httpx.delete(f"{self.control}/control/journal", headers=self.key)


@contextmanager
def vendors(
    folder: Path, seconds: float = 0.4, *, rendering: bool = False, host: str = "127.0.0.1"
) -> Iterator[Vendors]:
    store = folder / "vendors.db"
    process = subprocess.Popen(
        [sys.executable, HERE / "vendors.py", store, str(seconds), host, "drawing" * rendering],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        variables = json.loads(process.stdout.readline())
        control = variables["RUNAPI_BASE_URL"].removesuffix("/runapi")
        for _ in range(200):
            try:
                httpx.get(f"{control}/health")
                break
            except httpx.TransportError:
                continue
        yield Vendors(variables, control, store)
    finally:
        process.kill()
        process.communicate()


@dataclass
class Outcome:
    """What a crash and a second life came to."""

    provider: str
    point: str
    died: bool
    named_at_death: dict[str, str] = field(default_factory=dict)
    tasks: list[dict[str, Any]] = field(default_factory=list)
    accepted: int = 0
    uploads: int = 0
    files: dict[str, str] = field(default_factory=dict)
    left_over: list[str] = field(default_factory=list)


def environment(home: Path, vendors: Vendors, crash_at: str = "") -> dict[str, str]:
    """What a process of this home needs to buy from these vendors, and nothing of whoever runs the drill."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("KLING")}
    return env | vendors.variables | {
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "HOME": str(home), "KLING_HOME": str(home / "state"),
        "KLING_OUTPUT_DIR": str(home / "out"), "KLING_CRASH_AT": crash_at,
    }  # fmt: skip


def life(home: Path, vendors: Vendors, orders: dict[str, Any], crash_at: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, HERE / "buyer.py", json.dumps(orders)], cwd=ROOT, env=environment(home, vendors, crash_at),
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip


def finished(home: Path, vendors: Vendors) -> list[dict[str, Any]]:
    """Every task of this home, once a process has brought to its end what the others left."""
    last = life(home, vendors, {"buy": None, "until_s": FOUND_OR_NOT_S})
    assert last.returncode == 0, last.stderr[-3000:]
    return json.loads(last.stdout)


def ordering(home: Path, provider: str, *, prompt: str = PROMPT, cancel: bool = False) -> dict[str, Any]:
    """What a life is told to buy there: with a picture of this machine, where the vendor takes one."""
    wanted = {"prompt": prompt, "provider": provider, "model": model(provider), "duration": 5, **silence(provider)}
    if provider in PICTURES:
        picture = home / "first.png"
        picture.write_bytes(PIXEL)
        wanted["image"] = str(picture)
    return {"buy": wanted, "cancel": cancel}


def crash(home: Path, vendors: Vendors, provider: str, *points: str) -> Outcome:
    """Lives that die at these points, one after the other, then one that may live."""
    home.mkdir(parents=True)
    vendors.clear()
    orders = ordering(home, provider, cancel=points[0].startswith("cancel."))
    outcome = Outcome(provider, "+".join(points), died=True)
    for point in points:
        first = life(home, vendors, orders, point)
        outcome.died = outcome.died and first.returncode == -signal.SIGKILL
        if first.returncode not in (-signal.SIGKILL, 0):
            raise AssertionError(f"{provider} {point}: {first.stderr[-3000:]}")
        outcome.named_at_death |= files(home / "out")
        orders = {"buy": None}
    if provider in LOOKED_UP:
        orders["until_s"] = FOUND_OR_NOT_S
    second = life(home, vendors, orders)
    assert second.returncode == 0, second.stderr[-3000:]
    outcome.tasks = json.loads(second.stdout)
    books = vendors.journal(provider, "")["all"]
    outcome.accepted = int(books["accepted"].get(provider, 0))
    outcome.uploads = int(books["received"].get(f"{provider}.upload", 0))
    outcome.files = files(home / "out")
    outcome.left_over = hidden(home / "out")
    return outcome


def files(folder: Path) -> dict[str, str]:
    """Everything under a final name, by its hash."""
    if not folder.exists():
        return {}
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.suffix in {".mp4", ".mov", ".webm"} and not path.name.startswith(".")
    }


def hidden(folder: Path) -> list[str]:
    """What a fetch left behind."""
    return sorted(path.name for path in folder.glob(".*")) if folder.exists() else []


def expected(provider: str, points: tuple[str, ...]) -> tuple[str | None, int]:
    """The state in which the task ends, and how many orders the vendor took on."""
    first = points[0]
    if first == "buy.before_record":
        return None, 0
    if provider not in IDEMPOTENT and "submit.before_send" in points:
        return "uncertain", 0
    if provider not in IDEMPOTENT | LOOKED_UP and "submit.answered" in points:
        return "uncertain", 1
    if first == "cancel.answered":
        return "cancelled", 1
    return "succeeded", 1


def uploads(provider: str, points: tuple[str, ...]) -> int:
    """How many calls hand the picture over, each time, and once more when nobody had noted that it was there."""
    if points == ("buy.before_record",):
        return 0
    return UPLOAD_CALLS.get(provider, 0) * (1 + points.count("submit.handed_over"))


def verdict(outcome: Outcome, points: tuple[str, ...]) -> list[str]:
    """Everything that is wrong."""
    wrong: list[str] = []
    state, accepted = expected(outcome.provider, points)
    if not outcome.died:
        wrong.append("the point was never passed")
    if outcome.accepted != accepted:
        wrong.append(f"{outcome.accepted} orders were taken on, not {accepted}")
    if outcome.uploads != uploads(outcome.provider, points):
        wrong.append(f"{outcome.uploads} calls were made for the picture, not {uploads(outcome.provider, points)}")
    states = [task["state"] for task in outcome.tasks]
    if states != ([] if state is None else [state]):
        wrong.append(f"the tasks are {states}, not {state}: {[task['history'] for task in outcome.tasks]}")
    if len(outcome.files) != (state == "succeeded"):
        wrong.append(f"the files are {list(outcome.files)}")
    for name, digest in outcome.named_at_death.items():
        if outcome.files.get(name) != digest:
            wrong.append(f"{name} was not whole when the process died")
    for task in outcome.tasks:
        if task["state"] == "succeeded" and Path(task["artifact"]["path"]).name not in outcome.files:
            wrong.append("the row names a file that is not there")
        if task["state"] == "succeeded" and task["artifact"]["sha256"] not in outcome.files.values():
            wrong.append("the row's hash is not the file's")
    if outcome.left_over:
        wrong.append(f"left over: {outcome.left_over}")
    return wrong


def combinations() -> list[tuple[str, str]]:
    """Every point at every provider that can pass it."""
    return [(provider, point) for provider in PROVIDERS for point in POINTS if passes(provider, point)]


def passes(provider: str, point: str) -> bool:
    """Whether an order at this provider comes by here."""
    if point.startswith("cancel."):
        return provider in CANCELS
    return provider in PICTURES or not point.startswith("submit.hand")
