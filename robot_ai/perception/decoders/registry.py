"""Decoders by the name that a model card gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from robot_ai.perception.decoders.boxes import BoxesDecoder
from robot_ai.perception.decoders.errors import UnknownDecoderError
from robot_ai.perception.decoders.nanodet import NanoDetDecoder
from robot_ai.perception.decoders.protocol import Decoder, DecoderContext

DecoderFactory = Callable[[Mapping[str, Any], DecoderContext], Decoder]

DECODERS: dict[str, DecoderFactory] = {
    "boxes": BoxesDecoder,
    "nanodet": NanoDetDecoder,
}


def create_decoder(name: str, options: Mapping[str, Any], context: DecoderContext) -> Decoder:
    """Builds the decoder of that name for a network.

    Raises UnknownDecoderError, DecoderOptionError, or OutputMismatchError when the network's outputs are not those that
    the decoder reads.
    """
    if name not in DECODERS:
        raise UnknownDecoderError(f"no decoder is named '{name}'; expected one of {', '.join(sorted(DECODERS))}")
    return DECODERS[name](options, context)
