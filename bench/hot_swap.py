"""Models swapped on a node that a camera feeds at 30 Hz: `python -m bench.hot_swap`.

Every frame must be answered exactly once; one that had to give way to a newer one is counted as stale. The gaps between
two answers are measured without swaps first, then with them, since every camera and every forward pass has gaps of its
own: what a swap may add is one forward pass. Meanwhile another service of the node is asked without end, and the node's
memory is read after each round of the backends.
"""

from __future__ import annotations

import argparse
import datetime
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice, pairwise
from pathlib import Path
from typing import Any

import rclpy
from rcl_interfaces.srv import GetParameters, SetParametersAtomically
from rclpy.context import Context
from rclpy.experimental import EventsExecutor
from rclpy.parameter import Parameter
from vision_msgs.msg import Detection2DArray

from bench.harness import Listener, Namespaced, OtherLoad, Run, detector, resident_process
from bench.report import machine, percentile, replace_measured, slope, table
from robot_ai.cli.processes import ProcessGroup
from robot_ai.ros.environment import image_transport_environment

BACKENDS = ("tensorflow", "litert", "onnx", "pytorch")
PAGE = Path(__file__).resolve().parents[1] / "docs" / "backends.md"
ROUNDS_SHOWN = 8
WARM_UP = 0.3  # the share of the rounds after which every framework has its pools and caches
QUIET = 5.0  # seconds without a swap, for comparison
SETTLE = 1.0


@dataclass
class Swaps:
    """What the swaps did.

    seconds: until each was answered. spans: backend, monotonic time of the request and of its answer. refused: the
    reasons of those that were. sizes: resident MiB of the node before the first swap and after each round. began:
    monotonic time of the first. waits: seconds until another service answered, while swaps went on. others: share of
    the machine that others used. stale: frames that were stale before the first swap, as last reported.
    """

    seconds: list[float] = field(default_factory=list)
    spans: list[tuple[str, float, float]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)
    began: float = 0.0
    waits: list[float] = field(default_factory=list)
    others: float = 0.0
    stale: int = 0


class Session:
    """A node, a camera that feeds it, and this process, which listens and asks for swaps."""

    def __init__(self, threads: int, preload: bool, folder: Path) -> None:
        self.namespace, domain = f"/bench_swap_{os.getpid()}", str(os.getpid() % 20 + 70)
        self.environment = {"ROS_DOMAIN_ID": domain, "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
        self.environment |= image_transport_environment()
        standby = {"preload_backends": list(BACKENDS)} if preload else {}
        made = detector("pytorch", threads=threads, **standby)
        self.node = Namespaced(made.name, made.module, made.parameters, self.namespace)
        self.group = ProcessGroup([self.node], folder, self.environment)
        self.run = Run()
        self.context = Context()
        rclpy.init(context=self.context, domain_id=int(domain))
        self.listener = Listener(self.context, self.run, self.namespace, Detection2DArray)
        self.executor = EventsExecutor(context=self.context)
        self.executor.add_node(self.listener)
        services = f"{self.namespace}/camera_detector"
        self.client = self.listener.create_client(SetParametersAtomically, f"{services}/set_parameters_atomically")
        self.other = self.listener.create_client(GetParameters, f"{services}/get_parameters")

    def spin_until(self, condition: Callable[[], object], timeout: float = 60.0) -> None:
        """Listens until the condition holds."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise SystemExit("the node does not answer")
            self.executor.spin_once(timeout_sec=0.05)

    def spin(self, seconds: float) -> None:
        """Listens for a while."""
        end = time.monotonic() + seconds
        self.spin_until(lambda: time.monotonic() > end)

    def swap(self, backend: str, swaps: Swaps) -> None:
        """Asks for another backend, and for something else again and again until that is answered."""
        started = time.monotonic()
        parameter = Parameter("backend", value=backend).to_parameter_msg()
        future = self.client.call_async(SetParametersAtomically.Request(parameters=[parameter]))
        asked, other = 0.0, None

        def answered() -> bool:
            nonlocal asked, other
            if other is not None and other.done():
                swaps.waits.append(time.monotonic() - asked)
                other = None
            if other is None and time.monotonic() - asked > 0.05:
                asked, other = time.monotonic(), self.other.call_async(GetParameters.Request(names=["backend"]))
            return bool(future.done())

        self.spin_until(answered)
        swaps.spans.append((backend, started, time.monotonic()))
        swaps.seconds.append(time.monotonic() - started)
        if not future.result().result.successful:
            swaps.refused.append(future.result().result.reason)

    def feed(self, rate: float, count: int) -> Swaps:
        """Feeds the node, at first alone, then with so many swaps; returns when every frame is answered or counted."""
        swaps = Swaps()
        process = resident_process(self.node)
        command = [sys.executable, "-m", "bench.camera", "--namespace", self.namespace, "--frames", "1000000"]
        with subprocess.Popen([*command, "--rate", str(rate)], env={**os.environ, **self.environment}) as camera:
            self.spin_until(lambda: len(self.run.arrivals) > 10)
            load = OtherLoad()
            self.spin(QUIET)
            swaps.began, swaps.stale = time.monotonic(), int(self.run.values["frames dropped: stale"])
            swaps.sizes.append(process.memory_info().rss / 2**20)
            for number, backend in enumerate(islice(cycle(BACKENDS), count), 1):
                self.swap(backend, swaps)
                self.spin(SETTLE)
                if number % len(BACKENDS) == 0:
                    swaps.sizes.append(process.memory_info().rss / 2**20)
            swaps.others = load.share()
            camera.terminate()
            # An answer that waits for us while the camera ends would be taken for a late one.
            self.spin_until(lambda: camera.poll() is not None)
        self.spin(2.5)  # the node reports once a second
        return swaps

    def close(self) -> None:
        """Leaves the graph."""
        self.executor.shutdown()
        self.listener.destroy_node()
        rclpy.try_shutdown(context=self.context)


def gaps(arrivals: Sequence[float]) -> list[float]:
    """Milliseconds between two answers."""
    return [1e3 * (later - earlier) for earlier, later in pairwise(arrivals)]


def worst_by_backend(arrivals: Sequence[float], swaps: Swaps) -> list[list[Any]]:
    """A row for each backend: the worst gap, in ms, while it was loaded first, then later; in the second after it too.

    The old model is closed in the second after a swap.
    """

    def worst(first: float, last: float) -> float:
        return max((1e3 * (b - a) for a, b in pairwise(arrivals) if b >= first and a <= last), default=0.0)

    found: dict[str, list[tuple[float, float]]] = {}
    for backend, began, ended in swaps.spans:
        found.setdefault(backend, []).append((worst(began, ended), worst(ended, ended + SETTLE)))
    return [
        [
            backend,
            *loads[0],
            *(max(gaps, default="-") for gaps in ([a for a, _ in loads[1:]], [b for _, b in loads[1:]])),
        ]
        for backend, loads in found.items()
    ]


def report(run: Run, swaps: Swaps) -> str:
    """The tables."""
    alone = gaps([time for time in run.arrivals[5:] if time < swaps.began])
    during = gaps([time for time in run.arrivals if time >= swaps.began])
    frames: dict[str, Any] = {
        "Swaps": len(swaps.seconds),
        "Refused": len(swaps.refused),
        "Frames received": run.values["frames received"],
        "Answered": run.values["frames published"],
        "Answers heard": len(run.arrivals),
        "Failed": run.values["frames dropped: failed"],
        "Stale before the first swap": swaps.stale,
        "Stale since": int(run.values["frames dropped: stale"]) - swaps.stale,
        "Lost before arrival": run.values["frames lost before arrival"],
    }
    times = [
        ["without a swap", statistics.median(alone), percentile(alone, 99), max(alone), "-", "-", "-"],
        [
            "with swaps",
            statistics.median(during),
            percentile(during, 99),
            max(during),
            run.values["forward p95 (ms)"],
            statistics.median(swaps.seconds),
            1e3 * max(swaps.waits),
        ],
    ]
    header = ["", "Median gap (ms)", "p99", "Worst", "Forward p95 (ms)", "Swap (s, median)", "Longest wait for another "
              "service (ms)"]  # fmt: skip
    parts = [table(list(frames), [list(frames.values())]), table(header, times)]
    worst = ["Worst gap (ms)", "first load", "second after it", "later loads", "second after them"]
    parts += [table(worst, worst_by_backend(run.arrivals, swaps)), memory(swaps.sizes), *swaps.refused]
    return "\n\n".join(parts)


def memory(sizes: Sequence[float]) -> str:
    """The node's resident memory: some rounds of all, and how it grew from swap to swap after the first of them."""
    last = len(sizes) - 1
    shown = sorted({0, min(1, last), *(round(last * part / ROUNDS_SHOWN) for part in range(1, ROUNDS_SHOWN + 1))})
    warm = [number for number in range(1, last + 1) if number >= WARM_UP * last]
    header = ["MiB before", *(f"round {number}" for number in shown[1:])]
    row: list[object] = [round(sizes[number]) for number in shown]
    if len(warm) > 1:
        header += [f"largest less smallest from round {warm[0]} on", "KiB per swap"]
        grown = [sizes[number] for number in warm]
        row += [round(max(grown) - min(grown)), slope([number * len(BACKENDS) for number in warm], grown) * 1024]
    return table(header, [row])


def main() -> int:
    """Runs the swaps; returns 1 when one is refused, a pass fails, or an answer is lost or given twice."""
    parser = argparse.ArgumentParser(prog="python -m bench.hot_swap", description=__doc__)
    parser.add_argument("--swaps", type=int, default=20)
    parser.add_argument("--rate", type=float, default=30.0, help="frames per second (30)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of each backend (1)")
    parser.add_argument("--preload", action="store_true", help="let all backends stand by")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/backends.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        session = Session(arguments.threads, arguments.preload, Path(folder))
        with session.group:
            session.spin_until(lambda: session.run.values)
            swaps = session.feed(arguments.rate, arguments.swaps)
        session.close()
    measured = report(session.run, swaps)
    command = " ".join(["python -m bench.hot_swap", *sys.argv[1:]])
    head = f"{machine()}. {datetime.date.today().isoformat()}, `{command}`, other load {swaps.others:.0%}."
    print(f"{head}\n\n{measured}")
    if arguments.write:
        PAGE.write_text(replace_measured(PAGE.read_text(encoding="utf-8"), f"{head}\n\n{measured}"), encoding="utf-8")
    values = session.run.values
    whole = int(values["frames published"]) == len(session.run.arrivals) and values["frames dropped: failed"] == "0"
    return 0 if whole and not swaps.refused else 1


if __name__ == "__main__":
    raise SystemExit(main())
