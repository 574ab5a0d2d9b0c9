"""What clients and registries read, made from the code's own facts.

The plugin folder holds a real copy of the skill: clients copy the folder alone, so a link out of it would dangle.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mcp_server import __version__, catalog
from mcp_server.cli.setup.clients import NAME as SERVER
from mcp_server.cli.setup.install import CALL_MS, START_S
from mcp_server.cli.setup.skill import files
from mcp_server.cli.setup.variables import Variable, variables
from mcp_server.server.player import CLIP_ORIGINS
from mcp_server.server.tools.declarations import HOMEPAGE, NAME, TITLE, TOOLS

ROOT = Path(__file__).resolve().parent.parent
PLUGIN = ROOT / "plugins" / NAME
REGISTRY_NAME = f"io.github.{NAME}/{NAME}"
AUTHORS = "the kling-video authors"
SHORT = "Kling videos, 4K included: routed to the right tier, priced first, bought once, saved to disk."
KEYWORDS = ["kling", "kling-4k", "video", "text-to-video", "image-to-video"]
PYTHON = ">=3.11"


def pages() -> dict[Path, bytes]:
    """Every manifest and what should stand in it."""
    found = {PLUGIN / "skills" / NAME / name: source.read_bytes() for name, source in files().items()}
    made: dict[Path, Any] = {
        ROOT / ".claude-plugin" / "marketplace.json": marketplace(),
        PLUGIN / ".claude-plugin" / "plugin.json": plugin(),
        # The command, not its path: the folder is the same on every machine. Nothing is downloaded at a start.
        PLUGIN / ".mcp.json": {"mcpServers": {SERVER: {"command": NAME, "args": []}}},
        ROOT / "server.json": registry(),
        ROOT / "gemini-extension.json": gemini(),
        ROOT / "release" / "mcpb" / "manifest.json": bundle(),
        CLIP_ORIGINS: [f"https://{host}" for host in _media_hosts()],
    }
    found |= {path: (json.dumps(page, indent=2, ensure_ascii=False) + "\n").encode() for path, page in made.items()}
    found[PLUGIN / "README.md"] = _PLUGIN_PAGE.encode()
    return found


def there() -> list[Path]:
    """What the plugin's folder holds: all of it is made here."""
    return [path for path in PLUGIN.rglob("*") if path.is_file()]


def marketplace() -> dict[str, Any]:
    """What `/plugin marketplace add` and `codex plugin marketplace add` read."""
    entry = {"name": NAME, "source": f"./plugins/{NAME}", "description": SHORT, "category": "media"}
    return {"name": NAME, "owner": {"name": AUTHORS}, "metadata": {"description": SHORT}, "plugins": [entry]}


def plugin() -> dict[str, Any]:
    """The plugin of Claude Code; Codex and OpenClaw take the same folder."""
    return {
        "name": NAME,
        "version": __version__,
        "description": SHORT,
        "author": {"name": AUTHORS},
        "homepage": HOMEPAGE,
        "repository": HOMEPAGE,
        "license": "MIT",
        "keywords": KEYWORDS,
    }


def registry() -> dict[str, Any]:
    """The entry in the MCP registry."""
    return {
        "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
        "name": REGISTRY_NAME,
        "title": TITLE,
        "description": SHORT,
        "version": __version__,
        "websiteUrl": HOMEPAGE,
        "repository": {"url": HOMEPAGE, "source": "github"},
        "packages": [
            {
                "registryType": "pypi",
                "identifier": NAME,
                "version": __version__,
                "runtimeHint": "uvx",
                "transport": {"type": "stdio"},
                "environmentVariables": [
                    {
                        "name": variable.name,
                        "description": variable.what,
                        "isRequired": False,
                        "isSecret": variable.secret,
                    }
                    for variable in _variables()
                ],
            }
        ],
    }


def gemini() -> dict[str, Any]:
    """The extension of Gemini CLI, which clones the whole repository: it runs from there, with `uv` alone."""
    return {
        "name": NAME,
        "version": __version__,
        "description": SHORT,
        "mcpServers": {
            SERVER: {
                "command": "uv",
                "args": ["run", "--quiet", "--project", "${extensionPath}", "--extra", "media", NAME],
                "timeout": CALL_MS,
            }
        },
        "settings": [
            {
                "name": variable.name.replace("_", " ").title(),
                "description": variable.what,
                "envVar": variable.name,
                "sensitive": variable.secret,
            }
            for variable in _everyday()
        ],
    }


def bundle() -> dict[str, Any]:
    """The manifest of the .mcpb bundle for Claude Desktop, which brings `uv` and Python along."""
    return {
        "manifest_version": "0.4",
        "name": NAME,
        "display_name": TITLE,
        "version": __version__,
        "description": SHORT,
        "author": {"name": AUTHORS, "url": HOMEPAGE},
        "repository": {"type": "git", "url": HOMEPAGE},
        "homepage": HOMEPAGE,
        "license": "MIT",
        "keywords": KEYWORDS,
        "server": {
            "type": "uv",
            "entry_point": "mcp_server/__main__.py",
            "mcp_config": {
                "command": "uv",
                "args": ["run", "--quiet", "--directory", "${__dirname}", "--extra", "media", NAME],
                # A field the user left empty arrives empty or unexpanded; both count as unset.
                "env": {variable.name: f"${{user_config.{variable.name.lower()}}}" for variable in _everyday()},
            },
        },
        "tools": [{"name": tool.name, "description": tool.description} for tool in TOOLS],
        "user_config": {
            variable.name.lower(): {
                "type": "directory" if variable.name.endswith("_DIR") else "string",
                "title": variable.name,
                "description": variable.what,
                "sensitive": variable.secret,
                "required": False,
            }
            for variable in _everyday()
        },
        "compatibility": {"platforms": ["darwin", "linux", "win32"], "runtimes": {"python": PYTHON}},
    }


def _variables() -> list[Variable]:
    return list(variables(catalog.load()))


def _media_hosts() -> list[str]:
    return [host for provider in catalog.load().providers.values() for host in provider.media_hosts]


def _everyday() -> list[Variable]:
    return [variable for variable in _variables() if variable.everyday]


_PLUGIN_PAGE = f"""\
# {TITLE}

{SHORT}

This folder is a plugin for Claude Code, Codex and OpenClaw: the agent skill and the registration of the MCP server
`{SERVER}`. It holds no program. Install the command first, so that it is on the PATH your client starts servers with:

```sh
uv tool install "{NAME}[media] @ git+{HOMEPAGE}"
```

Without a vendor's key everything is simulated, for free, and says so. With a key, `generate_video` and nothing else
spends money at the vendor whose key it is. `{NAME} auth PROVIDER` stores a key, `{NAME} doctor` looks at everything.
If your client gives a server little time to start, give this one {START_S} s.

Everything in this folder is generated; the sources, all documents and the licence are at {HOMEPAGE}.
Not affiliated with Kuaishou or Kling.
"""
