"""TensorFlow in this process: imported without its start-up messages, its threads and GPU memory set once."""

from __future__ import annotations

import importlib
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from robot_ai.backends.errors import ArtifactLoadError
from robot_ai.backends.support import import_framework

NAME = "tensorflow"
# A notice of Abseil's and lines of level I (information), as grep's extended regular expression.
START_UP_LINES = r"^(WARNING: All log messages before absl::InitializeLog|I[0-9]{4} )"
_log = logging.getLogger(__name__)


def import_tensorflow() -> Any:
    """Imports TensorFlow without its start-up messages, and makes sure that Keras stands on it."""
    _check_keras(os.environ.get("KERAS_BACKEND", NAME))
    with quiet_import():
        tf = import_framework("tensorflow", NAME)
        keras = import_framework("keras", NAME)
    _check_keras(keras.backend.backend())
    return tf


def _check_keras(backend: str) -> None:
    """Raises ArtifactLoadError unless Keras runs on TensorFlow, as it does unless told otherwise."""
    if backend != NAME:
        raise ArtifactLoadError(
            f"Keras runs on '{backend}' in this process; expected '{NAME}'. "
            f"Unset KERAS_BACKEND, or set it to {NAME} (also in ~/.keras/keras.json)"
        )


@contextmanager
def quiet_import() -> Iterator[None]:
    """Silences what TensorFlow says below the level of an error while it is imported for the first time.

    A TF_CPP_MIN_LOG_LEVEL of the user's own stays, and 0 shows everything.
    """
    key = "TF_CPP_MIN_LOG_LEVEL"
    if "tensorflow" in sys.modules or os.environ.get(key) == "0":
        yield
        return
    unset = key not in os.environ
    os.environ.setdefault(key, "2")
    try:
        with _without_start_up_lines():
            yield
    finally:
        if unset:
            del os.environ[key]


@contextmanager
def _without_start_up_lines() -> Iterator[None]:
    """Takes TensorFlow's lines below a warning out of this process' stderr.

    TensorFlow 2.21 writes them before it reads its log level, so no setting stops them. A process of its own does the
    filtering: should TensorFlow kill this one (a CPU without AVX), its last words still arrive.
    """
    try:
        stderr = os.dup(2)
    except OSError:  # closed, as a daemon's may be
        yield
        return
    try:
        command = ["grep", "--text", "--line-buffered", "--invert-match", "--extended-regexp", START_UP_LINES]
        # In a session of its own, so that Ctrl-C does not end it before the process whose words it passes on.
        sieve = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=stderr, start_new_session=True)
    except OSError:
        os.close(stderr)
        yield
        return
    assert sieve.stdin is not None
    sys.stderr.flush()
    os.dup2(sieve.stdin.fileno(), 2)
    sieve.stdin.close()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(stderr, 2)
        os.close(stderr)
        with suppress(subprocess.TimeoutExpired):  # a child process that was started meanwhile may still hold the pipe
            sieve.wait(timeout=1)


def set_threads(tf: Any, threads: int) -> None:
    """Bounds the CPU threads of this process; too late after the first operation, which is logged as a warning."""
    config = tf.config.threading
    if not threads or config.get_intra_op_parallelism_threads() == threads:
        return
    try:
        config.set_intra_op_parallelism_threads(threads)
        config.set_inter_op_parallelism_threads(1)  # one graph at a time: more would only compete
    except RuntimeError:
        _log.warning(
            "TensorFlow already runs in this process with %s threads (0 is its own choice); %d cannot be set any more. "
            "Restart the process to change it",
            config.get_intra_op_parallelism_threads(),
            threads,
        )


def grow_memory(tf: Any, gpus: list[Any]) -> None:
    """Lets TensorFlow take GPU memory as needed; by default it takes all and leaves none to other frameworks."""
    for gpu in gpus:
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:
            _log.warning(
                "TensorFlow already runs in this process: memory growth of %s cannot be set any more", gpu.name
            )


def forget_kernels() -> None:
    """Empties TensorFlow's cache of eager kernels, in which each model that was built leaves about 150 KiB for ever.

    What runs meanwhile keeps its kernels. `keras.backend.clear_session` does this too, but also resets Keras' settings
    and collects garbage, which holds every thread for a fifth of a second.
    """
    context = importlib.import_module("tensorflow.python.eager.context")
    context.context().clear_kernel_cache()
