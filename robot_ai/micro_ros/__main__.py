"""Runs the agent without ROS, to try clients and links: topics and services go from client to client only."""

from __future__ import annotations

import argparse
import logging
import signal
import threading
from pathlib import Path

from robot_ai.micro_ros.config import AgentSettings, SerialSettings, TcpSettings, TransportSettings, UdpSettings
from robot_ai.micro_ros.entity_xml import load_references
from robot_ai.micro_ros.errors import AgentSettingError, EntityXmlError, TransportError
from robot_ai.micro_ros.loopback import Loopback
from robot_ai.micro_ros.server import AgentServer


def main() -> int:
    """Serves until SIGINT or SIGTERM; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m robot_ai.micro_ros", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address for --udp and --tcp")
    parser.add_argument("--udp", type=int, metavar="PORT")
    parser.add_argument("--tcp", type=int, metavar="PORT")
    parser.add_argument("--serial", action="append", default=[], metavar="DEVICE", help="may be given several times")
    parser.add_argument("--baud-rate", type=int, default=115200)
    parser.add_argument("--input-history", type=int, default=4, help="of the clients' reliable streams")
    parser.add_argument("--references", type=Path, metavar="XML", help="profiles of entities that clients may name")
    arguments = parser.parse_args()
    try:
        transports, settings = _transports(arguments), _settings(arguments)
    except (AgentSettingError, EntityXmlError) as error:
        parser.error(str(error))
    if not transports:
        parser.error("give --udp, --tcp or --serial")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    middleware = Loopback(keep=False)
    server = AgentServer(middleware, transports, settings)
    middleware.inbox = server.inbox
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        server.start()
    except TransportError as error:
        parser.exit(1, f"{error}\n")
    ended.wait()
    return 0 if server.stop() else 1


def _transports(arguments: argparse.Namespace) -> list[TransportSettings]:
    """Raises AgentSettingError."""
    transports: list[TransportSettings] = [SerialSettings(device, arguments.baud_rate) for device in arguments.serial]
    if arguments.udp is not None:
        transports.append(UdpSettings(arguments.host, arguments.udp))
    if arguments.tcp is not None:
        transports.append(TcpSettings(arguments.host, arguments.tcp))
    return transports


def _settings(arguments: argparse.Namespace) -> AgentSettings:
    """Raises AgentSettingError or EntityXmlError."""
    references = load_references(arguments.references) if arguments.references else {}
    return AgentSettings(input_history=arguments.input_history, references=references)


if __name__ == "__main__":
    raise SystemExit(main())
