"""The thread that takes frames from the slots and answers each of them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from robot_ai.geometry.errors import TransformError
from robot_ai.pipeline.latency import StageLatencies
from robot_ai.pipeline.ledger import DropCause, FrameLedger
from robot_ai.pipeline.slots import NewestSlots

THREAD_NAME = "frame_worker"
Decoded = TypeVar("Decoded")
Found = TypeVar("Found")
FoundInBatch_co = TypeVar("FoundInBatch_co", covariant=True)


class BatchResult(Protocol[FoundInBatch_co]):
    """What `detect` returns: what was found in each item, in order, and the seconds that each stage took."""

    @property
    def detections(self) -> Sequence[FoundInBatch_co]:
        """As many as there were items in the batch."""

    @property
    def durations(self) -> Mapping[str, float]:
        """By the stage's name, for the whole batch."""


@dataclass(frozen=True)
class Frame:
    """A message on its way: monotonic time of its arrival in seconds, and seconds from its stamp to its arrival.

    `transport` is None when the stamp cannot be compared with our clock.
    """

    message: Any
    arrived: float
    transport: float | None


@dataclass(frozen=True)
class Stages(Generic[Decoded, Found]):
    """What the worker calls, in this order: images or clouds are decoded, and something is found in them.

    `decode` raises ImageError or CloudError; anything may raise, and a frame is counted.
    """

    decode: Callable[[Any], Decoded]
    detect: Callable[[Sequence[Decoded]], BatchResult[Found]]
    publish: Callable[[str, Any, Decoded, Found], None]


@dataclass(frozen=True)
class SourceAccount:
    """The books of one source."""

    ledger: FrameLedger
    latencies: StageLatencies


class FrameWorker(Generic[Decoded, Found]):
    """Runs the stages in a thread of its own, all sources' newest frames in one batch.

    A frame ends in its source's ledger, whatever happens to it; `complain(source, cause, error)` is told of each one
    that was dropped for a fault.
    """

    def __init__(
        self,
        accounts: Mapping[str, SourceAccount],
        stages: Stages[Decoded, Found],
        complain: Callable[[str, DropCause, Exception], None],
    ) -> None:
        self._accounts = accounts
        self._stages = stages
        self._complain = complain
        self._slots: NewestSlots[str, Frame] = NewestSlots(list(accounts))
        self._lock = threading.Lock()
        self._under_way: list[str] = []
        self._thread = self._new_thread()

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def abandon(self, error: Exception) -> bool:
        """Leaves the thread in the call that it does not return from, and goes on in a new one.

        The frames it was at count as failed; should it return after all, it changes nothing. Returns False when it is
        at no frame.
        """
        with self._lock:
            if not self._under_way:
                return False
            lost, self._under_way = self._under_way, []
            self._thread = self._new_thread()
        for source in lost:
            self._drop(source, DropCause.FAILED, error)
        self._thread.start()
        return True

    def submit(self, source: str, frame: Frame) -> None:
        """Hands over a frame that the ledger has received; never waits.

        Older frames that still wait, beyond those that `hold` lets, are stale.
        """
        for displaced in self._slots.put(source, frame):
            self._accounts[source].ledger.drop(DropCause.DISABLED if displaced is frame else DropCause.STALE)

    def hold(self, frames: int) -> None:
        """How many frames of each source wait for their turn, from now on, before the oldest is stale (1 at first)."""
        self._slots.hold(frames)

    def stop(self, timeout: float) -> bool:
        """Ends the thread after the batch it is at; frames that still wait count as disabled.

        Returns whether the thread ended within `timeout` seconds.
        """
        for source, _ in self._slots.close():
            self._accounts[source].ledger.drop(DropCause.DISABLED)
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _new_thread(self) -> threading.Thread:
        return threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)

    def _run(self) -> None:
        while not self._slots.closed and threading.current_thread() is self._thread:
            batch = self._slots.take_all()
            if batch:
                self._process(batch)

    def _begin(self, sources: Sequence[str]) -> None:
        with self._lock:
            self._under_way = list(sources)

    def _end(self) -> bool:
        """Whether the frames under way are still this thread's to answer."""
        with self._lock:
            ours = threading.current_thread() is self._thread
            if ours:
                self._under_way = []
            return ours

    def _process(self, batch: Sequence[tuple[str, Frame]]) -> None:
        decoded: list[tuple[str, Frame, Decoded, dict[str, float]]] = []
        for source, frame in batch:
            started = time.perf_counter()
            durations = {"queue": time.monotonic() - frame.arrived}
            if frame.transport is not None:
                durations["transport"] = frame.transport
            try:
                item = self._stages.decode(frame.message)
            # An ImageError or a CloudError names the fault; a library may raise anything on hostile bytes, and the node
            # outlives it.
            except Exception as error:  # noqa: BLE001
                self._drop(source, DropCause.MALFORMED, error)
                continue
            durations["decode"] = time.perf_counter() - started
            decoded.append((source, frame, item, durations))
        if decoded:
            self._detect(decoded)

    def _detect(self, decoded: Sequence[tuple[str, Frame, Decoded, dict[str, float]]]) -> None:
        self._begin([source for source, *_ in decoded])
        try:
            result = self._stages.detect([item for _, _, item, _ in decoded])
            answers = list(zip(decoded, result.detections, strict=True))
        # A framework may raise anything; its failure is counted and the next frame tried.
        except Exception as error:  # noqa: BLE001
            if not self._end():
                return
            cause = DropCause.NO_TRANSFORM if isinstance(error, TransformError) else DropCause.FAILED
            for source, *_ in decoded:
                self._drop(source, cause, error)
            return
        if not self._end():
            return
        for (source, frame, item, durations), detections in answers:
            started = time.perf_counter()
            try:
                self._stages.publish(source, frame.message, item, detections)
            # The middleware refuses a publish while the node shuts down, among other things.
            except Exception as error:  # noqa: BLE001
                self._drop(source, DropCause.FAILED, error)
                continue
            durations.update(result.durations, publish=time.perf_counter() - started)
            self._accounts[source].ledger.publish(time.monotonic())
            self._accounts[source].latencies.add(durations)

    def _drop(self, source: str, cause: DropCause, error: Exception) -> None:
        self._accounts[source].ledger.drop(cause)
        try:
            self._complain(source, cause, error)
        # A failing log must not end the worker.
        except Exception:
            logging.getLogger(__name__).exception("cannot report a dropped frame")
