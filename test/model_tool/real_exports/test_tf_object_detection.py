"""Networks of TensorFlow's Object Detection API, exported by its own exporter: our boxes beside its own.

Weights are random (none can be downloaded here), spread so that scores differ; photos are real.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from real_networks import Image, Photos, Record, Rows, compare, import_file, threshold, within

SIZE, CLASSES = 320, 7
SSD = """
model { ssd {
  num_classes: 7
  image_resizer { fixed_shape_resizer { height: 320 width: 320 } }
  feature_extractor {
    type: "ssd_mobilenet_v2_keras" depth_multiplier: 1.0 min_depth: 16
    conv_hyperparams { regularizer { l2_regularizer { weight: 4e-5 } }
      initializer { truncated_normal_initializer { stddev: 0.03 } }
      activation: RELU_6 batch_norm { decay: 0.97 epsilon: 0.001 } }
    override_base_feature_extractor_hyperparams: true
  }
  box_coder { faster_rcnn_box_coder { y_scale: 10 x_scale: 10 height_scale: 5 width_scale: 5 } }
  matcher { argmax_matcher { matched_threshold: 0.5 unmatched_threshold: 0.5 } }
  similarity_calculator { iou_similarity { } }
  box_predictor { convolutional_box_predictor {
    conv_hyperparams { regularizer { l2_regularizer { weight: 4e-5 } }
      initializer { random_normal_initializer { stddev: 0.1 } }
      activation: RELU_6 batch_norm { decay: 0.97 epsilon: 0.001 } }
    kernel_size: 1 box_code_size: 4 class_prediction_bias_init: -3 } }
  anchor_generator { ssd_anchor_generator { num_layers: 6 min_scale: 0.2 max_scale: 0.95
    aspect_ratios: 1 aspect_ratios: 2 aspect_ratios: 0.5 } }
  post_processing { batch_non_max_suppression { score_threshold: 1e-8 iou_threshold: 0.6 max_detections_per_class: 100
    max_total_detections: 100 } score_converter: SIGMOID }
  loss { localization_loss { weighted_smooth_l1 { } } classification_loss { weighted_sigmoid_focal { } }
    classification_weight: 1 localization_weight: 1 }
  normalize_loss_by_num_matches: true
} }
"""
CENTERNET = """
model { center_net {
  num_classes: 7
  feature_extractor { type: "mobilenet_v2_fpn_sep_conv" }
  image_resizer { fixed_shape_resizer { height: 320 width: 320 } }
  object_detection_task { task_loss_weight: 1 offset_loss_weight: 1 scale_loss_weight: 0.1
    localization_loss { l1_localization_loss { } } }
  object_center_params { object_center_loss_weight: 1 min_box_overlap_iou: 0.7 max_box_predictions: 100
    classification_loss { penalty_reduced_logistic_focal_loss { alpha: 2 beta: 4 } } }
} }
"""


@pytest.fixture
def api() -> Any:
    pytest.importorskip("tensorflow", reason="needs the extra tensorflow")
    reason = "TensorFlow's Object Detection API is not installed: docs/import.md says how to run this"
    pytest.importorskip("object_detection", reason=reason)
    from object_detection import exporter_lib_v2

    return exporter_lib_v2


def pipeline(text: str) -> Any:
    from google.protobuf import text_format
    from object_detection.protos import pipeline_pb2

    return text_format.Parse(text, pipeline_pb2.TrainEvalPipelineConfig())


def checkpoint(config: Any, folder: Path, photos: Photos) -> Any:
    """A model of random weights, spread, its batch normalization set from photos, and its checkpoint."""
    import tensorflow as tf
    from object_detection.builders import model_builder

    tf.keras.utils.set_random_seed(1)
    model = model_builder.build(config.model, is_training=False)
    for image in photos.values():
        pixels, shapes = model.preprocess(tf.constant(image[None, :, :, ::-1].astype(np.float32)))
        model.predict(pixels, shapes)
    generator = np.random.default_rng(2)
    for variable in model._feature_extractor.trainable_variables if hasattr(model, "_feature_extractor") else []:
        if len(variable.shape) == 4:
            wide = 1.4 / np.sqrt(
                np.prod(variable.shape[:-1]) if variable.shape[-1] > 1 else np.prod(variable.shape[:2])
            )
            variable.assign(generator.normal(0, wide, variable.shape))
    tf.train.Checkpoint(model=model).save(str(folder / "ckpt"))
    return model


def rows(found: dict[str, Any], image: Image, confidence: float) -> Rows:
    """What the API says, in the photo's pixels."""
    height, width = image.shape[:2]
    count = int(np.asarray(found["num_detections"])[0])
    scores = np.asarray(found["detection_scores"])[0, :count]
    boxes = np.asarray(found["detection_boxes"])[0, :count][:, [1, 0, 3, 2]] * (width, height, width, height)
    classes = np.asarray(found["detection_classes"])[0, :count]
    kept = scores >= confidence
    return within(np.column_stack([boxes, scores, classes])[kept].astype(np.float32), width, height)


@pytest.mark.parametrize("network", ["ssd", "centernet"])
@pytest.mark.parametrize("kind", ["image_tensor", "float_image_tensor"])
def test_saved_models(
    *, api: Any, tmp_path: Path, network: str, kind: str, photos: Photos, record_property: Record
) -> None:
    import tensorflow as tf

    config = pipeline(SSD if network == "ssd" else CENTERNET)
    model = checkpoint(config, tmp_path / "checkpoint", photos)
    api.export_inference_graph(kind, config, str(tmp_path / "checkpoint"), str(tmp_path / "exported"))
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(f"thing {number}" for number in range(CLASSES)))
    told = ["--labels", str(labels), "--size", f"{SIZE}x{SIZE}", "--confidence", "0.02"]
    imported = import_file(tmp_path / "exported" / "saved_model", tmp_path / "card", photos["china"], *told)
    assert imported.card.decoder.type == "ssd"
    assert imported.card.decoder.options == {"first_class": 1}
    for photo, image in photos.items():
        pixels = tf.constant(imported.batch(image).astype(np.float32))
        prepared, shapes = model.preprocess(pixels)
        theirs = model.postprocess(model.predict(prepared, shapes), shapes)
        scores = np.asarray(theirs["detection_scores"])[0]
        confidence = threshold(scores, 60)
        reference = rows(theirs, image, confidence)
        compare(imported.detect(image, confidence), reference, record_property, photo)
    imported.detector.close()
