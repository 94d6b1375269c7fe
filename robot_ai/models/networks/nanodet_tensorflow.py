"""NanoDet-g in TensorFlow, as a Keras model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from numpy.typing import NDArray

from robot_ai.models.networks import nanodet_plan as plan
from robot_ai.models.networks.convolution import Conv
from robot_ai.models.networks.keras_convolution import convolve, load_convolutions

keras: Any = tf.keras
layers: Any = keras.layers


def _conv_activate(spec: Conv, x: Any) -> Any:
    return layers.LeakyReLU(negative_slope=plan.LEAKY_SLOPE)(convolve(spec, x))


def _stage(stage: plan.Stage, x: Any) -> Any:
    """(B, H, W, C) to (B, H / stride, W / stride, 2 C)."""
    entry = _conv_activate(stage.entry, x)
    x = entry
    for reduce, mix in stage.blocks:
        reduced = _conv_activate(reduce, x)
        x = layers.Concatenate()([_conv_activate(mix, reduced), reduced])
    return layers.Concatenate()([_conv_activate(stage.exit, x), entry])


def _pool(x: Any) -> Any:
    """Maximum of 3x3 cells with stride 2 and a border of one: (B, H, W, C) to (B, H / 2, W / 2, C), H and W even.

    Keras' own padding is lopsided. Repeating the first row and column changes no maximum, and takes only layers that a
    `.keras` file can hold and that quantize exactly.
    """
    x = layers.Concatenate(axis=1)([x[:, :1], x])
    x = layers.Concatenate(axis=2)([x[:, :, :1], x])
    return layers.MaxPooling2D(3, 2)(x)


def _backbone(x: Any) -> list[Any]:
    """(B, H, W, 3) to one feature map per stride."""
    x = _pool(_conv_activate(plan.STEM, x))
    features = []
    for stage in plan.STAGES:
        x = _stage(stage, x)
        features.append(x)
    return features[-len(plan.STRIDES) :]


def _neck(features: list[Any]) -> list[Any]:
    """Adds coarse features to fine ones, then fine ones to coarse ones."""
    levels = [convolve(spec, x) for spec, x in zip(plan.LATERALS, features, strict=True)]
    for n in range(len(levels) - 1, 0, -1):
        levels[n - 1] = layers.Add()([levels[n - 1], layers.UpSampling2D(2, interpolation="bilinear")(levels[n])])
    for n in range(len(levels) - 1):
        # Halving bilinearly without antialiasing samples the middle of each 2x2 block: its average.
        levels[n + 1] = layers.Add()([levels[n + 1], layers.AveragePooling2D(2)(levels[n])])
    return levels


def _head(levels: list[Any]) -> dict[str, Any]:
    """Predicts class scores and distance distributions for each cell of each level."""
    outputs = {}
    for x, (features, prediction), stride in zip(levels, plan.HEADS, plan.STRIDES, strict=True):
        channels = prediction.out_channels
        cells = layers.Reshape((-1, channels))(convolve(prediction, _conv_activate(features, x)))
        outputs[f"scores_{stride}"] = layers.Activation("sigmoid")(cells[..., : plan.NUM_CLASSES])
        outputs[f"distances_{stride}"] = cells[..., plan.NUM_CLASSES :]
    return outputs


class NanoDetG(keras.Model):
    """NanoDet-g for COCO's 80 classes; about 3.8 million parameters.

    Input (B, H, W, 3) float32, BGR, normalized; H and W multiples of 32. Outputs, for each stride S in 8, 16, 32:
    `scores_S` (B, N, 80) after the sigmoid and `distances_S` (B, N, 44), logits of 4 sides x 11 bins, with
    N = (H / S) * (W / S) cells in row-major order.
    """

    def __init__(self) -> None:
        image = keras.Input((None, None, 3), name="image")
        super().__init__(inputs=image, outputs=_head(_neck(_backbone(image))))

    def load_tensors(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        """Takes the weights from nanodet_g.safetensors, whose kernels are (out, in, height, width).

        Raises ValueError when a tensor is missing, surplus or of the wrong shape.
        """
        load_convolutions(self, plan.convolutions(), tensors)
