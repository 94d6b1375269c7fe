"""One client's session: its messages in, through their streams, to the objects they are about."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable
from typing import Protocol

from robot_ai.micro_ros import books, wire
from robot_ai.micro_ros import outbox as out
from robot_ai.micro_ros.books import Books
from robot_ai.micro_ros.bucket import TokenBucket
from robot_ai.micro_ros.cdr import CdrReader
from robot_ai.micro_ros.config import AgentSettings
from robot_ai.micro_ros.delivery import ReadRequest, ReadTask
from robot_ai.micro_ros.entities import parse_creation
from robot_ai.micro_ros.errors import EntityXmlError, MessageError
from robot_ai.micro_ros.identity import request_identity, request_token
from robot_ai.micro_ros.inputs import InputStreams
from robot_ai.micro_ros.liveliness import Liveliness
from robot_ai.micro_ros.middleware import ClientInfo, ClientStatistics, Handle, Middleware, Refusal, Status
from robot_ai.micro_ros.objects import Entity, ObjectTable
from robot_ai.micro_ros.outbox import Outbox
from robot_ai.micro_ros.streams import ReliableInput
from robot_ai.micro_ros.wire import ENCAPSULATION, HEADER, LITTLE_ENDIAN, SUBHEADER_SIZE, ObjectKind, Submessage

_MOST_PENDING = 1024
_NANOSECONDS = 1_000_000_000


class Host(Protocol):
    """What a session needs of its agent."""

    settings: AgentSettings
    middleware: Middleware

    def emit(self, session: Session, message: bytes) -> None:
        """Puts a message for the session's client on the wire."""

    def new_handle(self) -> Handle:
        """A handle that was never used."""

    def register(self, entity: Entity) -> None:
        """The entity may be reached by its handle from now on."""

    def unregister(self, entity: Entity) -> None:
        """No longer."""

    def wake(self, entity: Entity, at: float) -> None:
        """Calls `Session.pump(entity, now)` at the monotonic time `at`."""

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
        self._middleware = host.middleware
        self._settings = settings
        self.client = client
        self.peer = peer
        self.key = login.key
        self.session_id = login.session_id
        self._key_bytes = b"" if login.session_id & 0x80 else login.key
        history = settings.input_histories.get(client.key, settings.input_history)
        self.outbox = Outbox(login.session_id, self._key_bytes, login.mtu, input_history=history, emit=self._emit)
        self.objects = ObjectTable(self, self._middleware, host.new_handle, settings.max_entities, settings.max_backlog)
        self._inputs = InputStreams()
        self._books = Books()
        self._blocked: dict[Entity, None] = {}
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
            Submessage.CREATE: self._on_create,
            Submessage.GET_INFO: self._on_get_info,
            Submessage.DELETE: self._on_delete,
            Submessage.INFO: lambda *_: True,
            Submessage.WRITE_DATA: self._on_write,
            Submessage.READ_DATA: self._on_read,
            Submessage.ACKNACK: self._on_acknack,
            Submessage.HEARTBEAT: self._on_heartbeat,
            Submessage.RESET: self._on_reset,
            Submessage.FRAGMENT: self._on_fragment,
            Submessage.TIMESTAMP: self._on_timestamp,
        }

    def receive(self, data: bytes, now: float) -> None:
        """Takes one message of this client, header included."""
        self._now = now
        self._books.messages_in += 1
        self._books.bytes_in += len(data)
        self.liveliness.heard_at = now
        if self._rate is not None and self._rate.take(1, now) > 0:
            self._books.dropped[books.DROPPED_RATE] += 1
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

    def restart(self, mtu: int, now: float) -> None:
        """The same client logged in again: its objects stay, all numbering begins anew."""
        self.outbox.reset()
        self.outbox.mtu = mtu
        self._inputs.reset()
        self.liveliness.heard_at = self._now = now
        self._pump_blocked()

    def move(self, peer: Hashable, link: str) -> None:
        """The client is somewhere else now."""
        self.peer = peer
        self.client = dataclasses.replace(self.client, link=link)

    def deliver(self, entity: Entity, sample: bytes, now: float) -> None:
        """Something for the client to read: what follows DATA's base, with nothing taken off any more."""
        delivery = entity.delivery
        if delivery is None or not entity.usable:
            return
        if delivery.put(sample):
            self._books.dropped[books.DROPPED_OVERWRITTEN] += 1
        self.pump(entity, now)

    def sample_from_ros(self, entity: Entity, head: bytes, cdr: bytes, now: float) -> None:
        """A sample, request or reply from ROS with its encapsulation; `head` goes before it on the wire."""
        if cdr[:2] != ENCAPSULATION[:2]:
            self.drop(books.DROPPED_NOT_CDR)
            return
        self.deliver(entity, head + cdr[4:], now)

    def request_from_ros(self, entity: Entity, token: int, cdr: bytes, now: float) -> None:
        """A request for the client's replier."""
        if len(entity.waiting) >= _MOST_PENDING:
            # The oldest one, which the client has not answered for so long, will not be.
            del entity.waiting[next(iter(entity.waiting))]
        entity.waiting[token] = None
        self.sample_from_ros(entity, request_identity(entity.handle, token), cdr, now)

    def pump(self, entity: Entity, now: float) -> None:
        """Sends what waits for an object's reader, as far as its task, its rate and the stream allow."""
        delivery = entity.delivery
        if delivery is None or not entity.usable:
            return
        while (sample := delivery.next_sample(now)) is not None:
            task = delivery.task
            assert task is not None, "a sample is taken for a task"
            if not delivery.paid:
                pause = task.pause(len(sample), now)
                if pause > 0:
                    self._host.wake(entity, now + pause)
                    return
                delivery.paid = True
            outcome = self.outbox.data(task.stream_id, task.base, sample, now)
            if outcome is out.BLOCKED:
                self._blocked[entity] = None
                return
            if outcome is not out.SENT:
                self._books.dropped[f"from ROS, {outcome}"] += 1
                self._host.warn(self, f"{len(sample)} bytes for {_name(entity)} are dropped: {outcome}")
            else:
                self._books.samples_out += 1
            delivery.sent(counts=outcome is out.SENT)

    def fail(self, entity: Entity, reason: str) -> None:
        """The ROS side could not make an object after all."""
        entity.usable = False
        self._host.warn(self, f"{_name(entity)} does not work: {reason}")

    def drop(self, cause: str) -> None:
        """Counts something lost."""
        self._books.dropped[cause] += 1

    def close(self) -> None:
        """Deletes all objects."""
        self._open = False
        self.objects.clear()

    def statistics(self) -> ClientStatistics:
        """The client's figures."""
        figures = self._books
        dropped = dict(figures.dropped)
        if self.outbox.overrun:
            dropped[books.DROPPED_ANSWER] = self.outbox.overrun
        waiting = sum(len(entity.delivery) for entity in self.objects if entity.delivery is not None)
        return ClientStatistics(
            client=self.client,
            silent=self.liveliness.silent,
            connected_at=self.connected_at,
            heard_at=self.liveliness.heard_at,
            entities=len(self.objects),
            messages_in=figures.messages_in,
            messages_out=figures.messages_out,
            bytes_in=figures.bytes_in,
            bytes_out=figures.bytes_out,
            samples_in=figures.samples_in,
            samples_out=figures.samples_out,
            missed=self._inputs.missed,
            duplicates=self._inputs.duplicates,
            resent=self.outbox.resent,
            waiting=waiting + self.outbox.on_the_way,
            round_trip=self.outbox.round_trip,
            clock_offset=figures.clock_offset,
            dropped=dropped,
        )

    def register(self, entity: Entity) -> None:
        """An object was made."""
        self._host.register(entity)

    def unregister(self, entity: Entity) -> None:
        """An object is gone."""
        self._blocked.pop(entity, None)
        self._host.unregister(entity)

    def _emit(self, message: bytes) -> None:
        self._books.messages_out += 1
        self._books.bytes_out += len(message)
        self._host.emit(self, message)

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

    def _on_write(self, data: bytes, start: int, end: int, flags: int, _stream_id: int) -> bool:
        if end - start < 4:
            raise MessageError("WRITE_DATA without an object")
        entity = self.objects.find(data[start + 2] << 8 | data[start + 3])
        if entity is None:
            self._books.dropped[books.DROPPED_UNKNOWN_OBJECT] += 1
            return False
        if flags & wire.FORMAT_MASK:
            self._books.dropped[books.DROPPED_FORMAT] += 1
            return False
        if not entity.usable:
            self._books.dropped[books.DROPPED_UNUSABLE] += 1
            return False
        kind = entity.kind
        if kind == ObjectKind.DATAWRITER:
            self._middleware.write(entity.handle, ENCAPSULATION + data[start + 4 : end])
        elif kind == ObjectKind.REQUESTER:
            request_id = data[start] << 8 | data[start + 1]
            self._middleware.call(entity.handle, request_id, ENCAPSULATION + data[start + 4 : end])
        elif kind == ObjectKind.REPLIER:
            return self._reply(entity, data[start + 4 : end])
        else:
            self._books.dropped[books.DROPPED_UNKNOWN_OBJECT] += 1
            return False
        self._books.samples_in += 1
        return True

    def _reply(self, entity: Entity, data: bytes) -> bool:
        token = request_token(entity.handle, data)
        if token is None or token not in entity.waiting:
            self._books.dropped[books.DROPPED_NO_REQUEST] += 1
            return True
        del entity.waiting[token]
        self._middleware.reply(entity.handle, token, ENCAPSULATION + data[24:])
        self._books.samples_in += 1
        return True

    def _on_create(self, data: bytes, start: int, end: int, flags: int, stream_id: int) -> bool:
        little = bool(flags & LITTLE_ENDIAN)
        reader = CdrReader(data, little, start, end)
        base = reader.raw(4)
        object_id = base[2] << 8 | base[3]
        result: Status | Refusal
        try:
            creation = parse_creation(reader, little, self._settings.references)
            result = Status.OK if creation is None else self.objects.create(object_id, creation, flags, self.client)
        except MessageError as error:
            self._books.dropped[books.DROPPED_MALFORMED] += 1
            result = Refusal(Status.INVALID_DATA, str(error))
        except EntityXmlError as error:
            result = Refusal(Status.DDS_ERROR, str(error))
        if isinstance(result, Refusal):
            self._host.warn(self, f"object {object_id:04X} refused: {result.reason}")
            result = result.status
        self._answer(stream_id, base, result)
        return True

    def _on_delete(self, data: bytes, start: int, end: int, _flags: int, stream_id: int) -> bool:
        base = CdrReader(data, True, start, end).raw(4)
        object_id = base[2] << 8 | base[3]
        if object_id == wire.OBJECT_CLIENT:
            self.outbox.control(wire.status(base, Status.OK))
            self._host.logout(self)
            return False
        self._answer(stream_id, base, Status.OK if self.objects.delete(object_id) else Status.UNKNOWN_REFERENCE)
        return True

    def _on_read(self, data: bytes, start: int, end: int, flags: int, stream_id: int) -> bool:
        request = ReadRequest.parse(CdrReader(data, bool(flags & LITTLE_ENDIAN), start, end))
        entity = self.objects.find(request.base[2] << 8 | request.base[3])
        if entity is None or entity.delivery is None:
            self._answer(wire.STREAM_RELIABLE, request.base, Status.UNKNOWN_REFERENCE)
            return True
        self._blocked.pop(entity, None)
        if request.samples == 0:
            entity.delivery.cancel()
            if self._settings.answer_cancel:
                self._answer(stream_id, request.base, Status.OK)
            return True
        entity.delivery.begin(ReadTask(request, self._now))
        self.pump(entity, self._now)
        return True

    def _on_acknack(self, data: bytes, start: int, end: int, flags: int, _stream_id: int) -> bool:
        reader = CdrReader(data, bool(flags & LITTLE_ENDIAN), start, end)
        first, missing, stream_id = reader.u16(), int.from_bytes(reader.raw(2), "big"), reader.u8()
        if self.outbox.acknowledge(stream_id, first, missing, self._now) and self._blocked:
            self._pump_blocked()
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
            self._host.warn(self, f"a sample is larger than max_sample ({self._settings.max_sample} bytes): dropped")
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
        self._pump_blocked()
        return True

    def _pump_blocked(self) -> None:
        blocked, self._blocked = self._blocked, {}
        for entity in blocked:
            self.pump(entity, self._now)

    def _answer(self, stream_id: int, base: bytes, result: Status) -> None:
        reply_on = wire.STREAM_RELIABLE if stream_id & wire.STREAM_RELIABLE else wire.STREAM_BEST_EFFORT
        self.outbox.submit(reply_on, wire.status(base, result), self._now)

    def _acknowledge(self, stream_id: int, stream: ReliableInput, *, repeat: bool) -> None:
        if self._open:
            self.outbox.control(wire.acknack(stream.expected, stream.missing(repeat), stream_id))


def _name(entity: Entity) -> str:
    return f"{entity.kind.name.lower()} {entity.object_id >> 4}"
