"""Images through a real card, decoder and the stub backend: boxes in source pixels, settings over the card's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robot_ai.backends.errors import ArtifactLoadError, InferenceError, UnknownBackendError
from robot_ai.backends.loading import BackendChoice
from robot_ai.models.errors import ModelNotFoundError, NoArtifactError
from robot_ai.perception.decoders.errors import UnknownLabelError
from robot_ai.pipeline.image_detector import DetectionSettings, ImageDetector

SETTINGS = DetectionSettings()


def load(card: Path) -> ImageDetector:
    return ImageDetector.load(BackendChoice(str(card), "stub"))


def edit(card: Path, **changes: Any) -> Path:
    """Changes the image input's keys of a written card."""
    file = card / "model.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    content["inputs"][0] |= changes
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return card


def bright(width: int, height: int, *box: int) -> np.ndarray:
    image = np.zeros((height, width, 3), np.uint8)
    left, top, right, bottom = box
    image[top:bottom, left:right] = 255
    return image


@pytest.fixture(params=["stretch", "letterbox"])
def resize(request) -> str:
    return str(request.param)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize(("width", "height"), [(640, 480), (1920, 1080), (416, 416), (300, 900), (101, 67)])
def test_boxes_come_back_in_source_pixels(stub_card, resize, layout, width, height):
    detector = load(stub_card(resize=resize, layout=layout))
    box = (width // 5, height // 4, width * 3 // 5, height * 9 // 10)
    (found,) = detector.detect([bright(width, height, *box)], SETTINGS).detections
    assert found.names == ["bright"]
    assert found.scores == pytest.approx([0.9])
    # One network pixel, in source pixels.
    pixel = max(width, height) / 416 if resize == "letterbox" else max(width / 416, height / 416)
    np.testing.assert_allclose(found.xyxy, [box], atol=max(1.0, pixel) + 0.01)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    width=st.integers(64, 700),
    height=st.integers(64, 700),
    parts=st.lists(st.floats(0, 1), min_size=4, max_size=4),
)
def test_any_box_in_any_image_is_found_where_it_is(stub_card, resize, width, height, parts):
    detector = load(stub_card(resize=resize, size=160))
    xs, ys = sorted(parts[:2]), sorted(parts[2:])
    # At least eight network pixels each way, so that sampling cannot step over it.
    least = 8 * max(width, height) / 160
    if least > min(width, height):
        return
    left, top = round(xs[0] * (width - least)), round(ys[0] * (height - least))
    right = min(width, max(round(xs[1] * width), int(left + least) + 1))
    bottom = min(height, max(round(ys[1] * height), int(top + least) + 1))
    (found,) = detector.detect([bright(width, height, left, top, right, bottom)], SETTINGS).detections
    # The stub sees a pixel above 200 of 255: an enlarged edge fades over two thirds of a source pixel more.
    tolerance = max(width, height) / 160 + 1
    np.testing.assert_allclose(found.xyxy, [[left, top, right, bottom]], atol=tolerance)


def test_batch_of_different_sizes_is_answered_in_order(stub_card, resize):
    detector = load(stub_card(resize=resize))
    images = [
        bright(640, 480, 100, 120, 300, 240),
        np.zeros((300, 200, 3), np.uint8),
        bright(1280, 720, 640, 360, 1280, 720),
    ]
    first, second, third = detector.detect(images, SETTINGS).detections
    np.testing.assert_allclose(first.xyxy, [[100, 120, 300, 240]], atol=2)
    assert len(second) == 0
    np.testing.assert_allclose(third.xyxy, [[640, 360, 1280, 720]], atol=4)


def test_no_box_leaves_the_image(stub_card):
    detector = load(edit(stub_card(resize="letterbox"), pad_value=255))
    # The border is bright too: the stub's box covers the whole input.
    (found,) = detector.detect([np.full((100, 400, 3), 255, np.uint8)], SETTINGS).detections
    np.testing.assert_array_equal(found.xyxy, [[0, 0, 400, 100]])


def test_a_box_in_the_border_alone_is_no_detection(stub_card):
    detector = load(edit(stub_card(resize="letterbox"), pad_value=255))
    # One row of border at the bottom, and nothing bright in the image.
    (found,) = detector.detect([np.zeros((415, 416, 3), np.uint8)], SETTINGS).detections
    assert len(found) == 0


def test_durations_name_the_detectors_stages(stub_card):
    detector = load(stub_card(delay=0.03))
    durations = detector.detect([bright(64, 48, 10, 10, 30, 30)], SETTINGS).durations
    assert list(durations) == ["preprocess", "forward", "postprocess"]
    assert 0.03 <= durations["forward"] < 1
    assert all(seconds >= 0 for seconds in durations.values())


IMAGE = bright(640, 480, 100, 120, 300, 240)


@pytest.mark.parametrize(
    ("chosen", "count"),
    [
        (DetectionSettings(), 1),
        (DetectionSettings(confidence=0.89), 1),
        (DetectionSettings(confidence=0.91), 0),
        (DetectionSettings(confidence=0.0), 1),
        (DetectionSettings(max_detections=1), 1),
        (DetectionSettings(class_filter=("bright",)), 1),
        (DetectionSettings(class_filter=("other",)), 0),
        (DetectionSettings(class_filter=("other", "bright")), 1),
    ],
)
def test_settings_override_the_card(stub_card, chosen, count):
    (found,) = load(stub_card()).detect([IMAGE], chosen).detections
    assert len(found) == count


def test_the_cards_threshold_holds_without_a_setting(stub_card):
    card = stub_card()
    file = card / "model.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    content["thresholds"]["confidence"] = 0.95
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    detector = load(card)
    assert len(detector.detect([IMAGE], DetectionSettings()).detections[0]) == 0
    assert len(detector.detect([IMAGE], DetectionSettings(confidence=0.5)).detections[0]) == 1


def test_settings_hold_for_one_call(stub_card):
    detector = load(stub_card())
    counts = [
        len(detector.detect([IMAGE], chosen).detections[0])
        for chosen in (SETTINGS, DetectionSettings(confidence=1.0), SETTINGS)
    ]
    assert counts == [1, 0, 1]


def test_class_of_the_stub_is_the_label(stub_card):
    (found,) = load(stub_card(class_index=1)).detect([IMAGE], SETTINGS).detections
    assert found.names == ["other"]


def test_unknown_label_is_refused_with_a_hint(stub_card):
    detector = load(stub_card())
    with pytest.raises(UnknownLabelError, match="no class 'brigth' among its 2 labels; did you mean 'bright'"):
        detector.check(DetectionSettings(class_filter=("brigth",)))
    detector.check(DetectionSettings(class_filter=("bright",)))
    detector.check(DetectionSettings())


def test_a_failing_pass_raises_and_the_next_works(stub_card):
    detector = load(stub_card(fail_every=4))  # warming up takes two
    assert len(detector.detect([IMAGE], SETTINGS).detections[0]) == 1
    with pytest.raises(InferenceError, match="call 4"):
        detector.detect([IMAGE], SETTINGS)
    assert len(detector.detect([IMAGE], SETTINGS).detections[0]) == 1


def test_what_the_backend_says_is_passed_on(stub_card):
    detector = load(stub_card())
    assert detector.device == "cpu"
    assert detector.backend_name == "stub"
    assert detector.card.labels == ("bright", "other")
    detector.close()


@pytest.mark.parametrize(
    ("backend", "options", "error"),
    [
        ("stub", {"fail_load": True}, ArtifactLoadError),
        ("stub", {"fail_every": 1}, InferenceError),  # in the warm-up
        ("nonesuch", {}, UnknownBackendError),
        ("pytorch", {}, NoArtifactError),
    ],
)
def test_what_cannot_be_loaded_is_refused(stub_card: Callable[..., Path], backend, options, error):
    with pytest.raises(error):
        ImageDetector.load(BackendChoice(str(stub_card(**options)), backend))


def test_unknown_model_is_refused():
    with pytest.raises(ModelNotFoundError, match="no model is named 'nonesuch'"):
        ImageDetector.load(BackendChoice("nonesuch", "stub"))
