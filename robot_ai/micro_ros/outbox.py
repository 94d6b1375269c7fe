"""What a session says: numbering, windows, cutting into fragments, and what waits for room."""

from __future__ import annotations

from collections.abc import Callable

from robot_ai.micro_ros import wire
from robot_ai.micro_ros.streams import WINDOW, ReliableOutput
from robot_ai.micro_ros.wire import FRAGMENT_LAST, HEADER, LITTLE_ENDIAN, SUBHEADER_SIZE, Submessage

SENT = ""
BLOCKED = "blocked"
TOO_LARGE_FOR_HISTORY = "larger than the client's input history holds"
TOO_LARGE_FOR_MESSAGE = "larger than one best-effort message"
TOO_LARGE_FOR_DATA = "larger than 64 KiB"

_LARGEST_LENGTH = 0xFFFF
_MOST_WAITING = 256


class Outbox:
    """The sending side of one session. `emit` puts a finished message on the wire; `key` is empty or four bytes."""

    def __init__(
        self,
        session_id: int,
        key: bytes,
        mtu: int,
        *,
        input_history: int,
        emit: Callable[[bytes], None],
        window: int = WINDOW,
    ) -> None:
        self._session_id = session_id
        self._key = key
        self.mtu = mtu
        """The largest message that the client takes, in bytes."""
        self._input_history = input_history
        self._emit = emit
        self._window = window
        self._control_header = HEADER.pack(session_id, wire.STREAM_NONE, 0) + key
        self._best_effort: dict[int, int] = {}
        self._reliable: dict[int, ReliableOutput] = {}
        self._resent_before = 0
        self.overrun = 0
        """Answers that were thrown away because too many were waiting for acknowledgements."""

    def reset(self) -> None:
        """Begins all numbering again and forgets what is on its way."""
        self._resent_before = self.resent
        self._best_effort.clear()
        self._reliable.clear()

    def control(self, submessage: bytes) -> None:
        """Sends outside the streams: ACKNACK, HEARTBEAT, INFO, time, the answers to login and logout."""
        self._emit(self._control_header + submessage)

    def submit(self, stream_id: int, submessage: bytes, now: float) -> None:
        """Sends a submessage that fits in a message; on a reliable stream whose window is full it waits for room.

        (The stock agent throws away the STATUS that finds no room.)
        """
        if not stream_id & wire.STREAM_RELIABLE:
            self._emit(self._next_best_effort(stream_id) + submessage)
            return
        stream = self._stream(stream_id)
        if not stream.waiting and stream.room(1):
            self._send_reliable(stream_id, stream, submessage, now)
        elif len(stream.waiting) < _MOST_WAITING:
            stream.waiting.append(submessage)
        else:
            self.overrun += 1

    def room_to_wait(self, stream_id: int) -> int:
        """How many submessages may still be submitted on a reliable stream before one is thrown away."""
        return _MOST_WAITING - len(self._stream(stream_id).waiting)

    def data(self, stream_id: int, base: bytes, body: bytes, now: float) -> str:
        """Sends DATA: `base` is the request's id and object, `body` what follows it.

        Returns SENT, BLOCKED when there is no room now, or why the client can never have it (a cause for the
        statistics).
        """
        length = len(base) + len(body)
        if length > _LARGEST_LENGTH:
            return TOO_LARGE_FOR_DATA
        submessage = HEADER.pack(Submessage.DATA, LITTLE_ENDIAN, length) + base + body
        fits = len(self._control_header) + len(submessage) <= self.mtu
        if not stream_id & wire.STREAM_RELIABLE:
            if not fits:
                return TOO_LARGE_FOR_MESSAGE
            self._emit((self._next_best_effort(stream_id) if stream_id else self._control_header) + submessage)
            return SENT
        stream = self._stream(stream_id)
        if fits:
            if stream.waiting or not stream.room(1):
                return BLOCKED
            self._send_reliable(stream_id, stream, submessage, now)
            return SENT
        return self._fragmented(stream_id, stream, submessage, now)

    def cut(self, submessage: bytes) -> list[bytes]:
        """The submessage as it is when it fits in a message, else in FRAGMENTs that do."""
        size = self.mtu - len(self._control_header)
        if len(submessage) <= size:
            return [submessage]
        size -= SUBHEADER_SIZE
        pieces = [submessage[start : start + size] for start in range(0, len(submessage), size)]
        flags = [LITTLE_ENDIAN] * (len(pieces) - 1) + [LITTLE_ENDIAN | FRAGMENT_LAST]
        return [
            HEADER.pack(Submessage.FRAGMENT, flag, len(piece)) + piece
            for flag, piece in zip(flags, pieces, strict=True)
        ]

    def acknowledge(self, stream_id: int, first_unacked: int, missing: int, now: float) -> bool:
        """Takes an ACKNACK: sends again what is missing, then what waited. Returns whether there is room for more."""
        stream = self._reliable.get(stream_id)
        if stream is None:
            return False
        for message in stream.acknowledge(first_unacked, missing, now):
            self._emit(message)
        while stream.waiting and stream.room(1):
            self._send_reliable(stream_id, stream, stream.waiting.popleft(), now)
        return stream.room(1)

    def heartbeats(self) -> None:
        """Sends a HEARTBEAT for each reliable stream that has messages on their way."""
        for stream_id, stream in self._reliable.items():
            announced = stream.heartbeat()
            if announced is not None:
                self.control(wire.heartbeat(*announced, stream_id))

    def probe(self, now: float) -> None:
        """Asks for a sign of life: a client acknowledges every HEARTBEAT, also one that announces nothing new."""
        stream = self._stream(wire.STREAM_RELIABLE)
        stream.probed_at = now
        following = stream.number()
        first, last = stream.heartbeat() or (following, (following - 1) & 0xFFFF)
        self.control(wire.heartbeat(first, last, wire.STREAM_RELIABLE))

    @property
    def on_the_way(self) -> int:
        """Messages sent and not acknowledged, and answers that wait for room."""
        return sum(stream.on_the_way() + len(stream.waiting) for stream in self._reliable.values())

    @property
    def resent(self) -> int:
        """Messages sent again since the session began."""
        return self._resent_before + sum(stream.resent for stream in self._reliable.values())

    @property
    def round_trip(self) -> float | None:
        """Smoothed seconds from a message to its acknowledgement, on the stream that micro-ROS uses."""
        stream = self._reliable.get(wire.STREAM_RELIABLE)
        return None if stream is None else stream.round_trip

    def _fragmented(self, stream_id: int, stream: ReliableOutput, submessage: bytes, now: float) -> str:
        pieces = self.cut(submessage)
        if len(pieces) > self._input_history:
            return TOO_LARGE_FOR_HISTORY
        if stream.waiting or not stream.room(len(pieces)):
            return BLOCKED
        for piece in pieces:
            self._send_reliable(stream_id, stream, piece, now)
        return SENT

    def _send_reliable(self, stream_id: int, stream: ReliableOutput, submessage: bytes, now: float) -> None:
        message = HEADER.pack(self._session_id, stream_id, stream.number()) + self._key + submessage
        stream.sent(message, now)
        self._emit(message)

    def _next_best_effort(self, stream_id: int) -> bytes:
        sequence = self._best_effort.get(stream_id, 0)
        self._best_effort[stream_id] = (sequence + 1) & 0xFFFF
        return HEADER.pack(self._session_id, stream_id, sequence) + self._key

    def _stream(self, stream_id: int) -> ReliableOutput:
        stream = self._reliable.get(stream_id)
        if stream is None:
            stream = self._reliable[stream_id] = ReliableOutput(self._window)
        return stream
