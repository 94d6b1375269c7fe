"""Conversations of our own client with our agent, kept as bytes: the wire format does not change unnoticed.

They were checked against the brief and by an independent decoder when they were made; the hand-made messages below are
written from the specification.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from xrce_recording import differences, load_recording, replay

from robot_ai.micro_ros.agent import Agent
from robot_ai.micro_ros.config import AgentSettings
from robot_ai.micro_ros.loopback import Loopback

DATA = Path(__file__).parent / "data"


@pytest.mark.parametrize("name", ["session_without_key", "session_with_key"])
def test_the_same_conversation_again(name):
    packets = load_recording(DATA / f"{name}.json")
    assert len(packets) > 60
    assert not list(differences(*replay(packets, AgentSettings(), scripted=False)))


LOGIN = "80000000 00011000 58524345 0100 010f aaaabbbb 81 00 fc01"
PARTICIPANT = "81800000 01072400 000a 0001 01 03 0000 16000000 00 01 0000 0e000000 75726f735f7075625f6e6f646500 0000"


AGENT = "01 0d 58524345 0100 010f 00"
AVAILABLE = "01 0d 00 0100 0000 00000000"
PING = "02010800 000a fffd 02000000"


@pytest.mark.parametrize(
    ("said", "answers"),
    [
        ([LOGIN], ["81000000 04010b00 00 00 58524345 0100 010f 00"]),
        (["80000000" + PING], [f"80000000 06011c00 000afffd 00 00 {AGENT} {AVAILABLE}"]),
        ([LOGIN, "81000000" + PING], [f"81000000 06011c00 000afffd 00 01 {AGENT} {AVAILABLE}"]),
        ([LOGIN, PARTICIPANT], ["81800000 05010600 000a 0001 00 00", "81000000 0a010500 0100 0000 80"]),
        # Big endian: only the numbers of the payload change.
        ([LOGIN, "81000000 0b000500 0000 0002 80"], ["81000000 0a010500 0000 0007 80"]),
        (
            [LOGIN, "81000000 0e010800 01000000 02000000"],
            ["81000000 0f011800 03000000 04000000 03000000 04000000 01000000 02000000"],
        ),
        # A session that is not open: silence, but for a goodbye.
        ([PARTICIPANT], []),
        (["81000000 03010400 0002 fffe"], ["81000000 05010600 0002 fffe 00 00"]),
    ],
)
def test_messages_from_the_specification(said, answers):
    agent = Agent(Loopback(), utc=lambda: 3_000_000_004)
    for message in said:
        agent.output.clear()
        agent.receive("peer", bytes.fromhex(message), 1.0)
    assert [message.hex() for _, message in agent.output] == [bytes.fromhex(answer).hex() for answer in answers]
