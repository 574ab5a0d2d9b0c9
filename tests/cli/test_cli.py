"""The command line without a terminal: flags, start-up, completion, words for people."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from support.services import service

from mcp_server import catalog
from mcp_server.__main__ import main
from mcp_server.answers.shapes import Cost, Settled, SpendLine, TaskAnswer, TaskCost
from mcp_server.answers.spend import drift
from mcp_server.cli import COMMANDS, formatting, parser
from mcp_server.cli.buy import generate, purchase
from mcp_server.cli.screen import Screen
from mcp_server.cli.setup import completion
from mcp_server.domain.arguments import VideoArguments
from mcp_server.domain.task import Artifact, Settlement, Task
from mcp_server.errors import ArgumentError, BudgetError, UnknownTaskError
from mcp_server.language import reader
from mcp_server.ordering.again import amended

FLAGS = {
    "prompt": (["--prompt", "a lake"], "a lake"),
    "negative_prompt": (["--negative-prompt", "blur"], "blur"),
    "mode": (["--mode", "image-to-video"], "image-to-video"),
    "tier": (["--tier", "4k"], "4k"),
    "model": (["--model", "kling-o3"], "kling-o3"),
    "provider": (["--provider", "runapi"], "runapi"),
    "duration": (["--duration", "10s"], 10),
    "aspect_ratio": (["--aspect-ratio", "9:16"], "9:16"),
    "resolution": (["--resolution", "1080p"], "1080p"),
    "audio": (["--no-audio"], False),
    "cfg_scale": (["--cfg-scale", "0.5"], 0.5),
    "image": (["--image", "a.png"], "a.png"),
    "end_image": (["--end-image", "b.png"], "b.png"),
    "references": (["--reference", "a.png", "--reference", "b.png"], ["a.png", "b.png"]),
    "video": (["--video", "c.mp4"], "c.mp4"),
    "audio_file": (["--audio-file", "v.mp3"], "v.mp3"),
    "source_task": (["--source-task", "kv-1"], "kv-1"),
    "count": (["--count", "3"], 3),
    "again": (["--again", "kv-1"], "kv-1"),
    "shots": (
        ["--shot", "3: a door opens", "--shot", "2s: light"],
        [{"prompt": "a door opens", "duration": 3}, {"prompt": "light", "duration": 2}],
    ),
    "off_peak": (["--off-peak"], True),
    "options": (
        ["--option", "metadata.ext_info=x", "--option", "camera=[1, 2]"],
        {"metadata": {"ext_info": "x"}, "camera": [1, 2]},
    ),
    "max_cost_usd": (["--max-cost-usd", "2.5"], 2.5),
    "accept_unknown_price": (["--accept-unknown-price"], True),
    "idempotency_key": (["--idempotency-key", "k"], "k"),
    "output_dir": (["--output-dir", "/tmp/x"], "/tmp/x"),
}


def test_every_argument_has_a_flag() -> None:
    assert set(FLAGS) == set(VideoArguments.model_fields) - {"request"}


@pytest.mark.parametrize("name", FLAGS)
def test_a_flag_is_the_argument_of_its_name(name) -> None:
    flag, value = FLAGS[name]
    given = generate.flags().parse_intermixed_args(flag)
    assert parser.video_arguments(given).given() == {name: value}


def test_words_may_stand_before_between_and_after_flags() -> None:
    given = generate.flags().parse_intermixed_args(["kling", "4k:", "--duration", "3", "a", "cat", "--yes"])
    assert parser.video_arguments(given).given() == {"request": "kling 4k: a cat", "duration": 3}


def test_a_flag_that_no_vendor_can_honour_says_so() -> None:
    with pytest.raises(ArgumentError, match=r"unrecognized arguments: --seed.*no Kling vendor takes one") as refused:
        generate.flags().parse_intermixed_args(["a", "cat", "--seed", "3"])
    assert "Did you mean" not in str(refused.value)


def test_a_wrong_value_in_the_file_is_refused_by_name(tmp_path) -> None:
    (tmp_path / "order.json").write_text('{"prompt": "x", "durration": 5}')
    given = generate.flags().parse_intermixed_args(["--input", str(tmp_path / "order.json")])
    with pytest.raises(ArgumentError, match="durration; the nearest known one is duration"):
        parser.video_arguments(given)


@pytest.mark.parametrize("content", ["[1]", "not json", '"text"'])
def test_a_file_that_is_no_object_is_bad_input(content, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(content))
    assert main(["estimate", "--input", "-"]) == 65
    assert "--input -" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["--option", "--option=x", "--option==1"])
def test_a_vendors_field_needs_a_name_and_a_value(text) -> None:
    with pytest.raises(ArgumentError):
        parser.video_arguments(generate.flags().parse_intermixed_args([text]))


def test_help_version_and_an_unknown_command_import_nothing_heavy() -> None:
    program = (
        "import sys; from mcp_server.__main__ import main; codes = [main([w]) for w in ('--help', '--version', 'nonsense')];"
        "heavy = {'pydantic', 'rich', 'asyncio', 'mcp', 'httpx', 'argparse', 'sqlite3', 'tomllib'} & set(sys.modules);"
        "print('codes', codes, 'heavy', sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "codes [0, 0, 64] heavy []"


def test_flags_are_refused_before_the_service_is_built() -> None:
    program = (
        "import sys; from mcp_server.__main__ import main; code = main(['generate', '--nonsense']);"
        "print(code, sorted({'pydantic', 'rich', 'asyncio', 'mcp', 'httpx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "64 []"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name, capsys) -> None:
    assert main([name, "--help"]) == 0
    assert f"kling-video {name}" in capsys.readouterr().out


def test_the_list_of_commands_names_each_once(capsys) -> None:
    assert main(["--help"]) == 0
    lines = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert lines == list(COMMANDS)


def test_a_sentence_alone_orders_as_generate_does(monkeypatch) -> None:
    ordered: list[list[str]] = []
    monkeypatch.setattr(generate, "run", lambda argv: ordered.append(argv) or 0)
    assert main(["kling 4k: a neon city", "--json"]) == 0
    assert ordered == [["kling 4k: a neon city", "--json"]]


def test_a_command_quoted_with_its_words_orders_nothing(monkeypatch, capsys) -> None:
    monkeypatch.setattr(generate, "run", lambda argv: pytest.fail(f"ordered {argv}"))
    assert main(["estimate kling 4k: a neon city"]) == 64
    assert "after `kling-video estimate`" in capsys.readouterr().err


def test_help_of_a_command_is_its_own(capsys) -> None:
    assert main(["help", "spend"]) == 0
    assert "kling-video spend" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["auth", "install"])
def test_a_wrong_word_is_refused_in_our_words(name, capsys) -> None:
    assert main([name, "nonsense"]) == 64
    said = capsys.readouterr().err
    assert "runapi" in said or "openclaw" in said
    assert "usage:" not in said


def _completed(script: str, *line: str) -> set[str]:
    """What a real bash offers at the end of this line."""
    words_ = " ".join(f"'{word}'" for word in line)
    asked = f"{script}\nCOMP_WORDS=({words_}); COMP_CWORD={len(line) - 1}; _kling_video; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    return set(subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_completes_commands_flags_and_values(capsys) -> None:
    assert completion.run(["bash"]) == 0
    script = capsys.readouterr().out
    assert _completed(script, "kling-video", "ta") == {"tasks", "task"}
    assert _completed(script, "kling-video", "generate", "--ti") == {"--tier"}
    assert _completed(script, "kling-video", "generate", "--tier", "") == {"standard", "pro", "4k"}
    assert "--stop-following" in _completed(script, "kling-video", "cancel", "--")
    assert "--tier" not in _completed(script, "kling-video", "cancel", "--")
    assert _completed(script, "kling-video", "spend", "--by", "p") == {"provider"}


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_every_command_and_flag(shell, capsys) -> None:
    assert completion.run([shell]) == 0
    script = capsys.readouterr().out
    for name in COMMANDS:
        assert name in script
    assert "max-cost-usd" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n", "/dev/stdin"], input=script, text=True, check=True)


def test_a_piped_table_lines_up_and_cuts_nothing(capsys) -> None:
    Screen().table(("a", "price"), [("x" * 200, "$1.00"), ("y", "$10.00")], right=(1,))
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "x" * 200 + "   $1.00"
    assert lines[2].endswith(" $10.00")
    assert len(set(map(len, lines))) == 1


def test_on_a_narrow_terminal_ids_stay_whole(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(Screen, "terminal", property(lambda _: True))
    Screen().table(("", "task", "state"), [("→", "kv-261121-fxxya5dfq4ch", "succeeded" * 2), (" ", "kv-2", "")])
    assert capsys.readouterr().out.splitlines() == [
        "→ kv-261121-fxxya5dfq4ch",
        f"  state  {'succeeded' * 2}",
        "kv-2",
    ]


@pytest.mark.parametrize(
    ("advice", "told"),
    [
        ("list_models shows what there is", "`kling-video models` shows what there is"),
        ("Later call get_task with task_id kv-1 and wait_s up to 25.", "Later call `kling-video wait kv-1`."),
        ("Raise max_cost_usd", "Raise --max-cost-usd"),
        (
            "Go on with other work; later call get_task with task_id kv-1 and wait_s up to 25.",
            "It goes on by itself; later run `kling-video wait kv-1`.",
        ),
        ("Deliver the file at video_path. It is a simulation", "`kling-video open` shows the clip. It is a simulation"),
        (
            "Deliver the draft at video_path; when the user likes it, make_film with film_id kf-1, draft false and "
            "max_cost_usd makes the final.",
            "`kling-video open` shows the draft; when you like it, `kling-video film kf-1` --no-draft makes the final.",
        ),
        (
            "Show the user the price ($1.00); when they agree, call make_film with film_id kf-1.",
            "It would cost what is shown ($1.00); when you agree, run `kling-video film kf-1`.",
        ),
        ("a prompt about my_get_task_list", "a prompt about my_get_task_list"),
    ],
)
def test_advice_for_agents_is_told_as_people_type_it(advice, told) -> None:
    assert formatting.typed(advice) == told


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ArgumentError("That is not a key", why="it is empty"), "That is not a key: it is empty. Nothing was charged."),
        (ArgumentError("Why? No", why="It is so"), "Why? No. It is so. Nothing was charged."),
        (ArgumentError("Done.", why="it was late"), "Done. it was late. Nothing was charged."),
    ],
)
def test_a_reason_that_starts_small_goes_on_with_its_sentence(error, text) -> None:
    assert str(error) == text


@pytest.mark.parametrize(
    ("cost", "text"),
    [
        (Cost(usd="0.56"), "$0.56"),
        (Cost(amount="270", currency="credits"), "270 credits"),
        (Cost(usd="2.70", amount="270", currency="credits"), "$2.70 (270 credits)"),
        (Cost(usd_at_most="1.40"), "at most $1.40"),
        (Cost(), "price unknown"),
    ],
)
def test_money_as_people_read_it(cost, text) -> None:
    assert formatting.cost(cost) == text


ENDS = [
    ("succeeded", None, 0),
    ("failed", {"fault": "content_policy"}, 69),
    ("failed", {"fault": "auth"}, 77),
    ("failed", {"fault": "rate_limited"}, 75),
    ("failed", {"code": "unreachable"}, 75),
    ("failed", {"code": "bad_argument"}, 64),
    ("failed", {"code": "not_signed_in"}, 77),
    ("failed", {"code": "provider_error", "fault": "unknown"}, 69),
    ("cancelled", None, 69),
    ("uncertain", None, 75),
    ("running", None, 75),
]


@pytest.mark.parametrize(("state", "error", "code"), ENDS)
def test_each_state_has_its_exit_code(state, error, code) -> None:
    task = _answer(state=state, error=error)
    assert formatting.exit_code(task) == code


def _answer(**changes) -> TaskAnswer:
    facts = {
        "task_id": "kv-1", "state": "succeeded", "provider": "runapi", "model": "kling-3.0", "tier": "pro",
        "mode": "text-to-video", "simulated": False,
    }  # fmt: skip
    return TaskAnswer(**(facts | changes))


def test_the_price_cell_shows_what_was_charged_else_what_was_quoted() -> None:
    quoted = Cost(usd="0.56")
    assert formatting.paid(_answer(cost=TaskCost(estimated=quoted))) == "$0.56"
    assert (
        formatting.paid(_answer(cost=TaskCost(estimated=quoted, settled=Settled(usd="1.12", basis="reported"))))
        == "$1.12"
    )
    assert formatting.paid(_answer(cost=TaskCost(estimated=quoted, settled=Settled(basis="not_documented")))) == "$0.56"
    assert formatting.paid(_answer(simulated=True, cost=TaskCost(estimated=quoted))) == "free"
    refused = _answer(state="failed", error={"money": "not_spent"}, cost=TaskCost(estimated=quoted))
    assert formatting.paid(refused) == "nothing"


def _again(text: str, said: dict, **changes) -> dict:
    wishes = reader.read(f"kling {text}", catalog=catalog.load()) if text else None
    return amended(said, changes, wishes)


def test_again_takes_changes_from_words_and_flags() -> None:
    said = {"request": "kling 4k, 10s: a neon city", "idempotency_key": "k", "tier": "4k"}
    assert _again("9:16 / pro", said) == {"request": said["request"], "tier": "pro", "aspect_ratio": "9:16"}
    assert _again("pro", said, tier="standard")["tier"] == "standard"
    assert _again("", said, prompt="a lake")["prompt"] == "a lake"
    assert _again("under $2.50", said)["max_cost_usd"] == 2.5


def test_again_never_reuses_the_key_that_stands_for_the_first() -> None:
    assert "idempotency_key" not in _again("", {"prompt": "x", "idempotency_key": "k"})


def test_words_that_are_no_change_are_not_bought_as_a_scene() -> None:
    with pytest.raises(ArgumentError, match="but slower"):
        _again("pro, but slower", {"prompt": "x"})


def test_another_model_does_not_drag_the_old_tier_along() -> None:
    assert _again("", {"prompt": "x", "tier": "4k"}, model="kling-2.6") == {"prompt": "x", "model": "kling-2.6"}


def _task(number: int, *, quoted: str, charged: str | None, basis: str = "reported", **changes) -> Task:
    settlement = Settlement(amount=None if charged is None else Decimal(charged), currency="USD", usd=None, basis=basis)
    made = Task(
        id=f"kv-{number}", state="succeeded", created_at=float(number), updated_at=0.0, provider="runapi",
        simulated=False, offer_id="runapi/kling-3.0/pro/text-to-video", model="kling-3.0", tier="pro",
        mode="text-to-video", prompt="", request={}, request_digest="", call={}, route="", warnings=(),
        quote_amount=Decimal(quoted), quote_currency="USD", quote_usd=Decimal(quoted), quote={},
        reserved_usd=Decimal(0), idempotency_key=None, owner="", output_dir="", ordered={},
        settlement=settlement,
    )  # fmt: skip
    return replace(made, **changes)


def test_a_vendor_that_charges_something_else_than_quoted_is_named() -> None:
    tasks = [_task(1, quoted="0.90", charged="0.90"), _task(2, quoted="0.90", charged="1.00")]
    assert drift(tasks) == [
        "runapi/kling-3.0/pro/text-to-video: $1.00 was charged where $0.90 was quoted (1 of 2 bills, last kv-2); "
        "its price may have changed since the table was written"
    ]


def test_another_clip_than_ordered_explains_another_bill() -> None:
    artifact = Artifact(
        path="", sha256="", bytes=0, media_type="", saved_at=0.0, differences=("ordered 5 s, got 10 s",)
    )
    (sentence,) = drift([_task(1, quoted="0.90", charged="1.80", artifact=artifact)])
    assert sentence.endswith("what came was not what was ordered")


@pytest.mark.parametrize(
    "task",
    [
        pytest.param(_task(1, quoted="0.90", charged="0.90"), id="as quoted"),
        pytest.param(_task(1, quoted="0.90", charged="1.00", basis="computed"), id="not the vendor's own number"),
        pytest.param(_task(1, quoted="0.90", charged="0", state="failed"), id="a failure that was given back"),
        pytest.param(_task(1, quoted="0.90", charged="1.00", simulated=True), id="a simulation"),
    ],
)
def test_no_drift_is_claimed_where_there_is_none(task) -> None:
    assert drift([task]) == []


def test_spend_adds_up_by_what_was_asked(capsys, monkeypatch) -> None:
    from mcp_server.answers.shapes import Spend
    from mcp_server.cli import session
    from mcp_server.cli.tasks import spend

    lines = [
        SpendLine(
            day="2026-11-20", provider="runapi", model="kling-3.0", tasks=2, quoted_usd="1.80", settled_usd="2.00"
        ),
        SpendLine(
            day="2026-11-21", provider="runapi", model="kling-o3", tasks=1, quoted_usd="0.50", settled_usd="0.40"
        ),
    ]
    found = Spend(lines=lines, quoted_usd="2.30", settled_usd="2.40", unknown=1, drift=["x was charged"])
    monkeypatch.setattr(session, "run", lambda work: found)

    def table(by: str) -> list[list[str]]:
        assert spend.run(["--by", by]) == 0
        return [line.split() for line in capsys.readouterr().out.splitlines()[1:]]

    assert table("provider") == [["runapi", "3", "$2.30", "$2.40", "+$0.10"], ["all", "3", "$2.30", "$2.40", "+$0.10"]]
    assert table("day")[1] == ["2026-11-21", "1", "$0.50", "$0.40", "-$0.10"]
    assert [row[0] for row in table("model")] == ["kling-3.0", "kling-o3", "all"]
    spend.run([])
    said = capsys.readouterr().err
    assert "1 clip is in no sum" in said
    assert "! x was charged" in said


def test_a_closed_pipe_is_no_crash(tmp_path) -> None:
    program = f'"{sys.executable}" -m mcp_server models --detail | head -1'
    done = subprocess.run(["bash", "-o", "pipefail", "-c", program], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_nobody_to_read_or_to_hear_is_no_crash(tmp_path) -> None:
    """As under a service that closes all three: what was ordered is made to its end."""
    words = f'"{sys.executable}" -m mcp_server generate --yes --provider sandbox "kling pro, a cat" <&- >&- 2>&-'
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    assert subprocess.run(["bash", "-c", words], env=environment, check=False).returncode == 0
    assert len(list(tmp_path.glob("kling-videos/*.mp4"))) == 1


def test_a_user_without_a_home_folder_is_told_so(monkeypatch, capsys) -> None:
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("HOME")
    monkeypatch.delenv("KLING_HOME", raising=False)
    monkeypatch.setattr(Path, "home", unknown)
    assert main(["tasks"]) == 73
    told = capsys.readouterr().err
    assert "This user has no home folder" in told
    assert "Set HOME to a folder" in told


def test_an_error_as_json_is_one_object_on_standard_output(capsys) -> None:
    assert main(["task", "--json", "kv-261121-000000000000"]) == 65
    told = capsys.readouterr()
    assert json.loads(told.out)["error"]["code"] == "unknown_task"
    assert not Path("kling").exists()


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ("kling 4k", "No scene was named, so there is nothing to film."),
        ("kling 4k, animate this picture: she turns", "4k image-to-video needs an image (--image). Give it, or"),
        (
            "kling 4k, edit this clip: make it snow",
            "needs exactly one of --video or --source-task; 0 are given. Give it",
        ),
    ],
)
def test_what_is_missing_is_asked_for_not_called_unsold(request_, said, capsys) -> None:
    assert main(["generate", request_]) == 65
    told = capsys.readouterr().err
    assert said in told
    assert "Nobody sells" not in told


@pytest.mark.parametrize("request_", ["how much is kling 4k?", "kling 4k, animate this picture: she turns"])
def test_a_price_can_be_asked_for_before_everything_is_there(request_, capsys) -> None:
    assert main(["estimate", request_]) == 0
    assert "the price is for any" in "".join(capsys.readouterr())


def test_a_refusal_names_something_that_can_be_ordered(capsys) -> None:
    assert main(["estimate", "--prompt", "a lake", "--duration", "99"]) == 65
    said = capsys.readouterr().err
    assert "3 to 15 seconds" in said
    assert "cannot be ordered" not in said


def test_a_clip_that_cannot_be_saved_says_why_while_it_waits(tmp_path) -> None:
    environ = {
        "HOME": str(tmp_path), "PATH": os.environ["PATH"], "KLING_SANDBOX_SECONDS": "2",
        "KLING_OUTPUT_DIR": str(tmp_path / "taken"),
    }  # fmt: skip
    order = [sys.executable, "-m", "mcp_server", "generate", "--yes", "kling 5s: a boat"]
    with subprocess.Popen(order, env=environ, stderr=subprocess.PIPE, text=True) as running:
        try:
            next(line for line in running.stderr if line.startswith("Task kv-"))
            # It could be written to when the order went out, and cannot any more.
            (tmp_path / "taken").rmdir()
            (tmp_path / "taken").write_text("")
            said = next(line for line in running.stderr if "  saving: " in line)
        finally:
            running.kill()

    assert "The clip cannot be saved in" in said
    assert "it is not a folder" in said


@pytest.mark.parametrize("words", [["serve", "--http", "--port", "99999"], ["sandbox", "--port", "-1"]])
def test_a_port_that_cannot_be_is_refused_by_name(words, capsys) -> None:
    assert main(words) == 64
    assert "invalid port value" in capsys.readouterr().err


async def test_yes_is_no_yes_to_a_price_nobody_publishes_where_a_days_budget_is_to_hold(tmp_path: Path) -> None:
    keys = {"OCTOPUSX_API_KEY": "k-0123456789", "OCTOPUSX_BASE_URL": "http://127.0.0.1:9"}
    buyer = service(tmp_path, KLING_DAILY_BUDGET_USD="50", **keys)
    wish = VideoArguments(request="kling o3 via octopusx: a boat")

    with pytest.raises(BudgetError, match="price is not known"):
        await purchase.Purchase(service=buyer, screen=Screen(), arguments=wish, yes=True).run()

    assert (await buyer.tasks()).tasks == []
    await buyer.close()


def test_a_task_nobody_knows_does_not_keep_the_others_from_being_stopped(capsys) -> None:
    assert main(["generate", "kling: a boat", "--no-wait", "--json"]) == 0
    task_id = json.loads(capsys.readouterr().out)["task_id"]

    code = main(["cancel", "kv-261121-000000000000", task_id, "--json"])

    told = json.loads(capsys.readouterr().out)
    assert [task["task_id"] for task in told["tasks"]] == [task_id]
    assert [error["code"] for error in told["errors"]] == ["unknown_task"]
    assert code == UnknownTaskError.exit_code


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_completes_vendors_models_and_the_newest_tasks(capsys, tmp_path, monkeypatch) -> None:
    assert completion.run(["bash"]) == 0
    script = capsys.readouterr().out
    assert _completed(script, "kling-video", "generate", "--provider", "run") == {"runapi", "runcomfy"}
    assert "kling-o3" in _completed(script, "kling-video", "estimate", "--model", "kling-")
    asked = tmp_path / "bin" / "kling-video"
    asked.parent.mkdir()
    asked.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mcp_server "$@"\n')
    asked.chmod(0o755)
    monkeypatch.setenv("PATH", f"{asked.parent}:{os.environ['PATH']}")
    assert _completed(script, "kling-video", "task", "kv-") == set()
    assert main(["generate", "--prompt", "a fox", "--no-wait"]) == 0
    task = capsys.readouterr().out.strip()
    for line in (("task", "kv-"), ("again", "kv-"), ("generate", "--again", "")):
        assert _completed(script, "kling-video", *line) == {task}
