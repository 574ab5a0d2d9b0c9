"""The commands for people: one module each, imported when it is called."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Final, NamedTuple


class Command(NamedTuple):
    """A command: where its module is, and what it is for, which nothing else repeats."""

    module: str
    what: str

    def load(self) -> ModuleType:
        """The module; imported when its command is called and not before."""
        return import_module(f"mcp_server.cli.{self.module}")

    @property
    def run(self) -> Callable[[list[str]], int]:
        """What takes the arguments and answers with the exit code."""
        return self.load().run


COMMANDS: Final[dict[str, Command]] = {
    "generate": Command("buy.generate", "order a clip and get the file"),
    "film": Command("buy.film", "make a film of several shots, priced as a whole"),
    "batch": Command("buy.batch", "order what a file holds, a line each, at one price"),
    "estimate": Command("buy.estimate", "what a clip would cost, from everybody"),
    "route": Command("buy.route", "what words ask for, and why"),
    "models": Command("buy.models", "what can be bought, and from whom"),
    "tasks": Command("tasks.tasks", "earlier purchases: prompt, price, file"),
    "task": Command("tasks.task", "one purchase, with all that is known"),
    "wait": Command("tasks.wait", "wait for tasks and get their files"),
    "again": Command("buy.again", "buy an earlier clip once more, with changes"),
    "cancel": Command("tasks.cancel", "stop a task where its vendor can"),
    "settle": Command("tasks.settle", "say what became of an order whose answer was lost"),
    "open": Command("tasks.open", "show a finished clip"),
    "spend": Command("tasks.spend", "what was spent, by day, provider or model"),
    "studio": Command("setup.studio", "your clips, films and spending as a page in the browser"),
    "auth": Command("setup.auth", "store, show or remove keys"),
    "doctor": Command("setup.doctor", "what is set up, and what to do next"),
    "install": Command("setup.install", "register the MCP server with a client"),
    "sandbox": Command("setup.sandbox", "the vendors' protocols on this machine, for tests"),
    "skill": Command("setup.skill", "the agent skill as a folder"),
    "serve": Command("setup.serve", "the MCP server: stdio, or HTTP with --http"),
    "worker": Command("setup.worker", "follow what was ordered in a record that many machines share"),
    "db": Command("setup.db", "the shared record: make its tables, or move a file's tasks into it"),
    "completion": Command("setup.completion", "tab completion for bash, zsh or fish"),
}
"""Each is a module here with `flags() -> Parser` and `run(argv) -> exit code`."""
