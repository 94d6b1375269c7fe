"""Where a model is found: a path, or a name looked up in a fixed order of places."""

from __future__ import annotations

import os
from pathlib import Path

from robot_ai.models.card import CARD_FILE
from robot_ai.models.errors import ModelNotFoundError
from robot_ai.share import share_directories

ENVIRONMENT_VARIABLE = "ROBOT_AI_MODELS"


def model_directories() -> list[Path]:
    """The directories that may hold models, in the order in which they are searched.

    $ROBOT_AI_MODELS (several, separated by `os.pathsep`), the ament index, the Python prefix, the source checkout.
    """
    named = [_expand(Path(entry)) for entry in os.environ.get(ENVIRONMENT_VARIABLE, "").split(os.pathsep) if entry]
    installed = [share / "models" for share in share_directories()]
    return list(dict.fromkeys([*named, *installed]))


def list_models() -> dict[str, Path]:
    """The name and directory of every model that can be found; the first of two with one name wins."""
    found: dict[str, Path] = {}
    for place in model_directories():
        for card in sorted(place.glob(f"*/{CARD_FILE}")):
            found.setdefault(card.parent.name, card.parent)
    return found


def find_model(name_or_path: str | Path) -> Path:
    """The directory of a model, given that directory, its `model.yaml`, or a name.

    What contains a path separator, or starts with `~` or `.`, is a path; all else is a name. Raises ModelNotFoundError,
    which lists the places searched and the models there are.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or os.sep in text or text.startswith(("~", ".")):
        return _from_path(_expand(Path(text)))
    for place in model_directories() if text else []:
        if _is_model(place / text):
            return place / text
    here = f" (the directory {text} is a path: write .{os.sep}{text})" if text and _is_model(Path(text)) else ""
    raise _not_found(f"no model is named '{text}'{here}")


def _from_path(path: Path) -> Path:
    # Absolute, so that it is a path to whoever is given it as a text: without its `./` a relative one would be a name.
    directory = (path.parent if path.name == CARD_FILE else path).absolute()
    if _is_model(directory):
        return directory
    raise _not_found(f"{directory} holds no {CARD_FILE}")


def _is_model(directory: Path) -> bool:
    try:
        return (directory / CARD_FILE).is_file()
    except (OSError, ValueError):  # a name that no file can have, or a place that may not be read
        return False


def _expand(path: Path) -> Path:
    """Replaces `~`; where there is no such user the path stays as it is."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def _not_found(problem: str) -> ModelNotFoundError:
    models = ", ".join(sorted(list_models())) or "none"
    places = ", ".join(str(place) for place in model_directories())
    return ModelNotFoundError(
        f"{problem}. Models found: {models}. Searched: {places}. Give one of these names, a path to a directory with a "
        f"{CARD_FILE}, or add a place to ${ENVIRONMENT_VARIABLE}"
    )
