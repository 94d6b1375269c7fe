"""An SSD of the TF Object Detection API, exported by it as SavedModel and .tflite: our boxes beside its own.

Weights are random (none can be downloaded here), spread so that scores differ; photos are real.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from real_networks import SIZE, Photos, Record, Rows, compare, import_file, threshold, within

from robot_ai.models.specs import ImageInput
from robot_ai.perception.preprocess import ImagePreprocessor

EXPORT = Path(__file__).parents[2] / "support" / "object_detection_api.py"
CLASSES = 20
FED = ImageInput("image", SIZE, SIZE, "NHWC", "uint8", "rgb", (0, 0, 0), (1, 1, 1), "stretch", 0)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, photos: Photos) -> Path:
    """The folder with both exports, and what the library finds itself."""
    for module in ("object_detection", "tf_keras"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: docs/import.md says how to run this")
    folder = tmp_path_factory.mktemp("object_detection")
    np.savez(folder / "photos.npz", **{name: ImagePreprocessor(FED)([photo])[0][0] for name, photo in photos.items()})
    (folder / "labels.txt").write_text("\n".join(f"thing {number}" for number in range(CLASSES)))
    # In a process of its own: it needs Keras 2 in TensorFlow's place of Keras.
    subprocess.run([sys.executable, str(EXPORT), str(folder)], check=True, timeout=1500)
    return folder


def hold_to_the_library(file: Path, told: list[str], first_class: int, photos: Photos, record: Record) -> None:
    folder = file.parent
    labels = ["--labels", str(folder / "labels.txt"), "--confidence", "0.02"]
    imported = import_file(file, folder / f"{file.name}-card", photos["china"], *labels, *told)
    assert imported.card.decoder.type == "ssd"
    assert imported.card.decoder.options == {"first_class": first_class}
    with np.load(folder / "found.npz") as stored:
        found: dict[str, Rows] = {name: rows.astype(np.float32) for name, rows in stored.items()}
    for name, photo in photos.items():
        confidence = threshold(found[name][:, 4], 45)
        reference = found[name][found[name][:, 4] >= confidence]
        for sides, what in (((SIZE, SIZE), "file"), (photo.shape[1::-1], "photo")):
            placed = reference.copy()
            placed[:, :4] *= np.tile(np.asarray(sides, np.float32), 2)
            if what == "file":
                ours = imported.decode(imported.run(imported.batch(photo)), confidence)
            else:
                ours = imported.detect(photo, confidence)
            compare(ours, within(placed, *sides), record, f"{name}, {what}")
    imported.detector.close()


def test_ssd_as_a_saved_model(exported: Path, photos: Photos, record_property: Record) -> None:
    told = ["--size", f"{SIZE}x{SIZE}"]
    hold_to_the_library(exported / "saved_model", told, 1, photos, record_property)


def test_ssd_as_tflite(exported: Path, photos: Photos, record_property: Record) -> None:
    hold_to_the_library(exported / "net.tflite", [], 0, photos, record_property)
