"""Kling's own API from its recorded exchanges, its legacy routes, and its tasks by the id their buyer gave them."""

from __future__ import annotations

import warnings
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from mcp_server.sandbox.jobs import SandboxJob
from mcp_server.sandbox.vendors import recorded
from mcp_server.sandbox.vendors.base import PAIR_SECRET, Exchange, RefusedError

LEGACY: Final = "/v1/"
_WORDS: Final = {"succeeded": "succeed"}
"""The legacy word, where there is another."""


class Api(recorded.Api):
    """One route tells of tasks by their own ids and by their buyers'; a legacy one each by either."""

    def routes(self) -> list[BaseRoute]:
        # Before the others: a model's name may have any path.
        return [self.route("/v1/videos/{kind:path}/{job}", "status", self.legacy_status), *super().routes()]

    def key_of(self, request: Request) -> str:
        """The key, or whose pair signed for it: that is good for the legacy routes alone (D1)."""
        key = super().key_of(request)
        if key.count(".") != 2:
            return key
        return self._signer(key) if LEGACY in request.url.path else ""

    async def submit(self, exchange: Exchange) -> Response:
        answer = await super().submit(exchange)
        job = self.sandbox.store.find(self.name, exchange.job, exchange.account)
        if job is None or not job.order.vendor_model.startswith("v1/"):
            return answer
        return self._told(job, exchange)

    async def legacy_status(self, exchange: Exchange) -> Response:
        """How one task stands, by its own id or its buyer's."""
        named = str(exchange.request.path_params["job"])
        route = f"v1/videos/{exchange.request.path_params['kind']}"
        job = self.sandbox.store.find(self.name, named, exchange.account)
        if job is None:
            job = next((job for job, sent in self.ordered(exchange) if sent.get("external_task_id") == named), None)
        job = self.owned(exchange, job.id if job else named)
        if job.order.vendor_model != route:
            raise RefusedError(self.refusal("not_found", named))
        return self._told(job, exchange)

    async def status(self, exchange: Exchange) -> Response:
        wanted = exchange.request.query_params.get("external_task_ids")
        if wanted is None:
            return await super().status(exchange)
        now = self.sandbox.now()
        rows: list[dict[str, Any]] = [
            {"id": job.id, "status": self.word(job, now), "external_id": sent["options"]["external_task_id"]}
            for job, sent in self.ordered(exchange)
            if sent.get("options", {}).get("external_task_id") in wanted.split(",")
        ]
        return JSONResponse({"code": 0, "message": "SUCCEED", "request_id": "0c5f8a1e-sandbox", "data": rows})

    def _told(self, job: SandboxJob, exchange: Exchange) -> Response:
        """The task as the legacy routes write it (D4)."""
        now = self.sandbox.now()
        word = self.said(exchange, job, now) if exchange.action == "status" else self.word(job, now)
        orders = self.sandbox.store.journal(vendor=self.name, action="submit")
        # What is ordered now is in no line yet.
        bodies = (line["facts"].get("body", {}) for line in orders if line["job"] == job.id)
        sent: dict[str, Any] = next(bodies, exchange.facts.get("body", {}))
        data: dict[str, Any] = {
            "task_id": job.id,
            "task_status": _WORDS.get(word, word),
            "task_status_msg": job.words if job.phase(now) == "failed" else "",
            "task_info": {"external_task_id": sent.get("external_task_id", "")},
            "created_at": int(job.accepted * 1000),
            "updated_at": int(now * 1000),
        }
        if job.phase(now) == "done" and word == self.word(job, now):
            clip = {"id": f"{job.id}-1", "url": self.link(exchange, job), "duration": str(job.order.seconds)}
            data["task_result"] = {"videos": [clip]}
        return JSONResponse({"code": 0, "message": "SUCCEED", "request_id": "0c5f8a1e-sandbox", "data": data})

    def _signer(self, token: str) -> str:
        """Whose secret key signed this, for now; empty where nobody's did, or not for now."""
        import jwt

        now = self.sandbox.now()
        try:
            access = str(jwt.decode(token, options={"verify_signature": False}).get("iss", ""))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", jwt.InsecureKeyLengthWarning)
                # The times by this sandbox's own clock, which may run faster than the day.
                claims = jwt.decode(
                    token,
                    access + PAIR_SECRET,
                    algorithms=["HS256"],
                    options={"verify_exp": False, "verify_nbf": False},
                )
            begins, ends = float(claims["nbf"]), float(claims["exp"])
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError):
            return ""
        return access if begins <= now < ends else ""
