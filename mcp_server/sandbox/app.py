"""The ASGI application: each vendor under its prefix, and a control API to arm faults and read the journal."""

from __future__ import annotations

import hmac
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from mcp_server import catalog
from mcp_server.errors import ArgumentError
from mcp_server.sandbox import faults, media_host, vendors
from mcp_server.sandbox.sandbox import Sandbox

KEY_HEADER: Final = "X-Sandbox-Key"
_HERE: Final = frozenset(("127.0.0.1", "localhost", "::1"))


def create_app(sandbox: Sandbox) -> Starlette:
    """Every vendor the sandbox can play and the control API, over one sandbox."""
    routes: list[BaseRoute] = [
        Mount(f"/{vendor.name}", routes=[*vendor.routes(), *media_host.routes(vendor)])
        for vendor in (vendors.protocol(name, sandbox) for name in catalog.load().rehearsable)
    ]
    control = _Control(sandbox)
    routes += [
        Route("/health", control.health),
        Route("/control/faults", control.opened(control.faults), methods=["GET", "POST", "DELETE"]),
        Route("/control/journal", control.opened(control.journal), methods=["GET", "DELETE"]),
        Route("/control/jobs/{vendor}/{id}", control.opened(control.job)),
    ]
    return Starlette(routes=routes, exception_handlers={404: _nowhere, 405: _nowhere})


class _Control:
    """The control API: what tests and people ask the sandbox itself; no vendor has this."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    async def health(self, _request: Request) -> Response:
        return JSONResponse(
            {"ok": True, "simulated": True, "notice": self.sandbox.notice, "rendering": self.sandbox.rendering}
        )

    def opened(self, door: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """The door, for whoever brings the key of this home, from this machine and not from a page in a browser."""

        async def asked(request: Request) -> Response:
            key = request.headers.get(KEY_HEADER, "")
            if not hmac.compare_digest(key.encode(), self.sandbox.control_key.encode()):
                what = f"{KEY_HEADER} is missing or wrong: `kling-video sandbox` prints it as KLING_SANDBOX_CONTROL"
                return JSONResponse({"what": what}, 401)
            if request.url.hostname not in _HERE:
                return JSONResponse({"what": "the control API answers this machine alone"}, 403)
            return await door(request)

        return asked

    async def faults(self, request: Request) -> Response:
        """GET what is armed; POST `{"faults": "runapi=429:2"}` arms more; DELETE disarms all."""
        if request.method == "DELETE":
            self.sandbox.store.clear_faults()
            self.sandbox.armed.clear()
        elif request.method == "POST":
            try:
                sent: Any = json.loads(await request.body() or b"{}")
                armed = list(faults.parse(str(sent["faults"])))
            except ArgumentError as error:
                return JSONResponse(error.as_dict(), 422)
            except (ValueError, KeyError, TypeError):
                return JSONResponse({"what": 'send {"faults": "vendor=kind:count@value,…"}'}, 422)
            for fault in armed:
                if fault.words:
                    self.sandbox.armed.add(fault)
                else:
                    self.sandbox.store.set_fault(fault.vendor, fault.kind, fault.count, fault.value)
        return JSONResponse(
            {"faults": [*self.sandbox.armed.rows(), *self.sandbox.store.faults()], "kinds": dict(faults.KINDS)}
        )

    async def journal(self, request: Request) -> Response:
        """What was received: lines, how often each action came per vendor, and how many orders were taken on."""
        if request.method == "DELETE":
            self.sandbox.store.clear_journal()
        lines = self.sandbox.store.journal(**dict(request.query_params))
        seen = Counter(f"{line['vendor']}.{line['action']}" for line in lines)
        taken = Counter(str(line["vendor"]) for line in lines if line["accepted"])
        return JSONResponse({"entries": lines, "received": seen, "accepted": taken})

    async def job(self, request: Request) -> Response:
        """A job as the sandbox sees it, and how long it would take in life."""
        named = request.path_params
        found = self.sandbox.describe(str(named["vendor"]), str(named["id"]))
        return JSONResponse(found or {"what": "no such job"}, 200 if found else 404)


async def _nowhere(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    return JSONResponse(
        {"error": {"message": f"No route {request.method} {request.url.path}", "code": "no_route"}}, status
    )
