"""A node's model: swapped on request while it serves, and by itself when its backend fails."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any, Protocol

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile

from robot_ai.backends.loading import BackendChoice
from robot_ai.models.artifacts import backend_of
from robot_ai.models.card import ModelCard
from robot_ai.models.find import find_model
from robot_ai.pipeline.fallback import FallbackPolicy
from robot_ai.pipeline.image_detector import ImageDetector
from robot_ai.pipeline.model_holder import ModelHolder
from robot_ai.pipeline.swapper import Loaded, Swapper
from robot_ai.ros.diagnostics import ERROR, OK, WARN, Status
from robot_ai.ros.errors import ParameterError
from robot_ai.ros.parameters import NodeParameters
from robot_ai.ros.swap_requests import SwapRequests

# How often a load's end is looked for, in seconds: the answer and the switch wait for it, the frames do not.
POLL_PERIOD = 0.05
_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class SwapSettings(Protocol):
    """What this asks of a node's parameters; they are described in camera_detector_parameters."""

    @property
    def choice(self) -> BackendChoice:
        """What is to be loaded."""

    @property
    def fallback_backends(self) -> tuple[str, ...]:
        """What to load when that fails, in order."""

    @property
    def max_consecutive_failures(self) -> int:
        """Failed passes in a row that make it fall back."""

    @property
    def inference_timeout(self) -> float:
        """Seconds; 0 for no limit."""

    @property
    def fallback_retry_after(self) -> float:
        """Seconds on a fallback before the first return is tried."""


class ModelSwap:
    """Keeps the model of one node. `switched` is called after each switch; `abandon` gives up a pass that hangs.

    `settings` is the node's NodeParameters, with values of SwapSettings. All methods but `failed` and `succeeded` are
    called in the executor's thread.
    """

    def __init__(
        self,
        node: Node,
        settings: Callable[[], NodeParameters[Any]],
        switched: Callable[[], None],
        abandon: Callable[[float], bool],
    ) -> None:
        self._node = node
        self._settings = settings
        self._switched = switched
        self._abandon = abandon
        self.holder: ModelHolder | None = None
        self._choice: BackendChoice | None = None
        self._policy: FallbackPolicy | None = None
        self._swapper = Swapper(ImageDetector.load)
        self._requests = SwapRequests(node, self._begin)
        self._ready: Loaded | None = None
        self._falling_from = ""
        self._must_fall = ""
        self._last_error = ""
        self._swaps = 0
        self._publisher = node.create_publisher(DiagnosticStatus, "backend_status", _LATCHED)
        node.create_timer(POLL_PERIOD, self._poll, clock=Clock(clock_type=ClockType.STEADY_TIME))

    @property
    def detector(self) -> ImageDetector | None:
        """The detector that serves."""
        return self.holder.current if self.holder else None

    def load(self, values: SwapSettings) -> ImageDetector:
        """Loads the chosen model at once, for *configure*. Raises what loading raises."""
        detector = ImageDetector.load(values.choice)
        self.holder, self._choice = ModelHolder(detector), values.choice
        self._new_policy(values)
        self._last_error = ""
        self._tell()
        return detector

    def release(self, keep: bool = False) -> None:
        """Drops the model; `keep` leaves one whose pass hangs to its thread."""
        self._swapper.cancel()
        self._requests.finish("the node was cleaned up meanwhile")
        self._ready, self._falling_from, self._must_fall = None, "", ""
        holder, self.holder = self.holder, None
        if holder is not None and not keep:
            holder.close()

    def accept(self, values: SwapSettings) -> None:
        """Refuses values that ask for a model which is not loaded: they come through the set services, which load it.

        Raises ParameterError.
        """
        serving = self._choice
        if self.holder is None or values.choice == serving:
            return
        if self._ready is None or self._ready.choice != values.choice or self._ready.detector is None:
            raise ParameterError(
                "the model that this asks for is not loaded; expected a request to set_parameters or "
                "set_parameters_atomically, which load it first. Use one of these services"
            )

    def commit(self, values: SwapSettings) -> None:
        """Switches to the model that was loaded for these values, if they ask for another one."""
        ready, self._ready = self._ready, None
        if self.holder is None or ready is None or ready.detector is None:
            return
        self._install(ready.detector, values.choice)
        self._choice = values.choice
        self._new_policy(values)

    def failed(self, error: Exception) -> None:
        """A pass failed. Called by the worker."""
        policy = self._policy
        if policy is not None and (policy.failed() or _out_of_memory(error)):
            self._must_fall = str(error)

    def succeeded(self) -> None:
        """A pass went well. Called by the worker."""
        if self._policy is not None:
            self._policy.succeeded()

    def describe(self) -> Status:
        """The `swap` status for /diagnostics, which is also what backend_status says."""
        status = Status(f"{self._node.get_fully_qualified_name().lstrip('/')}: swap", self._settings().values.model)
        loading = self._swapper.loading
        detector = self.detector
        status.values = {
            "serving": f"{detector.card.name} in {detector.backend_name} on {detector.device}" if detector else "none",
            "loading": f"{loading.model} in {loading.backend}" if loading else "nothing",
            "swaps": str(self._swaps),
            "last error": self._last_error,
        }
        if self._policy is not None and self._policy.fallen_back and detector is not None:
            status.find(ERROR, f"'{self._settings().values.backend}' failed; serving with '{detector.backend_name}'")
        elif self._last_error:
            status.find(WARN, self._last_error)
        return status

    def _begin(self, parameters: list[Parameter]) -> bool:
        """Whether a set request asks for another model; it is checked as far as that takes no time, then loaded."""
        settings = self._settings()
        if self.holder is None or not settings.asks_for_swap(parameters):
            return False
        choice: BackendChoice = settings.propose(parameters).choice
        if choice == self._choice:
            return False
        ModelCard.load(find_model(choice.model), backends=()).select(choice.backend, choice.precision)
        self._falling_from = ""
        self._swapper.start(choice)
        self._node.get_logger().info(f"loading {choice.model} in {choice.backend}; the model that serves goes on")
        self._tell()
        return True

    def _poll(self) -> None:
        if self.holder is None:
            return
        now = time.monotonic()
        self._watch(now)
        loaded = self._swapper.take()
        if loaded is not None:
            self._ended(loaded, now)
        elif self._swapper.loading is None:
            self._move_on(now)

    def _watch(self, now: float) -> None:
        """Gives up a pass that takes too long; that is as bad as it gets, so the next backend is tried at once."""
        assert self.holder is not None
        limit = self._settings().values.inference_timeout
        if limit and self.holder.busy_for(now) > limit and self._abandon(limit):
            self._must_fall = f"a forward pass did not return within {limit:g} s; its thread is abandoned"

    def _ended(self, loaded: Loaded, now: float) -> None:
        if self._falling_from:
            self._ended_by_itself(loaded, now)
            return
        if loaded.detector is None:
            self._last_error = f"swap to '{loaded.choice.backend}' refused: {loaded.error}"
            self._node.get_logger().error(self._last_error)
        else:
            self._ready, self._last_error = loaded, ""
        self._requests.finish(loaded.error)
        if self._ready is not None:  # its parameters were refused in the end
            unused, self._ready = self._ready, None
            if unused.detector is not None:
                unused.detector.close()
        self._tell()

    def _move_on(self, now: float) -> None:
        """Leaves a backend that failed too often, or returns to the preferred one when its time has come."""
        policy, reason = self._policy, self._must_fall
        self._must_fall = ""
        if policy is None:
            return
        if reason:
            self._last_error = reason
            self._fall(policy.current)
        elif policy.should_retry(now):
            self._falling_from = policy.current
            self._load_alternative(self._settings().values.backend)

    def _fall(self, failed: str) -> None:
        assert self._policy is not None
        following = self._policy.next_backend(failed)
        if following is None:
            text = f"'{failed}' fails ({self._last_error}) and no further fallback_backends are left; trying on"
            self._node.get_logger().error(text, throttle_duration_sec=5.0)
            return
        self._node.get_logger().error(f"'{failed}' fails ({self._last_error}); falling back to '{following}'")
        self._falling_from = failed
        self._load_alternative(following)

    def _load_alternative(self, backend: str) -> None:
        assert self._choice is not None
        preferred = backend == self._choice.backend
        # Options and precision were chosen for the preferred backend; another one may not know them.
        plain = dataclasses.replace(self._choice, backend=backend, precision="auto", options=())
        self._swapper.start(self._choice if preferred else plain)
        self._tell()

    def _ended_by_itself(self, loaded: Loaded, now: float) -> None:
        assert self._policy is not None
        self._falling_from = ""
        backend = loaded.choice.backend
        if loaded.detector is not None:
            self._policy.moved_to(backend, now)
            self._install(loaded.detector, loaded.choice)
            if not self._policy.fallen_back:
                self._last_error = ""
                self._node.get_logger().info(f"'{backend}' works again and serves")
        elif self._policy.fallen_back:
            self._policy.retry_failed(now)
            self._node.get_logger().warning(f"'{backend}' still cannot be loaded: {loaded.error}")
        else:
            self._node.get_logger().error(f"fallback '{backend}' cannot be loaded: {loaded.error}")
            self._fall(backend)
        self._tell()

    def _install(self, detector: ImageDetector, choice: BackendChoice) -> None:
        assert self.holder is not None
        self.holder.switch(detector)
        self._swaps += 1
        self._node.get_logger().info(
            f"serving {detector.card.name} in {backend_of(choice.backend)} on {detector.device} from the next frame on"
        )
        self._switched()
        self._tell()

    def _new_policy(self, values: SwapSettings) -> None:
        backends = [values.choice.backend, *values.fallback_backends]
        self._policy = FallbackPolicy(backends, values.max_consecutive_failures, values.fallback_retry_after)

    def _tell(self) -> None:
        """Publishes backend_status, latched."""
        status = self.describe()
        if status.level == OK and self._swapper.loading is not None:
            status.find(OK, "loading; the model that serves goes on")
        self._publisher.publish(status.to_message())


def _out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that it was raised from, says that memory ran out."""
    while error is not None:
        if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
            return True
        error = error.__cause__
    return False
