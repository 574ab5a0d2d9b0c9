"""A file of orders: one price, one yes, each line bought once however often it is stopped, one line for each result."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from drill.lives import ROOT, Vendors, environment, vendors
from jsonschema import Draft202012Validator

from mcp_server import places
from mcp_server.cli.buy.batch_file import lines_of
from mcp_server.errors import RequestError

CHEAP = {"provider": "runcomfy", "tier": "standard", "duration": 5, "audio": False}
"""$0.42 each."""


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory):
    with vendors(tmp_path_factory.mktemp("vendors")) as house:
        yield house


@pytest.fixture
def batch(tmp_path: Path, shops: Vendors):
    """Runs the command over a file of these lines."""
    shops.clear()

    def run(*flags: str, crash_at: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        env = {**environment(tmp_path, shops, crash_at), **more}
        return subprocess.run(
            [sys.executable, "-m", "mcp_server", "batch", str(tmp_path / "orders.jsonl"), *flags],
            cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    return run


def written(path: Path, *lines: object) -> Path:
    path.write_text("".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines), encoding="utf-8")
    return path


def accepted(shops: Vendors, provider: str = "runcomfy") -> int:
    return int(shops.journal(provider, "")["all"]["accepted"].get(provider, 0))


def orders(tmp_path: Path, count: int = 3, **more: object) -> Path:
    return written(tmp_path / "orders.jsonl", *({"prompt": f"boat {n}", **CHEAP, **more} for n in range(count)))


def test_every_line_becomes_a_file_and_a_line_and_the_same_command_buys_nothing_again(batch, tmp_path, shops) -> None:
    orders(tmp_path)
    done = batch("--max-cost-usd", "2")
    assert done.returncode == 0, done.stderr
    assert "$1.26 for 3 orders" in done.stderr
    rows = [line.split("  ") for line in done.stdout.splitlines()]
    assert sorted(int(row[0]) for row in rows) == [1, 2, 3]
    assert {row[2] for row in rows} == {"succeeded"} and all(Path(row[3]).is_file() for row in rows)
    assert accepted(shops) == 3

    again = batch("--max-cost-usd", "2")
    assert sorted(again.stdout.splitlines()) == sorted(done.stdout.splitlines())
    assert accepted(shops) == 3


def test_a_line_that_is_added_is_bought_alone_and_the_limit_is_that_of_the_whole_file(batch, tmp_path, shops) -> None:
    orders(tmp_path, 2)
    assert batch("--yes").returncode == 0
    orders(tmp_path, 3)
    refused = batch("--max-cost-usd", "1")
    assert (refused.returncode, accepted(shops)) == (78, 2)
    assert "$1.26 for 3 orders, 2 of them bought already" in refused.stderr
    assert batch("--max-cost-usd", "1.26").returncode == 0
    assert accepted(shops) == 3


@pytest.mark.parametrize("point", ["buy.recorded:2", "submit.recorded:2", "save.named"])
def test_killed_anywhere_the_same_command_goes_on_and_buys_no_line_twice(point, batch, tmp_path, shops) -> None:
    # Several are on their way at once; where a lost answer can be asked for again, none stays in doubt.
    orders(tmp_path, provider="runapi")
    assert batch("--yes", crash_at=point).returncode == -signal.SIGKILL
    done = batch("--yes", "--json")
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(row["line"] for row in found) == [1, 2, 3]
    assert len({row["tasks"][0]["task_id"] for row in found}) == accepted(shops, "runapi") == 3
    schema = json.loads((places.schemas() / "cli" / "batch.json").read_text())
    Draft202012Validator.check_schema(schema)
    assert [error.message for row in found for error in Draft202012Validator(schema).iter_errors(row)] == []


def test_lines_that_cannot_be_bought_are_named_before_any_is(batch, tmp_path, shops) -> None:
    path = orders(tmp_path)
    path.write_text(
        path.read_text()
        + '{"promt": "a fox"}\n"sora: a fox"\n\n{"prompt": "x"\n'
        + json.dumps({**CHEAP, "prompt": "x", "max_cost_usd": 0.1})
    )
    done = batch("--yes")
    assert (done.returncode, done.stdout, accepted(shops)) == (65, "", 0)
    for words in ("line 4: Unknown argument promt", "line 7: It is no JSON"):
        assert words in done.stderr

    written(path, {**CHEAP, "prompt": "y"}, "sora: a fox", {**CHEAP, "prompt": "x", "max_cost_usd": 0.1})
    done = batch("--yes")
    assert (done.returncode, accepted(shops)) == (65, 0)
    assert "line 2: " in done.stderr and "line 3: This costs" in done.stderr and "line 1" not in done.stderr


def test_above_a_dollar_nobody_buys_unasked(batch, tmp_path, shops) -> None:
    orders(tmp_path)
    done = batch()
    assert (done.returncode, accepted(shops)) == (78, 0)
    assert "--yes" in done.stderr and "$1.26" in done.stderr
    orders(tmp_path, 2)
    assert batch().returncode == 0
    assert accepted(shops) == 2


def test_the_days_budget_stops_the_rest_and_says_how_far_it_came(batch, tmp_path, shops) -> None:
    orders(tmp_path)
    done = batch("--yes", KLING_DAILY_BUDGET_USD="0.90")
    assert (done.returncode, accepted(shops)) == (78, 2)
    assert "2 ordered, 1 not" in done.stderr
    assert batch("--yes").returncode == 0
    assert accepted(shops) == 3


def test_lines_alike_are_two_orders_and_a_moved_line_is_the_same_one(tmp_path) -> None:
    path = written(tmp_path / "a.jsonl", {"prompt": "fox"}, {"prompt": "fox"}, "kling: a whale")
    one, two, whale = (line.arguments.idempotency_key for line in lines_of(path))
    assert len({one, two, whale}) == 3
    written(path, "kling: a whale", {"prompt": "fox"})
    assert [line.arguments.idempotency_key for line in lines_of(path)] == [whale, one]
    other = written(tmp_path / "b.jsonl", {"prompt": "fox"})
    assert lines_of(other)[0].arguments.idempotency_key not in (one, two)
    written(path, {"prompt": "fox", "idempotency_key": "mine"})
    assert lines_of(path)[0].arguments.idempotency_key == "mine"


def test_a_table_is_read_by_its_headings(tmp_path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(
        "\ufeffprompt,duration,audio,references,tier\n"
        '"a fox, red",5,TRUE,a.png,\n'
        '"two\nlines",,,"[""a.png"", ""b.png""]",pro\n'
    )
    found = lines_of(path)
    assert [line.number for line in found] == [2, 4]
    said = [{k: v for k, v in line.arguments.given().items() if k != "idempotency_key"} for line in found]
    assert said == [
        {"prompt": "a fox, red", "duration": 5, "audio": True, "references": ["a.png"]},
        {"prompt": "two\nlines", "references": ["a.png", "b.png"], "tier": "pro"},
    ]
    path.write_text("prompt,duration\na fox,five\na whale,5,6\n")
    with pytest.raises(RequestError, match="2 lines cannot be bought") as caught:
        lines_of(path)
    assert "line 2: duration" in caught.value.why and "line 3: It has more cells" in caught.value.why


@pytest.mark.parametrize(("text", "said"), [("", "holds no orders"), (None, "cannot be read"), ("[1]", "One line")])
def test_a_file_that_holds_no_orders_is_refused(text, said, tmp_path) -> None:
    path = tmp_path / "orders.jsonl"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RequestError, match=said):
        lines_of(path)
