"""OpenClaw, the real one: the skill installs and is seen, the server connects, and one whole turn delivers a file."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import tomllib
from contextlib import closing
from pathlib import Path
from typing import Any

from stub_model import Call, Say, StubModel
from world import COMMAND, ROOT, Machine, holds, main

WISH = "make me a kling 4k video of a neon city"


def skill_from_folder(m: Machine) -> None:
    """`skills install` of the exported folder"""
    m.run(COMMAND, "skill", "export", m.home / "out")
    m.run("openclaw", "skills", "install", m.home / "out" / "kling-video")
    _seen(m)


def skill_from_git(m: Machine) -> None:
    """`skills install` of the repository by git"""
    # What is committed, not what lies around.
    m.run("git", "clone", "--quiet", "--no-local", "--depth", "1", f"file://{ROOT}", m.home / "clone")
    m.run("openclaw", "skills", "install", f"git:file://{m.home / 'clone'}")
    _seen(m)


def server(m: Machine) -> None:
    """`mcp add` as a user would, `install openclaw` as we do, and the probe"""
    m.run("openclaw", "mcp", "add", "kling", "--command", COMMAND)
    said = m.run("openclaw", "mcp", "doctor", "kling", "--probe")
    holds("kling: ok" in said, "mcp doctor --probe is content", said)
    m.run("openclaw", "mcp", "unset", "kling")
    m.run(COMMAND, "install", "openclaw")
    said = m.run(COMMAND, "install", "openclaw", rc=65)
    holds("left as it is" in said, "a second install leaves the entry as it is", said)
    probe = m.json("openclaw", "mcp", "probe", "kling", "--json")
    holds(probe["servers"]["kling"]["requestTimeoutMs"] == 120_000, "our time limit is the one in force", probe)
    holds("kling__generate_video" in probe["tools"], "the tools are there under the names the skill gives", probe)
    doctor = m.json(COMMAND, "doctor", "--json")
    levels = {row["name"]: row["level"] for row in doctor["findings"] if row["about"] == "clients"}
    holds(levels.get("OpenClaw") == "good", "our doctor sees the registration", doctor)


def plugin(m: Machine) -> None:
    """`plugins install` of the Claude-format folder"""
    m.run("openclaw", "plugins", "install", ROOT / "plugins" / "kling-video", "--force", "--accept-capabilities")
    _seen(m)


def whole_turn(m: Machine) -> None:
    """from the user's words to a file: search, estimate, order, wait, deliver"""
    workspace = m.home / "ws"
    m.run(COMMAND, "skill", "export", workspace / "skills")
    with StubModel(_turn) as model:
        config = m.home / "config.json"
        config.write_text(json.dumps(_config(model.url)))
        turn = ["openclaw", "agent", "exec", WISH, "--config", config, "--cwd", workspace, "--json"]
        answer = m.json(*turn)
    _told(model.asked)
    media = [payload["mediaUrl"] for payload in _payloads(answer) if payload.get("mediaUrl")]
    holds(len(media) == 1 and media[0].endswith(".mp4"), "the answer carries one clip to deliver", answer)
    clip = Path(media[0].removeprefix("file://"))
    holds(clip.stat().st_size > 10_000 and clip.read_bytes()[4:8] == b"ftyp", f"it is an MP4 on disk: {clip.name}")
    listed = m.json(COMMAND, "tasks", "--json")
    holds([task["tier"] for task in listed["tasks"]] == ["4k"], "exactly one clip was ordered, in 4K", listed)


def whole_film(m: Machine) -> None:
    """a film in one turn: read, plan, buy, wait, deliver; README's own board"""
    workspace = m.home / "ws"
    m.run(COMMAND, "skill", "export", workspace / "skills")
    board = _readme_board()
    with StubModel(lambda messages: _film_turn(messages, board)) as model:
        config = m.home / "config.json"
        config.write_text(json.dumps(_config(model.url)))
        wish = "make me a film of five shots: a paper boat finds the sea"
        answer = m.json(
            "openclaw", "agent", "exec", wish, "--config", config, "--cwd", workspace, "--json", timeout=400
        )
    results = [_text(message) for message in model.asked[-1]["messages"] if message["role"] == "tool"]
    holds("## A board" in results[1], "the skill's page about films was read", results[1])
    holds("kling__make_film" in results[2], "search finds make_film", results[2])
    holds(re.search(r"state\W+planned", results[3]), "the board was planned first", results[3])
    media = [payload["mediaUrl"] for payload in _payloads(answer) if payload.get("mediaUrl")]
    holds(len(media) == 1 and media[0].endswith(".mp4"), "the answer carries one film to deliver", answer)
    listed = m.json(COMMAND, "tasks", "--json")
    (film,) = listed["films"]
    path = Path(media[0].removeprefix("file://"))
    holds(film["state"] == "succeeded" and path.stat().st_size == film["bytes"], f"one joined file: {path.name}", film)
    with closing(sqlite3.connect(m.home / ".kling-video" / "sandbox.db")) as vendors:
        (bought,) = vendors.execute("SELECT count(*) FROM jobs").fetchone()
    wanted = len(board["shots"])
    holds(bought == len(listed["tasks"]) == wanted, f"the sandbox sold exactly {wanted} shots", (bought, listed))


def _readme_board() -> dict[str, Any]:
    """The board that README shows."""
    found = re.search(r"```toml\n(title.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert found, "README shows no board"
    return tomllib.loads(found[1])


def _film_turn(messages: list[dict[str, Any]], board: dict[str, Any]) -> Say | Call:
    """What a model that has read the skill and its page about films does next."""
    results = [_text(message) for message in messages if message["role"] == "tool"]
    match len(results):
        case 0 | 1:
            place = re.search(r"<location>([^<]*kling-video)/SKILL\.md</location>", _text(messages[0]))
            page = "SKILL.md" if not results else "skill/films.md"
            return Call("read", {"path": f"{place[1]}/{page}"}) if place else Say("The skill is not in the prompt.")
        case 2:
            return Call("tool_search", {"query": "kling film shots"})
        case 3:
            return Call("tool_call", {"id": "kling__make_film", "args": {"board": board}})
    film = re.search(r"kf-\d{6}-[0-9a-z]{12}", results[3])
    price = re.search(r'total\W+usd\W+"?([\d.]+)', results[3])
    if film is None or price is None or len(results) > 20:
        return Say(f"No film: {results[-1][:500]}")
    if len(results) == 4:
        order = {"film_id": film[0], "max_cost_usd": float(price[1])}
        return Call("tool_call", {"id": "kling__make_film", "args": order})
    # The shots' own files stand before it.
    path = re.search(r'video_path\W+(/[^"\\]+\.mp4)\W+sheet_path', results[-1])
    if path:
        return Say(f"Here is your film, a simulation.\nMEDIA:{path[1]}")
    return Call("tool_call", {"id": "kling__get_task", "args": {"task_id": film[0], "wait_s": 25}})


def _seen(m: Machine) -> None:
    found = m.json("openclaw", "skills", "info", "kling-video", "--json")
    holds(found["eligible"] and found["modelVisible"], "eligible, and the model sees it", found)


def _config(url: str) -> dict[str, Any]:
    stub = {"id": "stub", "name": "stub", "contextWindow": 128_000, "maxTokens": 4096, "input": ["text"]}
    return {
        "models": {
            "providers": {
                "vllm": {"baseUrl": url, "apiKey": "none", "api": "openai-completions", "models": [stub]},
            }
        },
        "agents": {"defaults": {"model": {"primary": "vllm/stub"}}},
        "mcp": {"servers": {"kling": {"command": str(COMMAND), "env": {"KLING_SANDBOX_SECONDS": "1"}}}},
    }


def _turn(messages: list[dict[str, Any]]) -> Say | Call:
    """What a model that has read the skill does next."""
    results = [_text(message) for message in messages if message["role"] == "tool"]
    request = {"request": WISH}
    match len(results):
        case 0:
            place = re.search(r"<location>([^<]*kling-video/SKILL\.md)</location>", _text(messages[0]))
            return Call("read", {"path": place[1]}) if place else Say("The skill is not in the prompt.")
        case 1:
            return Call("tool_search", {"query": "kling 4k video"})
        case 2:
            return Call("tool_call", {"id": "kling__estimate_cost", "args": request})
        case 3:
            price = re.search(r'usd\W+"?([\d.]+)', results[-1])
            order = {**request, "idempotency_key": "one-turn", "max_cost_usd": float(price[1]) if price else 0}
            return Call("tool_call", {"id": "kling__generate_video", "args": order})
    path = re.search(r'video_path\W+(/[^"\\]+\.mp4)', results[-1])
    if path:
        return Say(f"Here is your clip, a simulation.\nMEDIA:{path[1]}")
    task = re.search(r"kv-\d{6}-[0-9a-z]{12}", results[3])
    if task is None or len(results) > 12:
        return Say(f"No task: {results[-1][:500]}")
    return Call("tool_call", {"id": "kling__get_task", "args": {"task_id": task[0], "wait_s": 25}})


def _told(asked: list[dict[str, Any]]) -> None:
    """What the model was shown on the way."""
    holds(asked, "the model was asked")
    system = _text(asked[0]["messages"][0])
    entry = re.search(r"<skill>\s*<name>kling-video</name>.*?</skill>", system, re.DOTALL)
    holds(entry and "Kling 4K" in entry[0], "the skill's name and description are in the prompt", system)
    names = {tool["function"]["name"] for tool in asked[0].get("tools", [])}
    holds("tool_search" in names and "kling__generate_video" not in names, "tools are behind search", names)
    results = [_text(message) for message in asked[-1]["messages"] if message["role"] == "tool"]
    holds("Order once" in results[0], "the skill's page was read", results[0])
    holds(
        "kling__estimate_cost" in results[1] and "kling__generate_video" in results[1], "search finds them", results[1]
    )
    holds(re.search(r"usd\W+[\d.]+", results[2]), "the estimate names a price", results[2])


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "\n".join(str(part.get("text", "")) for part in content)


def _payloads(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return answer.get("payloads") or answer.get("result", {}).get("payloads") or []


if __name__ == "__main__":
    subprocess.run(["git", "--version"], check=True, capture_output=True)
    main(skill_from_folder, skill_from_git, server, plugin, whole_turn, whole_film)
