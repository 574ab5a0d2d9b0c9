"""The commands for people: one module each, imported when it is called."""

from __future__ import annotations

from typing import Final

COMMANDS: Final[dict[str, str]] = {
    "generate": "order a clip and get the file",
    "estimate": "what a clip would cost, from everybody",
    "route": "what words ask for, and why",
    "models": "what can be bought, and from whom",
    "tasks": "earlier purchases: prompt, price, file",
    "task": "one purchase, with all that is known",
    "wait": "wait for tasks and get their files",
    "again": "buy an earlier clip once more, with changes",
    "cancel": "stop a task where its vendor can",
    "settle": "say what became of an order whose answer was lost",
    "open": "show a finished clip",
    "spend": "what was spent, by day, provider or model",
    "auth": "store, show or remove keys",
    "doctor": "what is set up, and what to do next",
    "install": "register the MCP server with a client",
    "sandbox": "the vendors' protocols on this machine, for tests",
    "skill": "the agent skill as a folder",
    "serve": "the MCP server: stdio, or HTTP with --http",
    "completion": "tab completion for bash, zsh or fish",
}
"""Each is a module here with `run(argv) -> exit code`; one with `flags()` is completed by its flags."""
