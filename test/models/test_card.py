"""Model cards: what is accepted, and that every refusal names the file, the key and the remedy."""

from __future__ import annotations

import copy
import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_ai.errors import RobotAIError
from robot_ai.models import errors
from robot_ai.models.card import ModelCard

CONTENT = b"weights"
CHECKSUM = hashlib.sha256(CONTENT).hexdigest()

Card = dict[str, Any]
Change = Callable[[Card], object]


def valid_card() -> Card:
    """A card with every optional key, for one artifact `weights.bin` that holds CONTENT."""
    return {
        "name": "tiny",
        "version": "1",
        "task": "detection",
        "license": "Apache-2.0",
        "source": "made by the tests",
        "labels": ["red", "green"],
        "inputs": [
            {
                "name": "image",
                "height": 32,
                "width": 64,
                "layout": "NCHW",
                "dtype": "float32",
                "color": "bgr",
                "mean": [1, 2.5, 3],
                "std": [2, 4, 5],
                "resize": "letterbox",
                "pad_value": 0,
            }
        ],
        "outputs": [
            {"name": "boxes", "shape": ["batch", 4, 4], "dtype": "float32"},
            {"name": "scores", "shape": ["batch", 4, 2], "dtype": "float32"},
        ],
        "decoder": {"type": "boxes"},
        "thresholds": {"confidence": 0.3, "iou": 0.6, "max_detections": 10},
        "artifacts": {
            "pytorch": {
                "path": "weights.bin",
                "sha256": CHECKSUM,
                "layout": "NHWC",
                "network": "package.module:Class",
                "options": {"anything": [1, 2]},
            },
            "stub": None,
        },
    }


def write(folder: Path, card: object) -> Path:
    (folder / "weights.bin").write_bytes(CONTENT)
    (folder / "model.yaml").write_text(card if isinstance(card, str) else yaml.safe_dump(card), encoding="utf-8")
    return folder


def test_every_key_is_read(tmp_path: Path) -> None:
    card = ModelCard.load(write(tmp_path, valid_card()))

    assert (card.name, card.version, card.task, card.labels) == ("tiny", "1", "detection", ("red", "green"))
    assert card.inputs[0].mean == (1.0, 2.5, 3.0)
    assert card.inputs[0].scale == (0.5, 0.25, 0.2)
    assert card.inputs[0].pad_value == 0
    assert str(card.inputs[0].tensor) == "image (batch, 3, 32, 64) float32"
    assert card.input_for("pytorch").tensor.shape == (None, 32, 64, 3)
    assert card.input_for("stub").tensor.shape == (None, 3, 32, 64)
    assert card.artifacts["pytorch"].path == tmp_path / "weights.bin"
    assert card.artifacts["pytorch"].options == {"anything": [1, 2]}
    assert card.artifacts["stub"].path is None
    assert card.thresholds.max_detections == 10


def test_the_file_itself_may_be_given(tmp_path: Path) -> None:
    assert ModelCard.load(write(tmp_path, valid_card()) / "model.yaml") == ModelCard.load(tmp_path)


def test_the_padding_is_grey_unless_said(tmp_path: Path) -> None:
    card = valid_card()
    del card["inputs"][0]["pad_value"]
    assert ModelCard.load(write(tmp_path, card)).inputs[0].pad_value == 114


def test_a_linked_artifact_is_accepted(tmp_path: Path) -> None:
    """`colcon build --symlink-install` links every file to the sources."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "real.bin").write_bytes(CONTENT)
    model = tmp_path / "model"
    model.mkdir()
    write(model, valid_card())
    (model / "weights.bin").unlink()
    (model / "weights.bin").symlink_to(tmp_path / "elsewhere" / "real.bin")

    assert ModelCard.load(model).name == "tiny"


def test_only_the_chosen_backends_files_are_read(tmp_path: Path) -> None:
    write(tmp_path, valid_card())
    (tmp_path / "weights.bin").unlink()

    assert ModelCard.load(tmp_path, backends=["stub"]).name == "tiny"
    with pytest.raises(errors.ArtifactMissingError):
        ModelCard.load(tmp_path, backends=["pytorch"])


def test_a_backend_without_artifact_is_refused(tmp_path: Path) -> None:
    card = ModelCard.load(write(tmp_path, valid_card()))
    with pytest.raises(errors.NoArtifactError, match=r"model\.yaml: no artifact.*'tensorflow'.*pytorch, stub\. Choose"):
        card.artifact_for("tensorflow")


def put(*path: Any) -> Change:
    """A change that sets the value, the last of the arguments, at the path before it."""
    *keys, last, value = path

    def change(card: Card) -> None:
        place: Any = card
        for key in keys:
            place = place[key]
        place[last] = value

    return change


def drop(*path: Any) -> Change:
    *keys, last = path

    def change(card: Card) -> None:
        place: Any = card
        for key in keys:
            place = place[key]
        del place[last]

    return change


# What is changed in a valid card, the error, and what its message names beside the file: the key, and the remedy.
REFUSALS: dict[str, tuple[Change, type[RobotAIError], list[str]]] = {
    "unknown key": (put("colour", 1), errors.CardKeyError, ["'colour'", "Remove it or correct its spelling"]),
    "unknown input key": (put("inputs", 0, "colour", 1), errors.CardKeyError, ["'inputs[0].colour'", "Remove it"]),
    "unknown output key": (put("outputs", 1, "type", 1), errors.CardKeyError, ["'outputs[1].type'", "Remove it"]),
    "unknown threshold": (put("thresholds", "nms", 1), errors.CardKeyError, ["'thresholds.nms'", "Remove it"]),
    "unknown artifact key": (
        put("artifacts", "pytorch", "md5", "0"),
        errors.CardKeyError,
        ["'artifacts.pytorch.md5'", "Remove it"],
    ),
    "key that is no text": (put(3, "x"), errors.CardKeyError, ["key 3", "Quote it"]),
    "artifact key that is no text": (put("artifacts", True, {}), errors.CardKeyError, ["'artifacts'", "Quote it"]),
    "missing name": (drop("name"), errors.CardKeyError, ["'name' is missing", "Add it"]),
    "missing labels": (drop("labels"), errors.CardKeyError, ["'labels' is missing", "Add it"]),
    "missing height": (drop("inputs", 0, "height"), errors.CardKeyError, ["'inputs[0].height' is missing", "Add it"]),
    "missing iou": (drop("thresholds", "iou"), errors.CardKeyError, ["'thresholds.iou' is missing", "Add it"]),
    "missing decoder type": (drop("decoder", "type"), errors.CardKeyError, ["'decoder.type' is missing", "Add it"]),
    "name with a space": (put("name", "a b"), errors.CardValueError, ["'name'", "letters, digits", "Correct"]),
    "version as a number": (put("version", 1.0), errors.CardValueError, ["'version'", "in quotes", "Correct"]),
    "unknown task": (put("task", "poetry"), errors.CardValueError, ["'task'", "'poetry'", "expected detection"]),
    "blank license": (put("license", " "), errors.CardValueError, ["'license'", "expected the license", "Correct"]),
    "no labels": (put("labels", []), errors.CardValueError, ["'labels'", "a list of class names", "Correct"]),
    "labels as text": (put("labels", "red"), errors.CardValueError, ["'labels'", "a list of class names", "Correct"]),
    "label no": (put("labels", 1, False), errors.CardValueError, ["'labels[1]'", "quote words such as no", "Correct"]),
    "duplicate labels": (
        put("labels", 1, "red"),
        errors.CardValueError,
        ["'labels[1]' repeats 'red' of labels[0]", "each label once"],
    ),
    "two inputs": (
        lambda card: card["inputs"].append(copy.deepcopy(card["inputs"][0])),
        errors.CardValueError,
        ["'inputs' has 2 entries", "exactly one input"],
    ),
    "input as text": (put("inputs", 0, "x"), errors.CardValueError, ["'inputs[0]' is 'x' (str)", "Correct"]),
    "height 0": (put("inputs", 0, "height", 0), errors.CardValueError, ["'inputs[0].height'", "from 1 to 8192"]),
    "height true": (put("inputs", 0, "height", True), errors.CardValueError, ["'inputs[0].height'", "True (bool)"]),
    "height 32.0": (put("inputs", 0, "height", 32.0), errors.CardValueError, ["'inputs[0].height'", "32.0 (float)"]),
    "width a billion": (put("inputs", 0, "width", 10**9), errors.CardValueError, ["'inputs[0].width'", "to 8192"]),
    "layout": (put("inputs", 0, "layout", "CHW"), errors.CardValueError, ["'inputs[0].layout'", "NCHW or NHWC"]),
    "std 0": (put("inputs", 0, "std", 1, 0), errors.CardValueError, ["'inputs[0].std'", "0 (int)", "1e-06 to 1e+06"]),
    "std NaN": (put("inputs", 0, "std", 1, float("nan")), errors.CardValueError, ["'inputs[0].std'", "nan (float)"]),
    "mean of 2": (put("inputs", 0, "mean", [1, 2]), errors.CardValueError, ["'inputs[0].mean'", "3 numbers"]),
    "mean of 400 digits": (put("inputs", 0, "mean", 0, 10**400), errors.CardValueError, ["'inputs[0].mean'"]),
    "uint8 with a mean": (
        put("inputs", 0, "dtype", "uint8"),
        errors.CardValueError,
        ["'inputs[0].mean' or 'std' changes pixels", "mean 0 and std 1"],
    ),
    "pad 256": (put("inputs", 0, "pad_value", 256), errors.CardValueError, ["'inputs[0].pad_value'", "0 to 255"]),
    "shape without batch": (
        put("outputs", 0, "shape", [1, 4, 4]),
        errors.CardValueError,
        ["'outputs[0].shape'", "'batch' followed by whole numbers"],
    ),
    "shape with text": (put("outputs", 0, "shape", ["batch", "k"]), errors.CardValueError, ["'outputs[0].shape'"]),
    "output dtype": (put("outputs", 0, "dtype", "f4"), errors.CardValueError, ["'outputs[0].dtype'", "float32 or"]),
    "duplicate outputs": (
        put("outputs", 1, "name", "boxes"),
        errors.CardValueError,
        ["'outputs[1].name' repeats 'boxes'", "each output once"],
    ),
    "decoder as text": (put("decoder", "boxes"), errors.CardValueError, ["'decoder'", "a mapping with 'type'"]),
    "unknown decoder": (
        put("decoder", "type", "crystal"),
        errors.CardValueError,
        ["'decoder'", "no decoder is named 'crystal'", "one of boxes, centernet"],
    ),
    "unknown decoder option": (
        put("decoder", "bins", 3),
        errors.CardValueError,
        ["'decoder'", "no option bins", "its options are none"],
    ),
    "outputs of another decoder": (
        put("decoder", {"type": "nanodet", "strides": [8], "bins": 3}),
        errors.CardValueError,
        ["'decoder'", "scores_8 (batch, 32, 2)", "boxes (batch, 4, 4)", "Correct 'outputs' and 'decoder'"],
    ),
    "scores for more classes": (
        put("outputs", 1, "shape", ["batch", 4, 3]),
        errors.CardValueError,
        ["'decoder'", "scores (batch, any, 2)", "scores (batch, 4, 3)", "Correct 'outputs'"],
    ),
    "fewer scores than boxes": (
        put("outputs", 1, "shape", ["batch", 3, 2]),
        errors.CardValueError,
        ["'decoder'", "scores (batch, 4, 2)", "scores (batch, 3, 2)", "Correct 'outputs'"],
    ),
    "confidence 2": (put("thresholds", "confidence", 2), errors.CardValueError, ["'thresholds.confidence'", "0 to 1"]),
    "no detections": (put("thresholds", "max_detections", 0), errors.CardValueError, ["'thresholds.max_detections'"]),
    "no artifacts": (put("artifacts", {}), errors.CardValueError, ["'artifacts' is empty", "at least one backend"]),
    "artifact as text": (
        put("artifacts", "stub", "x"),
        errors.CardValueError,
        ["'artifacts.stub'", "a mapping with path"],
    ),
    "path without checksum": (
        drop("artifacts", "pytorch", "sha256"),
        errors.CardValueError,
        ["'artifacts.pytorch.path' is given without 'sha256'", "both, or neither"],
    ),
    "checksum without path": (
        drop("artifacts", "pytorch", "path"),
        errors.CardValueError,
        ["'artifacts.pytorch.sha256' is given without 'path'", "both, or neither"],
    ),
    "checksum that is none": (
        put("artifacts", "pytorch", "sha256", "12ab"),
        errors.CardValueError,
        ["'artifacts.pytorch.sha256'", "64 lower-case hex digits"],
    ),
    "network that is none": (
        put("artifacts", "pytorch", "network", "os.system('x')"),
        errors.CardValueError,
        ["'artifacts.pytorch.network'", "package.module:Class"],
    ),
    "path that is absolute": (
        put("artifacts", "pytorch", "path", "/etc/passwd"),
        errors.ArtifactPathError,
        ["'artifacts.pytorch.path'", "does not lie inside the card's directory", "Put the file beside the card"],
    ),
    "path that climbs": (
        put("artifacts", "pytorch", "path", "a/../../secret"),
        errors.ArtifactPathError,
        ["'artifacts.pytorch.path'", "does not lie inside the card's directory", "Put the file beside the card"],
    ),
    "missing file": (
        put("artifacts", "pytorch", "path", "gone.bin"),
        errors.ArtifactMissingError,
        ["'artifacts.pytorch.path'", "gone.bin", "Restore it or correct the path"],
    ),
    "path that is the card's directory": (
        put("artifacts", "pytorch", "path", "."),
        errors.ArtifactPathError,
        ["'artifacts.pytorch.path'", "does not lie inside the card's directory"],
    ),
    "path of 5000 letters": (
        put("artifacts", "pytorch", "path", "a" * 5000),
        errors.ArtifactMissingError,
        ["'artifacts.pytorch.path'"],
    ),
    "wrong checksum": (
        put("artifacts", "pytorch", "sha256", "0" * 64),
        errors.ArtifactChecksumError,
        ["'artifacts.pytorch.sha256'", CHECKSUM, "expected " + "0" * 64, "restore it, or correct the card"],
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals_name_file_key_and_remedy(tmp_path: Path, case: str) -> None:
    change, error, parts = REFUSALS[case]
    card = valid_card()
    change(card)

    with pytest.raises(error) as caught:
        ModelCard.load(write(tmp_path, card))

    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'model.yaml'}: ")
    for part in parts:
        assert part in message


# Texts that are no card at all, some of which PyYAML answers with errors that are not its own.
UNREADABLE = {
    "empty": "",
    "a list": "[1, 2]",
    "broken": "name: [",
    "a key twice": "name: a\nname: b\n",
    "an alias": "a: &x [1]\nb: *x\n",
    "a Python object": "name: !!python/object/apply:os.system ['true']\n",
    "a tab": "a:\n\t- b\n",
    "a control character": "a: \x01\n",
    "an empty integer": "a: !!int ''\n",
    "an empty float": "a: !!float ''\n",
    "a bool that is none": "a: !!bool x\n",
    "a date that is none": "a: !!timestamp x\n",
    "a 13th month": "a: 2024-13-45\n",
    "an integer of 5000 digits": f"a: {'9' * 5000}\n",
    "a mapping as key": "{a: b}: c\n",
    "deep nesting": "[" * 5000,
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_is_no_card_is_unreadable(tmp_path: Path, case: str) -> None:
    with pytest.raises(errors.CardUnreadableError) as caught:
        ModelCard.load(write(tmp_path, UNREADABLE[case]))
    assert str(caught.value).startswith(f"{tmp_path / 'model.yaml'}: ")


def test_a_huge_hexadecimal_number_is_refused(tmp_path: Path) -> None:
    """Python refuses to print integers of more than 4300 digits, which must not befall the message."""
    text = yaml.safe_dump(valid_card()).replace("height: 32", f"height: 0x{'f' * 5000}")
    with pytest.raises(errors.CardValueError, match=r"inputs\[0\]\.height"):
        ModelCard.load(write(tmp_path, text))


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.CardUnreadableError, match=r"cannot be read.*Check the path"):
        ModelCard.load(tmp_path / "nothing")
    (tmp_path / "model.yaml").mkdir()
    with pytest.raises(errors.CardUnreadableError, match=r"cannot be read.*Check the path"):
        ModelCard.load(tmp_path)


def test_bytes_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(errors.CardUnreadableError, match="not valid YAML"):
        ModelCard.load(tmp_path)


def test_a_card_of_megabytes_is_refused_unread(tmp_path: Path) -> None:
    with pytest.raises(errors.CardUnreadableError, match="at most 1048576 bytes"):
        ModelCard.load(write(tmp_path, "#" * (1 << 20) + "\n"))


@pytest.mark.parametrize(
    "options",
    [
        {"strides": [8], "bins": 10**13},  # terabytes, if the bins were laid out before the outputs are compared
        {"strides": [1], "bins": 11},
    ],
)
def test_a_decoder_that_would_take_gigabytes_is_refused_before(tmp_path: Path, options: dict[str, Any]) -> None:
    card = valid_card()
    card["decoder"] = {"type": "nanodet", **options}
    card["inputs"][0]["height"] = card["inputs"][0]["width"] = 8192

    with pytest.raises(errors.CardValueError, match="the outputs do not fit decoder 'nanodet'"):
        ModelCard.load(write(tmp_path, card))


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["batch", "boxes", "nanodet", "float32", "NCHW", "bgr", "../x", 10**400, -(10**400)]),
)
documents = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(st.sampled_from(["type", "name", "path", "shape", "strides", "bins"]), scalars),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


def paths(value: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value below a document's top."""
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return [way for key, inner in items for way in ((*prefix, key), *paths(inner, (*prefix, key)))]


def load_text(text: str) -> None:
    """Loads a card and lets only explained refusals pass."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            ModelCard.load(write(Path(folder), text))
        except RobotAIError as error:
            assert str(error)


@settings(max_examples=150, deadline=None)
@given(documents)
def test_arbitrary_documents_raise_only_explained_errors(document: Any) -> None:
    load_text(yaml.safe_dump(document))


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="ab:-[]{}!&*?|>'\"#% \n\t0x.~,<=@`", max_size=60))
def test_arbitrary_text_raises_only_explained_errors(text: str) -> None:
    load_text(text)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(paths(valid_card())), documents)
def test_one_arbitrary_value_in_a_card_raises_only_explained_errors(path: tuple[Any, ...], value: Any) -> None:
    card = valid_card()
    put(*path, value)(card)
    load_text(yaml.safe_dump(card))
