"""The tables, how they grow from version to version, and a row as a Task.

Two adjacent versions of this program share a file: what one of them writes the other must read. So the columns of
a lease keep their first names (`holder` is the process, `claim` the lease's number), and a row still carries what
the version before needs (`_RETIRED`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any, Final, Protocol

from mcp_server.domain.film import FILM_UNDER_WAY
from mcp_server.domain.task import FINISHED, STATES, Artifact, LocalMedium, Settlement, Task
from mcp_server.errors import LocalError
from mcp_server.providers.base import HttpCall
from mcp_server.tasks.store import notices
from mcp_server.tasks.store.base import NewTask, day_of

OPEN: Final = f"state NOT IN ({', '.join(repr(state) for state in sorted(FINISHED))}) AND stopped_following = 0"
"""What some process has to work on. The partial index below and every query must say it in these words."""

DRIVEN: Final = f"state IN ({', '.join(repr(state) for state in sorted(FILM_UNDER_WAY))})"
"""What some process has to drive. The partial index and every query must say it in these words."""

MIGRATIONS: Final = (
    f"""
    CREATE TABLE tasks (
      id TEXT PRIMARY KEY,
      state TEXT NOT NULL,
      created_at REAL NOT NULL,
      updated_at REAL NOT NULL,
      day TEXT NOT NULL,
      provider TEXT NOT NULL,
      simulated INTEGER NOT NULL,
      offer_id TEXT NOT NULL,
      model TEXT NOT NULL,
      tier TEXT NOT NULL,
      mode TEXT NOT NULL,
      prompt TEXT NOT NULL,
      owner TEXT NOT NULL,
      idempotency_key TEXT,
      request_digest TEXT NOT NULL,
      quote_usd TEXT,
      reserved_usd TEXT NOT NULL,
      sent_at REAL,
      took_s REAL,
      finished_at REAL,
      stopped_following INTEGER NOT NULL DEFAULT 0,
      bought TEXT NOT NULL,
      became TEXT NOT NULL,
      holder TEXT,
      claim INTEGER NOT NULL
    );
    CREATE UNIQUE INDEX task_keys ON tasks (owner, idempotency_key) WHERE idempotency_key IS NOT NULL;
    CREATE INDEX task_twins ON tasks (request_digest, created_at);
    CREATE INDEX task_days ON tasks (day);
    CREATE INDEX task_ages ON tasks (created_at);
    CREATE INDEX task_paces ON tasks (offer_id, simulated, created_at) WHERE took_s IS NOT NULL;
    CREATE INDEX task_holders ON tasks (holder) WHERE {OPEN};
    CREATE TABLE events (
      id INTEGER PRIMARY KEY,
      task_id TEXT NOT NULL REFERENCES tasks (id),
      at REAL NOT NULL,
      state TEXT NOT NULL,
      what TEXT NOT NULL
    );
    CREATE INDEX task_events ON events (task_id, id);
    CREATE TABLE processes (
      id TEXT PRIMARY KEY,
      pid INTEGER NOT NULL,
      place TEXT NOT NULL,
      beat INTEGER NOT NULL,
      beat_at REAL NOT NULL
    );
    """,
    "ALTER TABLE tasks ADD COLUMN local_media TEXT NOT NULL DEFAULT '[]';",
    f"""
    CREATE TABLE films (
      id TEXT PRIMARY KEY,
      state TEXT NOT NULL,
      created_at REAL NOT NULL,
      updated_at REAL NOT NULL,
      owner TEXT NOT NULL,
      title TEXT NOT NULL,
      digest TEXT NOT NULL,
      simulated INTEGER NOT NULL,
      reserved_usd TEXT NOT NULL,
      finished_at REAL,
      board TEXT NOT NULL,
      shots TEXT NOT NULL,
      became TEXT NOT NULL,
      holder TEXT,
      claim INTEGER NOT NULL
    );
    CREATE INDEX film_holders ON films (holder) WHERE {DRIVEN};
    CREATE INDEX film_ages ON films (created_at);
    CREATE TABLE film_events (
      id INTEGER PRIMARY KEY,
      film_id TEXT NOT NULL REFERENCES films (id),
      at REAL NOT NULL,
      state TEXT NOT NULL,
      what TEXT NOT NULL
    );
    CREATE INDEX film_history ON film_events (film_id, id);
    """,
    # What a day's orders hold back together. Whoever changes an order without counting it takes the row away.
    """
    CREATE TABLE budgets (
      payer TEXT NOT NULL,
      day TEXT NOT NULL,
      used_usd TEXT NOT NULL,
      PRIMARY KEY (payer, day)
    ) WITHOUT ROWID;
    CREATE TRIGGER budget_ordered AFTER INSERT ON tasks WHEN NEW.reserved_usd != '0'
    BEGIN
      DELETE FROM budgets WHERE day = NEW.day AND payer IN ('house', 'owner:' || NEW.owner);
    END;
    CREATE TRIGGER budget_changed AFTER UPDATE OF reserved_usd, day, owner ON tasks
    WHEN (NEW.reserved_usd, NEW.day, NEW.owner) IS NOT (OLD.reserved_usd, OLD.day, OLD.owner)
    BEGIN
      DELETE FROM budgets WHERE day IN (OLD.day, NEW.day)
        AND payer IN ('house', 'owner:' || OLD.owner, 'owner:' || NEW.owner);
    END;
    CREATE TRIGGER budget_removed AFTER DELETE ON tasks WHEN OLD.reserved_usd != '0'
    BEGIN
      DELETE FROM budgets WHERE day = OLD.day AND payer IN ('house', 'owner:' || OLD.owner);
    END;
    CREATE INDEX film_money ON films (owner) WHERE reserved_usd != '0';
    """,
    notices.TABLE,
    # What is listed is found at once, however long the record: by state and vendor, newest first, and by short name.
    """
    CREATE INDEX task_owners ON tasks (owner, created_at);
    CREATE INDEX task_states ON tasks (owner, state, created_at);
    CREATE INDEX task_vendors ON tasks (owner, provider, created_at);
    CREATE INDEX task_endings ON tasks (owner, substr(id, -6));
    """,
)
"""Each brings the file one version further (`PRAGMA user_version`); never edited, only added to."""

# Fixed when the row is made; one JSON column, because nothing looks for it.
_BOUGHT: Final = (
    "request",
    "call",
    "route",
    "warnings",
    "quote_amount",
    "quote_currency",
    "quote",
    "output_dir",
    "ordered",
)
# Changes with the task; one JSON column for the same reason.
_BECAME: Final = (
    "sent_as",
    "accepted_at",
    "ready_at",
    "attempts",
    "job_id",
    "job_links",
    "status",
    "progress",
    "queue_position",
    "video_url",
    "expires_at",
    "artifact",
    "settlement",
    "error",
    "note",
    "by_hand",
)
_RETIRED: Final = frozenset({"submit_key", "next_look_at"})
"""What rows of earlier versions say and a Task does not have any more."""
COLUMNS: Final = (
    "id",
    "state",
    "created_at",
    "updated_at",
    "day",
    "provider",
    "simulated",
    "offer_id",
    "model",
    "tier",
    "mode",
    "prompt",
    "owner",
    "idempotency_key",
    "request_digest",
    "quote_usd",
    "reserved_usd",
    "sent_at",
    "took_s",
    "finished_at",
    "stopped_following",
    "bought",
    "became",
    "local_media",
    "holder",
    "claim",
)
CHANGING: Final = (
    "state",
    "updated_at",
    "reserved_usd",
    "sent_at",
    "took_s",
    "finished_at",
    "stopped_following",
    "became",
    "local_media",
)
INSERT: Final = f"INSERT INTO tasks ({', '.join(COLUMNS)}) VALUES ({', '.join(f':{name}' for name in COLUMNS)})"  # noqa: S608
_INDEXED: Final = frozenset({"state", "reserved_usd", "took_s", "stopped_following"})
"""Columns that an index or a trigger looks at: whoever names one in an update writes the pages of all of these, too."""


def updating(after: Task, before: Task) -> str:
    """The statement that changes the row of one into that of the other."""
    return _UPDATE if any(getattr(after, name) != getattr(before, name) for name in _INDEXED) else _UPDATE_STILL


def _update(names: Iterable[str]) -> str:
    return f"UPDATE tasks SET {', '.join(f'{name} = :{name}' for name in names)} WHERE id = :id"  # noqa: S608


_UPDATE: Final = _update(CHANGING)
_UPDATE_STILL: Final = _update(name for name in CHANGING if name not in _INDEXED)


MOVED: Final = 1_000_000
"""The version of a file whose purchases are in a shared record now: no version of this program opens it."""


def migrate(db: sqlite3.Connection) -> None:
    """Bring the file to this version, once, whoever comes first."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version == len(MIGRATIONS):
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        if version > len(MIGRATIONS):
            raise NewerFileError(version)
        for step in MIGRATIONS[version:]:
            for statement in statements(step):
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


class Row(Protocol):
    """A row of the table, whichever database it comes from."""

    def __getitem__(self, name: str, /) -> Any: ...


def statements(step: str) -> Iterator[str]:
    """The single statements of a migration, triggers in one piece."""
    so_far = ""
    for part in step.split(";"):
        so_far += f"{part};"
        if so_far.strip(" \n;") and sqlite3.complete_statement(so_far):
            yield so_far
            so_far = ""


class NewerFileError(Exception):
    """The file was written by a later version of this program."""


def task_of(new: NewTask, now: float, warnings: tuple[str, ...], reserved: Decimal) -> Task:
    """The first state of a purchase."""
    return Task(
        id=new.id,
        state="submitting",
        created_at=now,
        updated_at=now,
        provider=new.provider,
        simulated=new.simulated,
        offer_id=new.offer_id,
        model=new.model,
        tier=new.tier,
        mode=new.mode,
        prompt=new.prompt,
        request=new.request,
        request_digest=new.request_digest,
        call=_resendable(new.call),
        route=new.route,
        warnings=warnings,
        quote_amount=new.quote_amount,
        quote_currency=new.quote_currency,
        quote_usd=new.quote_usd,
        quote=new.quote,
        reserved_usd=reserved,
        idempotency_key=new.idempotency_key,
        owner=new.owner,
        output_dir=new.output_dir,
        ordered=new.ordered,
        local_media=new.local_media,
    )


def _resendable(call: HttpCall) -> dict[str, Any]:
    """The paid call as JSON."""
    return {
        "method": call.method,
        "path": call.path,
        # Numbers as the transport writes them, so that a resend is the same bytes.
        "json": json.loads(json.dumps(call.json, default=float)),
        "params": dict(call.params),
        "headers": dict(call.headers),
        "host": call.host,
        "signed": call.signed,
        "schema": call.schema,
        "idempotency_key": call.idempotency_key,
        **({"callback": call.callback} if call.callback else {}),
    }


def row_of(task: Task, holder: str | None, lease_number: int) -> dict[str, Any]:
    """A task as the values of its row."""
    return {
        **changing(task),
        "id": task.id,
        "created_at": task.created_at,
        "day": day_of(task.created_at),
        "provider": task.provider,
        "simulated": int(task.simulated),
        "offer_id": task.offer_id,
        "model": task.model,
        "tier": task.tier,
        "mode": task.mode,
        "prompt": task.prompt,
        "owner": task.owner,
        "idempotency_key": task.idempotency_key,
        "request_digest": task.request_digest,
        "quote_usd": _text(task.quote_usd),
        # The version before makes no Task of a row without a `submit_key`, which was always the id.
        "bought": _json({name: getattr(task, name) for name in _BOUGHT} | {"submit_key": task.id}),
        "holder": holder,
        "claim": lease_number,
    }


def changing(task: Task) -> dict[str, Any]:
    """The values that change, and the id they belong to."""
    became: dict[str, Any] = {}
    for name in _BECAME:
        value = getattr(task, name)
        if value not in (None, "", 0) and value != {}:
            became[name] = value
    if task.artifact:
        became["artifact"] = {name: getattr(task.artifact, name) for name in Artifact.__slots__}
    if task.settlement:
        became["settlement"] = {name: getattr(task.settlement, name) for name in Settlement.__slots__}
    if task.progress is not None:
        became["progress"] = task.progress
    if task.queue_position is not None:
        became["queue_position"] = task.queue_position
    return {
        "id": task.id,
        "state": task.state,
        "updated_at": task.updated_at,
        "reserved_usd": str(task.reserved_usd),
        "sent_at": task.sent_at,
        "took_s": task.took_s,
        "finished_at": task.finished_at,
        "stopped_following": int(task.stopped_following),
        "became": _json(became),
        "local_media": _json([_medium_row(medium) for medium in task.local_media]),
    }


class UnreadableRowError(LocalError):
    """A row that is no task of this version: damaged, or written by a later one."""

    def __init__(self, task_id: str, why: str) -> None:
        super().__init__(
            f"Task {task_id} cannot be read from the record: {why}",
            why="its row was damaged, or a later version of kling-video wrote it",
            next_step="Update kling-video; `kling-video doctor` lists such tasks, and all others go on",
            money="unknown",
        )
        self.task_id = task_id


def task_from(row: Row) -> Task:
    """The task a row stands for; UnreadableRowError."""
    try:
        task = _task(row)
        _refuse_misshapen(task)
    except (ArithmeticError, AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise UnreadableRowError(str(row["id"]), f"{type(error).__name__}: {error}"[:200]) from error
    return task


_TIMES: Final = (
    *("created_at", "updated_at", "sent_at", "accepted_at"),
    *("ready_at", "took_s", "expires_at", "finished_at"),
)


def _refuse_misshapen(task: Task) -> None:
    """Nothing, or ValueError where what everybody trusts is of another kind."""
    if task.state not in STATES:
        raise ValueError(f"the state {task.state!r}")
    for name in ("request", "call", "quote", "ordered", "job_links"):
        if not isinstance(getattr(task, name), dict):
            raise ValueError(f"`{name}` is no object")
    for name in _TIMES:
        if not isinstance(getattr(task, name), float | int | None):
            raise ValueError(f"`{name}` is no time")
    for name in ("prompt", "provider", "output_dir", "status", "note", "owner"):
        if not isinstance(getattr(task, name), str):
            raise ValueError(f"`{name}` is no text")
    if not isinstance(task.error, dict | None):
        raise ValueError("`error` is no object")


def _task(row: Row) -> Task:
    bought, became = _read(row["bought"]), _read(row["became"])
    bought["warnings"] = tuple(bought["warnings"])
    bought["quote_amount"] = _decimal(bought["quote_amount"])
    if artifact := became.get("artifact"):
        became["artifact"] = Artifact(**artifact)
    if settlement := became.get("settlement"):
        settlement["amount"] = _decimal(settlement["amount"])
        settlement["usd"] = _decimal(settlement["usd"])
        became["settlement"] = Settlement(**settlement)
    return Task(
        id=row["id"],
        state=row["state"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        provider=row["provider"],
        simulated=bool(row["simulated"]),
        offer_id=row["offer_id"],
        model=row["model"],
        tier=row["tier"],
        mode=row["mode"],
        prompt=row["prompt"],
        owner=row["owner"],
        idempotency_key=row["idempotency_key"],
        request_digest=row["request_digest"],
        quote_usd=_decimal(row["quote_usd"]),
        reserved_usd=Decimal(row["reserved_usd"]),
        sent_at=row["sent_at"],
        took_s=row["took_s"],
        finished_at=row["finished_at"],
        stopped_following=bool(row["stopped_following"]),
        local_media=tuple(_medium_from(medium) for medium in json.loads(row["local_media"])),
        **bought,
        **became,
    )


def _read(text: str) -> dict[str, Any]:
    return {name: value for name, value in json.loads(text).items() if name not in _RETIRED}


def _medium_row(medium: LocalMedium) -> dict[str, Any]:
    # The file's word is older than ours, and two adjacent versions share a file.
    row = asdict(medium)
    return {"stand_in": row.pop("placeholder"), **row}


def _medium_from(row: dict[str, Any]) -> LocalMedium:
    return LocalMedium(placeholder=row.pop("stand_in"), **row)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)  # type: ignore[reportUnknownArgumentType]
    raise TypeError(f"{type(value).__name__} is not for a row")


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _decimal(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)
