"""Windows, as far as another system can play it: what is missing there is missing, and what it refuses is refused.

`python windows.py WORDS…` is `kling-video WORDS…` there; `python windows.py` alone serves MCP. The libraries are loaded
before: what they do there is their makers' business. Run it with PYTHONIOENCODING=cp1252, as a pipe there speaks.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import select
import signal
import ssl
import stat
import subprocess
import sys
import types
from pathlib import Path

import anyio.from_thread
import anyio.to_thread
import httpx
import mcp.server.stdio
import uvicorn
from rich import console, table

LOADED = (anyio, console, httpx, mcp, table, uvicorn)
MODULES = ("fcntl", "grp", "pty", "pwd", "resource", "termios", "tty")
FUNCTIONS = {
    os: "O_DIRECTORY O_NOFOLLOW chown fork geteuid getpgid getuid killpg mkfifo posix_fadvise setsid statvfs",
    signal: "SIGHUP SIGKILL SIGSTOP SIGCONT SIGUSR1 SIGUSR2 SIGALRM SIGCHLD SIGPIPE pthread_kill",
    select: "poll epoll PIPE_BUF",
}
_NAMELESS = os.O_TMPFILE
_flags, _open, _fsync, _link, _select = fcntl.fcntl, os.open, os.fsync, os.link, select.select
_here = Path(__file__).resolve().parents[2]


def begin() -> None:
    """From here on this process is on Windows."""
    # subprocess ends what it started by a signal that is not there.
    subprocess.signal = types.SimpleNamespace(**vars(signal))  # type: ignore[attr-defined]
    for owner, names in FUNCTIONS.items():
        for name in names.split():
            if hasattr(owner, name):
                delattr(owner, name)
    for name in MODULES:
        sys.modules[name] = None  # type: ignore[assignment]
    locks = types.ModuleType("msvcrt")
    locks.LK_LOCK, locks.locking = 1, lambda *_: None  # type: ignore[attr-defined]
    sys.modules["msvcrt"] = locks
    signal.SIGBREAK = signal.Signals(21)  # type: ignore[attr-defined]
    asyncio.ProactorEventLoop = asyncio.SelectorEventLoop  # type: ignore[attr-defined]
    ssl.enum_certificates = lambda _store: []
    os.supports_follow_symlinks.discard(os.link)
    os.open, os.fsync, os.link, os.kill = _opened, _synced, _linked, _ended
    os.rename, os.replace = _moved(os.rename, over=False), _moved(os.replace, over=True)
    os.unlink = os.remove = _gone(os.unlink)
    select.select = _waited
    for name in ("add_reader", "add_writer", "add_signal_handler"):
        setattr(asyncio.SelectorEventLoop, name, _unheard)
    sys.platform = "win32"


def _opened(path, flags, *more, **others):
    # A temporary file without a name is this system's way, not that one's.
    if os.path.isdir(path) and flags & _NAMELESS != _NAMELESS:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))
    return _open(path, flags, *more, **others)


def _synced(file):
    number = file if isinstance(file, int) else file.fileno()
    if _flags(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OSError(errno.EBADF, "Bad file descriptor")
    _fsync(number)


def _linked(source, target, *, follow_symlinks=True, **others):
    if not follow_symlinks:
        raise NotImplementedError("link: follow_symlinks unavailable on this platform")
    _link(source, target, **others)


def _ended(number, what):
    raise AssertionError(f"os.kill({number}, {what}) ends the process there, whatever the signal")


def _moved(move, *, over):
    def moved(source, target, **others):
        if not over and os.path.exists(target):
            raise FileExistsError(errno.EEXIST, "File exists", str(target))
        _refuse_open(source, target)
        move(source, target, **others)

    return moved


def _gone(unlink):
    def gone(path, **others):
        if "dir_fd" not in others:
            _refuse_open(path)
        unlink(path, **others)

    return gone


def _refuse_open(*paths):
    """What somebody has open cannot be moved or taken away; only this process's own files are seen here."""
    held = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            held.add(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:
            continue
    for path in map(os.path.abspath, paths):
        if path in held:
            raise PermissionError(errno.EACCES, "The file is used by another process", path)


def _waited(reading, writing, others, *timeout):
    for each in (*reading, *writing):
        number = each if isinstance(each, int) else each.fileno()
        if not stat.S_ISSOCK(os.fstat(number).st_mode):
            raise OSError(10038, "An operation was attempted on something that is not a socket")
    return _select(reading, writing, others, *timeout)


def _unheard(*_arguments, **_more):
    raise NotImplementedError


def modules() -> list[str]:
    """All of the package."""
    found = [".".join(path.relative_to(_here).with_suffix("").parts) for path in (_here / "mcp_server").rglob("*.py")]
    return sorted(name.removesuffix(".__init__") for name in found if not name.endswith("__main__"))


if __name__ == "__main__":
    sys.path.insert(0, str(_here))
    begin()
    if sys.argv[1:] == ["--import"]:
        import importlib

        for name in modules():
            importlib.import_module(name)
        print(len(modules()))
        sys.exit()
    from mcp_server.__main__ import main

    sys.exit(main(sys.argv[1:]))
