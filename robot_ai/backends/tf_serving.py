"""TensorFlow Serving: a SavedModel on a server, over gRPC (PredictionService) or REST.

Neither TensorFlow nor tensorflow-serving-api is needed here, only grpcio and protobuf, and for REST nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from robot_ai.backends.errors import ArtifactLoadError
from robot_ai.backends.serving.backend import ServerBackend
from robot_ai.backends.serving.errors import (
    AnswerError,
    ModelNotReadyError,
    ModelNotServedError,
    RequestRefusedError,
)
from robot_ai.backends.serving.grpc_link import GrpcLink
from robot_ai.backends.serving.http_link import HttpLink, read_json
from robot_ai.backends.serving.json_text import write_json
from robot_ai.backends.serving.messages import build_messages
from robot_ai.backends.serving.options import LATEST, Endpoint, ServerOptions, choice, option, text
from robot_ai.backends.serving.protocol import Arrays, Described, DescribedTensor
from robot_ai.backends.serving.tensorflow_tensors import (
    PACKAGE,
    SCHEMA,
    STATES,
    described,
    described_in_json,
    read_tensor,
    write_tensor,
)
from robot_ai.backends.support import import_framework

NAME = "tf_serving"
EXTRA = "serving"
PREDICTION = "/tensorflow.serving.PredictionService"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TFServingOptions(ServerOptions):
    """The options of backend `tf_serving`. A version that is no number is a label."""

    protocol: str = option("auto", "`grpc`, `rest`, or `auto`: what the url's scheme says, else grpc",
                           choice("auto", "grpc", "rest"))  # fmt: skip
    signature: str = option("serving_default", "the SavedModel's signature", text)


class GrpcClient:
    """PredictionService and, for better messages, ModelService."""

    def __init__(self, endpoint: Endpoint, options: TFServingOptions, model: str) -> None:
        import_framework("google.protobuf", EXTRA)
        self._messages = build_messages(PACKAGE, SCHEMA)
        self._link = GrpcLink(endpoint, options, EXTRA)
        self._where = str(endpoint)
        self._options = options
        self._model = model
        self._version: int | None = None

    def describe(self, timeout: float) -> Described:
        """The signature's tensors, by GetModelMetadata."""
        messages = self._messages
        request = messages.GetModelMetadataRequest(metadata_field=["signature_def"])
        self._fill(request.model_spec)
        try:
            answer = self._link.call(
                f"{PREDICTION}/GetModelMetadata", request, messages.GetModelMetadataResponse, timeout
            )
        except ModelNotServedError as error:
            raise _not_served(self._states(timeout), self._options, self._model, str(error)) from error
        found = messages.SignatureDefMap()
        try:
            found.MergeFromString(answer.metadata["signature_def"].value)
        except Exception as error:
            raise AnswerError(f"{self._where}: the model's signatures cannot be read: {error}") from error
        name = self._options.signature
        _check_signature(name, found.signature_def, self._where, self._model)
        signature = found.signature_def[name]
        return Described(described(signature.inputs), described(signature.outputs))

    def predict(self, inputs: Arrays, outputs: Sequence[str], timeout: float) -> dict[str, NDArray[Any]]:
        """Predict, with the outputs that are wanted only."""
        request = self._messages.PredictRequest(output_filter=outputs)
        self._fill(request.model_spec)
        request.model_spec.signature_name = self._options.signature
        for name, array in inputs.items():
            write_tensor(request.inputs[name], array)
        answer = self._link.call(f"{PREDICTION}/Predict", request, self._messages.PredictResponse, timeout)
        self._note(answer.model_spec.version.value)
        return {name: read_tensor(tensor, f"{self._where}: output '{name}'") for name, tensor in answer.outputs.items()}

    def close(self) -> None:
        """Closes the channel."""
        self._link.close()

    def _fill(self, spec: Any) -> None:
        spec.name = self._model
        version = self._options.version
        if version.isdecimal():
            spec.version.value = int(version)
        elif version != LATEST:
            spec.version_label = version

    def _note(self, version: int) -> None:
        """Says when the server went over to another version, as it may unless a number pins it."""
        if version and version != self._version:
            if self._version is not None:
                _log.warning("%s: model '%s' is now version %d; it was %d", self._where, self._model, version,
                             self._version)  # fmt: skip
            self._version = version

    def _states(self, timeout: float) -> dict[int, str]:
        request = self._messages.GetModelStatusRequest()
        request.model_spec.name = self._model
        method = "/tensorflow.serving.ModelService/GetModelStatus"
        try:
            answer = self._link.call(method, request, self._messages.GetModelStatusResponse, timeout)
        except (ModelNotServedError, RequestRefusedError):
            return {}
        return {status.version: STATES.get(status.state, "UNKNOWN") for status in answer.model_version_status}


class RestClient:
    """The REST interface: numbers as text, several times slower than gRPC for images."""

    def __init__(self, endpoint: Endpoint, options: TFServingOptions, model: str) -> None:
        self._link = HttpLink(endpoint, options)
        self._where = str(endpoint)
        self._options = options
        self._model = model
        self._path = f"/v1/models/{quote(model, safe='')}"
        self._chosen = self._path
        if options.version != LATEST:
            kind = "versions" if options.version.isdecimal() else "labels"
            self._chosen = f"{self._path}/{kind}/{quote(options.version, safe='')}"
        self._outputs: Mapping[str, DescribedTensor] = {}

    def describe(self, timeout: float) -> Described:
        """The signature's tensors, by the model's metadata."""
        try:
            answer = self._link.request("GET", f"{self._chosen}/metadata", timeout)
        except ModelNotServedError as error:
            raise _not_served(self._states(timeout), self._options, self._model, str(error)) from error
        content = read_json(answer, self._where)
        try:
            signatures = content["metadata"]["signature_def"]["signature_def"]
            _check_signature(self._options.signature, signatures, self._where, self._model)
            signature = signatures[self._options.signature]
            self._outputs = described_in_json(signature["outputs"])
            return Described(described_in_json(signature["inputs"]), self._outputs)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise AnswerError(f"{self._where}: the model's metadata cannot be read: {error!r}") from error

    def predict(self, inputs: Arrays, outputs: Sequence[str], timeout: float) -> dict[str, NDArray[Any]]:
        """The verb predict, in columns; the outputs have the dtypes of the signature."""
        content = {
            "signature_name": self._options.signature,
            "inputs": dict(inputs),
        }
        body = write_json(content)
        answer = self._link.request(
            "POST", f"{self._chosen}:predict", timeout, [body], {"Content-Type": "application/json"}
        )
        columns = read_json(answer, self._where).get("outputs")
        if columns is None:
            raise AnswerError(f"{self._where}: the answer has no 'outputs'")
        if not isinstance(columns, dict):  # a model's only output comes without its name
            columns = {next(iter(self._outputs), outputs[0]): columns}
        try:
            return {
                name: np.array(column, self._outputs[name].dtype) for name, column in columns.items() if name in outputs
            }
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise AnswerError(f"{self._where}: the outputs are no tensors of the signature: {error}") from error

    def close(self) -> None:
        """Closes the connection."""
        self._link.close()

    def _states(self, timeout: float) -> dict[int, str]:
        try:
            content = read_json(self._link.request("GET", self._path, timeout), self._where)
            return {int(status["version"]): str(status["state"]) for status in content["model_version_status"]}
        except (ModelNotServedError, RequestRefusedError, KeyError, TypeError, ValueError):
            return {}


class TFServingBackend(ServerBackend):
    """Sends tensors to TensorFlow Serving, or to a server that speaks its protocol, such as OpenVINO Model Server."""

    name = NAME
    title = "TensorFlow Serving"
    options = TFServingOptions
    ports = {"grpc": 8500, "rest": 8501}  # noqa: RUF012 (typed in the base class)
    clients = {"grpc": GrpcClient, "rest": RestClient}  # noqa: RUF012


def _not_served(states: Mapping[int, str], options: TFServingOptions, model: str, said: str) -> ModelNotServedError:
    """The fault with the versions that there are; of another class while one may still come."""
    if not states:
        return ModelNotServedError(
            f"{said}. The server has no model '{model}': set the option model_name to a name it serves"
        )
    listed = ", ".join(f"{version} ({state})" for version, state in sorted(states.items()))
    message = (
        f"{said}. Model '{model}' has no version '{options.version}' that is ready; its versions are {listed}. Set the "
        f"option version to one of these, to a label that the server's configuration gives, or to {LATEST}"
    )
    loading = options.version == LATEST or not options.version.isdecimal() or int(options.version) in states
    if loading and any(state in ("START", "LOADING") for state in states.values()):
        return ModelNotReadyError(message)
    return ModelNotServedError(message)


def _check_signature(name: str, signatures: Mapping[str, Any], where: str, model: str) -> None:
    if name not in signatures:
        raise ArtifactLoadError(
            f"{where}: model '{model}' has no signature '{name}'; its signatures are {', '.join(sorted(signatures))}. "
            "Set the option signature to one of these"
        )
