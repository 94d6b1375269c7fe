"""What our nodes have in common: a message that cannot be taken, and how a process ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from rclpy.experimental import EventsExecutor
from ros_harness import Peer, next_domain
from std_msgs.msg import String

from robot_ai.ros.lifecycle import SafeLifecycleNode

NODE = """
import os, signal, sys, threading, time
import torch
from robot_ai.pipeline.background import model_threads
from robot_ai.pipeline.worker import THREAD_NAME
from robot_ai.ros.lifecycle import SafeLifecycleNode, run

class Nothing(SafeLifecycleNode):
    configure = activate = deactivate = release = lambda self: None

def compute():
    matrix = torch.rand(200, 200)
    while True:
        torch.mm(matrix, matrix)

def create():
    node = Nothing("nothing")
    node.declare_parameter("autostart", False)
    if sys.argv[1] == "load":
        model_threads.start(compute)
    else:
        threading.Thread(target=compute, name=THREAD_NAME, daemon=True).start()
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGINT)
    return node

run(create)
"""


@pytest.mark.parametrize("what", ["load", "pass"])
def test_a_process_ends_well_while_a_thread_is_in_a_framework(what: str) -> None:
    pytest.importorskip("torch", exc_type=ImportError)
    done = subprocess.run(
        [sys.executable, "-c", NODE, what], env={**os.environ}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


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
