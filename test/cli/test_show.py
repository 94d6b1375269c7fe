"""`robot_ai show` and `robot_ai demo-lidar` as a user types them."""

import cv2
import numpy as np
import pytest

from robot_ai.cli.main import main
from robot_ai.training.lidar_scenes import BEAMS, cast, random_scene


def test_show_draws_a_file(tmp_path, capsys):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "yard.npy", cast(random_scene(rng), BEAMS[32], rng).points)
    assert main(["show", str(tmp_path / "yard.npy"), "--output", str(tmp_path / "out")]) == 0
    assert "boxes in" in capsys.readouterr().out
    assert cv2.imread(str(tmp_path / "out" / "yard_top.png")).shape == (1000, 1000, 3)


def test_show_names_what_it_cannot_read(tmp_path, capsys):
    assert main(["show", str(tmp_path / "none.pcd")]) == 1
    assert "does not exist" in capsys.readouterr().err


def test_show_says_what_lies_in_no_kitti_folder(tmp_path, capsys):
    for folder in ("velodyne", "other"):
        (tmp_path / folder).mkdir()
    (tmp_path / "velodyne" / "000000.bin").write_bytes(np.ones((8, 4), "<f4").tobytes())
    np.save(tmp_path / "other" / "yard.npy", np.ones((8, 3), np.float32))
    assert main(["show", str(tmp_path / "other" / "yard.npy"), "--kitti", "--output", str(tmp_path / "out")]) == 1
    assert "has no scan velodyne/yard.bin" in capsys.readouterr().err


@pytest.mark.parametrize("beams", [16, 64])
def test_demo_finds_what_it_simulates(tmp_path, capsys, beams):
    main(["demo-lidar", "--output", str(tmp_path), "--beams", str(beams)])
    printed = capsys.readouterr().out
    assert "person" in printed
    assert (tmp_path / "top_view.png").stat().st_size > 1000


def test_demo_by_the_learned_method(tmp_path, capsys):
    pytest.importorskip("torch", exc_type=ImportError)
    arguments = ["--method", "pillars", "--backend", "pytorch"]
    assert main(["demo-lidar", "--output", str(tmp_path), *arguments]) == 0
    printed = capsys.readouterr().out
    assert "pillarnet in pytorch" in printed
    # Clusters take this one for an obstacle.
    assert [line.split()[5] for line in printed.splitlines() if line.startswith("  vehicle")] == [
        "vehicle,",
        "vehicle,",
    ]


def test_show_projects_into_kittis_image(tmp_path, shared_data, capsys):
    file = shared_data / "data" / "kitti3" / "velodyne" / "000000.bin"
    assert main(["show", str(file), "--kitti", "--output", str(tmp_path)]) == 0
    assert cv2.imread(str(tmp_path / "000000_image.png")).shape[1] == 1224
