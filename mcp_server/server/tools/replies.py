"""Answers as MCP results: everything in the structure and in the text, and the clip as a link."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mcp_types import Annotations, CallToolResult, ContentBlock, ResourceLink, TextContent

from mcp_server.answers.shapes import FilmAnswer, OrderAnswer, OrderedAnswer, TaskAnswer
from mcp_server.errors import MONEY_SENTENCE, paragraph
from mcp_server.server.handshake.opening import compact

BLOB_LIMIT = 8 * 1024 * 1024
"""Above this a clip is not sent through the protocol: some clients read large frames in quadratic time."""


def reply(facts: dict[str, Any], *links: ContentBlock) -> CallToolResult:
    """The same facts twice, because clients differ in which of the two they show their model."""
    text = compact(facts)
    return CallToolResult(content=[TextContent(type="text", text=text), *links], structured_content=facts)


def task_reply(found: OrderedAnswer, *pictures: ContentBlock) -> CallToolResult:
    """One task, or one film."""
    return reply(found.facts(), *clip_links([found]), *pictures)


def order_reply(order: TaskAnswer) -> CallToolResult:
    """One order; what the vendor refused, or may have charged for nothing, is an error and says so first.

    Where some of several variations were bought it is none: whoever reads an error orders again.
    """
    tasks = order.each if isinstance(order, OrderAnswer) else [order]
    if any(task.state not in ("failed", "uncertain") for task in tasks):
        return reply(order.facts(), *clip_links(tasks))
    facts = order.facts()
    message = " ".join(dict.fromkeys(told(task.error or {}) or task.next_step for task in tasks))
    facts["error"] = {**facts.get("error", {}), "message": message}
    result = reply(facts)
    result.content.insert(0, TextContent(type="text", text=message))
    result.is_error = True
    return result


def told(error: dict[str, Any]) -> str:
    """A recorded error as the paragraph it was: what, why, what now, and the money."""
    money = MONEY_SENTENCE.get(error.get("money", ""), "")
    return paragraph(*(str(error.get(part, "")) for part in ("what", "why", "next_step")), money)


def clip_links(found: Sequence[OrderedAnswer]) -> list[ContentBlock]:
    """A link for every finished clip and film."""
    return [
        ResourceLink(
            type="resource_link",
            uri=clip_uri(each),
            name=f"{each.id}.mp4",
            title=f"{_title(each)}{' (simulated)' if each.simulated else ''}",
            mime_type="video/mp4",
            size=each.bytes,
            annotations=Annotations(audience=["user"], priority=1.0),
        )
        for each in found
        if each.state == "succeeded" and each.place
    ]


def clip_uri(found: OrderedAnswer) -> str:
    """Where the clip can be read: through us while it is small, else where it lies; a link is a link already."""
    if not found.video_path and found.place:
        return found.place
    if found.bytes is None or found.bytes <= BLOB_LIMIT or not found.video_path:
        return f"video://{found.id}"
    return Path(found.video_path).as_uri()


def _title(found: OrderedAnswer) -> str:
    return found.title if isinstance(found, FilmAnswer) else f"{found.model} {found.tier}"
