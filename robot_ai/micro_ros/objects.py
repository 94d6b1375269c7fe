"""The objects of one client: creating them in each mode, matching, sharing topics, deleting."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import TYPE_CHECKING

from robot_ai.micro_ros.declarations import (
    EndpointDeclaration,
    GroupDeclaration,
    ParticipantDeclaration,
    ServiceDeclaration,
    TopicDeclaration,
)
from robot_ai.micro_ros.delivery import Delivery
from robot_ai.micro_ros.entities import Creation
from robot_ai.micro_ros.middleware import (
    ClientInfo,
    EntitySpec,
    Handle,
    History,
    Middleware,
    ParticipantSpec,
    ReaderSpec,
    Refusal,
    ReplierSpec,
    RequesterSpec,
    Status,
    TopicSpec,
    WriterSpec,
)
from robot_ai.micro_ros.wire import CREATE_REPLACE, CREATE_REUSE, ObjectKind

if TYPE_CHECKING:
    from robot_ai.micro_ros.traffic import Traffic

_KIND_MASK = 0xF
_GROUP_OF = {ObjectKind.DATAWRITER: ObjectKind.PUBLISHER, ObjectKind.DATAREADER: ObjectKind.SUBSCRIBER}
# A replier's requests and a requester's replies: services keep more than the newest one for a slow link.
_SERVICE_BACKLOG = 64


class Entity:
    """One object. `identity` is all that counts when the client asks for "the same one"."""

    __slots__ = (
        "delivery",
        "handle",
        "identity",
        "kind",
        "object_id",
        "participant",
        "retired",
        "topics",
        "traffic",
        "usable",
        "waiting",
    )

    def __init__(
        self, traffic: Traffic, object_id: int, kind: ObjectKind, handle: Handle, participant: Entity | None
    ) -> None:
        self.traffic = traffic
        self.object_id = object_id
        self.kind = kind
        self.handle = handle
        self.participant = participant
        self.identity: Hashable = None
        self.delivery: Delivery | None = None
        self.topics: dict[str, _Topic] = {}
        """Of a participant: its topics by name."""
        self.waiting: dict[int, None] = {}
        """Of a replier: the tokens of requests that the client has not answered."""
        self.usable = True
        """False once its participant is gone or the ROS side could not make it."""
        self.retired = False
        """Whether the ROS side was told to delete it."""


class _Topic:
    """A topic of a participant: it lives as long as an object uses it."""

    __slots__ = ("type_name", "users")

    def __init__(self, type_name: str) -> None:
        self.type_name = type_name
        self.users = 0


class _RefusedError(Exception):
    """Carries a refusal out of the checks; never leaves this module."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.refusal = Refusal(status, reason)


class ObjectTable:
    """The objects of one session. `new_handle` never gives the same handle twice."""

    def __init__(
        self,
        traffic: Traffic,
        middleware: Middleware,
        new_handle: Callable[[], Handle],
        most: int,
        most_kept: int,
    ) -> None:
        self._traffic = traffic
        self._middleware = middleware
        self._new_handle = new_handle
        self._most = most
        self._most_kept = most_kept
        self._entities: dict[int, Entity] = {}
        self.find = self._entities.get
        """`find(object_id)`: the entity or None."""

    def __len__(self) -> int:
        return len(self._entities)

    def __iter__(self) -> Iterator[Entity]:
        return iter(self._entities.values())

    def create(self, object_id: int, creation: Creation, mode: int, client: ClientInfo) -> Refusal | Status:
        """Serves a CREATE: a status that succeeds, or a refusal. The kind in `object_id` is not looked at."""
        object_id = object_id & ~_KIND_MASK | creation.kind
        existing = self._entities.get(object_id)
        try:
            if existing is not None and not mode & (CREATE_REUSE | CREATE_REPLACE):
                raise _RefusedError(Status.ALREADY_EXISTS, "it exists, and neither reuse nor replace is asked for")
            participant = self._participant_of(creation)
            if existing is not None:
                if (
                    mode & CREATE_REUSE
                    and existing.usable
                    and existing.identity == self._identify(creation, participant)
                ):
                    return Status.OK_MATCHED
                if not mode & CREATE_REPLACE:
                    raise _RefusedError(Status.MISMATCH, "it exists and is another one; replace is not asked for")
                self._remove(existing)
            if len(self._entities) >= self._most:
                raise _RefusedError(Status.RESOURCES, f"the client has {self._most} objects: raise max_entities")
            self._make(object_id, creation, participant, client)
        except _RefusedError as refused:
            return refused.refusal
        return Status.OK

    def delete(self, object_id: int) -> bool:
        """Serves a DELETE; returns whether there was such an object. Children stay, though nothing works in them."""
        entity = self._entities.get(object_id)
        if entity is None:
            return False
        self._remove(entity)
        return True

    def clear(self) -> None:
        """Deletes everything, participants last."""
        for entity in sorted(self._entities.values(), key=lambda entity: entity.kind, reverse=True):
            self._remove(entity)

    def _participant_of(self, creation: Creation) -> Entity | None:
        """The participant that the new object belongs to: its parent, or its parent's."""
        if creation.parent is None:
            return None
        kind = _GROUP_OF.get(creation.kind, ObjectKind.PARTICIPANT)
        parent = self._entities.get(creation.parent & ~_KIND_MASK | kind)
        if parent is None:
            raise _RefusedError(Status.UNKNOWN_REFERENCE, f"its {kind.name.lower()} does not exist")
        return parent if kind == ObjectKind.PARTICIPANT else parent.participant

    def _identify(self, creation: Creation, participant: Entity | None) -> Hashable:
        declaration = creation.declaration
        handle = None if participant is None else participant.handle
        if isinstance(declaration, EndpointDeclaration):
            assert participant is not None, "only participants have none"
            return (handle, *self._topic_of(declaration, participant), declaration.qos)
        return (handle, declaration)

    def _topic_of(self, declaration: EndpointDeclaration, participant: Entity) -> tuple[str, str]:
        """Name and type of an endpoint's topic, which must have been created."""
        name = declaration.topic_name
        if declaration.topic_id is not None:
            topic = self._entities.get(declaration.topic_id & ~_KIND_MASK | ObjectKind.TOPIC)
            if topic is None or topic.participant is not participant:
                raise _RefusedError(Status.DDS_ERROR, "its topic does not exist in its participant")
            identity = topic.identity
            assert isinstance(identity, tuple), "a topic's identity is its participant and its declaration"
            name = identity[1].name
        assert name is not None, "an endpoint names its topic by id or by name"
        known = participant.topics.get(name)
        if known is None:
            raise _RefusedError(Status.DDS_ERROR, f"topic {name} was not created in its participant")
        if declaration.type_name not in (None, known.type_name):
            raise _RefusedError(
                Status.DDS_ERROR, f"topic {name} has type {known.type_name}, not {declaration.type_name}"
            )
        return name, known.type_name

    def _make(self, object_id: int, creation: Creation, participant: Entity | None, client: ClientInfo) -> None:
        if participant is not None and not participant.usable:
            raise _RefusedError(Status.DDS_ERROR, "its participant could not be made")
        identity = self._identify(creation, participant)
        entity = Entity(self._traffic, object_id, creation.kind, self._new_handle(), participant)
        entity.identity = identity
        topic = self._shared_topic(creation, identity, participant)
        spec = self._specify(entity, creation, client)
        if spec is not None:
            refusal = self._middleware.create(spec)
            if refusal is not None:
                raise _RefusedError(refusal.status, refusal.reason)
        if topic is not None and participant is not None:
            name, type_name = topic
            participant.topics.setdefault(name, _Topic(type_name)).users += 1
        self._entities[object_id] = entity
        self._traffic.register(entity)

    def _shared_topic(
        self, creation: Creation, identity: Hashable, participant: Entity | None
    ) -> tuple[str, str] | None:
        """Name and type of the participant's topic that the object will use."""
        declaration = creation.declaration
        if participant is None or isinstance(declaration, GroupDeclaration | ServiceDeclaration):
            return None
        if isinstance(declaration, TopicDeclaration):
            known = participant.topics.get(declaration.name)
            if known is not None and known.type_name != declaration.type_name:
                raise _RefusedError(
                    Status.DDS_ERROR, f"topic {declaration.name} has type {known.type_name} in this participant"
                )
            if not declaration.name or not declaration.type_name:
                raise _RefusedError(Status.DDS_ERROR, "a topic needs a name and a type")
            return declaration.name, declaration.type_name
        assert isinstance(identity, tuple), "an endpoint's identity is participant, topic, type and QoS"
        return identity[1], identity[2]

    def _specify(self, entity: Entity, creation: Creation, client: ClientInfo) -> EntitySpec | None:
        """What ROS is asked for; None for publishers and subscribers, which are groups only."""
        declaration = creation.declaration
        if isinstance(declaration, ParticipantDeclaration):
            name = declaration.name or f"client_{client.key.lower()}"
            return ParticipantSpec(entity.handle, client, name, declaration.domain_id)
        if isinstance(declaration, GroupDeclaration):
            return None
        assert entity.participant is not None, "only participants have none"
        parent = entity.participant.handle
        if isinstance(declaration, TopicDeclaration):
            return TopicSpec(entity.handle, parent, declaration.name, declaration.type_name)
        if isinstance(declaration, ServiceDeclaration):
            entity.delivery = Delivery(_SERVICE_BACKLOG)
            kind = RequesterSpec if entity.kind == ObjectKind.REQUESTER else ReplierSpec
            return kind(
                entity.handle,
                parent,
                declaration.service_name,
                declaration.request_type,
                declaration.reply_type,
                declaration.request_topic,
                declaration.reply_topic,
            )
        qos = declaration.qos
        name, type_name = self._topic_of(declaration, entity.participant)
        if entity.kind == ObjectKind.DATAWRITER:
            return WriterSpec(entity.handle, parent, name, type_name, qos)
        kept = self._most_kept if qos.history is History.KEEP_ALL else min(qos.depth, self._most_kept)
        entity.delivery = Delivery(kept)
        return ReaderSpec(entity.handle, parent, name, type_name, qos)

    def _remove(self, entity: Entity) -> None:
        if entity.kind == ObjectKind.PARTICIPANT:
            for child in self._entities.values():
                if child.participant is entity:
                    self._retire(child)
        self._retire(entity)
        self._release_topic(entity)
        del self._entities[entity.object_id]

    def _retire(self, entity: Entity) -> None:
        """Ends what ROS has of it."""
        if entity.retired:
            return
        entity.retired = True
        entity.usable = False
        self._traffic.unregister(entity)
        if entity.kind not in (ObjectKind.PUBLISHER, ObjectKind.SUBSCRIBER):
            self._middleware.delete(entity.handle)

    def _release_topic(self, entity: Entity) -> None:
        if entity.participant is None or not isinstance(entity.identity, tuple):
            return
        if entity.kind == ObjectKind.TOPIC:
            name = entity.identity[1].name
        elif entity.kind in _GROUP_OF:
            name = entity.identity[1]
        else:
            return
        topic = entity.participant.topics.get(name)
        if topic is not None:
            topic.users -= 1
            if not topic.users:
                del entity.participant.topics[name]
