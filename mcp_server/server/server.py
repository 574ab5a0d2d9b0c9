"""The one MCP server object; stdio, HTTP and the protocol's own test suite all serve this."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import anyio
from mcp.server._otel import OpenTelemetryMiddleware
from mcp.server.caching import CacheHint
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import MCPServer
from mcp.server.subscriptions import InMemorySubscriptionBus
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    GetPromptResult,
    Icon,
    InputRequiredResult,
    SubscribeRequestParams,
    UnsubscribeRequestParams,
)
from opentelemetry import trace

from mcp_server import __version__
from mcp_server.errors import KlingError
from mcp_server.server.completions import add_completions
from mcp_server.server.lazy_service import LazyService, make_service
from mcp_server.server.player import player
from mcp_server.server.prompts import add_prompts
from mcp_server.server.resources import JSON_TYPE, add_resources
from mcp_server.server.skills_extension import SkillsExtension
from mcp_server.server.subscriptions import Watching
from mcp_server.server.task_source import OrderTasks
from mcp_server.server.tasks_extension import TasksExtension
from mcp_server.server.tools import declarations, films, free, paid
from mcp_server.server.tools.tool import Handler, make_tool
from mcp_server.settings import Settings

if TYPE_CHECKING:
    from mcp.server.auth.provider import TokenVerifier
    from mcp.server.auth.settings import AuthSettings
    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

    from mcp_server.service import Service

HANDLERS: Mapping[str, Handler] = {
    "generate_video": paid.generate_video,
    "get_task": free.get_task,
    "estimate_cost": free.estimate_cost,
    "list_models": free.list_models,
    "cancel_task": paid.cancel_task,
    "list_tasks": free.list_tasks,
    "make_film": films.make_film,
}
CLOSE_S = 10.0
"""How long the end may take: as long as an order may."""
NAME_MAX = 1_000
"""No tool, prompt, resource or task is called anything near as long; an answer repeats what it was asked for."""
HOUR = CacheHint(ttl_ms=3_600_000, scope="public")
"""Lists change only with the version of this server."""


class KlingServer(MCPServer[None]):
    """The SDK's server, with this product's words where the SDK would use its own."""

    services: LazyService
    tasks: TasksExtension

    async def read_resource(
        self, uri: Any, context: Any = None
    ) -> Iterable[ReadResourceContents] | InputRequiredResult:
        """A resource; text that stands in for a clip too large to send says that it is no video."""
        found = await super().read_resource(uri, context)
        if isinstance(found, InputRequiredResult):
            return found
        return [
            ReadResourceContents(content=part.content, mime_type=JSON_TYPE, meta=part.meta)
            if isinstance(part.content, str) and (part.mime_type or "").startswith("video/")
            else part
            for part in found
        ]

    async def get_prompt(
        self, name: str, arguments: dict[str, Any] | None = None, context: Any = None
    ) -> GetPromptResult | InputRequiredResult:
        """A prompt; why it refuses is said in our words, which the SDK would keep to itself."""
        try:
            return await super().get_prompt(name, arguments, context)
        except ValueError as error:
            why: BaseException | None = error
            while why is not None and not isinstance(why, KlingError):
                why = why.__cause__
            if why is None:
                raise
            raise MCPError(INVALID_PARAMS, why.story) from error

    async def known_names(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """An unknown tool or prompt is an invalid request, as the specification has it, not a failed call."""
        for part in ("name", "uri", "taskId"):
            if len(str((ctx.params or {}).get(part, ""))) > NAME_MAX:
                raise MCPError(INVALID_PARAMS, f"`{part}` is longer than {NAME_MAX} characters")
        name = (ctx.params or {}).get("name")
        if ctx.method == "tools/call" and (not isinstance(name, str) or self._tool_manager.get_tool(name) is None):
            raise MCPError(INVALID_PARAMS, f"Unknown tool: {name}")
        if ctx.method == "prompts/get" and (not isinstance(name, str) or self._prompt_manager.get_prompt(name) is None):
            raise MCPError(INVALID_PARAMS, f"Unknown prompt: {name}")
        result = await call_next(ctx)
        self.services.replied()
        return result

    def push_updates(self, watching: Watching) -> None:
        """Serve `resources/subscribe`, where the transport can carry what it promises."""
        self._lowlevel_server.add_request_handler("resources/subscribe", SubscribeRequestParams, watching.subscribe)
        self._lowlevel_server.add_request_handler(
            "resources/unsubscribe", UnsubscribeRequestParams, watching.unsubscribe
        )

    @property
    def low_level(self) -> Any:
        """What the stdio runner drives; the SDK offers no public way to it."""
        return self._lowlevel_server


@contextmanager
def plain_log() -> Generator[None]:
    """Keeps the SDK from importing rich for its log, which it does where rich is installed: a twentieth of the start,
    for boxes that no client's log file can show. Without rich it writes plain lines.
    """
    hidden = {name: sys.modules.get(name) for name in ("rich.console", "rich.logging")}
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type] - None is how Python says that a module is not there
    try:
        yield
    finally:
        for name, module in hidden.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def build_server(
    make: Callable[[], Service] = make_service,
    *,
    settings: Settings | None = None,
    back_channel: bool = True,
    auth: AuthSettings | None = None,
    token_verifier: TokenVerifier | None = None,
    extra: Callable[[KlingServer], None] | None = None,
    at_once: bool = False,
) -> KlingServer:
    """The server, with nothing behind it opened yet, unless it is to work `at_once`.

    `extra` adds what only a test suite needs.
    """
    services = LazyService(settings or Settings.read(), make, at_once=at_once)
    bus = InMemorySubscriptionBus()
    watching = Watching(services, bus)
    tasks = TasksExtension(OrderTasks(services))

    @asynccontextmanager
    async def lifespan(_server: Any) -> AsyncGenerator[None]:
        if not back_channel:
            # Whoever serves many does so once everything is loaded; where a client has a process of its own, most
            # never need it.
            await services.load_ahead()
        resuming = asyncio.create_task(services.resume())
        try:
            yield
        finally:
            resuming.cancel()
            # A signal cancels everything around this; an order on its way still gets written down.
            with anyio.move_on_after(CLOSE_S, shield=True):
                await services.close()

    with plain_log():
        server = KlingServer(
            declarations.NAME,
            title=declarations.TITLE,
            instructions=declarations.INSTRUCTIONS,
            version=__version__,
            website_url=declarations.HOMEPAGE,
            icons=[Icon(src=declarations.ICON, mime_type="image/svg+xml", sizes=["any"])],
            tools=[make_tool(declared, HANDLERS[declared.name], services) for declared in declarations.TOOLS],
            extensions=[tasks, SkillsExtension(), player()],
            lifespan=lifespan,
            log_level="WARNING",
            auth=auth,
            token_verifier=token_verifier,
            subscriptions=bus,
            cache_hints=dict.fromkeys(
                ("tools/list", "prompts/list", "resources/list", "resources/templates/list", "server/discover"), HOUR
            ),
            middleware=[watching.middleware],
        )
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        # Nobody takes the SDK's spans: making them for nobody is 3 % of an order.
        server.middleware[:] = [each for each in server.middleware if not isinstance(each, OpenTelemetryMiddleware)]
    server.services = services
    server.tasks = tasks
    server.middleware.append(server.known_names)
    if back_channel:
        server.push_updates(watching)
    add_resources(server, services)
    add_prompts(server, services)
    add_completions(server, services)
    if extra is not None:
        extra(server)
    return server
