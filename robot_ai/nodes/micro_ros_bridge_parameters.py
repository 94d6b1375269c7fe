"""The parameters of micro_ros_bridge. docs/parameters.md is generated from here."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from robot_ai.mcu.compact import MAX_ROWS
from robot_ai.micro_ros.config import AgentSettings, SerialSettings, TcpSettings, TransportSettings, UdpSettings
from robot_ai.micro_ros.entity_xml import load_references
from robot_ai.micro_ros.errors import AgentSettingError, EntityXmlError
from robot_ai.ros.errors import ParameterError
from robot_ai.ros.parameter_spec import parameter
from robot_ai.safety.errors import SafetyLimitsError
from robot_ai.safety.watchdog import SafetyLimits

_NODE_NAME = re.compile(r"(/[A-Za-z_][A-Za-z0-9_]*)+")


@dataclass(frozen=True)
class MicroRosBridgeParameters:
    """A consistent set of values."""

    agent: str = parameter(
        "internal",
        "internal: speak DDS-XRCE here; external: an agent runs elsewhere, only the topics are served",
        choices=("internal", "external"),
    )
    udp_address: str = parameter(
        "127.0.0.1", "address to listen on, v4 or v6, for UDP and TCP; 0.0.0.0 lets other computers in"
    )
    udp_port: int = parameter(8888, "UDP port; 0: no UDP", minimum=0, maximum=65535)
    tcp_port: int = parameter(0, "TCP port; 0: no TCP", minimum=0, maximum=65535)
    serial_ports: tuple[str, ...] = parameter(
        (), "serial ports, best by their names below /dev/serial/by-id; port@baud gives one a rate of its own"
    )
    baud_rate: int = parameter(115200, "rate of the serial ports that name none", minimum=1200, maximum=12_000_000)
    allowed_keys: tuple[str, ...] = parameter((), "client keys that are let in, 8 hexadecimal digits each; empty: all")
    allowed_networks: tuple[str, ...] = parameter(
        (), "networks that UDP and TCP clients may come from, such as 192.168.1.0/24; empty: all that reach the port"
    )
    follow_client_domain: bool = parameter(
        False, "put a client that names domain 0 there; otherwise 0, firmware's default, means the bridge's own domain"
    )
    max_clients: int = parameter(64, "most clients at once", minimum=1, maximum=1000)
    max_entities: int = parameter(512, "most entities per client", minimum=1, maximum=4095)
    max_sample: int = parameter(1 << 20, "largest sample from a client, in bytes", minimum=64, maximum=1 << 28)
    max_message_rate: float = parameter(
        0.0, "most XRCE messages per second taken from one client; 0: no limit", minimum=0.0, maximum=1e6
    )
    max_stranger_rate: float = parameter(
        50.0,
        "most messages per second taken from one address without a session, and ten times as many from one computer; "
        "0: no limit",
        minimum=0.0,
        maximum=1e6,
    )
    input_history: int = parameter(
        4,
        "messages that a client's reliable input stream holds, RMW_UXRCE_STREAM_HISTORY in its build; larger samples "
        "than fit are dropped, because they would hang it",
        minimum=1,
        maximum=64,
    )
    references: str = parameter(
        "", "XML file of the profiles that clients may name instead of describing entities, as the stock agent's --refs"
    )
    liveliness: float = parameter(
        5.0, "seconds of silence after which a client is reported as silent", minimum=0.1, maximum=3600.0
    )
    remove_after: float = parameter(
        60.0, "seconds of silence after which a client leaves the graph; 0: never", minimum=0.0, maximum=86_400.0
    )
    probe_period: float = parameter(
        4.0,
        "seconds between questions to a client that says nothing; 0: none are asked. Longer than any time that it "
        "spends in uxr_run_session_time, which waits for that much silence and so would never return",
        minimum=0.0,
        maximum=3600.0,
    )
    mcu_node: str = parameter(
        "", "full name of the MCU's node that drives, such as /motors; empty: any client counts as the link"
    )
    stamped_cmd_vel: bool = parameter(False, "cmd_vel is a TwistStamped")
    watchdog_period: float = parameter(
        0.05, "seconds between two judgements, heartbeats and stops", minimum=0.005, maximum=1.0
    )
    detections_timeout: float = parameter(
        0.5, "age of detections, in s, that means STOP; 0: not watched", minimum=0.0, maximum=60.0, while_running=True
    )
    link_timeout: float = parameter(
        1.0,
        "age of the MCU's heartbeat, in s, that means STOP; 0: not watched",
        minimum=0.0,
        maximum=60.0,
        while_running=True,
    )
    command_timeout: float = parameter(
        0.5,
        "age of the newest cmd_vel, in s, that means STOP while it asks for motion; 0: not watched",
        minimum=0.0,
        maximum=60.0,
        while_running=True,
    )
    stop_distance: float = parameter(
        0.0,
        "an obstacle nearer than this, in m, means STOP; 0: not watched. Needs detections_type 3d",
        minimum=0.0,
        maximum=100.0,
        while_running=True,
    )
    slow_distance: float = parameter(
        0.0, "an obstacle nearer than this, in m, means DEGRADED; 0: not watched", minimum=0.0, maximum=100.0,
        while_running=True,
    )  # fmt: skip
    turn_distance: float = parameter(
        0.0,
        "after the stop before an obstacle the robot may turn in place while the obstacle is no nearer than this, in "
        "m; 0: never. Larger than what sticks out furthest from the axis that it turns about",
        minimum=0.0, maximum=100.0, while_running=True,
    )  # fmt: skip
    obstacle_half_angle: float = parameter(
        math.pi, "only what reaches within this angle, in rad, left or right of ahead is an obstacle", minimum=0.0,
        maximum=math.pi, while_running=True,
    )  # fmt: skip
    obstacle_classes: tuple[str, ...] = parameter(
        (),
        "labels that count as obstacles, such as person, and what has had one of them where it is; empty: all",
        while_running=True,
    )
    resume_after: float = parameter(
        1.0, "seconds that all must have been well before STOP is left", minimum=0.0, maximum=60.0, while_running=True
    )
    degraded_speed: float = parameter(
        0.5, "share of cmd_vel that is passed on in DEGRADED, and of its turn in TURN_ONLY", minimum=0.0, maximum=1.0,
        while_running=True,
    )  # fmt: skip
    detections_type: str = parameter(
        "2d", "what comes on detections: 2d (Detection2DArray) or 3d (Detection3DArray)", choices=("2d", "3d")
    )
    mcu_detections: int = parameter(
        16, "rows of mcu/detections; 20 still fit one best-effort message of 512 bytes", minimum=1, maximum=MAX_ROWS,
        while_running=True,
    )  # fmt: skip
    mcu_detections_order: str = parameter(
        "nearest", "which detections come first: nearest (unknown ranges last) or best", choices=("nearest", "best"),
        while_running=True,
    )  # fmt: skip
    mcu_detections_rate: float = parameter(
        10.0, "most mcu/detections per second; 0: no limit", minimum=0.0, maximum=1000.0, while_running=True
    )
    autostart: bool = parameter(True, "configure and activate at start, without a lifecycle manager", read_only=True)

    @property
    def limits(self) -> SafetyLimits:
        """What the watchdog tolerates. Raises SafetyLimitsError."""
        return SafetyLimits(
            detections_timeout=self.detections_timeout,
            link_timeout=self.link_timeout,
            command_timeout=self.command_timeout,
            stop_distance=self.stop_distance,
            slow_distance=self.slow_distance,
            turn_distance=self.turn_distance,
            resume_after=self.resume_after,
            degraded_speed=self.degraded_speed,
        )

    @property
    def agent_settings(self) -> AgentSettings:
        """Limits and habits of the agent. Raises AgentSettingError, or EntityXmlError for the file of profiles."""
        return AgentSettings(
            allowed_keys=frozenset(key.upper() for key in self.allowed_keys),
            max_clients=self.max_clients,
            max_entities=self.max_entities,
            max_sample=self.max_sample,
            max_message_rate=self.max_message_rate,
            max_stranger_rate=self.max_stranger_rate,
            input_history=self.input_history,
            liveliness=self.liveliness,
            remove_after=self.remove_after,
            probe_period=self.probe_period,
            references=load_references(Path(self.references)) if self.references else {},
        )

    @property
    def transports(self) -> tuple[TransportSettings, ...]:
        """Where clients may come from. Raises AgentSettingError."""
        transports: list[TransportSettings] = []
        if self.udp_port:
            transports.append(UdpSettings(self.udp_address, self.udp_port, self.allowed_networks))
        if self.tcp_port:
            transports.append(TcpSettings(self.udp_address, self.tcp_port, self.allowed_networks))
        transports.extend(self._serial(port) for port in self.serial_ports)
        return tuple(transports)

    def _serial(self, port: str) -> SerialSettings:
        device, _, baud = port.partition("@")
        if baud and not baud.isdigit():
            raise AgentSettingError(f"serial port '{port}': expected a device, or a device@baud such as ttyUSB0@921600")
        return SerialSettings(device, int(baud) if baud else self.baud_rate)

    def check(self) -> None:
        """Raises ParameterError for values that no range can express."""
        try:
            limits, _, transports = self.limits, self.agent_settings, self.transports
        except (SafetyLimitsError, AgentSettingError, EntityXmlError) as error:
            raise ParameterError(str(error)) from error
        if self.agent == "internal" and not transports:
            raise ParameterError("no way in for a client: set udp_port, tcp_port or serial_ports, or agent: external")
        if len(set(self.serial_ports)) != len(self.serial_ports):
            raise ParameterError(f"serial_ports names one twice: {', '.join(self.serial_ports)}")
        if self.detections_type == "2d" and (limits.stop_distance or limits.slow_distance):
            raise ParameterError("stop_distance and slow_distance need ranges; expected detections_type 3d with them")
        if self.mcu_node and not _NODE_NAME.fullmatch(self.mcu_node):
            raise ParameterError(f"mcu_node is '{self.mcu_node}'; expected a full node name such as /motors")
