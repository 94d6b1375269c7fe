"""Real nodes in real processes, and a peer that talks to them over DDS, each test in a domain of its own."""

from __future__ import annotations

import fcntl
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import GetParameters, SetParametersAtomically
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_msgs.msg import Header

# More on one machine collide with the ports that the system gives away itself.
_DOMAINS = 101
# As many are used before the first one's turn comes again.
_MOST = 25
_held: list[tuple[int, BinaryIO]] = []
_turns = itertools.count()


def next_domain() -> int:
    """A domain id that no other process of tests on this machine uses, as each holds locks on its own."""
    first = os.getpid() * 13 + len(_held)
    for number in range(_DOMAINS if len(_held) < _MOST else 0):
        domain = (first + number) % _DOMAINS + 1
        lock = (Path(tempfile.gettempdir()) / f"robot_ai_domain_{domain}.lock").open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        _held.append((domain, lock))
        return domain
    # With every id taken, sharing one is all that is left.
    return _held[next(_turns) % len(_held)][0] if _held else first % _DOMAINS + 1


class NodeProcess:
    """A node of robot_ai in a process of its own."""

    def __init__(self, module: str, arguments: list[str], domain: int, log: Path) -> None:
        self.log = log
        self.domain = domain
        environment = {
            **os.environ,
            "ROS_DOMAIN_ID": str(domain),
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
            "OMP_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
        }
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"robot_ai.nodes.{module}", "--ros-args", *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
            )

    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def alive(self) -> bool:
        return self.process.poll() is None

    def stop(self, how: signal.Signals = signal.SIGINT, timeout: float = 15.0) -> int:
        """Sends a signal and returns the exit code; a node that does not end is killed, and the test fails."""
        if self.alive():
            self.process.send_signal(how)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(
                f"the node did not end within {timeout} s after {how.name}:\n{self.output()}"
            ) from None


class Peer:
    """The other side: publishes, listens, calls services, in the test's own process; waits `patience` seconds."""

    def __init__(self, domain: int, name: str = "peer", patience: float = 20.0) -> None:
        self._patience = patience
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = Node(name, context=self.context, use_global_arguments=False)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)

    def spin(self, seconds: float) -> None:
        self.wait(lambda: False, seconds, required=False)

    def wait(self, condition: Callable[[], object], timeout: float | None = None, required: bool = True) -> bool:
        """Spins until the condition holds."""
        timeout = self._patience if timeout is None else timeout
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if condition():
                return True
            self.executor.spin_once(timeout_sec=0.02)
        if required:
            raise AssertionError(f"not so within {timeout} s")
        return False

    def call(self, kind: type, name: str, request: object, timeout: float | None = None):
        client = self.node.create_client(kind, name)
        try:
            self.wait(client.service_is_ready, timeout)
            future = client.call_async(request)
            self.wait(future.done, timeout)
            return future.result()
        finally:
            self.node.destroy_client(client)

    def listen(self, kind: type, topic: str, qos: object = 10) -> list:
        received: list = []
        self.node.create_subscription(kind, topic, received.append, qos)
        return received

    def set(self, node: str, **values: object):
        """Sets parameters atomically; returns the result."""
        parameters = [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
        request = SetParametersAtomically.Request(parameters=parameters)
        return self.call(SetParametersAtomically, f"{node}/set_parameters_atomically", request).result

    def get(self, node: str, name: str):
        response = self.call(GetParameters, f"{node}/get_parameters", GetParameters.Request(names=[name]))
        return rclpy.parameter.parameter_value_to_python(response.values[0])

    def state(self, node: str) -> str:
        return self.call(GetState, f"{node}/get_state", GetState.Request()).current_state.label

    def change(self, node: str, transition: str) -> bool:
        # By number, as lifecycle managers do; a label would be checked by rclpy itself.
        number = getattr(Transition, f"TRANSITION_{transition.upper()}")
        return self.call(
            ChangeState, f"{node}/change_state", ChangeState.Request(transition=Transition(id=number))
        ).success


class Diagnostics:
    """The newest /diagnostics of a node."""

    def __init__(self, peer: Peer) -> None:
        self._messages = peer.listen(DiagnosticArray, "/diagnostics")
        self._peer = peer

    def next(self, part: str, timeout: float = 20.0) -> tuple[int, str, dict[str, str]]:
        """Level, message and values of a status, from a report made after this call."""
        self._messages.clear()
        found: list = []

        def arrived() -> bool:
            found[:] = [s for m in self._messages for s in m.status if s.name.endswith(f": {part}")]
            return len(found) >= 2  # the first may have been under way already

        self._peer.wait(arrived, timeout)
        status = found[-1]
        return status.level[0], status.message, {pair.key: pair.value for pair in status.values}

    def until(self, part: str, condition: Callable[[int, str, dict[str, str]], bool], timeout: float = 20.0):
        """Waits for a status that fulfills the condition, and returns it."""
        deadline = time.monotonic() + timeout
        status = self.next(part)
        while not condition(*status):
            assert time.monotonic() < deadline, f"last status: {status}"
            status = self.next(part)
        return status


@contextmanager
def node_and_peer(module: str, arguments: list[str], log: Path) -> Iterator[tuple[NodeProcess, Peer]]:
    """A node and a peer in a domain of their own; the node is ended afterwards and must end cleanly."""
    domain = next_domain()
    process = NodeProcess(module, arguments, domain, log)
    peer = Peer(domain)
    try:
        yield process, peer
    except BaseException:
        print(process.output())  # noqa: T201 - pytest shows it with the failure
        process.process.kill()
        process.process.wait()
        raise
    finally:
        peer.close()
    code = process.stop()
    assert code == 0, process.output()


def bright_image(
    width: int, height: int, box: tuple[int, int, int, int] | None, stamp: int, frame: str = "cam"
) -> Image:
    """A black bgr8 image with a white rectangle (left, top, right, bottom), which the stub backend finds."""
    pixels = np.zeros((height, width, 3), np.uint8)
    if box:
        left, top, right, bottom = box
        pixels[top:bottom, left:right] = 255
    header = Header(frame_id=frame)
    header.stamp.sec, header.stamp.nanosec = divmod(stamp, 1_000_000_000)
    message = Image(header=header, width=width, height=height, encoding="bgr8", step=width * 3)
    message.data.frombytes(pixels.tobytes())
    return message


def ledger(values: dict[str, str]) -> tuple[int, int, dict[str, int], int]:
    """Received, published, dropped by cause and in flight; asserts that they balance."""
    received, published = int(values["frames received"]), int(values["frames published"])
    prefix = "frames dropped: "
    dropped = {key.removeprefix(prefix): int(value) for key, value in values.items() if key.startswith(prefix)}
    in_flight = int(values["frames in flight"])
    assert received == published + sum(dropped.values()) + in_flight
    return received, published, dropped, in_flight
