"""Every point × every provider, then two crashes in one purchase: `python tests/drill/full.py [WORKERS]`, JSON at the end."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path[:1] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from drill.lives import PROVIDERS, combinations, crash, passes, vendors, verdict  # noqa: E402

from mcp_server.tasks.failpoints import POINTS  # noqa: E402


def main(workers: int) -> int:
    began = time.time()
    runs: list[tuple[str, tuple[str, ...]]] = [(provider, (point,)) for provider, point in combinations()]
    # A second crash further on in the same purchase; after an uncertain order there is no further on.
    for index, provider in enumerate(PROVIDERS):
        buying = [point for point in POINTS if not point.startswith("cancel.") and passes(provider, point)]
        for step, first in enumerate(buying[1:-1]):
            second = buying[min(len(buying) - 1, buying.index(first) + 1 + (step + index) % 4)]
            lost = provider != "runapi" and first in {"submit.before_send", "submit.answered"}
            # A clip that was fetched whole is not fetched again.
            skipped = first in {"save.synced", "save.named"} and second in {"save.some_bytes", "save.fetched"}
            if not lost and not skipped and second != first and not (first == "save.settled"):
                runs.append((provider, (first, second)))

    def one(number: int, provider: str, points: tuple[str, ...]) -> dict[str, object]:
        # One vendor house per run: the journals stay apart.
        with tempfile.TemporaryDirectory() as folder, vendors(Path(folder)) as house:
            outcome = crash(Path(folder) / "home", house, provider, *points)
            states = [task["state"] for task in outcome.tasks]
            return {
                "run": number,
                "provider": provider,
                "points": points,
                "states": states,
                "wrong": verdict(outcome, points),
            }

    with ThreadPoolExecutor(workers) as pool:
        results = list(pool.map(lambda entry: one(entry[0], *entry[1]), enumerate(runs)))
    wrong = [result for result in results if result["wrong"]]
    states: dict[str, int] = {}
    for result in results:
        for state in result["states"] or ["no task"]:  # type: ignore[attr-defined]
            states[state] = states.get(state, 0) + 1
    summary = {
        "runs": len(results), "crashes": sum(len(points) for _, points in runs), "points": len(POINTS),
        "providers": len(PROVIDERS), "states": states, "wrong": wrong, "seconds": round(time.time() - began),
    }  # fmt: skip
    print(json.dumps(summary, indent=1))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2))
