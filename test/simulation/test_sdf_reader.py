"""SDF as it is read: values, frames, includes, and what is said of bad worlds."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sdf_worlds import YARD, box, shape_model, world_xml

from robot_ai.geometry.transforms import RigidTransform
from robot_ai.simulation.builder import build
from robot_ai.simulation.errors import (
    MeshError,
    ResourceError,
    SdfElementError,
    SdfFrameError,
    SdfValueError,
    UnsupportedElementError,
    UnsupportedJointError,
    WorldError,
    WorldFileError,
)
from robot_ai.simulation.placing import place_world
from robot_ai.simulation.sdf_reader import SdfReader
from robot_ai.simulation.sdf_types import CameraSpec, LidarSpec, World

_coordinate = st.floats(-50, 50, allow_nan=False).map(lambda value: round(value, 6))
_angle = st.floats(-math.pi, math.pi, allow_nan=False).map(lambda value: round(value, 6))
_pose = st.tuples(_coordinate, _coordinate, _coordinate, _angle, _angle, _angle)


def read(text: str, folder: Path, name: str = "world.sdf") -> World:
    file = folder / name
    file.write_text(text)
    return SdfReader().world(file)


def matrix(values: tuple[float, ...]) -> np.ndarray:
    """SDF's pose as its specification writes it: R = Rz(yaw) Ry(pitch) Rx(roll)."""
    x, y, z, roll, pitch, yaw = values
    cr, sr, cp, sp, cy, sy = (f(a) for a in (roll, pitch, yaw) for f in (math.cos, math.sin))
    turn_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    turn_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    turn_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    full = np.eye(4)
    full[:3, :3], full[:3, 3] = turn_z @ turn_y @ turn_x, (x, y, z)
    return full


def as_matrix(pose: RigidTransform) -> np.ndarray:
    full = np.eye(4)
    full[:3, :3], full[:3, 3] = pose.rotation, pose.translation
    return full


def words(values: tuple[float, ...]) -> str:
    return " ".join(repr(value) for value in values)


@given(poses=st.lists(_pose, min_size=2, max_size=6), data=st.data())
def test_links_are_where_chains_of_relative_poses_put_them(
    poses: list[tuple[float, ...]], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Each link relative to an earlier one, to a frame on it, or to the model; in any order in the file."""
    expected: list[np.ndarray] = []
    elements = []
    for index, pose in enumerate(poses):
        parent = data.draw(st.integers(-1, index - 1))
        through_frame = parent >= 0 and data.draw(st.booleans())
        base = np.eye(4) if parent < 0 else expected[parent]
        reference = "" if parent < 0 else f"link{parent}"
        if through_frame:
            shift = data.draw(_pose)
            base = base @ matrix(shift)
            elements.append(
                f'<frame name="frame{index}" attached_to="link{parent}"><pose>{words(shift)}</pose></frame>'
            )
            reference = f"frame{index}"
        expected.append(base @ matrix(pose))
        attribute = f' relative_to="{reference}"' if reference else ""
        elements.append(f'<link name="link{index}"><pose{attribute}>{words(pose)}</pose></link>')
    elements = data.draw(st.permutations(elements))
    model_pose = data.draw(_pose)
    folder = tmp_path_factory.mktemp("chain")
    world = read(world_xml(f'<model name="m"><pose>{words(model_pose)}</pose>{"".join(elements)}</model>'), folder)
    placed = place_world(world)[0]
    np.testing.assert_allclose(as_matrix(placed.pose), matrix(model_pose), atol=1e-9)
    for link in placed.links:
        np.testing.assert_allclose(as_matrix(link.pose), expected[int(link.name[4:])], atol=1e-6)


@given(pose=_pose)
def test_degrees_and_quaternions_mean_the_same_as_radians(
    pose: tuple[float, ...], tmp_path_factory: pytest.TempPathFactory
) -> None:
    radians = matrix(pose)
    degrees = words((*pose[:3], *np.degrees(pose[3:]).tolist()))
    x, y, z, w = RigidTransform(radians[:3, :3], np.zeros(3)).quaternion
    text = (
        f'<model name="a"><pose degrees="true">{degrees}</pose><link name="l"/></model>'
        f'<model name="b"><pose rotation_format="quat_xyzw">{words(pose[:3])} {x} {y} {z} {w}</pose>'
        f'<link name="l"/></model>'
    )
    first, second = place_world(read(world_xml(text), tmp_path_factory.mktemp("formats")))
    np.testing.assert_allclose(as_matrix(first.pose), radians, atol=1e-9)
    np.testing.assert_allclose(as_matrix(second.pose), radians, atol=1e-9)


def test_includes_are_found_named_placed_and_labelled(tmp_path: Path) -> None:
    model = tmp_path / "models" / "lamp"
    model.mkdir(parents=True)
    (model / "model.config").write_text("<model><name>lamp</name><sdf version='1.9'>lamp.sdf</sdf></model>")
    (model / "lamp.sdf").write_text(
        '<sdf version="1.9"><model name="lamp"><static>true</static><link name="foot"><pose>0 0 1 0 0 0</pose></link>'
        '<frame name="top" attached_to="foot"><pose>0 0 0.5 0 0 0</pose></frame></model></sdf>'
    )
    label = '<plugin filename="f" name="gz::sim::systems::Label"><label>7</label></plugin>'
    text = world_xml(
        f"<include><uri>model://lamp</uri><name>one</name><pose>2 0 0 0 0 0</pose>{label}</include>"
        "<include><uri>model://lamp</uri><name>two</name><placement_frame>top</placement_frame>"
        '<pose relative_to="one">0 1 3 0 0 0</pose></include>'
    )
    one, two = place_world(read(text, tmp_path))
    assert (one.name, one.label, one.static) == ("one", 7, True)
    assert (two.name, two.label) == ("two", None)
    assert one.pose.translation.tolist() == [2, 0, 0]
    # The top, 1.5 m above the model's frame, stands at (2, 1, 3).
    np.testing.assert_allclose(two.pose.translation, [2, 1, 1.5])


def test_nested_models_are_named_with_their_parents(tmp_path: Path) -> None:
    inner = '<model name="arm"><pose>0 0 1 0 0 0</pose><link name="hand"><pose>1 0 0 0 0 0</pose></link></model>'
    joint = '<joint name="j" type="fixed"><parent>base</parent><child>arm::hand</child></joint>'
    placed = place_world(read(world_xml(f'<model name="m"><link name="base"/>{inner}{joint}</model>'), tmp_path))[0]
    assert [link.name for link in placed.links] == ["base", "arm::hand"]
    np.testing.assert_allclose(placed.links[1].pose.translation, [1, 0, 1])
    assert (placed.joints[0].parent, placed.joints[0].child) == ("base", "arm::hand")


def test_the_yard_says_what_its_sensors_are() -> None:
    world = SdfReader().world(YARD)
    robot = next(model for model in world.models if model.name == "robot")
    sensors = {sensor.name: sensor for link in robot.links for sensor in link.sensors}
    camera, lidar = sensors["camera"].spec, sensors["lidar"].spec
    assert isinstance(camera, CameraSpec) and isinstance(lidar, LidarSpec)
    # 640 pixels over 1.047 rad: f = 320 / tan(0.5235)
    assert camera.focal[0] == pytest.approx(554.38, abs=0.01)
    assert camera.center == (320, 240)
    assert (lidar.rings, lidar.columns, lidar.noise) == (16, 450, 0.01)
    assert sensors["imu"].rate == 100
    assert not world.notes


GOOD = shape_model("thing", "0 0 0 0 0 0", box(1, 1, 1))
JOINT = '<joint name="hinge" type="{kind}"><parent>a</parent><child>b</child>{axis}</joint>'
AXIS = "<axis><xyz>0 0 1</xyz></axis>"
BAD = {
    "unknown element": (GOOD.replace("<visual", "<visuel/><visual"), SdfElementError, "link[link]", "<visuel>"),
    "unknown geometry": (GOOD.replace("box", "cube"), SdfElementError, "visual[v]/geometry", "<cube>"),
    "missing mesh": (
        shape_model("thing", "0 0 0 0 0 0", "<mesh><uri>model://nowhere/x.obj</uri></mesh>"),
        ResourceError,
        "model[thing]/link[link]/visual[v]/geometry/mesh/uri",
        "model://nowhere/x.obj",
    ),
    "missing model": ("<include><uri>model://nobody</uri></include>", ResourceError, "include/uri", "model://nobody"),
    "joint type": (
        '<model name="m"><link name="a"/><link name="b"/>' + JOINT.format(kind="universal", axis=AXIS) + "</model>",
        UnsupportedJointError,
        "model[m]/joint[hinge]",
        "universal",
    ),
    "joint without axis": (
        '<model name="m"><link name="a"/><link name="b"/>' + JOINT.format(kind="revolute", axis="") + "</model>",
        SdfElementError,
        "joint[hinge]",
        "<axis>",
    ),
    "joint without link": (
        '<model name="m"><link name="a"/>' + JOINT.format(kind="revolute", axis=AXIS) + "</model>",
        SdfFrameError,
        "joint[hinge]",
        "'b'",
    ),
    "no number": (GOOD.replace("<size>1 1 1", "<size>1 1 wide"), SdfValueError, "box/size", "1 1 wide"),
    "NaN": (GOOD.replace("<size>1 1 1", "<size>1 1 nan"), SdfValueError, "box/size", "nan"),
    "negative size": (GOOD.replace("<size>1 1 1", "<size>1 1 -1"), SdfValueError, "box/size", "greater than 0"),
    "short pose": (GOOD.replace("0 0 0 0 0 0", "0 0 0"), SdfValueError, "model[thing]/pose", "6"),
    "unknown frame": (
        GOOD.replace("<pose>", '<pose relative_to="mars">'),
        SdfFrameError,
        "model[thing]",
        "'mars'",
    ),
    "frames in a circle": (
        '<model name="m"><link name="a"><pose relative_to="b"/></link><link name="b"><pose relative_to="a"/></link>'
        "</model>",
        SdfFrameError,
        "model[m]/link[a]",
        "a -> b -> a",
    ),
    "empty model": ('<model name="m"/>', SdfElementError, "model[m]", "<link>"),
    "two of a name": (GOOD + GOOD, SdfElementError, "world[test]", "'thing'"),
    "actor": ('<actor name="walker"/>', UnsupportedElementError, "actor[walker]", "TrajectoryFollower"),
    "heightmap": (
        shape_model("thing", "0 0 0 0 0 0", "<heightmap/>"),
        UnsupportedElementError,
        "visual[v]/geometry/heightmap",
        "not simulated",
    ),
    "sensor type": (
        '<model name="m"><link name="a"><sensor name="nose" type="smell"/></link></model>',
        SdfValueError,
        "sensor[nose]",
        "smell",
    ),
    "mass": (
        '<model name="m"><link name="a"><inertial><mass>-1</mass></inertial></link></model>',
        SdfValueError,
        "link[a]/inertial",
        "-1",
    ),
}


@pytest.mark.parametrize("case", list(BAD))
def test_a_bad_world_is_refused_with_file_and_element(case: str, tmp_path: Path) -> None:
    content, error, place, detail = BAD[case]
    with pytest.raises(error) as told:
        place_world(read(world_xml(content), tmp_path))
    assert str(tmp_path / "world.sdf") in str(told.value)
    assert place in str(told.value)
    assert detail in str(told.value)


@pytest.mark.parametrize(
    "text", ["", "no XML", "<sdf>", "<world/>", '<!DOCTYPE x [<!ENTITY a "b">]><sdf version="1.9">&a;</sdf>']
)
def test_what_is_no_sdf_is_refused_by_name(text: str, tmp_path: Path) -> None:
    with pytest.raises(WorldFileError, match=r"world\.sdf"):
        read(text, tmp_path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorldFileError, match=r"nothing\.sdf"):
        SdfReader().world(tmp_path / "nothing.sdf")


def test_a_closed_chain_is_refused(tmp_path: Path) -> None:
    joints = "".join(
        f'<joint name="j{a}{b}" type="revolute"><parent>{a}</parent><child>{b}</child>{AXIS}</joint>'
        for a, b in ("ab", "bc", "ac")
    )
    links = "".join(f'<link name="{name}"/>' for name in "abc")
    with pytest.raises(UnsupportedJointError, match=r"world\.sdf: .*joint\[jac\].*'c'"):
        build(read(world_xml(f'<model name="m">{links}{joints}</model>'), tmp_path))


FACES = "f 1 2 3\nf 1 3 4\n"
SQUARE = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n" + FACES


@pytest.mark.parametrize(
    ("name", "content", "detail"),
    [
        ("flat.obj", "v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n", "no area"),
        ("empty.obj", "", "flat|no triangles|cannot be read"),
        ("broken.obj", "v 0 0 0\nf 7 8 9\n", "cannot be read|no triangles"),
        ("picture.dae", "<COLLADA/>", "of a kind that is not read"),
    ],
)
def test_a_bad_mesh_is_refused_with_file_and_element(name: str, content: str, detail: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    text = world_xml(shape_model("thing", "0 0 0 0 0 0", f"<mesh><uri>{name}</uri></mesh>"))
    with pytest.raises(MeshError, match=detail) as told:
        build(read(text, tmp_path))
    assert name in str(told.value)
    assert "visual[v]" in str(told.value)


def test_a_part_without_area_names_itself(tmp_path: Path) -> None:
    (tmp_path / "two.mtl").write_text("newmtl good\nKd 1 0 0\nnewmtl sliver\nKd 0 1 0\n")
    (tmp_path / "two.obj").write_text("mtllib two.mtl\n" + SQUARE.replace("f 1 2", "usemtl good\nf 1 2", 1)
                                      + "v 2 0 0\nusemtl sliver\nf 1 2 5\n")  # fmt: skip
    text = world_xml(shape_model("thing", "0 0 0 0 0 0", "<mesh><uri>two.obj</uri></mesh>"))
    with pytest.raises(MeshError, match=r"two\.obj.*'sliver'"):
        build(read(text, tmp_path))


@given(junk=st.binary(max_size=200))
def test_no_file_brings_anything_but_a_world_error(junk: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("junk") / "world.sdf"
    file.write_bytes(junk)
    with pytest.raises(WorldError):
        SdfReader().world(file)
