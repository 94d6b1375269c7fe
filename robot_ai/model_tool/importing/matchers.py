"""Which decoder reads a network: for each decoder a function that answers with a match or with None.

What each expects is written down once, in EXPECTATIONS, for messages and for docs/import.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from robot_ai.model_tool.importing.network import Match, Network, is_rtdetr, with_shape
from robot_ai.model_tool.inspection.types import TensorInfo

EXPECTATIONS = {
    "yolov8": "one output (batch, 4 + classes, N) or transposed: center x, center y, width, height, class scores",
    "yolo26": "one output (batch, N, 6): left, top, right, bottom, score, class; NMS is in the model "
    "(RT-DETR of Ultralytics: center, size in 0-1)",
    "yolov5": "one output (batch, N, 5 + classes) or transposed: center, size, objectness, class scores; "
    "N = 3 x the cells of strides 8, 16, 32",
    "yolox": "one output (batch, N, 5 + classes) or transposed: offsets, log sizes, objectness, class scores; "
    "N = the cells of strides 8, 16, 32",
    "nanodet": "for each stride S: scores_S (batch, cells, classes) and distances_S (batch, cells, 4 x bins)",
    "ssd": "boxes (batch, N, 4) top, left, bottom, right in 0-1, classes (batch, N), scores (batch, N), and count "
    "(batch) or none",
    "detr": "logits (batch, Q, classes + 1, or classes with a sigmoid) and boxes (batch, Q, 4) center, size in 0-1",
    "centernet": "heatmap (batch, classes, h, w), size (batch, 2, h, w), offset (batch, 2, h, w), or channels last",
    "torchvision": "boxes ([batch,] N, 4) in pixels, labels ([batch,] N) whole numbers, scores ([batch,] N)",
    "boxes": "boxes (batch, N, 4) left, top, right, bottom in pixels, scores (batch, N, classes)",
    "classification": "one output (batch, classes)",
}
YOLO_STRIDES = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32), (16, 32))
# Exports that end in chosen boxes give a few hundred; heads without NMS give thousands of rows.
MOST_CHOSEN = 1000


def _columns(network: Network, extra: int, axes: Sequence[int]) -> list[tuple[int, int, int | None]]:
    """How a lone output of rank 3 can be rows of `extra` + classes values: (axis of the columns, classes, rows)."""
    found: list[tuple[int, int, int | None]] = []
    if len(network.outputs) == 1 and len(shape := network.outputs[0].shape) == 3:
        for axis in axes:
            columns = shape[axis]
            if columns is not None and columns > extra and network.classes in (None, columns - extra):
                found.append((axis, columns - extra, shape[3 - axis]))
    return found


def _row_match(
    network: Network, decoder: str, *, extra: int, axes: Sequence[int], counts: Sequence[int], what: str
) -> Match | None:
    """A decoder of rows, whose number must be one of `counts` unless the user chose the decoder."""
    for axis, classes, rows in _columns(network, extra, axes):
        if rows is None or rows in counts or (network.told and decoder != "yolox"):
            count = rows or counts[0]
            sides = (classes + extra, count) if axis == 1 else (count, classes + extra)
            reason = f"{classes + extra} columns are {extra} and {classes} classes; {count} rows are {what}"
            tensor = with_shape(network.outputs[0], *sides)
            return Match(decoder, {"predictions": tensor}, reason, classes)
    return None


def _yolov8(network: Network) -> Match | None:
    if is_rtdetr(network.metadata):
        return _rtdetr_of_old(network)
    counts = [network.cells(strides) for strides in YOLO_STRIDES]
    return _row_match(network, "yolov8", extra=4, axes=(1, 2), counts=counts, what="the cells of its strides")


def _rtdetr_of_old(network: Network) -> Match | None:
    """RT-DETR as Ultralytics exported it before May 2026: a row per query, its box in parts of the sides."""
    chosen = "head" in network.metadata and network.outputs[0].shape[2:] == (6,)  # as exported since, not two classes
    for _, classes, queries in _columns(network, 4, (2,)):
        if queries is not None and queries <= MOST_CHOSEN and not chosen:
            tensor = with_shape(network.outputs[0], queries, classes + 4)
            reason = f"the metadata's RT-DETR: {queries} queries with a box and {classes} scores"
            return Match("yolov8", {"predictions": tensor}, reason, classes, {"normalized": True}, is_set=True)
    return None


def _rows_first(network: Network) -> Sequence[int]:
    """Heads with an objectness give rows; the transposed form is read, but never guessed: it looks like yolov8's."""
    return (2, 1) if network.told else (2,)


def _yolov5(network: Network) -> Match | None:
    counts = [3 * network.cells(strides) for strides in YOLO_STRIDES]
    return _row_match(
        network, "yolov5", extra=5, axes=_rows_first(network), counts=counts, what="three anchors for each cell"
    )


def _yolox(network: Network) -> Match | None:
    counts = [network.cells((8, 16, 32))]
    return _row_match(
        network, "yolox", extra=5, axes=_rows_first(network), counts=counts, what="the cells of strides 8, 16, 32"
    )


def _yolo26(network: Network) -> Match | None:
    shape = network.outputs[0].shape
    if len(network.outputs) != 1 or len(shape) != 3 or shape[2] != 6:
        return None
    if shape[1] is None or shape[1] > MOST_CHOSEN:
        return None
    tensor = with_shape(network.outputs[0], shape[1], 6)
    if is_rtdetr(network.metadata):
        reason = f"the metadata's RT-DETR: {shape[1]} rows of 6 are center, size, score, class"
        return Match("yolo26", {"detections": tensor}, reason, options={"normalized": True, "box_order": "cxcywh"})
    return Match("yolo26", {"detections": tensor}, f"{shape[1]} rows of 6 are boxes, scores and classes already chosen")


def _nanodet(network: Network) -> Match | None:
    by_name = {out.name: out for out in network.outputs}
    strides = sorted(int(name[7:]) for name in by_name if name.startswith("scores_") and name[7:].isdecimal())
    tensors = {
        f"{kind}_{stride}": by_name.get(f"{kind}_{stride}") for stride in strides for kind in ("scores", "distances")
    }
    found = {name: tensor for name, tensor in tensors.items() if tensor is not None and len(tensor.shape) == 3}
    if not strides or len(found) != len(tensors):
        return None
    classes, sides = found[f"scores_{strides[0]}"].shape[2], found[f"distances_{strides[0]}"].shape[2]
    if classes is None or sides is None or sides % 4:
        return None
    filled = {
        name: with_shape(tensor, network.cells([int(name.rpartition("_")[2])]), tensor.shape[2] or 1)
        for name, tensor in found.items()
    }
    options = {"strides": strides, "bins": sides // 4}
    return Match("nanodet", filled, "its names: scores_S and distances_S for each stride", classes, options)


def _is_boxes(tensor: TensorInfo) -> bool:
    return len(tensor.shape) == 3 and tensor.shape[2] == 4 and tensor.shape[1] is not None


def _ssd(network: Network) -> Match | None:
    boxes = network.pick("boxes", _is_boxes, ("detection_boxes", "boxes", "location"))
    if boxes is None:
        return None
    slots = boxes.shape[1] or 1

    def per_slot(tensor: TensorInfo) -> bool:
        return len(tensor.shape) == 2 and tensor.shape[1] == slots

    classes = network.pick("classes", per_slot, ("detection_classes", "class", "postprocess:1", "categor"))
    scores = network.pick("scores", per_slot, ("detection_scores", "score", "postprocess:2"))
    if classes is None or scores is None or classes == scores:
        return None
    if not scores.dtype.startswith("float") and not scores.quantized:
        return None
    tensors = {"boxes": boxes, "classes": classes, "scores": scores}
    count = network.pick("count", lambda out: out.shape[1:] in ((), (1,)) and len(out.shape) > 0, ("num", "count"))
    if count is not None:
        tensors["count"] = count
    first = 0 if network.format == "TensorFlow Lite" else 1
    reason = f"boxes, classes and scores of {slots} slots; classes count from {first} in {network.format} exports"
    return Match("ssd", tensors, reason, None, {"first_class": first})


def _detr(network: Network) -> Match | None:
    boxes = network.pick("boxes", _is_boxes, ("pred_boxes", "boxes"))
    if boxes is None:
        return None

    def per_query(tensor: TensorInfo) -> bool:
        return (
            tensor != boxes and len(tensor.shape) == 3 and tensor.shape[1] == boxes.shape[1] and bool(tensor.shape[2])
        )

    logits = network.pick("logits", per_query, ("logits", "class"))
    telling = logits is not None and ("logit" in logits.name.lower() or "pred_boxes" in boxes.name.lower())
    if logits is None or not (telling or network.told or "logits" in network.named):
        return None
    columns = logits.shape[2] or 1
    # With labels as many as columns there is no room for "no object".
    with_sigmoid = network.options.get("activation", "sigmoid" if network.classes == columns else "") == "sigmoid"
    classes = columns if with_sigmoid else columns - 1
    if network.classes not in (None, classes):
        return None
    how = "sigmoid, every column being a label" if with_sigmoid else 'softmax, the last column being "no object"'
    options = {"activation": "sigmoid" if with_sigmoid else "softmax"}
    reason = f"{boxes.shape[1]} queries with a box and {columns} class logits each; {how}"
    return Match("detr", {"logits": logits, "boxes": boxes}, reason, classes, options)


def _boxes(network: Network) -> Match | None:
    boxes = network.pick("boxes", _is_boxes, ("boxes",))
    if boxes is None or len(network.outputs) < 2:
        return None

    def per_box(tensor: TensorInfo) -> bool:
        fits = tensor != boxes and len(tensor.shape) == 3 and tensor.shape[1] == boxes.shape[1]
        return fits and network.classes in (None, tensor.shape[2])

    scores = network.pick("scores", per_box, ("score", "prob", "conf"))
    telling = scores is not None and any(hint in scores.name.lower() for hint in ("score", "prob", "conf"))
    if scores is None or not (telling or network.told or "scores" in network.named):
        return None
    reason = f"{boxes.shape[1]} boxes with {scores.shape[2]} scores each"
    return Match("boxes", {"boxes": boxes, "scores": scores}, reason, scores.shape[2])


def _centernet(network: Network) -> Match | None:
    maps = [out for out in network.outputs if len(out.shape) == 4]
    for layout in ("NCHW", "NHWC"):
        channel, row = (1, 2) if layout == "NCHW" else (3, 1)

        def is_pair(tensor: TensorInfo, channel: int = channel) -> bool:
            return len(tensor.shape) == 4 and tensor.shape[channel] == 2

        size = network.pick("size", is_pair, ("wh", "size"))
        offset = network.pick("offset", is_pair, ("off", "reg"))
        if size is None or offset is None or size == offset:
            continue

        def is_heat(tensor: TensorInfo, channel: int = channel, pair: Sequence[TensorInfo] = (size, offset)) -> bool:
            return len(tensor.shape) == 4 and tensor not in pair and network.classes in (None, tensor.shape[channel])

        heatmap = network.pick("heatmap", is_heat, ("heat", "hm"))
        rows = size.shape[row]
        if len(maps) < 3 or heatmap is None or not rows or network.height % rows or heatmap.shape[row] != rows:
            continue
        tensors = {"heatmap": heatmap, "size": size, "offset": offset}
        options = {"stride": network.height // rows, "layout": layout}
        reason = f"a heat map, sizes and offsets of {rows} rows: stride {options['stride']}"
        return Match("centernet", tensors, reason, heatmap.shape[channel], options)
    return None


def _torchvision(network: Network) -> Match | None:
    for batch in (0, 1):

        def is_boxes(tensor: TensorInfo, batch: int = batch) -> bool:
            return len(tensor.shape) == batch + 2 and tensor.shape[-1] == 4

        def is_label(tensor: TensorInfo, batch: int = batch) -> bool:
            return len(tensor.shape) == batch + 1 and tensor.dtype in ("int64", "int32")

        def is_score(tensor: TensorInfo, batch: int = batch) -> bool:
            return len(tensor.shape) == batch + 1 and tensor.dtype.startswith("float")

        boxes = network.pick("boxes", is_boxes, ("boxes",))
        labels = network.pick("labels", is_label, ("label",))
        scores = network.pick("scores", is_score, ("score",))
        if boxes is not None and labels is not None and scores is not None:
            reason = "float boxes and scores, and whole numbers as labels, of one length"
            tensors = {"boxes": boxes, "labels": labels, "scores": scores}
            return Match("torchvision", tensors, reason, unbatched=batch == 0)
    return None


def _classification(network: Network) -> Match | None:
    shape = network.outputs[0].shape
    # TensorFlow and PyTorch leave 1x1 maps in some exports; these are not read.
    if len(network.outputs) != 1 or len(shape) != 2 or not shape[1] or network.classes not in (None, shape[1]):
        return None
    last = network.metadata.get("last_operation", "").lower()
    task = network.metadata.get("task", "")
    if last in ("softmax", "sigmoid") or task == "classify":
        options, why = {"activation": "none"}, f"probabilities, as the model ends in {last or 'a softmax'}"
    else:
        options, why = {"activation": "softmax"}, "taken for logits"
    return Match(
        "classification", {"scores": network.outputs[0]}, f"{shape[1]} numbers per image, {why}", shape[1], options
    )


MATCHERS: dict[str, Callable[[Network], Match | None]] = {
    "yolov8": _yolov8,
    "yolo26": _yolo26,
    "yolov5": _yolov5,
    "yolox": _yolox,
    "nanodet": _nanodet,
    "ssd": _ssd,
    "detr": _detr,
    "centernet": _centernet,
    "torchvision": _torchvision,
    "boxes": _boxes,
    "classification": _classification,
}
