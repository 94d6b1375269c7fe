"""Class names: from the user's file, from another model's card, or from the model file itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from robot_ai.model_tool.importing.errors import LabelsError
from robot_ai.models.card import ModelCard
from robot_ai.models.find import list_models

BACKGROUND = ("background", "__background__", "???")
# Placeholders for class numbers that are not used: torchvision writes N/A, TensorFlow's label maps leave gaps.
UNUSED = ("n/a", "???", "")


def read_labels(source: str) -> list[str]:
    """Labels from a file, or those of a model that can be found by name. Raises LabelsError.

    A file holds one label per line, or is JSON or YAML: a list, a mapping from numbers to names, or a mapping with
    `names`, as a data set of Ultralytics' has it.
    """
    path = Path(source).expanduser()
    if not path.is_file():
        models = list_models()
        if source in models:
            return list(ModelCard.load(models[source], backends=()).labels)
        raise LabelsError(
            f"labels '{source}' is no file and no model; expected a file with one label per line, JSON or YAML, or one "
            f"of the models {', '.join(models) or '(none found)'}"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise LabelsError(f"{path} cannot be read as text ({error}); expected one label per line in UTF-8") from error
    if path.suffix.lower() in (".yaml", ".yml", ".json"):
        return _structured(path, text)
    # Blank lines at the end are no labels; one between others keeps the number of its class.
    return [line.strip() for line in text.rstrip().splitlines()]


def _structured(path: Path, text: str) -> list[str]:
    try:
        content: Any = json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise LabelsError(f"{path} cannot be read: {error}. Correct it") from error
    if isinstance(content, dict) and "names" in content:
        content = content["names"]
    if isinstance(content, dict):
        try:
            numbers = {int(key): str(value) for key, value in content.items()}
        except (TypeError, ValueError):
            numbers = {}
        if numbers and min(numbers) >= 0 and max(numbers) < 100_000:
            return [numbers.get(number, "") for number in range(max(numbers) + 1)]
    if isinstance(content, list) and content:
        return [str(item) for item in content]
    raise LabelsError(
        f"{path} holds no labels; expected a list of names, a mapping from class numbers to names, or 'names' with one"
    )


def without_background(labels: Sequence[str]) -> list[str]:
    """The labels without a leading background class."""
    return list(labels[1:] if labels and labels[0].strip().lower() in BACKGROUND else labels)


def usable(labels: Sequence[str]) -> tuple[str, ...]:
    """The labels as a card takes them: each once. A placeholder becomes `unused_N`, a repeated name gets its number."""
    seen: set[str] = set()
    result = []
    for number, label in enumerate(labels):
        name = f"unused_{number}" if label.strip().lower() in UNUSED else label.strip()
        name = name if name not in seen else f"{name}_{number}"
        seen.add(name)
        result.append(name)
    return tuple(result)


def generic(count: int) -> tuple[str, ...]:
    """Names for classes of which nothing is known."""
    return tuple(f"class_{number}" for number in range(count))
