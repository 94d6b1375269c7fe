"""`robot_ai model benchmark`: speed and memory of every artifact on this machine, and which one to pick."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.add_argument("model", help="model card: a name, or a directory")
    parser.add_argument("--artifacts", metavar="KEYS", default="", help="only these, such as onnx,litert/int8 (all)")
    parser.add_argument("--threads", default="0", metavar="N,N", help="thread counts; 0 is the framework's default (0)")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each case is measured (5)")
    parser.add_argument(
        "--sample",
        "--photo",
        type=Path,
        metavar="FILE",
        help="the image to detect in, resized to 640x480 (one inside a PyPI wheel); for a lidar's model, the cloud "
        "(a simulated one)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every pass of every case")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="write a plot")
    parser.add_argument("--tensorboard", type=Path, metavar="DIR", help="write scalars and profiles for TensorBoard")


def run(args: argparse.Namespace) -> int:
    """Prints the table and the pick; writes the files that were asked for."""
    from robot_ai.model_tool import benchmark_page
    from robot_ai.model_tool.benchmark import BenchmarkRequest, parse_threads, run_benchmark

    keys = [key.strip() for key in args.artifacts.split(",") if key.strip()]
    benchmark_page.check_outputs(args.plot, args.tensorboard)
    request = BenchmarkRequest(
        args.model, keys, parse_threads(args.threads), args.seconds, args.sample, args.tensorboard
    )
    report = run_benchmark(request, lambda line: print(line, flush=True))
    print(f"\n{benchmark_page.table(report)}")
    for case in report.cases:
        if case.fault:
            print(f"{case.key}: failed: {case.fault}")
    for key, reason in report.not_run.items():
        print(f"{key}: not run: {reason}")
    pick = report.pick
    threads = f"{pick.threads or 'the default number of'} thread{'' if pick.threads == 1 else 's'}"
    print(f"\nPick {pick.key} with {threads}: {pick.reason}")
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(report.to_json() + "\n", encoding="utf-8")
    if args.plot:
        benchmark_page.plot(report, args.plot)
    if args.tensorboard:
        benchmark_page.write_scalars(report, args.tensorboard)
        print(f"tensorboard --logdir {args.tensorboard}")
    return 0
