"""Every documented exchange, as a file: what we send, that the vendor's schema accepts it, what the reply becomes.

A case is `tests/cases/<provider>/<name>.json`:
  title     a sentence
  kind      documented, recorded; reported by others who order there; inferred from what is documented; invented
  source    where it stands
  step      submit | status | result | cancel | balance
  offer     offer id (submit, status)               request  the caller's request (submit)
  job       {"id": …, "links": {…}} (status, result, cancel)
  sends     {"method", "path", "json", "params", "headers", "host"}: exact, with the request's `options` laid in;
            left-out keys are empty
  schema    stem of the response schema the reply must satisfy ("" when it is meant to break it)
  reply     {"status", "json" | "text", "headers"}
  becomes   {"job": …} | {"report": …} | {"cancelled": …} | {"balance": …} | {"error": …}: exact, defaults left out
            (for "error" the keys given are compared)
"""

from __future__ import annotations

import json
from dataclasses import MISSING, fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from mcp_server import catalog, places
from mcp_server.catalog import REGISTRY
from mcp_server.domain.request import CheckedRequest, Shot, VideoRequest
from mcp_server.domain.task import Job
from mcp_server.errors import ProviderError
from mcp_server.ordering import validation, vendor_schema
from mcp_server.providers import wire
from mcp_server.providers.base import HttpCall, HttpReply

CASES = Path(__file__).parents[1] / "cases"
FILES = sorted(CASES.glob("*/*.json"))
KEY = "task_case"


def load(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)


def case_id(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", FILES, ids=case_id)
def test_the_exchange_is_what_the_case_says(path: Path) -> None:
    case = load(path)
    assert case["kind"] in {"documented", "recorded", "reported", "inferred", "invented"}
    assert case["source"]
    adapter = wire(catalog.load().providers[path.parent.name])

    call = build(adapter, case)

    assert plain_call(call) == case["sends"]
    assert call.paid is (case["step"] == "submit")
    if call.json is not None and call.method == "POST" and call.schema:
        assert problems(path.parent.name, call.schema, call.json) == []
    if call.paid:
        assert call.schema, "a paid call is always checked against the vendor's schema"
    reply = reply_of(case["reply"], paid=call.paid)
    if case.get("schema"):
        assert problems(path.parent.name, case["schema"], case["reply"]["json"]) == []
    assert outcome(adapter, case, reply) == expected(case)


@pytest.mark.parametrize("provider", REGISTRY)
def test_every_provider_has_cases_for_every_step_it_knows(provider: str) -> None:
    steps = {load(path)["step"] for path in FILES if path.parent.name == provider}
    adapter = wire(catalog.load().providers[provider])
    job = Job(id="x")
    wanted = {"submit", "status"}
    wanted |= {"result"} if adapter.result(job) else set()
    wanted |= {"cancel"} if adapter.cancel(job) else set()
    wanted |= {"balance"} if adapter.balance() else set()

    assert wanted <= steps


def test_every_sold_offer_has_an_order_of_its_own_as_a_case() -> None:
    ordered = {case["offer"] for case in map(load, FILES) if case["step"] == "submit"}
    sold = {offer.id for offer in catalog.load().offers if not offer.not_sold_because}

    assert sold - ordered == set()


def build(adapter: Any, case: dict[str, Any]) -> HttpCall:
    step = case["step"]
    if step == "submit":
        offer = catalog.load().offer(case["offer"])
        checked = validation.check(request_of(case["request"]), offer)
        assert isinstance(checked, CheckedRequest), checked
        call = adapter.submit(checked, key=KEY)
        return replace(call, json=vendor_schema.merge_options(call.json, checked.request.options))
    if step == "status":
        return adapter.status(job_of(case), catalog.load().offer(case["offer"]))
    if step == "balance":
        return adapter.balance()
    return getattr(adapter, step)(job_of(case))


def outcome(adapter: Any, case: dict[str, Any], reply: HttpReply) -> dict[str, Any]:
    step = case["step"]
    try:
        match step:
            case "submit":
                return {"job": plain(adapter.read_submit(reply))}
            case "status" | "result":
                return {"report": plain(getattr(adapter, f"read_{step}")(job_of(case), reply))}
            case "cancel":
                return {"cancelled": plain(adapter.read_cancel(reply))}
            case "balance":
                return {"balance": plain(adapter.read_balance(reply))}
            case _:
                raise AssertionError(step)
    except ProviderError as error:
        wanted = case["becomes"].get("error", {})
        return {"error": {key: plain_value(getattr(error, key)) for key in wanted or ("fault", "what")}}


def expected(case: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(case["becomes"], default=str))


def request_of(row: dict[str, Any]) -> VideoRequest:
    row = dict(row)
    if "shots" in row:
        row["shots"] = tuple(Shot(**shot) for shot in row["shots"])
    if "references" in row:
        row["references"] = tuple(row["references"])
    return VideoRequest(**row)


def job_of(case: dict[str, Any]) -> Job:
    return Job(**case["job"])


def reply_of(row: dict[str, Any], *, paid: bool = False) -> HttpReply:
    text = row.get("text")
    if text is None:
        text = json.dumps(row["json"], default=str)
    headers = row.get("headers", {})
    return HttpReply(status=row["status"], body=row.get("json"), text=text, headers=headers, paid=paid)


def plain_call(call: HttpCall) -> dict[str, Any]:
    full = {
        "method": call.method,
        "path": call.path,
        "json": call.json,
        "params": dict(call.params),
        "headers": dict(call.headers),
        "host": "" if call.host == "api" else call.host,
    }
    return {key: value for key, value in full.items() if value not in (None, {}, "")}


def plain(value: Any) -> dict[str, Any]:
    """A dataclass without its defaults, in JSON's types."""
    out: dict[str, Any] = {}
    for f in fields(value):
        found = getattr(value, f.name)
        default = f.default if f.default is not MISSING else None
        if f.default_factory is not MISSING:
            default = f.default_factory()
        if found != default:
            out[f.name] = plain_value(found)
    return out


def plain_value(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return plain(value)
    if isinstance(value, tuple):
        return [plain_value(part) for part in value]
    if isinstance(value, dict):
        return {key: plain_value(part) for key, part in value.items()}
    if isinstance(value, Decimal):
        return str(value)
    return value


def problems(provider: str, stem: str, body: Any) -> list[str]:
    schema = json.loads((places.schemas() / provider / f"{stem}.json").read_text(encoding="utf-8"))
    found = Draft202012Validator(schema).iter_errors(jsonable(body))
    return [error.message for error in found]


def jsonable(body: Any) -> Any:
    return json.loads(json.dumps(body, default=float))
