"""`kling-video db`: the record that many machines share."""

from __future__ import annotations

import asyncio
from typing import Any

from mcp_server.cli import parser
from mcp_server.cli.screen import Screen
from mcp_server.errors import ArgumentError, LocalError
from mcp_server.settings import Settings


def flags() -> parser.Parser:
    made = parser.command(
        "db",
        "Every machine may run `migrate` at once: one does it, the others wait. `import` goes on where it was cut.",
    )
    made.add_argument(
        "what",
        choices=("migrate", "import"),
        help="migrate: bring the tables to this version; import: move what stands in the file of KLING_HOME into them",
    )
    return made


def run(argv: list[str]) -> int:
    given = flags().parse_args(argv)
    settings = Settings.read()
    if settings.database_url is None:
        raise ArgumentError(
            "KLING_DATABASE_URL is not set: the record is a file of this machine, which brings itself up to date",
            next_step="Set KLING_DATABASE_URL to the Postgres database that shall be the record",
        )
    try:
        facts, said = _migrate(settings) if given.what == "migrate" else _import(settings)
    except ImportError as error:
        raise LocalError(
            f"What speaks to a database is not installed ({error.name})",
            next_step="Install the extra `scale`: pip install 'kling-video[scale]'",
        ) from error
    screen = Screen(as_json=given.json)
    if given.json:
        screen.facts(facts)
    else:
        screen.line(said)
    return 0


def _migrate(settings: Settings) -> tuple[dict[str, Any], str]:
    from mcp_server.tasks.store.postgres.migrate import migrate

    assert settings.database_url is not None
    before, after = asyncio.run(migrate(settings.database_url.value))
    said = f"The database has version {after}" + ("" if before < after else ", as it had before")
    return {"before": before, "version": after}, said


def _import(settings: Settings) -> tuple[dict[str, Any], str]:
    import time
    from dataclasses import asdict

    from mcp_server.tasks.store.postgres.connections import Connections
    from mcp_server.tasks.store.postgres.importing import Moved, move

    assert settings.database_url is not None
    url = settings.database_url.value
    if not settings.database.exists():
        raise LocalError(
            f"There is no record at {settings.database}",
            next_step="Set KLING_HOME to the folder of the record that shall be moved",
        )

    async def moving() -> Moved:
        connections = Connections(url)
        try:
            return await move(settings.database, connections, time.time())
        finally:
            await connections.close()

    moved = asyncio.run(moving())
    said = f"{moved.tasks} tasks and {moved.films} films were moved; workers go on with {moved.followed} of them"
    if moved.unreadable:
        said += f". {len(moved.unreadable)} cannot be read and stay in the file: {', '.join(moved.unreadable[:3])}"
    return asdict(moved), said
