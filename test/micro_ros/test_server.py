"""The agent on real sockets and pseudo-terminals, with our own client on the other end."""

from __future__ import annotations

import errno
import resource
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from robot_ai.micro_ros.client import Answer, Pong, Reply, Request, Sample, TimeOffset, XrceClient
from robot_ai.micro_ros.client_link import ClientRunner, PtyLink, UdpLink
from robot_ai.micro_ros.config import AgentSettings, SerialSettings, TcpSettings, TransportSettings, UdpSettings
from robot_ai.micro_ros.errors import TransportError
from robot_ai.micro_ros.loopback import Loopback
from robot_ai.micro_ros.middleware import ClientChange
from robot_ai.micro_ros.server import AgentServer
from robot_ai.micro_ros.transports.serial_port import advise
from robot_ai.micro_ros.wire import ObjectKind

TYPE = "std_msgs::msg::dds_::UInt32_"
KEY = b"\x01\x02\x03\x04"


@contextmanager
def served(
    *transports: TransportSettings, settings: AgentSettings | None = None
) -> Iterator[tuple[AgentServer, Loopback]]:
    middleware = Loopback()
    server = AgentServer(middleware, transports, settings)
    middleware.inbox = server.inbox
    server.start()
    try:
        yield server, middleware
    finally:
        assert server.stop()


def eventually(condition: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not come about"
        time.sleep(0.01)


def make(runner: ClientRunner, *, reads: bool = True) -> None:
    client, now = runner.client, time.monotonic()
    requests = [
        client.create_participant(0, "mcu", 0, now),
        client.create_topic(0, "rt/numbers", TYPE, 0, now),
        client.create_publisher(0, 0, now),
        client.create_datawriter(0, 0, 0, now),
        client.create_subscriber(0, 0, now),
        client.create_datareader(0, 0, 0, now),
    ]
    last = runner.wait(Answer, lambda answer: answer.request_id == requests[-1])
    assert last is not None and last.ok
    if reads:
        client.read(0, ObjectKind.DATAREADER, now)
        assert runner.confirm()


def echo(runner: ClientRunner, number: int) -> None:
    runner.client.write(0, struct.pack("<I", number), time.monotonic())
    sample = runner.wait(Sample)
    assert sample is not None and struct.unpack("<I", sample.cdr) == (number,)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_client_over_udp(host):
    with served(UdpSettings(host, 0)) as (server, middleware):
        with ClientRunner(XrceClient(KEY), UdpLink(host, server.ports()[0])) as runner:
            assert runner.login()
            make(runner)
            for number in range(20):
                echo(runner, number)
            runner.client.ping()
            pong = runner.wait(Pong)
            assert pong is not None and pong.in_session
            runner.client.ask_time(time.time_ns() - 10**12)
            offset = runner.wait(TimeOffset)
            assert offset is not None and abs(offset.nanoseconds - 10**12) < 10**9
            eventually(lambda: server.statistics().clients and server.statistics().clients[0].samples_in == 20)
            (client,) = server.statistics().clients
            assert client.client.key == "01020304"
            assert client.samples_out == 20 and not client.dropped and client.round_trip is not None
            assert client.clock_offset == pytest.approx(-1000, abs=1)
            runner.client.logout()
            assert runner.wait(Answer) is not None
        assert [event.change for event in middleware.events] == [ClientChange.CONNECTED, ClientChange.REMOVED]
        assert not middleware.specs


def test_services_between_two_clients():
    with (
        served(UdpSettings(port=0)) as (server, _),
        ClientRunner(XrceClient(KEY), UdpLink(port=server.ports()[0])) as serving,
        ClientRunner(XrceClient(b"\x05\x06\x07\x08"), UdpLink(port=server.ports()[0])) as calling,
    ):
        for runner, kind in ((serving, ObjectKind.REPLIER), (calling, ObjectKind.REQUESTER)):
            assert runner.login()
            now = time.monotonic()
            runner.client.create_participant(0, "mcu", 0, now)
            made = runner.client.create_service(0, kind, "/add", ("Add_Request_", "Add_Response_"), 0, now)
            answer = runner.wait(Answer, lambda answer, made=made: answer.request_id == made)
            assert answer is not None and answer.ok
            runner.client.read(0, kind, now)
            assert runner.confirm()
        # Three calls are out at once, and answered in the opposite order.
        calls = [calling.client.call(0, struct.pack("<I", number), time.monotonic()) for number in range(3)]
        assert calling.confirm()
        requests = [serving.wait(Request) for _ in range(3)]
        for request in reversed(requests):
            assert request is not None
            serving.client.reply(0, request.identity, request.cdr + b"done", time.monotonic())
        assert serving.confirm()
        replies = [calling.wait(Reply) for _ in range(3)]
        assert [reply and (reply.request_id, reply.cdr) for reply in replies] == [
            (calls[number], struct.pack("<I", number) + b"done") for number in (2, 1, 0)
        ]


def test_a_canceled_reading_is_answered_at_once():
    with (
        served(UdpSettings(port=0)) as (server, _),
        ClientRunner(XrceClient(KEY), UdpLink(port=server.ports()[0])) as runner,
    ):
        assert runner.login()
        make(runner)
        cancel = runner.client.read(0, ObjectKind.DATAREADER, time.monotonic(), samples=0)
        answer = runner.wait(Answer, lambda answer: answer.request_id == cancel)
        assert answer is not None and answer.ok


def test_a_cable_that_is_pulled_and_plugged_in_again(tmp_path):
    port = tmp_path / "by-id"
    with served(SerialSettings(str(port))) as (server, middleware):
        assert not server.statistics().transports[0].open
        client = XrceClient(KEY)
        with ClientRunner(client, PtyLink(port)) as runner:
            eventually(lambda: server.statistics().transports[0].open)
            assert runner.login()
            make(runner)
            echo(runner, 1)
        eventually(lambda: not server.statistics().transports[0].open)
        assert "tried again" in server.statistics().transports[0].state
        # The session outlives the line: the same client goes on without logging in again.
        with ClientRunner(client, PtyLink(port)) as runner:
            eventually(lambda: server.statistics().transports[0].open)
            echo(runner, 2)
        assert [event.change for event in middleware.events] == [ClientChange.CONNECTED]


def test_several_serial_lines_at_once(tmp_path):
    ports = [tmp_path / name for name in ("left", "right")]
    links = [PtyLink(port) for port in ports]
    with served(*(SerialSettings(str(port)) for port in ports)) as (server, _):
        eventually(lambda: all(transport.open for transport in server.statistics().transports))
        for number, link in enumerate(links):
            with ClientRunner(XrceClient(bytes((9, 9, 9, number))), link) as runner:
                assert runner.login()
                make(runner)
                echo(runner, number)


def test_a_client_over_tcp_in_small_pieces():
    with served(TcpSettings(port=0)) as (server, middleware):
        client = XrceClient(KEY)
        with socket.create_connection(("127.0.0.1", server.ports()[0])) as connection:
            connection.settimeout(5)
            client.login(0.0)
            (message,) = client.output
            for byte in len(message).to_bytes(2, "little") + message:
                connection.sendall(bytes((byte,)))
            length = int.from_bytes(connection.recv(2, socket.MSG_WAITALL), "little")
            client.receive(connection.recv(length, socket.MSG_WAITALL), 0.0)
            assert client.connected
        eventually(lambda: [e.change for e in middleware.events] == [ClientChange.CONNECTED, ClientChange.SILENT])


def test_keys_and_networks_that_are_not_allowed():
    only = AgentSettings(allowed_keys=frozenset({"0A0B0C0D"}))
    with served(UdpSettings(port=0), settings=only) as (server, _):
        with ClientRunner(XrceClient(KEY), UdpLink(port=server.ports()[0])) as runner:
            assert not runner.login(0.5)
        with ClientRunner(XrceClient(b"\x0a\x0b\x0c\x0d"), UdpLink(port=server.ports()[0])) as runner:
            assert runner.login()
    with served(UdpSettings(port=0, allowed_networks=("10.0.0.0/8",))) as (server, _):
        with ClientRunner(XrceClient(KEY), UdpLink(port=server.ports()[0])) as runner:
            assert not runner.login(0.5)
        eventually(lambda: server.statistics().transports[0].rejected.get("senders not allowed"))


def test_an_address_in_use_is_an_error_that_says_so():
    with served(UdpSettings(port=0)) as (server, _):
        second = AgentServer(Loopback(), [UdpSettings(port=server.ports()[0])])
        with pytest.raises(TransportError, match="another agent"):
            second.start()
        assert second.stop()


def test_a_flood_does_not_starve_others():
    with (
        served(UdpSettings(port=0)) as (server, _),
        ClientRunner(XrceClient(KEY), UdpLink(port=server.ports()[0])) as runner,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood,
    ):
        flood.connect(("127.0.0.1", server.ports()[0]))
        assert runner.login()
        make(runner)
        ping = XrceClient(b"\x06\x06\x06\x06")
        ping.ping()
        for number in range(200):
            for _ in range(50):
                flood.send(ping.output[0])
            echo(runner, number)


def test_a_device_that_is_no_serial_port_is_said_not_raised(tmp_path: Path):
    file = tmp_path / "file"
    file.write_text("no port")
    with served(SerialSettings(str(file))) as (server, _):
        assert "expected a serial port" in server.statistics().transports[0].state


def test_a_port_that_cannot_be_had_is_said_with_what_to_do(tmp_path: Path):
    port = tmp_path / "by-id"
    with served(SerialSettings(str(port))) as (server, _):
        assert "is it plugged in? `ls /dev/serial/by-id`" in server.statistics().transports[0].state
        with closing(PtyLink(port)):
            eventually(lambda: server.statistics().transports[0].open)
            with served(SerialSettings(str(port))) as (second, _):
                assert f"`fuser -v {port}`" in second.statistics().transports[0].state


@pytest.mark.parametrize(
    ("number", "advice"), [(errno.EACCES, "group dialout"), (errno.EPERM, "group dialout"), (errno.EIO, "")]
)
def test_what_to_do_about_a_port(number: int, advice: str):
    assert advice in advise(OSError(number, "no"), "/dev/ttyUSB0")


@contextmanager
def no_more_files() -> Iterator[None]:
    """Within this block the process can open no file or socket."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_connection_that_cannot_be_accepted_waits_and_does_not_keep_the_agent_busy():
    with served(TcpSettings(port=0)) as (server, _), socket.socket() as late:
        with no_more_files():
            late.connect(("127.0.0.1", server.ports()[0]))
            eventually(lambda: server.statistics().transports[0].rejected)
            ((cause, count),) = server.statistics().transports[0].rejected.items()
        assert cause == "connections that could not be accepted" and count < 10
        late.settimeout(5)
        client = XrceClient(KEY)
        client.login(0.0)
        (message,) = client.output
        late.sendall(len(message).to_bytes(2, "little") + message)
        length = int.from_bytes(late.recv(2, socket.MSG_WAITALL), "little")
        client.receive(late.recv(length, socket.MSG_WAITALL), 0.0)
        assert client.connected
