"""A node's model, watched: left for the next of the fallback backends when it fails, and returned to after a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol

from rclpy.node import Node

from robot_ai.backends.errors import is_out_of_memory
from robot_ai.backends.loading import BackendChoice
from robot_ai.pipeline.fallback import FallbackPolicy
from robot_ai.pipeline.model_holder import ModelHolder, Served
from robot_ai.pipeline.swapper import Loaded, Swapper
from robot_ai.ros.swap_status import SwapStatus


class FallbackSettings(Protocol):
    """What this asks of a node's parameters; they are described in camera_detector_parameters."""

    @property
    def choice(self) -> BackendChoice:
        """What is asked for."""

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


class ModelFallback(Generic[Served]):
    """Loads the next backend through the node's swapper and hands it to `install`, with whether what serves has failed;
    `abandon` gives up a hanging pass.

    `judging` is for the worker, everything else is called in the executor's thread.
    """

    def __init__(
        self,
        node: Node,
        swapper: Swapper[Served],
        status: SwapStatus,
        install: Callable[[Served, bool], None],
        abandon: Callable[[float], bool],
    ) -> None:
        self._logger = node.get_logger()
        self._swapper = swapper
        self._status = status
        self._install = install
        self._abandon = abandon
        self._policy: FallbackPolicy | None = None
        self._preferred = BackendChoice()
        self._is_loading = False
        self._must_fall = ""
        # Counts the models that have served: what a pass of an earlier one came to says nothing about this one.
        self._serving = 0

    @property
    def is_loading(self) -> bool:
        """Whether what the swapper loads was begun here."""
        return self._is_loading

    def begin(self, values: FallbackSettings) -> None:
        """Starts anew, for the model that serves as it was asked for."""
        self._preferred = values.choice
        backends = [values.choice.backend, *values.fallback_backends]
        self._policy = FallbackPolicy(backends, values.max_consecutive_failures, values.fallback_retry_after)
        self._is_loading = False
        self.forget_passes()
        self._tell_policy()

    def stop(self) -> None:
        """Forgets everything."""
        self._policy = None
        self._is_loading = False
        self.forget_passes()
        self._status.replaced = ("", "")

    def give_way(self) -> None:
        """A request loads another model: whatever was being loaded here is superseded."""
        self._is_loading = False

    def forget_passes(self) -> None:
        """Another model serves from now on, or the one that does is given a new start."""
        self._serving += 1
        self._must_fall = ""

    @contextmanager
    def judging(self) -> Iterator[None]:
        """Around a pass of the model that serves: whether it fails decides what serves."""
        policy, serving = self._policy, self._serving
        try:
            yield
        except Exception as error:
            if policy is not None and serving == self._serving and (policy.failed() or is_out_of_memory(error)):
                self._must_fall = str(error) or type(error).__name__
            raise
        if policy is not None and serving == self._serving:
            policy.succeeded()

    def watch(self, holder: ModelHolder[Served], limit: float, now: float) -> None:
        """Gives up a pass that takes longer than `limit` seconds (0: never). That is as bad as it gets, so the next
        backend is tried at once.
        """
        if limit and holder.busy_for(now) > limit and self._abandon(limit):
            holder.give_up()
            self.forget_passes()
            self._must_fall = f"a forward pass did not return within {limit:g} s; its thread is abandoned"

    def move_on(self, now: float) -> bool:
        """Leaves a backend that failed too often, or returns to the preferred one when its time has come.

        Returns whether anything happened.
        """
        policy, reason = self._policy, self._must_fall
        self._must_fall = ""
        if policy is None:
            return False
        if reason and not policy.exhausted:
            self._status.last_error = reason
            self._fall(policy.current, reason, now)
            return True
        if policy.should_retry(now):
            self._load(self._preferred.backend)
            return True
        return False

    def ended(self, loaded: Loaded[Served], now: float) -> None:
        """What was begun here has been loaded, or could not be."""
        assert self._policy is not None
        self._is_loading = False
        backend = loaded.choice.backend
        if loaded.detector is not None:
            has_failed = backend != self._preferred.backend or self._policy.exhausted
            self._policy.moved_to(backend, now)
            self._tell_policy()
            if not self._policy.fallen_back:
                self._status.last_error = ""
            self._install(loaded.detector, has_failed)
            if not self._policy.fallen_back:
                self._logger.info(f"'{backend}' works again and serves")
        elif backend == self._preferred.backend:
            self._policy.retry_failed(now)
            self._logger.warning(f"'{backend}' still cannot be loaded: {loaded.error}")
        else:
            self._fall(backend, f"it cannot be loaded: {loaded.error}", now)

    def _fall(self, failed: str, reason: str, now: float) -> None:
        assert self._policy is not None
        following = self._policy.next_backend(failed)
        if following is None:
            self._policy.found_none(now)
            self._logger.error(
                f"'{failed}' fails ({reason}) and no further fallback_backends are left; trying on with "
                f"'{self._policy.current}', and with '{self._preferred.backend}' anew after a while"
            )
            return
        self._logger.error(f"'{failed}' fails ({reason}); falling back to '{following}'")
        self._load(following)

    def _load(self, backend: str) -> None:
        self._is_loading = True
        self._swapper.start(self._preferred.in_backend(backend))

    def _tell_policy(self) -> None:
        policy = self._policy
        fallen = policy is not None and policy.fallen_back
        self._status.replaced = (self._preferred.backend, policy.current) if policy and fallen else ("", "")
