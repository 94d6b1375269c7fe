"""PillarNet in TensorFlow, as a Keras model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from robot_ai.models.networks import pillarnet_plan as plan

keras: Any = tf.keras
layers: Any = keras.layers


def _conv(spec: plan.Conv, x: Any) -> Any:
    """One convolution. TensorFlow's own padding of a strided one is lopsided, so that one is padded beforehand."""
    if spec.stride > 1:
        x = layers.ZeroPadding2D(spec.kernel // 2)(x)
    padding = "same" if spec.stride == 1 else "valid"
    return layers.Conv2D(spec.out_channels, spec.kernel, spec.stride, padding, name=spec.name)(x)


def _run(specs: Sequence[plan.Conv], x: Any) -> Any:
    for spec in specs:
        x = layers.ReLU()(_conv(spec, x))
    return x


def _double(x: Any) -> Any:
    return layers.UpSampling2D(2, interpolation="nearest")(x)


def _network(x: Any) -> dict[str, Any]:
    fine = _run(plan.FINE, x)
    middle = _run(plan.MIDDLE, fine)
    coarse = _run(plan.COARSE, middle)
    middle = _run([plan.MIX_MIDDLE], layers.Add()([middle, _double(_conv(plan.REDUCE_COARSE, coarse))]))
    fine = _run([plan.MIX_FINE], layers.Add()([fine, _double(_conv(plan.REDUCE_MIDDLE, middle))]))
    cells = layers.Reshape((-1, plan.PREDICT.out_channels))(_conv(plan.PREDICT, fine))
    scores = layers.Activation("sigmoid")(cells[..., : plan.CLASSES])
    return {"scores": scores, "boxes": cells[..., plan.CLASSES :]}


class PillarNet(keras.Model):
    """PillarNet for person, cyclist and vehicle; 0.46 million parameters.

    Input (B, H, W, 15) float32, pillars; H and W multiples of 8. Outputs, for N = (H / 2) * (W / 2) cells in row-major
    order: `scores` (B, N, 3) after the sigmoid and `boxes` (B, N, 8), whose columns `plan.BOX` describes.
    """

    def __init__(self) -> None:
        pillars = keras.Input((None, None, plan.CHANNELS), name="pillars")
        super().__init__(inputs=pillars, outputs=_network(pillars))

    def load_tensors(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        """Takes the weights from pillarnet.safetensors, whose kernels are (out, in, height, width).

        Raises ValueError when a tensor is missing, surplus or of the wrong shape.
        """
        wanted = {f"{conv.name}.{part}" for conv in plan.convolutions() for part in ("weight", "bias")}
        if wanted != set(tensors):
            raise ValueError(
                f"missing tensors: {sorted(wanted - set(tensors))}; surplus tensors: {sorted(set(tensors) - wanted)}"
            )
        for conv in plan.convolutions():
            kernel = tensors[f"{conv.name}.weight"].astype(np.float32).transpose(2, 3, 1, 0)
            self.get_layer(conv.name).set_weights([kernel, tensors[f"{conv.name}.bias"].astype(np.float32)])
