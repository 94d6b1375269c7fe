"""A server of TensorFlow Serving's two interfaces: the official protos' services over SavedModels run by TensorFlow.

tensorflow_model_server itself is on no package registry. This answers as it does: same services, paths, status codes.
"""

from __future__ import annotations

import argparse
import re
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from server_control import Control, parse_json, write_json
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)


class NotServedError(Exception):
    """Becomes NOT_FOUND or 404."""


class RefusedError(Exception):
    """Becomes INVALID_ARGUMENT or 400."""


class Models:
    """The versions of one model, loaded from the numbered folders below `base`."""

    def __init__(self, name: str, base: Path, labels: dict[str, int], control: Control) -> None:
        self.name, self.labels, self.control = name, labels, control
        self.versions = {int(folder.name): tf.saved_model.load(str(folder)) for folder in sorted(base.iterdir())}
        self.signatures = {}
        for version in self.versions:
            saved = saved_model_pb2.SavedModel.FromString((base / str(version) / "saved_model.pb").read_bytes())
            self.signatures[version] = saved.meta_graphs[0].signature_def

    def find(self, name: str, version: int | None, label: str) -> int:
        if name != self.name:
            raise NotServedError(f"Servable not found for request: Latest({name})")
        if label:
            if label not in self.labels:
                raise RefusedError(f"Unrecognized servable version label: {label}")
            return self.labels[label]
        if version is None:
            return max(self.versions)
        if version not in self.versions:
            raise NotServedError(f"Servable not found for request: Specific({name}, {version})")
        return version

    def metadata(self, version: int) -> Any:
        found = get_model_metadata_pb2.SignatureDefMap()
        for name, signature in self.signatures[version].items():
            found.signature_def[name].CopyFrom(signature)
        return found

    def run(self, version: int, signature: str, inputs: dict[str, Any], wanted: list[str]) -> dict[str, Any]:
        signatures = self.versions[version].signatures
        if signature not in signatures:
            raise RefusedError(f'Serving signature key "{signature}" not found.')
        function = signatures[signature]
        expected = function.structured_input_signature[1]
        if inputs.keys() != expected.keys():
            raise RefusedError(f"inputs are {sorted(inputs)}; expected {sorted(expected)}")
        try:
            tensors = {name: tf.constant(array, expected[name].dtype) for name, array in inputs.items()}
            outputs = function(**tensors)
        except (tf.errors.InvalidArgumentError, TypeError, ValueError) as error:
            raise RefusedError(str(error)) from error
        if unknown := set(wanted) - set(outputs):
            raise RefusedError(f"output tensor alias not found in signature: {sorted(unknown)}")
        arrays = {name: tensor.numpy() for name, tensor in outputs.items() if not wanted or name in wanted}
        return self.control.spoil(arrays)


class GrpcServices(prediction_service_pb2_grpc.PredictionServiceServicer, model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, models: Models) -> None:
        self._models = models

    def _find(self, spec: Any, context: Any) -> int:
        try:
            version = spec.version.value if spec.HasField("version") else None
            return self._models.find(spec.name, version, spec.version_label)
        except NotServedError as error:
            context.abort(grpc.StatusCode.NOT_FOUND, str(error))
        except RefusedError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        raise AssertionError

    def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802
        version = self._find(request.model_spec, context)
        inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
        signature = request.model_spec.signature_name or "serving_default"
        try:
            outputs = self._models.run(version, signature, inputs, list(request.output_filter))
        except RefusedError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        answer = predict_pb2.PredictResponse()
        answer.model_spec.name = self._models.name
        answer.model_spec.version.value = version
        answer.model_spec.signature_name = signature
        for name, array in outputs.items():
            proto = tf.make_tensor_proto(array)
            if self._models.control.get().get("typed"):  # as tensorflow_model_server does unless told otherwise
                proto.tensor_content = b""
                field = proto.float_val if array.dtype == np.float32 else proto.int_val
                del field[:]
                field.extend(array.ravel().tolist())
            answer.outputs[name].CopyFrom(proto)
        return answer

    def GetModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        version = self._find(request.model_spec, context)
        answer = get_model_metadata_pb2.GetModelMetadataResponse()
        answer.model_spec.name = self._models.name
        answer.model_spec.version.value = version
        answer.metadata["signature_def"].Pack(self._models.metadata(version))
        return answer

    def GetModelStatus(self, request: Any, context: Any) -> Any:  # noqa: N802
        answer = get_model_status_pb2.GetModelStatusResponse()
        if request.model_spec.name != self._models.name:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Could not find any versions of model {request.model_spec.name}")
        for version in self._models.versions:
            answer.model_version_status.add(version=version, state="AVAILABLE")
        return answer


def rest_handler(models: Models) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: Any) -> None:
            pass

        def do_GET(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, body: bytes | None) -> None:
            try:
                status, content = 200, self._content(body)
            except NotServedError as error:
                status, content = 404, {"error": str(error)}
            except RefusedError as error:
                status, content = 400, {"error": str(error)}
            data = write_json(content)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _content(self, body: bytes | None) -> dict[str, Any]:
            match = re.fullmatch(
                r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?(/metadata|:predict)?", self.path
            )
            if match is None:
                raise RefusedError(f"Malformed request: {self.path}")
            name, number, label, verb = match.groups()
            version = models.find(name, int(number) if number else None, label or "")
            if verb == "/metadata":
                signatures = json_format.MessageToDict(models.metadata(version), preserving_proto_field_name=True)
                return {
                    "model_spec": {"name": name, "version": str(version)},
                    "metadata": {"signature_def": signatures},
                }
            if verb is None:
                return {
                    "model_version_status": [
                        {"version": str(each), "state": "AVAILABLE", "status": {"error_code": "OK"}}
                        for each in models.versions
                    ]
                }
            request = parse_json(body or b"")
            signature = request.get("signature_name", "serving_default")
            outputs = models.run(version, signature, request["inputs"], [])
            columns = {key: array.tolist() for key, array in outputs.items()}
            return {"outputs": columns if len(columns) > 1 else next(iter(columns.values()))}

    return Handler


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("name", "base", "control"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--ports", type=int, nargs=2, required=True, help="gRPC and REST")
    parser.add_argument("--label", action="append", default=[], help="label=version")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    labels = {label: int(version) for label, version in (each.split("=") for each in arguments.label)}
    models = Models(arguments.name, Path(arguments.base), labels, Control(Path(arguments.control)))
    settings = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)]
    server = grpc.server(ThreadPoolExecutor(4), options=settings)
    services = GrpcServices(models)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(services, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(services, server)
    server.add_insecure_port(f"127.0.0.1:{arguments.ports[0]}")
    server.start()
    rest = ThreadingHTTPServer(("127.0.0.1", arguments.ports[1]), rest_handler(models))
    Thread(target=rest.serve_forever, daemon=True).start()
    print("ready", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
