"""Rigid transforms against numbers worked out by hand and against tf2's own rule of interpolation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from robot_ai.geometry.errors import TransformValueError
from robot_ai.geometry.transforms import RigidTransform, interpolate

finite = st.floats(-100, 100)
transforms = st.builds(
    RigidTransform.from_quaternion,
    st.tuples(finite, finite, finite),
    st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 1e-2),
)


def turn(degrees, x=0.0, y=0.0, z=0.0):
    half = math.radians(degrees) / 2
    return RigidTransform.from_quaternion((x, y, z), (0, 0, math.sin(half), math.cos(half)))


def test_a_quarter_turn_and_a_step():
    moved = turn(90, x=1, y=2, z=3).apply(np.array([[1.0, 0, 0], [0, 1, 0]]))
    assert moved == pytest.approx(np.array([[1, 3, 3], [0, 2, 3]]))


@given(transforms, transforms)
def test_composition_and_inverse(first, second):
    point = np.array([[1.0, -2.0, 3.0]])
    assert (second @ first).apply(point) == pytest.approx(second.apply(first.apply(point)), abs=1e-6)
    assert first.inverse.apply(first.apply(point)) == pytest.approx(point, abs=1e-6)


@given(transforms)
def test_quaternion_round_trip(transform):
    again = RigidTransform.from_quaternion(transform.translation, transform.quaternion)
    assert again.rotation == pytest.approx(transform.rotation, abs=1e-9)
    assert transform.quaternion[3] >= 0


@given(transforms)
def test_quaternions_are_those_of_scipy(transform):
    expected = Rotation.from_matrix(transform.rotation).as_quat()
    assert abs(transform.quaternion @ expected) == pytest.approx(1, abs=1e-9)


@given(st.tuples(*[st.floats(-1e3, 1e3)] * 4).filter(lambda q: np.linalg.norm(q) > 1e-2))
def test_rotations_are_those_of_scipy(xyzw):
    made = RigidTransform.from_quaternion((0, 0, 0), xyzw).rotation
    assert made == pytest.approx(Rotation.from_quat(xyzw).as_matrix(), abs=1e-12)


@pytest.mark.parametrize("axis", range(3))
def test_half_turns_have_a_quaternion(axis):
    rotation = -np.eye(3)
    rotation[axis, axis] = 1
    assert np.abs(RigidTransform(rotation, np.zeros(3)).quaternion) == pytest.approx(np.eye(4)[axis])


def test_points_keep_their_dtype():
    assert turn(30).apply(np.ones((2, 3), np.float32)).dtype == np.float32


@pytest.mark.parametrize("xyzw", [(0, 0, 0, 0), (np.nan, 0, 0, 1), (0, 0, np.inf, 1)])
def test_no_rotation_is_refused(xyzw):
    with pytest.raises(TransformValueError):
        RigidTransform.from_quaternion((0, 0, 0), xyzw)


def test_interpolation_turns_evenly_and_the_short_way():
    half = interpolate(turn(350, x=2), turn(10, x=4), 0.5)
    assert half.translation == pytest.approx([3, 0, 0])
    assert half.rotation == pytest.approx(np.eye(3), abs=1e-9)
    assert interpolate(turn(0), turn(90), 1 / 3).rotation == pytest.approx(turn(30).rotation)
