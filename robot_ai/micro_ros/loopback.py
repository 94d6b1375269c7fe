"""A middleware in memory: topics and services among the agent's own clients, as DDS would join them, and no ROS.

It really moves samples: a writer's sample reaches every reader of the same topic, domain and type whose QoS it
satisfies, late joiners get what a transient-local writer kept, requests reach a replier and its replies the one who
asked. It serves to try clients without ROS (`python -m robot_ai.micro_ros`), and the tests.
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
    Inbox,
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
    """Implements `Middleware`. Deliveries wait in `pending` until `flush`; with an `inbox` they go there at once.

    `decide` may refuse an entity. With `keep`, `samples` holds what clients wrote, by topic, `calls` and `replies` what
    reached services.
    """

    decide: Callable[[EntitySpec], Refusal | None] = lambda _: None
    keep: bool = True
    inbox: Inbox | None = None
    specs: dict[Handle, EntitySpec] = field(default_factory=dict)
    deleted: list[EntitySpec] = field(default_factory=list)
    events: list[ClientEvent] = field(default_factory=list)
    samples: dict[str, list[bytes]] = field(default_factory=dict)
    calls: list[tuple[RequesterSpec, int, bytes]] = field(default_factory=list)
    replies: list[tuple[ReplierSpec, int, bytes]] = field(default_factory=list)
    pending: deque[tuple[Any, ...]] = field(default_factory=deque)
    written: int = 0
    _latched: dict[Handle, deque[bytes]] = field(default_factory=dict)
    _readers: dict[Handle, list[Handle]] = field(default_factory=dict)
    _asked: dict[int, tuple[Handle, int]] = field(default_factory=dict)
    _tokens: int = 0

    def create(self, spec: EntitySpec) -> Refusal | None:
        """Accepts what `decide` accepts; a transient-local reader gets what was kept for it."""
        refusal = self.decide(spec)
        if refusal is not None:
            return refusal
        assert spec.handle not in self.specs, "a handle is used once"
        if not isinstance(spec, ParticipantSpec):
            assert isinstance(self.specs.get(spec.participant), ParticipantSpec), "parents are made first"
        self.specs[spec.handle] = spec
        self._readers.clear()
        if isinstance(spec, WriterSpec) and spec.qos.durability is not Durability.VOLATILE:
            self._latched[spec.handle] = deque(maxlen=None if spec.qos.history is History.KEEP_ALL else spec.qos.depth)
        if isinstance(spec, ReaderSpec) and spec.qos.durability is not Durability.VOLATILE:
            for writer, kept in self._latched.items():
                if self._joined(self.specs[writer], spec):
                    for sample in kept:
                        self._put("deliver", spec.handle, sample)
        return None

    def delete(self, handle: Handle) -> None:
        """Forgets an entity."""
        spec = self.specs.pop(handle)
        children = [s for s in self.specs.values() if not isinstance(s, ParticipantSpec) and s.participant == handle]
        assert not children, "children are deleted before their participant"
        self._latched.pop(handle, None)
        self._readers.clear()
        if self.keep:
            self.deleted.append(spec)

    def write(self, writer: Handle, cdr: bytes) -> None:
        """Takes a sample to every reader that DDS would join to the writer."""
        self.written += 1
        readers = self._readers.get(writer)
        if readers is None:
            found = [reader.handle for reader in self.specs.values() if self._joined(self.specs[writer], reader)]
            readers = self._readers[writer] = found
        if self.keep:
            spec = self.specs[writer]
            assert isinstance(spec, WriterSpec), "only writers write"
            self.samples.setdefault(spec.topic_name, []).append(cdr)
        if writer in self._latched:
            self._latched[writer].append(cdr)
        for reader in readers:
            self._put("deliver", reader, cdr)

    def call(self, requester: Handle, request_id: int, cdr: bytes) -> None:
        """Takes a request to the repliers of its topic."""
        spec = self.specs[requester]
        assert isinstance(spec, RequesterSpec), "only requesters call"
        if self.keep:
            self.calls.append((spec, request_id, cdr))
        for replier in self.specs.values():
            if isinstance(replier, ReplierSpec) and replier.request_topic == spec.request_topic:
                self._tokens += 1
                self._asked[self._tokens] = (requester, request_id)
                self._put("deliver_request", replier.handle, self._tokens, cdr)

    def reply(self, replier: Handle, token: int, cdr: bytes) -> None:
        """Takes a reply to the one who asked."""
        spec = self.specs[replier]
        assert isinstance(spec, ReplierSpec), "only repliers reply"
        if self.keep:
            self.replies.append((spec, token, cdr))
        if token in self._asked:
            requester, request_id = self._asked.pop(token)
            self._put("deliver_reply", requester, request_id, cdr)

    def client_changed(self, event: ClientEvent) -> None:
        """Notes what happened."""
        if self.keep:
            self.events.append(event)

    def flush(self, inbox: Any, *more: Any) -> None:
        """Hands everything that waits to `inbox` (an Inbox, or an agent with the time in `more`)."""
        while self.pending:
            method, *arguments = self.pending.popleft()
            getattr(inbox, method)(*arguments, *more)

    def _put(self, method: str, *arguments: Any) -> None:
        if self.inbox is None:
            self.pending.append((method, *arguments))
        else:
            getattr(self.inbox, method)(*arguments)

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
        assert isinstance(participant, ParticipantSpec), "parents of endpoints are participants"
        return participant.domain_id
