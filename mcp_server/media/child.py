"""Media work in a process of its own: a file from the internet may crash a decoder, never the server.

A look is short and its limits are tight: `look PATH [POSTER]` prints what the file is as JSON, then makes the poster
out of what it saw; `sheet PATH [SECONDS …]` (the lengths of the shots), `poster PATH MADE` and `last PATH` print the
path of the picture they made.
A job is long and tells how far it is: `join` and `fit` read one line of JSON from standard input, which stays open as
long as somebody wants the result, and print lines of JSON: `progress`, and at the end `done` or `error`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from _thread import interrupt_main
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Final

from mcp_server.errors import KlingError, LocalError
from mcp_server.media.progress import Work

MEMORY: Final = 1536 * 1024**2
"""Address space, threads and libraries included, of which looking into a 4K clip takes a quarter."""
SECONDS: Final = 60
"""Of all cores together: a ten-second 4K clip takes four."""
FILE: Final = 64 * 1024**2
JOB_MEMORY: Final = 6 * 1024**3
"""Address space of a job: two 4K decoders and an encoder use a quarter of it."""
_GRACE_S: Final = 2.0
_JOBS: Final = ("join", "fit")


def main(argv: list[str]) -> int:
    what, *rest = argv
    for stream in (sys.stdout, sys.stderr):
        # On Windows a pipe speaks a code page, which has no letters for most names of files.
        stream.reconfigure(encoding="utf-8")  # type: ignore[reportAttributeAccessIssue]
    return _job(what) if what in _JOBS else _look(what, *rest)


def _look(what: str, path: str, *rest: str) -> int:
    _bound({"RLIMIT_AS": MEMORY, "RLIMIT_CPU": SECONDS, "RLIMIT_FSIZE": FILE, "RLIMIT_CORE": 0})
    try:
        match what:
            case "look":
                from mcp_server.media.probe import watched

                delivered, stands = watched(path)
                sys.stdout.write(json.dumps(asdict(delivered)))
                sys.stdout.flush()
                if rest and stands is not None:
                    from mcp_server.media.frames import keep_poster

                    # Without one, whoever wants to show the clip makes it.
                    with suppress(Exception):
                        keep_poster(stands, *rest)
            case "sheet":
                from mcp_server.media.frames import sheet_beside

                sys.stdout.write(str(sheet_beside(path, [float(second) for second in rest])))
            case "poster":
                from mcp_server.media.frames import poster

                sys.stdout.write(str(poster(path, *rest)))
            case "last":
                from mcp_server.media.frames import last_frame_beside

                sys.stdout.write(str(last_frame_beside(path)))
            case _:
                return 64
    except MemoryError:
        sys.stderr.write(f"looking into it takes more than {MEMORY // 1024**2:,} MB of memory")
        return 65
    except (LocalError, OSError) as error:
        sys.stderr.write(str(error))
        return 65
    return 0


def _job(what: str) -> int:
    from av.error import FFmpegError

    _bound({"RLIMIT_AS": JOB_MEMORY, "RLIMIT_CORE": 0})
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    try:
        _say("done", _JOB[what](order, Work(lambda progress: _say("progress", asdict(progress)))))
    except KlingError as error:
        _say("error", error.as_dict())
    except MemoryError:
        _say(
            "error",
            {"what": "It takes too much memory", "why": f"more than {JOB_MEMORY // 1024**2:,} MB"},
        )
    except FFmpegError as error:
        _say("error", {"what": "FFmpeg gave up on this", "why": error.strerror or str(error)})
    except KeyboardInterrupt:
        return 130
    return 0


def _join(order: Mapping[str, Any], work: Work) -> dict[str, Any]:
    from mcp_server.media.joining.cut_list import CutList
    from mcp_server.media.joining.film import joined

    return joined(CutList.read(order), work).facts()


def _fit(order: Mapping[str, Any], work: Work) -> dict[str, Any]:
    from mcp_server.media.fitting import fitted

    return asdict(fitted(order["path"], order["megabytes"], work))


_JOB: Final[Mapping[str, Callable[[Mapping[str, Any], Work], dict[str, Any]]]] = {"join": _join, "fit": _fit}


def _say(kind: str, facts: object) -> None:
    sys.stdout.write(json.dumps({kind: facts}) + "\n")
    sys.stdout.flush()


def _end_with_the_parent() -> None:
    """Nobody waits for a result whose asker is gone; a half file goes with it."""
    # Looks write no such files, and have a bound on their memory.
    from mcp_server.media import part

    while os.read(sys.stdin.fileno(), 4096):
        pass
    interrupt_main()
    time.sleep(_GRACE_S)
    # The main thread sits in an encoder, on a busy machine for longer than anybody waits.
    part.abandon()
    os._exit(130)


def _bound(limits: Mapping[str, int]) -> None:
    """What this process may use: a small file can unpack into more pictures than the machine holds."""
    try:
        import resource
    except ImportError:
        # Windows has no such limits; the time the server waits is one.
        return
    for name, most in limits.items():
        with suppress(ValueError, OSError):
            kind = getattr(resource, name)
            hard = resource.getrlimit(kind)[1]
            resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
