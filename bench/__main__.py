"""`python -m bench`: runs the benchmarks, prints their tables, writes them into docs/benchmarks.md."""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Callable
from pathlib import Path

from bench import delivery, latency, memory, rival, throughput
from bench.harness import machine

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def main() -> int:
    """Runs what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    frames = {"quick": 2000, "long": 10_000}
    parser.add_argument("--long", action="store_true", help="the memory run over 10,000 frames instead of 2,000")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/benchmarks.md")
    benchmarks: dict[str, Callable[[bool], str]] = {
        "Delivery": lambda _: delivery.run(),
        "Latency": lambda _: latency.run(),
        "Throughput": lambda _: throughput.run(),
        "Side by side": lambda _: rival.run(),
        "Memory": lambda long: memory.run(frames["long" if long else "quick"]),
    }
    parser.add_argument("only", nargs="*", help=f"of {', '.join(name.lower() for name in benchmarks)}; all if none")
    arguments = parser.parse_args()
    command = "make bench" + (" BENCH_ARGS=--long" if arguments.long else "")
    parts = [f"{machine()}. {datetime.date.today().isoformat()}, `{command}`."]
    print(parts[0])
    for title, run in benchmarks.items():
        if not arguments.only or title.lower() in arguments.only:
            measured = run(arguments.long)
            print(f"\n### {title}\n\n{measured}", flush=True)
            parts.append(f"### {title}\n\n{measured}")
    if arguments.write and not arguments.only:
        page = PAGE.read_text(encoding="utf-8")
        head, _, rest = page.partition(BEGIN)
        tail = rest.partition(END)[2]
        PAGE.write_text(f"{head}{BEGIN}\n" + "\n\n".join(parts) + f"\n{END}{tail}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
