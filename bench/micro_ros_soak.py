"""Clients on bad lines to the real bridge: loss, doubles and swaps both ways, and every reliable sample counted.

    python -m bench.micro_ros_soak [--transport udp|pty] [--seconds 60] [--clients 4] [--rate 8] [--fault 0.1]

Each client publishes numbered samples of 0 to 1,500 bytes and reads as many from ROS. A line of datagrams loses a share
`fault` of them, doubles as many and delays as many by up to 50 ms, each way; a serial line loses and doubles as many
frames, changes a byte in as many, and puts noise before as many. Exit status 1 when any sample is missing, twice,
changed or out of order at either end.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import os
import random
import re
import select
import socket
import struct
import sys
import tempfile
import threading
import time
import tty
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import rclpy
from rclpy.experimental import EventsExecutor
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile
from std_msgs.msg import UInt8MultiArray

from bench.micro_ros_load import free_port
from robot_ai.cli.processes import NodeProcess, ProcessGroup
from robot_ai.cli.simulated_mcu import McuNode
from robot_ai.micro_ros.client import XrceClient
from robot_ai.micro_ros.client_link import ClientRunner, SerialLink, UdpLink
from robot_ai.micro_ros.middleware import Durability, History, QoS, Reliability

KIND = "std_msgs/UInt8MultiArray"
_EVERYTHING = QoS(Reliability.RELIABLE, Durability.VOLATILE, History.KEEP_LAST, 1000)
_ROS_EVERYTHING = QoSProfile(history=HistoryPolicy.KEEP_ALL)
_LARGEST = 1500
_LONGEST_DELAY = 0.05
_PATIENCE = 30.0
_MOST_UNACKNOWLEDGED = 8
_NUMBER = struct.Struct("<I")
_PROBE = 0xFFFFFFFF
_READ_SIZE = 4096
_MOST_NOISE = 30
_FRAME = re.compile(rb"\x7e?[^\x7e]+|\x7e")


class BadLink(UdpLink):
    """Loses, doubles and delays datagrams in both directions, each with the probability `fault`."""

    def __init__(self, port: int, fault: float, chance: random.Random) -> None:
        super().__init__(port=port)
        self.fault = fault
        self._chance = chance
        self._flying: tuple[list[tuple[float, int, bytes]], ...] = ([], [])
        self._count = 0

    def send(self, message: bytes) -> None:
        """Sends a message, or not, or twice, now or later."""
        self._launch(0, message)
        self._land_sent()

    def receive(self, timeout: float) -> list[bytes]:
        """What has arrived, and was not lost, in the order of its arrival."""
        self._land_sent()
        for message in super().receive(min(timeout, 0.005)):
            self._launch(1, message)
        return self._land(1)

    def _launch(self, way: int, message: bytes) -> None:
        chance, fault = self._chance, self.fault
        for _ in range(2 if chance.random() < fault else 1):
            if chance.random() >= fault:
                late = chance.random() * _LONGEST_DELAY if chance.random() < fault else 0.0
                self._count += 1
                heapq.heappush(self._flying[way], (time.monotonic() + late, self._count, message))

    def _land(self, way: int) -> list[bytes]:
        flying, now = self._flying[way], time.monotonic()
        landed = []
        while flying and flying[0][0] <= now:
            landed.append(heapq.heappop(flying)[2])
        return landed

    def _land_sent(self) -> None:
        for message in self._land(0):
            super().send(message)


class BadSerialLink(SerialLink):
    """A serial line named `path` that loses, doubles and damages frames and hums, each with probability `fault`."""

    def __init__(self, path: Path, fault: float, chance: random.Random) -> None:
        near, self._far = socket.socketpair()
        super().__init__(near.detach())
        self.fault = fault
        self._chance = chance
        self._controller, self._terminal = os.openpty()
        tty.setraw(self._terminal)
        path.symlink_to(os.ttyname(self._terminal))

    def send(self, message: bytes) -> None:
        """Sends a message to the far end, as well as the line can."""
        super().send(message)
        self._carry(self._far.fileno(), self._controller)

    def receive(self, timeout: float) -> list[bytes]:
        """What has come over the line whole."""
        if select.select([self._controller], [], [], min(timeout, 0.005))[0]:
            self._carry(self._controller, self._far.fileno())
        return super().receive(0)

    def close(self) -> None:
        """Takes the line away."""
        for descriptor in (self._controller, self._terminal):
            os.close(descriptor)
        self._far.close()
        super().close()

    def _carry(self, source: int, sink: int) -> None:
        while select.select([source], [], [], 0)[0]:
            os.write(sink, self._worn(os.read(source, _READ_SIZE)))

    def _worn(self, data: bytes) -> bytes:
        worn = bytearray()
        for frame in _FRAME.findall(data):
            for _ in range(2 if self._strikes() else 1):
                if self._strikes():
                    continue
                worn += self._chance.randbytes(self._chance.randrange(1, _MOST_NOISE) if self._strikes() else 0)
                copy = bytearray(frame)
                if self._strikes():
                    copy[self._chance.randrange(len(copy))] ^= 1 << self._chance.randrange(8)
                worn += copy
        return bytes(worn)

    def _strikes(self) -> bool:
        return self._chance.random() < self.fault


MakeLine: TypeAlias = Callable[[int], BadLink | BadSerialLink]
"""The line of the client of a number."""


class RosSide(Node):
    """Keeps the numbers that come on `up_N`, and publishes on `down_N`."""

    def __init__(self, clients: int) -> None:
        super().__init__("soak", use_global_arguments=False)
        self.heard: list[list[int]] = [[] for _ in range(clients)]
        self.reached = [False] * clients
        self.speakers = [self.create_publisher(UInt8MultiArray, f"down_{i}", _ROS_EVERYTHING) for i in range(clients)]
        for i in range(clients):
            # Raw, so that it is the wire that is compared.
            self.create_subscription(UInt8MultiArray, f"up_{i}", partial(self._hear, i), _ROS_EVERYTHING, raw=True)

    def _hear(self, client: int, cdr: bytes) -> None:
        number = number_of(cdr[4:])
        if number == _PROBE:
            self.reached[client] = True
        else:
            self.heard[client].append(number)

    def ready(self) -> bool:
        """Whether samples go through both ways, as far as ROS is concerned.

        A sample written before the publisher knows of us is not for us, and nothing here tells what it knows: each
        client sends probes until one has come.
        """
        return all(self.reached) and all(speaker.get_subscription_count() for speaker in self.speakers)


def sample(number: int, chance: random.Random) -> bytes:
    """A UInt8MultiArray without encapsulation: its number and some bytes made from it."""
    data = _NUMBER.pack(number) + bytes((number + i) & 0xFF for i in range(chance.randrange(_LARGEST)))
    return struct.pack("<III", 0, 0, len(data)) + data


def number_of(cdr: bytes) -> int:
    """The number of a sample, or -1 when it is not as it was made."""
    (size,) = struct.unpack_from("<I", cdr, 8)
    data = cdr[12 : 12 + size]
    (number,) = _NUMBER.unpack_from(data)
    right = data[4:] == bytes((number + i) & 0xFF for i in range(size - 4))
    return int(number) if right else -1


def soak(arguments: argparse.Namespace, line: MakeLine) -> list[str]:
    """Runs it, each client on the `line` of its number; returns what went wrong."""
    chance = random.Random(arguments.seed)
    clients, total = arguments.clients, int(arguments.seconds * arguments.rate)
    ros = RosSide(clients)
    executor = EventsExecutor()
    executor.add_node(ros)
    ending = threading.Event()

    def spin() -> None:
        while not ending.is_set():
            executor.spin_once(timeout_sec=0.2)

    spinning = threading.Thread(target=spin, daemon=True)
    spinning.start()
    got: list[list[int]] = [[] for _ in range(clients)]
    try:
        with ExitStack() as stack:
            nodes = []
            for i in range(clients):
                link = line(i)
                runner = stack.enter_context(ClientRunner(XrceClient(struct.pack(">I", i + 1)), link))
                assert runner.login(_PATIENCE), "the bridge does not answer"
                node = McuNode(runner, f"soak_{i}")
                node.advertise(f"up_{i}", KIND, _EVERYTHING)
                node.subscribe(f"down_{i}", KIND, lambda cdr, mine=got[i]: mine.append(number_of(cdr)), _EVERYTHING)  # type: ignore[misc]
                nodes.append(node)
                link.fault = arguments.fault
            deadline = time.monotonic() + _PATIENCE
            while not ros.ready():
                assert time.monotonic() < deadline, "the clients' topics are not joined to ours"
                for node, reached in zip(nodes, ros.reached, strict=True):
                    if not reached and not node.runner.client.unacknowledged:
                        node.runner.client.write(0, sample(_PROBE, chance), time.monotonic())
                turn(nodes)
            began = time.monotonic()
            up, down = [0] * clients, 0
            while min(*up, down) < total:
                due = min(total, int((time.monotonic() - began) * arguments.rate) + 1)
                for i, node in enumerate(nodes):
                    # A real client finds its history full, too, and waits.
                    if up[i] < due and node.runner.client.unacknowledged < _MOST_UNACKNOWLEDGED:
                        node.runner.client.write(0, sample(up[i], chance), time.monotonic())
                        up[i] += 1
                if down < due:
                    for speaker in ros.speakers:
                        speaker.publish(b"\0\1\0\0" + sample(down, chance))
                    down += 1
                turn(nodes)
            taken = time.monotonic() - began
            deadline = time.monotonic() + _PATIENCE
            while min(map(len, got + ros.heard)) < total and time.monotonic() < deadline:
                turn(nodes)
    finally:
        ending.set()
        spinning.join(2.0)
    print(
        f"{arguments.transport}: {clients} clients, {total:,} samples each way and client in {taken:.0f} s, "
        f"{arguments.fault:.0%} of each fault"
    )
    return faults("up", ros.heard, total) + faults("down", got, total)


def lines(
    arguments: argparse.Namespace, folder: Path
) -> tuple[dict[str, Any], Callable[[int], BadLink | BadSerialLink]]:
    """The bridge's parameters, and what makes the line of a client; its faults begin when `fault` is set."""

    def chance(client: int) -> random.Random:
        return random.Random(arguments.seed + client)

    if arguments.transport == "udp":
        port = free_port()
        return {"udp_port": port}, lambda client: BadLink(port, 0.0, chance(client))
    ports = [folder / f"serial_{i}" for i in range(arguments.clients)]
    values = {"udp_port": 0, "serial_ports": f"[{', '.join(map(str, ports))}]"}
    return values, lambda client: BadSerialLink(ports[client], 0.0, chance(client))


def turn(nodes: list[McuNode]) -> None:
    """Serves every client for a moment."""
    for node in nodes:
        node.dispatch(node.runner.step(0.001))


def faults(way: str, heard: list[list[int]], total: int) -> list[str]:
    """What is missing, double, changed or out of order."""
    wrong = []
    for client, numbers in enumerate(heard):
        if numbers != list(range(total)):
            missing = sorted(set(range(total)) - set(numbers))
            order = sum(b <= a for a, b in itertools.pairwise(numbers))
            wrong.append(
                f"client {client} {way}: {len(missing)} missing ({', '.join(map(str, missing[:5]))}), {order} twice or "
                f"out of order, of {total}"
            )
    return wrong


def main() -> int:
    """Runs and prints; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transport", choices=["udp", "pty"], default="udp")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--rate", type=float, default=8.0, help="samples per second, client and way")
    parser.add_argument("--fault", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    environment = {"ROS_DOMAIN_ID": str(os.getpid() % 20 + 70), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    os.environ.update(environment)
    rclpy.init()
    try:
        with tempfile.TemporaryDirectory() as folder:
            values, line = lines(arguments, Path(folder))
            bridge = NodeProcess("micro_ros_bridge", "robot_ai.nodes.micro_ros_bridge", values)
            with ProcessGroup([bridge], Path(folder), environment) as group:
                wrong = soak(arguments, line)
            said = group.log_file("micro_ros_bridge").read_text(encoding="utf-8", errors="replace")
            print(*(line for line in said.splitlines() if "dropped" in line), sep="\n", end="", file=sys.stderr)
    finally:
        rclpy.try_shutdown()
    print("; ".join(wrong) or "everything arrived once, in order and unchanged, both ways")
    return bool(wrong)


if __name__ == "__main__":
    raise SystemExit(main())
