"""How a node's process ends."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

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
