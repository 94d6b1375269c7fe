"""KServe v2, the Open Inference Protocol, over gRPC or HTTP: Triton, OpenVINO Model Server, TorchServe, MLServer.

No client package is needed, only grpcio and protobuf, and for HTTP nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from robot_ai.backends.serving.backend import ServerBackend
from robot_ai.backends.serving.errors import (
    AnswerError,
    ModelNotReadyError,
    ModelNotServedError,
    RequestRefusedError,
    ServerUnavailableError,
)
from robot_ai.backends.serving.grpc_link import GrpcLink
from robot_ai.backends.serving.http_link import Answer, HttpLink, read_json
from robot_ai.backends.serving.json_text import write_json
from robot_ai.backends.serving.kserve_tensors import (
    DATATYPES,
    PACKAGE,
    SCHEMA,
    described_tensor,
    has_typed_contents,
    read_contents,
    read_raw,
    read_values,
    write_contents,
)
from robot_ai.backends.serving.messages import build_messages
from robot_ai.backends.serving.options import LATEST, Endpoint, ServerOptions, choice, option
from robot_ai.backends.serving.protocol import Arrays, Described
from robot_ai.backends.support import import_framework

NAME = "kserve"
EXTRA = "serving"
SERVICE = "/inference.GRPCInferenceService"
LENGTH_HEADER = "Inference-Header-Content-Length"
_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, kw_only=True)
class KServeOptions(ServerOptions):
    """The options of backend `kserve`."""

    protocol: str = option("auto", "`grpc`, `http`, or `auto`: what the url's scheme says, else grpc",
                           choice("auto", "grpc", "http"))  # fmt: skip
    binary: Literal["auto", True, False] = option(
        "auto",
        "tensors as bytes: `true`, `false`, or `auto`: when the server takes them so",
        choice("auto", True, False),
    )


class _Form:
    """Whether tensors go as bytes. With `auto` bytes are tried first; a server that refuses them gets numbers."""

    def __init__(self, option: Literal["auto", True, False], where: str) -> None:
        self._binary = option is not False
        self._settled = option != "auto"
        self._where = where

    def send(self, inputs: Arrays, infer: Callable[[bool], _Answer]) -> _Answer:
        """The answer to a request that `infer` sends, as bytes when it is called with True."""
        try:
            answer = infer(self._binary)
        except RequestRefusedError:
            if self._settled or not all(has_typed_contents(array.dtype.name) for array in inputs.values()):
                raise
            answer = infer(False)
            self._binary = False
            _log.info("%s takes no binary tensors; numbers are sent, which is slower", self._where)
        self._settled = True
        return answer


class GrpcClient:
    """GRPCInferenceService."""

    def __init__(self, endpoint: Endpoint, options: KServeOptions, model: str) -> None:
        import_framework("google.protobuf", EXTRA)
        self._messages = build_messages(PACKAGE, SCHEMA)
        self._link = GrpcLink(endpoint, options, EXTRA)
        self._where = str(endpoint)
        self._model = model
        self._version = "" if options.version == LATEST else options.version
        self._form = _Form(options.binary, self._where)

    def describe(self, timeout: float) -> Described:
        """The model's tensors, by ModelMetadata, once ModelReady says so."""
        messages, link = self._messages, self._link
        which = {"name": self._model, "version": self._version}
        try:
            found = link.call(f"{SERVICE}/ModelMetadata", messages.ModelMetadataRequest(**which),
                              messages.ModelMetadataResponse, timeout)  # fmt: skip
        except (ModelNotServedError, ServerUnavailableError, RequestRefusedError) as error:
            server = link.call(f"{SERVICE}/ServerReady", messages.ServerReadyRequest(),
                               messages.ServerReadyResponse, timeout)  # fmt: skip
            raise _not_served(server.ready, self._model, self._version, str(error)) from error
        ready = link.call(f"{SERVICE}/ModelReady", messages.ModelReadyRequest(**which),
                          messages.ModelReadyResponse, timeout)  # fmt: skip
        if not ready.ready:
            raise ModelNotReadyError(f"{self._where}: the server has model '{self._model}', but it is not ready")
        inputs, outputs = (
            {tensor.name: described_tensor(tensor.name, tensor.datatype, tensor.shape) for tensor in tensors}
            for tensors in (found.inputs, found.outputs)
        )
        return Described(inputs or None, outputs or None)

    def predict(self, inputs: Arrays, outputs: Sequence[str], timeout: float) -> dict[str, NDArray[Any]]:
        """ModelInfer."""
        return self._read(self._form.send(inputs, partial(self._infer, inputs, outputs, timeout)))

    def close(self) -> None:
        """Closes the channel."""
        self._link.close()

    def _infer(self, inputs: Arrays, outputs: Sequence[str], timeout: float, binary: bool) -> Any:
        request = self._messages.ModelInferRequest(model_name=self._model, model_version=self._version)
        for name, array in inputs.items():
            tensor = request.inputs.add(name=name, datatype=DATATYPES[array.dtype.name], shape=array.shape)
            if binary:
                request.raw_input_contents.append(array.tobytes())
            else:
                write_contents(tensor.contents, array)
        for name in outputs:
            request.outputs.add(name=name)
        return self._link.call(f"{SERVICE}/ModelInfer", request, self._messages.ModelInferResponse, timeout)

    def _read(self, answer: Any) -> dict[str, NDArray[Any]]:
        raw = answer.raw_output_contents
        if raw and len(raw) != len(answer.outputs):
            raise AnswerError(
                f"{self._where}: the answer has {len(answer.outputs)} outputs and {len(raw)} raw contents"
            )
        arrays = {}
        for place, tensor in enumerate(answer.outputs):
            where = f"{self._where}: output '{tensor.name}'"
            arrays[tensor.name] = (
                read_raw(raw[place], tensor.datatype, tensor.shape, where) if raw else read_contents(tensor, where)
            )
        return arrays


class HttpClient:
    """The REST interface, with binary tensors where the server takes them."""

    def __init__(self, endpoint: Endpoint, options: KServeOptions, model: str) -> None:
        self._link = HttpLink(endpoint, options)
        self._where = str(endpoint)
        self._model = model
        self._version = "" if options.version == LATEST else options.version
        self._path = f"/v2/models/{quote(model, safe='')}"
        if self._version:
            self._path += f"/versions/{quote(self._version, safe='')}"
        self._form = _Form(options.binary, self._where)

    def describe(self, timeout: float) -> Described:
        """The model's tensors, by its metadata, once its health says so."""
        try:
            content = read_json(self._link.request("GET", self._path, timeout), self._where)
        except (ModelNotServedError, ServerUnavailableError, RequestRefusedError) as error:
            raise _not_served(self._is_ready("/v2/health", timeout), self._model, self._version, str(error)) from error
        if not self._is_ready(self._path, timeout):
            raise ModelNotReadyError(f"{self._where}: the server has model '{self._model}', but it is not ready")
        try:
            inputs, outputs = (
                {each["name"]: described_tensor(each["name"], each["datatype"], each["shape"]) for each in tensors}
                for tensors in (content.get("inputs") or [], content.get("outputs") or [])
            )
        except (KeyError, TypeError, ValueError) as error:
            raise AnswerError(f"{self._where}: the model's metadata cannot be read: {error!r}") from error
        return Described(inputs or None, outputs or None)

    def predict(self, inputs: Arrays, outputs: Sequence[str], timeout: float) -> dict[str, NDArray[Any]]:
        """The verb infer."""
        return self._form.send(inputs, partial(self._infer, inputs, outputs, timeout))

    def close(self) -> None:
        """Closes the connection."""
        self._link.close()

    def _is_ready(self, path: str, timeout: float) -> bool:
        try:
            self._link.request("GET", f"{path}/ready", timeout)
        except (ModelNotServedError, RequestRefusedError):
            return False
        return True

    def _infer(self, inputs: Arrays, outputs: Sequence[str], timeout: float, binary: bool) -> dict[str, NDArray[Any]]:
        content: dict[str, Any] = {"inputs": [], "outputs": []}
        pieces: list[bytes | memoryview] = []
        for name, array in inputs.items():
            tensor: dict[str, Any] = {"name": name, "datatype": DATATYPES[array.dtype.name], "shape": array.shape}
            if binary:
                tensor["parameters"] = {"binary_data_size": array.nbytes}
                pieces.append(np.ascontiguousarray(array).data.cast("B"))
            else:
                tensor["data"] = array.ravel()
            content["inputs"].append(tensor)
        for name in outputs:
            parameters = {"parameters": {"binary_data": True}} if binary else {}
            content["outputs"].append({"name": name, **parameters})
        header = write_json(content)
        headers = {"Content-Type": "application/octet-stream" if binary else "application/json"}
        if binary:
            headers[LENGTH_HEADER] = str(len(header))
        answer = self._link.request("POST", f"{self._path}/infer", timeout, [header, *pieces], headers)
        return self._read(answer)

    def _read(self, answer: Answer) -> dict[str, NDArray[Any]]:
        body = memoryview(answer.body)
        length = answer.headers.get(LENGTH_HEADER.lower())
        try:
            end = len(body) if length is None else int(length)
            if not 0 <= end <= len(body):
                raise ValueError(f"{LENGTH_HEADER} is {length}")
            header = read_json(Answer(answer.headers, bytes(body[:end])), self._where)
            arrays, start = {}, end
            for tensor in header["outputs"]:
                size = tensor.get("parameters", {}).get("binary_data_size")
                arrays[str(tensor["name"])] = self._tensor(tensor, None if size is None else body[start : start + size])
                start += size or 0
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise AnswerError(f"{self._where}: the answer is none of KServe v2's: {error!r}") from error
        return arrays

    def _tensor(self, tensor: Mapping[str, Any], data: memoryview | None) -> NDArray[Any]:
        where = f"{self._where}: output '{tensor['name']}'"
        if data is not None:
            return read_raw(data, tensor["datatype"], tensor["shape"], where)
        return read_values(tensor["data"], tensor["datatype"], tensor["shape"], where)


class KServeBackend(ServerBackend):
    """Sends tensors to a server that speaks KServe v2."""

    name = NAME
    title = "KServe v2"
    options = KServeOptions
    ports = {"grpc": 8001, "http": 8000}  # noqa: RUF012 (typed in the base class)
    clients = {"grpc": GrpcClient, "http": HttpClient}  # noqa: RUF012


def _not_served(server_ready: bool, model: str, version: str, said: str) -> ModelNotServedError:
    """The fault of a model that is not there; of another class while the server still loads its models."""
    which = f"model '{model}'" + (f", version '{version}'" if version else "")
    if not server_ready:
        return ModelNotReadyError(f"{said}. The server is not ready, and {which} may still come")
    return ModelNotServedError(
        f"{said}. The server is ready, but without {which}: set the options model_name and version to what it serves"
    )
