"""Checkpoints of trainings: written whole or not at all, and read without running what is in them."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from robot_ai.errors import RobotAIError

CHECKPOINT = "checkpoint.pt"


def save_checkpoint(folder: Path, settings: dict[str, Any], state: dict[str, Any]) -> None:
    """Writes the state, with the settings that must be the same when the training goes on."""
    unfinished = folder / f"{CHECKPOINT}.part"
    torch.save({"settings": settings, **state}, unfinished)
    unfinished.rename(folder / CHECKPOINT)


def load_checkpoint(
    folder: Path, settings: dict[str, Any], take: Callable[[dict[str, Any]], None], fault: type[RobotAIError]
) -> None:
    """Gives the state in `folder` to `take`, which loads it.

    Raises `fault` where there is none, where it was made with other settings, and where `take` cannot load it.
    """
    file = folder / CHECKPOINT
    if not file.is_file():
        raise fault(f"{file} does not exist; expected the checkpoint of a run that was interrupted")
    try:
        state = torch.load(file, weights_only=True)
        if state["settings"] != settings:
            raise fault(
                f"{file} was made with {state['settings']}, not {settings}; give the same values, or another folder"
            )
        take(state)
    except (RuntimeError, KeyError, OSError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise fault(f"{file} is no checkpoint of this training: {error}") from error
