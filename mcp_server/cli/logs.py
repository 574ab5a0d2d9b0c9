"""The log of a process that runs for long: plain lines, or one JSON object a line for machines to read."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, Final

from mcp_server.cli.formatting import harmless_log
from mcp_server.settings import Settings

_ID: Final = re.compile(r"\bk[vf]-\d{6}-[0-9a-z]{12}\b")
HIDDEN: Final = "•••"


def readable_log(settings: Settings) -> None:
    """From now on this process logs as KLING_LOG says: one line a message in any case."""
    harmless_log()
    if not settings.log_as_json:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines(settings.secrets))
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(logging.WARNING)
    logging.getLogger("kling_video").setLevel(logging.INFO)


class JsonLines(logging.Formatter):
    """Time, level, logger, words, the tasks they name, and the trace of an error; never a secret."""

    def __init__(self, secrets: Collection[str]) -> None:
        super().__init__()
        # The longest first: one may be a part of another.
        self._secrets = sorted(secrets, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        said = self._without(record.getMessage())
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": said,
        }
        if tasks := list(dict.fromkeys(_ID.findall(said))):
            line["task_id" if len(tasks) == 1 else "task_ids"] = tasks[0] if len(tasks) == 1 else tasks
        if record.exc_info:
            line["error"] = self._without(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)

    def _without(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text
