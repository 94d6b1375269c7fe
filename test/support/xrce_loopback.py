"""A middleware in memory: topics and services among the agent's own clients, as DDS would join them, and no ROS.

It really moves samples: a writer's sample reaches every reader of the same topic, domain and type whose QoS it satisfies,
late joiners get what a transient-local writer kept, requests reach a replier and its replies the one who asked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from robot_ai.micro_ros.middleware import (
    ClientEvent,
    Durability,
    EntitySpec,
    Handle,
    History,
    ParticipantSpec,
    ReaderSpec,
    Refusal,
    Reliability,
    ReplierSpec,
    RequesterSpec,
    WriterSpec,
)


@dataclass
class Loopback:
    """Implements `Middleware`. Deliveries wait in `pending` until `flush`, as those of another thread would.

    `decide` may refuse an entity. `samples` holds what clients wrote, by topic; `calls` and `replies` what reached services.
    """

    decide: Callable[[EntitySpec], Refusal | None] = lambda _: None
    keep: bool = True
    specs: dict[Handle, EntitySpec] = field(default_factory=dict)
    deleted: list[EntitySpec] = field(default_factory=list)
    events: list[ClientEvent] = field(default_factory=list)
    samples: dict[str, list[bytes]] = field(default_factory=dict)
    calls: list[tuple[RequesterSpec, int, bytes]] = field(default_factory=list)
    replies: list[tuple[ReplierSpec, int, bytes]] = field(default_factory=list)
    pending: deque[tuple[Any, ...]] = field(default_factory=deque)
    _latched: dict[Handle, deque[bytes]] = field(default_factory=dict)
    _asked: dict[int, tuple[Handle, int]] = field(default_factory=dict)
    _tokens: int = 0

    def create(self, spec: EntitySpec) -> Refusal | None:
        refusal = self.decide(spec)
        if refusal is not None:
            return refusal
        assert spec.handle not in self.specs, "a handle is used once"
        parent = getattr(spec, "participant", None)
        assert parent is None or isinstance(self.specs.get(parent), ParticipantSpec), "parents are made first"
        self.specs[spec.handle] = spec
        if isinstance(spec, WriterSpec) and spec.qos.durability is not Durability.VOLATILE:
            self._latched[spec.handle] = deque(maxlen=None if spec.qos.history is History.KEEP_ALL else spec.qos.depth)
        if isinstance(spec, ReaderSpec) and spec.qos.durability is not Durability.VOLATILE:
            for writer, kept in self._latched.items():
                if self._joined(self.specs[writer], spec):
                    self.pending.extend(("deliver", spec.handle, sample) for sample in kept)
        return None

    def delete(self, handle: Handle) -> None:
        spec = self.specs.pop(handle)
        children = [s for s in self.specs.values() if getattr(s, "participant", None) == handle]
        assert not children, "children are deleted before their participant"
        self._latched.pop(handle, None)
        self.deleted.append(spec)

    def write(self, writer: Handle, cdr: bytes) -> None:
        spec = self.specs[writer]
        assert isinstance(spec, WriterSpec)
        if self.keep:
            self.samples.setdefault(spec.topic_name, []).append(cdr)
        if writer in self._latched:
            self._latched[writer].append(cdr)
        for reader in self.specs.values():
            if self._joined(spec, reader):
                self.pending.append(("deliver", reader.handle, cdr))

    def call(self, requester: Handle, request_id: int, cdr: bytes) -> None:
        spec = self.specs[requester]
        assert isinstance(spec, RequesterSpec)
        self.calls.append((spec, request_id, cdr))
        for replier in self.specs.values():
            if isinstance(replier, ReplierSpec) and replier.request_topic == spec.request_topic:
                self._tokens += 1
                self._asked[self._tokens] = (requester, request_id)
                self.pending.append(("deliver_request", replier.handle, self._tokens, cdr))

    def reply(self, replier: Handle, token: int, cdr: bytes) -> None:
        spec = self.specs[replier]
        assert isinstance(spec, ReplierSpec)
        self.replies.append((spec, token, cdr))
        if token in self._asked:
            requester, request_id = self._asked.pop(token)
            self.pending.append(("deliver_reply", requester, request_id, cdr))

    def client_changed(self, event: ClientEvent) -> None:
        self.events.append(event)

    def flush(self, inbox: Any, *more: Any) -> None:
        """Hands everything that waits to `inbox` (an Inbox, or an agent with the time in `more`)."""
        while self.pending:
            method, *arguments = self.pending.popleft()
            getattr(inbox, method)(*arguments, *more)

    def _joined(self, writer: EntitySpec, reader: EntitySpec) -> bool:
        """Whether DDS would join them: same topic, type and domain, and the writer offers what the reader asks for."""
        if not isinstance(writer, WriterSpec) or not isinstance(reader, ReaderSpec):
            return False
        if (writer.topic_name, writer.type_name) != (reader.topic_name, reader.type_name):
            return False
        if self._domain(writer) != self._domain(reader):
            return False
        wants_reliable = reader.qos.reliability is Reliability.RELIABLE
        wants_latched = reader.qos.durability is not Durability.VOLATILE
        if wants_reliable and writer.qos.reliability is not Reliability.RELIABLE:
            return False
        return not wants_latched or writer.qos.durability is not Durability.VOLATILE

    def _domain(self, spec: WriterSpec | ReaderSpec) -> int | None:
        participant = self.specs[spec.participant]
        assert isinstance(participant, ParticipantSpec)
        return participant.domain_id
