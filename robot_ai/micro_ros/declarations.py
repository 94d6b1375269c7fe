"""What a client asks for with CREATE, in plain values: what it wants, not yet whether it can have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from robot_ai.micro_ros.middleware import QoS


@dataclass(frozen=True)
class ParticipantDeclaration:
    """A node. `domain_id` is None for the agent's own; `name` may be empty."""

    name: str
    domain_id: int | None


@dataclass(frozen=True)
class TopicDeclaration:
    """A topic of a participant, with its DDS names."""

    name: str
    type_name: str


@dataclass(frozen=True)
class GroupDeclaration:
    """A publisher or subscriber; its partitions and group data mean nothing in ROS and are not kept."""


@dataclass(frozen=True)
class EndpointDeclaration:
    """A datawriter or datareader. It names its topic by object id (binary) or by name (XML); the other one is None."""

    topic_id: int | None
    topic_name: str | None
    type_name: str | None
    qos: QoS


@dataclass(frozen=True)
class ServiceDeclaration:
    """A requester or replier."""

    service_name: str
    request_type: str
    reply_type: str
    request_topic: str
    reply_topic: str


Declaration: TypeAlias = (
    ParticipantDeclaration | TopicDeclaration | GroupDeclaration | EndpointDeclaration | ServiceDeclaration
)
