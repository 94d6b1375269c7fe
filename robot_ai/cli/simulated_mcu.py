"""A microcontroller in a process of its own: the firmware's behavior over our own XRCE client, no ROS installed there.

`python -m robot_ai.cli.simulated_mcu --path LINK` offers a serial port under the name LINK; `--udp PORT` speaks UDP.
What it does it says in lines on stdout; `unplug` and `plug` on stdin pull the cable and put it back.
"""

from __future__ import annotations

if __name__ == "__main__":
    from robot_ai.nodes.starting import end_at_once

    end_at_once()  # a Ctrl-C during the imports that follow

import argparse
import contextlib
import itertools
import os
import select
import struct
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from robot_ai.cli.signals import interrupt_once, pass_over_signals
from robot_ai.errors import RobotAIError
from robot_ai.mcu.compact import unpack
from robot_ai.micro_ros.client import Answer, Event, Pong, Sample, XrceClient
from robot_ai.micro_ros.client_link import ClientRunner, Link, PtyLink, UdpLink
from robot_ai.micro_ros.middleware import Durability, History, QoS, Reliability
from robot_ai.micro_ros.wire import ObjectKind

BEST_EFFORT = QoS(Reliability.BEST_EFFORT, Durability.VOLATILE, History.KEEP_LAST, 5)
RELIABLE = QoS(Reliability.RELIABLE, Durability.VOLATILE, History.KEEP_LAST, 10)
HEARTBEAT_PERIOD = 0.1
HOST_TIMEOUT = 0.3
"""Seconds without the bridge's heartbeat after which the motors stop by themselves."""
_PING_PERIOD = 0.5
_PING_TIMEOUT = 2.0
_AGENT_DOMAIN = 255


class McuError(RobotAIError):
    """The agent refused an entity, or did not answer."""


class McuNode:
    """A micro-ROS node: entities by topic, each confirmed by the agent as rmw_microxrcedds waits for it."""

    def __init__(self, runner: ClientRunner, name: str, namespace: str = "") -> None:
        self.runner = runner
        self._prefix = f"rt/{namespace.strip('/')}/" if namespace.strip("/") else "rt/"
        self.handlers: dict[int, Callable[[bytes], None]] = {}
        self._numbers: defaultdict[str, Iterator[int]] = defaultdict(itertools.count)
        self._confirm(f"node {name}", runner.client.create_participant(0, name, _AGENT_DOMAIN, time.monotonic()))
        self._confirm("publisher", runner.client.create_publisher(0, 0, time.monotonic()))
        self._confirm("subscriber", runner.client.create_subscriber(0, 0, time.monotonic()))

    def advertise(self, topic: str, kind: str, qos: QoS = BEST_EFFORT) -> int:
        """Makes a writer of `kind` ("std_msgs/UInt32"); returns its number."""
        number = next(self._numbers["writer"])
        declared = self._topic(topic, kind)
        self._confirm(topic, self.runner.client.create_datawriter(number, declared, 0, time.monotonic(), qos))
        return number

    def subscribe(self, topic: str, kind: str, handle: Callable[[bytes], None], qos: QoS = BEST_EFFORT) -> int:
        """Makes a reader whose samples, CDR without its header, go to `handle`; returns its number."""
        client, number = self.runner.client, next(self._numbers["reader"])
        declared = self._topic(topic, kind)
        self._confirm(topic, client.create_datareader(number, declared, 0, time.monotonic(), qos))
        reliable = qos.reliability is Reliability.RELIABLE
        self.handlers[client.read(number, ObjectKind.DATAREADER, time.monotonic(), reliable=reliable)] = handle
        return number

    def dispatch(self, events: list[Event]) -> None:
        """Hands samples to their readers."""
        for event in events:
            if isinstance(event, Sample) and event.request_id in self.handlers:
                self.handlers[event.request_id](event.cdr)

    def _topic(self, topic: str, kind: str) -> int:
        number = next(self._numbers["topic"])
        package, name = kind.split("/")
        dds_type = f"{package}::msg::dds_::{name}_"
        client = self.runner.client
        self._confirm(topic, client.create_topic(number, f"{self._prefix}{topic}", dds_type, 0, time.monotonic()))
        return number

    def _confirm(self, what: str, request_id: int) -> None:
        answer = self.runner.wait(Answer, lambda answer: answer.request_id == request_id)
        if answer is None or not answer.ok:
            status = "no answer" if answer is None else f"status {answer.status:#04x}"
            raise McuError(f"the agent did not make {what}: {status}")


class SimulatedMcu:
    """The application: heartbeats out; commands, stop, the host's heartbeat and detections in; a stop of its own."""

    def __init__(
        self, link: Link, say: Callable[[str], None], key: bytes = b"\xab\x01\x02\x03", namespace: str = ""
    ) -> None:
        self.node: McuNode | None = None
        self.speed = 0.0
        self.turn = 0.0
        self.stopped = True
        self.beats = 0
        self.detections = 0
        self._say = say
        self._key = key
        self._namespace = namespace
        self._runner = ClientRunner(XrceClient(key), link)
        self._heartbeat = 0
        self._motors = 0
        self._host_heard = 0.0
        self._next_beat = self._next_ping = 0.0
        self._agent_heard = 0.0

    def replug(self, link: Link | None) -> None:
        """Pulls the cable (None) or puts it into `link`; the session is the agent's to remember."""
        if link is None:
            self._runner.link.close()
        else:
            self._runner.link = link

    def connect(self) -> bool:
        """Begins the session and makes the entities; whether the agent was there."""
        if not self._runner.login(timeout=1.0):
            return False
        try:
            node = McuNode(self._runner, "mcu", self._namespace)
            self._heartbeat = node.advertise("mcu/heartbeat", "std_msgs/UInt32")
            self._motors = node.advertise("mcu/motors", "geometry_msgs/Twist")
            node.subscribe("mcu/host_heartbeat", "std_msgs/UInt32", self._on_host)
            node.subscribe("mcu/stop", "std_msgs/Bool", self._on_stop)
            node.subscribe("mcu/cmd_vel", "geometry_msgs/Twist", self._on_command)
            node.subscribe("mcu/detections", "std_msgs/Float32MultiArray", self._on_detections)
        except McuError as error:
            self._say(f"not connected: {error}")
            return False
        self.node = node
        self._agent_heard = time.monotonic()
        self._say("connected")
        return True

    def step(self) -> None:
        """A hundredth of a second."""
        now = time.monotonic()
        if self.node is None:
            if not self.connect():
                self._watch(time.monotonic())
            return
        client = self._runner.client
        if now >= self._next_beat:
            self._next_beat = now + HEARTBEAT_PERIOD
            self.beats += 1
            client.write(self._heartbeat, struct.pack("<I", self.beats), now, reliable=False)
            self._drive()
        if now >= self._next_ping:
            self._next_ping = now + _PING_PERIOD
            client.ping()
        events = self._runner.step(0.01)
        if any(isinstance(event, Pong) and event.in_session for event in events):
            self._agent_heard = time.monotonic()
        self.node.dispatch(events)
        self._watch(time.monotonic())

    def coast(self) -> None:
        """Time passes with the cable out: what stops the motors then is the microcontroller itself."""
        self._watch(time.monotonic())

    def close(self) -> None:
        """Ends it, without a goodbye, as a microcontroller does."""
        self._runner.link.close()

    def _drive(self) -> None:
        """What the motors do, for a simulated robot: a geometry_msgs/Twist on mcu/motors."""
        if self.node is not None:
            motors = struct.pack("<6d", self.speed, 0, 0, 0, 0, self.turn)
            self._runner.client.write(self._motors, motors, time.monotonic(), reliable=False)

    def _watch(self, now: float) -> None:
        if not self.stopped and now - self._host_heard > HOST_TIMEOUT:
            self._set_stopped(True, "the host's heartbeat ceased")
        if self.node is not None and now - self._agent_heard > _PING_TIMEOUT:
            self.node = None
            self._runner = ClientRunner(XrceClient(self._key), self._runner.link)
            self._say("agent lost")

    def _on_host(self, _cdr: bytes) -> None:
        self._host_heard = time.monotonic()

    def _on_stop(self, cdr: bytes) -> None:
        self._set_stopped(cdr[:1] != b"\0", "mcu/stop")

    def _on_command(self, cdr: bytes) -> None:
        speed, *_, turn = struct.unpack_from("<6d", cdr)
        if self.stopped:
            return
        starts = bool(speed) and not self.speed
        self.speed, self.turn = speed, turn
        self._drive()
        if starts:
            self._say(f"driving at {speed:.2f} m/s")

    def _on_detections(self, cdr: bytes) -> None:
        # The array of floats is the message's end; its layout is of fixed size.
        rows = (len(cdr) - 88) // 20
        found, _ = unpack(np.frombuffer(cdr[-4 * (2 + 5 * rows) :], "<f4"))
        if not self.detections:
            self._say(f"sees {len(found)} detection(s), the first at {found.bearings[:1].tolist()} rad")
        self.detections += 1

    def _set_stopped(self, stopped: bool, why: str) -> None:
        if stopped is self.stopped:
            return
        self.stopped = stopped
        if stopped:
            self.speed = self.turn = 0.0
            self._drive()
        self._say(f"motors off: {why}" if stopped else "motors released")


def main(args: list[str] | None = None) -> int:
    """Runs until stdin ends or says `quit`."""
    parser = argparse.ArgumentParser(description="A simulated microcontroller that speaks DDS-XRCE.")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--path", type=Path, help="name of the serial port to offer (a pseudo-terminal)")
    where.add_argument("--udp", type=int, help="UDP port of an agent on this computer")
    parser.add_argument("--namespace", default="", help="ROS namespace of its topics: the bridge's")
    chosen = parser.parse_args(args)
    with contextlib.suppress(KeyboardInterrupt):
        interrupt_once()
        _run(chosen)
        pass_over_signals()
    return 0


def _run(chosen: argparse.Namespace) -> None:
    def plug() -> Link:
        return PtyLink(chosen.path) if chosen.path else UdpLink(port=chosen.udp)

    def say(text: str) -> None:
        print(text, flush=True)

    mcu = SimulatedMcu(plug(), say, namespace=chosen.namespace)
    plugged = True
    try:
        while True:
            if select.select([sys.stdin], [], [], 0 if plugged else 0.01)[0]:
                word = sys.stdin.readline().strip()
                if word in ("", "quit"):
                    return
                if word == "unplug" and plugged:
                    mcu.replug(None)
                elif word == "plug" and not plugged:
                    mcu.replug(plug())
                plugged = word != "unplug"
            if plugged:
                mcu.step()
            else:
                mcu.coast()
    finally:
        if plugged:
            mcu.close()


if __name__ == "__main__":
    # Not by Python's own end, which takes the handlers away first: the second of two signals would kill it.
    os._exit(main())
