"""The command line as a person and as a script meet it: real processes, a real terminal, vendors on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from support.terminal import Terminal, command, environment

if sys.platform == "win32":
    pytest.skip("a pty is a Unix thing", allow_module_level=True)

RECORDINGS = os.environ.get("TERMINAL_RECORDINGS", "")
"""A folder to keep what appeared on the terminals; the gate keeps it as an artifact."""


@dataclass
class Vendors:
    """The sandbox as a process of its own: to the program under test these are real, paid vendors."""

    variables: dict[str, str]

    @property
    def address(self) -> str:
        return self.variables["RUNAPI_BASE_URL"].removesuffix("/runapi")

    @property
    def key(self) -> dict[str, str]:
        return {"X-Sandbox-Key": self.variables["KLING_SANDBOX_CONTROL"]}

    def orders(self, vendor: str = "") -> int:
        """How many orders were taken on."""
        accepted = httpx.get(f"{self.address}/control/journal", headers=self.key).json()["accepted"]
        return accepted.get(vendor, 0) if vendor else sum(accepted.values())

    def fault(self, text: str) -> None:
        httpx.post(f"{self.address}/control/faults", json={"faults": text}, headers=self.key).raise_for_status()


@pytest.fixture(scope="module")
def run_vendors(tmp_path_factory) -> Iterator[Callable[..., Vendors]]:
    running = []

    def run(seconds: float) -> Vendors:
        home = tmp_path_factory.mktemp("vendors")
        process = subprocess.Popen(
            command("sandbox", "--seconds", str(seconds)), env=environment(home), stdout=subprocess.PIPE, text=True
        )
        running.append(process)
        variables: dict[str, str] = {}
        # Addresses and keys of the vendors, and last the key of the control API.
        while "KLING_SANDBOX_CONTROL" not in variables:
            name, _, value = process.stdout.readline().strip().removeprefix("export ").partition("=")
            assert name, "the sandbox ended before it had said everything"
            variables[name] = value
        return Vendors(variables)

    yield run
    for process in running:
        process.terminate()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="module")
def fast(run_vendors) -> Vendors:
    return run_vendors(0.4)


@pytest.fixture(scope="module")
def slow(run_vendors) -> Vendors:
    return run_vendors(8)


@pytest.fixture
def person(tmp_path, request) -> Iterator[Callable[..., Terminal]]:
    """Starts the program in a terminal of its own."""
    open_ones = []

    def start(*words: str, vendors: Vendors | None = None, **variables: str) -> Terminal:
        around = vendors.variables if vendors else {"KLING_SANDBOX_SECONDS": "0.4"}
        env = environment(tmp_path, **{**around, **variables})
        open_ones.append(Terminal(*words, env=env))
        return open_ones[-1]

    yield start
    for number, terminal in enumerate(open_ones):
        terminal.close()
        if RECORDINGS:
            # `cat` in a terminal plays it.
            Path(RECORDINGS, f"{request.node.name}-{number}.txt").write_text(terminal.raw, encoding="utf-8")


@pytest.fixture
def script(tmp_path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the program with pipes on all sides."""

    def run(*words: str, vendors: Vendors | None = None, stdin: str = "", **variables: str):
        around = vendors.variables if vendors else {"KLING_SANDBOX_SECONDS": "0.4"}
        env = environment(tmp_path, **{**around, **variables})
        return subprocess.run(
            command(*words), env=env, input=stdin, capture_output=True, text=True, timeout=120, check=False
        )

    return run


CITY = ("generate", "--prompt", "a neon city")


def test_a_person_sees_route_and_price_then_progress_then_the_file(person) -> None:
    terminal = person(*CITY, "--tier", "pro", "--duration", "5", KLING_SANDBOX_SECONDS="4")
    terminal.until("rendering")
    assert terminal.end() == 0

    seen = terminal.text
    order = [
        "runcomfy · kling-3.0 · pro",
        "Price $0.56: 5 s × $0.112",
        "Task kv-",
        "in the queue",
        "rendering",
        "Ready",
    ]
    assert [part for part in order if part not in seen] == []
    places = [seen.index(part) for part in order]
    assert places == sorted(places)
    assert "a simulation: nothing is charged" in seen
    assert "\x1b[" in terminal.raw


def test_after_the_bars_only_the_answer_is_left_on_the_screen(person) -> None:
    terminal = person(*CITY)
    terminal.end()
    # The last thing rich does to the bars is to erase their line.
    after = terminal.raw.rpartition("\x1b[2K")[2]
    assert "rendering" not in after
    assert ".mp4" in after


def test_ctrl_c_at_the_question_orders_nothing(person, slow) -> None:
    before = slow.orders()
    terminal = person(*CITY, "--tier", "4k", "--provider", "runcomfy", vendors=slow)
    terminal.until("Buy it for $2.10? [y/N]")
    terminal.ctrl_c()
    assert terminal.end() == 130
    assert "Nothing was charged." in terminal.text
    assert slow.orders() == before


@pytest.mark.parametrize("answer", ["n\n", "\n", "\x04"], ids=["no", "return", "end of input"])
def test_anything_but_yes_orders_nothing(answer, person, slow) -> None:
    before = slow.orders()
    terminal = person(*CITY, "--tier", "4k", "--provider", "runcomfy", vendors=slow)
    terminal.until("[y/N]")
    terminal.type(answer)
    assert terminal.end() == 78
    assert "Not ordered. Nothing was charged." in terminal.text
    assert slow.orders() == before


def test_yes_orders_once(person, fast) -> None:
    before = fast.orders("runcomfy")
    terminal = person(*CITY, "--tier", "4k", "--duration", "3", "--provider", "runcomfy", vendors=fast)
    terminal.until("[y/N]")
    terminal.type("y\n")
    assert terminal.end() == 0
    assert fast.orders("runcomfy") == before + 1
    assert "$1.26" in terminal.text.rpartition("Ready")[2]


def test_the_users_own_limit_decides_what_is_asked(person, fast) -> None:
    asked = person(*CITY, "--provider", "runcomfy", vendors=fast, KLING_CONFIRM_ABOVE_USD="0.10")
    asked.until("Buy it for $0.42? [y/N]")
    asked.type("n\n")
    assert asked.end() == 78
    unasked = person(*CITY, "--provider", "runcomfy", "--yes", vendors=fast, KLING_CONFIRM_ABOVE_USD="0.10")
    assert unasked.end() == 0
    assert "[y/N]" not in unasked.text


def test_ctrl_c_in_the_queue_cancels_where_the_vendor_can(person, script, slow) -> None:
    terminal = person(*CITY, "--provider", "runcomfy", vendors=slow)
    terminal.until("in the queue")
    terminal.ctrl_c()
    assert terminal.end() == 130
    assert "RunComfy stopped it." in terminal.text
    assert "Cost: " in terminal.text
    (task,) = json.loads(script("tasks", "--json").stdout)["tasks"]
    assert task["state"] == "cancelled"


def test_ctrl_c_cancels_every_variation(person, script, slow) -> None:
    terminal = person(*CITY, "--provider", "runcomfy", "--count", "2", vendors=slow)
    terminal.until("in the queue")
    terminal.ctrl_c()
    assert terminal.end() == 130
    tasks = json.loads(script("tasks", "--json").stdout)["tasks"]
    assert [task["state"] for task in tasks] == ["cancelled"] * 2
    assert all(f"{task['task_id']}: RunComfy stopped it." in terminal.text for task in tasks)


def test_the_question_names_how_many_and_what_all_of_them_cost(person, slow) -> None:
    before = slow.orders()
    terminal = person(*CITY, "--provider", "runcomfy", "--count", "3", vendors=slow)
    terminal.until("Buy all 3 for $1.26? [y/N]")
    terminal.type("n\n")
    assert terminal.end() == 78
    assert slow.orders() == before


def test_ctrl_c_while_it_renders_says_what_goes_on_and_what_it_costs(person, script, slow) -> None:
    terminal = person(*CITY, "--provider", "runapi", vendors=slow)
    terminal.until("rendering")
    terminal.ctrl_c()
    assert terminal.end() == 130
    assert "RunAPI has no way to cancel: it goes on and is billed." in terminal.text
    assert "Cost: $0.70, billed as ordered." in terminal.text
    (task,) = json.loads(script("tasks", "--json").stdout)["tasks"]

    waited = script("wait", task["task_id"], vendors=slow)

    assert waited.returncode == 0
    assert Path(waited.stdout.strip()).stat().st_size > 1000


def test_ctrl_c_while_the_order_is_on_its_way_waits_for_its_fate_until_the_second(
    person, script, slow, tmp_path
) -> None:
    slow.fault("runapi=slow@25")
    terminal = person(*CITY, "--provider", "runapi", vendors=slow)
    terminal.until("Price")
    _until(lambda: _sent(tmp_path))
    terminal.ctrl_c()
    terminal.until("The order is on its way")
    terminal.ctrl_c()
    assert terminal.end() == 130
    assert "The order may have been taken: `kling-video tasks` shows" in terminal.text
    (task,) = json.loads(script("tasks", "--json").stdout)["tasks"]
    assert task["state"] not in ("cancelled", "failed")


def test_piped_the_answer_is_the_path_alone_and_there_is_no_paint(script) -> None:
    done = script(*CITY)
    assert done.returncode == 0
    path = Path(done.stdout.removesuffix("\n"))
    assert path.is_file()
    assert "\x1b" not in done.stdout + done.stderr
    lines = [line.partition("  ")[2] for line in done.stderr.splitlines() if line.startswith("kv-")]
    assert lines[0] == "in the queue"
    assert lines[-1] == "ready"


def test_json_is_one_object_whatever_happens(script) -> None:
    good = json.loads(script(*CITY, "--json").stdout)
    assert good["state"] == "succeeded"
    assert good["sha256"]
    assert good["delivered"]["duration"] == 5.0
    assert "differences" not in good
    refused = script("generate", "--prompt", "x", "--duration", "99", "--json")
    assert json.loads(refused.stdout)["error"]["code"] == "no_offer"
    assert json.loads(script("generate", "--durtion", "5", "--json").stdout)["error"]["code"] == "bad_argument"


def test_no_wait_prints_the_id_and_wait_gets_the_file(script) -> None:
    ordered = script(*CITY, "--no-wait")
    task = ordered.stdout.strip()
    assert ordered.returncode == 0
    assert task.startswith("kv-")
    waited = script("wait", task)
    assert waited.returncode == 0
    assert waited.stdout.strip().endswith(".mp4")


EXIT_CODES = [
    pytest.param(["generate", "--durtion", "5"], "", 64, "Did you mean --duration?", id="64 unknown flag"),
    pytest.param(["genrate"], "", 64, "Did you mean `kling-video generate`?", id="64 unknown command"),
    pytest.param(["generate"], "", 64, "nothing to make a clip of", id="64 nothing said"),
    pytest.param([*CITY, "--duration", "abc"], "", 64, "number of seconds", id="64 wrong kind"),
    pytest.param([*CITY, "--duration", "99"], "", 65, "99", id="65 nobody sells it"),
    pytest.param([*CITY, "--input", "/none.json"], "", 65, "cannot be read", id="65 no such file"),
    pytest.param(["task", "kv-000000-none"], "", 65, "kv-000000-none", id="65 no such task"),
    pytest.param([*CITY, "--provider", "runapi"], "runapi=failed", 69, "RunAPI", id="69 provider failed"),
    pytest.param(
        [*CITY, "--provider", "uniall", "--accept-unknown-price"], "uniall=429:always@1", 75, "", id="75 try later"
    ),
    pytest.param([*CITY, "--max-cost-usd", "0.01"], "", 78, "--max-cost-usd", id="78 over budget"),
]


@pytest.mark.parametrize(("words", "fault", "code", "says"), EXIT_CODES)
def test_each_end_has_its_exit_code(words, fault, code, says, script, fast) -> None:
    if fault:
        fast.fault(fault)
    try:
        done = script(*words, vendors=fast)
    finally:
        httpx.delete(f"{fast.address}/control/faults", headers=fast.key)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_key_the_vendor_refuses_is_not_signed_in(script, fast) -> None:
    done = script(*CITY, "--provider", "runapi", vendors=fast, RUNAPI_API_KEY="someone-elses")
    assert done.returncode == 77
    assert "kling-video auth runapi" in done.stderr


def test_a_task_that_takes_longer_than_one_waits_is_try_later(script, slow) -> None:
    task = script(*CITY, "--provider", "runapi", "--no-wait", vendors=slow).stdout.strip()
    waited = script("wait", task, "--timeout", "0.1", vendors=slow)
    assert waited.returncode == 75
    assert waited.stdout == ""


def test_no_colour_where_none_is_wanted(person) -> None:
    painted, plain = person("models"), person("models", NO_COLOR="1")
    assert painted.end() == plain.end() == 0
    assert "\x1b[1m" in painted.raw
    assert not any(f"\x1b[{code}" in plain.raw for code in (31, 32, 33, 34, 38))


def test_arguments_come_from_a_file_or_a_pipe_and_flags_go_first(script, tmp_path) -> None:
    (tmp_path / "order.json").write_text(json.dumps({"prompt": "a lake", "duration": 10, "tier": "pro"}))
    from_file = script("estimate", "--input", str(tmp_path / "order.json"), "--duration", "5", "--json")
    chosen = json.loads(from_file.stdout)["chosen"]
    assert (chosen["duration"], chosen["tier"]) == (5, "pro")
    from_pipe = script("estimate", "--input", "-", "--json", stdin='{"prompt": "a lake", "duration": 10}')
    assert json.loads(from_pipe.stdout)["chosen"]["duration"] == 10


def test_a_wrong_clip_is_named_where_the_person_looks(script, fast) -> None:
    fast.fault("runapi=clip_black")
    done = script(*CITY, "--provider", "runapi", vendors=fast)
    assert done.returncode == 0
    assert "! Not as ordered: the picture is black from beginning to end" in done.stderr
    (task,) = json.loads(script("tasks", "--json").stdout)["tasks"]
    shown = script("task", task["task_id"], "--sheet", "--last-frame")
    assert "Not as ordered" in shown.stderr
    pictures = [line.split()[-1] for line in shown.stdout.splitlines() if line.startswith(("sheet", "last frame"))]
    assert [Path(path).read_bytes()[:4] for path in pictures] == [b"\xff\xd8\xff\xfe", b"\x89PNG"]


def test_history_is_searched_and_filtered(script) -> None:
    script("generate", "--prompt", "a red fox")
    script("generate", "--prompt", "a blue whale", "--provider", "sandbox", "--tier", "pro")
    found = script("tasks", "fox").stdout
    assert "a red fox" in found
    assert "whale" not in found
    assert script("tasks", "--state", "failed").stdout == ""
    assert len(json.loads(script("tasks", "--limit", "1", "--json").stdout)["tasks"]) == 1


def test_again_buys_the_same_with_the_change(script) -> None:
    first = json.loads(script(*CITY, "--duration", "5", "--aspect-ratio", "16:9", "--json").stdout)
    again = json.loads(script("again", first["task_id"], "--aspect-ratio", "9:16", "--json").stdout)
    assert again["task_id"] != first["task_id"]
    assert again["prompt"] == "a neon city"
    assert (again["ordered"]["aspect_ratio"], again["ordered"]["duration"]) == ("9:16", 5)


def test_open_hands_the_file_to_the_desktop(script, tmp_path) -> None:
    task = json.loads(script(*CITY, "--json").stdout)
    opened, bin_dir = tmp_path / "opened", tmp_path / "bin"
    bin_dir.mkdir()
    for name in ("xdg-open", "open"):
        (bin_dir / name).write_text(f'#!/bin/sh\necho "$1" > {opened}.part && mv {opened}.part {opened}\n')
        (bin_dir / name).chmod(0o755)
    done = script("open", task["task_id"], PATH=f"{bin_dir}:/usr/bin:/bin")
    assert done.returncode == 0
    assert done.stdout.strip() == task["video_path"]
    _until(opened.exists)
    assert opened.read_text().strip() == task["video_path"]


def test_spend_sets_charged_against_quoted(script, fast) -> None:
    script(*CITY, "--provider", "runcomfy", vendors=fast)
    found = json.loads(script("spend", "--json").stdout)
    assert (found["quoted_usd"], found["settled_usd"]) == ("0.42", "0.42")
    table = script("spend", "--by", "provider").stdout.splitlines()
    assert table[0].split() == ["provider", "clips", "quoted", "charged", "difference"]
    assert table[1].split() == ["runcomfy", "1", "$0.42", "$0.42", "$0.00"]


def _sent(home: Path) -> bool:
    """Whether the record says that a paid call has left."""
    file = home / ".kling" / "tasks.db"
    if not file.exists():
        return False
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
        try:
            return bool(db.execute("SELECT count(*) FROM tasks WHERE sent_at IS NOT NULL").fetchone()[0])
        except sqlite3.OperationalError:
            return False


def _until(true: Callable[[], bool]) -> None:
    """Another process is waited for by looking, at most half a minute."""
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_alone_in_a_terminal_it_says_what_it_is_doing(person) -> None:
    terminal = person()
    shown = terminal.until("Ctrl-C ends it.")
    assert "is serving MCP on standard input and output" in shown and "kling-video --help" in shown


@pytest.mark.parametrize(
    ("vendor", "words"),
    [
        ("runcomfy", "Ctrl-C cancels while it is in the queue"),
        ("runapi", "Ctrl-C leaves; RunAPI cannot cancel, so it is made and billed"),
        ("replicate", "Ctrl-C cancels"),
    ],
)
def test_ctrl_c_is_offered_for_what_it_can_do(script, fast, vendor, words) -> None:
    told = script(*CITY, "--duration", "5", "--provider", vendor, "--yes", "--accept-unknown-price", vendors=fast)
    assert told.returncode == 0, told.stderr
    assert f" · {words}\n" in told.stderr
