"""What a client hears at once, whatever ROS is busy with: ACKNACK and STATUS wait for no executor and no entity."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from ros_harness import Peer, next_domain, node_and_peer
from std_msgs.msg import UInt32

from robot_ai.cli.simulated_mcu import RELIABLE, McuNode
from robot_ai.micro_ros.client import Answer, XrceClient
from robot_ai.micro_ros.client_link import ClientRunner, Link, PtyLink, UdpLink
from robot_ai.micro_ros.config import UdpSettings
from robot_ai.micro_ros.middleware import Handle, Inbox
from robot_ai.micro_ros.server import AgentServer
from robot_ai.ros.xrce.middleware import RosMiddleware

BLOCKED = 2.0
# Far above what an answer takes on a loaded machine, far below what it would take if it waited.
AT_ONCE = 0.5
PACE = 0.005
VALUE = b"\x07\x00\x00\x00"

# An interface package whose import computes, as large ones do, and says when.
SLOW_PACKAGE = f"""
import pathlib, time
here = pathlib.Path(__file__).parent
(here / "began").touch()
end = time.monotonic() + {BLOCKED}
while time.monotonic() < end:
    pass
from std_msgs.msg import UInt32 as Slow
(here / "ended").touch()
"""


class BlockingInbox:
    """The agent's inbox, but the thread that brings the first sample is held up."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self.began, self.ended = threading.Event(), threading.Event()

    def deliver(self, reader: Handle, cdr: bytes) -> None:
        if not self.began.is_set():
            self.began.set()
            time.sleep(BLOCKED)
            self.ended.set()
        self._inbox.deliver(reader, cdr)

    def __getattr__(self, name: str) -> object:
        return getattr(self._inbox, name)


@contextmanager
def mcu(link: Link, name: str, key: int) -> Iterator[McuNode]:
    with ClientRunner(XrceClient(key.to_bytes(4, "big")), link) as runner:
        assert runner.login(10.0)
        yield McuNode(runner, name)


def confirmed_until(node: McuNode, over: Callable[[], bool]) -> list[float]:
    """Publishes one by one, each acknowledged before the next; the seconds each acknowledgement took."""
    taken = []
    deadline = time.monotonic() + 4 * BLOCKED
    while not over() and time.monotonic() < deadline:
        began = time.monotonic()
        node.runner.client.write(0, VALUE, began)
        assert node.runner.confirm()
        taken.append(time.monotonic() - began)
        time.sleep(PACE)
    assert over()
    return taken


def answered(node: McuNode, request: int) -> float:
    """The seconds until a request is answered, and well."""
    began = time.monotonic()
    answer = node.runner.wait(Answer, lambda answer: answer.request_id == request)
    assert answer is not None and answer.ok
    return time.monotonic() - began


def declare(node: McuNode, topic: int, dds_type: str) -> tuple[int, int]:
    """Asks for a topic and a writer; their requests."""
    client, now = node.runner.client, time.monotonic()
    return (
        client.create_topic(topic, f"rt/declared_{topic}", dds_type, 0, now),
        client.create_datawriter(topic, topic, 0, now),
    )


def test_answers_do_not_wait_for_an_entity_being_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "slow_msgs" / "msg"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "_slow.py").touch()
    (package / "__init__.py").write_text(SLOW_PACKAGE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    lines = [tmp_path / "steady", tmp_path / "slow"]
    ports = f"[{', '.join(map(str, lines))}]"
    values = ["-p", "udp_port:=0", "-p", f"serial_ports:={ports}"]
    with node_and_peer("micro_ros_bridge", values, tmp_path / "log") as (_, peer):
        peer.wait(lambda: peer.state("/micro_ros_bridge") == "active")
        with mcu(PtyLink(lines[0]), "steady", 1) as steady, mcu(PtyLink(lines[1]), "slow", 2) as slow:
            steady.advertise("steady", "std_msgs/UInt32", RELIABLE)
            peer.wait(lambda: peer.node.count_publishers("/steady"))
            statuses = [answered(slow, request) for request in declare(slow, 1, "slow_msgs::msg::dds_::Slow_")]
            peer.wait((package / "began").exists)
            acks = confirmed_until(steady, (package / "ended").exists)
            assert max(statuses) < AT_ONCE and max(acks) < AT_ONCE
            assert len(acks) > BLOCKED / PACE / 10
            peer.wait(lambda: peer.node.count_publishers("/declared_1"))


def test_answers_do_not_wait_for_the_executor() -> None:
    domain = next_domain()
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    node = Node("bridge", context=context, use_global_arguments=False)
    middleware = RosMiddleware(node, follow_domains=False, client_changed=lambda event: None)
    server = AgentServer(middleware, [UdpSettings(port=0)])
    inbox = BlockingInbox(server.inbox)
    middleware.connect(inbox)
    server.start()
    peer = Peer(domain)
    try:
        with mcu(UdpLink(port=server.ports()[0]), "steady", 1) as steady:
            steady.advertise("steady", "std_msgs/UInt32", RELIABLE)
            heard: list[bytes] = []
            steady.subscribe("down", "std_msgs/UInt32", heard.append, RELIABLE)
            published = peer.listen(UInt32, "/steady", 1000)
            down = peer.node.create_publisher(UInt32, "/down", 10)
            peer.wait(lambda: down.get_subscription_count() and peer.node.count_publishers("/steady"))
            peer.spin(0.3)
            for number in range(3):
                down.publish(UInt32(data=number))
            assert inbox.began.wait(10)
            statuses = [answered(steady, request) for request in declare(steady, 7, "std_msgs::msg::dds_::UInt32_")]
            acks = confirmed_until(steady, inbox.ended.is_set)
            assert max(statuses) < AT_ONCE and max(acks) < AT_ONCE
            assert len(acks) > BLOCKED / PACE / 10
            # Nothing of either way is lost by it.
            peer.wait(lambda: len(published) == len(acks))
            deadline = time.monotonic() + 10
            while len(heard) < 3 and time.monotonic() < deadline:
                steady.dispatch(steady.runner.step(0.1))
            assert heard == [number.to_bytes(4, "little") for number in range(3)]
    finally:
        peer.close()
        assert server.stop()
        middleware.close()
        node.destroy_node()
        rclpy.try_shutdown(context=context)
