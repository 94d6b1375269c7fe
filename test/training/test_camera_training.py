"""A tiny fine-tuning: the loss falls, an interrupted run ends like one that was not, and the model runs anywhere."""

import json

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the training is PyTorch's")
from robot_ai.backends.loading import BackendChoice  # noqa: E402
from robot_ai.models.card import ModelCard  # noqa: E402
from robot_ai.models.find import find_model  # noqa: E402
from robot_ai.models.networks.nanodet_torch import NanoDetG  # noqa: E402
from robot_ai.pipeline.image_detector import DetectionSettings, ImageDetector  # noqa: E402
from robot_ai.training.camera_features import head_at, surroundings  # noqa: E402
from robot_ai.training.camera_scoring import score  # noqa: E402
from robot_ai.training.camera_training import CameraSettings, CameraTraining, CameraTrainingError  # noqa: E402
from robot_ai.training.checkpoints import CHECKPOINT  # noqa: E402

SETTINGS = CameraSettings(steps=12, batch=2, photos_batch=1, rate=2e-3, blend=1.0)


@pytest.fixture(scope="module")
def base():
    return ModelCard.load(find_model("nanodet_g"))


@pytest.fixture(scope="module")
def views(tmp_path_factory, base):
    """Two images, each with a bright square that is said to be a suitcase."""
    folder = tmp_path_factory.mktemp("views")
    (folder / "images").mkdir()
    rng = np.random.default_rng(1)
    label = base.labels.index("suitcase")
    images, annotations = [], []
    for number, (x, y) in enumerate([(40, 60), (180, 90)]):
        image = rng.integers(0, 60, (240, 320, 3), np.uint8)
        image[y : y + 80, x : x + 80] = (40, 200, 240)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), image)
        images.append({"id": number, "file_name": f"{number}.png", "width": 320, "height": 240})
        more = {"area": 6400, "iscrowd": 0, "thing": f"case_{number}", "visible": 1.0, "distance": 2.0}
        annotations.append(
            {"id": number + 1, "image_id": number, "category_id": label + 1, "bbox": [x, y, 80, 80], **more}
        )
    categories = [{"id": n + 1, "name": name} for n, name in enumerate(base.labels)]
    content = {"info": {}, "images": images, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def photos():
    return [np.random.default_rng(2).integers(0, 255, (200, 200, 3), np.uint8)]


def test_the_head_at_cells_is_the_head_of_whole_images():
    torch.manual_seed(1)
    network = NanoDetG().eval()
    maps = [torch.randn(1, 128, 416 // stride, 416 // stride) for stride in (8, 16, 32)]
    padded = torch.cat([torch.nn.functional.pad(x, (1, 1, 1, 1))[0].flatten(1).T for x in maps])
    cells = torch.tensor([0, 51, 1700, 2703, 2704, 3000, 3380, 3548])
    levels = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2])
    around = padded[torch.from_numpy(surroundings(416))[cells]].flatten(1)
    with torch.inference_mode():
        whole, given = network.head(maps), head_at(network.head, around, levels)
    scores = torch.cat([whole[f"scores_{stride}"][0] for stride in (8, 16, 32)])[cells]
    sides = torch.cat([whole[f"distances_{stride}"][0] for stride in (8, 16, 32)])[cells]
    assert torch.allclose(given.logits.sigmoid(), scores, atol=1e-5)
    assert torch.allclose(given.sides.flatten(1), sides, atol=1e-4)


def test_training_lowers_the_loss_resumes_and_writes_a_model_for_both_frameworks(base, views, photos, tmp_path):
    losses = []
    whole = CameraTraining(SETTINGS, base, views, photos, tmp_path / "whole")
    whole.run(lambda step, parts: losses.append(parts["scores"] + parts["boxes"] + parts["sides"]))
    assert len(losses) == SETTINGS.steps
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])

    halves = CameraTraining(SETTINGS, base, views, photos, tmp_path / "halves")
    halves.run(lambda *_: None, stop=lambda: halves.step == 5)
    assert halves.step == 5
    again = CameraTraining(SETTINGS, base, views, photos, tmp_path / "halves")
    again.resume()
    again.run(lambda *_: None)
    states = [torch.load(tmp_path / name / CHECKPOINT, weights_only=True) for name in ("whole", "halves")]
    assert states[0]["step"] == states[1]["step"] == SETTINGS.steps
    assert states[0]["head"].keys() == states[1]["head"].keys()
    for name, tensor in states[0]["head"].items():
        assert torch.equal(tensor, states[1]["head"][name]), name

    card = whole.write_model(tmp_path / "tuned", "robot_ai train camera")
    assert card.labels == base.labels
    assert "fine-tuned" in card.source
    image = cv2.imread(str(views / "images" / "0.png"))
    every = DetectionSettings(confidence=0.05)
    found = []
    # Loading compares with the golden sample.
    for backend in ("pytorch", "tensorflow"):
        if backend == "tensorflow":
            pytest.importorskip("tensorflow", reason="the second framework")
        detector = ImageDetector.load(BackendChoice(str(tmp_path / "tuned"), backend, "cpu", threads=1))
        found.append(detector.detect([image], every).detections[0])
        judged = score(views, lambda i, d=detector: d.detect([i], every).detections[0], card.labels, 0.05)
        assert set(judged.classes) == {"suitcase"}
        assert {name: count for name, (_, count) in judged.things.items()} == {"case_0": 1, "case_1": 1}
        detector.close()
    np.testing.assert_allclose(found[0].xyxy, found[1].xyxy, atol=0.5)


def test_what_does_not_go_on_is_said(base, views, photos, tmp_path):
    training = CameraTraining(SETTINGS, base, views, photos, tmp_path)
    with pytest.raises(CameraTrainingError, match="does not exist"):
        training.resume()
    training.save()
    other = CameraTraining(CameraSettings(steps=13), base, views, photos, tmp_path)
    with pytest.raises(CameraTrainingError, match="give the same values"):
        other.resume()
    (tmp_path / CHECKPOINT).write_bytes(b"no checkpoint")
    with pytest.raises(CameraTrainingError, match="no checkpoint of this training"):
        training.resume()
    with pytest.raises(CameraTrainingError, match="other images"):
        CameraTraining(SETTINGS, base, views, [], tmp_path)
