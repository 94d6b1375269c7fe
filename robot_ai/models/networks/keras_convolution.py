"""Convolutions of a plan in Keras, and their weights from a file in PyTorch's order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from robot_ai.models.networks.convolution import Conv

layers: Any = tf.keras.layers


def convolve(spec: Conv, x: Any) -> Any:
    """One convolution. TensorFlow's own padding of a strided one is lopsided, so that one is padded beforehand."""
    pad = spec.kernel // 2
    if spec.stride > 1:
        x = layers.ZeroPadding2D(pad)(x)
    padding = "same" if spec.stride == 1 else "valid"
    return layers.Conv2D(spec.out_channels, spec.kernel, spec.stride, padding, name=spec.name)(x)


def load_convolutions(model: Any, convolutions: Sequence[Conv], tensors: Mapping[str, NDArray[Any]]) -> None:
    """Gives the model's layers their weights; kernels are (out, in, height, width).

    Raises ValueError when a tensor is missing, surplus or of the wrong shape.
    """
    wanted = {f"{conv.name}.{part}" for conv in convolutions for part in ("weight", "bias")}
    if wanted != set(tensors):
        raise ValueError(
            f"missing tensors: {sorted(wanted - set(tensors))}; surplus tensors: {sorted(set(tensors) - wanted)}"
        )
    for conv in convolutions:
        kernel = tensors[f"{conv.name}.weight"].astype(np.float32).transpose(2, 3, 1, 0)
        model.get_layer(conv.name).set_weights([kernel, tensors[f"{conv.name}.bias"].astype(np.float32)])
