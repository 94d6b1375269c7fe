"""What TensorFlow Lite Micro's resolver calls the operations of a .tflite file."""

from __future__ import annotations

import pytest

from robot_ai.model_tool.export.micro import resolver_method


@pytest.mark.parametrize(
    ("operation", "method"),
    [
        ("CONV_2D", "Conv2D"),
        ("RELU6", "Relu6"),
        ("LEAKY_RELU", "LeakyRelu"),
        ("SPACE_TO_BATCH_ND", "SpaceToBatchNd"),
        ("BATCH_MATMUL", "BatchMatMul"),
        ("CUMSUM", "CumSum"),
        ("PADV2", "PadV2"),
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", "UnidirectionalSequenceLSTM"),
    ],
)
def test_a_method_is_called_as_in_the_resolver(operation: str, method: str) -> None:
    assert resolver_method(operation) == method
