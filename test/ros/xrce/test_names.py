"""DDS names to ROS names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_ai.ros.xrce.errors import NameRefusedError, TypeNotInstalledError
from robot_ai.ros.xrce.names import TopicName, message_type, node_name, service_name, service_type, topic_name
from robot_ai.ros.xrce.types import load, require_installed


def test_topics() -> None:
    assert topic_name("rt/robot/odom") == TopicName("/robot/odom", False)
    assert topic_name("HelloWorldTopic") == TopicName("HelloWorldTopic", True)


@pytest.mark.parametrize("name", ["", "rt/", "rt", "rt//a", "rt/1a", "rt/a b", "rt/a/", "/a", "rt/\n", "rt/ä"])
def test_topics_that_ros_has_no_name_for(name: str) -> None:
    if name == "rt":
        assert topic_name(name).plain
        return
    with pytest.raises(NameRefusedError, match="expected"):
        topic_name(name)


def test_services() -> None:
    assert service_name("anything", "rq/robot/addRequest") == "/robot/add"
    assert service_name("add", "add_Request") == "/add"
    with pytest.raises(NameRefusedError, match="expected"):
        service_name("a b", "")


def test_message_types() -> None:
    battery = message_type("sensor_msgs::msg::dds_::BatteryState_")
    assert str(battery) == "sensor_msgs/msg/BatteryState"
    assert load(battery).__name__ == "BatteryState"


@pytest.mark.parametrize(
    "name", ["HelloWorld", "std_msgs/msg/Int32", "std_msgs::msg::Int32", "os::msg::dds_::x_", "", "a::srv::dds_::B_"]
)
def test_types_that_ros_does_not_know(name: str) -> None:
    with pytest.raises(NameRefusedError):
        message_type(name)


def test_service_types() -> None:
    name = service_type("std_srvs::srv::dds_::SetBool_Request_", "std_srvs::srv::dds_::SetBool_Response_")
    assert load(name).Request().data is False
    for request, reply in (
        ("std_srvs::srv::dds_::SetBool_Request_", "std_srvs::srv::dds_::Trigger_Response_"),
        ("std_srvs::srv::dds_::SetBool_", "std_srvs::srv::dds_::SetBool_Response_"),
        ("std_msgs::msg::dds_::Int32_Request_", "std_msgs::msg::dds_::Int32_Response_"),
    ):
        with pytest.raises(NameRefusedError):
            service_type(request, reply)


def test_parts_of_an_action() -> None:
    feedback = message_type("tf2_msgs::action::dds_::LookupTransform_FeedbackMessage_")
    assert (str(feedback), feedback.part) == ("tf2_msgs/action/LookupTransform", "FeedbackMessage")
    goal = service_type(
        "tf2_msgs::action::dds_::LookupTransform_SendGoal_Request_",
        "tf2_msgs::action::dds_::LookupTransform_SendGoal_Response_",
    )
    assert (goal.name, goal.part) == ("LookupTransform", "SendGoalService")


def test_a_missing_package_is_named_with_its_cure() -> None:
    with pytest.raises(TypeNotInstalledError, match=r"'my_robot_msgs' is not installed.*ros-jazzy-my-robot-msgs"):
        require_installed(message_type("my_robot_msgs::msg::dds_::Wheel_"))


def test_a_missing_type_of_an_installed_package_is_named() -> None:
    with pytest.raises(TypeNotInstalledError, match="has no msg 'Wheel'"):
        require_installed(message_type("std_msgs::msg::dds_::Wheel_"))


def test_a_python_package_that_is_no_interface_package_is_not_imported() -> None:
    with pytest.raises(TypeNotInstalledError):
        require_installed(message_type("json::msg::dds_::Tool_"))


def test_node_names() -> None:
    assert node_name("motors", "CAFE0001") == ("motors", "/")
    assert node_name("/robot/base/motors", "CAFE0001") == ("motors", "/robot/base")
    assert node_name("", "CAFE0001") == ("xrce_client_cafe0001", "/")
    assert node_name("my-node 2", "CAFE0001") == ("my_node_2", "/")


@given(st.text(max_size=30))
def test_any_participant_gets_a_name_that_ros_accepts(name: str) -> None:
    from rclpy.validate_namespace import validate_namespace
    from rclpy.validate_node_name import validate_node_name

    node, namespace = node_name(name, "CAFE0001")
    assert validate_node_name(node)
    assert validate_namespace(namespace)
