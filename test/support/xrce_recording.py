"""Recordings of XRCE traffic: playing the client's side to an agent, and comparing what it says with what was recorded.

Compared is, per connection, what is said on each stream, message by message and byte by byte. Acknowledgements and
heartbeats, whose number depends on timing, are compared by the final state. Masked are the agent's own times and the
identity of requests, which an agent is free in; a resent message counts once.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from robot_ai.micro_ros.agent import Agent
from robot_ai.micro_ros.config import AgentSettings
from robot_ai.micro_ros.loopback import Loopback
from robot_ai.micro_ros.middleware import Handle
from robot_ai.micro_ros.wire import ENCAPSULATION

ACKNACK, HEARTBEAT, FRAGMENT, DATA, WRITE_DATA, TIMESTAMP_REPLY = 10, 11, 13, 9, 7, 15
REPLIER, REQUESTER = 8, 7


@dataclass(frozen=True)
class Packet:
    """One message of a recording; `time` is seconds. `reaches` says how often it came through (lost 0, doubled 2)."""

    from_client: bool
    connection: int
    time: float
    data: bytes
    reaches: int


def load_recording(path: Path) -> list[Packet]:
    """The packets in the order in which they were delivered."""
    packets: list[Packet] = []
    held: Packet | None = None
    for raw in json.loads(path.read_text())["packets"]:
        if raw.get("bad_frame"):
            continue
        lost = raw.get("dropped") or raw.get("delivered_hex") or not raw.get("crc_ok", True)
        packet = Packet(
            raw["dir"] == "c2a",
            raw.get("conn", 0),
            raw["t_ms"] / 1000,
            bytes.fromhex(raw.get("payload_hex", raw["hex"])),
            0 if lost else 2 if raw.get("duplicated") else 1,
        )
        if raw.get("held"):
            held = packet
            continue
        packets.append(packet)
        if held is not None:
            packets.append(held)
            held = None
    return packets


def body_of(message: bytes) -> bytes:
    return message[4 if message[0] & 0x80 else 8 :]


@dataclass
class Said:
    """What an agent said on one connection."""

    messages: dict[tuple[int, int], list[bytes]] = field(default_factory=dict)
    acknowledged: dict[tuple[int, int], bytes] = field(default_factory=dict)

    def add(self, message: bytes) -> None:
        body = body_of(message)
        if message[1] == 0 and body[:1] in (bytes([ACKNACK]), bytes([HEARTBEAT])):
            if body[0] == ACKNACK:
                self.acknowledged[message[0], body[8]] = body[4:8]
            return
        stream = self.messages.setdefault((message[0], message[1]), [])
        masked = _mask(message)
        if not (message[1] & 0x80 and masked in stream):
            stream.append(masked)


def _mask(message: bytes) -> bytes:
    start = len(message) - len(body := body_of(message))
    if body[:1] == bytes([TIMESTAMP_REPLY]):
        return message[: start + 4] + bytes(16) + message[start + 20 :]
    if body[:1] == bytes([DATA]) and body[7] & 15 == REPLIER:
        return message[: start + 8] + bytes(24) + message[start + 32 :]
    return message


class RosScript:
    """The ROS side of a recording: delivers, in time, the samples that the recorded agent got from ROS."""

    def __init__(self, agent: Agent, middleware: Loopback) -> None:
        self._agent = agent
        self._middleware = middleware
        self._seen: set[tuple[int, int, int, int]] = set()
        self._pieces: dict[tuple[int, int], bytearray] = {}
        self._tokens: dict[bytes, int] = {}
        self.identities: dict[bytes, bytes] = {}
        """Recorded identities of requests, and ours for the same requests."""

    def play(self, packet: Packet, login: int) -> None:
        """Delivers what a recorded packet of the agent carried, once; `login` counts sessions: each numbers anew."""
        data = packet.data
        once = (packet.connection, login, data[1], int.from_bytes(data[2:4], "little"))
        if data[1] & 0x80:
            if once in self._seen:
                return
            self._seen.add(once)
        body = body_of(data)
        kind, flags, length = struct.unpack_from("<BBH", body) if len(body) >= 4 else (0, 0, 0)
        if kind == FRAGMENT:
            pieces = self._pieces.setdefault((packet.connection, data[1]), bytearray())
            pieces += body[4 : 4 + length]
            if not flags & 2:
                return
            body = bytes(self._pieces.pop((packet.connection, data[1])))
            kind, _, length = struct.unpack_from("<BBH", body)
        if kind == DATA:
            self._deliver(packet, body[6:8], body[8 : 4 + length])

    def translate(self, message: bytes) -> bytes:
        """A recorded client message, with our identities of requests instead of the recorded ones."""
        for recorded, ours in self.identities.items():
            message = message.replace(recorded, ours)
        return message

    def _deliver(self, packet: Packet, object_id: bytes, data: bytes) -> None:
        handle = self._handle(packet.connection, int.from_bytes(object_id, "big"))
        if handle is None:
            return
        now = packet.time
        kind = object_id[1] & 15
        if kind == REPLIER:
            token = self._tokens.setdefault(data[:24], len(self._tokens) + 1)
            before = len(self._agent.output)
            self._agent.deliver_request(handle, token, ENCAPSULATION + data[24:], now)
            for _, message in self._agent.output[before:]:
                body = body_of(message)
                if body[0] == DATA:
                    self.identities[data[:24]] = body[8:32]
        elif kind == REQUESTER:
            self._agent.deliver_reply(handle, int.from_bytes(data[:2], "big"), ENCAPSULATION + data[4:], now)
        else:
            self._agent.deliver(handle, ENCAPSULATION + data, now)

    def _handle(self, connection: int, object_id: int) -> Handle | None:
        for handle, entity in self._agent.entities.items():
            if entity.traffic.client().link == str(connection) and entity.object_id == object_id:
                return handle
        return None


def replay(
    packets: list[Packet], settings: AgentSettings, *, scripted: bool
) -> tuple[dict[int, Said], dict[int, Said]]:
    """Plays the client's side in simulated time; returns what was recorded and what our agent said, by connection.

    `scripted` takes the samples that clients get from the recording; else they come from what clients write (loopback).
    """
    middleware = Loopback()
    agent = Agent(middleware, settings)
    script = RosScript(agent, middleware)
    recorded: dict[int, Said] = {}
    said: dict[int, Said] = {}
    logins = 0

    def listen() -> None:
        for peer, message in agent.output:
            said.setdefault(_number(peer), Said()).add(message)
        agent.output.clear()

    for packet in packets:
        while (wake := agent.next_wake()) is not None and wake < packet.time:
            agent.poll(wake)
            listen()
        if not packet.from_client:
            recorded.setdefault(packet.connection, Said()).add(packet.data)
            if scripted:
                script.play(packet, logins)
                listen()
            continue
        for _ in range(packet.reaches):
            logins += packet.data[:1] in (b"\x00", b"\x80")
            agent.receive(packet.connection, script.translate(packet.data), packet.time)
            if scripted:
                middleware.pending.clear()
            else:
                middleware.flush(agent, packet.time)
            listen()
    return recorded, said


def differences(recorded: dict[int, Said], said: dict[int, Said]) -> Iterator[str]:
    """Where two agents differ, in words."""
    nothing = Said()
    for connection in sorted({*recorded, *said}):
        expected, got = recorded.get(connection, nothing), said.get(connection, nothing)
        for stream in sorted({*expected.messages, *got.messages}):
            ours, theirs = got.messages.get(stream, []), expected.messages.get(stream, [])
            for i in range(max(len(ours), len(theirs))):
                a = theirs[i].hex() if i < len(theirs) else "nothing"
                b = ours[i].hex() if i < len(ours) else "nothing"
                if a != b:
                    yield f"connection {connection}, stream {stream[1]:02X}, message {i}: recorded {a}, ours {b}"
                    break
        if expected.acknowledged != got.acknowledged:
            yield f"connection {connection}: acknowledged {expected.acknowledged}, ours {got.acknowledged}"


def _number(peer: Any) -> int:
    assert isinstance(peer, int)
    return peer
