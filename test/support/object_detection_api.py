"""Run by itself, with Keras 2: a detector of the TF Object Detection API, exported by it, and what it finds itself.

python object_detection_api.py FOLDER: FOLDER holds photos.npz, a (320, 320, 3) uint8 RGB array per photo. Written
beside it are saved_model/, net.tflite and, by photo, found.npz (N, 6): left, top, right, bottom in parts, score, class.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow as tf
from google.protobuf import text_format
from object_detection import export_tflite_graph_lib_tf2, exporter_lib_v2
from object_detection.builders import model_builder
from object_detection.protos import pipeline_pb2

CLASSES, MOST = 20, 50
LAYERS = """activation: RELU_6 initializer { variance_scaling_initializer { factor: 2 mode: FAN_IN } }
    regularizer { l2_regularizer { weight: 4e-5 } }
    batch_norm { decay: 0.97 center: true scale: true epsilon: 0.001 }"""
# samples/configs/ssd_mobilenet_v2_320x320_coco17, thinner and with fewer classes.
PIPELINE = f"""model {{ ssd {{
  num_classes: {CLASSES}
  image_resizer {{ fixed_shape_resizer {{ height: 320 width: 320 }} }}
  feature_extractor {{ type: "ssd_mobilenet_v2_keras" depth_multiplier: 0.35 min_depth: 16
    override_base_feature_extractor_hyperparams: true conv_hyperparams {{ {LAYERS} }} }}
  box_coder {{ faster_rcnn_box_coder {{ y_scale: 10 x_scale: 10 height_scale: 5 width_scale: 5 }} }}
  matcher {{ argmax_matcher {{ }} }}
  similarity_calculator {{ iou_similarity {{ }} }}
  box_predictor {{ convolutional_box_predictor {{ conv_hyperparams {{ {LAYERS} }}
    min_depth: 0 max_depth: 0 num_layers_before_predictor: 0 kernel_size: 1 box_code_size: 4 }} }}
  anchor_generator {{ ssd_anchor_generator {{ num_layers: 6 min_scale: 0.2 max_scale: 0.95
    aspect_ratios: 1 aspect_ratios: 2 aspect_ratios: 0.5 aspect_ratios: 3 aspect_ratios: 0.3333 }} }}
  post_processing {{ score_converter: SIGMOID batch_non_max_suppression {{ score_threshold: 1e-8 iou_threshold: 0.6
    max_detections_per_class: {MOST} max_total_detections: {MOST} }} }}
  loss {{ localization_loss {{ weighted_smooth_l1 {{ }} }} classification_loss {{ weighted_sigmoid {{ }} }} }}
  encode_background_as_zeros: true
}} }}"""


def spread(model: Any, batch: Any) -> None:
    """Random weights in the layers that give boxes and scores, so large that these differ."""
    tf.random.set_seed(3)
    images, shapes = model.preprocess(batch)
    predicted = model.predict(images, shapes)
    for name, deviation in (("BoxEncoding", 1.0), ("ClassPredictor", 1.5)):
        key = "box_encodings" if name == "BoxEncoding" else "class_predictions_with_background"
        given = float(tf.math.reduce_std(predicted[key]))
        for variable in model._box_predictor.variables:
            if name in variable.name and "kernel" in variable.name:
                variable.assign(variable * (deviation / given))
            elif name in variable.name and deviation > 1:
                variable.assign(tf.fill(variable.shape, -3.0))


def found_in(model: Any, photo: Any) -> Any:
    images, shapes = model.preprocess(tf.cast(photo[np.newaxis], tf.float32))
    result = model.postprocess(model.predict(images, shapes), shapes)
    count = int(result["num_detections"][0])
    boxes = result["detection_boxes"][0, :count].numpy()[:, [1, 0, 3, 2]]
    return np.column_stack([boxes, result["detection_scores"][0, :count], result["detection_classes"][0, :count]])


def main(folder: Path) -> None:
    """Builds, exports and runs the detector."""
    with np.load(folder / "photos.npz") as stored:
        photos = dict(stored)
    pipeline = text_format.Parse(PIPELINE, pipeline_pb2.TrainEvalPipelineConfig())
    tf.random.set_seed(1)
    model = model_builder.build(pipeline.model, is_training=False)
    spread(model, tf.cast(np.stack(list(photos.values())), tf.float32))
    np.savez(folder / "found.npz", **{name: found_in(model, photo) for name, photo in photos.items()})
    weights = str(folder / "weights")
    tf.train.CheckpointManager(tf.train.Checkpoint(model=model), weights, 1).save()
    exporter_lib_v2.export_inference_graph("image_tensor", pipeline, weights, str(folder))
    # The operator's quick suppression is not the library's; the regular one is.
    export_tflite_graph_lib_tf2.export_tflite_model(pipeline, weights, str(folder / "lite"), MOST, True)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "lite" / "saved_model"))
    (folder / "net.tflite").write_bytes(converter.convert())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
