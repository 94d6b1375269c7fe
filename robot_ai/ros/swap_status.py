"""What a node tells about its model: which one serves, what is being loaded, what went wrong last."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from robot_ai.backends.loading import BackendChoice
from robot_ai.ros.diagnostics import ERROR, OK, WARN, Status

_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class SwapStatus:
    """The `swap` status for /diagnostics, latched on backend_status too whenever `tell` is called."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publisher = node.create_publisher(DiagnosticStatus, "backend_status", _LATCHED)
        self.swaps = 0
        self.last_error = ""
        self.loading: BackendChoice | None = None
        self.serving = ""
        # The backend that was asked for and the one that serves in its place, if one does.
        self.replaced = ("", "")

    def describe(self, model: str) -> Status:
        """The status under the name of the model that is asked for."""
        status = Status(f"{self._node.get_fully_qualified_name().lstrip('/')}: swap", model)
        loading = self.loading
        status.values = {
            "serving": self.serving or "none",
            "loading": f"{loading.model} in {loading.backend}" if loading else "nothing",
            "swaps": str(self.swaps),
            "last error": self.last_error,
        }
        preferred, substitute = self.replaced
        if substitute:
            status.find(ERROR, f"'{preferred}' failed; serving with '{substitute}'")
        elif self.last_error:
            status.find(WARN, self.last_error)
        return status

    def tell(self, model: str) -> None:
        """Publishes it."""
        status = self.describe(model)
        if status.level == OK and self.loading is not None:
            status.find(OK, "loading; the model that serves goes on")
        self._publisher.publish(status.to_message())
