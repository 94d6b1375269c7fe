"""A server of KServe v2's two interfaces: the official protos' service over any model card, run by a local backend.

Triton, which speaks the same, is far larger than a test's budget; docs/serving.md says what was run against it.
"""

from __future__ import annotations

import argparse
import re
import ssl
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import grpc
import numpy as np
from server_control import Control, parse_json, write_json
from tritonclient.grpc import service_pb2, service_pb2_grpc

from robot_ai.backends.errors import InferenceError
from robot_ai.backends.loading import BackendChoice, load_backend

DATATYPES = {"float32": "FP32", "int32": "INT32", "uint8": "UINT8", "int64": "INT64"}
DTYPES = {datatype: dtype for dtype, datatype in DATATYPES.items()}
CONTENTS = {"FP32": "fp32_contents", "INT32": "int_contents", "UINT8": "uint_contents", "INT64": "int64_contents"}
LENGTH = "Inference-Header-Content-Length"


class NotServedError(Exception):
    """Becomes NOT_FOUND or 404."""


class RefusedError(Exception):
    """Becomes INVALID_ARGUMENT or 400."""


class Model:
    """One model of one version, with a batch that is free or fixed."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        card, self._backend = load_backend(
            BackendChoice(arguments.card, arguments.backend, "cpu", threads=arguments.threads)
        )
        self.name, self.version, self.batch = card.name, arguments.version, arguments.batch
        self.specs = (self._backend.inputs, self._backend.outputs)
        self.control = Control(Path(arguments.control))
        self._lock = Lock()

    def find(self, name: str, version: str) -> None:
        if name != self.name or version not in ("", self.version):
            raise NotServedError(f"Request for unknown model: '{name}' version '{version}' is not found")

    def shape(self, spec: Any) -> list[int]:
        return [(self.batch or -1) if axis is None else axis for axis in spec.shape]

    def run(self, inputs: dict[str, Any], wanted: list[str], as_bytes: bool) -> dict[str, Any]:
        if as_bytes and self.control.get().get("refuse_bytes"):
            raise RefusedError("raw contents are not supported")
        if self.batch and any(len(array) != self.batch for array in inputs.values()):
            raise RefusedError(f"unexpected shape for input, expected a batch of {self.batch}")
        try:
            with self._lock:
                outputs = dict(self._backend.infer(inputs))
        except InferenceError as error:
            raise RefusedError(str(error)) from error
        return self.control.spoil({name: outputs[name] for name in wanted or outputs})


class GrpcService(service_pb2_grpc.GRPCInferenceServiceServicer):
    def __init__(self, model: Model) -> None:
        self._model = model

    def ServerReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ServerReadyResponse(ready=True)

    def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ModelReadyResponse(ready=request.name == self._model.name)

    def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._find(request.name, request.version, context)
        answer = service_pb2.ModelMetadataResponse(name=self._model.name, versions=[self._model.version])
        for tensors, specs in zip((answer.inputs, answer.outputs), self._model.specs, strict=True):
            for spec in specs:
                tensors.add(name=spec.name, datatype=DATATYPES[spec.dtype], shape=self._model.shape(spec))
        return answer

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._find(request.model_name, request.model_version, context)
        raw, inputs = request.raw_input_contents, {}
        for place, tensor in enumerate(request.inputs):
            dtype = DTYPES[tensor.datatype]
            values = getattr(tensor.contents, CONTENTS[tensor.datatype])
            flat = np.frombuffer(raw[place], dtype) if raw else np.array(values, dtype)
            inputs[tensor.name] = flat.reshape(list(tensor.shape))
        try:
            outputs = self._model.run(inputs, [each.name for each in request.outputs], bool(raw))
        except RefusedError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        answer = service_pb2.ModelInferResponse(model_name=self._model.name, model_version=self._model.version)
        typed = not raw or self._model.control.get().get("typed")
        for name, array in outputs.items():
            datatype = DATATYPES[array.dtype.name]
            tensor = answer.outputs.add(name=name, datatype=datatype, shape=array.shape)
            if typed:
                getattr(tensor.contents, CONTENTS[datatype]).extend(array.ravel().tolist())
            else:
                answer.raw_output_contents.append(array.tobytes())
        return answer

    def _find(self, name: str, version: str, context: Any) -> None:
        try:
            self._model.find(name, version)
        except NotServedError as error:
            context.abort(grpc.StatusCode.NOT_FOUND, str(error))


def http_handler(model: Model) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: Any) -> None:
            pass

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, body: bytes) -> None:
            pieces: list[bytes] = []
            try:
                status, content = 200, self._content(body, pieces)
            except NotServedError as error:
                status, content = 404, {"error": str(error)}
            except RefusedError as error:
                status, content = 400, {"error": str(error)}
            header = write_json(content)
            self.send_response(status)
            self.send_header("Content-Length", str(len(header) + sum(map(len, pieces))))
            if pieces:
                self.send_header(LENGTH, str(len(header)))
            self.end_headers()
            self.wfile.write(b"".join([header, *pieces]))

        def _content(self, body: bytes, pieces: list[bytes]) -> dict[str, Any]:
            if self.path == "/v2/health/ready":
                return {"ready": True}
            match = re.fullmatch(r"/v2/models/([^/]+)(?:/versions/([^/]+))?(/ready|/infer)?", self.path)
            if match is None:
                raise RefusedError(f"no such path: {self.path}")
            name, version, verb = match.groups()
            model.find(name, version or "")
            if verb is None:
                inputs, outputs = (
                    [{"name": s.name, "datatype": DATATYPES[s.dtype], "shape": model.shape(s)} for s in specs]
                    for specs in model.specs
                )
                return {"name": name, "versions": [model.version], "inputs": inputs, "outputs": outputs}
            return {"ready": True} if verb == "/ready" else self._infer(body, pieces)

        def _infer(self, body: bytes, pieces: list[bytes]) -> dict[str, Any]:
            end = int(self.headers.get(LENGTH, len(body)))
            request = parse_json(body[:end])
            inputs = {}
            for tensor in request["inputs"]:
                dtype = DTYPES[tensor["datatype"]]
                size = tensor.get("parameters", {}).get("binary_data_size")
                if size is None:
                    flat = np.array(tensor["data"], dtype).ravel()
                else:
                    flat, end = np.frombuffer(body[end : end + size], dtype), end + size
                inputs[tensor["name"]] = flat.reshape(tensor["shape"])
            binary = {each["name"]: each.get("parameters", {}).get("binary_data") for each in request["outputs"]}
            outputs = []
            for name, array in model.run(inputs, list(binary), LENGTH in self.headers).items():
                tensor = {"name": name, "datatype": DATATYPES[array.dtype.name], "shape": array.shape}
                if binary.get(name) and not model.control.get().get("typed"):
                    pieces.append(array.tobytes())
                    tensor["parameters"] = {"binary_data_size": array.nbytes}
                else:
                    tensor["data"] = array.ravel().tolist()
                outputs.append(tensor)
            return {"model_name": model.name, "model_version": model.version, "outputs": outputs}

    return Handler


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("card", "backend", "control"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--ports", type=int, nargs=2, required=True, help="gRPC and HTTP")
    parser.add_argument("--version", default="1")
    parser.add_argument("--batch", type=int, default=0, help="0 leaves it free")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"))
    arguments = parser.parse_args()
    model = Model(arguments)
    settings = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)]
    server = grpc.server(ThreadPoolExecutor(4), options=settings)
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(GrpcService(model), server)
    address = f"127.0.0.1:{arguments.ports[0]}"
    http = ThreadingHTTPServer(("127.0.0.1", arguments.ports[1]), http_handler(model))
    if arguments.tls:
        certificate, key = (Path(name).read_bytes() for name in arguments.tls)
        server.add_secure_port(address, grpc.ssl_server_credentials([(key, certificate)]))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*arguments.tls)
        http.socket = context.wrap_socket(http.socket, server_side=True)
    else:
        server.add_insecure_port(address)
    server.start()
    Thread(target=http.serve_forever, daemon=True).start()
    print("ready", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
