"""A kept-alive HTTP connection to a model server: deadlines, reconnection, and what a failed request means."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from robot_ai.backends.errors import BackendOptionError
from robot_ai.backends.serving.errors import (
    AnswerError,
    ModelNotServedError,
    RequestRefusedError,
    ServerUnavailableError,
)
from robot_ai.backends.serving.grpc_link import FIRST_BACKOFF, late, shorten
from robot_ai.backends.serving.json_text import parse_json
from robot_ai.backends.serving.options import Endpoint, ServerOptions

MAX_ANSWER = 1 << 30  # bytes
_BLOCK = 1 << 20
Buffer = bytes | memoryview


@dataclass(frozen=True)
class _Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: Sequence[Buffer]
    timeout: float
    deadline: float


@dataclass(frozen=True)
class Answer:
    """A body, and the headers by their names in lower case."""

    headers: Mapping[str, str]
    body: bytes


class HttpLink:
    """One connection. It is made at the first request, and again, after a growing pause, whenever it broke.

    A request never waits for a pause to end: it fails at once.
    """

    def __init__(self, endpoint: Endpoint, options: ServerOptions) -> None:
        self._endpoint = endpoint
        self._name = str(endpoint)
        self._headers = dict(options.headers)
        self._context = _tls(options) if endpoint.tls else None
        self._connection: http.client.HTTPConnection | None = None
        self._max_backoff = options.max_backoff
        self._pause = 0.0
        self._next_try = 0.0
        self._closed = False

    def request(
        self,
        method: str,
        path: str,
        timeout: float,
        body: Sequence[Buffer] = (),
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Sends a request, in `body`'s pieces, and reads the answer. Raises a fault of `serving.errors`."""
        length = {"Content-Length": str(sum(map(len, body)))} if body else {}
        every = {**self._headers, **length, **(headers or {})}
        request = _Request(method, path, every, body, timeout, time.monotonic() + timeout)
        kept = self._connection is not None
        try:
            status, answer = self._exchange(request)
        except ServerUnavailableError:
            if not kept:
                raise
            # The server had closed a connection that was idle: nothing was answered, so a new one is tried once.
            status, answer = self._exchange(request)
        if status == 200:
            return answer
        said = _message(answer.body)
        if status == 404:
            raise ModelNotServedError(f"{self._name}: {said} (HTTP 404 for {path})")
        if status == 503:
            raise ServerUnavailableError(f"{self._name}: {said} (HTTP 503). The next request tries again")
        raise RequestRefusedError(f"{self._name}: the server answers HTTP {status} to {path}: {said}")

    def close(self) -> None:
        """Closes the connection for good, also under a request of another thread."""
        self._closed = True
        connection = self._connection
        if connection is not None and connection.sock is not None:
            _end(connection.sock)
        self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _exchange(self, request: _Request) -> tuple[int, Answer]:
        try:
            connection = self._connect(request.deadline)
            assert connection.sock is not None
            with _cut_at(request.deadline, connection.sock) as was_cut:
                try:
                    connection.putrequest(request.method, self._endpoint.prefix + request.path)
                    for name, value in request.headers.items():
                        connection.putheader(name, value)
                    connection.endheaders()
                    for piece in request.body:
                        connection.send(piece)
                    return self._read(connection.getresponse())
                except (OSError, http.client.HTTPException) as error:
                    if was_cut():
                        raise TimeoutError from error
                    raise
        except TimeoutError as error:
            self._broken()
            raise late(self._name, request.timeout) from error
        except (http.client.HTTPException, OSError) as error:
            self._broken()
            if isinstance(error, http.client.HTTPException) and not isinstance(error, ConnectionError):
                raise AnswerError(
                    f"{self._name}: the answer is no HTTP ({error!r}). Is this the server's HTTP port, with or "
                    "without TLS?"
                ) from error
            raise ServerUnavailableError(
                f"{self._name}: the server cannot be reached ({shorten(str(error))}). Is it running, is this its HTTP "
                "port, and do both sides agree on TLS? The next request tries again"
            ) from error
        except AnswerError:
            self._broken()
            raise

    def _connect(self, deadline: float) -> http.client.HTTPConnection:
        if self._closed:
            raise RequestRefusedError(f"{self._name}: the connection was closed")
        if self._connection is not None:
            return self._connection
        now = time.monotonic()
        if now < self._next_try:
            raise ConnectionError(f"it could not be reached before; tried again in {self._next_try - now:.1f} s")
        left = max(0.001, deadline - now)
        host, port = self._endpoint.host, self._endpoint.port
        connection = (
            http.client.HTTPSConnection(host, port, timeout=left, context=self._context)
            if self._context
            else http.client.HTTPConnection(host, port, timeout=left)
        )
        connection.connect()
        assert connection.sock is not None
        # An image's last packet must not wait for the first one's acknowledgment.
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sock.settimeout(None)
        self._connection, self._pause, self._next_try = connection, 0.0, 0.0
        return connection

    def _broken(self) -> None:
        """Only a connection that could not be made delays the next try."""
        if self._connection is not None:
            self._drop()
            return
        now = time.monotonic()
        if now >= self._next_try:
            self._pause = min(self._max_backoff, max(FIRST_BACKOFF, 2 * self._pause))
            self._next_try = now + self._pause

    def _read(self, response: http.client.HTTPResponse) -> tuple[int, Answer]:
        blocks: list[bytes] = []
        size = 0
        while block := response.read(_BLOCK):
            blocks.append(block)
            size += len(block)
            if size > MAX_ANSWER:
                raise AnswerError(
                    f"{self._name}: the answer is longer than {MAX_ANSWER} bytes. Set the option max_batch"
                )
        if response.length:  # announced, and not sent
            raise ConnectionError(f"the connection ended {response.length} bytes before the answer's end")
        if response.will_close:
            self._drop()
        return response.status, Answer({name.lower(): value for name, value in response.getheaders()}, b"".join(blocks))


def read_json(answer: Answer, name: object) -> dict[str, Any]:
    """The JSON object of an answer. Raises AnswerError."""
    try:
        content = parse_json(answer.body)
    except ValueError as error:
        raise AnswerError(f"{name}: the answer is no JSON ({error}). Is this the model server's port?") from error
    if not isinstance(content, dict):
        raise AnswerError(f"{name}: the answer is a {type(content).__name__}; expected a JSON object")
    return content


@contextmanager
def _cut_at(deadline: float, sock: socket.socket) -> Iterator[Any]:
    """Ends whatever the socket does at the deadline: a socket's own timeout starts anew with every byte."""
    cut = threading.Event()

    def stop() -> None:
        cut.set()
        _end(sock)

    timer = threading.Timer(max(0.0, deadline - time.monotonic()), stop)
    timer.daemon = True
    timer.start()
    try:
        yield cut.is_set
    finally:
        timer.cancel()


def _end(sock: socket.socket) -> None:
    """Wakes whoever reads from the socket or writes to it; of TLS without the good-bye, which could wait."""
    with suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _tls(options: ServerOptions) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(options.ca_file) if options.ca_file else None)
        if options.client_certificate and options.client_key:
            context.load_cert_chain(options.client_certificate, options.client_key)
    except (ssl.SSLError, OSError) as error:
        raise BackendOptionError(
            f"the files of ca_file, client_certificate and client_key cannot be used ({error}); expected PEM files"
        ) from error
    return context


def _message(body: bytes) -> str:
    """What an error's body says: servers put it under `error`."""
    try:
        content = parse_json(body)
    except ValueError:
        return shorten(body[:2000].decode(errors="replace"))
    return shorten(str(content.get("error") or content) if isinstance(content, dict) else str(content))
