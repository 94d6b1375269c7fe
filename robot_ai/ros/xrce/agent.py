"""The agent with its ROS side: what a node starts, asks and ends."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from rclpy.node import Node

from robot_ai.micro_ros.config import AgentSettings, TransportSettings
from robot_ai.micro_ros.middleware import AgentStatistics, ClientChange, ClientEvent
from robot_ai.micro_ros.notices import LOGGER
from robot_ai.micro_ros.server import AgentServer
from robot_ai.ros.diagnostics import Status
from robot_ai.ros.xrce.diagnostics import ClientReports
from robot_ai.ros.xrce.logs import RosLogHandler
from robot_ai.ros.xrce.middleware import RosMiddleware


class RosAgent:
    """An XRCE agent whose clients are nodes beside `node`. Raises TransportError when an address cannot be had."""

    def __init__(
        self, node: Node, transports: Sequence[TransportSettings], settings: AgentSettings, follow_domains: bool
    ) -> None:
        self._handler = RosLogHandler(node.get_logger())
        LOGGER.addHandler(self._handler)
        LOGGER.setLevel(logging.INFO)
        # The network thread puts clients in and out; a dict's own operations are atomic.
        self._silent: dict[str, bool] = {}
        self._reports = ClientReports()
        self._middleware = RosMiddleware(node, follow_domains, self._on_client)
        self._server = AgentServer(self._middleware, transports, settings)
        self._middleware.connect(self._server.inbox)
        try:
            self._server.start()
        except Exception:
            self._end()
            raise

    def link_fault(self, mcu_node: str) -> str:
        """What is wrong with the link to the client that has the node `mcu_node`, or, without a name, to any client.

        Empty when nothing is wrong.
        """
        statistics = self._server.statistics()
        closed = [transport.name for transport in statistics.transports if not transport.open]
        faults = []
        for client in statistics.clients:
            key, link = client.client.key, client.client.link
            # The statistics may still show a client that has been removed.
            if key not in self._silent or (mcu_node and mcu_node not in self._middleware.node_names(key)):
                continue
            broken = [name for name in closed if link == name or link.startswith(f"{name} ")]
            if broken:
                faults.append(f"{broken[0]} is closed")
            elif self._silent[key]:
                faults.append(f"client {key} is silent")
            else:
                return ""
        if faults:
            return faults[0]
        return f"no client has the node {mcu_node}" if mcu_node else "no client is connected"

    def describe(self, prefix: str) -> list[Status]:
        """A status of the agent and one of each client."""
        statistics = self._server.statistics()
        agent = Status(f"{prefix}: agent", "")
        self._reports.agent(agent, statistics)
        return [agent, *self._client_statuses(prefix, statistics)]

    def close(self) -> None:
        """Lets all clients go and ends the threads; one that does not end is said."""
        if not self._server.stop():
            LOGGER.error("the agent's network thread does not end: its ports stay taken until this process ends")
        self._end()

    def _end(self) -> None:
        self._middleware.close()
        LOGGER.removeHandler(self._handler)

    def _client_statuses(self, prefix: str, statistics: AgentStatistics) -> list[Status]:
        keys = [client.client.key for client in statistics.clients]
        drops = {key: self._middleware.drops(key) for key in keys}
        nodes = {key: self._middleware.node_names(key) for key in keys}
        return self._reports.clients(prefix, statistics, drops, nodes)

    def _on_client(self, event: ClientEvent) -> None:
        if event.change is ClientChange.REMOVED:
            self._silent.pop(event.client.key, None)
        else:
            self._silent[event.client.key] = event.change is ClientChange.SILENT
