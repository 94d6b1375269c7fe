"""lidar_detector as others see it: a process on the graph."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_harness import Diagnostics, NodeProcess, Peer, ledger, node_and_peer
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import LaserScan, PointCloud2, PointField
from std_msgs.msg import Header
from std_srvs.srv import SetBool
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection3DArray, LabelInfo
from visualization_msgs.msg import Marker, MarkerArray

from robot_ai.nodes.lidar_detector_parameters import LidarDetectorParameters
from robot_ai.ros.clouds import to_cloud
from robot_ai.ros.errors import ParameterError
from robot_ai.training.lidar_scenes import BEAMS, Ground, Scene, cast
from robot_ai.training.lidar_shapes import person, vehicle

NODE = "/lidar_detector"
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
STATIC = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
SECOND = 1_000_000_000


def simulated(*places: tuple[float, float, float], empty: bool = False) -> np.ndarray:
    """A person and a car on a level floor, 32 beams."""
    rng = np.random.default_rng(2)
    things = () if empty else (person(rng), vehicle(rng))
    where = places or ((6.0, 1.0, 0.4), (10.0, -6.0, 0.5))
    return cast(Scene(Ground.level(1.8), things, where[: len(things)]), BEAMS[32], rng).points


STREET, YARD = simulated(), simulated(empty=True)


def stamped(stamp: int, frame: str = "lidar") -> Header:
    header = Header(frame_id=frame)
    header.stamp.sec, header.stamp.nanosec = divmod(stamp, SECOND)
    return header


class Lidar:
    """Publishes clouds under rising stamps and waits for their answers."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.publisher = peer.node.create_publisher(PointCloud2, "points", 10)
        self.answers = peer.listen(Detection3DArray, "detections")
        self.stamp = 100 * SECOND

    def ready(self) -> Lidar:
        self.peer.wait(self.publisher.get_subscription_count)
        self.peer.wait(lambda: self.peer.node.count_publishers("detections"))
        self.peer.spin(0.6)
        return self

    def send(self, points: np.ndarray = STREET, frame: str = "lidar") -> int:
        self.stamp += SECOND // 10
        self.publisher.publish(to_cloud(points, stamped(self.stamp, frame), rows=32))
        return self.stamp

    def answer(self, stamp: int) -> Detection3DArray:
        def found() -> list[Detection3DArray]:
            return [a for a in self.answers if a.header.stamp.sec * SECOND + a.header.stamp.nanosec == stamp]

        self.peer.wait(found, 10)
        assert len(found()) == 1, "a cloud was answered twice"
        return found()[0]

    def ask(self, *args: object, **kwargs: object) -> Detection3DArray:
        return self.answer(self.send(*args, **kwargs))


def classes(answer: Detection3DArray) -> list[str]:
    return sorted(d.results[0].hypothesis.class_id for d in answer.detections)


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[tuple[NodeProcess, Peer, Lidar, Diagnostics]]:
    """One node for the tests that leave it as it was."""
    with node_and_peer("lidar_detector", [], tmp_path_factory.mktemp("lidar") / "log") as (node, peer):
        yield node, peer, Lidar(peer).ready(), Diagnostics(peer)


def test_boxes_are_in_the_clouds_frame_under_its_header(running) -> None:
    answer = running[2].ask()
    assert answer.header.frame_id == "lidar"
    assert classes(answer) == ["person", "vehicle"]
    (walker,) = (d for d in answer.detections if d.results[0].hypothesis.class_id == "person")
    center = walker.bbox.center.position
    assert (center.x, center.y, center.z) == pytest.approx((6, 1, -0.9), abs=0.3)
    assert walker.header == answer.header
    assert 1.4 < walker.bbox.size.z < 2.1
    (car,) = (d for d in answer.detections if d.results[0].hypothesis.class_id == "vehicle")
    turn = car.bbox.center.orientation
    assert 2 * np.arctan2(turn.z, turn.w) == pytest.approx(0.5, abs=0.1)
    assert car.id == ""


def test_a_cloud_with_nothing_in_it_gives_an_empty_array(running) -> None:
    assert list(running[2].ask(YARD).detections) == []
    assert list(running[2].ask(np.empty((0, 3), np.float32)).detections) == []


def test_a_stamp_before_all_time_ends_nothing(running) -> None:
    """As a driver writes whose clock is not set yet; rclpy's Time refuses it."""
    lidar = running[2]
    for stamp in (-5 * SECOND, -SECOND // 2):
        lidar.publisher.publish(to_cloud(STREET, stamped(stamp), rows=32))
        assert len(lidar.answer(stamp).detections) == 2


def test_labels_are_announced_to_late_listeners(running) -> None:
    peer = running[1]
    labels = peer.listen(LabelInfo, "label_info", LATCHED)
    peer.wait(lambda: labels)
    assert [c.class_name for c in labels[0].class_map] == ["person", "cyclist", "vehicle", "obstacle"]
    assert labels[0].threshold == pytest.approx(0.3)


def test_markers_come_turned_and_go(running) -> None:
    _, peer, lidar, _ = running
    arrays = peer.listen(MarkerArray, "detections/markers")
    peer.wait(lambda: peer.node.count_publishers("detections/markers"))
    deadline = time.monotonic() + 10
    while not arrays and time.monotonic() < deadline:
        lidar.ask()
        peer.spin(0.1)
    boxes = [m for m in arrays[-1].markers if m.ns == "boxes" and m.action == Marker.ADD]
    assert len(boxes) == 2
    assert any(2 * np.arctan2(m.pose.orientation.z, m.pose.orientation.w) == pytest.approx(0.5, abs=0.1) for m in boxes)
    assert all(0 <= channel <= 1 for m in boxes for channel in (m.color.r, m.color.g, m.color.b, m.color.a))
    arrays.clear()
    lidar.ask(YARD)
    peer.wait(lambda: arrays)
    assert {(m.ns, m.id) for m in arrays[-1].markers if m.action == Marker.DELETE} == {
        (space, number) for space in ("boxes", "labels") for number in (0, 1)
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"max_range": -1.0}, "range"),
        ({"input": "scan"}, "fixed while the node is configured"),
        ({"class_filter": ["persn"]}, "persn"),
        ({"region": "1 2 3"}, "six numbers"),
        ({"min_range": 70.0}, "min < max"),
        ({"voxel_size": 1.0}, "cluster_tolerance"),
        ({"method": "magic"}, "cluster"),
    ],
)
def test_refused_parameter_leaves_everything_as_it_was(running, change: dict, reason: str) -> None:
    _, peer, lidar, _ = running
    before = {name: peer.get(NODE, name) for name in change}
    result = peer.set(NODE, **change)
    assert not result.successful
    assert reason in result.reason
    assert {name: peer.get(NODE, name) for name in change} == before
    assert len(lidar.ask().detections) == 2


def test_parameters_change_at_the_next_cloud(running) -> None:
    _, peer, lidar, _ = running
    for change, expected in (
        ({"class_filter": ["vehicle"]}, ["vehicle"]),
        ({"class_filter": [], "max_range": 8.0}, ["person"]),
        ({"max_range": 60, "robot_region": "5 7 0 2 -3 3"}, ["vehicle"]),
        ({"robot_region": "", "region": "0 50 0 50 -9 9"}, ["person"]),
        ({"region": "", "tracking": True}, ["person", "vehicle"]),
    ):
        assert peer.set(NODE, **change).successful
        assert classes(lidar.ask()) == expected, change
    ids = [{d.id for d in lidar.ask().detections} for _ in range(2)]
    assert ids[0] == ids[1]
    assert "" not in ids[0]
    assert peer.set(NODE, tracking=False).successful


def test_enable_service(running) -> None:
    _, peer, lidar, diagnostics = running
    assert peer.call(SetBool, f"{NODE}/enable", SetBool.Request(data=False)).success
    before = ledger(diagnostics.next("lidar")[2])[2]["disabled"]
    lidar.send()
    diagnostics.until("lidar", lambda *s: ledger(s[2])[2]["disabled"] == before + 1)
    assert peer.call(SetBool, f"{NODE}/enable", SetBool.Request(data=True)).success
    assert len(lidar.ask().detections) == 2


def broken_clouds() -> list[PointCloud2]:
    """One cloud of each fault."""

    def broken(**fields: object) -> PointCloud2:
        message = to_cloud(np.ones((4, 3), np.float32), stamped(SECOND))
        for name, value in fields.items():
            setattr(message, name, value)
        return message

    half = to_cloud(np.ones((4, 3), np.float32), stamped(SECOND)).data[:20]
    return [
        broken(data=half),
        broken(point_step=8),
        broken(point_step=4_000_000_000),
        broken(width=4_000_000_000),
        broken(height=1_000_000, width=1_000),
        broken(fields=[]),
        broken(fields=[PointField(name="x", offset=0, datatype=99, count=1)]),
        to_cloud(np.full((4, 3), np.nan, np.float32), stamped(SECOND)),
    ]


def test_storm_of_broken_clouds(running) -> None:
    node, peer, lidar, diagnostics = running
    before = ledger(diagnostics.next("lidar")[2])
    bad = broken_clouds()
    for round_ in range(10):
        for number in range(50):
            lidar.publisher.publish(bad[(number + round_) % len(bad)])
            if number % 5 == 4:
                peer.spin(0.005)
        assert len(lidar.ask().detections) == 2
    _, _, values = diagnostics.next("lidar")
    _, published, dropped, in_flight = ledger(values)
    new = {cause: count - before[2][cause] for cause, count in dropped.items()}
    assert (in_flight, published - before[1], new["failed"]) == (0, 10, 0)
    assert new["malformed"] + new["stale"] + int(values["frames lost before arrival"]) >= 500
    assert new["malformed"] > 50
    assert node.alive()
    assert "dropped (malformed)" in node.output()


def transform(parent: str, child: str, x: float, stamp: int, z: float = 0.0) -> TransformStamped:
    message = TransformStamped(header=stamped(stamp, parent), child_frame_id=child)
    message.transform.translation.x, message.transform.translation.z = x, z
    message.transform.rotation.w = 1.0
    return message


def test_target_frame_at_the_stamp_late_and_missing(tmp_path) -> None:
    arguments = ["-p", "target_frame:=odom", "-p", "tf_timeout:=1.0"]
    with node_and_peer("lidar_detector", arguments, tmp_path / "log") as (node, peer):
        moving = peer.node.create_publisher(TFMessage, "/tf", 10)
        fixed = peer.node.create_publisher(TFMessage, "/tf_static", STATIC)
        lidar, diagnostics = Lidar(peer).ready(), Diagnostics(peer)
        peer.wait(lambda: moving.get_subscription_count() and fixed.get_subscription_count())
        # Nothing is known: dropped with a reason that names the frame.
        lidar.send()
        diagnostics.until("lidar", lambda *s: ledger(s[2])[2]["no_transform"] == 1)
        assert "odom" in node.output()
        # The robot drives 1 m/s; the lidar stands 1.8 m above its base.
        fixed.publish(TFMessage(transforms=[transform("base", "lidar", 0.0, 0, z=1.8)]))
        for second in (100, 101):
            moving.publish(TFMessage(transforms=[transform("odom", "base", float(second), second * SECOND)]))
        peer.spin(0.3)
        lidar.stamp = 100 * SECOND + SECOND // 5
        answer = lidar.ask()  # at 100.3 s
        assert answer.header.frame_id == "odom"
        walker = next(d for d in answer.detections if d.results[0].hypothesis.class_id == "person").bbox.center.position
        assert (walker.x, walker.y, walker.z) == pytest.approx((106.3, 1, 0.9), abs=0.3)
        # A transform that comes after its cloud is waited for.
        lidar.stamp = 101 * SECOND
        late = lidar.send()
        peer.spin(0.3)
        assert not [a for a in lidar.answers if a.header.stamp.sec == 101 and a.header.stamp.nanosec]
        moving.publish(TFMessage(transforms=[transform("odom", "base", 102.0, 102 * SECOND)]))
        walker = next(d for d in lidar.answer(late).detections if d.results[0].hypothesis.class_id == "person")
        assert walker.bbox.center.position.x == pytest.approx(107.1, abs=0.3)


def test_a_moving_lidars_cloud_is_set_right(tmp_path) -> None:
    """Every point was measured 0.1 s after the stamp, at 10 m/s: the person is a meter farther away than it seems."""
    with node_and_peer("lidar_detector", ["-p", "deskew:=odom"], tmp_path / "log") as (node, peer):
        odometry = peer.node.create_publisher(Odometry, "odom", 10)
        lidar, diagnostics = Lidar(peer).ready(), Diagnostics(peer)
        peer.wait(odometry.get_subscription_count)
        timed = np.column_stack([STREET, np.full(len(STREET), 0.1, np.float32)])

        def ask(points: np.ndarray) -> float:
            lidar.stamp += SECOND
            message = to_cloud(points, stamped(lidar.stamp))
            if points.shape[1] == 4:
                message.fields[3].name = "time"
            lidar.publisher.publish(message)
            answer = lidar.answer(lidar.stamp)
            (walker,) = (d for d in answer.detections if d.results[0].hypothesis.class_id == "person")
            return walker.bbox.center.position.x

        assert ask(timed) == pytest.approx(6, abs=0.3), "no motion is known yet"
        moving = Odometry(header=stamped(lidar.stamp + SECOND, "odom"), child_frame_id="lidar")
        moving.twist.twist.linear.x = 10.0
        odometry.publish(moving)
        peer.spin(0.3)
        assert ask(timed) == pytest.approx(7, abs=0.3)
        odometry.publish(Odometry(header=stamped(lidar.stamp + SECOND, "odom"), child_frame_id="lidar"))
        peer.spin(0.3)
        assert ask(STREET) == pytest.approx(6, abs=0.3), "points without a time"
        # Time begins again: a motion of the time before is none of this cloud's.
        for stamp, speed in ((lidar.stamp + SECOND, 10.0), (90 * SECOND, 0.0)):
            moving.header, moving.twist.twist.linear.x = stamped(stamp, "odom"), speed
            odometry.publish(moving)
        peer.spin(0.3)
        assert ask(timed) == pytest.approx(6, abs=0.3)
        assert diagnostics.next("motion")[2]["clouds not deskewed"] == "3"
        assert "cloud not deskewed" in node.output()


def test_scans_and_simulated_time(tmp_path) -> None:
    arguments = ["-p", "input:=scan", "-p", "use_sim_time:=true"]
    with node_and_peer("lidar_detector", arguments, tmp_path / "log") as (_, peer):
        clock = peer.node.create_publisher(Clock, "/clock", 10)
        scans = peer.node.create_publisher(LaserScan, "scan", 10)
        answers, diagnostics = peer.listen(Detection3DArray, "detections"), Diagnostics(peer)
        peer.wait(lambda: scans.get_subscription_count() and clock.get_subscription_count())
        peer.spin(0.6)
        now = Clock()
        now.clock.sec = 50
        clock.publish(now)
        angles = -np.pi + np.arange(720) * (2 * np.pi / 720)
        ranges = np.full(720, np.inf, np.float32)
        for y in (-0.13, 0.13):
            inside = 0.06**2 - (4 + y * y - (2 * np.cos(angles) + y * np.sin(angles)) ** 2)
            along = 2 * np.cos(angles) + y * np.sin(angles)
            hit = (inside >= 0) & (along > 0)
            ranges[hit] = (along - np.sqrt(np.maximum(inside, 0)))[hit]
        message = LaserScan(
            header=stamped(50 * SECOND, "laser"),
            angle_min=-np.pi,
            angle_increment=2 * np.pi / 720,
            range_min=0.05,
            range_max=20.0,
            ranges=ranges.tolist(),
        )
        scans.publish(message)
        peer.wait(lambda: answers)
        assert answers[0].header.frame_id == "laser"
        assert classes(answers[0]) == ["person"]
        assert answers[0].detections[0].bbox.center.position.x == pytest.approx(2, abs=0.15)
        message.intensities = [1.0]
        scans.publish(message)
        diagnostics.until("lidar", lambda *s: ledger(s[2])[2]["malformed"] == 1)
        assert float(diagnostics.next("lidar")[2]["newest detection age (s)"]) == pytest.approx(0, abs=0.01)


def test_what_cannot_be_together_is_refused() -> None:
    for values in ({"deskew": "odom"}, {"method": "pillars"}):
        with pytest.raises(ParameterError, match="input scan"):
            LidarDetectorParameters(input="scan", **values).check()


def test_how_near_is_looked_at_follows_the_sensor() -> None:
    assert LidarDetectorParameters().settings.cluster.min_range == 0.5
    assert LidarDetectorParameters(input="scan").settings.scan.min_range == 0.1
    assert LidarDetectorParameters(input="scan", min_range=0.0).settings.scan.min_range == 0.0


def test_lifecycle(tmp_path) -> None:
    with node_and_peer("lidar_detector", ["-p", "autostart:=false"], tmp_path / "log") as (_, peer):
        assert peer.state(NODE) == "unconfigured"
        for transition, state in (("configure", "inactive"), ("activate", "active")):
            assert peer.change(NODE, transition)
            assert peer.state(NODE) == state
        lidar = Lidar(peer).ready()
        markers = peer.listen(MarkerArray, "detections/markers")
        peer.wait(lambda: lidar.ask() and markers)
        assert len(lidar.ask().detections) == 2
        peer.spin(0.2)
        markers.clear()
        for transition, state in (("deactivate", "inactive"), ("cleanup", "unconfigured")):
            assert peer.change(NODE, transition)
            assert peer.state(NODE) == state
        # Nobody's picture keeps the boxes of a detector that has stopped.
        peer.wait(lambda: markers)
        assert {(m.ns, m.id) for m in markers[-1].markers if m.action == Marker.DELETE} == {
            (space, number) for space in ("boxes", "labels") for number in (0, 1)
        }
        peer.wait(lambda: not peer.node.count_publishers("/detections"))
