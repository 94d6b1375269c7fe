"""What every lifecycle node of this package has in common: safe transitions, autostart, the process's main loop."""

from __future__ import annotations

import functools
import gc
import inspect
import os
import signal
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import State
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import (
    InvalidParameterException,
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterUninitializedException,
)
from rclpy.executors import ExternalShutdownException
from rclpy.experimental import EventsExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.publisher import Publisher
from rclpy.signals import SignalHandlerOptions
from rclpy.subscription import Subscription

from robot_ai.errors import RobotAIError
from robot_ai.pipeline.background import model_threads
from robot_ai.pipeline.worker import THREAD_NAME
from robot_ai.ros.diagnostics import Status, to_array

_CONFIGURED = {State.PRIMARY_STATE_INACTIVE, State.PRIMARY_STATE_ACTIVE, State.TRANSITION_STATE_ACTIVATING,
               State.TRANSITION_STATE_DEACTIVATING}  # fmt: skip

DIAGNOSTICS_PERIOD = 1.0
# Longest time, in seconds, from a signal to the start of the shutdown.
SIGNAL_LATENCY = 0.2

_REFUSABLE = ("configure", "activate")
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Destroyable(Protocol):
    """A part of a node that holds subscriptions, publishers or timers of its own."""

    def destroy(self) -> None:
        """Frees them."""


class SafeLifecycleNode(LifecycleNode, ABC):
    """A lifecycle node whose transitions fail with a logged reason, never with a dead process.

    Subclasses implement `configure`, `activate`, `deactivate` and `release`, which raise to refuse. `release` frees
    whatever exists, in any state, and is called by cleanup, shutdown and after an error.
    """

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self.last_error = ""
        self.steady = Clock(clock_type=ClockType.STEADY_TIME)
        """For timers that go on while simulated time stands still."""
        self._guard_change_state()

    @abstractmethod
    def configure(self) -> None:
        """Allocates: models, publishers, subscriptions."""

    @abstractmethod
    def activate(self) -> None:
        """Starts work; short."""

    @abstractmethod
    def deactivate(self) -> None:
        """Stops work; what was allocated stays."""

    @abstractmethod
    def release(self) -> None:
        """Frees everything, from any state."""

    def destroy_all(self, *parts: Destroyable | Publisher | None) -> None:
        """Destroys those of a node's parts that there are: ports, sources, publishers."""
        for part in parts:
            if isinstance(part, Publisher):
                self.destroy_publisher(part)
            elif part is not None:
                part.destroy()

    def report(self, describe: Callable[[], Sequence[Status]]) -> None:
        """Publishes what `describe` returns on /diagnostics, once a second and in every state."""
        publisher = self.create_publisher(DiagnosticArray, "/diagnostics", 10)

        def publish() -> None:
            publisher.publish(to_array(describe(), self.get_clock().now().to_msg()))

        self.create_timer(DIAGNOSTICS_PERIOD, publish, clock=self.steady)

    def create_subscription(
        self, msg_type: Any, topic: str, callback: Callable[..., None], *args: Any, **kwargs: Any
    ) -> Subscription:
        """Subscribes; a callback of two parameters gets the message and its info under every executor. What a callback
        raises is said and costs the message: out of it, it would end the node.
        """

        @functools.wraps(callback)  # rclpy reads from the signature whether the info is wanted
        def guarded(*arguments: Any) -> None:
            try:
                callback(*arguments)
            except Exception as error:  # noqa: BLE001 - whatever a message holds, the node lives and says it
                text = f"a message on {topic} was not taken: {type(error).__name__}: {error}"
                self.get_logger().error(text, throttle_duration_sec=5.0)

        return super().create_subscription(msg_type, topic, with_info(guarded), *args, **kwargs)

    @property
    def state_label(self) -> str:
        """The current state's name."""
        return str(self._state_machine.current_state[1])

    @property
    def is_configured(self) -> bool:
        """Whether the node is inactive, active or on its way between the two."""
        return self._state_machine.current_state[0] in _CONFIGURED

    def autostart(self) -> bool:
        """Configures and activates; returns whether that succeeded."""
        success = TransitionCallbackReturn.SUCCESS
        return self.trigger_configure() == success and self.trigger_activate() == success

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Runs `configure`; a refusal leaves the node unconfigured with nothing allocated."""
        result = self._attempt("configure", self.configure)
        if result != TransitionCallbackReturn.SUCCESS:
            self._attempt("clean up", self.release, keep_error=True)
        return result

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Runs `activate`."""
        return self._attempt("activate", self.activate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Runs `deactivate`."""
        return self._attempt("deactivate", self.deactivate)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Runs `release`."""
        return self._attempt("clean up", self.release)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Runs `release`."""
        return self._attempt("shut down", self.release)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Frees everything and returns to unconfigured, from where the node can be configured again."""
        return self._attempt("recover", self.release, keep_error=True)

    def _attempt(self, what: str, action: Callable[[], None], keep_error: bool = False) -> TransitionCallbackReturn:
        """A known fault in configure or activate is a FAILURE, which keeps the previous state; anything else an ERROR,
        which runs on_error. rclpy turns an exception into ERROR as well, but swallows its text.
        """
        try:
            action()
        except RobotAIError as error:
            self._say(f"cannot {what}: {error}")
            return TransitionCallbackReturn.FAILURE if what in _REFUSABLE else TransitionCallbackReturn.ERROR
        except Exception as error:  # noqa: BLE001 - whatever a framework raised, the node lives and says it
            self._say(f"cannot {what}: {type(error).__name__}: {error}")
            return TransitionCallbackReturn.ERROR
        if not keep_error:
            self.last_error = ""
        return TransitionCallbackReturn.SUCCESS

    def _say(self, reason: str) -> None:
        self.last_error = reason
        self.get_logger().error(reason)

    def _guard_change_state(self) -> None:
        """Answers an impossible transition with success=False.

        In Jazzy's rclpy it raises out of the service callback and ends the process.
        """
        service = self._service_change_state
        change_state = service.callback

        def guarded(request: Any, response: Any) -> Any:
            try:
                return change_state(request, response)
            except rclpy._rclpy_pybind11.RCLError as error:
                self.get_logger().warning(f"transition refused in state '{self.state_label}': {error}")
                response.success = False
                return response

        service.callback = guarded


def with_info(callback: Callable[..., None]) -> Callable[..., None]:
    """Lets EventsExecutor call a callback of two parameters: rclpy 7.1 hands it message and info as one tuple."""
    try:
        inspect.signature(callback).bind(object())
    except TypeError:
        pass
    else:
        return callback

    @functools.wraps(callback)  # rclpy reads from the signature that the info is wanted
    def unpack(*arguments: Any) -> None:
        callback(*(arguments[0] if len(arguments) == 1 else arguments))

    return unpack


def run(create_node: Callable[[], SafeLifecycleNode], args: list[str] | None = None) -> int:
    """Runs one node until SIGINT, SIGTERM or a shutdown of its context; the exit code of the process.

    A node that cannot even be created (an impossible parameter value) is one line on stderr and exit code 1.
    """
    stop = _StopSignals()
    # rclpy's own handlers invalidate the context at once, under the worker that still publishes its last frame.
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = create_node()
    except (
        RobotAIError,
        InvalidParameterException,
        InvalidParameterTypeException,
        InvalidParameterValueException,
        ParameterUninitializedException,
    ) as error:
        print(f"robot_ai: cannot start: {error}", file=sys.stderr)  # noqa: T201 - there is no node to log with
        rclpy.try_shutdown()
        return 1
    # It rebuilds no wait set between two callbacks, so the interpreter is free for the worker at once: 1 ms less from a
    # frame's stamp to its detections than with SingleThreadedExecutor.
    executor = EventsExecutor()
    executor.add_node(node)
    try:
        if node.get_parameter("autostart").value:
            with stop.interrupting():
                if not stop.received:
                    node.autostart()
        # A signal is only seen between two waits.
        while not stop.received and rclpy.ok():
            executor.spin_once(timeout_sec=SIGNAL_LATENCY)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.release()
        executor.shutdown(timeout_sec=1.0)
        node.destroy_node()
        rclpy.try_shutdown()
    # Python takes its handlers away before it ends: a second Ctrl-C would then make a killed process of a clean end.
    stop.ignore()
    # The interpreter's last collection walks over all that a framework has imported, for seconds, to free what the end
    # of the process frees anyway; `ros2 launch` would lose patience.
    gc.freeze()
    if _in_native_code():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    return 0


def _in_native_code() -> bool:
    """Whether a model is being loaded, or a pass that was abandoned is still at it.

    Python would end such a thread where it next wants the interpreter. In a framework's C++ that is an abort.
    """
    return model_threads.busy or any(thread.name == THREAD_NAME for thread in threading.enumerate())


class _StopSignals:
    """SIGINT and SIGTERM: noted, or, while a model loads, breaking off what is under way."""

    def __init__(self) -> None:
        self.received = False
        self._interrupt = False
        for number in _STOP_SIGNALS:
            signal.signal(number, self._on_signal)

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Within this block a signal raises KeyboardInterrupt."""
        self._interrupt = True
        try:
            yield
        finally:
            self._interrupt = False

    def ignore(self) -> None:
        """There is nothing left to break off."""
        for number in _STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.received = True
        if self._interrupt:
            raise KeyboardInterrupt
