"""Which decoder is guessed for which outputs, and what is said when it cannot be told."""

from __future__ import annotations

from typing import Any

import pytest

from robot_ai.model_tool.importing.decoder_guess import guess_decoder
from robot_ai.model_tool.importing.errors import DecoderGuessError
from robot_ai.model_tool.importing.matchers import EXPECTATIONS, MATCHERS
from robot_ai.model_tool.importing.network import Match, Network
from robot_ai.model_tool.inspection.types import TensorInfo
from robot_ai.perception.decoders.protocol import DecoderContext
from robot_ai.perception.decoders.registry import DECODERS, create_decoder

SIZE = 320  # 2100 cells of strides 8, 16, 32


def network(*outputs: tuple[str, tuple[int | None, ...]] | TensorInfo, **known: Any) -> Network:
    infos = tuple(out if isinstance(out, TensorInfo) else TensorInfo(*out, "float32") for out in outputs)
    known = {"classes": None, "format": "ONNX", "metadata": {}, **known}
    return Network(infos, SIZE, SIZE, **known)


def builds(match: Match) -> None:
    """The decoder accepts what was guessed for it."""
    shapes = {name: (None, *tensor.shape[1:]) for name, tensor in match.tensors.items()}
    create_decoder(match.decoder, match.options, DecoderContext(SIZE, SIZE, match.classes or 7, shapes))


CASES: dict[str, tuple[Network, str, int | None]] = {
    "yolov8": (network(("output0", (1, 84, 2100))), "yolov8", 80),
    "yolov8 of one class": (network(("output0", (1, 5, 2100))), "yolov8", 1),
    "yolov8 with P6": (network(("output0", (1, 84, 2125))), "yolov8", 80),
    "yolov3-tiny": (network(("output0", (1, 84, 500))), "yolov8", 80),
    "yolov8 transposed": (network(("out", (1, 2100, 84)), classes=80), "yolov8", 80),
    "yolov8 of any length": (network(("output0", (None, 84, None))), "yolov8", 80),
    "yolov5": (network(("output", (1, 6300, 85))), "yolov5", 80),
    "yolox": (network(("output", (1, 2100, 85)), classes=80), "yolox", 80),
    "end to end": (network(("output0", (1, 300, 6))), "yolo26", None),
    "rt-detr of Ultralytics": (
        network(("output0", (1, 300, 6)), classes=2, metadata={"author": "Ultralytics", "head": "RTDETRDecoder"}),
        "yolo26",
        None,
    ),
    "rt-detr of Ultralytics, before May 2026": (
        network(
            ("output0", (1, 300, 84)),
            classes=80,
            metadata={"author": "Ultralytics", "description": "Ultralytics rtdetr-l model"},
        ),
        "yolov8",
        80,
    ),
    "classifier": (network(("logits", (None, 1000))), "classification", 1000),
    "detr": (network(("logits", (1, 100, 92)), ("pred_boxes", (1, 100, 4))), "detr", 91),
    "rt-detr": (network(("logits", (1, 300, 80)), ("pred_boxes", (1, 300, 4)), classes=80), "detr", 80),
    "boxes": (network(("boxes", (1, 50, 4)), ("scores", (1, 50, 3))), "boxes", 3),
    "ssd": (
        network(
            ("detection_boxes", (1, 100, 4)),
            ("detection_classes", (1, 100)),
            ("detection_scores", (1, 100)),
            ("num_detections", (1,)),
            ("raw_detection_boxes", (1, 1917, 4)),
            ("detection_anchor_indices", (1, 100)),
        ),
        "ssd",
        None,
    ),
    "tflite ssd": (
        network(
            ("TFLite_Detection_PostProcess", (1, 10, 4)),
            ("TFLite_Detection_PostProcess:1", (1, 10)),
            ("TFLite_Detection_PostProcess:2", (1, 10)),
            ("TFLite_Detection_PostProcess:3", (1,)),
            format="TensorFlow Lite",
        ),
        "ssd",
        None,
    ),
    "centernet": (network(("hm", (1, 80, 80, 80)), ("wh", (1, 2, 80, 80)), ("reg", (1, 2, 80, 80))), "centernet", 80),
    "centernet, channels last": (
        network(("heat", (1, 40, 40, 3)), ("size", (1, 40, 40, 2)), ("offset", (1, 40, 40, 2))),
        "centernet",
        3,
    ),
    "torchvision": (
        network(("4208", (None, 4)), ("4177", (None,)), TensorInfo("4178", (None,), "int64")),
        "torchvision",
        None,
    ),
    "nanodet": (network(("scores_8", (1, 1600, 3)), ("distances_8", (1, 1600, 44))), "nanodet", 3),
}


@pytest.mark.parametrize("case", CASES)
def test_the_decoder_is_guessed_and_accepts_the_outputs(case: str) -> None:
    given, decoder, classes = CASES[case]
    match = guess_decoder(given, None)
    assert (match.decoder, match.classes) == (decoder, classes)
    assert match.reason
    if not match.unbatched:
        builds(match)
    # What was guessed can also be told.
    assert guess_decoder(given, decoder).tensors == match.tensors


def test_tflite_counts_classes_from_nought() -> None:
    assert guess_decoder(CASES["tflite ssd"][0], None).options == {"first_class": 0}
    assert guess_decoder(CASES["ssd"][0], None).options == {"first_class": 1}


def test_boxes_of_ultralytics_rt_detr_are_centers_and_sizes_in_parts() -> None:
    """Read as YOLO26's, whose rows look the same, they would be boxes at the wrong place."""
    since = guess_decoder(CASES["rt-detr of Ultralytics"][0], None)
    assert since.options == {"normalized": True, "box_order": "cxcywh"}
    before = guess_decoder(CASES["rt-detr of Ultralytics, before May 2026"][0], None)
    assert before.options == {"normalized": True}
    assert before.is_set  # nothing is left to suppress
    assert guess_decoder(CASES["end to end"][0], None).options == {}


def test_an_ambiguous_head_names_both_and_labels_decide() -> None:
    with pytest.raises(DecoderGuessError, match=r"(?s)several decoders.*yolov8: .*yolox: .*out \(1, 2100, 85\)"):
        guess_decoder(network(("out", (1, 2100, 85))), None)
    assert guess_decoder(network(("out", (1, 2100, 85)), classes=80), None).decoder == "yolox"
    assert guess_decoder(network(("out", (1, 2100, 85)), classes=81), None).decoder == "yolov8"
    assert guess_decoder(network(("out", (1, 2100, 85))), "yolox").classes == 80


def test_outputs_that_nothing_reads_are_shown_beside_every_expectation() -> None:
    with pytest.raises(DecoderGuessError) as caught:
        guess_decoder(network(("mask", (1, 160, 160))), None)
    message = str(caught.value)
    assert "mask (1, 160, 160) float32" in message
    assert all(f"{name}: {expected}" in message for name, expected in EXPECTATIONS.items())


def test_a_wrong_decoder_is_an_error_that_shows_both_sides() -> None:
    with pytest.raises(DecoderGuessError) as caught:
        guess_decoder(network(("output0", (1, 84, 2100))), "detr")
    assert "output0 (1, 84, 2100)" in str(caught.value)
    assert EXPECTATIONS["detr"] in str(caught.value)
    assert EXPECTATIONS["yolov5"] not in str(caught.value)


def test_labels_that_do_not_fit_are_part_of_the_fault() -> None:
    with pytest.raises(DecoderGuessError, match="no decoder reads these outputs for an input of 320x320 and 79 labels"):
        guess_decoder(network(("output0", (1, 84, 2100)), classes=79), None)


def test_outputs_of_a_tflite_file_without_names_are_named_by_the_user() -> None:
    outputs = [(f"StatefulPartitionedCall:{n}", shape) for n, shape in enumerate([(1, 10), (1, 10, 4), (1,), (1, 10)])]
    with pytest.raises(DecoderGuessError, match="--tensor NAME=OUTPUT"):
        guess_decoder(network(*outputs), None)
    named = {"scores": "StatefulPartitionedCall:0", "classes": "StatefulPartitionedCall:3"}
    match = guess_decoder(network(*outputs, named=named), None)
    assert match.decoder == "ssd"
    assert {name: tensor.name for name, tensor in match.tensors.items()} == {
        "boxes": "StatefulPartitionedCall:1",
        "count": "StatefulPartitionedCall:2",
        **named,
    }


def test_a_classifier_that_ends_in_a_softmax_gives_probabilities() -> None:
    ends = network(("out", (1, 10)), metadata={"last_operation": "Softmax"})
    assert guess_decoder(ends, None).options == {"activation": "none"}
    assert guess_decoder(network(("out", (1, 10))), None).options == {"activation": "softmax"}


def test_every_decoder_can_be_imported() -> None:
    assert set(MATCHERS) | {"yolo11"} == set(DECODERS)
    assert guess_decoder(network(("output0", (1, 84, 2100))), "yolo11").decoder == "yolo11"
