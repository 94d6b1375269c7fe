"""Load on the XRCE agent over real UDP and a pseudo-terminal: rates from one client, fifty at once, CPU and memory.

    python -m bench.micro_ros_load [--seconds 3] [--transport udp|pty|all]

The agent runs in a process of its own with the loopback middleware, so that the core and the transports are measured
and not ROS. A client of ours, in this process, speaks the wire format. docs/benchmarks_micro_ros.md has the results.
"""

from __future__ import annotations

import argparse
import os
import socket
import struct
import subprocess
import sys
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from robot_ai.micro_ros.client import Answer, Sample, XrceClient, object_id
from robot_ai.micro_ros.client_link import ClientRunner, Link, SerialLink, UdpLink
from robot_ai.micro_ros.config import SerialSettings, UdpSettings
from robot_ai.micro_ros.loopback import Loopback
from robot_ai.micro_ros.server import AgentServer
from robot_ai.micro_ros.wire import (
    HEADER,
    LITTLE_ENDIAN,
    STREAM_RELIABLE,
    ObjectKind,
    Submessage,
    acknack,
    submessage,
)

TYPE = "std_msgs::msg::dds_::UInt32_"
CLIENTS, HERTZ = 50, 20
RATES = (10_000, 15_000, 20_000)
_PAYLOAD = struct.pack("<I", 7)
_MOST_PREPARED = 30_000  # per second
_LOST = 5.0


@dataclass
class Usage:
    """What the agent's process used between two looks: share of one core, resident memory in MB."""

    process: psutil.Process

    def __post_init__(self) -> None:
        self._cpu, self._at = self._seconds(), time.monotonic()

    def _seconds(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def describe(self) -> str:
        """In words, since it was made."""
        share = (self._seconds() - self._cpu) / (time.monotonic() - self._at)
        memory = self.process.memory_info().rss / 1e6
        return f"agent {share:.0%} of a core, {memory:.0f} MB, {self.process.num_threads()} threads"


class AgentProcess:
    """The agent in a process of its own, which tells how many samples reached its middleware."""

    def __init__(self, kind: str, where: str) -> None:
        command = [sys.executable, "-m", "bench.micro_ros_load", "--agent", kind, where]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.process = psutil.Process(self._child.pid)
        self.written()

    def written(self) -> int:
        """Samples that clients wrote so far, as the middleware counted them."""
        assert self._child.stdin is not None and self._child.stdout is not None, "both were asked for"
        self._child.stdin.write("\n")
        return int(self._child.stdout.readline())

    def end(self) -> None:
        """Ends the process."""
        self._child.communicate()


def serve(kind: str, where: str) -> int:
    """The agent's process: answers each line of its input with the number of samples so far."""
    middleware = Loopback(keep=False)
    transport = UdpSettings(port=int(where)) if kind == "udp" else SerialSettings(where)
    server = AgentServer(middleware, [transport])
    middleware.inbox = server.inbox
    server.start()
    for _ in sys.stdin:
        print(middleware.written, flush=True)
    return 0 if server.stop() else 1


@contextmanager
def agent(kind: str, where: str) -> Iterator[AgentProcess]:
    """The agent while it is needed."""
    process = AgentProcess(kind, where)
    try:
        yield process
    finally:
        process.end()


def free_port() -> int:
    """A UDP port that nobody uses."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def connected(transport: str) -> Iterator[tuple[ClientRunner, AgentProcess]]:
    """A client with a writer, and the agent."""
    link: Link
    if transport == "udp":
        port = free_port()
        where = str(port)
        link = UdpLink(port=port)
    else:
        controller, terminal = os.openpty()
        tty.setraw(terminal)
        where = os.ttyname(terminal)
        link = SerialLink(controller)
    with agent(transport, where) as process, ClientRunner(XrceClient(b"\xaa\xbb\xcc\xdd"), link) as runner:
        assert runner.login(10), "the agent does not answer"
        make_writer(runner)
        yield runner, process


def make_writer(runner: ClientRunner) -> None:
    """Declares a participant, a topic and a writer, and waits for each."""
    client = runner.client
    now = time.monotonic()
    for create in (
        lambda: client.create_participant(0, "load", 0, now),
        lambda: client.create_topic(0, "rt/load", TYPE, 0, now),
        lambda: client.create_publisher(0, 0, now),
        lambda: client.create_datawriter(0, 0, 0, now),
    ):
        request = create()
        answer = runner.wait(Answer, lambda event, request=request: event.request_id == request)  # type: ignore[misc]
        assert answer is not None and answer.ok, "the agent does not make the writer"


def confirmed(runner: ClientRunner, seconds: float) -> tuple[int, float]:
    """Publishes one by one, each acknowledged before the next; returns the count and the seconds."""
    client, link = runner.client, runner.link
    began = time.perf_counter()
    count = 0
    while (taken := time.perf_counter() - began) < seconds:
        client.write(0, _PAYLOAD, taken)
        runner.flush()
        while client.unacknowledged:
            for message in link.receive(0.1):
                client.receive(message, taken)
            client.output.clear()
        count += 1
    return count, time.perf_counter() - began


def prepared(runner: ClientRunner, seconds: float) -> tuple[int, float]:
    """As `confirmed`, with messages made beforehand and answers hardly looked at: what is left is the agent's rate.

    The client logs in before and after it, which begins the numbering anew and leaves its objects as they are.
    """
    link, count = runner.link, int(seconds * _MOST_PREPARED)
    messages = []
    for number in range(count):
        sample = struct.pack(">HH", 10, object_id(0, ObjectKind.DATAWRITER)) + _PAYLOAD
        header = HEADER.pack(runner.client.session_id, STREAM_RELIABLE, number & 0xFFFF)
        messages.append(header + submessage(Submessage.WRITE_DATA, LITTLE_ENDIAN, sample))
    assert runner.login(10), "the agent does not answer"
    began = time.perf_counter()
    for number, message in enumerate(messages):
        taken = time.perf_counter() - began
        if taken >= seconds:
            count = number
            break
        link.send(message)
        done = acknack(number + 1 & 0xFFFF, 0, STREAM_RELIABLE)
        while not any(answer.endswith(done) for answer in link.receive(1.0)):
            assert time.perf_counter() - began - taken < _LOST, "a message is not acknowledged"
    taken = time.perf_counter() - began
    assert runner.login(10), "the agent does not answer"
    return count, taken


def round_trip(runner: ClientRunner, count: int) -> str:
    """Microseconds from a reliable sample to the same sample back from the loopback, one at a time."""
    client, link = runner.client, runner.link
    now = time.monotonic()
    client.create_subscriber(0, 0, now)
    client.create_datareader(0, 0, 0, now)
    client.read(0, ObjectKind.DATAREADER, now)
    assert runner.confirm(), "the agent does not make the reader"
    runner.spin(0.1)
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        client.write(0, _PAYLOAD, now)
        runner.flush()
        back = False
        while not back:
            messages = link.receive(5.0)
            assert messages, "the sample does not come back"
            for message in messages:
                back |= any(isinstance(event, Sample) for event in client.receive(message, now))
        taken.append((time.perf_counter() - began) * 1e6)
        runner.flush()
    client.delete(0, ObjectKind.DATAREADER, now)
    assert runner.confirm(), "the agent does not delete the reader"
    taken.sort()
    return f"round trip p50 {taken[count // 2]:.0f} µs, p99 {taken[count * 99 // 100]:.0f} µs"


def offer(runner: ClientRunner, rate: float, seconds: float) -> tuple[int, float]:
    """Sends best-effort samples at `rate`; returns how many, and the seconds."""
    client = runner.client
    began = time.perf_counter()
    count = 0
    while (taken := time.perf_counter() - began) < seconds:
        for _ in range(min(32, int(taken * rate) - count)):
            client.write(0, _PAYLOAD, taken, reliable=False)
            count += 1
        runner.flush()
        if count >= int(taken * rate):
            time.sleep(0.0005)
    return count, time.perf_counter() - began


def best_effort(runner: ClientRunner, process: AgentProcess, rate: float, seconds: float) -> str:
    """Offers best-effort samples at `rate`; what of them reached the middleware."""
    before = process.written()
    usage = Usage(process.process)
    count, taken = offer(runner, rate, seconds)
    text = usage.describe()
    time.sleep(0.3)
    arrived = process.written() - before
    return (
        f"best effort {count / taken:,.0f}/s offered, {arrived / taken:,.0f}/s arrived, {count - arrived} lost; {text}"
    )


def fifty(seconds: float) -> str:
    """Fifty clients at 20 Hz each, reliable: every sample must reach the middleware."""
    port = free_port()
    with agent("udp", str(port)) as process:
        runners = [ClientRunner(XrceClient(struct.pack(">I", i + 1)), UdpLink(port=port)) for i in range(CLIENTS)]
        for runner in runners:
            assert runner.login(10), "the agent does not answer"
            make_writer(runner)
        usage = Usage(process.process)
        began = time.monotonic()
        rounds = int(seconds * HERTZ)
        for turn in range(rounds):
            for runner in runners:
                runner.client.write(0, _PAYLOAD, time.monotonic())
            while (left := began + (turn + 1) / HERTZ - time.monotonic()) > 0:
                for runner in runners:
                    runner.step(0)
                time.sleep(min(0.005, max(0.0, left)))
        text = usage.describe()
        confirmed_all = all(runner.confirm() for runner in runners)
        lost = rounds * CLIENTS - process.written()
        for runner in runners:
            runner.link.close()
    state = "all acknowledged" if confirmed_all else "NOT all acknowledged"
    return f"{CLIENTS} clients at {HERTZ} Hz, {rounds * CLIENTS} reliable samples: {state}, {lost} lost; {text}"


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--transport", choices=["udp", "pty", "all"], default="all")
    parser.add_argument("--agent", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.agent:
        return serve(*arguments.agent)
    for transport in ("udp", "pty") if arguments.transport == "all" else (arguments.transport,):
        with connected(transport) as (runner, process):
            for publish in (confirmed, prepared):
                usage = Usage(process.process)
                count, taken = publish(runner, arguments.seconds)
                print(f"{transport}: {publish.__name__} one by one {count / taken:,.0f}/s; {usage.describe()}")
            print(f"{transport}: {round_trip(runner, 3000)}")
            for rate in RATES:
                print(f"{transport}: {best_effort(runner, process, rate, arguments.seconds)}")
    print(fifty(arguments.seconds))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
