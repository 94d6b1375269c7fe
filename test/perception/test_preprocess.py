"""The tensor that enters the network, against the card's formula written out in float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from robot_ai.models.specs import ImageInput
from robot_ai.perception.preprocess import ImagePreprocessor
from robot_ai.perception.resize import fit

LAYOUTS, COLORS, RULES = ("NCHW", "NHWC"), ("bgr", "rgb"), ("stretch", "letterbox")
MEAN, STD = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)


def spec(layout="NCHW", color="bgr", dtype="float32", resize="stretch", **changes) -> ImageInput:
    fields = {
        "name": "image",
        "height": 96,
        "width": 128,
        "layout": layout,
        "dtype": dtype,
        "color": color,
        "mean": MEAN if dtype == "float32" else (0.0, 0.0, 0.0),
        "std": STD if dtype == "float32" else (1.0, 1.0, 1.0),
        "resize": resize,
        "pad_value": 114,
    } | changes
    return ImageInput(**fields)


def formula(image, card: ImageInput):
    """(value - mean) / std over the card's colors, plainly."""
    fitted, _ = fit(image, card.width, card.height, card.resize, card.pad_value)
    colors = fitted[..., ::-1] if card.color == "rgb" else fitted
    values = (colors.astype(np.float64) - np.array(card.mean)) / np.array(card.std)
    return values.transpose(2, 0, 1) if card.layout == "NCHW" else values


@pytest.mark.parametrize(("layout", "color", "resize"), [*itertools.product(LAYOUTS, COLORS, RULES)])
def test_float_tensor_is_the_cards_formula(layout, color, resize, photos):
    card = spec(layout, color, resize=resize)
    images = list(photos.values())
    batch, _ = ImagePreprocessor(card)(images)
    assert batch.dtype == np.float32
    assert batch.shape == (len(images), *card.tensor.shape[1:])
    for item, image in zip(batch, images, strict=True):
        np.testing.assert_allclose(item, formula(image, card), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("layout", "color", "resize"), [*itertools.product(LAYOUTS, COLORS, RULES)])
def test_byte_tensor_is_the_pixels(layout, color, resize, photos):
    card = spec(layout, color, "uint8", resize)
    images = list(photos.values())
    batch, _ = ImagePreprocessor(card)(images)
    assert batch.dtype == np.uint8
    for item, image in zip(batch, images, strict=True):
        np.testing.assert_array_equal(item, formula(image, card))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_channels_keep_their_own_mean_and_std(layout):
    card = spec(layout, "rgb", mean=(10.0, 20.0, 30.0), std=(1.0, 2.0, 4.0))
    blue, green, red = 14, 24, 12
    batch, _ = ImagePreprocessor(card)([np.full((96, 128, 3), (blue, green, red), np.uint8)])
    channels = batch[0].transpose(2, 0, 1) if layout == "NHWC" else batch[0]
    assert [float(channel.min()) for channel in channels] == [2.0, 2.0, -4.0]
    assert [float(channel.max()) for channel in channels] == [2.0, 2.0, -4.0]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_batch_memory_is_reused(layout, photo):
    preprocess = ImagePreprocessor(spec(layout))
    first, _ = preprocess([photo("coffee"), photo("china")])
    kept = first.copy()
    second, _ = preprocess([photo("china")])
    assert np.shares_memory(first, second)
    assert second.shape[0] == 1
    np.testing.assert_array_equal(second[0], kept[1])
    assert second.flags.c_contiguous
    larger, _ = preprocess([photo("china")] * 3)
    assert len(larger) == 3
    np.testing.assert_array_equal(larger[2], kept[1])
    again, _ = preprocess([photo("coffee")] * 3)
    assert np.shares_memory(larger, again)


def test_placements_belong_to_their_images():
    sizes = [(40, 80), (300, 20), (96, 128)]
    preprocess = ImagePreprocessor(spec(resize="letterbox"))
    batch, placements = preprocess([np.full((h, w, 3), 9, np.uint8) for h, w in sizes])
    assert len(batch) == 3
    assert [(p.source_height, p.source_width) for p in placements] == sizes


def test_no_image_is_an_empty_batch():
    batch, placements = ImagePreprocessor(spec())([])
    assert batch.shape == (0, 3, 96, 128)
    assert placements == []


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("padding", [1, 7])
def test_views_with_row_padding_are_read_right(layout, padding, photo):
    image = photo("chelsea")
    height, width = image.shape[:2]
    rows = np.full((height, width * 3 + padding), 0xA5, np.uint8)
    rows[:, : width * 3] = image.reshape(height, -1)
    view = np.ndarray((height, width, 3), np.uint8, rows.data, strides=(rows.shape[1], 3, 1))
    preprocess = ImagePreprocessor(spec(layout))
    expected = preprocess([image])[0].copy()
    np.testing.assert_array_equal(preprocess([view])[0], expected)


def test_images_are_left_alone(photo):
    image = photo("coffee").copy()
    ImagePreprocessor(spec("NHWC", "rgb", height=400, width=600))([image])
    np.testing.assert_array_equal(image, photo("coffee"))
