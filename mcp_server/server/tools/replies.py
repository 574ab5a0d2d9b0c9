"""Answers as MCP results: everything in the structure and in the text, and the clip as a link."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mcp_types import Annotations, CallToolResult, ContentBlock, ResourceLink, TextContent

from mcp_server.answers.shapes import TaskAnswer
from mcp_server.errors import MONEY_SENTENCE, paragraph

BLOB_LIMIT = 8 * 1024 * 1024
"""Above this a clip is not sent through the protocol: some clients read large frames in quadratic time."""


def reply(facts: dict[str, Any], *links: ContentBlock) -> CallToolResult:
    """The same facts twice, because clients differ in which of the two they show their model."""
    text = json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
    return CallToolResult(content=[TextContent(type="text", text=text), *links], structured_content=facts)


def task_reply(task: TaskAnswer, *pictures: ContentBlock) -> CallToolResult:
    return reply(task.facts(), *clip_links([task]), *pictures)


def order_reply(task: TaskAnswer) -> CallToolResult:
    """One order; what the vendor refused, or may have charged for nothing, is an error and says so first."""
    if task.state not in ("failed", "uncertain"):
        return task_reply(task)
    facts = task.facts()
    message = told(facts.get("error", {})) or task.next_step
    facts["error"] = {**facts.get("error", {}), "message": message}
    result = reply(facts)
    result.content.insert(0, TextContent(type="text", text=message))
    result.is_error = True
    return result


def told(error: dict[str, Any]) -> str:
    """A recorded error as the paragraph it was: what, why, what now, and the money."""
    money = MONEY_SENTENCE.get(error.get("money", ""), "")
    return paragraph(*(str(error.get(part, "")) for part in ("what", "why", "next_step")), money)


def clip_links(tasks: list[TaskAnswer]) -> list[ContentBlock]:
    """A link for every finished clip."""
    return [
        ResourceLink(
            type="resource_link",
            uri=clip_uri(task),
            name=f"{task.task_id}.mp4",
            title=f"{task.model} {task.tier}{' (simulated)' if task.simulated else ''}",
            mime_type="video/mp4",
            size=task.bytes,
            annotations=Annotations(audience=["user"], priority=1.0),
        )
        for task in tasks
        if task.state == "succeeded" and task.video_path
    ]


def clip_uri(task: TaskAnswer) -> str:
    """Where the clip can be read: through us while it is small, else where it lies."""
    if task.bytes is None or task.bytes <= BLOB_LIMIT or not task.video_path:
        return f"video://{task.task_id}"
    return Path(task.video_path).as_uri()
