"""A studio that somebody has worked in for a month, for the browser to look at: `python lived_in.py FOLDER`.

Vendors are played on loopback, with keys, so that money counts; clips, prices and days are made through the service as a
user would. The link stands on standard output; the end of standard input ends it.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from support.browsing import studio  # noqa: E402
from support.mcp_world import Vendors, vendors  # noqa: E402

from mcp_server.clock import Clock  # noqa: E402
from mcp_server.composition import build  # noqa: E402
from mcp_server.domain.arguments import VideoArguments  # noqa: E402
from mcp_server.films.board import from_arguments  # noqa: E402
from mcp_server.films.films import FilmOrder  # noqa: E402

DAY = 86_400.0
ORDERS: tuple[tuple[int, dict[str, Any]], ...] = (
    (23, {"prompt": "a desert highway at dusk, one car far away", "provider": "klingai", "duration": 5}),
    (19, {"prompt": "an old clockmaker sets the last gear", "provider": "fal", "tier": "pro", "duration": 5}),
    (16, {"prompt": "koi in a black pond, leaves fall", "provider": "runapi", "aspect_ratio": "1:1", "duration": 5}),
    (12, {"prompt": "a subway platform, the train does not stop", "provider": "fal", "duration": 10}),
    (9, {"prompt": "snow on a quiet harbour, morning", "provider": "runcomfy", "tier": "pro", "duration": 5}),
    (6, {"prompt": "a dancer's shadow on a red wall", "provider": "runapi", "aspect_ratio": "9:16", "duration": 5}),
    (4, {"prompt": "bread comes out of a stone oven", "provider": "klingai", "tier": "pro", "duration": 5}),
    (2, {"prompt": "a lighthouse in a storm, slow push-in", "provider": "runcomfy", "tier": "4k", "duration": 5}),
    (1, {"prompt": "a paper kite over rice fields", "provider": "fal", "duration": 5}),
    (1, {"prompt": "rain on a tin roof, close", "provider": "runapi", "aspect_ratio": "9:16", "duration": 5}),
    (0, {"prompt": "a fox crosses a frozen lake", "provider": "runcomfy", "tier": "pro", "duration": 5}),
    (0, {"prompt": "neon city in the rain, people with umbrellas", "provider": "fal", "aspect_ratio": "9:16", "duration": 5}),
    (0, {"prompt": "a barista pours milk, slow push-in", "provider": "runapi", "duration": 5}),
    (0, {"prompt": "a red bicycle leans on a blue door", "provider": "klingai", "aspect_ratio": "1:1", "duration": 5}),
    (0, {"prompt": "a paper boat in the rain, drifting past a lit window", "provider": "sandbox", "duration": 5}),
)  # fmt: skip
BOARD = {
    "title": "The paper boat",
    "look": {"provider": "runcomfy", "tier": "standard", "audio": False},
    "shots": [
        {"id": "fold", "prompt": "hands fold a boat out of a newspaper", "duration": 3},
        {"id": "rain", "prompt": "the boat is set into a gutter, rain begins", "duration": 3, "begin": "continue"},
        {"id": "drift", "prompt": "it drifts past a lit window", "duration": 5},
        {"id": "sea", "prompt": "a harbour at dawn, the boat very small", "duration": 3, "begin": "dissolve"},
    ],
}


async def live(sellers: Vendors) -> None:
    """A month of orders, one of which comes longer than it was ordered."""
    for back, said in ORDERS:
        if "kite" in said["prompt"]:
            sellers.fault("fal", "clip_long")
        clock = Clock(now=lambda back=back: time.time() - back * DAY)
        service = build(sellers.settings(), clock=clock)
        task = await service.generate(
            VideoArguments.model_validate({"tier": "standard", "accept_unknown_price": True, **said})
        )
        (done,) = await service.get([task.task_id], wait_s=120)
        print(done.state, done.prompt, file=sys.stderr, flush=True)
        await service.close()


async def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    async with vendors(folder, rendering=True) as sellers:
        await live(sellers)
        settings = sellers.settings(KLING_DAILY_BUDGET_USD="5")
        async with studio(settings, clock=Clock()) as opened:
            service = opened.service
            film = await service.films.make(FilmOrder(board=from_arguments(BOARD), max_cost_usd=50), buying=True)  # type: ignore[arg-type]
            await service.films.get([film.film_id], wait_s=300)
            sellers.fault("runapi", "moderation")
            failed = await service.generate(
                VideoArguments(prompt="a tower of glass", provider="runapi", tier="standard")
            )
            await service.get([failed.task_id], wait_s=60)
            sellers.box.seconds = 90.0
            await service.generate(VideoArguments(prompt="a river of lanterns at night", provider="fal", tier="pro"))
            print(opened.link, film.film_id, flush=True)
            await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
