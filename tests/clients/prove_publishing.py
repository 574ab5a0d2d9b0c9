"""What registries and stores check before they take something: run here, with the network's part played on loopback."""

from __future__ import annotations

import json
import os
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from world import COMMAND, ROOT, Machine, holds, main

SCHEMA = Path(os.environ["KLING_CLIENTS"]).parent / "server.schema.json"
"""The registry's published schema (2025-12-11), where somebody has put it."""


def agent_skills(m: Machine) -> None:
    """`agentskills validate`, the specification's own checker, on the exported folder"""
    m.run(COMMAND, "skill", "export", m.home)
    tool = Path(sys.executable).with_name("agentskills")
    said = m.run(tool, "validate", m.home / "kling-video")
    holds("Valid skill" in said, "a valid skill", said)


def clawhub(m: Machine) -> None:
    """`clawhub skill publish --dry-run`, of the exported folder and of the repository's root"""
    m.run(COMMAND, "skill", "export", m.home)
    with _empty_registry() as url:
        for folder in (m.home / "kling-video", ROOT):
            publish = ["--registry", url, "skill", "publish", folder, "--slug", "kling-video", "--dry-run", "--json"]
            plan = m.json("clawhub", "--no-input", *publish)
            holds(plan["ok"] and plan["status"] == "would-publish", f"would publish {folder.name}", plan)
            holds(plan["fileCount"] == len(_text_files(m)), f"exactly the {plan['fileCount']} files of the skill", plan)


def bundle(m: Machine) -> None:
    """`mcpb validate` and `mcpb info`; the bundle, unpacked elsewhere, serves"""
    m.run("mcpb", "validate", ROOT / "release" / "mcpb" / "manifest.json")
    file = m.home / "kling-video.mcpb"
    m.run(sys.executable, "-m", "release", "mcpb", file, cwd=ROOT)
    m.run("mcpb", "info", file)
    m.run("mcpb", "unpack", file, m.home / "unpacked")
    names = set(zipfile.ZipFile(file).namelist())
    holds({"manifest.json", "pyproject.toml", "mcp_server/__main__.py"} <= names, "it holds what it starts", names)
    config = json.loads((m.home / "unpacked" / "manifest.json").read_text())["server"]["mcp_config"]
    start = [part.replace("${__dirname}", str(m.home / "unpacked")) for part in (config["command"], *config["args"])]
    said = m.run(*start, "doctor", "--offline", "--json", environ=m.with_packages)
    holds(
        '"ok": true' in said and "are looked into" in said, "started as a host starts it, it finds all it needs", said
    )


def registry_entry(m: Machine) -> None:
    """`server.json` against the registry's schema"""
    entry = json.loads((ROOT / "server.json").read_text())
    holds(entry["name"] in (ROOT / "README.md").read_text(), "README carries the mark that proves ownership")
    if not SCHEMA.exists():
        print(
            f"   !! SKIPPED: the schema is not at {SCHEMA}; tests/release/test_manifests.py holds its rules in our words"
        )
        return
    import jsonschema

    jsonschema.Draft7Validator(json.loads(SCHEMA.read_text())).validate(entry)
    holds(True, "valid under the published schema of 2025-12-11")


def _text_files(m: Machine) -> list[Path]:
    return [path for path in (m.home / "kling-video").rglob("*") if path.is_file()]


class _empty_registry:  # reads as a statement
    """A registry that knows no skill."""

    def __enter__(self) -> str:
        class Nothing(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = HTTPServer(("127.0.0.1", 0), Nothing)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


if __name__ == "__main__":
    main(agent_skills, clawhub, bundle, registry_entry)
