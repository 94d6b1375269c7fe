"""One object that a client reads: what waits for the client, and the READ_DATA that says how it wants it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from robot_ai.micro_ros.bucket import TokenBucket
from robot_ai.micro_ros.cdr import CdrReader

_UNLIMITED = 0xFFFF


@dataclass(frozen=True)
class ReadRequest:
    """A READ_DATA. `base` is its request id and object id; `samples` None means without end, 0 cancels.

    `seconds` and `bytes_per_second` are 0 for no limit. The data format, the content filter and the pace are not
    looked at, as with the stock agent.
    """

    base: bytes
    stream_id: int
    samples: int | None
    seconds: int
    bytes_per_second: int

    @staticmethod
    def parse(reader: CdrReader) -> ReadRequest:
        """Reads the payload of READ_DATA. Raises MessageError."""
        base = reader.raw(4)
        stream_id = reader.u8()
        reader.u8()  # data format
        if reader.boolean():
            reader.string()  # content filter
        if not reader.boolean():
            return ReadRequest(base, stream_id, 1, 0, 0)
        samples, seconds, bytes_per_second, _pace = (reader.u16() for _ in range(4))
        return ReadRequest(base, stream_id, None if samples == _UNLIMITED else samples, seconds, bytes_per_second)


class ReadTask:
    """A READ_DATA being served."""

    __slots__ = ("_bucket", "_deadline", "base", "held", "remaining", "stream_id")

    def __init__(self, request: ReadRequest, now: float) -> None:
        self.base = request.base
        self.stream_id = request.stream_id
        self.remaining = request.samples
        self.held: bytes | None = None
        self._deadline = now + request.seconds if request.seconds else None
        rate = request.bytes_per_second
        self._bucket = TokenBucket(rate, rate, now) if rate else None

    def over(self, now: float) -> bool:
        """Whether no further sample is to be taken for it."""
        return self.remaining == 0 or (self._deadline is not None and now > self._deadline)

    def pause(self, size: int, now: float) -> float:
        """Seconds until `size` bytes may be sent; at 0 they are paid for."""
        return self._bucket.take(size, now) if self._bucket else 0.0


class Delivery:
    """The samples that wait for one reader, the newest `depth` of them, and the task that takes them."""

    __slots__ = ("_backlog", "paid", "task")

    def __init__(self, depth: int) -> None:
        self._backlog: deque[bytes] = deque(maxlen=depth)
        self.task: ReadTask | None = None
        self.paid = False
        """Whether the sample at hand has passed the task's rate and waits for the stream only."""

    def __len__(self) -> int:
        return len(self._backlog) + (self.task is not None and self.task.held is not None)

    def put(self, sample: bytes) -> bool:
        """Adds a sample; returns whether an older one had to go for it."""
        full = len(self._backlog) == self._backlog.maxlen
        self._backlog.append(sample)
        return full

    def cancel(self) -> None:
        """Ends the task; what waits is not for a later one."""
        self.task = None
        self.paid = False
        self._backlog.clear()

    def begin(self, task: ReadTask) -> bool:
        """Replaces the task; returns whether a sample had to go for it.

        The sample that the old one had taken is the next one's first, unless newer ones have filled the place.
        """
        held = self.task.held if self.task is not None else None
        full = len(self._backlog) == self._backlog.maxlen
        if held is not None and not full:
            self._backlog.appendleft(held)
        self.paid = False
        self.task = task
        return held is not None and full

    def next_sample(self, now: float) -> bytes | None:
        """The sample to send now, or None; a task that is over ends here."""
        task = self.task
        if task is None:
            return None
        if task.held is None:
            if task.over(now):
                self.task = None
                return None
            if not self._backlog:
                return None
            task.held = self._backlog.popleft()
        return task.held

    def sent(self, counts: bool) -> None:
        """The sample at hand is done with; `counts` says whether the client got it."""
        task = self.task
        assert task is not None, "a sample was taken for a task"
        task.held = None
        self.paid = False
        if counts and task.remaining is not None:
            task.remaining -= 1
