"""PillarNet in TensorFlow, as a Keras model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
from numpy.typing import NDArray

from robot_ai.models.networks import pillarnet_plan as plan
from robot_ai.models.networks.convolution import Conv
from robot_ai.models.networks.keras_convolution import convolve, load_convolutions

keras: Any = tf.keras
layers: Any = keras.layers


def _run(specs: Sequence[Conv], x: Any) -> Any:
    for spec in specs:
        x = layers.ReLU()(convolve(spec, x))
    return x


def _double(x: Any) -> Any:
    return layers.UpSampling2D(2, interpolation="nearest")(x)


def _network(x: Any) -> dict[str, Any]:
    fine = _run(plan.FINE, x)
    middle = _run(plan.MIDDLE, fine)
    coarse = _run(plan.COARSE, middle)
    middle = _run([plan.MIX_MIDDLE], layers.Add()([middle, _double(convolve(plan.REDUCE_COARSE, coarse))]))
    fine = _run([plan.MIX_FINE], layers.Add()([fine, _double(convolve(plan.REDUCE_MIDDLE, middle))]))
    cells = layers.Reshape((-1, plan.PREDICT.out_channels))(convolve(plan.PREDICT, fine))
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
        load_convolutions(self, plan.convolutions(), tensors)
