"""What the pages for many machines name is there: every role, flag, variable and path of manifests and compose file."""

from __future__ import annotations

import re

import pytest

from mcp_server import catalog, places
from mcp_server.cli import COMMANDS
from mcp_server.cli.setup.variables import variables
from mcp_server.server import observed

DOCS = places.PACKAGE.parent / "docs"
MANIFESTS = (DOCS / "kubernetes.yaml").read_text(encoding="utf-8")
COMPOSE = re.search(r"```yaml\n(.*?)```", (DOCS / "scale.md").read_text(encoding="utf-8"), re.DOTALL)[1]
NAME = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
NOT_OURS = {"POSTGRES_PASSWORD"}


@pytest.mark.parametrize("text", [MANIFESTS, COMPOSE], ids=["kubernetes", "compose"])
def test_every_variable_is_one_the_program_reads(text: str) -> None:
    known = {variable.name for variable in variables(catalog.load())}
    named = set(NAME.findall(text)) - NOT_OURS

    assert "KLING_DATABASE_URL" in named and named <= known, named - known


@pytest.mark.parametrize("text", [MANIFESTS, COMPOSE], ids=["kubernetes", "compose"])
def test_every_role_is_a_command_that_takes_these_words(text: str) -> None:
    called = re.findall(r"(?:command|entrypoint): \[kling-video, ([^\]]*)\]", text)
    roles = set()
    for words in called:
        role, *flags = [word.strip().strip('"') for word in words.split(",")]
        COMMANDS[role].load().flags().parse_args(flags)
        roles.add((role, *(flag for flag in flags if flag in ("migrate", "--http"))))
    assert roles == {("db", "migrate"), ("serve", "--http"), ("worker",)}


def test_probes_ask_what_is_served_where_it_is_served() -> None:
    paths = set(re.findall(r"path: (/[a-z]+), port", MANIFESTS))
    assert paths == {"/health", "/ready"} and paths <= set(observed.routes(None, None))  # type: ignore[arg-type]
    ports = re.findall(r'--port, "(\d+)"', MANIFESTS)
    assert (
        ports == re.findall(r"containerPort: (\d+)", MANIFESTS) == re.findall(r'prometheus.io/port: "(\d+)"', MANIFESTS)
    )


def test_vendors_keys_are_at_workers_alone() -> None:
    documents = {
        re.search(r"kind: (\w+)\nmetadata:\n  name: ([\w-]+)", part).groups(): part for part in MANIFESTS.split("---\n")
    }
    holders = {name for (kind, name), part in documents.items() if "kling-vendors" in part.partition("apiVersion")[2]}
    assert holders == {"kling-worker"}
