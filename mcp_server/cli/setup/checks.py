"""What `doctor` looks at on this machine: files, settings, record, clients. Reads, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import stat
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from mcp_server.catalog.prices import unpriced as no_dollars
from mcp_server.cli.setup.clients import Registration, registrations
from mcp_server.domain.catalog import Price, Provider
from mcp_server.errors import ArgumentError, LocalError
from mcp_server.media import available
from mcp_server.object_store import ObjectStore
from mcp_server.settings import Settings

SKEW_S: Final = 5.0
_LOOKED_AT = 20_000
"""Rows that are read to see whether they can be."""
Level = Literal["good", "note", "bad"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    about: str
    name: str
    level: Level
    what: str
    next_step: str = ""
    exit_code: int = 0
    """How the command ends for this, where it is bad."""

    def facts(self) -> dict[str, str]:
        """As JSON, without what is empty."""
        rows = {
            "about": self.about,
            "name": self.name,
            "level": self.level,
            "what": self.what,
            "next_step": self.next_step,
        }
        return {name: value for name, value in rows.items() if value}


def bad(about: str, name: str, what: str, next_step: str, exit_code: int = LocalError.exit_code) -> Finding:
    """Something that has to be put right."""
    return Finding(about=about, name=name, level="bad", what=what, next_step=next_step, exit_code=exit_code)


def files(settings: Settings) -> Iterable[Finding]:
    """Whether clips, record and keys can be kept where they shall be."""
    with contextlib.suppress(ArgumentError):
        if settings.bucket is None:
            yield _writable("clips", settings.output_dir, "KLING_OUTPUT_DIR")
    yield _writable("state", settings.home, "KLING_HOME")
    if settings.credentials_file.exists():
        yield _key_file(settings)
    if settings.database.exists():
        yield _record(settings.database)
        yield from _aside(settings.database)
    yield from _numbers(settings)


async def shared(settings: Settings, now: Callable[[], float]) -> AsyncGenerator[Finding]:
    """Whether the record that many machines share can be used, and whether everything in it is followed."""
    try:
        url = settings.database_url
    except ArgumentError:
        # A variable that cannot be read is told of where all are.
        return
    if url is None:
        return
    try:
        from mcp_server.tasks.store.postgres.connections import MOST
        from mcp_server.tasks.store.postgres.state import look

        found = await look(url.value, now)
    except ImportError as error:
        yield bad("record", "database", f"{error.name} is not installed", "pip install 'kling-video[scale]'")
        return
    except LocalError as error:
        yield bad("record", "database", error.what, error.next_step, error.exit_code)
        return
    what = f"Postgres {found.version} ({found.tasks} tasks, {found.open} open)"
    yield Finding(about="record", name="database", level="good", what=what)
    if found.alone:
        yield bad("record", "followed", f"{found.alone} open tasks have nobody to follow them", "Start a worker")
    if abs(found.skew_s) > SKEW_S:
        what = f"this machine's clock is {found.skew_s:+.0f} s from the database's"
        yield bad("record", "clock", what, "Set the clock: keys, budgets and deadlines go by it")
    if found.open and not found.workers:
        yield bad("record", "workers", "no worker lives, and tasks are open", "Run `kling-video worker`")
    else:
        yield Finding(about="record", name="workers", level="good", what=f"{found.workers} alive")
    # At least one server orders beside them.
    if found.connections < (needed := MOST * (found.workers + 1)):
        what = f"Postgres allows {found.connections}; {found.workers} workers and a server may want {needed} when busy"
        next_step = f"Set max_connections of the database to {MOST} for each server and worker, and some more"
        yield Finding(about="record", name="connections", level="note", what=what, next_step=next_step)


async def store(settings: Settings, objects: ObjectStore) -> AsyncGenerator[Finding]:
    """Whether clips can be kept in the object store, where they go into one."""
    try:
        bucket = settings.bucket
    except ArgumentError:
        return
    if bucket is None:
        return
    try:
        await objects.check(bucket)
    except LocalError as error:
        yield bad("files", "store", f"{error.what}: {error.why}", error.next_step, error.exit_code)
    else:
        yield Finding(about="files", name="store", level="good", what=f"{bucket} (written, read, never overwritten)")


def unpriced(settings: Settings, facts: Provider, prices: Iterable[Price]) -> str:
    """What whoever buys from a vendor without prices in dollars has to agree to; empty for every other."""
    try:
        why = no_dollars(facts.id, prices, credit_known=settings.usd_per_credit is not None)
        standing = settings.accept_unknown_price
    except ArgumentError:
        # A variable that cannot be read is told of where all are.
        return ""
    if not why:
        return ""
    if standing:
        return f"{facts.name} {why}; KLING_ACCEPT_UNKNOWN_PRICE buys there without asking"
    return (
        f"{facts.name} {why}: each order needs a yes, "
        "`accept_unknown_price` (--accept-unknown-price), or KLING_ACCEPT_UNKNOWN_PRICE=1"
    )


def media() -> Finding:
    """Whether delivered files can be looked into and the sandbox can draw."""
    if available():
        return Finding(about="files", name="media", level="good", what="delivered clips are looked into")
    return Finding(
        about="files",
        name="media",
        level="note",
        what="delivered clips are saved but not looked into; the sandbox shows a ready-made clip",
        next_step="Install the extra `media`: pip install 'kling-video[media]'",
    )


def clients(settings: Settings, providers: Iterable[Provider]) -> Iterable[Finding]:
    """Which clients have the server registered, and whether the keys would reach it there."""
    known = [found for found in registrations(settings) if found.state != "absent"]
    for found in known:
        yield _client(found)
    if not known:
        yield Finding(
            about="clients",
            name="none",
            level="note",
            what="no client was found on this machine",
            next_step="`kling-video install CLIENT --print` shows what to write where",
        )
    registered = [found for found in known if found.state == "registered"]
    for facts in providers:
        for name in (facts.key_variable, *facts.key_pair):
            if name in settings.variables and name not in settings.credentials:
                yield from _shell_key(facts, name, registered)


def _shell_key(facts: Provider, variable: str, registered: Iterable[Registration]) -> Iterable[Finding]:
    """A key of the shell's alone, where a client's server would not get it."""
    without = [found.client.name for found in registered if variable not in found.variables]
    pair = " --pair" if variable in facts.key_pair else ""
    if without:
        yield Finding(
            about="clients",
            name=facts.id,
            level="note",
            what=f"{variable} is only in this shell; {', '.join(without)} may not pass it on",
            next_step=f"`kling-video auth {facts.id}{pair}` stores it where every client's server finds it",
        )


def _client(found: Registration) -> Finding:
    again = f"`kling-video install {found.client.id}`"
    match found.state:
        case "registered":
            return Finding(about="clients", name=found.client.name, level="good", what=f"registered: {found.detail}")
        case "broken":
            return bad("clients", found.client.name, f"registered, but {found.detail}", f"{again} --force")
        case "unreadable":
            what, next_step = found.detail, f"{again} --print shows what to look for"
        case _:
            what, next_step = "on this machine, not registered", again
    return Finding(about="clients", name=found.client.name, level="note", what=what, next_step=next_step)


def _writable(name: str, folder: Path, variable: str) -> Finding:
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            free = shutil.disk_usage(place).free
    except OSError as error:
        reason = error.strerror or str(error)
        return bad("files", name, f"nothing can be written to {folder} ({reason})", f"Set {variable} to another folder")
    made = "" if folder.exists() else ", made when it is needed"
    return Finding(about="files", name=name, level="good", what=f"{folder} ({free / 1e9:.0f} GB free{made})")


def _key_file(settings: Settings) -> Finding:
    path, trouble = settings.credentials_file, settings.key_file.trouble
    if trouble:
        what = f"{path} cannot be read ({trouble})"
        return bad("files", "keys", what, "Correct it, or move it away and store the keys again")
    mode = stat.S_IMODE(path.stat().st_mode)
    if sys.platform != "win32" and mode & 0o077:
        return bad("files", "keys", f"{path} can be read by others ({mode:o})", f"chmod 600 {path}")
    return Finding(about="files", name="keys", level="good", what=f"{path} (readable by you alone)")


def _record(path: Path) -> Finding:
    if path.stat().st_size == 0:
        return bad("files", "record", f"{path} is empty: a file of 0 bytes", "Put a copy back, or move it away")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
            verdict = str(db.execute("PRAGMA quick_check").fetchone()[0])
            count = int(db.execute("SELECT count(*) FROM tasks").fetchone()[0])
    except sqlite3.Error as error:
        verdict, count = str(error), 0
    if verdict != "ok":
        return bad("files", "record", f"{path}: {verdict}", "Move it away; it names every order, so keep the copy")
    return Finding(about="files", name="record", level="good", what=f"{path} ({count} task{'' if count == 1 else 's'})")


def _aside(path: Path) -> Iterable[Finding]:
    """Tasks nobody follows because their row or their vendor is not understood, and schedulers that stopped."""
    from mcp_server.catalog import load
    from mcp_server.tasks.store.schema import OPEN, UnreadableRowError, task_from

    unread: list[str] = []
    strange: list[str] = []
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
            db.row_factory = sqlite3.Row
            for row in db.execute("SELECT * FROM tasks ORDER BY created_at DESC LIMIT ?", [_LOOKED_AT]):
                try:
                    task_from(row)
                except UnreadableRowError:
                    unread.append(str(row["id"]))
            known = load().providers
            for row in db.execute(f"SELECT id, provider FROM tasks WHERE {OPEN}"):  # noqa: S608
                if row["provider"] not in known:
                    strange.append(str(row["id"]))
            stops = _stops(db)
    except sqlite3.Error:
        # What is wrong with the whole file was told.
        return
    update = "Update kling-video; all other tasks go on"
    if unread:
        yield bad("files", "rows", f"{len(unread)} cannot be read: {', '.join(unread[:3])}", update)
    if strange:
        yield bad("files", "vendors", f"nobody follows {', '.join(strange[:3])}: its vendor is not known here", update)
    if stops:
        what = f"the scheduler stopped {len(stops)} times in 7 days and began again, last by {stops[-1]}"
        yield Finding(about="files", name="scheduler", level="note", what=what)


def _stops(db: sqlite3.Connection) -> list[str]:
    """Why schedulers of this record ended; they are noted only where one did."""
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'stops'").fetchone() is None:
        return []
    return [str(row["why"]) for row in db.execute("SELECT why FROM stops ORDER BY at")]


def _numbers(settings: Settings) -> Iterable[Finding]:
    """Variables that are set to something that cannot be read."""
    for read in (
        lambda: settings.daily_budget_usd,
        lambda: settings.owner_budgets,
        lambda: settings.database_url,
        lambda: settings.public_url,
        lambda: settings.log_as_json,
        lambda: settings.store_url,
        lambda: settings.confirm_above_usd,
        lambda: settings.accept_unknown_price,
        lambda: settings.usd_per_credit,
        lambda: settings.sandbox_seconds,
    ):
        try:
            read()
        except ArgumentError as error:
            yield bad("files", "settings", error.what, error.next_step, error.exit_code)
