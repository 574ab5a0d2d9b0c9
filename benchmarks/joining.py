"""Joining beside ffmpeg doing the same, and a board of 100 shots planned.

`python benchmarks/joining.py [SECONDS [ROUNDS [1080p|4k]]]`

Five clips of five seconds that differ (a size, a frame rate, a loudness, one silent), at 1080p and at 4k. `ffmpeg` (the
program, where PATH or FFMPEG names one) scales, pads, resamples, evens loudness in one pass and encodes with the same
preset, quality and container; what it does not do is look at what it made. Ours is timed twice: to the written file,
and with the check of every picture. Beside the second, ffmpeg is also given the nearest it has to a check: another run
over its file with blackdetect, freezedetect and ebur128. The two take turns; CPU seconds of the whole process group
count, and wall time beside.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from fractions import Fraction
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.drawn_clips import Drawn, draw
from support.services import settings

from mcp_server import catalog
from mcp_server.films import board
from mcp_server.films.plan import FilmPlanner
from mcp_server.media.writing import CONTAINER, KEY_S, Encoding
from mcp_server.ordering.plan import Planner

SIZES = {"1080p": (1920, 1080), "4k": (3840, 2160)}
JOIN = """
import json, os, resource, sys, time
from mcp_server.media.joining import film
from mcp_server.media.joining.cut_list import CutList
from mcp_server.media.progress import Work
steps = {}
def said(progress): steps.setdefault(progress.step, (time.perf_counter(), sum(os.times()[:2])))
made = film.joined(CutList.read(json.loads(sys.argv[1])), Work(said))
print(json.dumps({"rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "failed": made.failed_checks,
                  "checking_s": time.perf_counter() - steps["checking"][0], "written_cpu": steps["checking"][1]}))
"""


def clips(folder: Path, width: int, height: int, seconds: float) -> list[Path]:
    one = Drawn(width=width, height=height, seconds=seconds, sound="tone")
    kinds = (
        one,
        Drawn(width=width, height=height, seconds=seconds, sound="tone", volume=2500, ground=120),
        Drawn(width=width // 2, height=height // 2, seconds=seconds, sound="tone", fps=30, ground=90),
        Drawn(width=width, height=height, seconds=seconds, ground=190),
        Drawn(width=width, height=height, seconds=seconds, sound="tone", rate=48_000, ground=150),
    )
    return [draw(folder / f"{number}.mp4", kind) for number, kind in enumerate(kinds)]


def timed(words: list[str]) -> tuple[float, float, str]:
    """Wall seconds, CPU seconds, and what was said."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=env)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, cpu, done.stdout


def ours(paths: list[Path], target: Path) -> tuple[float, float, str]:
    cut_list = {"clips": [{"shot": path.stem, "path": str(path)} for path in paths], "target": str(target)}
    return timed([sys.executable, "-c", JOIN, json.dumps(cut_list)])


def theirs(
    program: str, paths: list[Path], target: Path, size: tuple[int, int], seconds: float
) -> tuple[float, float, str]:
    width, height = size
    inputs = [word for path in paths for word in ("-i", str(path))]
    parts = [
        f"[{n}:v]scale={width}:{height}:force_original_aspect_ratio=decrease,pad={width}:{height}:-1:-1,"
        f"fps=24,setsar=1[v{n}]"
        for n in range(len(paths))
    ]
    parts += [
        f"anullsrc=r=48000:cl=stereo,atrim=0:{seconds}[a{n}]"
        if n == 3
        else f"[{n}:a]loudnorm,aresample=48000,aformat=channel_layouts=stereo[a{n}]"
        for n in range(len(paths))
    ]
    parts.append("".join(f"[v{n}][a{n}]" for n in range(len(paths))) + f"concat=n={len(paths)}:v=1:a=1[v][a]")
    same = Encoding(width=width, height=height, fps=Fraction(24))
    x264 = same.x264 | {"g": str(round(KEY_S * same.fps))}
    encoding = [word for name, value in x264.items() for word in (f"-{name}", value)]
    return timed(
        [program, "-v", "error", "-y", *inputs, "-filter_complex", ";".join(parts), "-map", "[v]", "-map", "[a]",
         "-c:v", "libx264", "-pix_fmt", "yuv420p", *encoding, "-c:a", "aac", "-b:a", str(same.audio_bits),
         "-movflags", CONTAINER["movflags"], str(target)]
    )  # fmt: skip


def looked(program: str, target: Path) -> tuple[float, float, str]:
    """What ffmpeg has to look at a film with."""
    filters = ["-vf", "blackdetect,freezedetect", "-af", "ebur128=framelog=quiet"]
    return timed([program, "-v", "error", "-i", str(target), *filters, "-f", "null", "-"])


def planned() -> float:
    """CPU milliseconds for a board of 100 shots with words of their own, the best of five."""
    shots = [{"id": f"s{n}", "prompt": f"a paper boat in the rain, picture {n}", "duration": 5} for n in range(100)]
    wanted, best = board.from_arguments({"title": "x", "look": {"tier": "pro"}, "shots": shots}), 1e9
    with tempfile.TemporaryDirectory() as home:
        planner = Planner(settings(Path(home), RUNCOMFY_TOKEN="x", FAL_KEY="y"), catalog.load())
        for _ in range(5):
            began = time.process_time()
            FilmPlanner(planner).plan(wanted, day=date(2026, 11, 29))
            best = min(best, time.process_time() - began)
    return best * 1000


def main(seconds: float, rounds: int, sizes: dict[str, tuple[int, int]]) -> None:
    print(f"a board of 100 shots planned: {planned():.0f} ms of CPU")
    program = os.environ.get("FFMPEG") or shutil.which("ffmpeg")
    for name, size in sizes.items():
        with tempfile.TemporaryDirectory() as folder:
            paths = clips(Path(folder), *size, seconds)
            mine, other, looks = [], [], []
            for _ in range(rounds):
                mine.append(ours(paths, Path(folder) / "film.mp4"))
                if program:
                    other.append(theirs(program, paths, Path(folder) / "other.mp4", size, seconds))
                    looks.append(looked(program, Path(folder) / "other.mp4"))
            told = [json.loads(run[2]) for run in mine]
            said = told[-1]
            # From the start of the process, as ffmpeg's: its imports count.
            written = statistics.median(run[0] - each["checking_s"] for run, each in zip(mine, told, strict=True))
            busy = statistics.median(each["written_cpu"] for each in told)
            wall, cpu = (statistics.median(run[part] for run in mine) for part in (0, 1))
            print(f"{name}: {wall:.1f} s, {cpu:.1f} s of CPU, {said['rss_mb']:.0f} MB, failed checks {said['failed']}")
            print(f"{name}: written after {written:.1f} s, {busy:.1f} s of CPU")
            if other:
                wall2, cpu2 = (statistics.median(run[part] for run in other) for part in (0, 1))
                print(f"{name}: ffmpeg {wall2:.1f} s, {cpu2:.1f} s of CPU")
                print(f"{name}: {written / wall2:.2f} × written, {wall / wall2:.2f} × checked")
                print(f"{name}: of CPU {busy / cpu2:.2f} × written, {cpu / cpu2:.2f} × checked")
                look = statistics.median(run[1] for run in looks)
                print(f"{name}: ffmpeg's own look {look:.1f} s of CPU; both with a look {cpu / (cpu2 + look):.2f} ×")


if __name__ == "__main__":
    said = [*sys.argv[1:], *("5", "3", "")[len(sys.argv) - 1 :]]
    main(float(said[0]), int(said[1]), {name: SIZES[name] for name in SIZES if said[2] in ("", name)})
