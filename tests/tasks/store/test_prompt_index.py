"""A word is found by the index of prompts wherever looking through every prompt would find it, and nowhere else."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest
from support.stub_vendor import new_task

from mcp_server.domain.task import UNFINISHED
from mcp_server.tasks.store import prompt_index
from mcp_server.tasks.store.base import Budget, Filter, new_id
from mcp_server.tasks.store.sqlite import SqliteStore

SCENES = [
    "a red kite over 100% blue_hills",
    "A RED KITE, again",
    'she says "go" and goes',
    "雨里的纸船漂过桥洞",
    "ÄPFEL und Straßen am Fluß",
    "back\\slash, co* NEAR(x) -a OR b",
    "two\nlines\tand a tab",
    "🚤🚤🚤 boats",
    "e\u0301te\u0301, and kite",
]
WORDS = [
    *("kite", "KITE", "ite", "it", "100%", "blue_hills", "b_ue", "%", "kite red", "again kite", "zeppelin", "kitefly"),
    *(
        '"go"',
        '"',
        "雨里的",
        "纸船漂过桥",
        "船漂",
        "ÄPFEL",
        "äpfel",
        "straßen",
        "back\\slash",
        "co*",
        "NEAR(x)",
        "-a",
        "OR",
    ),
    *("🚤🚤🚤", "e\u0301te\u0301", "lines", "clip 4", "clip 17", "'", "a\x00b"),
]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """An index for a record of a few dozen."""
    monkeypatch.setattr(prompt_index, "_BEHIND", 4)
    monkeypatch.setattr(prompt_index, "_TOGETHER", 7)
    monkeypatch.setattr(prompt_index, "_FEW", 10)


async def ordered(store: SqliteStore, scenes: Iterable[str], owner: str = "") -> None:
    for number, scene in enumerate(scenes):
        await store.create(new_task(new_id(1e9 + number), prompt=scene, owner=owner), Budget())


async def found(store: SqliteStore, text: str, **more: object) -> list[str]:
    return [task.id for task in await store.find(Filter(text=text, **more))]  # type: ignore[arg-type]


def indexed(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT count(*) FROM task_prompts").fetchone()[0]


async def test_the_index_finds_what_looking_through_finds(small: None, tmp_path: Path) -> None:
    path, chance = tmp_path / "tasks.db", random.Random(5)
    plain, store = SqliteStore(path), SqliteStore(path)
    plain_find = plain.find
    for part in range(4):
        scenes = [f"{chance.choice(SCENES)} {chance.choice(SCENES)}, clip {part}{n}" for n in range(12)]
        await ordered(store, scenes, owner="ann" if part % 2 else "")
        for text in WORDS:
            for more in ({}, {"owner": "ann"}, {"states": tuple(UNFINISHED)}, {"limit": 3}, {"provider": "nobody"}):
                with pytest.MonkeyPatch.context() as without:
                    without.setattr(prompt_index, "among", lambda _db, _words: (None, False))
                    wanted = [task.id for task in await plain_find(Filter(text=text, **more))]  # type: ignore[arg-type]
                assert await found(store, text, **more) == wanted, (text, more)
    assert indexed(path) > 40
    await asyncio.gather(store.close(), plain.close())


async def test_what_was_ordered_after_the_index_was_made_is_found(small: None, tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "tasks.db")
    await ordered(store, [f"a boat, clip {number}" for number in range(20)])
    assert await found(store, "zeppelin") == []
    assert indexed(store.path) == 20

    await ordered(store, ["a zeppelin"])

    assert len(await found(store, "zeppelin")) == 1
    assert indexed(store.path) == 20, "one order is not worth a transaction"
    await store.close()


async def test_a_short_record_has_no_index(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "tasks.db")
    await ordered(store, ["a boat", "a kite"])

    assert len(await found(store, "kite")) == 1

    with closing(sqlite3.connect(store.path)) as db:
        assert db.execute("SELECT count(*) FROM sqlite_master WHERE name LIKE 'task_prompts%'").fetchone() == (0,)
    await store.close()


async def test_without_fts5_every_prompt_is_looked_through(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompt_index, "_MAKE", "CREATE VIRTUAL TABLE IF NOT EXISTS task_prompts USING fts99 (prompt)")
    store = SqliteStore(tmp_path / "tasks.db")
    await ordered(store, [f"a boat, clip {number}" for number in range(20)])

    assert len(await found(store, "boat")) == 20
    assert len(await found(store, "clip 19")) == 1
    await store.close()


async def test_an_index_that_cannot_be_read_is_left_alone(small: None, tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "tasks.db")
    await ordered(store, [f"a boat, clip {number}" for number in range(20)])
    await found(store, "boat")
    with closing(sqlite3.connect(store.path)) as db, db:
        db.execute("DROP TABLE task_prompts_data")

    assert len(await found(store, "boat")) == 20
    assert len(await found(store, "clip 19")) == 1
    await ordered(store, ["a kite"])
    assert len(await found(store, "kite")) == 1
    await store.close()


async def test_two_processes_index_beside_orders_and_each_row_once(small: None, tmp_path: Path) -> None:
    path = tmp_path / "tasks.db"
    one, other = SqliteStore(path), SqliteStore(path)
    await ordered(one, [f"a boat, clip {number}" for number in range(40)])

    await asyncio.gather(found(one, "boat"), found(other, "boat"), ordered(other, ["a kite"]), found(other, "kite"))

    assert len(await found(one, "kite")) == 1
    assert len(await found(other, "clip 39")) == 1
    assert 36 <= indexed(path) <= 41
    await asyncio.gather(one.close(), other.close())
