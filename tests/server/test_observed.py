"""What those who keep a server see of it: alive, ready, and in numbers; nothing of it to strangers, and no secret."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from server.test_http import served, web
from support.mcp_wire import LEGACY
from support.mcp_world import ORDER, Vendors

from mcp_server import metrics, places
from mcp_server.cli.logs import HIDDEN, JsonLines
from mcp_server.composition import build
from mcp_server.domain.arguments import VideoArguments
from mcp_server.errors import ArgumentError, LocalError
from mcp_server.metrics import METRICS, Metrics
from mcp_server.settings import Settings

SERIES = re.compile(r"^(kling_[a-z_]+)(\{[^}]*\})? (\S+)$")


def read(text: str) -> dict[str, float]:
    """Each series and its value; anything that is no Prometheus text is an error."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        if not line.startswith("# "):
            match = SERIES.match(line)
            assert match, line
            found[f"{match[1]}{match[2] or ''}"] = float(match[3])
    return found


async def test_a_purchase_is_seen_from_outside(shops: Vendors) -> None:
    async with served(shops) as address, web(address, LEGACY) as client:
        before = await client.http.get(f"{address}/ready")
        assert (before.status_code, before.json()["checks"]) == (200, {"record": "ok", "clips": "ok", "loops": "ok"})
        task = (await client.call("generate_video", ORDER))["structuredContent"]
        await client.call("get_task", {"task_id": task["task_id"], "wait_s": 25})
        assert (await client.http.get(f"{address}/ready")).status_code == 200
        answer = await client.http.get(f"{address}/metrics")
        found = read(answer.text)

    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert found['kling_tasks_ended_total{provider="runcomfy",state="succeeded"}'] == 1
    assert found['kling_vendor_calls_total{provider="runcomfy",call="paid",outcome="2xx"}'] == 1
    assert found['kling_vendor_call_seconds_count{provider="runcomfy",call="paid"}'] == 1
    assert found["kling_tasks_followed"] == found["kling_orders_unanswered"] == 0
    assert found['kling_ended_usd_total{provider="runcomfy"}'] > 0
    for secret in shops.settings().secrets:
        assert secret == "sandbox" or secret not in answer.text


async def test_numbers_are_for_who_brings_the_token(shops: Vendors) -> None:
    async with served(shops, KLING_HTTP_TOKEN="let-me-in-or-not") as address, httpx.AsyncClient(timeout=60) as http:
        assert (await http.get(f"{address}/ready")).status_code == 200
        for given, status in (
            ("", 401),
            ("Bearer wrong", 401),
            ("Basic let-me-in-or-not", 401),
            ("Bearer let-me-in-or-not", 200),
        ):
            assert (
                await http.get(f"{address}/metrics", headers={"Authorization": given} if given else {})
            ).status_code == status


async def test_what_cannot_be_used_is_said_and_nothing_more(shops: Vendors, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_: Any) -> bool:
        raise LocalError("postgresql://kling:secret@db is away")

    monkeypatch.setattr("mcp_server.tasks.store.sqlite.SqliteStore.readings", away)
    blocked = Path(shops.environment["KLING_HOME"]).parent / "a-file"
    blocked.write_text("")
    async with served(shops, KLING_OUTPUT_DIR=str(blocked / "clips")) as address, httpx.AsyncClient(timeout=60) as http:
        answer = await http.get(f"{address}/ready")
        numbers = await http.get(f"{address}/metrics")

    assert answer.status_code == 503 and "secret" not in answer.text + numbers.text
    assert answer.json()["checks"] == {"record": "failed", "clips": "failed", "loops": "ok"}
    assert numbers.status_code == 200 and "kling_build_info" in numbers.text


async def test_a_loop_that_stands_still_is_no_server_that_is_ready(shops: Vendors) -> None:
    service = build(shops.settings())
    try:
        await service.generate(VideoArguments.model_validate(ORDER))
        assert (await service.checks())["loops"] is True
        await service.runner.leases.stop()
        assert (await service.checks())["loops"] is False
    finally:
        await service.close()


def test_every_query_of_the_dashboard_names_a_metric_that_exists() -> None:
    dashboard = json.loads((places.PACKAGE.parent / "docs" / "grafana.json").read_text())
    known = {metric.name: metric for metric in METRICS}
    named: set[str] = set()
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            names = {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"kling_[a-z_]+", target["expr"])}
            assert names and names <= set(known), target["expr"]
            named |= names
            allowed = {"le", "instance", "version", *(label for name in names for label in known[name].labels)}
            used = re.findall(r"by \(([^)]*)\)", target["expr"]) + [
                target["legendFormat"].replace("{{", ",").replace("}}", ",")
            ]
            labels = {label.strip() for part in used[:-1] for label in part.split(",")}
            labels |= set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            labels |= set(re.findall(r"[{,](\w+)[!=]", target["expr"]))
            assert labels <= allowed, (target["expr"], labels - allowed)
    assert named == set(known), "and every metric is shown"


def test_metrics_are_prometheus_text() -> None:
    made = Metrics()
    made.count("kling_callbacks_total", provider='a"\n\\', came="due")
    for seconds in (0.01, 3, 1000):
        made.took("kling_vendor_call_seconds", seconds, provider="fal", call="look")
    with pytest.raises(KeyError):
        made.count("kling_unheard_of")
    text = made.text([("kling_record_workers", {}, 2)])
    found = read(text)

    assert text.endswith("\n") and text.count("# TYPE") == 3
    assert found['kling_vendor_call_seconds_bucket{provider="fal",call="look",le="0.05"}'] == 1
    assert found['kling_vendor_call_seconds_bucket{provider="fal",call="look",le="+Inf"}'] == 3
    assert found["kling_record_workers"] == 2 and r'provider="a\"\n' in text
    assert len({metric.name for metric in METRICS}) == len(METRICS) and metrics.BUCKETS_S == tuple(
        sorted(metrics.BUCKETS_S)
    )


def test_a_log_for_machines_names_tasks_and_no_secrets() -> None:
    settings = Settings.read(
        {"KLING_LOG": "json", "RUNAPI_API_KEY": "runapi_abc123", "KLING_DATABASE_URL": "postgresql://a:b@c/d"}
    )
    lines = JsonLines(settings.secrets)

    def said(*given: Any) -> dict[str, Any]:
        try:
            raise ValueError("with runapi_abc123 in it")
        except ValueError:
            import sys

            made = logging.LogRecord("kling_video.tasks", logging.WARNING, "", 0, given[0], given[1:], sys.exc_info())
        text = lines.format(made)
        assert "\n" not in text and "abc123" not in text and "a:b@c" not in text
        return json.loads(text)

    one = said("Task %s (%s) at postgresql://a:b@c/d", "kv-261130-abcdefgh1234", "queued")
    assert (one["level"], one["task_id"], HIDDEN in one["message"]) == ("warning", "kv-261130-abcdefgh1234", True)
    assert "ValueError" in one["error"] and HIDDEN in one["error"]
    two = said("kv-261130-abcdefgh1234 and kf-261130-abcdefgh1235 with runapi_abc123")
    assert two["task_ids"] == ["kv-261130-abcdefgh1234", "kf-261130-abcdefgh1235"]
    with pytest.raises(ArgumentError, match="KLING_LOG"):
        Settings.read({"KLING_LOG": "xml"}).check()
