"""What it costs to have the catalog: time and memory of `catalog.load()` in a fresh process.

Every session of an agent spawns the server anew, so this is paid each time: the aim is under 30 ms.

    python benchmarks/catalog.py [runs]
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys

AIM_MS = 30

PROBE = """
import json, sys, time, tracemalloc
started = time.perf_counter()
from mcp_server import catalog
imported = time.perf_counter()
if sys.argv[1] == "memory":
    tracemalloc.start()
    loaded = catalog.load()
    print(json.dumps({"kept": tracemalloc.get_traced_memory()[0], "peak": tracemalloc.get_traced_memory()[1]}))
else:
    loaded = catalog.load()
    done = time.perf_counter()
    print(json.dumps({
        "import_ms": (imported - started) * 1000,
        "load_ms": (done - imported) * 1000,
        "offers": len(loaded.offers),
        "prices": len(loaded.prices),
        "pydantic": "pydantic" in sys.modules,
    }))
"""


def probe(what: str) -> dict[str, float]:
    """One fresh process; the clocks start after Python itself is up."""
    ran = subprocess.run([sys.executable, "-c", PROBE, what], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(ran.stdout)
    return found


def main() -> None:
    """Medians of several processes after one that fills the byte-code cache."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    probe("time")
    times = [probe("time") for _ in range(runs)]
    memory = probe("memory")
    load = statistics.median(row["load_ms"] for row in times)
    report = {
        "what": "catalog.load() in a fresh process",
        "runs": runs,
        "load_ms_median": round(load, 1),
        "load_ms_min": round(min(row["load_ms"] for row in times), 1),
        "import_ms_median": round(statistics.median(row["import_ms"] for row in times), 1),
        "kept_kib": round(memory["kept"] / 1024),
        "peak_kib": round(memory["peak"] / 1024),
        "offers": times[0]["offers"],
        "prices": times[0]["prices"],
        "aim_ms": AIM_MS,
        "within_aim": load < AIM_MS,
        "python": platform.python_version(),
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
