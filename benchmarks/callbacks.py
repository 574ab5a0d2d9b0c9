"""Looks a clip takes with and without vendors' posts: `python benchmarks/callbacks.py [CLIPS]`, one JSON line each.

The sandbox plays RunAPI over HTTP on loopback and posts ends to a real `serve --http`; time runs twenty times as fast,
so that a clip takes about two minutes of it. The first ten clips are not counted: their pace is learned. The third run
loses every post.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path
from statistics import median

sys.path[:1] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests")]

import httpx
from support.http_serving import free_port, running
from support.mcp_wire import LEGACY, Web
from support.services import hurried

from mcp_server.composition import build
from mcp_server.sandbox.sandbox import Sandbox
from mcp_server.sandbox.server import SandboxServer, variables
from mcp_server.server.http import build_app
from mcp_server.settings import Settings

ORDER = {"provider": "runapi", "model": "kling-3.0", "duration": 5, "audio": False}
LEARNED = 10


async def one(name: str, clips: int, *, posts: bool, faults: str = "") -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        clock = hurried(20)
        box = Sandbox(
            Path(folder) / "vendors.db",
            now=clock.now,
            sleep=clock.sleep,
            seconds=120,
            rendering=False,
            fault_text=faults,
        )
        playing = SandboxServer(box)
        port = free_port()
        address = {"KLING_PUBLIC_URL": f"http://127.0.0.1:{port}"} if posts else {}
        homes = {"HOME": folder, "KLING_HOME": f"{folder}/home", "KLING_OUTPUT_DIR": f"{folder}/clips"}
        settings = Settings.read({**variables(await playing.start()), **homes, **address})
        app = build_app(settings, host="127.0.0.1", port=port, make=lambda: build(settings, clock=clock))
        late: list[float] = []
        async with running(app, port) as there, httpx.AsyncClient(timeout=60) as http:
            client = Web(http, f"{there}/mcp", LEGACY)
            for first, count in ((0, LEARNED), (LEARNED, clips)):
                asked = (
                    client.call(
                        "generate_video", {**ORDER, "prompt": f"boat {first + n}", "idempotency_key": f"k{first + n}"}
                    )
                    for n in range(count)
                )
                ids = [answer["structuredContent"]["task_id"] for answer in await asyncio.gather(*asked)]
                while True:
                    found = [
                        (await client.call("get_task", {"task_id": each, "wait_s": 20}))["structuredContent"]
                        for each in ids
                    ]
                    if all(task["state"] == "succeeded" for task in found):
                        break
        looks = Counter(line["job"] for line in box.store.journal(action="status"))
        first_seen: dict[str, float] = {}
        for line in box.store.journal(action="status"):
            job = box.store.find("runapi", line["job"])
            if job is not None and line["at"] >= job.ends:
                first_seen[job.id] = min(first_seen.get(job.id, float("inf")), line["at"] - job.ends)
        jobs = [line["job"] for line in box.store.journal(action="submit") if line["accepted"]][LEARNED:]
        late = [first_seen[job] for job in jobs]
        per_clip = [looks[job] for job in jobs]
        await playing.stop()
        box.close()
    return {
        "run": name,
        "clips": len(jobs),
        "looks_per_clip": round(sum(per_clip) / len(per_clip), 2),
        "most": max(per_clip),
        "seen_after_s": {"median": round(median(late), 1), "most": round(max(late), 1)},
    }


async def main(clips: int) -> None:
    for name, posts, faults in (
        ("looks alone", False, ""),
        ("posts", True, ""),
        ("every post lost", True, "runapi=callback_lost:always"),
    ):
        print(json.dumps(await one(name, clips, posts=posts, faults=faults)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 40))
