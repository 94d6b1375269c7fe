"""ROS domains: in each one an executor, in a thread of its own, for the nodes of the clients there."""

from __future__ import annotations

import threading
from collections.abc import Callable

import rclpy
from rclpy.context import Context
from rclpy.experimental import EventsExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter

# The executor looks this often, in seconds, whether it is to end; everything else wakes it.
_WAIT = 0.2
_JOIN = 2.0


class Domain:
    """A context and the thread that runs the callbacks of its nodes.

    The nodes are made and destroyed by other threads. `complain` is told of exceptions out of callbacks.
    """

    def __init__(self, context: Context, owned: bool, complain: Callable[[str], None]) -> None:
        self._context = context
        self._owned = owned
        self._complain = complain
        self._closing = False
        self._executor = EventsExecutor(context=context)
        self._thread = threading.Thread(target=self._spin, name="xrce_ros", daemon=True)
        self._thread.start()

    @classmethod
    def join(cls, domain_id: int, complain: Callable[[str], None]) -> Domain:
        """Joins another domain than the process's own."""
        context = Context()
        rclpy.init(context=context, domain_id=domain_id)
        return cls(context, True, complain)

    def create_node(self, name: str, namespace: str) -> Node:
        """A node with nothing of its own: what a microcontroller does not offer is not on the graph."""
        node = Node(
            name,
            namespace=namespace,
            context=self._context,
            use_global_arguments=False,
            enable_rosout=False,
            start_parameter_services=False,
            parameter_overrides=[Parameter("start_type_description_service", value=False)],
        )
        self._executor.add_node(node)
        return node

    def destroy_node(self, node: Node) -> None:
        """Takes a node off the graph."""
        self._executor.remove_node(node)
        node.destroy_node()

    def close(self) -> None:
        """Ends the thread; the nodes must have been destroyed."""
        self._closing = True
        self._executor.wake()
        self._thread.join(_JOIN)
        self._executor.shutdown(timeout_sec=1.0)
        if self._owned:
            rclpy.try_shutdown(context=self._context)

    def _spin(self) -> None:
        while not self._closing and self._context.ok():
            try:
                self._executor.spin_once(timeout_sec=_WAIT)
            # One client's callback must not end all others'.
            except Exception as error:  # noqa: BLE001
                if not self._closing:
                    self._complain(f"a callback failed: {type(error).__name__}: {error}")
