"""The one place where something that went wrong becomes an answer a model reads."""

from __future__ import annotations

import logging

from mcp_types import CallToolResult, TextContent

from mcp_server.errors import KlingError

log = logging.getLogger(__name__)


def refusal(error: KlingError) -> CallToolResult:
    """Our whole sentence as text, and the same facts as structure: some clients hand on only one of the two."""
    return CallToolResult(
        content=[TextContent(type="text", text=str(error))],
        structured_content={"error": {**error.as_dict(), "message": str(error)}},
        is_error=True,
    )


def crash(tool: str, error: Exception) -> CallToolResult:
    """A defect of ours, without its insides; whether money moved is not claimed where it is not known."""
    log.exception("%s failed", tool, exc_info=error)
    paid = tool in ("generate_video", "make_film")
    return refusal(
        KlingError(
            f"{tool} stopped on a defect in this server ({type(error).__name__})",
            next_step="Look at list_tasks before ordering again" if paid else "Call again, or look at the server's log",
            money="unknown" if paid else "not_spent",
        )
    )
