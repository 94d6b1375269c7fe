"""The frameworks agree on real photos, and find in them what is there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from robot_ai.backends.loading import BackendChoice
from robot_ai.perception.preprocess import ImagePreprocessor
from robot_ai.pipeline.image_detector import DetectionSettings, ImageDetector
from robot_ai.training.coco import CocoDataSet

FRAMEWORKS = {"pytorch": "torch", "tensorflow": "tensorflow"}
CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def detectors() -> Iterator[dict[str, ImageDetector]]:
    for module in FRAMEWORKS.values():
        pytest.importorskip(module, exc_type=ImportError)
    loaded = {name: ImageDetector.load(BackendChoice("nanodet_g", name, "cpu", threads=2)) for name in FRAMEWORKS}
    yield loaded
    for detector in loaded.values():
        detector.close()


@pytest.fixture(scope="module")
def photos() -> dict[str, NDArray[np.uint8]]:
    """BGR photos that ship inside PyPI wheels."""
    data = pytest.importorskip("skimage.data")
    datasets = pytest.importorskip("sklearn.datasets")
    rgb = {"astronaut": data.astronaut(), "coffee": data.coffee(), "chelsea": data.chelsea()}
    rgb["china"], rgb["flower"] = datasets.load_sample_images().images
    return {name: np.ascontiguousarray(image[..., ::-1]) for name, image in rgb.items()}


def outputs_of(detector: ImageDetector, images: list[NDArray[np.uint8]]) -> dict[str, NDArray[Any]]:
    """The raw tensors of one forward pass."""
    image = detector.card.input_for(detector.backend_name)
    batch, _ = ImagePreprocessor(image)(images)
    return {name: array.copy() for name, array in detector._backend.infer({image.name: batch}).items()}


@pytest.mark.parametrize("names", [["astronaut"], ["coffee"], ["china"], ["chelsea", "flower", "astronaut"]])
def test_frameworks_agree_within_a_thousandth(
    detectors: dict[str, ImageDetector], photos: dict[str, NDArray[np.uint8]], names: list[str]
) -> None:
    torch, tensorflow = (outputs_of(detectors[name], [photos[n] for n in names]) for name in FRAMEWORKS)
    assert torch.keys() == tensorflow.keys() == {spec.name for spec in detectors["pytorch"].card.outputs}
    for name, array in torch.items():
        assert array.shape[0] == len(names)
        np.testing.assert_allclose(array, tensorflow[name], rtol=0, atol=1e-3, err_msg=name)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_batch_gives_what_its_images_give_alone(
    detectors: dict[str, ImageDetector], photos: dict[str, NDArray[np.uint8]], framework: str
) -> None:
    images = [photos[name] for name in ("coffee", "chelsea", "astronaut")]
    together = outputs_of(detectors[framework], images)
    for item, image in enumerate(images):
        for name, array in outputs_of(detectors[framework], [image]).items():
            np.testing.assert_allclose(together[name][item], array[0], rtol=0, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(("photo", "label"), [("chelsea", "cat"), ("astronaut", "person"), ("coffee", "cup")])
def test_what_is_in_a_photo_is_found(
    detectors: dict[str, ImageDetector], photos: dict[str, NDArray[np.uint8]], framework: str, photo: str, label: str
) -> None:
    found = detectors[framework].detect([photos[photo]], DetectionSettings()).detections[0]
    assert label in found.names
    height, width = photos[photo].shape[:2]
    left, top, right, bottom = found.xyxy[found.names.index(label)].tolist()
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    # Each of these things fills a good part of its photo.
    assert (right - left) * (bottom - top) > 0.15 * width * height


def test_frameworks_give_the_same_detections(
    detectors: dict[str, ImageDetector], photos: dict[str, NDArray[np.uint8]]
) -> None:
    for photo in photos.values():
        torch, tensorflow = (detectors[name].detect([photo], DetectionSettings()).detections[0] for name in FRAMEWORKS)
        assert torch.names == tensorflow.names
        np.testing.assert_allclose(torch.xyxy, tensorflow.xyxy, rtol=0, atol=0.05)
        np.testing.assert_allclose(torch.scores, tensorflow.scores, rtol=0, atol=1e-3)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_accuracy_on_coco(detectors: dict[str, ImageDetector], framework: str) -> None:
    pytest.importorskip("pycocotools")
    folder = Path(os.environ.get("ROBOT_AI_SHARED", CHECKOUT.parent / "shared")) / "data" / "coco27"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there; set ROBOT_AI_SHARED to the folder that holds data/coco27")
    settings = DetectionSettings(confidence=0.05)
    precision = CocoDataSet(folder).evaluate(lambda image: detectors[framework].detect([image], settings).detections[0])
    assert precision.images == 27
    assert precision.ap >= 0.32


ALTERNATE = """
import sys
import numpy as np
from robot_ai.backends.registry import create
from robot_ai.models.card import ModelCard
from robot_ai.models.find import find_model

card = ModelCard.load(find_model("nanodet_g"))
backends = {}
for name in sys.argv[1:]:
    backends[name] = create(name)
    backends[name].load(card, "cpu", 1)
generator = np.random.default_rng(1)
for batch in (1, 2, 1, 3):
    image = generator.normal(size=(batch, 416, 416, 3)).astype(np.float32)
    first, second = (backend.infer({"image": image}) for backend in backends.values())
    assert max(float(abs(first[name] - second[name]).max()) for name in first) < 1e-3
backends.popitem()[1].close()
next(iter(backends.values())).infer({"image": image})
print("agreed")
"""


@pytest.mark.parametrize("order", [["pytorch", "tensorflow"], ["tensorflow", "pytorch"]])
def test_both_frameworks_live_in_one_process_in_either_order(order: list[str]) -> None:
    for module in FRAMEWORKS.values():
        pytest.importorskip(module, exc_type=ImportError)
    run = subprocess.run(
        [sys.executable, "-c", ALTERNATE, *order],
        capture_output=True,
        text=True,
        timeout=150,
        cwd=CHECKOUT,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == "agreed\n"
