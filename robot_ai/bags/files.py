"""Writing and reading of rosbag2 directories with MCAP storage, which `ros2 bag` and Foxglove open, too."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from robot_ai.bags.definitions import Definitions
from robot_ai.bags.errors import BagError, BagLibraryMissingError

try:
    from rosbags.interfaces import (
        Qos,
        QosDurability,
        QosHistory,
        QosLiveliness,
        QosReliability,
        QosTime,
    )
    from rosbags.rosbag2 import Reader, ReaderError, StoragePlugin, Writer, WriterError
except ImportError as error:
    raise BagLibraryMissingError from error

# Version of the metadata that Jazzy writes.
_VERSION: Literal[9] = 9
_NEVER = QosTime(2147483647, 4294967295)
_FAULTS = (ReaderError, WriterError, OSError, ValueError, KeyError, AssertionError)


@dataclass(frozen=True)
class Topic:
    """A recorded topic. type_name as "std_msgs/msg/Bool"; latched: whoever joins late gets the newest message."""

    name: str
    type_name: str
    latched: bool = False
    reliable: bool = True


@dataclass(frozen=True)
class Recorded:
    """A message: when it was received, in nanoseconds, and its CDR, with the header of four bytes."""

    topic: Topic
    time: int
    cdr: bytes


class BagWriter:
    """Writes a new directory. Raises BagError when it is there already, or cannot be written."""

    def __init__(self, path: Path) -> None:
        self.counts: dict[str, int] = {}
        self._path = path
        self._definitions = Definitions()
        self._connections: dict[Topic, Any] = {}
        if path.exists():
            raise BagError(f"{path} is there already; expected a name for a new recording")
        self._writer = Writer(path, version=_VERSION, storage_plugin=StoragePlugin.MCAP)

    def __enter__(self) -> BagWriter:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._writer.open()
        except _FAULTS as error:
            raise BagError(f"{self._path} cannot be written: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def add_topic(self, topic: Topic) -> None:
        """Must come before the topic's messages. Raises MessageDefinitionError."""
        self._definitions.require(topic.type_name)
        self._connections[topic] = self._writer.add_connection(
            topic.name, topic.type_name, typestore=self._definitions.store, offered_qos_profiles=[_qos(topic)]
        )
        self.counts[topic.name] = 0

    def write(self, message: Recorded) -> None:
        """Appends a message. Raises BagError."""
        try:
            self._writer.write(self._connections[message.topic], message.time, message.cdr)
        except _FAULTS as error:
            raise BagError(f"{self._path}: a message of {message.topic.name} cannot be written: {error}") from error
        self.counts[message.topic.name] += 1


class BagReader:
    """Reads a rosbag2 directory of any storage that rosbags knows. Raises BagError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._reader = Reader(path)
            self._reader.open()
        except _FAULTS as error:
            raise BagError(f"{path} cannot be read: {error}; expected the directory of a rosbag2 recording") from error
        self.topics = {c.topic: _topic(c) for c in self._reader.connections}

    def __enter__(self) -> BagReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()

    @property
    def duration(self) -> float:
        """Seconds from the first message to the last."""
        # rosbags counts one nanosecond past the last message.
        return max(float(self._reader.duration) - 1, 0.0) / 1e9

    def messages(self, topics: Collection[str] = ()) -> Iterator[Recorded]:
        """All messages of these topics (none: of all) in the order of their times. Raises BagError."""
        chosen = [c for c in self._reader.connections if not topics or c.topic in topics]
        if not chosen:
            return
        try:
            for connection, time, raw in self._reader.messages(chosen):
                yield Recorded(self.topics[connection.topic], time, bytes(raw))
        except _FAULTS as error:
            raise BagError(f"{self._path} ends with a fault: {error}") from error


def _topic(connection: Any) -> Topic:
    profiles = connection.ext.offered_qos_profiles
    latched = any(profile.durability is QosDurability.TRANSIENT_LOCAL for profile in profiles)
    reliable = all(profile.reliability is not QosReliability.BEST_EFFORT for profile in profiles)
    return Topic(connection.topic, connection.msgtype, latched, reliable)


def _qos(topic: Topic) -> Any:
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=10,
        reliability=QosReliability.RELIABLE if topic.reliable else QosReliability.BEST_EFFORT,
        durability=QosDurability.TRANSIENT_LOCAL if topic.latched else QosDurability.VOLATILE,
        deadline=_NEVER,
        lifespan=_NEVER,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=_NEVER,
        avoid_ros_namespace_conventions=False,
    )
