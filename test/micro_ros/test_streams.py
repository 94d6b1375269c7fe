"""Reliable streams under loss, duplication and reordering both ways, in simulated time: all of it, once, in order."""

from __future__ import annotations

import heapq
import random
import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from robot_ai.micro_ros.agent import Agent
from robot_ai.micro_ros.client import Sample, XrceClient
from robot_ai.micro_ros.config import AgentSettings
from robot_ai.micro_ros.loopback import Loopback
from robot_ai.micro_ros.streams import BestEffortInput, ReliableInput
from robot_ai.micro_ros.wire import ObjectKind

TYPE = "std_msgs::msg::dds_::UInt32_"


class Wire:
    """A line with a delay, that loses, doubles and swaps, between one client and the agent, in simulated time."""

    def __init__(self, seed: int, loss: float = 0.1, history: int = 4) -> None:
        self.random = random.Random(seed)
        self.loss = loss
        self.now = 100.0
        self.middleware = Loopback()
        self.agent = Agent(self.middleware, AgentSettings(input_history=history, max_backlog=100_000))
        self.client = XrceClient(b"\xaa\xbb\xcc\xdd", history=history)
        self.events: list[object] = []
        self._flying: list[tuple[float, int, bool, bytes]] = []
        self._count = 0
        self._next_poll = self.now

    def _launch(self, to_agent: bool, message: bytes) -> None:
        for _ in range(2 if self.random.random() < self.loss else 1):
            if self.random.random() >= self.loss:
                delay = 0.001 + (self.random.random() * 0.02 if self.random.random() < self.loss else 0)
                self._count += 1
                heapq.heappush(self._flying, (self.now + delay, self._count, to_agent, message))

    def _collect(self) -> None:
        for message in self.client.output:
            self._launch(True, message)
        self.client.output.clear()
        for _, message in self.agent.output:
            self._launch(False, message)
        self.agent.output.clear()

    def step(self) -> None:
        self._collect()
        if self._flying and self._flying[0][0] < self._next_poll:
            self.now, _, to_agent, message = heapq.heappop(self._flying)
            if to_agent:
                self.agent.receive("line", message, self.now)
                self.middleware.flush(self.agent, self.now)
            else:
                self.events += self.client.receive(message, self.now)
        else:
            self.now = self._next_poll
            self._next_poll += 0.01
            self.client.poll(self.now)
            self.agent.poll(self.now)
        self._collect()

    def until(self, done, seconds: float) -> None:
        end = self.now + seconds
        while not done():
            assert self.now < end, "it does not come to an end"
            self.step()

    def connect(self) -> None:
        client = self.client
        client.login(self.now)
        self.until(lambda: client.connected, 60)
        client.create_participant(0, "mcu", 0, self.now)
        client.create_topic(0, "rt/numbers", TYPE, 0, self.now)
        client.create_publisher(0, 0, self.now)
        client.create_datawriter(0, 0, 0, self.now)
        client.create_subscriber(0, 0, self.now)
        client.create_datareader(0, 0, 0, self.now)
        self.until(lambda: not client.unacknowledged, 60)


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.3])
def test_what_a_client_writes_arrives_once_and_in_order(loss):
    wire = Wire(seed=1, loss=loss)
    wire.connect()
    for number in range(3000):
        wire.until(lambda: wire.client.unacknowledged < 4, 60)
        wire.client.write(0, struct.pack("<I", number), wire.now)
    wire.until(lambda: not wire.client.unacknowledged, 60)
    received = [struct.unpack("<I", cdr[4:])[0] for cdr in wire.middleware.samples["rt/numbers"]]
    assert received == list(range(3000))


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.3])
def test_what_a_client_reads_arrives_once_and_in_order(loss):
    wire = Wire(seed=2, loss=loss)
    wire.connect()
    wire.client.read(0, ObjectKind.DATAREADER, wire.now)
    wire.until(lambda: not wire.client.unacknowledged, 60)
    reader = next(h for h, e in wire.agent.entities.items() if e.kind == ObjectKind.DATAREADER)
    for number in range(3000):
        # The reader keeps the ten newest: it is not given more than the line takes.
        wire.until(lambda: wire.agent.statistics()[0].waiting < 8, 60)
        wire.agent.deliver(reader, b"\0\1\0\0" + struct.pack("<I", number), wire.now)
    wire.until(lambda: wire.agent.statistics()[0].waiting == 0, 60)
    samples = [event for event in wire.events if isinstance(event, Sample)]
    assert [struct.unpack("<I", sample.cdr)[0] for sample in samples] == list(range(3000))


def test_both_ways_at_once_with_fragments():
    wire = Wire(seed=3)
    wire.connect()
    wire.client.read(0, ObjectKind.DATAREADER, wire.now)
    sent = []
    for number in range(300):
        wire.until(lambda: wire.client.unacknowledged < 4, 60)
        # Some take several fragments; 1992 bytes is the most that a client of history 4 can be sent.
        cdr = struct.pack("<I", number) * random.Random(number).randint(1, 1992 // 4)
        sent.append(cdr)
        wire.client.write(0, cdr, wire.now)
        wire.until(lambda: wire.agent.statistics()[0].waiting < 8, 60)
    wire.until(lambda: not wire.client.unacknowledged and not wire.agent.statistics()[0].waiting, 60)
    assert [sample[4:] for sample in wire.middleware.samples["rt/numbers"]] == sent
    assert [event.cdr for event in wire.events if isinstance(event, Sample)] == sent


def test_a_long_life_wraps_the_numbers():
    wire = Wire(seed=4, loss=0.0)
    wire.connect()
    for number in range(70_000):
        wire.client.write(0, struct.pack("<I", number), wire.now)
        if number % 4 == 3:
            wire.until(lambda: not wire.client.unacknowledged, 10)
    assert len(wire.middleware.samples["rt/numbers"]) == 70_000
    assert wire.agent.statistics()[0].missed == 0


def test_one_gap_is_asked_for_once():
    stream = ReliableInput()
    assert stream.receive(0, b"0") == [b"0"]
    asked = []
    for sequence in range(2, 10):
        stream.receive(sequence, bytes([sequence]))
        asked.append(stream.missing(repeat=False))
    assert asked == [1] + [0] * 7
    # A HEARTBEAT asks again: what was sent for the first question may be lost too.
    stream.heartbeat(1, 9)
    assert stream.missing(repeat=True) == 1
    assert stream.receive(1, b"1") == [b"1", *(bytes([sequence]) for sequence in range(2, 10))]
    assert stream.missing(repeat=True) == 0


@given(st.integers(0, 0xFFFF), st.lists(st.integers(0, 15), max_size=60))
@settings(max_examples=100)
def test_any_order_within_the_window_gives_the_same(start, order):
    stream = ReliableInput()
    stream.heartbeat(start, (start - 1) & 0xFFFF) if 0 < start < 0x8000 else None
    first = stream.expected
    got = []
    for offset in [*order, *range(16)]:
        got += stream.receive((first + offset) & 0xFFFF, bytes([offset]))
    assert got == [bytes([offset]) for offset in range(16)]
    assert stream.missing(repeat=True) == 0


@given(st.lists(st.integers(0, 0xFFFF), max_size=50))
@example([0, 0x8000])
@settings(max_examples=100)
def test_best_effort_never_goes_back(sequences):
    stream = BestEffortInput()
    last = None
    for sequence in sequences:
        if stream.take(sequence):
            assert last is None or 0 < (sequence - last) % 65536 < 32768
            last = sequence
