"""Photos inside wheels, and the views of them that calibration sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from robot_ai.model_tool import photos as module
from robot_ai.model_tool.export.errors import PhotosError
from robot_ai.model_tool.photos import calibration_images, load_photos, sample_photos


def test_the_installed_photos_are_found_and_read() -> None:
    pytest.importorskip("skimage", reason="the photos ship in scikit-image (extra demo)")
    names = [name for name, _ in load_photos(None)]
    assert names[0] == "astronaut.png"
    assert len(names) == len(sample_photos()) >= 5


def test_without_photos_the_error_says_how_to_get_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLE_PHOTOS", (("no_such_package", "a.png"),))
    with pytest.raises(PhotosError, match=r"'\.\[demo\]'"):
        sample_photos()


@pytest.mark.parametrize("count", [1, 3, 7, 1000])
def test_views_are_as_many_as_wanted_and_there_are(count: int) -> None:
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3)).astype(np.uint8)
    views = list(calibration_images([("a", image), ("b", image)], count))
    assert len(views) == min(count, 2 * 18)
    assert all(view.ndim == 3 and view.size and view.dtype == np.uint8 for view in views)
    np.testing.assert_array_equal(views[0], image)


def test_a_folder_of_ones_own_is_read(tmp_path: Path) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 4, 3), np.uint8))
    assert [name for name, _ in load_photos(tmp_path)] == ["a.png"]
