"""One client's session: its messages in, through their streams, to what they are for; its clock and its figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable
from typing import Protocol

from robot_ai.micro_ros import books, wire
from robot_ai.micro_ros.books import Books
from robot_ai.micro_ros.bucket import TokenBucket
from robot_ai.micro_ros.cdr import CdrReader
from robot_ai.micro_ros.errors import MessageError
from robot_ai.micro_ros.inputs import InputStreams
from robot_ai.micro_ros.liveliness import Liveliness
from robot_ai.micro_ros.middleware import ClientInfo, ClientStatistics, Status
from robot_ai.micro_ros.outbox import Outbox
from robot_ai.micro_ros.streams import ReliableInput
from robot_ai.micro_ros.traffic import Registry, Traffic
from robot_ai.micro_ros.wire import HEADER, LITTLE_ENDIAN, SUBHEADER_SIZE, Submessage

_NANOSECONDS = 1_000_000_000


class Host(Registry, Protocol):
    """What a session needs of its agent."""

    def emit(self, session: Session, message: bytes) -> None:
        """Puts a message for the session's client on the wire."""

    def logout(self, session: Session) -> None:
        """The client said goodbye."""

    def warn(self, session: Session, message: str) -> None:
        """Logs something about the client, within limits."""

    def utc(self) -> int:
        """Nanoseconds since the epoch."""


class Session:
    """One client. Times are monotonic seconds; `receive` is the hot path.

    `peer` is where its messages go; `client` describes it and is replaced when the client moves.
    """

    def __init__(self, host: Host, client: ClientInfo, login: wire.Login, peer: Hashable, now: float) -> None:
        settings = host.settings
        self._host = host
        self._settings = settings
        self.client = client
        self.peer = peer
        self.key = login.key
        self.session_id = login.session_id
        self._key_bytes = b"" if login.session_id & 0x80 else login.key
        history = settings.input_histories.get(client.key, settings.input_history)
        self.outbox = Outbox(login.session_id, self._key_bytes, login.mtu, input_history=history, emit=self._emit)
        self._inputs = InputStreams()
        self._books = Books()
        self.traffic = Traffic(host, self.outbox, self._books, lambda: self.client, self._warn)
        rate = settings.max_message_rate
        self._rate = TokenBucket(rate, max(1.0, rate), now) if rate else None
        self._now = now
        self._open = True
        self.connected_at = now
        self.liveliness = Liveliness(settings, Liveliness.hard_timeout(login.properties), now)
        self._handlers: dict[int, Callable[[bytes, int, int, int, int], bool]] = {
            # The real client answers a ping with zeros instead of a submessage, which look like this; a login in an
            # open session is none.
            Submessage.CREATE_CLIENT: lambda *_: True,
            Submessage.CREATE: self.traffic.create,
            Submessage.GET_INFO: self._on_get_info,
            Submessage.DELETE: self._on_delete,
            Submessage.INFO: lambda *_: True,
            Submessage.WRITE_DATA: self.traffic.write,
            Submessage.READ_DATA: self.traffic.read,
            Submessage.ACKNACK: self._on_acknack,
            Submessage.HEARTBEAT: self._on_heartbeat,
            Submessage.RESET: self._on_reset,
            Submessage.FRAGMENT: self._on_fragment,
            Submessage.TIMESTAMP: self._on_timestamp,
        }

    def receive(self, data: bytes, now: float) -> None:
        """Takes one message of this client, header included."""
        self._now = self.traffic.now = now
        self._books.messages_in += 1
        self._books.bytes_in += len(data)
        self.liveliness.heard_at = now
        if not self.admit(now):
            return
        stream_id = data[1]
        body = 4 + len(self._key_bytes)
        if stream_id & wire.STREAM_RELIABLE:
            stream = self._inputs.reliable(stream_id) or self._inputs.open_reliable(stream_id)
            if stream is None:
                self._books.dropped[books.DROPPED_MALFORMED] += 1
                return
            for message in stream.receive(data[2] | data[3] << 8, data):
                self._process(message, body, stream_id)
            self._acknowledge(stream_id, stream, repeat=False)
        elif stream_id:
            newest = self._inputs.open_best_effort(stream_id)
            if newest is None:
                self._books.dropped[books.DROPPED_MALFORMED] += 1
            elif newest.take(data[2] | data[3] << 8):
                self._process(data, body, stream_id)
        else:
            self._process(data, body, stream_id)

    def admit(self, now: float) -> bool:
        """Whether one more message of this client is within `max_message_rate`; counts it if not."""
        if self._rate is None or self._rate.take(1, now) == 0:
            return True
        self._books.dropped[books.DROPPED_RATE] += 1
        return False

    @property
    def makes_nothing(self) -> bool:
        """Whether the client has no object."""
        return not len(self.traffic.objects)

    def restart(self, mtu: int, now: float) -> None:
        """The same client logged in again: its objects stay, all numbering begins anew."""
        self.outbox.reset()
        self.outbox.mtu = mtu
        self._inputs.reset()
        self.liveliness.heard_at = self._now = self.traffic.now = now
        self.traffic.pump_blocked()

    def move(self, peer: Hashable, link: str) -> None:
        """The client is somewhere else now."""
        self.peer = peer
        self.client = dataclasses.replace(self.client, link=link)

    def close(self) -> None:
        """Deletes all objects."""
        self._open = False
        self.traffic.objects.clear()

    def statistics(self) -> ClientStatistics:
        """The client's figures."""
        figures = self._books
        dropped = dict(figures.dropped)
        if self.outbox.overrun:
            dropped[books.DROPPED_ANSWER] = self.outbox.overrun
        return ClientStatistics(
            client=self.client,
            silent=self.liveliness.silent,
            connected_at=self.connected_at,
            heard_at=self.liveliness.heard_at,
            entities=len(self.traffic.objects),
            messages_in=figures.messages_in,
            messages_out=figures.messages_out,
            bytes_in=figures.bytes_in,
            bytes_out=figures.bytes_out,
            samples_in=figures.samples_in,
            samples_out=figures.samples_out,
            missed=self._inputs.missed,
            duplicates=self._inputs.duplicates,
            resent=self.outbox.resent,
            waiting=self.traffic.waiting + self.outbox.on_the_way,
            round_trip=self.outbox.round_trip,
            clock_offset=figures.clock_offset,
            dropped=dropped,
        )

    def _emit(self, message: bytes) -> None:
        self._books.messages_out += 1
        self._books.bytes_out += len(message)
        self._host.emit(self, message)

    def _warn(self, message: str) -> None:
        self._host.warn(self, message)

    def _process(self, data: bytes, position: int, stream_id: int) -> None:
        """Serves the submessages of a message, in order, up to one that fails (as the stock agent does)."""
        size = len(data)
        handlers = self._handlers
        while size - position >= SUBHEADER_SIZE and self._open:
            kind, flags, length = HEADER.unpack_from(data, position)
            start = position + SUBHEADER_SIZE
            # Off the standard: a WRITE_DATA of more than 64 KiB has length 0 and goes on to the end.
            end = start + length if length or kind != Submessage.WRITE_DATA else size
            handler = handlers.get(kind)
            if end > size or handler is None:
                self._books.dropped[books.DROPPED_MALFORMED] += 1
                return
            try:
                if not handler(data, start, end, flags, stream_id):
                    return
            except MessageError:
                self._books.dropped[books.DROPPED_MALFORMED] += 1
                return
            position = end + (-end & 3)

    def _on_delete(self, data: bytes, start: int, end: int, flags: int, stream_id: int) -> bool:
        base = CdrReader(data, True, start, end).raw(4)
        if base[2] << 8 | base[3] != wire.OBJECT_CLIENT:
            return self.traffic.delete(data, start, end, flags, stream_id)
        self.outbox.control(wire.status(base, Status.OK))
        self._host.logout(self)
        return False

    def _on_acknack(self, data: bytes, start: int, end: int, flags: int, _stream_id: int) -> bool:
        first, missing, stream_id = wire.parse_acknack(data, start, end, bool(flags & LITTLE_ENDIAN))
        if self.outbox.acknowledge(stream_id, first, missing, self._now):
            self.traffic.pump_blocked()
        return True

    def _on_heartbeat(self, data: bytes, start: int, end: int, flags: int, _stream_id: int) -> bool:
        reader = CdrReader(data, bool(flags & LITTLE_ENDIAN), start, end)
        first, last, stream_id = reader.u16(), reader.u16(), reader.u8()
        if not stream_id & wire.STREAM_RELIABLE:
            raise MessageError("HEARTBEAT of a stream that is not reliable")
        stream = self._inputs.open_reliable(stream_id)
        if stream is not None:
            for message in stream.heartbeat(first, last):
                self._process(message, 4 + len(self._key_bytes), stream_id)
            self._acknowledge(stream_id, stream, repeat=True)
        return True

    def _on_fragment(self, data: bytes, start: int, end: int, flags: int, stream_id: int) -> bool:
        stream = self._inputs.reliable(stream_id)
        if stream is None:
            raise MessageError("FRAGMENT on a stream that is not reliable")
        last = flags & wire.FRAGMENT_LAST
        if stream.broken:
            stream.broken = not last
            return True
        if stream.fragments is None:
            stream.fragments = bytearray()
        stream.fragments += data[start:end]
        if len(stream.fragments) > self._settings.max_sample:
            self._books.dropped[books.DROPPED_TOO_LARGE] += 1
            self._warn(f"a sample is larger than max_sample ({self._settings.max_sample} bytes): dropped")
            stream.fragments = None
            stream.broken = not last
        elif last:
            whole = bytes(stream.fragments)
            stream.fragments = None
            self._process(whole, 0, stream_id)
        return True

    def _on_timestamp(self, data: bytes, start: int, end: int, flags: int, _stream_id: int) -> bool:
        received = self._host.utc()
        reader = CdrReader(data, bool(flags & LITTLE_ENDIAN), start, end)
        seconds, nanoseconds = reader.u32(), reader.u32()
        sent = (seconds - (seconds >> 31 << 32)) * _NANOSECONDS + nanoseconds
        trip = self.outbox.round_trip or 0.0
        self._books.clock_offset = (sent - received) / _NANOSECONDS + trip / 2
        originate = seconds.to_bytes(4, "little") + nanoseconds.to_bytes(4, "little")
        self.outbox.control(wire.timestamp_reply(self._host.utc(), received, originate))
        return True

    def _on_get_info(self, data: bytes, start: int, end: int, _flags: int, _stream_id: int) -> bool:
        self.outbox.control(wire.info(CdrReader(data, True, start, end).raw(4), in_session=True))
        return True

    def _on_reset(self, *_: object) -> bool:
        self.outbox.reset()
        self._inputs.reset()
        self.traffic.pump_blocked()
        return True

    def _acknowledge(self, stream_id: int, stream: ReliableInput, *, repeat: bool) -> None:
        if self._open:
            self.outbox.control(wire.acknack(stream.expected, stream.missing(repeat), stream_id))
