"""Frames per second through the node beside the bare forward-pass loop of the same backend and threads."""

from __future__ import annotations

import os
import subprocess
import sys
from types import TracebackType
from typing import IO

from bench.harness import detector, frameworks, measure
from bench.report import at_least, rate, table

SECONDS = 5.0
ROUNDS = 2
BAR = 0.9
BARE_LOOP = """
import sys, time
import numpy as np
from robot_ai.backends.openmp import let_threads_sleep
from robot_ai.backends.registry import create
from robot_ai.models.card import ModelCard
from robot_ai.models.find import find_model
let_threads_sleep()
name, seconds, threads = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
backend, card = create(name), ModelCard.load(find_model("nanodet_g"), backends=[name])
backend.load(card, threads=threads)
spec = backend.inputs[0]
batch = {spec.name: np.random.default_rng(0).random([axis or 1 for axis in spec.shape], np.float32)}
for line in sys.stdin:
    warm = time.perf_counter() + 1
    while time.perf_counter() < warm:
        backend.infer(batch)
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        backend.infer(batch)
        count += 1
    print(count / (time.perf_counter() - started), flush=True)
"""


class BareLoop:
    """The loop in a process that stays loaded and idle between its turns."""

    def __init__(self, backend: str, threads: int) -> None:
        command = [sys.executable, "-c", BARE_LOOP, backend, str(SECONDS), str(threads)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def __enter__(self) -> BareLoop:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    def run(self) -> float:
        """One turn: forward passes per second."""
        _pipe(self._process.stdin).write("go\n")
        _pipe(self._process.stdin).flush()
        answer = _pipe(self._process.stdout).readline()
        if not answer:
            raise SystemExit("the bare loop ended early")
        return float(answer)


def run() -> str:
    """One row per framework and number of threads: one leaves a core to camera and listener, all of them do not."""
    cores = os.cpu_count() or 1
    rows = [_row(backend, threads) for threads in sorted({1, cores}) for backend in frameworks()]
    header = ["Backend", "Threads", "Bare loop (1/s)", "Node (1/s)", "Ratio", "Bar", "Turns: loop / node", "Other load"]
    return table(header, rows)


def _row(backend: str, threads: int) -> list[object]:
    """Loop and node take turns, and the loop has the first and the last."""
    with BareLoop(backend, threads) as loop:
        bare, node, others = [loop.run()], [], []
        for _ in range(ROUNDS):
            # A camera half as fast again as the model leaves the node no idle moment and the processor some.
            feed = max(bare) * 1.5
            result = measure(detector(backend, threads=threads), ["--rate", str(feed)], frames=round(feed * SECONDS))
            node.append(rate(result.arrivals))
            others.append(result.others)
            bare.append(loop.run())
    loop_rate, node_rate = sum(bare) / len(bare), sum(node) / len(node)
    turns = ", ".join(f"{value:.1f}" for value in bare) + " / " + ", ".join(f"{value:.1f}" for value in node)
    ratio = node_rate / loop_rate
    return [backend, threads, loop_rate, node_rate, ratio, at_least(ratio, BAR), turns, f"{max(others):.0%}"]


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None, "opened with PIPE"
    return stream
