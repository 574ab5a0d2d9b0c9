"""Claude Code, Codex, Gemini CLI, opencode and the skills command: each takes what we hand out, and reaches the server."""

from __future__ import annotations

import json
import shutil

from world import COMMAND, ROOT, Machine, holds, main


def claude_code(m: Machine) -> None:
    """Claude Code: our registration connects; the marketplace and the plugin are valid and install"""
    m.run(COMMAND, "install", "claude-code")
    holds(
        "kling: " in (said := m.run("claude", "mcp", "list")) and "Connected" in said, "mcp list says Connected", said
    )
    m.run("claude", "plugin", "validate", ROOT, "--strict")
    m.run("claude", "plugin", "validate", ROOT / "plugins" / "kling-video", "--strict")
    m.run("claude", "plugin", "marketplace", "add", ROOT)
    m.run("claude", "plugin", "install", "kling-video@kling-video")
    details = m.run("claude", "plugin", "details", "kling-video@kling-video")
    holds(
        "Skills (1)" in details and "MCP servers (1)" in details, "the plugin brings one skill and one server", details
    )


def codex(m: Machine) -> None:
    """Codex: our registration and the plugin are taken"""
    m.run(COMMAND, "install", "codex")
    found = m.json("codex", "mcp", "get", "kling", "--json")
    holds(found["transport"]["command"] == str(COMMAND), "codex reads the entry we wrote", found)
    holds(found["startup_timeout_sec"] == 60, "with time enough to start", found)
    m.run("codex", "plugin", "marketplace", "add", ROOT)
    said = m.run("codex", "plugin", "add", "kling-video@kling-video")
    holds("kling-video" in said, "the plugin is added from the same marketplace", said)


def gemini(m: Machine) -> None:
    """Gemini CLI: our registration connects; the extension is valid and its server connects"""
    (m.home / ".gemini").mkdir()
    m.run(COMMAND, "install", "gemini")
    work = m.home / "work"
    work.mkdir()
    said = m.run("gemini", "mcp", "list", cwd=work)
    holds("kling" in said and "Connected" in said, "mcp list says Connected", said)
    m.run("gemini", "extensions", "validate", ROOT)


def opencode(m: Machine) -> None:
    """opencode: our registration connects, from a file with comments too, which stay"""
    settings = m.home / ".config" / "opencode" / "opencode.jsonc"
    settings.parent.mkdir(parents=True)
    settings.write_text('{\n  // mine\n  "share": "disabled",\n}\n')
    m.run(COMMAND, "install", "opencode")
    said = m.run("opencode", "mcp", "list")
    holds("kling" in said and "connected" in said, "mcp list says connected", said)
    holds("  // mine\n" in settings.read_text(), "the comment is there still", settings.read_text())


def gemini_extension(m: Machine) -> None:
    """Gemini CLI: the repository as an extension runs from the extension's own folder, with `uv` alone"""
    m.run("git", "clone", "--quiet", "--depth", "1", f"file://{ROOT}", m.home / "clone")
    m.run("gemini", "extensions", "install", m.home / "clone", "--consent", "--skip-settings")
    folder = m.home / ".gemini" / "extensions" / "kling-video"
    server = json.loads((folder / "gemini-extension.json").read_text())["mcpServers"]["kling"]
    start = [part.replace("${extensionPath}", str(folder)) for part in (server["command"], *server["args"])]
    # The first start builds the environment; the client gives it two minutes, its `mcp list` far less.
    holds("kling-video " in m.run(*start, "--version", environ=m.with_packages), "its command starts")
    said = m.run("gemini", "mcp", "list", environ=m.with_packages)
    holds("from kling-video" in said and "Connected" in said, "mcp list says Connected", said)


def skills_command(m: Machine) -> None:
    """`npx skills add` of the plugin's folder, and of the repository, for four agents at once"""
    work = m.home / "work"
    work.mkdir()
    agents = [word for name in ("openclaw", "claude-code", "codex", "cursor") for word in ("-a", name)]
    source = ROOT / "plugins" / "kling-video"
    m.run("skills", "add", source, "--skill", "kling-video", *agents, "-y", "--copy", cwd=work)
    for place in ("skills", ".claude/skills", ".agents/skills"):
        page = work / place / "kling-video" / "SKILL.md"
        holds(page.is_file() and page.read_bytes() == (ROOT / "SKILL.md").read_bytes(), f"{place} has the page")
        holds((page.parent / "skill" / "models.md").is_file(), f"{place} has the pages it points to")
    said = m.run("skills", "add", ROOT, "--list", cwd=work)
    holds(said.count("kling-video") and "Found 1 skill" in said, "the repository offers exactly one skill", said)


def other_files(m: Machine) -> None:
    """Claude Desktop, Cursor and VS Code: the files we write are what their documents show, beside what was there"""
    there = m.home / ".cursor" / "mcp.json"
    there.parent.mkdir()
    there.write_text(json.dumps({"mcpServers": {"other": {"command": "x"}}, "more": 1}))
    for client in ("claude-desktop", "cursor", "vscode"):
        m.run(COMMAND, "install", client)
    written = json.loads(there.read_text())
    holds(written["mcpServers"]["other"] == {"command": "x"} and written["more"] == 1, "what was there stays", written)
    command = written["mcpServers"]["kling"]["command"]
    holds(shutil.which(command), "the command is an absolute path that exists", command)
    desktop = json.loads((m.home / ".config" / "Claude" / "claude_desktop_config.json").read_text())
    holds("kling" in desktop["mcpServers"], "Claude Desktop's file has the entry", desktop)
    holds("kling" in json.loads((m.home / ".vscode" / "mcp.json").read_text())["servers"], "VS Code's file has it")


if __name__ == "__main__":
    main(claude_code, codex, gemini, opencode, gemini_extension, skills_command, other_files)
