"""A million hostile packets and ten megabytes of serial noise against the XRCE agent; an honest client works meanwhile.

    python -m bench.micro_ros_fuzz [--packets 1000000] [--noise 10000000] [--seed 1]

Exit status 1 when an exception escaped or was caught as an internal error, when the honest client lost anything, or
when memory grew by more than 20 MB after the first tenth. The seed repeats a run.
"""

from __future__ import annotations

import argparse
import logging
import random
import struct
import time
from dataclasses import dataclass, field

import psutil

from robot_ai.micro_ros.agent import Agent
from robot_ai.micro_ros.client import XrceClient
from robot_ai.micro_ros.config import AgentSettings
from robot_ai.micro_ros.framing import AGENT_ADDRESS, CLIENT_ADDRESS, Deframer, frame
from robot_ai.micro_ros.loopback import Loopback
from robot_ai.micro_ros.middleware import Handle
from robot_ai.micro_ros.wire import ObjectKind

TYPE = "std_msgs::msg::dds_::UInt32_"
MOST_GROWTH = 20e6
HONEST_EVERY = 100
ATTACKERS = 5


def corpus(key: int) -> list[bytes]:
    """Well-formed messages of a client: what is mutated."""
    client = XrceClient(struct.pack(">I", key), session_id=0x81, history=16)
    now = 0.0
    client.login(now)
    client.create_participant(0, "fuzz", 0, now)
    client.create_topic(0, "rt/fuzz", TYPE, 0, now)
    client.create_publisher(0, 0, now)
    client.create_datawriter(0, 0, 0, now)
    client.create_subscriber(0, 0, now)
    client.create_datareader(0, 0, 0, now)
    client.create_service(0, ObjectKind.REPLIER, "/fuzz", ("a", "b"), 0, now)
    client.create_service(0, ObjectKind.REQUESTER, "/fuzz", ("a", "b"), 0, now)
    client.read(0, ObjectKind.DATAREADER, now)
    client.read(0, ObjectKind.REPLIER, now)
    client.write(0, bytes(1800), now)
    client.call(0, bytes(12), now)
    client.reply(0, bytes(24), bytes(4), now)
    client.write(0, bytes(4), now, reliable=False)
    client.ping()
    client.ask_time(10**18)
    client.delete(0, ObjectKind.DATAWRITER, now)
    client.poll(1.0)
    client.logout()
    # Logging in more often than out, so that most messages find a session.
    return [*client.output, client.output[0], client.output[0]]


def mutate(chance: random.Random, seeds: list[bytes]) -> bytes:
    """A packet: noise, or a real one that was changed, cut, lengthened or joined with another."""
    if chance.random() < 0.1:
        return chance.randbytes(chance.randrange(64))
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.randrange(4)):
        action = chance.randrange(5)
        if action == 0 and data:
            data[chance.randrange(len(data))] = chance.randrange(256)
        elif action == 1:
            del data[chance.randrange(len(data) + 1) :]
        elif action == 2:
            data += chance.randbytes(chance.randrange(32))
        elif action == 3:
            data += bytes(-len(data) % 4) + chance.choice(seeds)[4:]
        elif len(data) > 4:
            # The numbers of the stream, so that changed messages are taken and not only counted.
            data[2:4] = struct.pack("<H", chance.randrange(40))
    return bytes(data)


@dataclass
class Honest:
    """A well-behaved client at its own address; every sample it writes must come through, in order."""

    agent: Agent
    middleware: Loopback
    client: XrceClient = field(default_factory=lambda: XrceClient(b"\x11\x22\x33\x44"))
    sent: int = 0

    def begin(self, now: float) -> None:
        """Logs in and makes a writer."""
        client = self.client
        client.login(now)
        self.exchange(now)
        client.create_participant(0, "honest", 0, now)
        client.create_topic(0, "rt/honest", TYPE, 0, now)
        client.create_publisher(0, 0, now)
        client.create_datawriter(0, 0, 0, now)
        self.exchange(now)

    def work(self, now: float) -> None:
        """Writes a sample and has it acknowledged."""
        self.client.write(0, struct.pack("<I", self.sent), now)
        self.sent += 1
        self.exchange(now)

    def exchange(self, now: float) -> None:
        """Carries messages both ways until nobody has more to say."""
        while self.client.output:
            messages = list(self.client.output)
            self.client.output.clear()
            for message in messages:
                self.agent.receive("honest", message, now)
            for peer, message in self.agent.output:
                if peer == "honest":
                    self.client.receive(message, now)
            self.agent.output.clear()

    def lost(self) -> int:
        """How many of its samples did not come, or not in their turn."""
        samples = self.middleware.samples.get("rt/honest", [])
        right = sum(cdr == b"\0\1\0\0" + struct.pack("<I", number) for number, cdr in enumerate(samples))
        return self.sent - right


class Quiet(Loopback):
    """Keeps the honest client's samples only: memory must not grow because of what the test itself keeps."""

    def write(self, writer: Handle, cdr: bytes) -> None:
        """Takes a sample."""
        self.keep = getattr(self.specs[writer], "topic_name", "") == "rt/honest"
        super().write(writer, cdr)
        self.keep = False


def attack(packets: int, noise: int, seed: int) -> list[str]:
    """Runs it; returns what went wrong."""
    chance = random.Random(seed)
    middleware = Quiet(keep=False)
    agent = Agent(middleware, AgentSettings(max_clients=8, max_entities=32, max_sample=1 << 16, max_stranger_rate=0))
    honest = Honest(agent, middleware)
    process = psutil.Process()
    seeds = [corpus(0xBAD00 + number) for number in range(ATTACKERS)]
    now = 0.0
    honest.begin(now)
    early = 0
    for number in range(packets):
        now += 0.0005
        attacker = number % ATTACKERS
        agent.receive(f"attacker {attacker}", mutate(chance, seeds[attacker]), now)
        if number % HONEST_EVERY == 0:
            middleware.flush(agent, now)
            honest.work(now)
            agent.poll(now)
        agent.output.clear()
        if number == packets // 10:
            early = process.memory_info().rss
    deframer = Deframer(AGENT_ADDRESS, 4096)
    fed = frames = 0
    while fed < noise:
        piece = chance.randbytes(chance.randrange(1, 512))
        if chance.random() < 0.3:
            piece += frame(mutate(chance, seeds[0]), chance.randrange(3), chance.randrange(2))
        fed += len(piece)
        for source, message in deframer.feed(piece):
            frames += 1
            agent.receive(("serial", source), message, now)
        agent.output.clear()
    # After any noise, a frame is found again: at once, or when the next one begins.
    good = frame(b"hello", CLIENT_ADDRESS, AGENT_ADDRESS)
    found = deframer.feed(good + good)
    grown = process.memory_info().rss - early
    honest.work(now)
    print(f"{packets:,} packets, {fed:,} bytes of noise with {frames:,} frames; memory grew by {grown / 1e6:.1f} MB")
    print(f"rejected: {dict(agent.rejected)}; serial: {dict(deframer.rejected)}; {honest.sent:,} honest samples")
    wrong = []
    if agent.rejected["internal errors"]:
        wrong.append(f"{agent.rejected['internal errors']} internal errors, see the log")
    if honest.lost():
        wrong.append(f"the honest client lost {honest.lost()} samples")
    if (CLIENT_ADDRESS, b"hello") not in found:
        wrong.append("the line was not read again after the noise")
    if grown > MOST_GROWTH:
        wrong.append(f"memory grew by {grown / 1e6:.1f} MB")
    return wrong


def main() -> int:
    """Measures and prints; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--noise", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    logging.getLogger("robot_ai.micro_ros").setLevel(logging.ERROR)
    logging.basicConfig()
    began = time.perf_counter()
    wrong = attack(arguments.packets, arguments.noise, arguments.seed)
    print(f"{time.perf_counter() - began:.0f} s; " + ("; ".join(wrong) or "nothing went wrong"))
    return bool(wrong)


if __name__ == "__main__":
    raise SystemExit(main())
