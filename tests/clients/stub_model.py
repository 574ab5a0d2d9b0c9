"""A model that says what a script tells it to, behind the OpenAI chat protocol.

Every turn is a function of what the agent has been told so far: the script reads the tools' real answers and goes on from
them, as a model would. What the agent sent is kept, to be looked at afterwards.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Say:
    """The end of the turn."""

    text: str


@dataclass
class Call:
    """One tool call."""

    tool: str
    arguments: dict[str, Any]


Step = Callable[[list[dict[str, Any]]], "Say | Call"]


@dataclass
class StubModel:
    """Serves the script on loopback; `asked` holds every request."""

    script: Step
    asked: list[dict[str, Any]] = field(default_factory=list)

    def __enter__(self) -> StubModel:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._json({"object": "list", "data": [{"id": "stub", "object": "model"}]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                stub.asked.append(body)
                step = stub.script(body["messages"])
                if body.get("stream"):
                    self._stream(_chunks(step, len(stub.asked)))
                else:
                    self._json(_whole(step, len(stub.asked)))

            def _json(self, value: object) -> None:
                data = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def _stream(self, chunks: list[dict[str, Any]]) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                for chunk in chunks:
                    self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
                self.wfile.write(b"data: [DONE]\n\n")
                self.close_connection = True

            def log_message(self, *_: object) -> None: ...

        return Handler


def _message(step: Say | Call, number: int) -> tuple[dict[str, Any], str]:
    if isinstance(step, Say):
        return {"role": "assistant", "content": step.text}, "stop"
    call = {
        "id": f"call_{number}",
        "type": "function",
        "function": {"name": step.tool, "arguments": json.dumps(step.arguments)},
    }
    return {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"


_USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


def _whole(step: Say | Call, number: int) -> dict[str, Any]:
    message, reason = _message(step, number)
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return {"id": f"c{number}", "object": "chat.completion", "model": "stub", "choices": [choice], "usage": _USAGE}


def _chunks(step: Say | Call, number: int) -> list[dict[str, Any]]:
    message, reason = _message(step, number)
    for index, call in enumerate(message.get("tool_calls", [])):
        call["index"] = index
    base = {"id": f"c{number}", "object": "chat.completion.chunk", "model": "stub"}
    return [
        {**base, "choices": [{"index": 0, "delta": message, "finish_reason": None}]},
        {**base, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}], "usage": _USAGE},
    ]
