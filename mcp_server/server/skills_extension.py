"""Our own skill, served with the server it belongs to (SEP-2640, `io.modelcontextprotocol/skills`)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp.server.extension import Extension, MethodBinding, ResourceBinding
from mcp.server.mcpserver.resources import FileResource
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, PaginatedRequestParams, RequestParams

from mcp_server import places
from mcp_server.server.frontmatter import frontmatter
from mcp_server.server.tools.declarations import NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp.server.context import ServerRequestContext

ROOT = f"skill://{NAME}"
PAGE = f"{ROOT}/SKILL.md"
FRESH = {"ttlMs": 3_600_000, "cacheScope": "public"}


class SkillParams(RequestParams):
    """Names one skill by the address of its page."""

    uri: str


class SkillsExtension(Extension):
    """One skill: SKILL.md and the pages it points to."""

    identifier = "io.modelcontextprotocol/skills"

    def resources(self) -> Sequence[ResourceBinding]:
        return [
            ResourceBinding(
                resource=FileResource(
                    uri=uri,
                    name=NAME if uri == PAGE else path.name,
                    description=_described(uri, path),
                    # With the encoding named, the bytes that are read are the bytes that were hashed.
                    mime_type="text/markdown" if path.suffix == ".md" else "application/json",
                    encoding="utf-8",
                    path=path,
                )
            )
            for uri, path in files().items()
        ]

    def methods(self) -> Sequence[MethodBinding]:
        return [
            MethodBinding(method="skills/list", params_type=PaginatedRequestParams, handler=_list),
            MethodBinding(method="skills/get", params_type=SkillParams, handler=_get),
        ]


def _described(uri: str, path: Path) -> str:
    if uri != PAGE:
        return f"The {NAME} skill: {path.name}."
    try:
        return str(frontmatter(path.read_text(encoding="utf-8"))["description"])
    except (ValueError, KeyError):
        # A page this cannot read must not keep anybody from buying; skills/list is where it shows.
        return f"The {NAME} skill."


def files() -> dict[str, Path]:
    """Address → file, the page first; flat and in order."""
    page = places.skill_page()
    if not page.is_file():
        return {}
    rest = sorted(path for path in places.skill().iterdir() if path.suffix in {".md", ".json"})
    return {PAGE: page, **{f"{ROOT}/skill/{path.name}": path for path in rest}}


def entry() -> dict[str, Any]:
    """The skill with its complete manifest."""
    found = files()
    manifest: list[dict[str, Any]] = []
    for uri, path in found.items():
        data = path.read_bytes()
        manifest.append({"uri": uri, "digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data)})
    return {
        "uri": PAGE,
        "frontmatter": frontmatter(found[PAGE].read_text(encoding="utf-8")),
        "resources": manifest,
    }


async def _list(_ctx: ServerRequestContext[Any, Any], _params: PaginatedRequestParams) -> dict[str, Any]:
    return {"resultType": "complete", "skills": [entry()] if files() else [], **FRESH}


async def _get(_ctx: ServerRequestContext[Any, Any], params: SkillParams) -> dict[str, Any]:
    if params.uri != PAGE or not files():
        raise MCPError(INVALID_PARAMS, f"No such skill: {params.uri}")
    return {"resultType": "complete", "skill": entry(), **FRESH}
