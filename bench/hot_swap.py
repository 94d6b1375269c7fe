"""Models swapped on a node that a camera feeds at 30 Hz: `python -m bench.hot_swap`.

Every frame that the node took must be answered exactly once; the worst gap between two answers is reported beside the
longest forward pass. Frames that come while a pass runs are skipped as stale, counted, as without a swap.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import cycle, islice, pairwise
from pathlib import Path

import rclpy
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.context import Context
from rclpy.experimental import EventsExecutor
from rclpy.parameter import Parameter
from vision_msgs.msg import Detection2DArray

from bench.harness import Listener, Namespaced, Run, detector
from bench.report import table
from robot_ai.cli.processes import ProcessGroup
from robot_ai.ros.environment import image_transport_environment

BACKENDS = ("tensorflow", "litert", "onnx", "pytorch")
SETTLE = 1.0


@dataclass
class Swaps:
    """What the swaps did: seconds until each was answered, and the reasons of those that were refused."""

    seconds: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


class Session:
    """A node, a camera that feeds it, and this process, which listens and asks for swaps."""

    def __init__(self, threads: int, folder: Path) -> None:
        self.namespace, domain = f"/bench_swap_{os.getpid()}", str(os.getpid() % 20 + 70)
        self.environment = {"ROS_DOMAIN_ID": domain, "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
        self.environment |= image_transport_environment()
        made = detector("pytorch", threads=threads)
        node = Namespaced(made.name, made.module, made.parameters, self.namespace)
        self.group = ProcessGroup([node], folder, self.environment)
        self.run = Run()
        self.context = Context()
        rclpy.init(context=self.context, domain_id=int(domain))
        self.listener = Listener(self.context, self.run, self.namespace, Detection2DArray)
        self.executor = EventsExecutor(context=self.context)
        self.executor.add_node(self.listener)
        service = f"{self.namespace}/camera_detector/set_parameters_atomically"
        self.client = self.listener.create_client(SetParametersAtomically, service)

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
        """Asks for another backend and waits for the answer."""
        started = time.monotonic()
        parameter = Parameter("backend", value=backend).to_parameter_msg()
        future = self.client.call_async(SetParametersAtomically.Request(parameters=[parameter]))
        self.spin_until(future.done)
        swaps.seconds.append(time.monotonic() - started)
        if not future.result().result.successful:
            swaps.refused.append(future.result().result.reason)

    def feed(self, rate: float, count: int) -> Swaps:
        """Swaps `count` times while a camera sends; ends when all that was sent is answered or counted."""
        swaps = Swaps()
        command = [sys.executable, "-m", "bench.camera", "--namespace", self.namespace, "--frames", "1000000"]
        with subprocess.Popen([*command, "--rate", str(rate)], env={**os.environ, **self.environment}) as camera:
            self.spin_until(lambda: len(self.run.arrivals) > 10)
            for backend in islice(cycle(BACKENDS), count):
                self.swap(backend, swaps)
                self.spin(SETTLE)
            camera.terminate()
        self.spin(2.5)  # the node reports once a second
        return swaps

    def close(self) -> None:
        """Leaves the graph."""
        self.executor.shutdown()
        self.listener.destroy_node()
        rclpy.try_shutdown(context=self.context)


def report(run: Run, swaps: Swaps) -> str:
    """The table."""
    gaps = [later - earlier for earlier, later in pairwise(run.arrivals)]
    columns = {
        "Swaps": len(swaps.seconds),
        "Refused": len(swaps.refused),
        "Seconds per swap (median)": statistics.median(swaps.seconds),
        "Received": run.values["frames received"],
        "Answered": run.values["frames published"],
        "Answers heard": len(run.arrivals),
        "Failed": run.values["frames dropped: failed"],
        "Stale": run.values["frames dropped: stale"],
        "Lost before arrival": run.values["frames lost before arrival"],
        "Median gap (ms)": statistics.median(gaps) * 1e3,
        "Worst gap (ms)": max(gaps) * 1e3,
        "Forward p95 (ms)": run.values["forward p95 (ms)"],
    }
    return "\n".join([table(list(columns), [list(columns.values())]), *swaps.refused])


def main() -> int:
    """Runs the swaps; returns 1 when one is refused, a pass fails, or an answer is lost or given twice."""
    parser = argparse.ArgumentParser(prog="python -m bench.hot_swap", description=__doc__)
    parser.add_argument("--swaps", type=int, default=20)
    parser.add_argument("--rate", type=float, default=30.0, help="frames per second (30)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of each backend (1)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        session = Session(arguments.threads, Path(folder))
        with session.group:
            session.spin_until(lambda: session.run.values)
            swaps = session.feed(arguments.rate, arguments.swaps)
        session.close()
    print(report(session.run, swaps))
    values = session.run.values
    whole = int(values["frames published"]) == len(session.run.arrivals) and values["frames dropped: failed"] == "0"
    return 0 if whole and not swaps.refused else 1


if __name__ == "__main__":
    raise SystemExit(main())
