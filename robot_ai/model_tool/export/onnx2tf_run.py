"""onnx2tf, which turns ONNX into TensorFlow's own operations, in an environment of its own.

It pins NumPy 1, protobuf 4 and TensorFlow 2.19 and cannot live beside our frameworks. What it writes, a SavedModel, is read
by any TensorFlow.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from robot_ai.model_tool.export import toolbox
from robot_ai.model_tool.export.onnx_formats import OnnxModel
from robot_ai.models.card import ModelCard

# The last line for Python before 3.12, and the one after it.
REQUIREMENTS = ("onnx2tf==1.29.24",) if sys.version_info < (3, 12) else ("onnx2tf==2.6.9", "tensorflow-cpu==2.21.0")
_CONVERT = """
import json, sys

source, folder, inputs = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
options = {"tflite_backend": "tf_converter"} if sys.version_info >= (3, 12) else {}
import onnx2tf
onnx2tf.convert(input_onnx_file_path=source, output_folder_path=folder, output_signaturedefs=True,
                copy_onnx_input_output_names_to_tflite=True, non_verbose=True, batch_size=None, **inputs, **options)
"""


def convert(model: OnnxModel, card: ModelCard, folder: Path, say: Callable[[str], None]) -> tuple[dict[str, str], str]:
    """Writes a SavedModel into `folder`; its tensor names by the card's, and the layout of its image input.

    onnx2tf turns NCHW into NHWC itself; an ONNX file that takes NHWC already is told to stay so.
    """
    python = toolbox.python_with("onnx2tf", REQUIREMENTS, say)
    own_image = model.tensors.get(card.inputs[0].name, card.inputs[0].name)
    keep = {"keep_nwc_or_nhwc_or_ndhwc_input_names": [own_image]} if model.layout == "NHWC" else {}
    say("onnx2tf runs; a minute for a small network")
    toolbox.run(python, _CONVERT, [str(model.path), str(folder), json.dumps(keep)], "onnx2tf")
    return {spec.name: model.tensors.get(spec.name, spec.name) for spec in card.outputs}, "NHWC"
