"""The suite's task tools, over the product's own Tasks extension."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from mcp.server.mcpserver import Context
from mcp_types import CallToolResult, InputRequiredResult, TextContent


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def said(words: str, *, error: bool = False) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": words}], "isError": error}


@dataclass
class Job:
    id: str
    status: str = "working"
    created: str = field(default_factory=now)
    changed: str = field(default_factory=now)
    end: dict[str, Any] = field(default_factory=dict)
    questions: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    running: asyncio.Task[None] | None = None

    def settle(self, status: str, **end: Any) -> None:
        if self.status not in ("completed", "failed", "cancelled"):
            self.status, self.end, self.changed = status, end, now()


class FixtureTasks:
    """A TaskSource in memory."""

    tools: Mapping[str, Any] = {
        "slow_compute": "optional",
        "failing_job": "required",
        "protocol_error_job": "optional",
        "confirm_delete": "optional",
        "multi_input": "optional",
        "test_tool_with_task": "required",
    }

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}

    def begin(self, work: Any = None, **questions: Any) -> CallToolResult:
        job = Job(f"fixture_{uuid4().hex}", questions=dict(questions))
        if questions:
            job.status = "input_required"
        self._jobs[job.id] = job
        if work is not None:
            job.running = asyncio.create_task(work(job))
        return CallToolResult(content=[TextContent(type="text", text=job.id)], structured_content={"task_id": job.id})

    async def view(self, task_id: str) -> dict[str, Any] | None:
        job = self._jobs.get(task_id)
        if job is None:
            return None
        made = {
            "taskId": job.id,
            "status": job.status,
            "createdAt": job.created,
            "lastUpdatedAt": job.changed,
            "ttlMs": 60_000,
            "pollIntervalMs": 200,
            **job.end,
        }
        if job.status == "input_required":
            made["inputRequests"] = job.questions
        return made

    async def cancel(self, task_id: str) -> None:
        job = self._jobs[task_id]
        job.settle("cancelled")
        if job.running:
            job.running.cancel()

    async def update(self, task_id: str, responses: Mapping[str, Any]) -> None:
        job = self._jobs[task_id]
        for name in list(job.questions):
            if name in responses:
                job.answers[name] = responses[name]
                del job.questions[name]
        if job.status == "input_required" and not job.questions:
            job.settle("completed", result=said(f"answers: {sorted(job.answers)}"))


def form(message: str, **kinds: str) -> dict[str, Any]:
    fields = {name: {"type": kind} for name, kind in kinds.items()}
    schema = {"type": "object", "properties": fields, "required": list(fields)}
    return {"method": "elicitation/create", "params": {"mode": "form", "message": message, "requestedSchema": schema}}


def add_task_tools(server: Any) -> None:
    tasks = FixtureTasks()
    server.tasks.sources.append(tasks)

    @server.tool(structured_output=False)
    async def greet(name: str) -> str:
        """At once."""
        return f"Hello, {name}!"

    @server.tool(structured_output=False)
    async def slow_compute(seconds: float, label: str = "") -> CallToolResult:
        """After some seconds."""
        if seconds <= 0:
            return CallToolResult(content=[TextContent(type="text", text=f"{label}: done")])

        async def work(job: Job) -> None:
            await asyncio.sleep(seconds)
            job.settle("completed", result=said(f"{label}: done"))

        return tasks.begin(work)

    @server.tool(structured_output=False)
    async def failing_job() -> CallToolResult:
        """Ends in a tool error."""

        async def work(job: Job) -> None:
            await asyncio.sleep(1)
            job.settle("completed", result=said("failed on purpose", error=True))

        return tasks.begin(work)

    @server.tool(structured_output=False)
    async def protocol_error_job() -> CallToolResult:
        """Ends in a protocol error."""

        async def work(job: Job) -> None:
            job.settle("failed", error={"code": -32603, "message": "failed on purpose"})

        return tasks.begin(work)

    @server.tool(structured_output=False)
    async def confirm_delete(filename: str = "") -> CallToolResult:
        """Asks once."""
        return tasks.begin(confirm=form(f"Delete {filename}?", confirm="boolean"))

    @server.tool(structured_output=False)
    async def multi_input() -> CallToolResult:
        """Asks twice at once."""
        return tasks.begin(first=form("First?", value="string"), second=form("Second?", value="string"))

    @server.tool(structured_output=False)
    async def test_tool_with_task(ctx: Context) -> CallToolResult | InputRequiredResult:
        """Asks, then becomes a task."""
        answer = (ctx.input_responses or {}).get("user_name")
        if answer is None:
            question = form("What is your name?", name="string")
            return InputRequiredResult.model_validate({"inputRequests": {"user_name": question}})
        name = (answer.content or {}).get("name")

        async def work(job: Job) -> None:
            job.settle("completed", result=said(f"Hello, {name}!"))

        return tasks.begin(work)
