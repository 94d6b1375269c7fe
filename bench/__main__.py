"""`python -m bench`: runs the benchmarks, prints their tables, writes them into docs/benchmarks.md."""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Callable
from pathlib import Path

from bench import delivery, latency, lidar, memory, rival, throughput
from bench.report import machine, replace_measured

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"


def main() -> int:
    """Runs what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    frames = {"quick": 2000, "long": 10_000}
    parser.add_argument(
        "--long", action="store_true", help="delivery at 720p too, and memory over 10,000 frames instead of 2,000"
    )
    parser.add_argument("--write", action="store_true", help="write the tables into docs/benchmarks.md")
    parser.add_argument(
        "--scans", type=Path, help="lidar: a folder of scans to cluster beside others' ways, such as KITTI's velodyne/"
    )
    benchmarks: dict[str, Callable[[bool], str]] = {
        "Delivery": lambda long: delivery.run(("VGA", "720p", "1080p") if long else ("VGA", "1080p")),
        "Latency": lambda _: latency.run(),
        "Throughput": lambda _: throughput.run(),
        "Rivals": lambda _: rival.run(),
        "Lidar": lambda _: lidar.run(arguments.scans),
        "Memory": lambda long: memory.run(frames["long" if long else "quick"]),
    }
    parser.add_argument("only", nargs="*", help=f"of {', '.join(name.lower() for name in benchmarks)}; all if none")
    arguments = parser.parse_args()
    if arguments.write and arguments.only:
        parser.error("--write takes all benchmarks, so that the page's numbers are of one run")
    if unknown := set(arguments.only) - {name.lower() for name in benchmarks}:
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    command = " ".join(["python -m bench", *sys.argv[1:]])
    parts = [f"{machine()}. {datetime.date.today().isoformat()}, `{command}`."]
    print(parts[0])
    for title, run in benchmarks.items():
        if not arguments.only or title.lower() in arguments.only:
            measured = run(arguments.long)
            print(f"\n### {title}\n\n{measured}", flush=True)
            parts.append(f"### {title}\n\n{measured}")
    if arguments.write:
        PAGE.write_text(replace_measured(PAGE.read_text(encoding="utf-8"), "\n\n".join(parts)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
