"""The ASGI application: each vendor under its prefix, and a desk of our own to order faults and read the journal."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from mcp_server.errors import ArgumentError
from mcp_server.sandbox import faults, media_host
from mcp_server.sandbox.sandbox import Sandbox
from mcp_server.sandbox.vendors.base import Vendor
from mcp_server.sandbox.vendors.kling3api import Kling3Api
from mcp_server.sandbox.vendors.octopusx import OctopusX
from mcp_server.sandbox.vendors.runapi import RunApi
from mcp_server.sandbox.vendors.runcomfy import RunComfy
from mcp_server.sandbox.vendors.uniall import UniAll

VENDORS: tuple[type[Vendor], ...] = (RunApi, Kling3Api, OctopusX, UniAll, RunComfy)


def create_app(box: Sandbox) -> Starlette:
    """The five vendors and the control desk, over one box."""
    routes: list[BaseRoute] = [
        Mount(f"/{vendor.name}", routes=[*vendor.routes(), *media_host.routes(vendor)])
        for vendor in (kind(box) for kind in VENDORS)
    ]
    desk = _Desk(box)
    routes += [
        Route("/health", desk.health),
        Route("/control/faults", desk.faults, methods=["GET", "POST", "DELETE"]),
        Route("/control/journal", desk.journal, methods=["GET", "DELETE"]),
        Route("/control/jobs/{vendor}/{id}", desk.job),
    ]
    return Starlette(routes=routes, exception_handlers={404: _nowhere, 405: _nowhere})


class _Desk:
    """What tests and people ask the sandbox itself; no vendor has this."""

    def __init__(self, box: Sandbox) -> None:
        self.box = box

    async def health(self, _request: Request) -> Response:
        return JSONResponse({"ok": True, "simulated": True, "notice": self.box.notice, "rendering": self.box.rendering})

    async def faults(self, request: Request) -> Response:
        """GET what is armed; POST `{"faults": "runapi=429:2"}` arms more; DELETE disarms all."""
        if request.method == "DELETE":
            self.box.store.clear_faults()
            self.box.armed.clear()
        elif request.method == "POST":
            try:
                sent: Any = json.loads(await request.body() or b"{}")
                armed = list(faults.parse(str(sent["faults"])))
            except ArgumentError as error:
                return JSONResponse(error.as_dict(), 422)
            except (ValueError, KeyError, TypeError):
                return JSONResponse({"what": 'send {"faults": "vendor=kind:count@value,…"}'}, 422)
            for fault in armed:
                self.box.store.set_fault(fault.vendor, fault.kind, fault.count, fault.value)
        return JSONResponse({"faults": [*self.box.armed.told(), *self.box.store.faults()], "kinds": dict(faults.KINDS)})

    async def journal(self, request: Request) -> Response:
        """What was received: lines, how often each action came per vendor, and how many orders were taken on."""
        if request.method == "DELETE":
            self.box.store.clear_journal()
        lines = self.box.store.journal(**dict(request.query_params))
        seen = Counter(f"{line['vendor']}.{line['action']}" for line in lines)
        taken = Counter(str(line["vendor"]) for line in lines if line["accepted"])
        return JSONResponse({"entries": lines, "received": seen, "accepted": taken})

    async def job(self, request: Request) -> Response:
        """A job as the sandbox sees it, and how long it would take in life."""
        named = request.path_params
        found = self.box.describe(str(named["vendor"]), str(named["id"]))
        return JSONResponse(found or {"what": "no such job"}, 200 if found else 404)


async def _nowhere(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    return JSONResponse(
        {"error": {"message": f"No route {request.method} {request.url.path}", "code": "no_route"}}, status
    )
