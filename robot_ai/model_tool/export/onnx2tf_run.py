"""onnx2tf, which turns ONNX into TensorFlow's own operations, in an environment of its own.

It pins NumPy 1, protobuf 4 and TensorFlow 2.19 and cannot live beside our frameworks. What it writes, a SavedModel, is
read by any TensorFlow.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from robot_ai.model_tool.export import toolbox
from robot_ai.model_tool.export.errors import PhotosError
from robot_ai.model_tool.export.onnx_formats import OnnxModel
from robot_ai.model_tool.photos import calibration_images, load_photos
from robot_ai.models.card import ModelCard

# The last line for Python before 3.12, and the one after it.
REQUIREMENTS = ("onnx2tf==1.29.24",) if sys.version_info < (3, 12) else ("onnx2tf==2.6.9", "tensorflow-cpu==2.21.0")
_CONVERT = """
import json, sys

source, folder, inputs = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
import os
# onnx2tf looks at real pixels where it compares its own steps; without this file it would download some.
os.chdir(sys.argv[4])
options = {"tflite_backend": "tf_converter"} if sys.version_info >= (3, 12) else {}
import onnx2tf
onnx2tf.convert(input_onnx_file_path=source, output_folder_path=folder, output_signaturedefs=True,
                copy_onnx_input_output_names_to_tflite=True, non_verbose=True, batch_size=1, **inputs, **options)
"""


def convert(model: OnnxModel, card: ModelCard, folder: Path, say: Callable[[str], None]) -> tuple[dict[str, str], str]:
    """Writes a SavedModel for a batch of one into `folder`; its tensor names by the card's, and its image's layout.

    onnx2tf turns NCHW into NHWC itself; an ONNX file that takes NHWC already is told to stay so.
    """
    import onnx

    python = toolbox.python_with("onnx2tf", REQUIREMENTS, say)
    own_image = model.tensors.get(card.inputs[0].name, card.inputs[0].name)
    keep = {"keep_nwc_or_nhwc_or_ndhwc_input_names": [own_image]} if model.layout == "NHWC" else {}
    say("onnx2tf runs; a minute for a small network")
    pixels = folder.with_name("onnx2tf_pixels")
    pixels.mkdir(exist_ok=True)
    _write_pixels(pixels / "calibration_image_sample_data_20x128x128x3_float32.npy")
    toolbox.run(python, _CONVERT, [str(model.path), str(folder), json.dumps(keep), str(pixels)], "onnx2tf")
    # It numbers the outputs in the order of the ONNX file.
    order = [value.name for value in onnx.load(str(model.path), load_external_data=False).graph.output]
    own = {spec.name: model.tensors.get(spec.name, spec.name) for spec in card.outputs}
    return {name: f"output_{order.index(there)}" for name, there in own.items()}, "NHWC"


def _write_pixels(file: Path) -> None:
    """20 RGB images of 128x128 in 0-1, from the installed photos; grey where there are none."""
    try:
        views = list(calibration_images(load_photos(None), 20))
    except PhotosError:
        views = []
    views += [np.full((128, 128, 3), 127, np.uint8)] * (20 - len(views))
    pixels = np.stack([cv2.resize(view, (128, 128), interpolation=cv2.INTER_AREA)[..., ::-1] for view in views])
    np.save(file, pixels.astype(np.float32) / 255)
