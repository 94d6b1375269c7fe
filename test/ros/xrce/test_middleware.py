"""The agent's ROS side over real DDS, with this test in the agent's place."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message, serialize_message
from ros_harness import Peer, next_domain
from std_msgs.msg import Int32, String
from std_srvs.srv import SetBool

from robot_ai.micro_ros.middleware import (
    ClientInfo,
    Durability,
    Handle,
    History,
    ParticipantSpec,
    QoS,
    ReaderSpec,
    Reliability,
    ReplierSpec,
    RequesterSpec,
    Status,
    TopicSpec,
    WriterSpec,
)
from robot_ai.ros.xrce.entities import SERVICE_WAIT
from robot_ai.ros.xrce.middleware import RosMiddleware

CLIENT = ClientInfo("CAFE0001", 0x81, "test")
RELIABLE = QoS(Reliability.RELIABLE, Durability.VOLATILE, History.KEEP_LAST, 10)
BEST_EFFORT = QoS(Reliability.BEST_EFFORT, Durability.VOLATILE, History.KEEP_LAST, 5)
INT32 = "std_msgs::msg::dds_::Int32_"
SET_BOOL = ("std_srvs::srv::dds_::SetBool_Request_", "std_srvs::srv::dds_::SetBool_Response_")


class RecordingInbox:
    """What the agent would hand to its client."""

    def __init__(self) -> None:
        self.samples: list[tuple[Handle, bytes]] = []
        self.requests: list[tuple[Handle, int, bytes]] = []
        self.replies: list[tuple[Handle, int, bytes]] = []
        self.failed: list[tuple[Handle, str]] = []

    def deliver(self, reader, cdr) -> None:
        self.samples.append((reader, cdr))

    def deliver_request(self, replier, token, cdr) -> None:
        self.requests.append((replier, token, cdr))

    def deliver_reply(self, requester, request_id, cdr) -> None:
        self.replies.append((requester, request_id, cdr))

    def entity_failed(self, handle, reason) -> None:
        self.failed.append((handle, reason))


class Agent:
    """A middleware in a domain of its own, and short ways to ask it for entities."""

    def __init__(self, domain: int) -> None:
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = Node("bridge", context=self.context, use_global_arguments=False)
        self.inbox = RecordingInbox()
        self.middleware = RosMiddleware(self.node, follow_domains=False, client_changed=lambda event: None)
        self.middleware.connect(self.inbox)
        self._handles = itertools.count(1)

    def close(self) -> None:
        self.middleware.close()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)

    def handle(self) -> Handle:
        return Handle(next(self._handles))

    def accept(self, spec) -> Handle:
        assert self.middleware.create(spec) is None
        return spec.handle

    def participant(self, name: str, domain: int | None = None) -> Handle:
        return self.accept(ParticipantSpec(self.handle(), CLIENT, name, domain))

    def writer(self, participant: Handle, topic: str, type_name: str = INT32, qos: QoS = RELIABLE) -> Handle:
        return self.accept(WriterSpec(self.handle(), participant, topic, type_name, qos))

    def reader(self, participant: Handle, topic: str, type_name: str = INT32, qos: QoS = RELIABLE) -> Handle:
        return self.accept(ReaderSpec(self.handle(), participant, topic, type_name, qos))

    def service(self, kind: type, participant: Handle, name: str) -> Handle:
        return self.accept(kind(self.handle(), participant, name, *SET_BOOL, f"rq{name}Request", f"rr{name}Reply"))


@pytest.fixture(scope="module")
def stage() -> Iterator[tuple[Agent, Peer]]:
    domain = next_domain()
    agent, peer = Agent(domain), Peer(domain)
    yield agent, peer
    peer.close()
    agent.close()
    assert not [t.name for t in threading.enumerate() if t.name.startswith("xrce_")]


def cdr_of(value: int) -> bytes:
    return serialize_message(Int32(data=value))


def test_node_and_endpoints_are_on_the_graph_as_a_native_node_would_be(stage) -> None:
    agent, peer = stage
    node = agent.participant("/robot/motors")
    agent.writer(node, "rt/wheel", qos=BEST_EFFORT)
    agent.reader(node, "rt/target", qos=QoS(Reliability.RELIABLE, Durability.TRANSIENT_LOCAL, History.KEEP_LAST, 3))
    agent.service(ReplierSpec, node, "/robot/calibrate")
    peer.wait(lambda: ("motors", "/robot") in peer.node.get_node_names_and_namespaces())
    peer.wait(lambda: peer.node.get_service_names_and_types_by_node("motors", "/robot"))
    published = peer.node.get_publisher_names_and_types_by_node("motors", "/robot")
    assert ("/wheel", ["std_msgs/msg/Int32"]) in published
    assert not [name for name, _ in published if "rosout" in name]
    assert peer.node.get_service_names_and_types_by_node("motors", "/robot") == [
        ("/robot/calibrate", ["std_srvs/srv/SetBool"])
    ]
    (wheel,) = peer.node.get_publishers_info_by_topic("/wheel")
    assert (wheel.node_name, wheel.node_namespace) == ("motors", "/robot")
    assert wheel.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    (target,) = peer.node.get_subscriptions_info_by_topic("/target")
    assert target.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    assert agent.middleware.node_names("CAFE0001") == ["/robot/motors"]
    agent.middleware.delete(node)
    peer.wait(lambda: ("motors", "/robot") not in peer.node.get_node_names_and_namespaces())


def test_samples_go_through_as_they_are(stage) -> None:
    agent, peer = stage
    node = agent.participant("samples")
    writer, reader = agent.writer(node, "rt/up"), agent.reader(node, "rt/down")
    heard, publisher = peer.listen(Int32, "/up"), peer.node.create_publisher(Int32, "/down", 10)
    peer.wait(lambda: peer.node.count_publishers("/up") and publisher.get_subscription_count())
    peer.spin(0.3)
    for number in range(50):
        agent.middleware.write(writer, cdr_of(number))
        publisher.publish(Int32(data=-number))
        peer.spin(0.005)
    peer.wait(lambda: len(heard) == 50 and len(agent.inbox.samples) == 50)
    assert [message.data for message in heard] == list(range(50))
    assert agent.inbox.samples == [(reader, cdr_of(-number)) for number in range(50)]


def test_what_is_written_before_the_publisher_is_made_comes_in_order(stage) -> None:
    agent, peer = stage
    qos = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    heard = peer.listen(Int32, "/early", qos)
    writer = agent.writer(
        agent.participant("early"),
        "rt/early",
        qos=QoS(Reliability.RELIABLE, Durability.TRANSIENT_LOCAL, History.KEEP_LAST, 100),
    )
    for number in range(60):
        agent.middleware.write(writer, cdr_of(number))
    peer.wait(lambda: len(heard) == 60)
    assert [message.data for message in heard] == list(range(60))


@pytest.mark.parametrize(
    ("topic", "type_name", "reason"),
    [
        ("rt/x", "my_msgs::msg::dds_::Thing_", "'my_msgs' is not installed"),
        ("rt/x", "HelloWorld", "no ROS type"),
        ("rt/no good", INT32, "no name that ROS accepts"),
    ],
)
def test_what_ros_cannot_have_is_refused_with_the_reason(stage, topic, type_name, reason) -> None:
    agent, _ = stage
    node = agent.participant("refused")
    refusal = agent.middleware.create(TopicSpec(agent.handle(), node, topic, type_name))
    assert refusal is not None and refusal.status is Status.DDS_ERROR
    assert reason in refusal.reason


def test_create_and_write_never_wait_for_an_entity(stage) -> None:
    agent, _ = stage
    started = time.monotonic()
    for number in range(20):
        writer = agent.writer(agent.participant(f"many_{number}"), f"rt/many_{number}")
        agent.middleware.write(writer, cdr_of(number))
    accepted = time.monotonic() - started
    names = [f"many_{number}" for number in range(20)]
    deadline = time.monotonic() + 20
    while not set(names) <= set(agent.node.get_node_names()) and time.monotonic() < deadline:
        time.sleep(0.01)
    made = time.monotonic() - started
    assert set(names) <= set(agent.node.get_node_names())
    assert accepted < made


def test_service_of_a_client_answers_several_requests_in_any_order(stage) -> None:
    agent, peer = stage
    replier = agent.service(ReplierSpec, agent.participant("server"), "/set")
    client = peer.node.create_client(SetBool, "/set")
    peer.wait(client.service_is_ready)
    futures = [client.call_async(SetBool.Request(data=number % 2 == 1)) for number in range(5)]
    peer.wait(lambda: len(agent.inbox.requests) == 5)
    requests = list(agent.inbox.requests)
    assert {handle for handle, _, _ in requests} == {replier}
    assert [deserialize_message(cdr, SetBool.Request).data for _, _, cdr in requests] == [False, True] * 2 + [False]
    agent.middleware.reply(replier, 10**6, serialize_message(SetBool.Response()))
    agent.middleware.reply(replier, requests[0][1], b"\x00\x01\x00\x00")
    for number in (3, 1, 4, 2):
        answer = SetBool.Response(success=True, message=str(number))
        agent.middleware.reply(replier, requests[number][1], serialize_message(answer))
    peer.wait(lambda: all(future.done() for future in futures[1:]))
    assert [future.result().message for future in futures[1:]] == ["1", "2", "3", "4"]
    assert not futures[0].done()
    drops = agent.middleware.drops("CAFE0001")
    assert drops["reply to no open request"] == 1
    assert drops["reply that is no such reply"] == 1


def test_the_first_call_waits_for_its_service(stage) -> None:
    agent, peer = stage
    requester = agent.service(RequesterSpec, agent.participant("caller"), "/late")
    for number in range(3):
        agent.middleware.call(requester, number, serialize_message(SetBool.Request(data=number == 1)))
    agent.middleware.call(requester, 9, b"\x00\x01\x00\x00")
    time.sleep(0.5)

    def serve(request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        response.success = request.data
        return response

    peer.node.create_service(SetBool, "/late", serve)
    peer.wait(lambda: len(agent.inbox.replies) == 3)
    answers = {number: deserialize_message(cdr, SetBool.Response).success for _, number, cdr in agent.inbox.replies}
    assert answers == {0: False, 1: True, 2: False}
    assert agent.middleware.drops("CAFE0001")["request that is no such request"] == 1


def test_a_call_to_no_service_is_dropped_and_said(stage) -> None:
    agent, peer = stage
    requester = agent.service(RequesterSpec, agent.participant("lonely"), "/nobody")
    agent.middleware.call(requester, 1, serialize_message(SetBool.Request()))
    peer.wait(lambda: agent.middleware.drops("CAFE0001").get("no such service") == 1, SERVICE_WAIT + 10)


def test_deleted_entities_leave_the_graph_and_take_nothing_more(stage) -> None:
    agent, peer = stage
    node = agent.participant("fleeting")
    writer, reader = agent.writer(node, "rt/gone"), agent.reader(node, "rt/gone")
    replier = agent.service(ReplierSpec, node, "/gone")
    requester = agent.service(RequesterSpec, node, "/gone")
    peer.wait(lambda: peer.node.count_subscribers("/gone") == 1)
    for handle in (writer, reader, replier, requester, node):
        agent.middleware.delete(handle)
    agent.middleware.write(writer, cdr_of(1))
    agent.middleware.call(requester, 1, b"")
    agent.middleware.reply(replier, 1, b"")
    agent.middleware.delete(writer)
    peer.wait(lambda: not peer.node.count_subscribers("/gone") and not peer.node.count_publishers("/gone"))
    peer.wait(lambda: "fleeting" not in peer.node.get_node_names())


def churn(agent: Agent, until: Callable[[], bool]) -> int:
    rounds = 0
    while not until():
        node = agent.participant(f"churn_{rounds}")
        handles = [agent.reader(node, "rt/churn"), agent.service(ReplierSpec, node, f"/churn_{rounds}")]
        for handle in (*handles, node):
            agent.middleware.delete(handle)
        rounds += 1
        time.sleep(0.02)
    return rounds


def test_entities_come_and_go_while_samples_flow(stage) -> None:
    agent, peer = stage
    reader = agent.reader(agent.participant("steady"), "rt/churn")
    publisher = peer.node.create_publisher(Int32, "/churn", 1000)
    peer.wait(publisher.get_subscription_count)
    peer.spin(0.3)
    agent.inbox.samples.clear()
    end = time.monotonic() + 2.0
    changes = threading.Thread(target=churn, args=(agent, lambda: time.monotonic() > end))
    changes.start()
    sent = 0
    while changes.is_alive():
        publisher.publish(Int32(data=sent))
        sent += 1
        time.sleep(0.002)
    mine: Callable[[], list[bytes]] = lambda: [cdr for handle, cdr in agent.inbox.samples if handle == reader]  # noqa: E731
    peer.wait(lambda: len(mine()) == sent)
    assert mine() == [cdr_of(number) for number in range(sent)]


def test_a_client_that_names_another_domain_is_there(stage) -> None:
    agent, _ = stage
    domain = next_domain()
    agent.writer(agent.participant("elsewhere", domain), "rt/elsewhere", "std_msgs::msg::dds_::String_")
    other = Peer(domain)
    try:
        other.wait(lambda: "elsewhere" in other.node.get_node_names())
        other.wait(lambda: other.node.count_publishers("/elsewhere"))
        assert (
            other.node.get_publishers_info_by_topic("/elsewhere")[0].topic_type
            == String.__module__.split(".")[0] + "/msg/String"
        )
    finally:
        other.close()
    assert "elsewhere" not in agent.node.get_node_names()


def test_an_impossible_domain_is_refused(stage) -> None:
    refusal = stage[0].middleware.create(ParticipantSpec(stage[0].handle(), CLIENT, "impossible", 5000))
    assert refusal is not None and "expected 0 to 232" in refusal.reason
