"""What goes between a client's objects and ROS: their making and end, samples, calls and replies both ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from robot_ai.micro_ros import books, wire
from robot_ai.micro_ros import outbox as out
from robot_ai.micro_ros.books import Books
from robot_ai.micro_ros.cdr import CdrReader
from robot_ai.micro_ros.config import AgentSettings
from robot_ai.micro_ros.delivery import ReadRequest, ReadTask
from robot_ai.micro_ros.entities import parse_creation
from robot_ai.micro_ros.errors import EntityXmlError, MessageError
from robot_ai.micro_ros.identity import request_identity, request_token
from robot_ai.micro_ros.middleware import ClientInfo, Handle, Middleware, Refusal, Status
from robot_ai.micro_ros.objects import Entity, ObjectTable
from robot_ai.micro_ros.outbox import Outbox
from robot_ai.micro_ros.wire import ENCAPSULATION, LITTLE_ENDIAN, ObjectKind

_MOST_PENDING = 1024


class Registry(Protocol):
    """Where entities of all clients are found, and who wakes them."""

    settings: AgentSettings
    middleware: Middleware

    def new_handle(self) -> Handle:
        """A handle that was never used."""

    def register(self, entity: Entity) -> None:
        """The entity may be reached by its handle from now on."""

    def unregister(self, entity: Entity) -> None:
        """No longer."""

    def wake(self, entity: Entity, at: float) -> None:
        """Calls `Traffic.pump(entity, now)` at the monotonic time `at`."""


class Traffic:
    """One client's objects. The submessages' methods return whether the rest of the message is to be served, too.

    `client` tells who it is now, `warn` logs something about it. `now`, monotonic seconds, is set by the session when a
    message comes.
    """

    def __init__(
        self,
        registry: Registry,
        outbox: Outbox,
        figures: Books,
        client: Callable[[], ClientInfo],
        warn: Callable[[str], None],
    ) -> None:
        settings = registry.settings
        self._registry = registry
        self._middleware = registry.middleware
        self._settings = settings
        self.client = client
        self._warn = warn
        self._books = figures
        self.outbox = outbox
        self.objects = ObjectTable(
            self, self._middleware, registry.new_handle, settings.max_entities, settings.max_backlog
        )
        self._blocked: dict[Entity, None] = {}
        self.now = 0.0

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
            self._books.dropped[books.DROPPED_NOT_CDR] += 1
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
                    self._registry.wake(entity, now + pause)
                    return
                delivery.paid = True
            outcome = self.outbox.data(task.stream_id, task.base, sample, now)
            if outcome is out.BLOCKED:
                self._blocked[entity] = None
                return
            if outcome is not out.SENT:
                self._books.dropped[f"from ROS, {outcome}"] += 1
                self._warn(f"{len(sample)} bytes for {_name(entity)} are dropped: {outcome}")
            else:
                self._books.samples_out += 1
            delivery.sent(counts=outcome is out.SENT)

    def pump_blocked(self) -> None:
        """There is room again on the reliable streams: sends what waits for it."""
        blocked, self._blocked = self._blocked, {}
        for entity in blocked:
            self.pump(entity, self.now)

    def fail(self, entity: Entity, reason: str) -> None:
        """The ROS side could not make an object after all."""
        entity.usable = False
        self._warn(f"{_name(entity)} does not work: {reason}")

    @property
    def waiting(self) -> int:
        """Samples that wait for the client to read them."""
        return sum(len(entity.delivery) for entity in self.objects if entity.delivery is not None)

    def register(self, entity: Entity) -> None:
        """An object was made."""
        self._registry.register(entity)

    def unregister(self, entity: Entity) -> None:
        """An object is gone."""
        self._blocked.pop(entity, None)
        self._registry.unregister(entity)

    def create(self, data: bytes, start: int, end: int, flags: int, stream_id: int) -> bool:
        """CREATE."""
        little = bool(flags & LITTLE_ENDIAN)
        reader = CdrReader(data, little, start, end)
        base = reader.raw(4)
        object_id = base[2] << 8 | base[3]
        result: Status | Refusal
        try:
            creation = parse_creation(reader, little, self._settings.references)
            result = Status.OK if creation is None else self.objects.create(object_id, creation, flags, self.client())
        except MessageError as error:
            self._books.dropped[books.DROPPED_MALFORMED] += 1
            result = Refusal(Status.INVALID_DATA, str(error))
        except EntityXmlError as error:
            result = Refusal(Status.DDS_ERROR, str(error))
        if isinstance(result, Refusal):
            self._warn(f"object {object_id:04X} refused: {result.reason}")
            result = result.status
        self._answer(stream_id, base, result)
        return True

    def delete(self, data: bytes, start: int, end: int, _flags: int, stream_id: int) -> bool:
        """DELETE of an object. Raises MessageError."""
        base = CdrReader(data, True, start, end).raw(4)
        deleted = self.objects.delete(base[2] << 8 | base[3])
        self._answer(stream_id, base, Status.OK if deleted else Status.UNKNOWN_REFERENCE)
        return True

    def read(self, data: bytes, start: int, end: int, flags: int, stream_id: int) -> bool:
        """READ_DATA."""
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
        if entity.delivery.begin(ReadTask(request, self.now)):
            self._books.dropped[books.DROPPED_OVERWRITTEN] += 1
        self.pump(entity, self.now)
        return True

    def write(self, data: bytes, start: int, end: int, flags: int, _stream_id: int) -> bool:
        """WRITE_DATA: a sample, a call or a reply. Raises MessageError."""
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

    def _answer(self, stream_id: int, base: bytes, result: Status) -> None:
        reply_on = wire.STREAM_RELIABLE if stream_id & wire.STREAM_RELIABLE else wire.STREAM_BEST_EFFORT
        self.outbox.submit(reply_on, wire.status(base, result), self.now)


def _name(entity: Entity) -> str:
    return f"{entity.kind.name.lower()} {entity.object_id >> 4}"
