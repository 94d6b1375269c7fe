"""What our nodes have in common, under the executor that they run on."""

from __future__ import annotations

import time

from rclpy.experimental import EventsExecutor
from ros_harness import Peer, next_domain
from std_msgs.msg import String

from robot_ai.ros.lifecycle import SafeLifecycleNode


class Listener(SafeLifecycleNode):
    """Cannot take one of its messages."""

    def configure(self) -> None:
        self.heard: list[str] = []
        self.create_subscription(String, "words", self._on_word, 10)

    def activate(self) -> None:
        pass

    def deactivate(self) -> None:
        pass

    def release(self) -> None:
        pass

    def _on_word(self, message: String) -> None:
        if message.data == "bad":
            raise ValueError("nobody thought of this one")
        self.heard.append(message.data)


def test_a_message_that_nobody_thought_of_ends_no_node(capfd):
    """An exception that leaves a callback would end the process; and this executor is deaf after it."""
    peer = Peer(next_domain())
    node = Listener("listener", context=peer.context, use_global_arguments=False)
    executor = EventsExecutor(context=peer.context)
    executor.add_node(node)
    node.configure()
    publisher = peer.node.create_publisher(String, "words", 10)
    peer.wait(publisher.get_subscription_count)
    for word in ("one", "bad", "two", "bad", "three"):
        publisher.publish(String(data=word))
    deadline = time.monotonic() + 15
    while len(node.heard) < 3 and time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.1)
    assert node.heard == ["one", "two", "three"]
    assert "words" in (said := capfd.readouterr().err)
    assert "ValueError: nobody thought of this one" in said
    executor.shutdown()
    node.destroy_node()
    peer.close()
