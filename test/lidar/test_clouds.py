"""Clouds as hostile and as odd as PointCloud2 allows, held against rosbags and against NumPy's own packing."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_ai.lidar import errors
from robot_ai.lidar.clouds import CloudField, RawCloud, cloud_view, xyz_of

CODES = {1: "b", 2: "B", 3: "h", 4: "H", 5: "i", 6: "I", 7: "f", 8: "d"}
FLOAT32, FLOAT64, UINT16 = 7, 8, 4


def simple(points, **changes):
    """x, y, z as float32."""
    points = np.asarray(points, "<f4")
    values = {
        "height": 1,
        "width": len(points),
        "fields": [CloudField(name, 4 * i, FLOAT32) for i, name in enumerate("xyz")],
        "point_step": 12,
        "row_step": 12 * len(points),
        "data": points.tobytes(),
    }
    return RawCloud(**{**values, **changes})


@st.composite
def layouts(draw):
    """A cloud of any layout, and the values that were packed into it, one struct.pack_into at a time."""
    big = draw(st.booleans())
    names = draw(
        st.permutations(["x", "y", "z", *draw(st.sets(st.sampled_from(["intensity", "ring", "time", "rgb"])))])
    )
    fields, offset = [], draw(st.integers(0, 5))
    for name in names:
        kind = draw(st.sampled_from([FLOAT32, FLOAT64] if name in "xyz" else sorted(CODES)))
        count = 1 if name in "xyz" else draw(st.integers(1, 3))
        fields.append(CloudField(name, offset, kind, count))
        offset += struct.calcsize(CODES[kind]) * count + draw(st.integers(0, 3))
    height, width = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    point_step = offset + draw(st.integers(0, 4))
    row_step = point_step * width + draw(st.integers(0, 7))
    data = bytearray(draw(st.binary(min_size=row_step * height, max_size=row_step * height)))
    expected = {}
    for row in range(height):
        for column in range(width):
            for field in fields:
                for item in range(field.count):
                    code = CODES[field.datatype]
                    value = draw(
                        st.floats(-1e6, 1e6, width=32)
                        if code in "fd"
                        else st.integers(0, 2 ** (8 * struct.calcsize(code) - 1) - 1)
                    )
                    at = row * row_step + column * point_step + field.offset + item * struct.calcsize(code)
                    struct.pack_into((">" if big else "<") + code, data, at, value)
                    expected[row, column, field.name, item] = value
    return RawCloud(height, width, fields, point_step, row_step, bytes(data), big), expected


@given(layouts())
def test_every_field_of_every_layout_is_read_where_it_was_written(case):
    cloud, expected = case
    view = cloud_view(cloud)
    for (row, column, name, item), value in expected.items():
        assert np.ravel(view[name][row, column])[item] == value
    xyz = [[expected[r, c, n, 0] for n in "xyz"] for r in range(cloud.height) for c in range(cloud.width)]
    assert xyz_of(view).tolist() == np.array(xyz, np.float32).tolist()


@given(layouts())
def test_an_independent_reader_agrees(case):
    """rosbags serializes and reads the message; its own reading of the bytes goes through numpy.frombuffer per row."""
    cloud, _ = case
    typesys = pytest.importorskip("rosbags.typesys")
    store = typesys.get_typestore(typesys.Stores.ROS2_JAZZY)
    types = store.types
    header = types["std_msgs/msg/Header"](types["builtin_interfaces/msg/Time"](1, 2), "lidar")
    field = types["sensor_msgs/msg/PointField"]
    message = types["sensor_msgs/msg/PointCloud2"](
        header,
        cloud.height,
        cloud.width,
        [field(f.name, f.offset, f.datatype, f.count) for f in cloud.fields],
        cloud.is_bigendian,
        cloud.point_step,
        cloud.row_step,
        np.frombuffer(cloud.data, np.uint8),
        True,
    )
    wire = store.serialize_cdr(message, "sensor_msgs/msg/PointCloud2")
    read = store.deserialize_cdr(wire, "sensor_msgs/msg/PointCloud2")
    fields = [CloudField(f.name, f.offset, f.datatype, f.count) for f in read.fields]
    ours = cloud_view(
        RawCloud(read.height, read.width, fields, read.point_step, read.row_step, read.data.data, read.is_bigendian)
    )
    order = ">" if read.is_bigendian else "<"
    for row in range(read.height):
        begin = row * read.row_step
        points = read.data[begin : begin + read.width * read.point_step].reshape(read.width, read.point_step)
        for f in read.fields:
            kind = np.dtype(order + CODES[f.datatype]) if CODES[f.datatype] not in "bB" else np.dtype(CODES[f.datatype])
            theirs = points[:, f.offset : f.offset + kind.itemsize * f.count].copy().view(kind)
            assert theirs.tobytes() == np.ascontiguousarray(ours[f.name][row]).tobytes()


def test_pypcd4_reads_the_same_coordinates(tmp_path):
    pypcd4 = pytest.importorskip("pypcd4")
    points = np.random.default_rng(1).normal(0, 20, (500, 3)).astype(np.float32)
    theirs = pypcd4.PointCloud.from_xyz_points(points)
    cloud = theirs.pc_data
    fields = [CloudField(name, cloud.dtype.fields[name][1], FLOAT32) for name in cloud.dtype.names]
    raw = RawCloud(1, len(cloud), fields, cloud.dtype.itemsize, cloud.nbytes, cloud.tobytes())
    assert xyz_of(cloud_view(raw)).tolist() == points.tolist()


def test_the_view_copies_nothing():
    data = bytearray(simple([[1, 2, 3], [4, 5, 6]]).data)
    view = cloud_view(simple([[1, 2, 3], [4, 5, 6]], data=data))
    struct.pack_into("<f", data, 12, 40.0)
    assert view["x"][0, 1] == 40.0


@pytest.mark.parametrize(
    ("changes", "error", "fault"),
    [
        ({"point_step": 11}, errors.CloudFieldError, "fields"),
        ({"point_step": 0}, errors.CloudFieldError, "fields"),
        ({"fields": [CloudField("x", 0, 9)]}, errors.CloudFieldError, "fields"),
        ({"fields": [CloudField("x", 0, 7), CloudField("x", 4, 7)]}, errors.CloudFieldError, "fields"),
        ({"fields": [CloudField("x", 0, 7, 2**31)]}, errors.CloudFieldError, "fields"),
        ({"point_step": 2**32 - 1}, errors.CloudStepError, "step"),
        ({"point_step": 2**31, "width": 0}, errors.CloudStepError, "step"),
        ({"width": 1_000_000_000}, errors.CloudSizeError, "size"),
        ({"width": 2**32 - 1, "height": 2**32 - 1}, errors.CloudSizeError, "size"),
        ({"width": 3}, errors.CloudLengthError, "length"),
        ({"data": b""}, errors.CloudLengthError, "length"),
        ({"height": 2, "width": 1, "row_step": 11}, errors.CloudStepError, "step"),
        ({"height": 2, "width": 1, "row_step": 24}, errors.CloudLengthError, "length"),
    ],
)
def test_broken_cloud_is_one_named_fault(changes, error, fault):
    with pytest.raises(error) as caught:
        cloud_view(simple([[1, 2, 3], [4, 5, 6]], **changes))
    assert caught.value.fault == fault
    assert "expected" in str(caught.value)


@pytest.mark.parametrize("missing", ["x", "y", "z", "xyz"])
def test_missing_coordinates_are_named(missing):
    fields = [CloudField(n if n not in missing else f"other_{n}", 4 * i, FLOAT32) for i, n in enumerate("xyz")]
    with pytest.raises(errors.CloudCoordinatesError, match=missing[0]):
        xyz_of(cloud_view(simple([[1, 2, 3]], fields=fields)))


def test_coordinates_of_several_numbers_are_refused():
    fields = [CloudField("x", 0, FLOAT32, 2), CloudField("y", 0, FLOAT32), CloudField("z", 8, FLOAT32)]
    with pytest.raises(errors.CloudCoordinatesError, match="count 1"):
        xyz_of(cloud_view(simple([[1, 2, 3]], fields=fields)))


def test_points_that_are_not_finite_are_left_out():
    points = [[1, 2, 3], [np.nan, 0, 0], [0, np.inf, 0], [np.inf, -np.inf, 0], [4, 5, 6]]
    assert xyz_of(cloud_view(simple(points))).tolist() == [[1, 2, 3], [4, 5, 6]]


def test_huge_finite_coordinates_stay():
    assert len(xyz_of(cloud_view(simple([[3e38, 3e38, 0], [np.nan, 0, 0]])))) == 1


def test_a_double_that_no_float_holds_is_no_point():
    fields = [CloudField(name, 8 * i, FLOAT64) for i, name in enumerate("xyz")]
    data = np.array([[1e300, 0, 0], [1, 2, 3]], "<f8").tobytes()
    cloud = simple([[0, 0, 0]] * 2, fields=fields, point_step=24, row_step=48, data=data)
    assert xyz_of(cloud_view(cloud)).tolist() == [[1, 2, 3]]


def test_all_nan_is_a_fault_and_empty_is_none():
    with pytest.raises(errors.CloudNotFiniteError, match="2 points"):
        xyz_of(cloud_view(simple([[np.nan] * 3] * 2)))
    assert xyz_of(cloud_view(simple(np.empty((0, 3))))).shape == (0, 3)


def test_integer_coordinates_are_read():
    fields = [CloudField(name, 2 * i, UINT16) for i, name in enumerate("xyz")]
    data = np.array([[1, 2, 3]], "<u2").tobytes()
    assert xyz_of(cloud_view(simple([[0, 0, 0]], fields=fields, point_step=6, data=data))).tolist() == [[1, 2, 3]]


def test_row_step_of_an_unorganized_cloud_is_not_looked_at():
    assert len(xyz_of(cloud_view(simple([[1, 2, 3]], row_step=0)))) == 1


def test_padding_behind_the_last_row_may_be_missing():
    data = np.arange(3, dtype="<f4").tobytes() + b"....." + np.arange(3, 6, dtype="<f4").tobytes()
    assert xyz_of(cloud_view(simple([[0, 0, 0]], height=2, row_step=17, data=data))).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_fields_without_a_name_are_padding_and_count_zero_is_one():
    fields = [CloudField("", 0, 2), CloudField("", 1, 2), *(CloudField(n, 4 * i, 7, 0) for i, n in enumerate("xyz"))]
    assert xyz_of(cloud_view(simple([[1, 2, 3]], fields=fields))).tolist() == [[1, 2, 3]]


SHAPES = st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 40), st.integers(0, 200))


@given(SHAPES, st.binary(max_size=200), st.data())
def test_random_clouds_give_points_or_a_cloud_error(shape, data, draw):
    height, width, point_step, row_step = shape
    fields = [
        CloudField(name, draw.draw(st.integers(0, 40)), draw.draw(st.integers(0, 9)), draw.draw(st.integers(0, 3)))
        for name in "xyz"
    ]
    try:
        points = xyz_of(cloud_view(RawCloud(height, width, fields, point_step, row_step, data)))
    except errors.CloudError:
        return
    assert np.isfinite(points).all()
    assert len(points) <= height * width
