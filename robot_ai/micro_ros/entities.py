"""Reading CREATE: binary, XML and references, all into the same declarations.

Binary layouts: DDS-XRCE 1.0, 7.7.3 and annex A, as the real client writes them (docs/micro_ros_protocol.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from robot_ai.micro_ros.cdr import CdrReader
from robot_ai.micro_ros.declarations import (
    Declaration,
    EndpointDeclaration,
    GroupDeclaration,
    ParticipantDeclaration,
    ServiceDeclaration,
    TopicDeclaration,
)
from robot_ai.micro_ros.entity_xml import parse_entity
from robot_ai.micro_ros.errors import EntityXmlError, MessageError
from robot_ai.micro_ros.middleware import Durability, History, QoS, Reliability
from robot_ai.micro_ros.wire import ObjectKind

_REFERENCE, _XML, _BINARY = 1, 2, 3
_OWN_DOMAIN = 255
_HIGHEST_DOMAIN = 232
_GROUPS = (ObjectKind.PUBLISHER, ObjectKind.SUBSCRIBER)
_CREATABLE = range(ObjectKind.PARTICIPANT, ObjectKind.REPLIER + 1)

_RELIABLE, _KEEP_LAST, _TRANSIENT_LOCAL, _TRANSIENT, _PERSISTENT = 0x01, 0x02, 0x08, 0x10, 0x20


@dataclass(frozen=True)
class Creation:
    """A CREATE: which kind, the parent's object id (None for a participant), and what was declared."""

    kind: ObjectKind
    parent: int | None
    declaration: Declaration


def parse_creation(reader: CdrReader, little: bool, references: Mapping[str, str]) -> Creation | None:
    """Reads a CREATE after its request and object id; None for a kind that an agent accepts and makes nothing of.

    Raises MessageError for bytes that do not parse, EntityXmlError for XML or a reference that describes no entity.
    """
    number = reader.u8()
    if number not in _CREATABLE:
        return None
    kind = ObjectKind(number)
    representation = reader.u8()
    body: str | bytes = reader.octets() if representation == _BINARY else reader.string()
    parent: int | None = None
    domain_id: int | None = None
    if kind == ObjectKind.PARTICIPANT:
        domain_id = _domain(reader.u16())
    else:
        parent = int.from_bytes(reader.raw(2), "big")
    if isinstance(body, bytes):
        return Creation(kind, parent, _parse_binary(kind, CdrReader(body, little), domain_id))
    if kind in _GROUPS:
        return Creation(kind, parent, GroupDeclaration())
    if representation == _REFERENCE:
        if body not in references:
            raise EntityXmlError(f"no profile is named {body!r}: list it in the agent's file of profiles")
        body = references[body]
    elif representation != _XML:
        raise MessageError(f"representation {representation}: 1 (reference), 2 (XML) or 3 (binary) is expected")
    return Creation(kind, parent, parse_entity(kind, body, domain_id))


def _domain(number: int) -> int | None:
    if number == _OWN_DOMAIN:
        return None
    if number > _HIGHEST_DOMAIN:
        raise EntityXmlError(f"domain {number}: 0 to {_HIGHEST_DOMAIN} are expected, or 255 for the agent's own")
    return number


def _parse_binary(kind: ObjectKind, reader: CdrReader, domain_id: int | None) -> Declaration:
    if kind == ObjectKind.PARTICIPANT:
        _optional_string(reader)  # domain reference
        return ParticipantDeclaration(_optional_string(reader) or "", domain_id)
    if kind == ObjectKind.TOPIC:
        name = reader.string()
        _optional_string(reader)  # type reference
        return TopicDeclaration(name, _optional_string(reader) or "")
    if kind in _GROUPS:
        return GroupDeclaration()
    if kind in (ObjectKind.REQUESTER, ObjectKind.REPLIER):
        service, request_type, reply_type = reader.string(), reader.string(), reader.string()
        request_topic = _optional_string(reader) or f"{service}_Request"
        reply_topic = _optional_string(reader) or f"{service}_Reply"
        return ServiceDeclaration(service, request_type, reply_type, request_topic, reply_topic)
    topic_id = int.from_bytes(reader.raw(2), "big")
    return EndpointDeclaration(topic_id, None, None, _parse_qos(kind, reader))


def _optional_string(reader: CdrReader) -> str | None:
    return reader.string() if reader.boolean() else None


def _parse_qos(kind: ObjectKind, reader: CdrReader) -> QoS:
    """The QoS of a binary endpoint; without one, the defaults that XML has too."""
    if not reader.boolean():
        if kind == ObjectKind.DATAWRITER:
            return QoS(Reliability.RELIABLE, Durability.TRANSIENT_LOCAL, History.KEEP_LAST, 1)
        return QoS(Reliability.BEST_EFFORT, Durability.VOLATILE, History.KEEP_LAST, 1)
    flags = reader.u16()
    depth = reader.u16() if reader.boolean() else 1
    deadline = reader.u32() if reader.boolean() else 0
    lifespan = reader.u32() if reader.boolean() else 0
    # User data, ownership strength, time-based and content filter follow: ROS has nothing like them.
    if flags & _TRANSIENT_LOCAL:
        durability = Durability.TRANSIENT_LOCAL
    elif flags & _TRANSIENT:
        durability = Durability.TRANSIENT
    elif flags & _PERSISTENT:
        durability = Durability.PERSISTENT
    else:
        durability = Durability.VOLATILE
    return QoS(
        Reliability.RELIABLE if flags & _RELIABLE else Reliability.BEST_EFFORT,
        durability,
        History.KEEP_LAST if flags & _KEEP_LAST else History.KEEP_ALL,
        max(1, depth),
        deadline / 1000 or None,
        lifespan / 1000 or None,
    )
