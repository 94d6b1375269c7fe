"""micro_ros_bridge as others see it: a process on the graph, real XRCE clients over UDP and pseudo-terminals."""

from __future__ import annotations

import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from geometry_msgs.msg import Twist
from rcl_interfaces.srv import GetParameters
from rclpy.parameter import parameter_value_to_python
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import deserialize_message, serialize_message
from ros_harness import Diagnostics, NodeProcess, Peer, next_domain, node_and_peer
from std_msgs.msg import Bool, Float32MultiArray, Int32, UInt32
from std_srvs.srv import SetBool
from vision_msgs.msg import (
    Detection2D,
    Detection2DArray,
    Detection3D,
    Detection3DArray,
    LabelInfo,
    ObjectHypothesisWithPose,
    VisionClass,
)

from robot_ai.cli.simulated_mcu import RELIABLE, McuNode, SimulatedMcu
from robot_ai.micro_ros.client import Answer, Reply, Request, XrceClient
from robot_ai.micro_ros.client_link import ClientRunner, Link, PtyLink, UdpLink
from robot_ai.micro_ros.wire import ObjectKind

NODE = "/micro_ros_bridge"
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
ENCAPSULATION = b"\x00\x01\x00\x00"
SET_BOOL = ("std_srvs::srv::dds_::SetBool_Request_", "std_srvs::srv::dds_::SetBool_Response_")
GET_PARAMETERS = (
    "rcl_interfaces::srv::dds_::GetParameters_Request_",
    "rcl_interfaces::srv::dds_::GetParameters_Response_",
)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def arguments(**values: object) -> list[str]:
    return [word for name, value in values.items() for word in ("-p", f"{name}:={value}")]


class Mcu:
    """A simulated microcontroller in a thread of its own; what it says is kept with its time."""

    def __init__(self, link: Link, key: bytes = b"\xab\x01\x02\x03") -> None:
        self.said: list[tuple[float, str]] = []
        self.mcu = SimulatedMcu(link, lambda text: self.said.append((time.monotonic(), text)), key)
        self._commands: list[Callable[[], None]] = []
        self._plugged = True
        self._ending = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def heard(self, text: str, after: float = 0.0) -> float | None:
        """When it first said something that begins so, after a moment."""
        return next((when for when, what in list(self.said) if when > after and what.startswith(text)), None)

    def unplug(self) -> None:
        self._plugged = False
        self._commands.append(lambda: self.mcu.replug(None))

    def plug(self, link: Link) -> None:
        self._commands.append(lambda: self.mcu.replug(link))
        self._plugged = True

    def close(self) -> None:
        self._ending = True
        self._thread.join()
        self.mcu.close()

    def _run(self) -> None:
        while not self._ending:
            while self._commands:
                self._commands.pop(0)()
            if self._plugged:
                self.mcu.step()
            else:
                self.mcu.coast()
                time.sleep(0.01)


@contextmanager
def mcu(link: Link) -> Iterator[Mcu]:
    simulated = Mcu(link)
    try:
        yield simulated
    finally:
        simulated.close()


@contextmanager
def client(port: int, name: str, key: int = 1) -> Iterator[McuNode]:
    """A micro-ROS node over UDP."""
    with ClientRunner(XrceClient(key.to_bytes(4, "big")), UdpLink(port=port)) as runner:
        assert runner.login()
        yield McuNode(runner, name)


def both(peer: Peer, node: McuNode, condition: Callable[[], object], timeout: float = 20.0) -> None:
    """Runs both sides until the condition holds."""

    def turn() -> object:
        node.dispatch(node.runner.step(0.0))
        return condition()

    peer.wait(turn, timeout)


def collect(peer: Peer, node: McuNode, kind: type, count: int) -> list:
    """Runs both sides until the client has heard `count` events of a kind."""
    found: list = []

    def turn() -> bool:
        found.extend(event for event in node.runner.step(0.0) if isinstance(event, kind))
        return len(found) >= count

    peer.wait(turn)
    return found


def create_service(node: McuNode, kind: ObjectKind, name: str, types: tuple[str, str], number: int = 0) -> int:
    """A requester or replier that reads; returns the Answer's status."""
    xrce = node.runner.client
    asked = xrce.create_service(number, kind, name, types, 0, time.monotonic())
    answer = node.runner.wait(Answer, lambda a: a.request_id == asked)
    assert answer is not None
    xrce.read(number, kind, time.monotonic())
    return answer.status


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[tuple[NodeProcess, Peer, int]]:
    """One bridge for the tests that leave it as it was."""
    port = free_port()
    log = tmp_path_factory.mktemp("bridge") / "log"
    with node_and_peer("micro_ros_bridge", arguments(udp_port=port), log) as (node, peer):
        peer.wait(lambda: peer.state(NODE) == "active")
        yield node, peer, port


def test_publisher_and_subscription_of_a_client(running) -> None:
    _, peer, port = running
    heard, publisher = peer.listen(Int32, "/up"), peer.node.create_publisher(Int32, "/down", 10)
    with client(port, "/robot/wheels") as node:
        got: list[bytes] = []
        writer = node.advertise("up", "std_msgs/Int32", RELIABLE)
        node.subscribe("down", "std_msgs/Int32", got.append, RELIABLE)
        both(peer, node, lambda: peer.node.count_publishers("/up") and publisher.get_subscription_count())
        assert ("wheels", "/robot") in peer.node.get_node_names_and_namespaces()
        peer.spin(0.5)
        for number in range(20):
            node.runner.client.write(writer, struct.pack("<i", number), time.monotonic(), reliable=True)
            publisher.publish(Int32(data=-number))
            node.dispatch(node.runner.step(0.01))
            peer.spin(0.001)
        both(peer, node, lambda: len(heard) == 20 and len(got) == 20)
        assert [message.data for message in heard] == list(range(20))
        assert [struct.unpack("<i", cdr)[0] for cdr in got] == [-number for number in range(20)]


def test_service_of_a_client_with_several_calls_at_once(running) -> None:
    _, peer, port = running
    with client(port, "server") as node:
        assert create_service(node, ObjectKind.REPLIER, "/set_lamp", SET_BOOL) == 0
        ros = peer.node.create_client(SetBool, "/set_lamp")
        both(peer, node, ros.service_is_ready)
        futures = [ros.call_async(SetBool.Request(data=number % 2 == 1)) for number in range(3)]
        requests = collect(peer, node, Request, 3)
        for request in reversed(requests):
            answer = SetBool.Response(success=request.cdr[0] == 1, message="lamp")
            node.runner.client.reply(0, request.identity, serialize_message(answer)[4:], time.monotonic())
        both(peer, node, lambda: all(future.done() for future in futures))
        assert [future.result().success for future in futures] == [False, True, False]


def test_client_of_a_client_loses_no_first_call(running) -> None:
    _, peer, port = running
    with client(port, "caller") as node:
        assert create_service(node, ObjectKind.REQUESTER, "/ros_side", SET_BOOL) == 0
        called = node.runner.client.call(0, b"\x01", time.monotonic())
        node.runner.spin(0.3)

        def serve(request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
            response.success = request.data
            return response

        service = peer.node.create_service(SetBool, "/ros_side", serve)
        (reply,) = collect(peer, node, Reply, 1)
        assert (reply.request_id, reply.cdr[0]) == (called, 1)
        peer.node.destroy_service(service)


def test_parameter_services_of_a_client(running) -> None:
    """What rclc's parameter server is: ordinary services below its node's name."""
    _, peer, port = running
    with client(port, "tunable") as node:
        assert create_service(node, ObjectKind.REPLIER, "/tunable/get_parameters", GET_PARAMETERS) == 0
        ros = peer.node.create_client(GetParameters, "/tunable/get_parameters")
        both(peer, node, ros.service_is_ready)
        future = ros.call_async(GetParameters.Request(names=["gain"]))
        (request,) = collect(peer, node, Request, 1)
        asked = deserialize_message(ENCAPSULATION + request.cdr, GetParameters.Request)
        assert list(asked.names) == ["gain"]
        answer = GetParameters.Response()
        answer.values = [rclpy_double(2.5)]
        node.runner.client.reply(0, request.identity, serialize_message(answer)[4:], time.monotonic())
        both(peer, node, future.done)
        assert parameter_value_to_python(future.result().values[0]) == 2.5


def rclpy_double(value: float):
    from rclpy.parameter import Parameter

    return Parameter("x", value=value).get_parameter_value()


def test_a_type_that_is_not_installed_is_refused_and_said_once(running) -> None:
    process, _, port = running
    with client(port, "stranger") as node:
        xrce = node.runner.client
        asked = xrce.create_topic(7, "rt/odd", "my_robot_msgs::msg::dds_::Wheel_", 0, time.monotonic())
        answer = node.runner.wait(Answer, lambda a: a.request_id == asked)
        assert answer is not None and answer.status == 0x80
    deadline = time.monotonic() + 5
    while "my_robot_msgs" not in process.output() and time.monotonic() < deadline:
        time.sleep(0.05)
    lines = [line for line in process.output().splitlines() if "my_robot_msgs" in line]
    assert len(lines) == 1
    assert "'my_robot_msgs' is not installed" in lines[0]


def test_several_clients_and_their_diagnostics(running) -> None:
    _, peer, port = running
    diagnostics = Diagnostics(peer)
    with client(port, "one", 0xA1) as one, client(port, "two", 0xA2) as two, client(port, "three", 0xA3) as three:
        counts = {}
        for number, node in enumerate((one, two, three)):
            heard = peer.listen(UInt32, f"/count_{number}")
            counts[node] = (heard, node.advertise(f"count_{number}", "std_msgs/UInt32", RELIABLE))
        peer.wait(lambda: all(peer.node.count_publishers(f"/count_{n}") for n in range(3)))
        peer.spin(0.5)
        for number in range(30):
            for node, (_, writer) in counts.items():
                node.runner.client.write(writer, struct.pack("<I", number), time.monotonic(), reliable=True)
                node.runner.step(0.001)
            peer.spin(0.002)
        for node in counts:
            assert node.runner.confirm()
        peer.wait(lambda: all(len(heard) == 30 for heard, _ in counts.values()))
        _, _, values = diagnostics.until("client 000000A2", lambda _l, _m, values: int(values["entities"]) >= 5)
        assert (values["state"], values["nodes"]) == ("connected", "/two")
        assert values["transport"].startswith("udp 127.0.0.1:")


def sight(name: str, x: float) -> Detection3D:
    detection = Detection3D(results=[ObjectHypothesisWithPose()])
    detection.results[0].hypothesis.class_id, detection.results[0].hypothesis.score = name, 0.8
    detection.bbox.center.position.x = x
    detection.bbox.size.x = detection.bbox.size.y = detection.bbox.size.z = 0.2
    return detection


class Robot:
    """The ROS side of a robot: detections and commands at 20 Hz while it is told to."""

    def __init__(self, peer: Peer, kind: type = Detection2DArray) -> None:
        self.peer = peer
        self.seeing = self.commanding = True
        self.turn = 0.0
        self.detection: list = []
        self._kind = kind
        self._detections = peer.node.create_publisher(kind, "detections", 10)
        self._commands = peer.node.create_publisher(Twist, "cmd_vel", 10)
        self.stops: list[tuple[float, bool]] = []
        self.speeds: list[tuple[float, float]] = []
        self.passed: list[tuple[float, Twist]] = []
        self.last_detections = 0.0
        node = peer.node
        node.create_subscription(Bool, "mcu/stop", lambda m: self.stops.append((time.monotonic(), m.data)), 50)
        node.create_subscription(Twist, "mcu/cmd_vel", self._on_passed, 50)
        node.create_timer(0.05, self._tick)

    def _tick(self) -> None:
        if self.seeing:
            message = self._kind(detections=self.detection)
            message.header.stamp = self.peer.node.get_clock().now().to_msg()
            self._detections.publish(message)
            self.last_detections = time.monotonic()
        if self.commanding:
            command = Twist()
            command.linear.x, command.angular.y, command.angular.z = 0.5, 0.3, self.turn
            self._commands.publish(command)

    def _on_passed(self, command: Twist) -> None:
        self.passed.append((time.monotonic(), command))
        self.speeds.append((time.monotonic(), command.linear.x))

    def since(self, moment: float) -> list[float]:
        return [speed for when, speed in self.speeds if when > moment]

    def wait_driving(self, after: float) -> None:
        self.peer.wait(lambda: any(speed > 0 for speed in self.since(after)))


SAFETY = {"detections_timeout": 0.4, "resume_after": 0.5, "watchdog_period": 0.05, "probe_period": 0.2}


@pytest.mark.parametrize("transport", ["udp", "pty"])
def test_stale_detections_stop_the_mcu_and_fresh_ones_free_it(tmp_path: Path, transport: str) -> None:
    port = free_port()
    link: Link = PtyLink(tmp_path / "mcu") if transport == "pty" else UdpLink(port=port)
    values = {"udp_port": port, "serial_ports": f"[{tmp_path / 'mcu'}]"} | SAFETY
    with (
        node_and_peer("micro_ros_bridge", arguments(**values), tmp_path / "log") as (_, peer),
        mcu(link) as simulated,
    ):
        robot = Robot(peer)
        robot.wait_driving(0)
        peer.wait(lambda: simulated.heard("driving at"))
        robot.seeing = False
        due = robot.last_detections + SAFETY["detections_timeout"]
        peer.wait(lambda: simulated.heard("motors off: mcu/stop", due - 0.2))
        stopped = simulated.heard("motors off: mcu/stop", due - 0.2)
        assert stopped is not None
        print(f"stop on the wire {(stopped - due) * 1e3:.0f} ms after detections turned stale ({transport})")  # noqa: T201
        # The bar is a period and 20 ms, measured outside CI; a busy machine gets a second.
        assert -0.01 <= stopped - due < 1.0
        begun = time.monotonic()
        peer.spin(0.5)
        assert set(robot.since(begun)) == {0.0}, "in STOP nothing but zero goes out, and it keeps going out"
        assert len(robot.since(begun)) >= 3
        robot.seeing = True
        fresh = time.monotonic()
        robot.wait_driving(fresh)
        freed = next(when for when, speed in robot.speeds if when > fresh and speed > 0)
        assert freed - fresh >= SAFETY["resume_after"] - 0.06
        peer.wait(lambda: simulated.heard("motors released", stopped))


def test_pulled_cable_stops_and_the_same_session_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "mcu"
    values = {"udp_port": 0, "serial_ports": f"[{path}]", "link_timeout": 0.5} | SAFETY
    with (
        node_and_peer("micro_ros_bridge", arguments(**values), tmp_path / "log") as (process, peer),
        mcu(PtyLink(path)) as simulated,
    ):
        robot, diagnostics = Robot(peer), Diagnostics(peer)
        robot.wait_driving(0)
        peer.wait(lambda: simulated.heard("driving at"))
        pulled = time.monotonic()
        simulated.unplug()
        peer.wait(lambda: any(speed == 0 for speed in robot.since(pulled)))
        peer.wait(lambda: simulated.heard("motors off: the host's heartbeat ceased", pulled))
        simulated.plug(PtyLink(path))
        back = time.monotonic()
        robot.wait_driving(back)
        peer.wait(lambda: simulated.heard("driving at", back))
        assert simulated.heard("connected", pulled) is None, "the session outlives the cable"
        assert diagnostics.until("agent", lambda level, *_: level == 0)
        assert f"STOP: link to the MCU: serial {path} is closed" in process.output()


def test_killed_bridge_lets_the_mcu_stop_itself_and_another_takes_over(tmp_path: Path) -> None:
    port, domain = free_port(), next_domain()
    start = lambda: NodeProcess("micro_ros_bridge", arguments(udp_port=port, **SAFETY), domain, tmp_path / "log")  # noqa: E731
    process, peer = start(), Peer(domain)
    try:
        with mcu(UdpLink(port=port)) as simulated:
            robot = Robot(peer)
            robot.wait_driving(0)
            peer.wait(lambda: simulated.heard("driving at"))
            process.stop(signal.SIGKILL)
            killed = time.monotonic()
            peer.wait(lambda: simulated.heard("motors off: the host's heartbeat ceased", killed - 0.05))
            peer.wait(lambda: simulated.heard("agent lost", killed))
            process = start()
            peer.wait(lambda: simulated.heard("connected", killed), 30)
            peer.wait(lambda: simulated.heard("driving at", killed), 30)
    finally:
        peer.close()
        assert process.stop() == 0, process.output()


def test_an_obstacle_stops_at_once(tmp_path: Path) -> None:
    port = free_port()
    values = {"udp_port": port, "detections_type": "3d", "stop_distance": 0.5, "link_timeout": 0.0} | SAFETY
    with (
        node_and_peer("micro_ros_bridge", arguments(**values), tmp_path / "log") as (_, peer),
        mcu(UdpLink(port=port)) as simulated,
    ):
        robot, diagnostics = Robot(peer, Detection3DArray), Diagnostics(peer)
        robot.detection = [sight("person", 3.0)]
        robot.wait_driving(0)
        # Only what has a label that counts, and that may change while it runs.
        assert peer.set(NODE, obstacle_classes=["person", "dog"]).successful
        moment = time.monotonic()
        robot.detection = [sight("person", 3.0), sight("chair", 0.4)]
        peer.spin(1.0)
        assert min(robot.since(moment)) > 0
        robot.detection = [sight("person", 3.0), sight("dog", 0.4)]
        peer.wait(lambda: simulated.heard("motors off: mcu/stop"))
        _, message, values = diagnostics.next("safety")
        assert (values["state"], "obstacle at 0.30 m" in message) == ("STOP", True)


def test_a_robot_that_may_turn_turns_away_from_what_it_has_stopped_before(tmp_path: Path) -> None:
    port = free_port()
    distances = {"stop_distance": 1.0, "turn_distance": 0.5}
    values = {"udp_port": port, "detections_type": "3d", "degraded_speed": 0.25} | distances | SAFETY
    with (
        node_and_peer("micro_ros_bridge", arguments(**values), tmp_path / "log") as (_, peer),
        mcu(UdpLink(port=port)) as simulated,
    ):
        robot, diagnostics = Robot(peer, Detection3DArray), Diagnostics(peer)
        robot.turn = 0.8
        robot.wait_driving(0)
        robot.detection = [sight("person", 0.9)]
        blocked = time.monotonic()
        peer.wait(lambda: simulated.heard("motors off: mcu/stop", blocked))
        off = simulated.heard("motors off", blocked)
        peer.wait(lambda: simulated.heard("motors released", off))
        assert simulated.heard("motors released", off) - off >= 0.4
        turning = time.monotonic()
        peer.wait(lambda: simulated.mcu.turn == pytest.approx(0.2))
        peer.spin(0.5)
        passed = [command for when, command in robot.passed if when > turning]
        assert len(passed) >= 3
        assert {(c.linear.x, c.angular.y, c.angular.z) for c in passed} == {(0.0, 0.0, 0.8 * 0.25)}
        _, message, values = diagnostics.until("safety", lambda *status: status[2]["state"] == "TURN_ONLY")
        assert (values["turn passed on (%)"], "obstacle at 0.80 m" in message) == ("25", True)
        # Whatever else goes wrong stops the turn, too.
        robot.seeing = False
        stale = time.monotonic()
        peer.wait(lambda: simulated.heard("motors off: mcu/stop", stale))
        robot.seeing, robot.detection = True, [sight("person", 0.4)]
        peer.spin(1.5)
        assert simulated.heard("motors released", stale) is None, "it is too near to turn"
        robot.detection = []
        moment = time.monotonic()
        robot.wait_driving(moment)


def test_external_agent_serves_the_topics_only(tmp_path: Path) -> None:
    values = {"agent": "external", "link_timeout": 0.5} | SAFETY
    with node_and_peer("micro_ros_bridge", arguments(**values), tmp_path / "log") as (_, peer):
        robot, diagnostics = Robot(peer), Diagnostics(peer)
        _, message, _ = diagnostics.next("safety")
        assert "no MCU heartbeat yet" in message
        beats = peer.node.create_publisher(UInt32, "mcu/heartbeat", 10)
        timer = peer.node.create_timer(0.1, lambda: beats.publish(UInt32(data=1)))
        robot.wait_driving(0)
        peer.node.destroy_timer(timer)
        silent = time.monotonic()
        peer.wait(lambda: 0.0 in robot.since(silent))
        assert diagnostics.next("safety")[2]["state"] == "STOP"


def test_compact_detections_and_labels(tmp_path: Path) -> None:
    values = {"udp_port": free_port(), "mcu_detections": 4, "mcu_detections_rate": 10.0}
    with node_and_peer("micro_ros_bridge", arguments(**values), tmp_path / "log") as (_, peer):
        labels = LabelInfo(
            class_map=[VisionClass(class_id=0, class_name="person"), VisionClass(class_id=16, class_name="dog")]
        )
        peer.node.create_publisher(LabelInfo, "label_info", LATCHED).publish(labels)
        compact = peer.listen(Float32MultiArray, "mcu/detections")
        robot, diagnostics = Robot(peer), Diagnostics(peer)
        robot.commanding = False
        detection = Detection2D(results=[ObjectHypothesisWithPose()])
        detection.results[0].hypothesis.class_id, detection.results[0].hypothesis.score = "dog", 0.75
        robot.detection = [detection]
        peer.wait(lambda: compact and compact[-1].data[2] == 16)
        assert len(compact[-1].data) == 2 + 5 * 4
        assert compact[-1].data[0] == 1
        assert 0 <= compact[-1].data[1] < 1
        request = GetParameters.Request(names=["16", "1", "x"])
        answer = peer.call(GetParameters, "/mcu/label_info", request)
        assert [parameter_value_to_python(value) for value in answer.values] == ["dog", None, None]
        begun, count = time.monotonic(), len(compact)
        peer.spin(2.0)
        assert len(compact) - count <= (time.monotonic() - begun) * 10 + 3
        values = diagnostics.next("detections")[2]
        assert int(values["detections received"]) == (
            int(values["detections sent"]) + int(values["detections left out by rate"])
        )


def test_lifecycle_and_refusals(tmp_path: Path) -> None:
    port = free_port()
    with node_and_peer("micro_ros_bridge", arguments(udp_port=port, autostart="false"), tmp_path / "log") as (
        process,
        peer,
    ):
        for name, value, reason in (
            ("stop_distance", 1.0, "detections_type 3d"),
            ("udp_address", "localhost", "numeric addresses"),
            ("allowed_keys", ["xyz"], "hexadecimal"),
            ("mcu_node", "motors", "full node name"),
            ("serial_ports", ["/dev/ttyUSB0@fast"], "device@baud"),
            ("references", "/no/such/file.xml", "profiles cannot be read"),
        ):
            result = peer.set(NODE, **{name: value})
            assert not result.successful and reason in result.reason
        for _ in range(2):
            assert peer.change(NODE, "configure")
            assert peer.change(NODE, "activate")
            with client(port, "again") as node:
                peer.wait(lambda: "again" in peer.node.get_node_names())
                assert node.runner.client.connected
            assert peer.change(NODE, "deactivate")
            peer.wait(lambda: "again" not in peer.node.get_node_names())
            assert peer.change(NODE, "cleanup")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", port))
            assert peer.change(NODE, "configure")
            assert not peer.change(NODE, "activate")
            assert peer.state(NODE) == "inactive"
        assert peer.change(NODE, "activate")
        assert process.alive()
