"""A small XRCE client, for simulated controllers, tests and measurements: bytes and times in, bytes and events out.

It speaks as the real client does with micro-ROS: binary entities, stream 0x01 and 0x80, a short history, HEARTBEAT
every 100 ms while something is not acknowledged, everything sent again at any bit of a NACK. `client_link.py` runs it
over UDP or a serial line.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TypeAlias

from robot_ai.micro_ros import wire
from robot_ai.micro_ros.cdr import CdrReader, CdrWriter
from robot_ai.micro_ros.errors import MessageError
from robot_ai.micro_ros.middleware import Durability, History, QoS, Reliability, Status
from robot_ai.micro_ros.outbox import Outbox
from robot_ai.micro_ros.streams import BestEffortInput, ReliableInput
from robot_ai.micro_ros.wire import HEADER, LITTLE_ENDIAN, STREAM_BEST_EFFORT, STREAM_RELIABLE, ObjectKind, Submessage

HEARTBEAT_PERIOD = 0.1
LOGIN_PERIOD = 1.0
_FIRST_REQUEST = 10
_LOGIN_REQUEST, _LOGOUT_REQUEST = 1, 2
_UNLIMITED = 0xFFFF
_NANOSECONDS = 1_000_000_000
_RELIABLE_QOS = QoS(Reliability.RELIABLE, Durability.VOLATILE, History.KEEP_LAST, 10)


@dataclass(frozen=True)
class Answer:
    """A STATUS, or STATUS_AGENT (object 0) for a login."""

    request_id: int
    object_id: int
    status: int

    @property
    def ok(self) -> bool:
        """Whether it succeeded, as the real client counts it."""
        return self.status in (Status.OK, Status.OK_MATCHED)


@dataclass(frozen=True)
class Sample:
    """A sample of a topic. `cdr` has no encapsulation header; `request_id` is that of the reading."""

    object_id: int
    request_id: int
    cdr: bytes


@dataclass(frozen=True)
class Request:
    """A request to our replier; `identity` goes back with the reply."""

    object_id: int
    identity: bytes
    cdr: bytes


@dataclass(frozen=True)
class Reply:
    """The answer to our call `request_id`."""

    object_id: int
    request_id: int
    cdr: bytes


@dataclass(frozen=True)
class Pong:
    """The agent answered a ping; `in_session` tells whether it knows our session."""

    in_session: bool


@dataclass(frozen=True)
class TimeOffset:
    """What to add to our clock, in nanoseconds, to have the agent's."""

    nanoseconds: int


Event: TypeAlias = Answer | Sample | Request | Reply | Pong | TimeOffset


def object_id(number: int, kind: ObjectKind) -> int:
    """The 16 bits of an object id: 12 of number, 4 of kind."""
    return number << 4 | kind


class XrceClient:
    """One session as the microcontroller sees it; not thread-safe. What it says gathers in `output`.

    `key` is four bytes, `history` the messages of each reliable stream's history, `mtu` the largest message. Times are
    monotonic seconds. Objects are named by number; each kind counts on its own.
    """

    def __init__(self, key: bytes, *, session_id: int = 0x81, mtu: int = 508, history: int = 4) -> None:
        self.key = key
        self.session_id = session_id
        self.output: list[bytes] = []
        self.connected = False
        self._mtu = mtu
        self._history = history
        self._header_size = wire.header_size(session_id)
        key_bytes = b"" if session_id & 0x80 else key
        self._outbox = Outbox(
            session_id, key_bytes, mtu, input_history=_UNLIMITED, emit=self.output.append, window=history
        )
        self._reliable: dict[int, ReliableInput] = {}
        self._best_effort: dict[int, BestEffortInput] = {}
        self._request_id = _FIRST_REQUEST - 1
        self._next_heartbeat = 0.0
        self._next_login: float | None = None
        self._events: list[Event] = []
        self._now = 0.0

    @property
    def unacknowledged(self) -> int:
        """Reliable messages that are on their way or wait for room."""
        return self._outbox.on_the_way

    def login(self, now: float) -> None:
        """Begins the session, again and again until the agent answers; afterwards `connected`."""
        self._outbox.reset()
        self._reliable.clear()
        self._best_effort.clear()
        self._request_id = _FIRST_REQUEST - 1
        self.connected = False
        self._next_login = now + LOGIN_PERIOD
        payload = wire.COOKIE + wire.VERSION + wire.VENDOR + self.key + bytes((self.session_id, 0))
        submessage = wire.submessage(Submessage.CREATE_CLIENT, LITTLE_ENDIAN, payload + struct.pack("<H", self._mtu))
        no_session = self.session_id & 0x80
        self.output.append(HEADER.pack(no_session, 0, 0) + (b"" if no_session else self.key) + submessage)

    def logout(self) -> None:
        """Ends the session; the agent answers with an Answer to request 2."""
        base = struct.pack(">HH", _LOGOUT_REQUEST, wire.OBJECT_CLIENT)
        self._outbox.control(wire.submessage(Submessage.DELETE, LITTLE_ENDIAN, base))

    def ping(self) -> None:
        """Asks whether the agent is there and knows this session."""
        self._outbox.control(wire.get_info(_FIRST_REQUEST, wire.OBJECT_AGENT, 2))

    def ask_time(self, utc: int) -> None:
        """Asks for the agent's time; `utc` is ours in nanoseconds. A TimeOffset comes back."""
        payload = struct.pack("<iI", *divmod(utc, _NANOSECONDS))
        self._outbox.control(wire.submessage(Submessage.TIMESTAMP, LITTLE_ENDIAN, payload))

    def create_participant(self, number: int, name: str, domain_id: int, now: float) -> int:
        """Makes a node; returns the request id. The domain 255 is the agent's own."""
        content = CdrWriter().u8(0).u8(1).string(name).bytes()
        return self._create(number, ObjectKind.PARTICIPANT, content, domain_id, now)

    def create_topic(self, number: int, name: str, type_name: str, participant: int, now: float) -> int:
        """Makes a topic from DDS names ("rt/chatter", "std_msgs::msg::dds_::String_")."""
        content = CdrWriter().string(name).u8(0).u8(1).string(type_name).bytes()
        return self._create(number, ObjectKind.TOPIC, content, object_id(participant, ObjectKind.PARTICIPANT), now)

    def create_publisher(self, number: int, participant: int, now: float) -> int:
        """Makes a group of writers."""
        return self._create(number, ObjectKind.PUBLISHER, bytes(2), object_id(participant, ObjectKind.PARTICIPANT), now)

    def create_subscriber(self, number: int, participant: int, now: float) -> int:
        """Makes a group of readers."""
        parent = object_id(participant, ObjectKind.PARTICIPANT)
        return self._create(number, ObjectKind.SUBSCRIBER, bytes(2), parent, now)

    def create_datawriter(self, number: int, topic: int, publisher: int, now: float, qos: QoS = _RELIABLE_QOS) -> int:
        """Makes a writer of a topic."""
        parent = object_id(publisher, ObjectKind.PUBLISHER)
        return self._create(number, ObjectKind.DATAWRITER, _endpoint(topic, qos, bytes(1)), parent, now)

    def create_datareader(self, number: int, topic: int, subscriber: int, now: float, qos: QoS = _RELIABLE_QOS) -> int:
        """Makes a reader of a topic; it delivers once `read` was called."""
        parent = object_id(subscriber, ObjectKind.SUBSCRIBER)
        return self._create(number, ObjectKind.DATAREADER, _endpoint(topic, qos, bytes(2)), parent, now)

    def create_service(  # noqa: PLR0917
        self, number: int, kind: ObjectKind, name: str, types: tuple[str, str], participant: int, now: float
    ) -> int:
        """Makes a REQUESTER or REPLIER of the ROS service `name` ("/add"); `types` are DDS names, request and reply."""
        bare = name.lstrip("/")
        content = CdrWriter().string(name).string(types[0]).string(types[1])
        content.u8(1).string(f"rq/{bare}Request").u8(1).string(f"rr/{bare}Reply")
        parent = object_id(participant, ObjectKind.PARTICIPANT)
        return self._create(number, kind, content.bytes(), parent, now)

    def delete(self, number: int, kind: ObjectKind, now: float) -> int:
        """Deletes an object; returns the request id."""
        request_id = self._next_request()
        base = struct.pack(">HH", request_id, object_id(number, kind))
        self._submit(STREAM_RELIABLE, wire.submessage(Submessage.DELETE, LITTLE_ENDIAN, base), now)
        return request_id

    def write(self, number: int, cdr: bytes, now: float, *, reliable: bool = True) -> int:
        """Publishes; `cdr` without encapsulation.

        Raises MessageError for a best-effort sample that does not fit in a message, and for a reliable one while far
        too much is not acknowledged.
        """
        return self._write(object_id(number, ObjectKind.DATAWRITER), cdr, now, reliable)

    def call(self, number: int, cdr: bytes, now: float) -> int:
        """Calls a service through a requester; the Reply has the request id that is returned."""
        return self._write(object_id(number, ObjectKind.REQUESTER), cdr, now, True)

    def reply(self, number: int, identity: bytes, cdr: bytes, now: float) -> int:
        """Answers a Request."""
        return self._write(object_id(number, ObjectKind.REPLIER), identity + cdr, now, True)

    def read(
        self, number: int, kind: ObjectKind, now: float, *, reliable: bool = True, samples: int = _UNLIMITED
    ) -> int:
        """Asks for what comes to a DATAREADER, REQUESTER or REPLIER; 0 samples cancel. Returns the request id."""
        request_id = self._next_request()
        stream_id = STREAM_RELIABLE if reliable else STREAM_BEST_EFFORT
        payload = struct.pack(">HHBBBB", request_id, object_id(number, kind), stream_id, 0, 0, 1)
        payload += struct.pack("<4H", samples, 0, 0, 0)
        self._submit(STREAM_RELIABLE, wire.submessage(Submessage.READ_DATA, LITTLE_ENDIAN, payload), now)
        return request_id

    def poll(self, now: float) -> None:
        """Says what is due: HEARTBEAT, a login that was not answered. Call it every 10 ms or so."""
        if self._next_login is not None and now >= self._next_login:
            self.login(now)
        if now >= self._next_heartbeat:
            self._next_heartbeat = now + HEARTBEAT_PERIOD
            self._outbox.heartbeats()

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Takes a message of the agent; returns what it brought. Anything else is passed over."""
        self._events = []
        self._now = now
        if len(data) < self._header_size or data[0] != self.session_id:
            return []
        stream_id = data[1]
        sequence = data[2] | data[3] << 8
        if stream_id & STREAM_RELIABLE:
            stream = self._reliable.setdefault(stream_id, ReliableInput(self._history))
            for message in stream.receive(sequence, data):
                self._process(message, self._header_size, stream_id)
            self._acknowledge(stream_id, stream)
        elif not stream_id or self._best_effort.setdefault(stream_id, BestEffortInput()).take(sequence):
            self._process(data, self._header_size, stream_id)
        return self._events

    def _create(self, number: int, kind: ObjectKind, content: bytes, parent_or_domain: int, now: float) -> int:
        request_id = self._next_request()
        payload = (
            CdrWriter().raw(struct.pack(">HH", request_id, object_id(number, kind))).u8(kind).u8(3).octets(content)
        )
        if kind == ObjectKind.PARTICIPANT:
            payload.u16(parent_or_domain)
        else:
            payload.raw(parent_or_domain.to_bytes(2, "big"))
        flags = LITTLE_ENDIAN | wire.CREATE_REUSE | wire.CREATE_REPLACE
        self._submit(STREAM_RELIABLE, wire.submessage(Submessage.CREATE, flags, payload.bytes()), now)
        return request_id

    def _write(self, writer: int, data: bytes, now: float, reliable: bool) -> int:
        request_id = self._next_request()
        payload = struct.pack(">HH", request_id, writer) + data
        # More than 64 KiB has length 0, as the real client writes it.
        length = len(payload) if len(payload) <= 0xFFFF else 0
        submessage = HEADER.pack(Submessage.WRITE_DATA, LITTLE_ENDIAN, length) + payload
        self._submit(STREAM_RELIABLE if reliable else STREAM_BEST_EFFORT, submessage, now)
        return request_id

    def _submit(self, stream_id: int, submessage: bytes, now: float) -> None:
        pieces = self._outbox.cut(submessage)
        if len(pieces) > 1 and not stream_id & STREAM_RELIABLE:
            raise MessageError(f"{len(submessage)} bytes do not fit in a best-effort message of {self._mtu} bytes")
        if stream_id & STREAM_RELIABLE and len(pieces) > self._outbox.room_to_wait(stream_id):
            raise MessageError("too much waits to be acknowledged; expected a pause until `unacknowledged` falls")
        for piece in pieces:
            self._outbox.submit(stream_id, piece, now)

    def _next_request(self) -> int:
        self._request_id = self._request_id + 1 if self._request_id < 0xFFFF else _FIRST_REQUEST
        return self._request_id

    def _acknowledge(self, stream_id: int, stream: ReliableInput) -> None:
        self._outbox.control(wire.acknack(stream.expected, stream.missing(True), stream_id))

    def _process(self, data: bytes, position: int, stream_id: int) -> None:
        while len(data) - position >= wire.SUBHEADER_SIZE:
            kind, flags, length = HEADER.unpack_from(data, position)
            start = position + wire.SUBHEADER_SIZE
            end = start + length
            if end > len(data):
                return
            try:
                self._serve(kind, data, start, end, flags, stream_id=stream_id)
            except MessageError:
                return
            position = end + (-end & 3)

    def _serve(self, kind: int, data: bytes, start: int, end: int, flags: int, *, stream_id: int) -> None:
        reader = CdrReader(data, bool(flags & LITTLE_ENDIAN), start, end)
        if kind == Submessage.DATA:
            self._take(
                int.from_bytes(reader.raw(2), "big"), int.from_bytes(reader.raw(2), "big"), data[start + 4 : end]
            )
        elif kind == Submessage.ACKNACK:
            first, bits = reader.u16(), int.from_bytes(reader.raw(2), "big")
            # The real client does not look at the bits: any of them makes it send everything again.
            self._outbox.acknowledge(reader.u8(), first, 0xFFFF if bits else 0, self._now)
        elif kind == Submessage.HEARTBEAT:
            first, last, about = reader.u16(), reader.u16(), reader.u8()
            stream = self._reliable.setdefault(about, ReliableInput(self._history))
            for message in stream.heartbeat(first, last):
                self._process(message, self._header_size, about)
            self._acknowledge(about, stream)
        elif kind == Submessage.FRAGMENT:
            self._assemble(self._reliable[stream_id], data[start:end], flags, stream_id)
        elif kind == Submessage.STATUS:
            request_id, answered = (int.from_bytes(reader.raw(2), "big") for _ in range(2))
            self._events.append(Answer(request_id, answered, reader.u8()))
        elif kind == Submessage.STATUS_AGENT:
            result = reader.u8()
            self.connected = result == Status.OK
            self._next_login = None
            self._events.append(Answer(_LOGIN_REQUEST, 0, result))
        elif kind == Submessage.INFO:
            self._events.append(Pong(bool(reader.raw(6)[5])))
        elif kind == Submessage.GET_INFO:
            # The real client's answer: eight zeros without a submessage header.
            self._outbox.control(bytes(8))
        elif kind == Submessage.TIMESTAMP_REPLY:
            sent, received, ours = (_time(reader) for _ in range(3))
            self._events.append(TimeOffset((sent + received) // 2 - ours))

    def _assemble(self, stream: ReliableInput, piece: bytes, flags: int, stream_id: int) -> None:
        stream.fragments = (stream.fragments or bytearray()) + piece
        if flags & wire.FRAGMENT_LAST:
            whole = bytes(stream.fragments)
            stream.fragments = None
            self._process(whole, 0, stream_id)

    def _take(self, request_id: int, reader_id: int, data: bytes) -> None:
        kind = reader_id & 0xF
        if kind == ObjectKind.REPLIER:
            self._events.append(Request(reader_id, data[:24], data[24:]))
        elif kind == ObjectKind.REQUESTER:
            self._events.append(Reply(reader_id, int.from_bytes(data[:2], "big"), data[4:]))
        else:
            self._events.append(Sample(reader_id, request_id, data))


def _time(reader: CdrReader) -> int:
    seconds, nanoseconds = reader.u32(), reader.u32()
    return seconds * _NANOSECONDS + nanoseconds


def _endpoint(topic: int, qos: QoS, rest: bytes) -> bytes:
    """The binary form of a writer or reader; `rest` says that the optional ends are not there."""
    flags = int(qos.reliability is Reliability.RELIABLE)
    flags |= (qos.history is History.KEEP_LAST) << 1
    flags |= (qos.durability is Durability.TRANSIENT_LOCAL) << 3
    topic_id = object_id(topic, ObjectKind.TOPIC).to_bytes(2, "big")
    content = CdrWriter().raw(topic_id).u8(1).u16(flags).u8(1).u16(qos.depth).u8(0).u8(0).u8(0)
    return content.raw(rest).bytes()
