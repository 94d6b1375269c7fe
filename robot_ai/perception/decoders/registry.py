"""Decoders by the name that a model card gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from robot_ai.perception.decoders.boxes import BoxesDecoder
from robot_ai.perception.decoders.centernet import CenterNetDecoder
from robot_ai.perception.decoders.classification import ClassificationDecoder
from robot_ai.perception.decoders.detr import DetrDecoder
from robot_ai.perception.decoders.end_to_end import EndToEndDecoder
from robot_ai.perception.decoders.errors import UnknownDecoderError
from robot_ai.perception.decoders.listed import SsdDecoder, TorchvisionDecoder
from robot_ai.perception.decoders.nanodet import NanoDetDecoder
from robot_ai.perception.decoders.protocol import Decoder, DecoderContext
from robot_ai.perception.decoders.yolo import YoloV5Decoder, YoloV8Decoder, YoloXDecoder

DecoderFactory = Callable[[Mapping[str, Any], DecoderContext], Decoder]

DECODERS: dict[str, DecoderFactory] = {
    "boxes": BoxesDecoder,
    "centernet": CenterNetDecoder,
    "classification": ClassificationDecoder,
    "detr": DetrDecoder,
    "nanodet": NanoDetDecoder,
    "ssd": SsdDecoder,
    "torchvision": TorchvisionDecoder,
    # yolo11 has yolov8's head.
    "yolo11": YoloV8Decoder,
    "yolo26": EndToEndDecoder,
    "yolov5": YoloV5Decoder,
    "yolov8": YoloV8Decoder,
    "yolox": YoloXDecoder,
}


def create_decoder(name: str, options: Mapping[str, Any], context: DecoderContext) -> Decoder:
    """Builds the decoder of that name for a network.

    Raises UnknownDecoderError, DecoderOptionError, or OutputMismatchError when the network's outputs are not those that
    the decoder reads.
    """
    if name not in DECODERS:
        raise UnknownDecoderError(f"no decoder is named '{name}'; expected one of {', '.join(sorted(DECODERS))}")
    return DECODERS[name](options, context)
