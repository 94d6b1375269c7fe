"""The clusterings beside each other: that the others are asked as they should be, and what is said when they are not
there. PCL and Open3D themselves run where they are installed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from bench import clustering
from robot_ai.lidar.clusters import cluster
from robot_ai.training.lidar_scenes import BEAMS, cast, random_scene


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    rng = np.random.default_rng(0)
    return clustering.clustered(cast(random_scene(rng), BEAMS[16], rng).measured)


@pytest.mark.parametrize("library", list(clustering.RIVALS))
def test_a_library_that_is_there_gives_the_same_clusters(library: str, points: np.ndarray) -> None:
    answer = clustering.ask(library, {"cloud": points}, 0.22)
    if isinstance(answer, str):
        pytest.skip(answer)
    assert answer.milliseconds[0] > 0
    # Points whose distance is the step itself, to the last bit, may fall on either side.
    assert answer.clusters[0] == pytest.approx(int(cluster(points, 0.22).max()) + 1, abs=2)


def test_each_python_that_lacks_a_library_is_named_with_its_reason(points: np.ndarray) -> None:
    told = clustering.ask("no_such_library", {"cloud": points}, 0.22, ("/nowhere/python", sys.executable))
    assert isinstance(told, str)
    assert "/nowhere/python: No such file or directory" in told
    assert "this Python: KeyError: 'no_such_library'" in told


def test_a_folder_without_scans_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="has no scans"):
        clustering.run(tmp_path)


def test_the_table_has_a_row_for_each_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    np.save(tmp_path / "yard.npy", cast(random_scene(rng), BEAMS[16], rng).points)
    monkeypatch.setattr(clustering, "ROUNDS", 1)
    monkeypatch.setattr(clustering, "PYTHONS", ("/nowhere/python",))
    told = clustering.run(tmp_path)
    assert "| yard |" in told and "| yard, half |" in told
    assert "sudo apt install python3-pcl" in told
