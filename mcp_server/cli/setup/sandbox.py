"""`kling-video sandbox`: the vendors' protocols on this machine, for rehearsals and other programs' tests."""

from __future__ import annotations

import time
from pathlib import Path

from mcp_server.cli import parser
from mcp_server.errors import LocalError
from mcp_server.settings import Settings


def flags() -> parser.Parser:
    made = parser.command("sandbox", "Until Ctrl-C. Prints the variables that send a program here.", as_json=False)
    made.add_argument("--host", default="127.0.0.1", help="address to listen on (default: only this machine)")
    made.add_argument("--port", type=parser.port, default=0, help="default: any that is free")
    made.add_argument("--seconds", type=float, help="how long a clip takes (KLING_SANDBOX_SECONDS)")
    made.add_argument(
        "--faults",
        metavar="VENDOR=FAULT",
        action="append",
        help="what goes wrong: runcomfy=429:2; repeatable (KLING_SANDBOX_FAULTS)",
    )
    made.add_argument("--store", type=Path, metavar="FILE", help="where jobs are kept (default: KLING_HOME/sandbox.db)")
    return made


def run(argv: list[str]) -> int:
    given = flags().parse_args(argv)
    settings = Settings.read()
    store: Path = given.store or settings.home / "sandbox.db"
    from mcp_server.sandbox.sandbox import Sandbox
    from mcp_server.sandbox.server import serve

    try:
        store.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        sandbox = Sandbox(
            store,
            now=time.time,
            seconds=settings.sandbox_seconds if given.seconds is None else given.seconds,
            fault_text=settings.sandbox_faults if given.faults is None else ",".join(given.faults),
        )
        try:
            serve(sandbox, given.host, given.port, announce=_say)
        except KeyboardInterrupt:
            # The server has ended in good order before it passes this on.
            return 0
        finally:
            sandbox.close()
    except OSError as error:
        raise LocalError(
            f"The sandbox cannot be served: {error.strerror}", next_step="Choose another --port"
        ) from error
    return 0


def _say(line: str) -> None:
    # Whoever started us as a child waits for these lines.
    print(line, flush=True)
