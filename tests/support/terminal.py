"""A terminal for the tests: the program runs behind a pty, as it does for a person."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from fcntl import ioctl
from pathlib import Path

PATIENCE_S = 120.0
_PAINT = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07]*\x07|\r")


def environment(home: Path, **variables: str) -> dict[str, str]:
    """A clean one: nothing of the developer's, everything under `home`."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "SYSTEMROOT") if name in os.environ}
    return {
        **kept,
        "HOME": str(home),
        "KLING_HOME": str(home / ".kling"),
        "KLING_OUTPUT_DIR": str(home / "clips"),
        "TERM": "xterm-256color",
        "COLUMNS": "140",
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        **variables,
    }


def command(*words: str) -> list[str]:
    """The program, as this interpreter runs it."""
    return [sys.executable, "-m", "mcp_server", *words]


class Terminal:
    """A person at a keyboard: reads what appears, types, presses Ctrl-C."""

    def __init__(self, *words: str, env: dict[str, str], width: int = 140) -> None:
        master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
        self.raw = ""
        self._master = master
        self._process = subprocess.Popen(
            command(*words),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=env,
            close_fds=True,
            preexec_fn=_own_terminal,  # noqa: PLW1509 - two system calls, and the tests have one thread here
        )
        os.close(slave)

    @property
    def text(self) -> str:
        """All that was shown, without colours and cursor movements."""
        return _PAINT.sub("", self.raw)

    def until(self, words: str) -> str:
        """Everything shown up to and with these words; fails when they do not come."""
        end = time.monotonic() + PATIENCE_S
        while words not in self.text:
            assert time.monotonic() < end, f"{words!r} did not appear in:\n{self.text}"
            assert self._read(end), f"{words!r} did not appear before the end:\n{self.text}"
        return self.text

    def shows(self, words: str) -> bool:
        """Whether these words appear before the program ends."""
        end = time.monotonic() + PATIENCE_S
        while words not in self.text and self._read(end):
            assert time.monotonic() < end, f"neither {words!r} nor the end came:\n{self.text}"
        return words in self.text

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def ctrl_c(self) -> None:
        """Through the terminal, as the key does it."""
        os.write(self._master, b"\x03")

    def end(self) -> int:
        """The exit code, after reading to the end."""
        end = time.monotonic() + PATIENCE_S
        while self._read(end):
            assert time.monotonic() < end, f"it does not end:\n{self.text}"
        return self._process.wait(PATIENCE_S)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        os.close(self._master)

    def _read(self, end: float) -> bool:
        """Whether there may be more."""
        ready, _, _ = select.select([self._master], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            return True
        try:
            data = os.read(self._master, 65536)
        except OSError:
            # Linux says EIO when the last program has left the terminal.
            return False
        self.raw += data.decode("utf-8", "replace")
        return bool(data)


def _own_terminal() -> None:
    os.setsid()
    ioctl(0, termios.TIOCSCTTY, 0)
