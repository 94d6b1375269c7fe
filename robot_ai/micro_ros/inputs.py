"""The streams on which a client speaks: made as they are used, a few at most."""

from __future__ import annotations

from robot_ai.micro_ros.streams import BestEffortInput, ReliableInput

# micro-ROS uses one of each; the bound keeps a hostile client from filling the memory with held messages.
_MOST_STREAMS = 8


class InputStreams:
    """A session's input streams. `open_*` return None for one stream too many."""

    def __init__(self) -> None:
        self._best_effort: dict[int, BestEffortInput] = {}
        self._reliable: dict[int, ReliableInput] = {}
        self._missed = 0
        self._duplicates = 0
        self.reliable = self._reliable.get
        """`reliable(stream_id)`: the stream, or None when nothing came on it yet."""

    def open_best_effort(self, stream_id: int) -> BestEffortInput | None:
        """The best-effort stream, new or known."""
        stream = self._best_effort.get(stream_id)
        if stream is None and len(self._best_effort) < _MOST_STREAMS:
            stream = self._best_effort[stream_id] = BestEffortInput()
        return stream

    def open_reliable(self, stream_id: int) -> ReliableInput | None:
        """The reliable stream, new or known."""
        stream = self._reliable.get(stream_id)
        if stream is None and len(self._reliable) < _MOST_STREAMS:
            stream = self._reliable[stream_id] = ReliableInput()
        return stream

    def reset(self) -> None:
        """Begins all numbering again; the counts go on."""
        self._missed, self._duplicates = self.missed, self.duplicates
        self._best_effort.clear()
        self._reliable.clear()

    @property
    def missed(self) -> int:
        """Numbers that were skipped for good."""
        best_effort = sum(stream.missed for stream in self._best_effort.values())
        return self._missed + best_effort + sum(stream.missed for stream in self._reliable.values())

    @property
    def duplicates(self) -> int:
        """Messages that came twice, or too late on a best-effort stream."""
        twice = sum(stream.duplicates for stream in self._reliable.values())
        return self._duplicates + twice + sum(stream.stale for stream in self._best_effort.values())
