"""The XRCE agent and its serial framing under a fuzzer that watches which branches it reaches (atheris).

    pip install atheris
    python -m bench.micro_ros_atheris -max_total_time=60

Arguments are libFuzzer's. It ends with a traceback when an exception escapes, when one was caught as an internal error,
or when an honest client is no longer answered.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports():
    from robot_ai.micro_ros.agent import Agent
    from robot_ai.micro_ros.client import XrceClient
    from robot_ai.micro_ros.config import AgentSettings
    from robot_ai.micro_ros.framing import AGENT_ADDRESS, Deframer
    from robot_ai.micro_ros.loopback import Loopback

SETTINGS = AgentSettings(max_clients=4, max_entities=32, max_sample=1 << 16, max_stranger_rate=0)


def one_input(data: bytes) -> None:
    """Feeds one input: pieces with a byte of length before each, as datagrams of a logged-in client and as a line."""
    middleware = Loopback(keep=False)
    agent = Agent(middleware, SETTINGS)
    enemy = XrceClient(b"\x01\x02\x03\x04")
    enemy.login(0.0)
    agent.receive("enemy", enemy.output[0], 0.0)
    deframer = Deframer(AGENT_ADDRESS)
    now, position = 0.0, 0
    while position < len(data):
        end = position + 1 + data[position]
        piece = data[position + 1 : end]
        position, now = end, now + 0.3
        agent.receive("enemy", piece, now)
        for source, message in deframer.feed(piece):
            agent.receive(("line", source), message, now)
        middleware.flush(agent, now)
        agent.poll(now)
    agent.output.clear()
    honest = XrceClient(b"\x11\x22\x33\x44")
    honest.login(now)
    agent.receive("honest", honest.output[0], now)
    for peer, message in agent.output:
        if peer == "honest":
            honest.receive(message, now)
    assert honest.connected, "an honest client is not let in"
    assert not agent.rejected["internal errors"], "an exception was caught"


def main() -> None:
    """Runs until libFuzzer ends."""
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
