"""Worlds read in another process are the same worlds, and their faults the same faults."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest
from sdf_worlds import PLAIN, YARD, world_xml, yard

from robot_ai.simulation.apart import open_scene_apart
from robot_ai.simulation.errors import ResourceError, SdfValueError
from robot_ai.simulation.simulation import Settings, Simulation


def test_a_scene_comes_through_whole() -> None:
    here, there = yard(), open_scene_apart(str(YARD), "", None, PLAIN)
    assert [sensor.frame for sensor in there.sensors] == [sensor.frame for sensor in here.sensors]
    assert (there.things_of_geoms == here.things_of_geoms).all()
    first, second = Simulation(here, Settings()), Simulation(there, Settings())
    for simulation in (first, second):
        assert simulation.drive is not None
        simulation.drive.command(0.3, 0.2)
        assert list(simulation.advance(0.5))
    state = [np.empty(mujoco.mj_stateSize(here.model, mujoco.mjtState.mjSTATE_INTEGRATION)) for _ in range(2)]
    for simulation, values in zip((first, second), state, strict=True):
        mujoco.mj_getState(simulation.scene.model, simulation.data, values, mujoco.mjtState.mjSTATE_INTEGRATION)
    assert (state[0] == state[1]).all()


def test_faults_come_through_with_their_class_and_place(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="'nowhere'"):
        open_scene_apart("nowhere", "", None, PLAIN)
    bad = tmp_path / "bad.sdf"
    bad.write_text(world_xml('<model name="m"><pose>1</pose><link name="l"/></model>'))
    with pytest.raises(SdfValueError, match=r"bad\.sdf: .*model\[m\]/pose"):
        open_scene_apart(str(bad), "", None, PLAIN)
