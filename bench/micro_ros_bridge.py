"""The real bridge under load, in real processes: round trips through an rclpy echo node, rates, many clients.

    python -m bench.micro_ros_bridge [--seconds 3] [--transport udp|pty|all] [--only round|rates|crowd]

Three processes: micro_ros_bridge as users run it, an rclpy node (bench.micro_ros_ros_side), and this one with clients
of ours. docs/benchmarks_micro_ros.md has the results. With `--attach` nothing is started but the node and the clients:
an agent that is already running on UDP port 8888 is measured, such as the stock one.
"""

from __future__ import annotations

import argparse
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil

from bench.micro_ros_load import HERTZ, Usage, confirmed, free_port, offer, prepared
from bench.report import machine, percentile
from robot_ai.cli.processes import NodeProcess, ProcessGroup
from robot_ai.cli.simulated_mcu import RELIABLE, McuNode
from robot_ai.micro_ros.client import Sample, XrceClient
from robot_ai.micro_ros.client_link import ClientRunner, Link, PtyLink, UdpLink

KIND = "std_msgs/UInt32"
RATES = (5_000, 10_000, 15_000)
CROWDS = (1, 8, 50)
_PAYLOAD = struct.pack("<I", 7)
_PATIENCE = 30.0


class RosSide:
    """The rclpy process, asked by lines."""

    def __init__(self, environment: dict[str, str], default_executor: bool) -> None:
        command = [sys.executable, "-m", "bench.micro_ros_ros_side"]
        command += ["--default-executor"] if default_executor else []
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=environment
        )

    def ask(self, command: str = "state") -> dict[str, float]:
        """Sends a command and returns the state."""
        assert self._child.stdin is not None and self._child.stdout is not None, "both were asked for"
        self._child.stdin.write(f"{command}\n")
        # Fast DDS writes its own complaints to the standard output, too.
        while not (line := self._child.stdout.readline()).startswith("{"):
            if not line:
                raise RuntimeError(f"the rclpy process ended with code {self._child.wait()}")
            print(line, end="", file=sys.stderr)
        answer: dict[str, float] = json.loads(line)
        return answer

    def until(self, name: str, value: float) -> None:
        """Waits until a number of the state is at least `value`. Raises TimeoutError."""
        deadline = time.monotonic() + _PATIENCE
        while (found := self.ask()[name]) < value:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name} is {found} after {_PATIENCE:.0f} s; expected {value}")
            time.sleep(0.05)
        # A side may know of the other before it is known itself.
        time.sleep(0.5)

    def settled(self) -> float:
        """The samples counted once no more come."""
        before = -1.0
        while (now := self.ask()["loads"]) != before:
            before = now
            time.sleep(0.5)
        return now

    def end(self) -> None:
        """Ends the process."""
        self._child.communicate("quit\n")


class Bench:
    """A bridge, the ROS side, and where clients reach the bridge."""

    def __init__(self, port: int, path: Path, ros: RosSide, process: psutil.Process | None) -> None:
        self.port = port
        self.path = path
        self.ros = ros
        self._process = process

    def link(self, transport: str) -> Link:
        """A new line to the bridge."""
        return UdpLink(port=self.port) if transport == "udp" else PtyLink(self.path)

    def usage(self) -> Callable[[], str]:
        """Begins to measure the bridge's use of the machine; what is returned tells it."""
        return (lambda: "not ours") if self._process is None else Usage(self._process).describe


@contextmanager
def bench(default_executor: bool, attach: bool) -> Iterator[Bench]:
    """The processes while they are needed."""
    domain = {"ROS_DOMAIN_ID": os.environ.get("ROS_DOMAIN_ID", "0") if attach else str(os.getpid() % 20 + 70)}
    environment = domain | {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port, process = 8888, None
        if not attach:
            port = free_port()
            values: dict[str, Any] = {"udp_port": port, "serial_ports": f"[{folder / 'mcu'}]"}
            node = NodeProcess("micro_ros_bridge", "robot_ai.nodes.micro_ros_bridge", values)
            stack.enter_context(ProcessGroup([node], folder, environment))
            process = _child("robot_ai.nodes.micro_ros_bridge")
        ros = RosSide({**os.environ, **environment}, default_executor)
        stack.callback(ros.end)
        yield Bench(port, folder / "mcu", ros, process)


def _child(module: str) -> psutil.Process:
    return next(child for child in psutil.Process().children() if module in child.cmdline())


@contextmanager
def connected(bench: Bench, transport: str, key: int = 1, name: str = "bench_mcu") -> Iterator[McuNode]:
    """A client with a node."""
    with ClientRunner(XrceClient(struct.pack(">I", key)), bench.link(transport)) as runner:
        assert runner.login(_PATIENCE), "the agent does not answer"
        yield McuNode(runner, name)


def round_trips(bench: Bench, transport: str, count: int, period: float, reliable: bool) -> list[float]:
    """Seconds from a sample of the client, through DDS to an rclpy node and back, one at a time.

    A new one begins each `period`, or when the last one is back. The client busies itself with waiting, as a
    microcontroller does; what is sent to acknowledge is sent after the time was taken.
    """
    with connected(bench, transport) as node:
        writer = node.advertise("ping", KIND, RELIABLE)
        node.subscribe("pong", KIND, lambda _: None, RELIABLE)
        bench.ros.until("pong_readers", 1)
        bench.ros.until("ping_writers", 1)
        client, link = node.runner.client, node.runner.link
        taken = []
        due = time.perf_counter()
        for _ in range(count + 100):
            due += period
            while time.perf_counter() < due:
                node.runner.step(max(0.0, min(0.01, due - time.perf_counter() - 0.0002)))
            began = time.perf_counter()
            client.write(writer, _PAYLOAD, began, reliable=reliable)
            node.runner.flush()
            back = False
            while not back:
                messages = link.receive(5.0)
                assert messages, "the sample does not come back"
                for message in messages:
                    back |= any(isinstance(event, Sample) for event in client.receive(message, began))
            taken.append(time.perf_counter() - began)
            node.runner.flush()
        client.logout()
        node.runner.spin(0.2)
    return taken[100:]


def rates(bench: Bench, transport: str, seconds: float) -> list[str]:
    """Confirmed one by one, with our client and with messages made beforehand, then best effort at several rates."""
    lines = []
    with connected(bench, transport) as node:
        writer = node.advertise("load", KIND, RELIABLE)
        assert writer == 0, "confirmed() and prepared() write to the first writer"
        bench.ros.until("load_writers", 1)
        for publish in (confirmed, prepared):
            before, usage = bench.ros.settled(), bench.usage()
            count, taken = publish(node.runner, seconds)
            text = usage()
            arrived = bench.ros.settled() - before
            lines.append(
                f"{transport}: {publish.__name__} one by one {count / taken:,.0f}/s, {count - arrived:,.0f} of "
                f"{count:,} lost on the way to rclpy; {text}"
            )
        for rate in RATES:
            before, usage = arrived + before, bench.usage()
            count, taken = offer(node.runner, rate, seconds)
            text = usage()
            after = bench.ros.settled()
            arrived = after - before
            lines.append(
                f"{transport}: best effort {count / taken:,.0f}/s offered, {arrived / taken:,.0f}/s arrived at rclpy, "
                f"{count - arrived:,.0f} lost; {text}"
            )
        node.runner.client.logout()
        node.runner.spin(0.2)
    return lines


def crowd(bench: Bench, clients: int, seconds: float) -> str:
    """Clients at 20 Hz each, both ways, reliable: every sample must arrive at the other end."""
    rounds = int(seconds * HERTZ)
    with ExitStack() as stack:
        nodes = [stack.enter_context(connected(bench, "udp", 100 + i, f"mcu_{i}")) for i in range(clients)]
        got: list[list[int]] = [[] for _ in nodes]
        for node, mine in zip(nodes, got, strict=True):
            node.advertise("load", KIND, RELIABLE)
            node.subscribe("down", KIND, lambda cdr, mine=mine: mine.append(struct.unpack("<I", cdr)[0]), RELIABLE)  # type: ignore[misc]
        bench.ros.until("load_writers", clients)
        bench.ros.until("down_readers", clients)
        before, usage = bench.ros.settled(), bench.usage()
        bench.ros.ask(f"down {HERTZ} {rounds}")
        began = time.monotonic()
        for turn in range(rounds):
            for node in nodes:
                node.runner.client.write(0, _PAYLOAD, time.monotonic())
            while (left := began + (turn + 1) / HERTZ - time.monotonic()) > 0:
                for node in nodes:
                    node.dispatch(node.runner.step(0))
                time.sleep(min(0.01, max(0.0, left)))
        text = usage()
        deadline = time.monotonic() + 3
        while any(len(mine) < rounds for mine in got) and time.monotonic() < deadline:
            for node in nodes:
                node.dispatch(node.runner.step(0.001))
        lost_up = rounds * clients - (bench.ros.settled() - before)
        wrong = sum(mine != list(range(rounds)) for mine in got)
    return (
        f"{clients} clients at {HERTZ} Hz each way, {rounds * clients:,} reliable samples up and as many down: "
        f"{lost_up:.0f} lost up, {rounds * clients - sum(map(len, got))} lost down, {wrong} clients with any twice or "
        f"out of order; {text}"
    )


def one_client(bench: Bench, transport: str, arguments: argparse.Namespace) -> None:
    """Round trips and rates."""
    if arguments.only != "rates":
        for reliable in (True, False):
            for count, period in ((arguments.count, 0.0), (int(100 * arguments.seconds), 0.01)):
                usage = bench.usage()
                taken = round_trips(bench, transport, count, period, reliable)
                print(
                    f"{transport}: round trip through rclpy, {'reliable' if reliable else 'best effort'}, "
                    f"{'at 100 Hz' if period else 'back to back'}: p50 {percentile(taken, 50) * 1e3:.3f} ms, "
                    f"p99 {percentile(taken, 99) * 1e3:.3f} ms; {usage()}",
                    flush=True,
                )
    if arguments.only != "round":
        print("\n".join(rates(bench, transport, arguments.seconds)), flush=True)


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--count", type=int, default=2000, help="round trips back to back")
    parser.add_argument("--transport", choices=["udp", "pty", "all"], default="udp")
    parser.add_argument("--only", choices=["round", "rates", "crowd"])
    parser.add_argument("--default-executor", action="store_true", help="the rclpy node spins as rclpy.spin does")
    parser.add_argument("--attach", action="store_true", help="measure the agent on UDP port 8888 instead")
    arguments = parser.parse_args()
    print(machine())
    transports = ("udp", "pty") if arguments.transport == "all" else (arguments.transport,)
    if arguments.only != "crowd":
        with bench(arguments.default_executor, arguments.attach) as running:
            for transport in transports:
                one_client(running, transport, arguments)
    for clients in CROWDS if arguments.only in (None, "crowd") else ():
        # Each with a bridge of its own, whose memory is what these clients took.
        with bench(arguments.default_executor, arguments.attach) as running:
            print(crowd(running, clients, arguments.seconds), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
