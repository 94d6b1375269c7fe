"""The agent's decisions: logins, objects, liveliness, limits, what is dropped and what is said."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from robot_ai.micro_ros import books
from robot_ai.micro_ros.agent import Agent
from robot_ai.micro_ros.client import Answer, Sample, XrceClient
from robot_ai.micro_ros.config import AgentSettings
from robot_ai.micro_ros.declarations import ServiceDeclaration
from robot_ai.micro_ros.entity_xml import load_references, parse_entity
from robot_ai.micro_ros.errors import AgentSettingError, EntityXmlError, MessageError
from robot_ai.micro_ros.framing import AGENT_ADDRESS, CLIENT_ADDRESS, Deframer, crc16, crc16_python, frame
from robot_ai.micro_ros.loopback import Loopback
from robot_ai.micro_ros.middleware import ClientChange, Refusal, Status, TopicSpec
from robot_ai.micro_ros.streams import WINDOW
from robot_ai.micro_ros.wire import ObjectKind

TYPE = "std_msgs::msg::dds_::UInt32_"


class Pair:
    """An agent and a client on a perfect line; the time goes on when it is told to."""

    def __init__(self, agent_settings: AgentSettings | None = None, **client: Any) -> None:
        self.middleware = Loopback()
        self.agent = Agent(self.middleware, agent_settings)
        self.client = XrceClient(b"\xaa\xbb\xcc\xdd", **client)
        self.now = 10.0
        self.events: list[Any] = []
        self.client.login(self.now)
        self.exchange()

    def exchange(self) -> None:
        while self.client.output or self.agent.output or self.middleware.pending:
            for message in list(self.client.output):
                self.client.output.remove(message)
                self.agent.receive("peer", message, self.now)
            self.middleware.flush(self.agent, self.now)
            answers = [message for _, message in self.agent.output]
            self.agent.output.clear()
            for message in answers:
                self.events += self.client.receive(message, self.now)

    def statuses(self) -> list[int]:
        found = [event.status for event in self.events if isinstance(event, Answer)]
        self.events.clear()
        return found

    def make(self) -> list[int]:
        self.events.clear()
        client, now = self.client, self.now
        client.create_participant(0, "mcu", 0, now)
        client.create_topic(0, "rt/numbers", TYPE, 0, now)
        client.create_publisher(0, 0, now)
        client.create_datawriter(0, 0, 0, now)
        client.create_subscriber(0, 0, now)
        client.create_datareader(0, 0, 0, now)
        self.exchange()
        return self.statuses()

    def silence(self, seconds: float) -> list[bytes]:
        """The time goes on and the client says nothing; returns what the agent says."""
        end = self.now + seconds
        said = []
        while (wake := self.agent.next_wake()) is not None and wake <= end:
            self.agent.poll(wake)
            said += [message for _, message in self.agent.output]
            self.agent.output.clear()
        self.now = end
        return said

    def changes(self) -> list[ClientChange]:
        return [event.change for event in self.middleware.events]


def test_entities_reach_the_middleware_and_leave_it_children_first():
    pair = Pair()
    assert pair.make() == [Status.OK] * 6
    # Groups are not ROS's business: a node, a topic, a writer and a reader are.
    assert len(pair.middleware.specs) == 4
    assert pair.make() == [Status.OK_MATCHED] * 6
    pair.client.delete(0, ObjectKind.PARTICIPANT, pair.now)
    pair.exchange()
    assert not pair.middleware.specs
    # The children are still in the table, as with the stock agent, and nothing comes of writing to them.
    pair.client.write(0, bytes(4), pair.now)
    pair.client.delete(0, ObjectKind.DATAWRITER, pair.now)
    pair.exchange()
    assert pair.statuses() == [Status.OK, Status.OK]
    assert not pair.middleware.samples


def test_a_type_that_is_not_installed_is_refused_with_the_reason(caplog):
    pair = Pair()
    missing = Refusal(Status.DDS_ERROR, "package std_msgs is not installed: apt install ros-jazzy-std-msgs")
    pair.middleware.decide = lambda spec: missing if isinstance(spec, TopicSpec) else None
    statuses = pair.make()
    assert statuses[:2] == [Status.OK, Status.DDS_ERROR]
    assert "apt install ros-jazzy-std-msgs" in caplog.text


def test_an_entity_that_fails_later_is_counted_and_can_be_made_again(caplog):
    pair = Pair()
    pair.make()
    writer = next(h for h, e in pair.agent.entities.items() if e.kind == ObjectKind.DATAWRITER)
    pair.agent.entity_failed(writer, "no memory")
    assert "no memory" in caplog.text
    pair.client.write(0, bytes(4), pair.now)
    pair.exchange()
    assert sum(pair.agent.statistics()[0].dropped.values()) == 1
    assert pair.make()[3] == Status.OK
    pair.client.write(0, bytes(4), pair.now)
    pair.exchange()
    assert len(pair.middleware.samples["rt/numbers"]) == 1


@pytest.mark.parametrize("size", [1992, 1993])
def test_a_sample_that_would_hang_the_client_is_dropped_and_said(size, caplog):
    pair = Pair()
    pair.make()
    pair.client.read(0, ObjectKind.DATAREADER, pair.now)
    pair.exchange()
    reader = next(h for h, e in pair.agent.entities.items() if e.kind == ObjectKind.DATAREADER)
    pair.agent.deliver(reader, b"\0\1\0\0" + bytes(size), pair.now)
    pair.exchange()
    samples = [event for event in pair.events if isinstance(event, Sample)]
    if size == 1992:
        assert [sample.cdr for sample in samples] == [bytes(1992)]
        return
    assert not samples
    assert "larger than the client's input history" in caplog.text
    assert sum(pair.agent.statistics()[0].dropped.values()) == 1
    # The next one is delivered: nothing is blocked.
    pair.agent.deliver(reader, b"\0\1\0\0" + bytes(8), pair.now)
    pair.exchange()
    assert [event.cdr for event in pair.events if isinstance(event, Sample)] == [bytes(8)]


def test_samples_wait_for_the_reader_and_the_newest_are_kept():
    pair = Pair()
    pair.make()
    for number in range(25):
        pair.client.write(0, struct.pack("<I", number), pair.now)
        pair.exchange()
    pair.client.read(0, ObjectKind.DATAREADER, pair.now)
    pair.exchange()
    samples = [struct.unpack("<I", event.cdr)[0] for event in pair.events if isinstance(event, Sample)]
    assert samples == list(range(15, 25))
    assert sum(pair.agent.statistics()[0].dropped.values()) == 15


def test_a_sample_that_a_new_reading_finds_no_room_for_is_counted():
    pair = Pair()
    pair.make()
    pair.client.read(0, ObjectKind.DATAREADER, pair.now)
    pair.exchange()
    reader = next(h for h, e in pair.agent.entities.items() if e.kind == ObjectKind.DATAREADER)
    # Sixteen are on their way, one is taken for the reading and waits for room, ten fill what the reader keeps.
    for _ in range(WINDOW + 1 + 10):
        pair.agent.deliver(reader, b"\0\1\0\0" + bytes(4), pair.now)
    assert not pair.agent.statistics()[0].dropped
    pair.client.read(0, ObjectKind.DATAREADER, pair.now)
    for message in pair.client.output:
        pair.agent.receive("peer", message, pair.now)
    assert pair.agent.statistics()[0].dropped == {books.DROPPED_OVERWRITTEN: 1}


def test_a_dead_client_is_probed_then_removed():
    pair = Pair(AgentSettings(liveliness=30, remove_after=60))
    pair.make()
    assert not pair.silence(29)
    probes = pair.silence(20)
    assert pair.changes()[-1] is ClientChange.SILENT
    assert 15 <= len(probes) <= 20 and all(message[4] == 11 for message in probes)
    pair.silence(15)
    assert pair.changes()[-1] is ClientChange.REMOVED
    assert not pair.middleware.specs and not pair.agent.statistics()


def test_a_silent_client_that_answers_the_probe_lives_on():
    pair = Pair(AgentSettings(liveliness=5, remove_after=10))
    pair.make()
    for _ in range(20):
        for message in pair.silence(1):
            pair.events += pair.client.receive(message, pair.now)
        pair.exchange()
    assert ClientChange.REMOVED not in pair.changes()
    assert pair.changes()[1:3] == [ClientChange.SILENT, ClientChange.REVIVED]


def test_probes_measure_the_round_trip():
    pair = Pair(AgentSettings(probe_period=1.0))
    (probe,) = pair.silence(1.3)
    pair.client.receive(probe, pair.now)
    pair.exchange()
    assert pair.agent.statistics()[0].round_trip == pytest.approx(0.2, abs=0.15)


def test_limits_on_clients_entities_and_samples(caplog):
    pair = Pair(AgentSettings(max_clients=1, max_entities=5, max_sample=3000), history=16)
    assert pair.make() == [Status.OK] * 5 + [Status.RESOURCES]
    other = XrceClient(b"\x01\x01\x01\x01")
    other.login(pair.now)
    pair.agent.receive("other", other.output[0], pair.now)
    assert [e.status for _, m in pair.agent.output for e in other.receive(m, pair.now)] == [Status.RESOURCES]
    assert "raise max_clients" in caplog.text
    pair.agent.output.clear()
    pair.client.write(0, bytes(4000), pair.now)
    pair.client.write(0, bytes(2000), pair.now)
    pair.exchange()
    assert [len(sample) for sample in pair.middleware.samples["rt/numbers"]] == [2004]
    assert "max_sample" in caplog.text


def login_of(key: int) -> bytes:
    client = XrceClient(struct.pack(">I", key))
    client.login(0.0)
    return client.output[0]


@pytest.mark.parametrize(
    ("settings", "change", "status", "reason"),
    [
        (AgentSettings(), {8: b"DDS!"}, Status.INVALID_DATA, "expected b'XRCE'"),
        (AgentSettings(), {12: b"\x02\x05"}, Status.INCOMPATIBLE, "it speaks version 2.5; expected 1.x"),
        (AgentSettings(), {16: bytes(4)}, Status.INVALID_DATA, "a key that is not zero"),
        (AgentSettings(), {22: b"\x08\0"}, Status.INVALID_DATA, "messages of 8 bytes"),
        (AgentSettings(allowed_keys=frozenset({"0A0B0C0D"})), {}, Status.DENIED, "is not in allowed_keys"),
    ],
)
def test_a_client_that_may_not_come_in_is_told_and_the_log_says_why(settings, change, status, reason, caplog):
    agent = Agent(Loopback(), settings)
    login = bytearray(login_of(1))
    for position, value in change.items():
        login[position : position + len(value)] = value
    agent.receive("peer", bytes(login), 0.0)
    ((_, answer),) = agent.output
    # The header, the submessage's header, and then the status.
    assert answer[8] == status
    assert reason in caplog.text


def ping_of() -> bytes:
    client = XrceClient(b"\x06\x06\x06\x06")
    client.ping()
    return client.output[0]


def test_max_message_rate_of_one_client():
    pair = Pair(AgentSettings(max_message_rate=100), history=16)
    pair.make()
    pair.now += 1.0
    for number in range(300):
        pair.client.write(0, struct.pack("<I", number), pair.now, reliable=False)
    pair.exchange()
    assert len(pair.middleware.samples["rt/numbers"]) == 100
    assert pair.agent.statistics()[0].dropped["messages above max_message_rate"] == 200
    # A second brings a hundred more; what is reliable is only late, because the client sends it again.
    pair.middleware.samples.clear()
    for number in range(200):
        pair.client.write(0, struct.pack("<I", number), pair.now)
    for _ in range(400):
        pair.now += 0.1
        pair.client.poll(pair.now)
        pair.exchange()
    assert pair.middleware.samples["rt/numbers"] == [b"\0\1\0\0" + struct.pack("<I", n) for n in range(200)]


def test_max_message_rate_counts_pings_of_a_client_too():
    pair = Pair(AgentSettings(max_message_rate=10))
    pair.now += 1.0
    for _ in range(100):
        pair.agent.receive("peer", ping_of(), pair.now)
    assert len(pair.agent.output) == 10


def test_a_flood_from_one_address_without_a_session_is_answered_so_often_only():
    pair = Pair(AgentSettings(max_stranger_rate=20))
    for _ in range(1000):
        pair.agent.receive("flood", ping_of(), pair.now)
    assert len(pair.agent.output) == 40
    assert pair.agent.rejected["above the rate, outside any session"] == 960
    pair.agent.output.clear()
    pair.agent.receive("other", login_of(0x01020304), pair.now)
    assert [peer for peer, _ in pair.agent.output] == ["other"]


def test_a_flood_that_changes_its_port_is_one_host_s():
    middleware = Loopback()
    agent = Agent(middleware, AgentSettings(max_stranger_rate=20), host=lambda peer: peer[0])
    for port in range(10_000):
        agent.receive(("evil", port), ping_of(), 0.0)
    assert len(agent.output) == 400
    agent.output.clear()
    agent.receive(("good", 1), ping_of(), 0.0)
    assert len(agent.output) == 1


def test_what_a_client_says_to_a_restarted_agent_does_not_cost_its_login():
    pair = Pair()
    pair.make()
    agent = Agent(Loopback())
    for number in range(1000):
        pair.client.write(0, struct.pack("<I", number), pair.now, reliable=False)
    for message in pair.client.output:
        agent.receive("peer", message, pair.now)
    assert not agent.output
    agent.receive("peer", login_of(0xAABBCCDD), pair.now)
    assert len(agent.output) == 1


def test_logins_that_make_nothing_do_not_keep_others_out():
    pair = Pair(AgentSettings(max_clients=4, max_stranger_rate=0))
    pair.make()
    for key in range(1, 4):
        pair.agent.receive(f"evil {key}", login_of(key), pair.now)
    late = XrceClient(b"\x0a\x0b\x0c\x0d")
    late.login(pair.now)
    pair.agent.output.clear()
    for wait, status in ((1.0, Status.RESOURCES), (1.5, Status.OK)):
        pair.now += wait
        pair.agent.receive("late", late.output[0], pair.now)
        assert late.receive(pair.agent.output.pop()[1], pair.now)[0].status == status
    # The one that works stays, however long ago it was heard.
    assert "AABBCCDD" in {client.client.key for client in pair.agent.statistics()}
    assert len(pair.agent.statistics()) == 4


def test_the_client_says_when_too_much_waits():
    pair = Pair()
    pair.make()
    with pytest.raises(MessageError, match="unacknowledged"):
        for _ in range(300):
            pair.client.write(0, bytes(4), pair.now)
    pair.exchange()
    assert len(pair.middleware.samples["rt/numbers"]) == 260


def test_settings_that_cannot_be_used_are_refused():
    for wrong in ({"allowed_keys": frozenset({"abc"})}, {"max_clients": 0}, {"liveliness": 0}, {"remove_after": -1}):
        with pytest.raises(AgentSettingError):
            AgentSettings(**wrong)  # type: ignore[arg-type]


def test_xml_of_the_stock_examples_has_no_blanks_between_attributes():
    text = '<dds><replier profile_name="r"service_name="s"request_type="a"reply_type="b"></replier></dds>'
    assert parse_entity(ObjectKind.REPLIER, text, None) == ServiceDeclaration("s", "a", "b", "s_Request", "s_Reply")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<dds/>",
        "<dds><topic><name>t</name></topic></dds>",
        "<dds><topic><name>t</name><dataType>",
        '<!DOCTYPE dds [<!ENTITY a "b">]><dds><topic><name>&a;</name><dataType>x</dataType></topic></dds>',
        "<dds><participant/></dds>",
    ],
)
def test_xml_that_describes_no_topic_is_refused(text):
    with pytest.raises(EntityXmlError):
        parse_entity(ObjectKind.TOPIC, text, None)


def test_references_are_read_from_a_file_of_profiles(tmp_path):
    file = tmp_path / "profiles.xml"
    file.write_text(
        '<?xml version="1.0"?><profiles xmlns="http://www.eprosima.com"><topic profile_name="numbers__t">'
        "<name>rt/numbers</name><dataType>T</dataType></topic></profiles>"
    )
    references = load_references(file)
    topic = parse_entity(ObjectKind.TOPIC, references["numbers__t"], None)
    assert (topic.name, topic.type_name) == ("rt/numbers", "T")  # type: ignore[union-attr]
    with pytest.raises(EntityXmlError):
        load_references(tmp_path / "missing.xml")


@given(st.binary(max_size=600))
@example(b"123456789")
def test_the_checksum_is_crc_16_arc(data: bytes):
    assert crc16_python(b"123456789") == 0xBB3D
    assert crc16(data) == crc16_python(data)


@given(st.lists(st.binary(max_size=80), min_size=1, max_size=5), st.data())
@settings(max_examples=60)
def test_frames_come_through_in_any_pieces(payloads, data):
    line = b"".join(frame(payload, CLIENT_ADDRESS, AGENT_ADDRESS) for payload in payloads)
    deframer = Deframer(AGENT_ADDRESS)
    found = []
    while line:
        size = data.draw(st.integers(1, len(line)))
        found += deframer.feed(line[:size])
        line = line[size:]
    assert [payload for _, payload in found] == payloads
    assert not deframer.rejected


PIECES = st.one_of(
    st.binary(max_size=12),
    st.builds(frame, st.binary(max_size=40), st.just(CLIENT_ADDRESS), st.sampled_from([AGENT_ADDRESS, 7])),
)


@given(st.lists(PIECES, max_size=6).map(b"".join))
@example(frame(b"cut", CLIENT_ADDRESS, AGENT_ADDRESS)[:-1] + frame(b"whole", CLIENT_ADDRESS, AGENT_ADDRESS))
@example(frame(b"whole", CLIENT_ADDRESS, AGENT_ADDRESS) + b"and more")
@settings(max_examples=200)
def test_a_line_read_at_once_is_the_line_read_byte_by_byte(line):
    at_once, slowly = Deframer(AGENT_ADDRESS), Deframer(AGENT_ADDRESS)
    assert at_once.feed(line) == [found for byte in line for found in slowly.feed(bytes((byte,)))]
    # What is left of a refused frame is counted once more when it comes later.
    del at_once.rejected["bytes outside frames"], slowly.rejected["bytes outside frames"]
    assert at_once.rejected == slowly.rejected


@given(st.binary(max_size=200), st.binary(min_size=1, max_size=40))
@settings(max_examples=100)
def test_a_frame_is_found_after_any_garbage(garbage, payload):
    deframer = Deframer(AGENT_ADDRESS)
    deframer.feed(garbage)
    assert deframer.feed(frame(payload, CLIENT_ADDRESS, AGENT_ADDRESS))[-1:] == [(CLIENT_ADDRESS, payload)]


@given(st.lists(st.binary(max_size=60), max_size=20), st.integers(0, 15))
@settings(max_examples=150)
def test_no_bytes_make_the_agent_raise_or_lose_an_honest_client(packets, kind):
    pair = Pair()
    pair.make()
    for packet in packets:
        pair.agent.receive("enemy", packet, pair.now)
        # The same as a session's message and as a submessage of each kind, so that the parsers are reached.
        enemy = bytes((0x81, 0x80, 0, 0, kind, 1)) + struct.pack("<H", len(packet)) + packet
        pair.agent.receive("enemy", b"\x80\0\0\0\0\1\x10\0XRCE\1\0\1\x0f\1\2\3\4\x81\0\xfc\1", pair.now)
        pair.agent.receive("enemy", enemy, pair.now)
    pair.agent.output.clear()
    assert not pair.agent.rejected["internal errors"]
    pair.client.write(0, bytes(4), pair.now)
    pair.exchange()
    assert len(pair.middleware.samples["rt/numbers"]) == 1
