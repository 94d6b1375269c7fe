"""Entities described in XML, as the stock clients send them and as an agent's file of profiles holds them.

The form is that of Fast DDS profiles: one `<dds>` with one entity in it. Elements that say nothing about a ROS entity
are passed over. The examples of the real client write attributes without blanks between them, which is not well
formed but what every such client sends; the blank is put in. A document type is refused, so no entity can be
expanded.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, tostring

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from robot_ai.micro_ros.declarations import (
    Declaration,
    EndpointDeclaration,
    ParticipantDeclaration,
    ServiceDeclaration,
    TopicDeclaration,
)
from robot_ai.micro_ros.errors import EntityXmlError
from robot_ai.micro_ros.middleware import Durability, History, QoS, Reliability
from robot_ai.micro_ros.wire import ObjectKind

_TAGS = {
    ObjectKind.PARTICIPANT: "participant",
    ObjectKind.TOPIC: "topic",
    ObjectKind.DATAWRITER: "data_writer",
    ObjectKind.DATAREADER: "data_reader",
    ObjectKind.REQUESTER: "requester",
    ObjectKind.REPLIER: "replier",
}
_TAG = re.compile(r"<[^<>]*>")
_CLOSED_QUOTE = re.compile(r"""("[^"]*"|'[^']*')(?=[\w:])""")
_NANOSECONDS = 1_000_000_000


def parse_entity(kind: ObjectKind, text: str, domain_id: int | None) -> Declaration:
    """Reads the XML of one entity; `domain_id` goes into a participant. Raises EntityXmlError."""
    root = _parse(text)
    if root.tag != "dds" or len(root) != 1 or root[0].tag != _TAGS[kind]:
        raise EntityXmlError(f"<dds> with one <{_TAGS[kind]}> in it is expected: {_shorten(text)}")
    return read_entity(kind, root[0], domain_id)


def read_entity(kind: ObjectKind, element: Element, domain_id: int | None) -> Declaration:
    """Reads one entity's element. Raises EntityXmlError."""
    if kind == ObjectKind.PARTICIPANT:
        return ParticipantDeclaration(element.findtext("rtps/name", "").strip(), domain_id)
    if kind == ObjectKind.TOPIC:
        return TopicDeclaration(_text(element, "name"), _text(element, "dataType"))
    if kind in (ObjectKind.REQUESTER, ObjectKind.REPLIER):
        service = _attribute(element, "service_name")
        return ServiceDeclaration(
            service,
            _attribute(element, "request_type"),
            _attribute(element, "reply_type"),
            element.findtext("request_topic_name", "").strip() or f"{service}_Request",
            element.findtext("reply_topic_name", "").strip() or f"{service}_Reply",
        )
    topic_type = element.findtext("topic/dataType", "").strip() or None
    return EndpointDeclaration(None, _text(element, "topic/name"), topic_type, _qos(kind, element))


def load_references(path: Path) -> dict[str, str]:
    """Reads a file of profiles (the stock agent's `--refs`): XML of one entity by `profile_name`, for `AgentSettings`.

    Raises EntityXmlError for a file that cannot be read.
    """
    try:
        root = _parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise EntityXmlError(f"the profiles cannot be read: {error}") from error
    tags = set(_TAGS.values())
    found: dict[str, str] = {}
    for element in root.iter():
        # Files of profiles put everything into a namespace; clients do not.
        element.tag = element.tag.rpartition("}")[2]
    for element in root.iter():
        name = element.get("profile_name")
        if name and element.tag in tags:
            found[name] = f"<dds>{tostring(element, encoding='unicode')}</dds>"
    return found


def _parse(text: str) -> Element:
    spaced = _TAG.sub(lambda tag: _CLOSED_QUOTE.sub(r"\1 ", tag[0]), text)
    try:
        root: Element = fromstring(spaced, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise EntityXmlError(f"no XML: {error!r} in {_shorten(text)}") from error
    return root


def _text(element: Element, path: str) -> str:
    text = element.findtext(path, "").strip()
    if not text:
        raise EntityXmlError(f"<{element.tag}> has no <{path}>")
    return text


def _attribute(element: Element, name: str) -> str:
    value = element.get(name, "")
    if not value:
        raise EntityXmlError(f"<{element.tag}> has no attribute {name}")
    return value


def _qos(kind: ObjectKind, element: Element) -> QoS:
    """QoS of an endpoint. What is not said has the default of Fast DDS, which differs between writers and readers."""
    writes = kind == ObjectKind.DATAWRITER
    reliability = _choice(element, "qos/reliability/kind") or ("RELIABLE" if writes else "BEST_EFFORT")
    durability = _choice(element, "qos/durability/kind") or ("TRANSIENT_LOCAL" if writes else "VOLATILE")
    history = _choice(element, "topic/historyQos/kind") or "KEEP_LAST"
    try:
        return QoS(
            Reliability(reliability.lower()),
            Durability(durability.lower()),
            History(history.lower()),
            max(1, int(element.findtext("topic/historyQos/depth", "1"))),
            _duration(element, "qos/deadline/period"),
            _duration(element, "qos/lifespan/duration"),
        )
    except ValueError as error:
        raise EntityXmlError(f"QoS of <{element.tag}>: {error}") from error


def _choice(element: Element, path: str) -> str:
    """A QoS policy's kind, without the suffixes that some versions write (RELIABLE_RELIABILITY_QOS)."""
    text = element.findtext(path, "").strip()
    return re.sub(r"_(RELIABILITY|DURABILITY|HISTORY)_QOS$", "", text)


def _duration(element: Element, path: str) -> float | None:
    """A duration in seconds; None where there is none or it is infinite."""
    found = element.find(path)
    if found is None or "INFINITE" in "".join(found.itertext()):
        return None
    return int(found.findtext("sec", "0")) + int(found.findtext("nanosec", "0")) / _NANOSECONDS or None


def _shorten(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:77]}…")
