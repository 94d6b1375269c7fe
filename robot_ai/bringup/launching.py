"""The table of nodes as launch descriptions: arguments, environment, lifecycle and respawn, once for all launch files.

Needs launch and launch_ros, which come with a ROS distribution; only the files in launch/ import this module.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import launch.logging
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    OpaqueFunction,
    RegisterEventHandler,
    TimerAction,
    UnregisterEventHandler,
)
from launch.conditions import IfCondition
from launch.event_handlers import OnProcessExit, OnProcessStart
from launch.events import matches_action
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.parameter_descriptions import ParameterFile
from lifecycle_msgs.msg import Transition

from launch import Action, EventHandler, LaunchContext, LaunchDescription
from robot_ai.bringup.backoff import Backoff
from robot_ai.bringup.table import BRIDGE, GUARDED, TOPICS, Executable, Member
from robot_ai.ros.environment import image_transport_environment
from robot_ai.ros.parameter_spec import ParameterSpec, from_text
from robot_ai.share import share_file

FROM_FILE = ""
BY_BRIDGE = ""
LIFECYCLES = ("node", "launch", "manual")
# `lifecycle` says it.
_NOT_ARGUMENTS = ("autostart",)
_SWITCHES = ("own_tf", "use_sim_time", "respawn", "shared_memory")


def describe_node(executable: Executable) -> LaunchDescription:
    """One node by itself: an argument for each of its topics and parameters."""
    member = Member("", executable.name, executable, {topic: topic for topic in executable.topics})
    topics = [
        DeclareLaunchArgument(topic, default_value=topic, description=meaning)
        for topic, meaning in executable.topics.items()
    ]
    return LaunchDescription([*_common(), *topics, *_node_arguments(member), OpaqueFunction(function=_starter(member))])


def describe_members(
    members: Sequence[Member], off: Sequence[str] = (), use_sim_time: bool = False, settings: str = FROM_FILE
) -> list[Action]:
    """Several nodes of a robot, each with a switch named by its role; those in `off` are off unless asked for.

    Arguments of a single node begin with its role: `camera.backend`. `settings` is the params_file of who gives none.
    """
    switches = [_switch(member.role, member.role not in off, member.meaning) for member in members]
    used = {topic for member in members for topic in member.topics.values()}
    topics = [
        DeclareLaunchArgument(name, default_value=topic.default, description=topic.meaning)
        if name not in GUARDED
        else DeclareLaunchArgument(
            name,
            default_value=BY_BRIDGE,
            description=f"{topic.meaning}; empty: {topic.default}, or {GUARDED[name]} with bridge:=true",
        )
        for name, topic in TOPICS.items()
        if name in used
    ]
    overlay = DeclareLaunchArgument(
        "params_file",
        default_value=settings,
        description="YAML file of parameters for all nodes, by name; wins over each node's own file; empty: none",
    )
    return [
        *_common(use_sim_time),
        *switches,
        *topics,
        overlay,
        *(argument for member in members for argument in _node_arguments(member)),
        *(
            OpaqueFunction(function=_starter(member), condition=IfCondition(LaunchConfiguration(member.role)))
            for member in members
        ),
    ]


def simulated_microcontroller() -> list[Action]:
    """Beside describe_members with the bridge: a microcontroller in software, on the bridge's UDP port."""
    return [
        _switch("simulated_mcu", True, "with bridge:=true, a simulated microcontroller joins it over UDP"),
        OpaqueFunction(function=_microcontroller),
    ]


def _microcontroller(context: LaunchContext) -> list[Action]:
    if not (_is_on(BRIDGE.role, context) and _is_on("simulated_mcu", context)):
        return []
    port = context.launch_configurations[f"{BRIDGE.role}.udp_port"] or str(BRIDGE.executable.specs["udp_port"].default)
    namespace = context.launch_configurations["namespace"]
    command = [sys.executable, "-m", "robot_ai.cli.simulated_mcu", "--udp", port, "--namespace", namespace]
    return [ExecuteProcess(cmd=command, name="simulated_mcu", output="screen")]


def _common(use_sim_time: bool = False) -> list[Action]:
    return [
        DeclareLaunchArgument("namespace", default_value="", description="ROS namespace, one for each robot"),
        _switch("own_tf", False, "tf and tf_static in the namespace, as several robots with equal frames need it"),
        _switch("use_sim_time", use_sim_time, "take time from /clock"),
        DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn, error or fatal"),
        DeclareLaunchArgument(
            "lifecycle",
            default_value="node",
            choices=list(LIFECYCLES),
            description="who configures and activates: node (it does so itself), launch (by lifecycle events; a node "
            "that is started again does it itself), manual (a lifecycle manager, or ros2 lifecycle)",
        ),
        _switch("respawn", True, "start a node again that died, after 1 s, and twice as long after each further death"),
        _switch(
            "shared_memory",
            True,
            "set the Fast DDS profile and the malloc environment for large images and clouds (docs/robot.md)",
        ),
    ]


def _switch(name: str, on: bool, meaning: str) -> DeclareLaunchArgument:
    return DeclareLaunchArgument(name, default_value=str(on).lower(), description=f"{meaning} [true or false]")


def _is_on(name: str, context: LaunchContext) -> bool:
    """Whether a switch is on; raises InvalidConditionExpressionError for what is neither true nor false."""
    return IfCondition(LaunchConfiguration(name)).evaluate(context)


def _node_arguments(member: Member) -> list[Action]:
    prefix, executable = _prefix(member), member.executable
    return [
        DeclareLaunchArgument(
            f"{prefix}name", default_value=executable.name, description=f"name of the node {executable.name}"
        ),
        DeclareLaunchArgument(
            f"{prefix}params_file",
            default_value=str(share_file(executable.config)),
            description="YAML file of parameters; arguments given here win over it",
        ),
        *(
            DeclareLaunchArgument(f"{prefix}{name}", default_value=FROM_FILE, description=_meaning(spec, member))
            for name, spec in _parameters(member).items()
        ),
    ]


def _parameters(member: Member) -> dict[str, ParameterSpec]:
    return {name: spec for name, spec in member.executable.specs.items() if name not in _NOT_ARGUMENTS}


def _meaning(spec: ParameterSpec, member: Member) -> str:
    otherwise = (
        f"{member.parameters[spec.name]!r}"
        if spec.name in member.parameters
        else f"as params_file says, else {spec.default!r}"
    )
    constraint = f", {spec.constraint}" if spec.constraint else ""
    return f"{spec.description} [{spec.type_name}{constraint}]; empty: {otherwise}"


def _prefix(member: Member) -> str:
    return f"{member.role}." if member.role else ""


def _starter(member: Member) -> Callable[[LaunchContext], list[Action]]:
    def start(context: LaunchContext) -> list[Action]:
        return _Start(context, member).actions()

    return start


class _Start:
    """Starts a member with the arguments that were given, and again when it dies."""

    def __init__(self, context: LaunchContext, member: Member) -> None:
        # A copy: an include of this description has been left, with its arguments, when the node dies.
        self._given = dict(context.launch_configurations)
        self._member = member
        self._prefix = _prefix(member)
        self._on = {name: _is_on(name, context) for name in (*_SWITCHES, BRIDGE.role) if name in self._given}
        self._backoff = Backoff()
        self._started = 0.0
        self._logger = launch.logging.get_logger(self._given[f"{self._prefix}name"])

    def actions(self, again: bool = False) -> list[Action]:
        """The node, and what happens when it has started, changed its state, or ended."""
        # DDS keeps a killed node's services for up to 20 s, so that a request meant for its successor is lost on it.
        by_events = self._given["lifecycle"] == "launch" and not again
        node = (LifecycleNode if by_events else Node)(
            package="robot_ai",
            executable=self._member.executable.name,
            name=self._given[f"{self._prefix}name"],
            namespace=self._given["namespace"],
            parameters=self._node_parameters(
                autostart=self._given["lifecycle"] == "node" or (again and self._given["lifecycle"] == "launch")
            ),
            remappings=self._member.remappings(self._topic_names(), self._on["own_tf"]),
            additional_env=image_transport_environment() if self._on["shared_memory"] else {},
            arguments=["--ros-args", "--log-level", self._given["log_level"]],
            output="screen",
        )
        bringup = _bringup(node) if by_events else []

        def ended(event: ProcessExited, context: LaunchContext) -> list[Action]:
            return [UnregisterEventHandler(handler) for handler in bringup] + self._again(event, context)

        handlers = [*bringup, OnProcessExit(target_action=node, on_exit=ended)]
        self._started = time.monotonic()
        return [*(RegisterEventHandler(handler) for handler in handlers), node]

    def _again(self, event: ProcessExited, context: LaunchContext) -> list[Action]:
        if context.is_shutdown or event.returncode == 0 or not self._on["respawn"]:
            return []
        delay = self._backoff.delay(time.monotonic() - self._started)
        self._logger.error(f"ended with exit code {event.returncode}; started again in {delay:g} s")
        return [TimerAction(period=delay, actions=[OpaqueFunction(function=lambda _: self.actions(again=True))])]

    def _node_parameters(self, autostart: bool) -> list[ParameterFile | dict[str, Any]]:
        """Only arguments that were given become parameters, so that they override the files and nothing else does."""
        given = {
            name: from_text(spec, text)
            for name, spec in _parameters(self._member).items()
            if (text := self._given[f"{self._prefix}{name}"]) != FROM_FILE
        }
        overlay = self._given["params_file"] if self._prefix else FROM_FILE
        return [
            ParameterFile(self._given[f"{self._prefix}params_file"], allow_substs=True),
            *([dict(self._member.parameters)] if self._member.parameters else []),
            *([ParameterFile(overlay, allow_substs=True)] if overlay != FROM_FILE else []),
            {"use_sim_time": self._on["use_sim_time"], "autostart": autostart, **given},
        ]

    def _topic_names(self) -> dict[str, str]:
        guarded = GUARDED if self._on.get(BRIDGE.role) else {}
        return {**guarded, **{name: value for name, value in self._given.items() if value}}


def _bringup(node: LifecycleNode) -> list[EventHandler]:
    """Configures the node when its process runs, and activates it once it is configured."""

    def change(transition: int) -> EmitEvent:
        return EmitEvent(event=ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition))

    return [
        OnProcessStart(target_action=node, on_start=[change(Transition.TRANSITION_CONFIGURE)]),
        OnStateTransition(
            target_lifecycle_node=node,
            start_state="configuring",
            goal_state="inactive",
            entities=[change(Transition.TRANSITION_ACTIVATE)],
        ),
    ]
