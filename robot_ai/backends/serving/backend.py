"""What the backends that call a server do alike: waiting for it, comparing models, splitting batches, trying again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from robot_ai.backends.base import FrameworkBackend, LoadRequest
from robot_ai.backends.errors import ArtifactLoadError, BackendOptionError, DeviceError, InferenceError
from robot_ai.backends.protocol import Tensors, TensorSpec
from robot_ai.backends.serving.errors import (
    AnswerError,
    ModelNotReadyError,
    RequestRefusedError,
    ServerUnavailableError,
)
from robot_ai.backends.serving.options import Endpoint, ServerOptions, meanings, parse_endpoint, read_options
from robot_ai.backends.serving.protocol import Arrays, Described, DescribedTensor, ModelClient
from robot_ai.backends.support import check_precision, in_chunks, like_the_card, parse_device, zeros_for
from robot_ai.models.card import Artifact, ModelCard

POLL = 0.2  # seconds between two looks at a server that is not ready
# A request and its answer stay well below the 2 GiB that Protocol Buffers allow.
MAX_MESSAGE = 1 << 29
_log = logging.getLogger(__name__)


class ServerBackend(FrameworkBackend):
    """A backend but for its server's protocols. The artifact needs no file: the server has its own.

    `device` is the server's address. `threads` has no effect here: the server decides with what it computes.

    options: the dataclass of the options. ports: the server's usual port for each protocol. clients: for each protocol
    what makes a client, which does not connect yet, of the endpoint, the options read, and the model's name there.
    """

    framework = "grpc"
    options: ClassVar[type[ServerOptions]]
    ports: ClassVar[Mapping[str, int]]
    clients: ClassVar[Mapping[str, Callable[[Endpoint, Any, str], ModelClient]]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.known = meanings(cls.options)

    def __init__(self) -> None:
        super().__init__()
        self._client: ModelClient | None = None
        self._settings = self.options()
        self._own: dict[str, str] = {}
        self._limit: int | None = None
        self._timeout = 0.0

    def load(self, card: ModelCard, device: str = "auto", threads: int = 0, precision: str = "auto") -> None:
        """Waits for the server, compares its model with the card and runs it once.

        Raises NoArtifactError, MissingFrameworkError, BackendOptionError, DeviceError, PrecisionError or
        ArtifactLoadError; then the connection is closed.
        """
        try:
            super().load(card, device, threads, precision)
        except InferenceError as error:
            raise ArtifactLoadError(f"{card.name}, backend '{self.name}': {error}") from error

    def _open(self, request: LoadRequest) -> None:
        check_precision(request.precision, request.artifact, (), self.title)
        if parse_device(request.device)[0] == "cuda":
            raise DeviceError(
                f"device is '{request.device}', but backend '{self.name}' computes on the server's device; expected "
                "auto. Choose the device in the server's configuration"
            )
        self._settings = settings = read_options(self.name, self.options, request.artifact.options)
        protocol = getattr(settings, "protocol", "auto")
        endpoint = parse_endpoint(settings.url, protocol, settings.tls, self.ports)
        self._device = str(endpoint)
        self._own = _own_names(request.card, request.artifact, self._inputs)
        connect = self.clients[endpoint.protocol]
        self._client = client = connect(endpoint, settings, settings.model_name or request.card.name)
        deadline = time.monotonic() + settings.load_timeout
        self._agree(_await_model(client, deadline))
        # A server may compile the model at its first request: that one has the time of loading, not of a frame.
        self._timeout = max(settings.timeout, deadline - time.monotonic())
        in_chunks(self._forward, zeros_for(self._inputs), self._batch)
        self._timeout = settings.timeout

    def _agree(self, described: Described) -> None:
        """Compares the server's model with the card's. Raises ArtifactLoadError, which shows both."""
        fixed = _compare("inputs", self._inputs, described.inputs, self._own, self._device)
        _compare("outputs", self._outputs, described.outputs, self._own, self._device)
        self._batch = fixed
        per_image = max(_item_bytes(self._inputs), _item_bytes(self._outputs))
        self._limit = max(1, MAX_MESSAGE // max(1, per_image))
        if self._settings.max_batch:
            self._limit = min(self._limit, self._settings.max_batch)
        if fixed is not None and self._settings.max_batch and fixed > self._settings.max_batch:
            raise BackendOptionError(
                f"option 'max_batch' of backend '{self.name}' is {self._settings.max_batch}, but the server's model "
                f"takes batches of {fixed} only. Remove the option"
            )

    def _forward(self, tensors: Tensors) -> dict[str, NDArray[np.generic]]:
        count = len(next(iter(tensors.values())))
        limit = count if self._batch else min(count, self._limit or count)
        answers = []
        for start in range(0, count, limit):
            piece = {self._own[name]: array[start : start + limit] for name, array in tensors.items()}
            answers.append(self._named(self._request(piece), min(limit, count - start)))
        if len(answers) == 1:
            return answers[0]
        return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}

    def _request(self, inputs: Arrays) -> Arrays:
        client = self._client
        if client is None:
            raise InferenceError(f"the {self.title} backend was closed during a request")
        deadline = time.monotonic() + self._timeout
        wanted = [self._own[spec.name] for spec in self._outputs]
        for left in range(self._settings.retries, -1, -1):
            try:
                return client.predict(inputs, wanted, max(0.001, deadline - time.monotonic()))
            except RequestRefusedError as error:
                count = len(next(iter(inputs.values())))
                if count == 1:
                    raise
                raise RequestRefusedError(
                    f"{error}. The request held {count} images: if that is too many, set the option max_batch"
                ) from error
            except ServerUnavailableError:
                if not left or time.monotonic() >= deadline:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _named(self, answer: Arrays, count: int) -> dict[str, NDArray[Any]]:
        """The answer by the card's names, in the card's dtypes. Raises AnswerError when it does not fit the card."""
        found = {spec.name: answer[self._own[spec.name]] for spec in self._outputs if self._own[spec.name] in answer}
        named = like_the_card(self._outputs, found)
        for spec in self._outputs:
            array = named.get(spec.name)
            if array is None or array.shape != (count, *spec.shape[1:]) or array.dtype != spec.dtype:
                given = "; ".join(f"{name} {value.shape} {value.dtype}" for name, value in answer.items()) or "nothing"
                raise AnswerError(
                    f"{self._device}: for a batch of {count} the server gives {given}; the card says "
                    f"{'; '.join(map(str, self._outputs))}. Was the model on the server replaced? Correct the card, or "
                    "pin the version"
                )
        return named

    def _release(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _own_names(card: ModelCard, artifact: Artifact, inputs: Sequence[TensorSpec]) -> dict[str, str]:
    names = [spec.name for spec in (*inputs, *card.outputs)]
    if strangers := sorted(artifact.tensors.keys() - set(names)):
        raise ArtifactLoadError(
            f"{card.name}: 'tensors' names {', '.join(strangers)}, which are no inputs or outputs of the card; "
            f"expected only {', '.join(names)}. Correct the card"
        )
    return {name: artifact.own_name(name) for name in names}


def _await_model(client: ModelClient, deadline: float) -> Described:
    """Waits until the server is there and its model ready. Raises the last fault when that takes too long."""
    while True:
        try:
            return client.describe(max(0.001, deadline - time.monotonic()))
        except (ServerUnavailableError, ModelNotReadyError):
            if time.monotonic() + POLL >= deadline:
                raise
            time.sleep(POLL)


def _compare(
    kind: str,
    specs: Sequence[TensorSpec],
    described: Mapping[str, DescribedTensor] | None,
    own: Mapping[str, str],
    where: str,
) -> int | None:
    """Compares the card's tensors with the server's; returns the batch that the server's are fixed to, if any."""
    if described is None:
        _log.info("%s does not describe the model's %s; they are checked by running it", where, kind)
        return None
    fixed = None
    for spec in specs:
        found = described.get(own[spec.name])
        if found is None or not _fits(spec, found):
            there = "; ".join(map(str, described.values()))
            alias = "" if own[spec.name] == spec.name else f", there called {own[spec.name]}"
            raise ArtifactLoadError(
                f"{where}: the {kind} of the server's model are {there}; the card says {spec}{alias}. Correct the "
                f"card's {kind}, the artifact's 'layout', or the names under its 'tensors'; or serve the card's model"
            )
        if found.shape and found.shape[0] is not None:
            fixed = found.shape[0]
    return fixed


def _fits(spec: TensorSpec, found: DescribedTensor) -> bool:
    if found.dtype and (np.dtype(found.dtype).kind != np.dtype(spec.dtype).kind):
        return False
    return found.shape is None or (
        len(found.shape) == len(spec.shape)
        and all(want is None or have in (None, want) for have, want in zip(found.shape, spec.shape, strict=True))
    )


def _item_bytes(specs: Sequence[TensorSpec]) -> int:
    return sum(
        int(np.prod([axis or 1 for axis in spec.shape], dtype=np.int64)) * np.dtype(spec.dtype).itemsize
        for spec in specs
    )
