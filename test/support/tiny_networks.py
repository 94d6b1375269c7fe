"""The networks that the tiny model's weights belong to, importable by the name that its card gives."""

from __future__ import annotations

from typing import Any

try:
    import torch
except ImportError:  # the tests of the other frameworks do without
    pass
else:

    class TinyTorch(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = torch.nn.Conv2d(3, 8, 4, 4)
            self.head = torch.nn.Conv2d(8, 6, 1)

        def forward(self, image: Any) -> Any:
            out = self.head(self.stem(image).relu()).flatten(2).transpose(1, 2)
            return {"boxes": out[..., :4], "scores": out[..., 4:].sigmoid()}


def __getattr__(name: str) -> Any:
    """Imports TensorFlow only for its network."""
    if name != "TinyKeras":
        raise AttributeError(name)
    import tensorflow as tf

    class TinyKeras(tf.keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.stem = tf.keras.layers.Conv2D(8, 4, 4, activation="relu")
            self.head = tf.keras.layers.Conv2D(6, 1)
            self.places = tf.keras.layers.Reshape((64, 6))

        def load_tensors(self, tensors: Any) -> None:
            self.build((None, 32, 32, 3))
            for layer in ("stem", "head"):
                kernel = tensors[f"{layer}.weight"].transpose(2, 3, 1, 0)
                getattr(self, layer).set_weights([kernel, tensors[f"{layer}.bias"]])

        def build(self, shape: Any) -> None:
            self.stem.build(shape)
            self.head.build((None, 8, 8, 8))

        def call(self, image: Any, training: bool = False) -> Any:
            out = self.places(self.head(self.stem(image)))
            return {"boxes": out[..., :4], "scores": tf.sigmoid(out[..., 4:])}

    return TinyKeras
