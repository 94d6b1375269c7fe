"""A gRPC channel to a model server: deadlines, reconnection, and what a failed call means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from robot_ai.backends.errors import InferenceError
from robot_ai.backends.serving.errors import (
    AnswerError,
    DeadlineExceededError,
    ModelNotServedError,
    RequestRefusedError,
    ServerUnavailableError,
)
from robot_ai.backends.serving.options import Endpoint, ServerOptions
from robot_ai.backends.support import import_framework

FIRST_BACKOFF = 0.1  # seconds
KEEPALIVE = 10.0  # seconds without a sign of life during a request, after which the connection is tested
KEEPALIVE_TIMEOUT = 5.0
# HTTP/2 frames: the default of 16 KiB cuts an image of 2 MB into 130 pieces.
FRAME_BYTES = 1 << 20


class GrpcLink:
    """One channel. It connects at the first call, and again, after a growing pause, whenever the connection broke.

    A call never waits for a pause to end: while there is no connection it fails at once.
    """

    def __init__(self, endpoint: Endpoint, options: ServerOptions, extra: str) -> None:
        self._grpc: Any = import_framework("grpc", extra)
        self._name = str(endpoint)
        self._metadata = options.headers
        self._calls: dict[str, Any] = {}
        settings = [
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            ("grpc.initial_reconnect_backoff_ms", int(FIRST_BACKOFF * 1000)),
            ("grpc.min_reconnect_backoff_ms", int(FIRST_BACKOFF * 1000)),
            ("grpc.max_reconnect_backoff_ms", int(options.max_backoff * 1000)),
            ("grpc.keepalive_time_ms", int(KEEPALIVE * 1000)),
            ("grpc.keepalive_timeout_ms", int(KEEPALIVE_TIMEOUT * 1000)),
            ("grpc.http2.max_frame_size", FRAME_BYTES),
            ("grpc.enable_http_proxy", 0),  # the server is in the robot's own network, and HTTP goes without one too
            ("grpc.use_local_subchannel_pool", 1),  # a pause of another channel's is none of ours
        ]
        if endpoint.tls:
            self._channel = self._grpc.secure_channel(endpoint.address, self._credentials(options), settings)
        else:
            self._channel = self._grpc.insecure_channel(endpoint.address, settings)

    def call(self, method: str, request: Any, answer: Any, timeout: float) -> Any:
        """Sends a message to `/service/method` and gives the answer, a message of class `answer`.

        Raises a fault of `serving.errors`.
        """
        call = self._calls.get(method)
        if call is None:
            call = self._calls[method] = self._channel.unary_unary(
                method, request_serializer=_serialize, response_deserializer=_reader(answer)
            )
        try:
            found = call(request, timeout=timeout, metadata=self._metadata)
        except self._grpc.RpcError as error:
            raise self._fault(method, error, timeout) from error
        except ValueError as error:  # the channel was closed, or the message is too long for Protocol Buffers
            raise RequestRefusedError(f"{self._name}: the request cannot be sent: {error}") from error
        if isinstance(found, InferenceError):
            raise AnswerError(f"{self._name}: {found}")
        return found

    def close(self) -> None:
        """Closes the channel."""
        self._calls.clear()
        self._channel.close()

    def _credentials(self, options: ServerOptions) -> Any:
        read = [path.read_bytes() if path else None for path in (options.ca_file, options.client_key)]
        certificate = options.client_certificate.read_bytes() if options.client_certificate else None
        return self._grpc.ssl_channel_credentials(read[0], read[1], certificate)

    def _fault(self, method: str, error: Any, timeout: float) -> InferenceError:
        code, said = error.code(), shorten(error.details() or "")
        codes = self._grpc.StatusCode
        where = f"{self._name}: "
        if code == codes.UNAVAILABLE:
            return ServerUnavailableError(
                f"{where}the server cannot be reached ({said}). Is it running, is this its gRPC port, and do both "
                "sides agree on TLS? The next request tries again"
            )
        if code == codes.DEADLINE_EXCEEDED:
            return late(self._name, timeout)
        if code == codes.NOT_FOUND:
            return ModelNotServedError(f"{where}{said}")
        if code == codes.RESOURCE_EXHAUSTED:
            return RequestRefusedError(f"{where}too much for the server ({said}). Set the option max_batch, or raise "
                                       "the server's message limit")  # fmt: skip
        if code == codes.UNIMPLEMENTED:
            return RequestRefusedError(
                f"{where}the server knows no {method} ({said}). Is it another kind of model server, or another port?"
            )
        return RequestRefusedError(f"{where}the server answers {code.name}: {said}")


def late(name: str, timeout: float) -> DeadlineExceededError:
    """The fault of a server that is slower than allowed."""
    return DeadlineExceededError(
        f"{name}: no answer within {timeout:.3g} s. The server is too slow or the network is stuck: raise the option "
        "timeout, or give the server more to compute with"
    )


def shorten(said: str) -> str:
    """What a server said, on one line that a log can hold."""
    line = " ".join(said.split())
    return line if len(line) <= 500 else line[:497] + "..."


def _serialize(message: Any) -> bytes:
    return bytes(message.SerializeToString())


def _reader(answer: Any) -> Callable[[bytes], Any]:
    def read(data: bytes) -> Any:
        try:
            return answer.FromString(data)
        except Exception as error:  # noqa: BLE001 (DecodeError; gRPC would swallow it and say nothing of use)
            return AnswerError(f"the answer is no {answer.DESCRIPTOR.full_name} ({error})")

    return read
