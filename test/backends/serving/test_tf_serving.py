"""What is TensorFlow Serving's own: versions, labels, signatures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from model_servers import ModelServer, Served
from tiny_model import expected, images

from robot_ai.backends.errors import ArtifactLoadError, VerificationError
from robot_ai.backends.registry import create
from robot_ai.models.card import ModelCard


@pytest.fixture(params=["grpc", "rest"])
def served(request: pytest.FixtureRequest, serve: Callable[..., Served], tf_serving: ModelServer) -> Served:
    return serve("tf_serving", request.param, tf_serving)


@pytest.mark.parametrize(("version", "shift"), [("1", 0), ("2", 1), ("latest", 1), ("canary", 1)])
def test_a_version_is_a_number_a_label_or_the_latest(served: Served, version: str, shift: int) -> None:
    card = ModelCard.load(served.card, backends=["tf_serving"])
    backend = create("tf_serving")
    backend.load(card.select("tf_serving", "auto", {"url": served.server.urls[served.protocol], "version": version}))
    served.opened.append(backend)
    outputs = backend.infer({"image": images(1, "NHWC")})
    np.testing.assert_allclose(outputs["boxes"], expected(images(1))["boxes"] + shift, atol=1e-5)


def test_another_version_than_the_cards_is_known_by_the_golden_sample(served: Served) -> None:
    with pytest.raises(VerificationError, match="differs from the golden sample"):
        served.load("version=latest")


def test_the_versions_there_are_are_named(served: Served) -> None:
    with pytest.raises(
        ArtifactLoadError, match=r"has no version '7' .*its versions are 1 \(AVAILABLE\), 2 \(AVAILABLE\)"
    ):
        served.load("version=7")
    with pytest.raises(ArtifactLoadError, match=r"stable"):
        served.load("version=stable")


def test_the_signatures_there_are_are_named(served: Served) -> None:
    with pytest.raises(ArtifactLoadError, match=r"has no signature 'detect'; its signatures are .*serving_default"):
        served.load("signature=detect")


def test_a_signature_with_a_fixed_batch_takes_any(served: Served) -> None:
    backend = served.load("signature=pairs")
    for count in (1, 2, 5):
        outputs = backend.infer({"image": images(count, "NHWC")})
        np.testing.assert_allclose(outputs["boxes"], expected(images(count))["boxes"], atol=1e-5)


def test_tensors_other_than_the_cards_are_shown(served: Served) -> None:
    card = ModelCard.load(served.card, backends=["tf_serving"])
    options = {"url": served.server.urls[served.protocol]}
    narrowed = card.select("tf_serving", "auto", options)
    artifact = narrowed.artifacts["tf_serving"]
    for changes, said in (
        ({"layout": "NCHW"}, r"picture \(batch, 32, 32, 3\) float32; the card says image \(batch, 3, 32, 32\)"),
        ({"tensors": {}}, r"picture .*; the card says image"),
        ({"tensors": {"image": "picture", "sound": "x"}}, r"'tensors' names sound"),
        ({"tensors": {"image": "picture", "boxes": "b"}}, r"boxes \(batch, 64, 4\) float32, there called b"),
    ):
        wrong = replace(narrowed, artifacts={"tf_serving": replace(artifact, **changes)})
        with pytest.raises(ArtifactLoadError, match=said):
            create("tf_serving").load(wrong)
