"""From the names that DDS knows to those of ROS, and back to what a user would install.

Topics: `rt/chatter` is `/chatter`. Services: `rq/addRequest` and `rr/addReply` are `/add`. Types:
`std_msgs::msg::dds_::Int32_` is `std_msgs/msg/Int32`. (ROS 2 design, "Topic and Service name mapping to DDS".)
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from robot_ai.ros.xrce.errors import NameRefusedError

_TYPE = re.compile(r"([a-z][a-z0-9_]*)::(msg|srv|action)::dds_::([A-Z][A-Za-z0-9_]*)_")
_TOPIC = re.compile(r"(/[A-Za-z_][A-Za-z0-9_]*)+")
_NODE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ACTION_SERVICES = ("_SendGoal", "_GetResult")


@dataclass(frozen=True)
class TypeName:
    """An interface type: package, msg, srv or action, and its name there; `part` is the piece of an action."""

    package: str
    kind: str
    name: str
    part: str = ""

    def __str__(self) -> str:
        return f"{self.package}/{self.kind}/{self.name}"


@dataclass(frozen=True)
class TopicName:
    """A topic; `plain` says that it is a bare DDS name, which ROS reaches only without its own name conventions."""

    name: str
    plain: bool


def topic_name(dds_name: str) -> TopicName:
    """The topic of a DDS name. Raises NameRefusedError."""
    plain = not dds_name.startswith("rt/")
    name = dds_name if plain else dds_name[2:]
    if not _TOPIC.fullmatch(f"/{name}" if plain else name):
        raise NameRefusedError(f"topic '{dds_name}' is no name that ROS accepts; expected one like rt/chatter")
    return TopicName(name, plain)


def service_name(declared: str, request_topic: str) -> str:
    """The service of a requester or replier: what its request topic says, which is what counts on the wire.

    Raises NameRefusedError.
    """
    name = request_topic[2:-7] if request_topic.startswith("rq/") and request_topic.endswith("Request") else declared
    name = name if name.startswith("/") else f"/{name}"
    if not _TOPIC.fullmatch(name):
        raise NameRefusedError(f"service '{declared}' is no name that ROS accepts; expected one like /add_two_ints")
    return name


def message_type(dds_type: str) -> TypeName:
    """The message type of a DDS type name; also an action's feedback message. Raises NameRefusedError."""
    package, kind, name = _split(dds_type)
    if kind == "action" and name.endswith("_FeedbackMessage"):
        return TypeName(package, kind, name.removesuffix("_FeedbackMessage"), "FeedbackMessage")
    if kind != "msg":
        raise NameRefusedError(f"type '{dds_type}' is no message; a topic needs one like std_msgs::msg::dds_::Int32_")
    return TypeName(package, kind, name)


def service_type(request_type: str, reply_type: str) -> TypeName:
    """The service type of a pair of DDS type names; also an action's services. Raises NameRefusedError."""
    package, kind, name = _split(request_type)
    base = name.removesuffix("_Request")
    if kind == "msg" or base == name or reply_type != f"{package}::{kind}::dds_::{base}_Response_":
        raise NameRefusedError(f"'{request_type}' and '{reply_type}' are not the two halves of one service type")
    if kind == "action":
        for suffix in _ACTION_SERVICES:
            if base.endswith(suffix):
                return TypeName(package, kind, base.removesuffix(suffix), f"{suffix[1:]}Service")
        raise NameRefusedError(f"'{request_type}' is no service of an action")
    return TypeName(package, kind, base)


def _split(dds_type: str) -> tuple[str, str, str]:
    found = _TYPE.fullmatch(dds_type)
    if not found:
        raise NameRefusedError(
            f"type '{dds_type}' is no ROS type; expected one like std_msgs::msg::dds_::Int32_. Only types that ROS "
            "knows go through the bridge"
        )
    return found[1], found[2], found[3]


def node_name(participant: str, key: str) -> tuple[str, str]:
    """Name and namespace of the node for a participant's name, "node" or "/ns/node".

    micro-ROS sends names that ROS accepts; of any other client's the characters that ROS refuses become underscores. A
    participant without a name is called after its client's key.
    """
    *spaces, name = [re.sub(r"[^A-Za-z0-9_]", "_", part) for part in participant.split("/") if part] or [""]
    spaces = [space if _NODE.fullmatch(space) else f"_{space}" for space in spaces]
    if not name.strip("_"):
        name = f"xrce_client_{key.lower()}"
    return name if _NODE.fullmatch(name) else f"_{name}", "/" + "/".join(spaces)
