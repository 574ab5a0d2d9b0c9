"""What the conformance suite expects to find on a server, grafted onto the real server object.

Names, texts and shapes are the suite's own (@modelcontextprotocol/conformance 0.1.16 and 0.2.0-alpha.12). Nothing of it
is part of the product.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.shared.exceptions import MCPError
from mcp_types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    AudioContent,
    CallToolResult,
    EmbeddedResource,
    EmptyResult,
    ImageContent,
    InputRequiredResult,
    RequestParams,
    SamplingMessage,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextContent,
    TextResourceContents,
    UnsubscribeRequestParams,
)
from thirdparty.fixture_tasks import add_task_tools

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAAAAA=="


def text(words: str) -> TextContent:
    return TextContent(type="text", text=words)


def embedded(uri: str, mime_type: str, words: str) -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=mime_type, text=words))


def image() -> ImageContent:
    return ImageContent(type="image", data=PNG, mime_type="image/png")


def graft(server: Any) -> None:
    """Everything, in the order of the suite's list."""
    add_content_tools(server)
    add_talking_tools(server)
    add_schema_tools(server)
    add_asking_tools(server)
    add_resources(server)
    add_prompts(server)
    add_methods(server)
    add_task_tools(server)


def add_content_tools(server: Any) -> None:
    @server.tool(structured_output=False)
    async def test_simple_text() -> str:
        """Text."""
        return "This is a simple text response for testing."

    @server.tool(structured_output=False)
    async def test_image_content() -> list[ImageContent]:
        """An image."""
        return [image()]

    @server.tool(structured_output=False)
    async def test_audio_content() -> list[AudioContent]:
        """A sound."""
        return [AudioContent(type="audio", data=WAV, mime_type="audio/wav")]

    @server.tool(structured_output=False)
    async def test_embedded_resource() -> list[EmbeddedResource]:
        """A resource."""
        return [embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")]

    @server.tool(structured_output=False)
    async def test_multiple_content_types() -> list[Any]:
        """All of them."""
        data = json.dumps({"test": "data", "value": 123})
        return [
            text("Multiple content types test:"),
            image(),
            embedded("test://mixed-content-resource", "application/json", data),
        ]

    @server.tool(structured_output=False)
    async def test_error_handling() -> CallToolResult:
        """Fails."""
        return CallToolResult(content=[text("This tool intentionally returns an error for testing")], is_error=True)


def add_talking_tools(server: Any) -> None:
    @server.tool(structured_output=False)
    async def test_tool_with_logging(ctx: Context) -> str:
        """Three log messages."""
        for words in ("Tool execution started", "Tool processing data", "Tool execution completed"):
            await ctx.session.send_log_message("info", words, related_request_id=ctx.request_id)
            await asyncio.sleep(0.05)
        return "logged"

    @server.tool(structured_output=False)
    async def test_logging_tool(ctx: Context) -> str:
        """A log message that must not go out unless it was asked for."""
        await ctx.session.send_log_message("info", "hello", related_request_id=ctx.request_id)
        return "done"

    @server.tool(structured_output=False)
    async def test_tool_with_progress(ctx: Context) -> str:
        """Three steps."""
        for step in (0, 50, 100):
            await ctx.report_progress(step, 100)
            await asyncio.sleep(0.05)
        return "done"

    @server.tool(structured_output=False)
    async def test_sampling(prompt: str, ctx: Context) -> str:
        """Asks the client's model."""
        answer = await ctx.session.create_message(
            [SamplingMessage(role="user", content=text(prompt))], max_tokens=100, related_request_id=ctx.request_id
        )
        return f"LLM response: {answer.content.text}"

    async def ask(ctx: Context, message: str, schema: dict[str, Any]) -> str:
        answer = await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_id)
        return f"action={answer.action}, content={json.dumps(answer.content)}"

    @server.tool(structured_output=False)
    async def test_elicitation(message: str, ctx: Context) -> str:
        """Asks the user."""
        fields = {name: {"type": "string", "description": name} for name in ("username", "email")}
        schema = {"type": "object", "properties": fields, "required": list(fields)}
        return f"User response: {await ask(ctx, message, schema)}"

    @server.tool(structured_output=False)
    async def test_elicitation_sep1034_defaults(ctx: Context) -> str:
        """Asks with defaults."""
        fields = {
            "name": {"type": "string", "default": "John Doe"},
            "age": {"type": "integer", "default": 30},
            "score": {"type": "number", "default": 95.5},
            "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
            "verified": {"type": "boolean", "default": True},
        }
        return f"Elicitation completed: {await ask(ctx, 'Defaults', {'type': 'object', 'properties': fields})}"

    @server.tool(structured_output=False)
    async def test_elicitation_sep1330_enums(ctx: Context) -> str:
        """Asks with every kind of enum."""
        three = ["option1", "option2", "option3"]
        titled = [
            {"const": f"value{n}", "title": f"{word} Option"} for n, word in enumerate(("First", "Second", "Third"), 1)
        ]
        fields = {
            "untitledSingle": {"type": "string", "enum": three},
            "titledSingle": {"type": "string", "oneOf": titled},
            "legacyEnum": {
                "type": "string",
                "enum": ["opt1", "opt2", "opt3"],
                "enumNames": ["Option One", "Option Two", "Option Three"],
            },
            "untitledMulti": {"type": "array", "items": {"type": "string", "enum": three}},
            "titledMulti": {"type": "array", "items": {"anyOf": titled}},
        }
        return f"Elicitation completed: {await ask(ctx, 'Enums', {'type': 'object', 'properties': fields})}"

    @server.tool(structured_output=False)
    async def test_reconnection(ctx: Context) -> str:
        """Closes its stream in the middle."""
        await ctx.close_sse_stream()
        await asyncio.sleep(0.1)
        return "reconnected"


def add_schema_tools(server: Any) -> None:
    @server.tool(structured_output=False)
    async def json_schema_2020_12_tool() -> str:
        """Every keyword the suite looks for."""
        return "ok"

    server._tool_manager.get_tool("json_schema_2020_12_tool").parameters = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
            }
        },
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": False,
    }

    @server.tool(structured_output=False)
    async def test_x_mcp_header(region: str) -> str:
        """An argument that also travels as a header."""
        return region

    server._tool_manager.get_tool("test_x_mcp_header").parameters["properties"]["region"]["x-mcp-header"] = "Region"

    @server.tool(structured_output=False)
    async def test_missing_capability(ctx: Context) -> str:
        """Needs sampling."""
        capabilities = ctx.client_capabilities
        if capabilities is None or capabilities.sampling is None:
            data = {"requiredCapabilities": {"sampling": {}}}
            raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, "This needs sampling", data)
        return "ok"

    @server.tool(structured_output=False)
    async def test_streaming_elicitation(ctx: Context) -> str:
        """Progress, then an answer."""
        await ctx.report_progress(1, 2)
        return "done"

    @server.tool(structured_output=False)
    async def test_trigger_tool_change(ctx: Context) -> str:
        """The list of tools has changed."""
        await ctx.notify_tools_changed()
        return "changed"

    @server.tool(structured_output=False)
    async def test_trigger_prompt_change(ctx: Context) -> str:
        """The list of prompts has changed."""
        await ctx.notify_prompts_changed()
        return "changed"


def form(message: str, **kinds: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in kinds.items()},
        "required": list(kinds),
    }
    return {"method": "elicitation/create", "params": {"mode": "form", "message": message, "requestedSchema": schema}}


def sampling(words: str, tokens: int) -> dict[str, Any]:
    message = {"role": "user", "content": {"type": "text", "text": words}}
    return {"method": "sampling/createMessage", "params": {"messages": [message], "maxTokens": tokens}}


ROOTS = {"method": "roots/list", "params": {}}


def required(state: str | None = None, **requests: dict[str, Any]) -> InputRequiredResult:
    return InputRequiredResult.model_validate({"inputRequests": requests or None, "requestState": state})


def answered(ctx: Context, *names: str) -> list[Any] | None:
    """The answers of these kinds of request, or None when one is missing or of another kind."""
    responses = ctx.input_responses or {}
    found = [responses.get(name) for name in names]
    return None if any(answer is None for answer in found) else found


def add_asking_tools(server: Any) -> None:
    tool = server.tool

    @tool(structured_output=False)
    async def test_input_required_result_elicitation(ctx: Context) -> str | InputRequiredResult:
        """One question."""
        found = answered(ctx, "user_name")
        content = getattr(found[0], "content", None) if found else None
        if not isinstance(content, dict) or "name" not in content:
            return required(user_name=form("What is your name?", name="string"))
        return f"Hello, {content['name']}!"

    @tool(structured_output=False)
    async def test_input_required_result_sampling(ctx: Context) -> str | InputRequiredResult:
        """One question to the model."""
        found = answered(ctx, "capital_question")
        if not found:
            return required(capital_question=sampling("What is the capital of France?", 100))
        return f"LLM: {found[0].content.text}"

    @tool(structured_output=False)
    async def test_input_required_result_list_roots(ctx: Context) -> str | InputRequiredResult:
        """One question for roots."""
        found = answered(ctx, "client_roots")
        return f"roots: {[str(root.uri) for root in found[0].roots]}" if found else required(client_roots=ROOTS)

    @tool(structured_output=False)
    async def test_input_required_result_request_state(ctx: Context) -> str | InputRequiredResult:
        """A question with a state."""
        if answered(ctx, "confirm") and ctx.request_state == "asked":
            return "state-ok"
        return required("asked", confirm=form("Please confirm", ok="boolean"))

    @tool(structured_output=False)
    async def test_input_required_result_tampered_state(ctx: Context) -> str | InputRequiredResult:
        """A state nobody may change; the server seals it."""
        if ctx.request_state == "sealed":
            return "state-ok"
        return required("sealed", confirm=form("Please confirm", ok="boolean"))

    @tool(structured_output=False)
    async def test_input_required_result_multiple_inputs(ctx: Context) -> str | InputRequiredResult:
        """Three questions at once."""
        if answered(ctx, "user_name", "greeting", "client_roots"):
            return "all answered"
        return required(
            "asked",
            user_name=form("What is your name?", name="string"),
            greeting=sampling("Generate a greeting", 50),
            client_roots=ROOTS,
        )

    @tool(structured_output=False)
    async def test_input_required_result_multi_round(ctx: Context) -> str | InputRequiredResult:
        """Two questions one after the other."""
        if ctx.request_state == "two" and answered(ctx, "step2"):
            return "both answered"
        if ctx.request_state == "one" and answered(ctx, "step1"):
            return required("two", step2=form("Step 2: What is your favorite color?", color="string"))
        return required("one", step1=form("Step 1: What is your name?", name="string"))

    @tool(structured_output=False)
    async def test_input_required_result_capabilities(ctx: Context) -> str | InputRequiredResult:
        """Asks only in ways the client has declared."""
        capabilities = ctx.client_capabilities
        requests: dict[str, Any] = {}
        if capabilities and capabilities.sampling is not None:
            requests["model"] = sampling("Say hello", 20)
        if capabilities and capabilities.elicitation is not None:
            requests["user"] = form("Name?", name="string")
        if ctx.input_responses or not requests:
            return "done"
        return required(**requests)


def add_resources(server: Any) -> None:
    @server.resource("test://static-text", name="static-text", description="Text.", mime_type="text/plain")
    def static_text() -> str:
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", name="static-binary", description="Bytes.", mime_type="image/png")
    def static_binary() -> bytes:
        import base64

        return base64.b64decode(PNG)

    @server.resource("test://template/{id}/data", name="template", description="By id.", mime_type="application/json")
    def template(id: str) -> str:
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})

    @server.resource("test://watched-resource", name="watched", description="Watched.", mime_type="text/plain")
    def watched() -> str:
        return "watched"


def add_prompts(server: Any) -> None:
    @server.prompt(description="Simple.")
    def test_simple_prompt() -> str:
        return "This is a simple prompt for testing."

    @server.prompt(description="With arguments.")
    def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
        return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"

    @server.prompt(description="With a resource.")
    def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:
        return [
            UserMessage(embedded(resourceUri, "text/plain", "Embedded resource content for testing.")),
            UserMessage("Please process the embedded resource above."),
        ]

    @server.prompt(description="With an image.")
    def test_prompt_with_image() -> list[UserMessage]:
        return [UserMessage(image()), UserMessage("Please analyze the image above.")]

    @server.prompt(description="With a question first.")
    async def test_input_required_result_prompt(ctx: Context) -> Any:
        if answered(ctx, "user_context"):
            return "Use the context."
        return required(user_context=form("What context should the prompt use?", context="string"))


def add_methods(server: Any) -> None:
    async def empty(_ctx: Any, _params: RequestParams) -> EmptyResult:
        return EmptyResult()

    low = server.low_level
    low.add_request_handler("logging/setLevel", SetLevelRequestParams, empty)
    low.add_request_handler("resources/subscribe", SubscribeRequestParams, empty)
    low.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, empty)
