"""A node's model, swapped on request while it serves, and by `model_fallback` when its backend fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.parameter import Parameter

from robot_ai.backends.loading import BackendChoice
from robot_ai.errors import RobotAIError
from robot_ai.models.card import ModelCard
from robot_ai.models.find import find_model
from robot_ai.pipeline.background import model_threads
from robot_ai.pipeline.model_holder import ModelHolder, Served
from robot_ai.pipeline.standby import StandbyModels
from robot_ai.pipeline.swapper import Loaded, Swapper
from robot_ai.pipeline.worker import FrameWorker
from robot_ai.ros.diagnostics import Status
from robot_ai.ros.errors import ParameterError, WorkerStuckError
from robot_ai.ros.model_fallback import FallbackSettings, ModelFallback
from robot_ai.ros.parameters import NodeParameters, refuse_read_only
from robot_ai.ros.swap_requests import SUPERSEDED, SwapRequests
from robot_ai.ros.swap_status import SwapStatus

# How often a load's end is looked for, in seconds: the answer and the switch wait for it, the frames do not.
POLL_PERIOD = 0.05
# Loading beside frames holds a pass up now and then, for a tenth of a second. So many frames of a source wait
# meanwhile, and for so many seconds after it, instead of being replaced: a camera of 30 Hz loses none.
HELD_FRAMES, SETTLING = 6, 1.0


@dataclass(frozen=True)
class ModelLoader(Generic[Served]):
    """`load` makes a detector of a choice; `check` refuses one where that takes no load. Both raise a RobotAIError.

    Both are called beside the executor's thread: a card of many classes takes longer to read than a service may wait.

    `settings` takes from a node's values what its detector is given after each batch, if anything.
    """

    load: Callable[[BackendChoice], Served]
    check: Callable[[BackendChoice], None]
    settings: Callable[[Any], tuple[Any, ...]] = lambda values: ()


def check_artifact(choice: BackendChoice) -> None:
    """Raises a RobotAIError for a choice that no model card fulfills, as far as can be told without loading."""
    ModelCard.load(find_model(choice.model), backends=()).select(choice.backend, choice.precision)


class ModelSettings(FallbackSettings, Protocol):
    """What this asks of a node's parameters; they are described in robot_ai.nodes.model_parameters."""

    @property
    def load_timeout(self) -> float:
        """Seconds that a load may take; 0 for no limit."""

    @property
    def preload_backends(self) -> tuple[str, ...]:
        """Where the model is loaded beforehand and stands by."""


class ModelSwap(Generic[Served]):
    """Keeps the model of one node. `switched` is called after each switch; `worker` gives the one that runs, if any.

    `settings` is the node's NodeParameters, with values of ModelSettings. All methods but `detect` are called in the
    executor's thread. `abandoned` counts the threads that were left in a call that did not return.
    """

    def __init__(
        self,
        node: Node,
        loader: ModelLoader[Served],
        settings: Callable[[], NodeParameters[Any]],
        switched: Callable[[], None],
        worker: Callable[[], FrameWorker[Any, Any] | None],
    ) -> None:
        self._node = node
        self._loader = loader
        self._settings = settings
        self._switched = switched
        self._worker = worker
        self.holder: ModelHolder[Served] | None = None
        self._choice: BackendChoice | None = None
        self._standby = StandbyModels[Served]()
        self._swapper = Swapper(self._load, self._standby.give_back)
        self._requests = SwapRequests(node, self._begin)
        self._status = SwapStatus(node)
        self._fallback = ModelFallback(node, self._swapper, self._status, self._install, self._abandon)
        self._ready: Loaded[Served] | None = None
        self._settled_at = 0.0
        self.abandoned = 0
        node.create_timer(POLL_PERIOD, self._poll, clock=Clock(clock_type=ClockType.STEADY_TIME))

    @property
    def detector(self) -> Served | None:
        """The detector that serves."""
        return self.holder.current if self.holder else None

    def detect(self, *given: Any) -> Any:
        """One pass of the model that serves, in the worker's thread: ModelHolder.detect, watched by the fallback."""
        holder = self.holder
        assert holder is not None, "the worker runs only while a model is loaded"
        with self._fallback.judging():
            return holder.detect(*given)

    def load(self, values: ModelSettings) -> Served:
        """Loads the chosen model at once, for *configure*. Raises what loading raises."""
        detector = self._loader.load(values.choice)
        settings = self._loader.settings(values)
        self.holder = ModelHolder(detector, *settings, retire=self._standby.give_back)
        self._choice = values.choice
        self._fallback.begin(values)
        self._status.last_error = ""
        self._check_fallbacks(values)
        for backend in dict.fromkeys(values.preload_backends):
            self._preload(values.choice.in_backend(backend))
        if values.choice.backend in values.preload_backends:
            self._standby.put(values.choice, detector, serves=True)
        self._tell()
        return detector

    def release(self, keep: bool = False) -> None:
        """Drops the model; `keep` leaves one whose pass hangs to its thread."""
        self._swapper.cancel()
        self._requests.finish("the node was cleaned up meanwhile")
        self._ready = None
        self._fallback.stop()
        self._standby.close()
        holder, self.holder = self.holder, None
        if keep:
            self.abandoned += 1
        elif holder is not None:
            holder.close()

    def accept(self, values: ModelSettings) -> None:
        """Refuses values that ask for a model which is not loaded: they come through the set services, which load it.

        Raises ParameterError.
        """
        if self.holder is None or values.choice == self._choice:
            return
        if self._ready is None or self._ready.choice != values.choice or self._ready.detector is None:
            raise ParameterError(
                "the model that this asks for is not loaded; expected a request to set_parameters or "
                "set_parameters_atomically, which load it first. Use one of these services"
            )

    def serving(self, values: ModelSettings) -> Served | None:
        """What serves once these accepted values are set: the detector loaded for them, or the one that serves."""
        return self._ready.detector if self._ready is not None and values.choice != self._choice else self.detector

    def commit(self, values: ModelSettings) -> None:
        """Makes the values hold from the next batch on, with the model that was loaded for them if they ask for one."""
        ready, self._ready = self._ready, None
        if self.holder is None:
            return
        if ready is None or ready.detector is None:
            self.holder.adjust(*self._loader.settings(values))
            return
        self._choice = values.choice
        self._fallback.begin(values)
        self._install(ready.detector)

    def describe(self) -> Status:
        """The `swap` status for /diagnostics, which is also what backend_status says."""
        detector = self.detector
        self._status.serving = detector.title if detector is not None else ""
        self._status.loading = self._swapper.loading
        return self._status.describe(self._settings().values.model)

    def _check_fallbacks(self, values: ModelSettings) -> None:
        """Warns of those that could never take over: the day they are needed is late to learn of a slip of the pen."""
        for backend in values.fallback_backends:
            try:
                self._loader.check(values.choice.in_backend(backend))
            except RobotAIError as error:
                self._node.get_logger().warning(f"fallback '{backend}' cannot take over: {error}")

    def _preload(self, choice: BackendChoice) -> None:
        """Loads a model that stands by for every swap to it. What fails is no more than a warning."""
        if choice == self._choice:
            return
        started = time.monotonic()
        logger = self._node.get_logger()
        try:
            self._standby.put(choice, self._loader.load(choice))
        except Exception as error:  # noqa: BLE001 - a framework may raise anything, and the chosen one may be well
            logger.warning(f"cannot preload {choice.model} in {choice.backend}, to which a swap will fail: {error}")
        else:
            logger.info(f"{choice.backend} is preloaded, in {time.monotonic() - started:.1f} s")

    def _load(self, choice: BackendChoice) -> Served:
        """The model that stands by for this choice, or else a new one."""
        standing_by = self._standby.take(choice)
        if standing_by is not None:
            return standing_by
        self._loader.check(choice)
        return self._loader.load(choice)

    def _begin(self, parameters: list[Parameter]) -> bool:
        """Whether a set request asks for another model, which is loaded then."""
        settings = self._settings()
        if self.holder is None or not settings.asks_for_swap(parameters):
            return False
        if unknown := [given.name for given in parameters if not self._node.has_parameter(given.name)]:
            raise ParameterError(f"the node has no parameter {', '.join(unknown)}; nothing was set. Remove it")
        refuse_read_only(self._node, parameters)
        choice: BackendChoice = settings.propose(parameters).choice
        if choice == self._choice:
            if not self._fallback.is_loading:  # whoever asks for what serves wants no swap that was asked for before
                self._swapper.cancel()
                self._requests.finish(SUPERSEDED)
                self._tell()
            return False
        self._fallback.give_way()
        self._swapper.start(choice)
        self._hold_frames(time.monotonic())
        self._node.get_logger().info(f"loading {choice.model} in {choice.backend}; the model that serves goes on")
        self._tell()
        return True

    def _poll(self) -> None:
        if self.holder is None:
            return
        now = time.monotonic()
        self._hold_frames(now)
        values = self._settings().values
        self._fallback.watch(self.holder, values.inference_timeout, now)
        if self._swapper.give_up(values.load_timeout, now):
            self.abandoned += 1
        loaded = self._swapper.take()
        if loaded is None:
            if self._swapper.loading is None and self._fallback.move_on(now):
                self._tell()
        elif self._fallback.is_loading:
            self._fallback.ended(loaded, now)
            self._tell()
        else:
            self._requested(loaded)

    def _hold_frames(self, now: float) -> None:
        if self._swapper.loading is not None:
            self._settled_at = now + SETTLING
        worker = self._worker()
        if worker is not None:
            worker.hold(HELD_FRAMES if now < self._settled_at else 1)

    def _abandon(self, seconds: float) -> bool:
        error = WorkerStuckError(f"a forward pass did not return within {seconds:g} s; its thread is abandoned")
        worker = self._worker()
        if worker is None or not worker.abandon(error):
            return False
        self.abandoned += 1
        return True

    def _requested(self, loaded: Loaded[Served]) -> None:
        """What a request asked for has been loaded, or could not be: the request is answered."""
        if loaded.detector is None:
            self._status.last_error = f"swap to '{loaded.choice.backend}' refused: {loaded.error}"
            self._node.get_logger().error(self._status.last_error)
        else:
            self._ready, self._status.last_error = loaded, ""
        self._requests.finish(loaded.error)
        if self._ready is not None:  # its parameters were refused in the end
            unused, self._ready = self._ready.detector, None
            if unused is not None:
                model_threads.start(lambda: self._standby.give_back(unused))
        self._tell()

    def _install(self, detector: Served, has_failed: bool = False) -> None:
        """Serves with `detector`; `has_failed` says that what serves until now must not stand by."""
        assert self.holder is not None
        if has_failed:
            self._standby.forget(self.holder.current)
        self.holder.switch(detector, *self._loader.settings(self._settings().values))
        self._fallback.forget_passes()
        self._status.swaps += 1
        self._node.get_logger().info(f"serving {detector.title} from the next frame on")
        self._switched()
        self._tell()

    def _tell(self) -> None:
        self.describe()
        self._status.tell(self._settings().values.model)
