"""A vendor's words on a person's terminal: shown as what they are, never obeyed, never longer than somebody reads."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from support.mcp_world import Vendors, vendors
from support.terminal import command

from mcp_server.answers.shapes import TaskAnswer
from mcp_server.cli.buy.purchase import tell
from mcp_server.cli.formatting import shown
from mcp_server.cli.screen import Screen
from mcp_server.domain.task import JobReport, VendorFailure
from mcp_server.errors import ProviderError

EVIL = "no\r\nReady: $0.00\x1b[2J\x1b]0;owned\x07\x9b31m\u202egnp.exe\u2028\x7f"
FORBIDDEN = ("\r", "\nReady", "\x1b", "\x07", "\x9b", "\u202e", "\u2028", "\x7f")


@pytest.fixture
async def shops(tmp_path: Path) -> AsyncIterator[Vendors]:
    async with vendors(tmp_path, seconds=0.05) as made:
        yield made


def harmless(text: str) -> None:
    assert "Ready: $0.00" in text
    for sign in FORBIDDEN:
        assert sign not in text, repr(sign)


def test_signs_that_steer_a_terminal_are_written_out() -> None:
    said = shown(EVIL)
    assert said.isprintable() and "\\x1b[2J" in said and "\\r\\nReady" in said and "\\u202e" in said
    # What people write stays as they wrote it.
    for text in ("Größe: 4 €", "猫が走る", "نیم‌فاصله", "👩‍👩‍👧 ok", "a\u00a0b".replace("\u00a0", " ")):
        assert shown(text) == text


@pytest.mark.parametrize("as_json", [False, True])
def test_every_way_to_the_screen_is_harmless(as_json: bool) -> None:
    screen, out, err = Screen(as_json=as_json), io.StringIO(), io.StringIO()
    facts = dict.fromkeys(("provider", "model", "tier", "mode"), EVIL)
    failed = TaskAnswer(task_id="kv-1", state="failed", simulated=False, error={"what": EVIL, "why": EVIL}, **facts)
    with redirect_stdout(out), redirect_stderr(err):
        screen.line(EVIL)
        screen.note(EVIL)
        screen.table(["a", "b"], [[EVIL, "x"]])
        screen.facts({"words": EVIL})
        tell(screen, failed)
    harmless(out.getvalue() + err.getvalue())
    assert json.loads(next(line for line in out.getvalue().splitlines() if line.startswith('{"words"'))) == {
        "words": EVIL
    }


def test_a_log_line_with_a_vendors_words_stays_one_line() -> None:
    code = "import logging, sys; from mcp_server.cli.formatting import harmless_log; harmless_log(); "
    code += "logging.getLogger('kling_video.tasks').warning('Task %s: %s', 'kv-1', sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", code, EVIL], check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    harmless(done.stderr)
    assert done.stderr.count("\n") == 1


async def run(shops: Vendors, *words: str) -> tuple[int, str]:
    """The real program; its code, and all that it showed."""
    process = await asyncio.create_subprocess_exec(
        *command(*words),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2]), **shops.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 120)
    return process.returncode or 0, out.decode()


async def test_a_forged_line_of_a_vendor_is_no_line_of_ours(shops: Vendors) -> None:
    shops.fault("runapi", "failed", EVIL)
    code, text = await run(shops, "generate", "kling 5s: a boat", "--provider", "runapi", "--yes")
    assert code == 69
    harmless(text)


def test_words_of_seven_megabytes_are_told_by_their_beginning() -> None:
    error = ProviderError("no: " + "x" * 7_000_000, fault="unknown", provider="runapi", vendor_words="y" * 7_000_000)
    assert len(str(error)) < 10_000 and len(json.dumps(error.as_dict())) < 20_000
    assert "characters more" in error.what
    assert len(VendorFailure(fault="unknown", words="x" * 7_000_000).words) < 5_000
    assert len(JobReport(state="running", status="x" * 7_000_000).status) == 200
