/* The application: a robot's base as a micro-ROS node. Topics and states: docs/micro_ros.md. */
#include <math.h>

#include <geometry_msgs/msg/twist.h>
#include <micro_ros_utilities/string_utilities.h>
#include <micro_ros_utilities/type_utilities.h>
#include <nav_msgs/msg/odometry.h>
#include <rcl/rcl.h>
#include <rclc/executor.h>
#include <rclc/rclc.h>
#include <rmw_microros/rmw_microros.h>
#include <sensor_msgs/msg/battery_state.h>
#include <std_msgs/msg/bool.h>
#include <std_msgs/msg/float32_multi_array.h>
#include <std_msgs/msg/u_int32.h>
#include <std_srvs/srv/set_bool.h>

#include "board.h"
#include "compact_detections.h"
#include "drive.h"
#include "inference_hook.h"

/* Who this MCU is, set by the build (see README.md). */
#ifndef MCU_NODE_NAME
#define MCU_NODE_NAME "mcu"
#endif
#ifndef MCU_NAMESPACE
#define MCU_NAMESPACE ""
#endif
#ifndef MCU_DOMAIN_ID
#define MCU_DOMAIN_ID 0
#endif
#ifndef MCU_CLIENT_KEY
#define MCU_CLIENT_KEY 0 /* drawn by the middleware; boards that start with the same clock draw the same one */
#endif

#define HEARTBEAT_MS 100
#define CONTROL_MS 20
#define ODOMETRY_MS 50
#define BATTERY_MS 1000
#define PING_MS 500
#define PING_TIMEOUT_MS 100
#define PUBLISH_TIMEOUT_MS 20
#define PINGS_MISSED 3
#define TIME_SYNC_MS 60000
#define HANDLES 6
#define NEAR_METERS 1.0f

typedef enum { WAITING_FOR_AGENT, AGENT_FOUND, CONNECTED, AGENT_LOST } link_state_t;

static const drive_config_t DRIVE = {
  .wheel_separation = 0.25f, .max_wheel_speed = 0.8f, .host_timeout_ms = 300, .command_timeout_ms = 500};

static drive_t drive;
static odometry_t odometry;

static rclc_support_t support;
static rcl_allocator_t allocator;
static rcl_node_t node;
static rclc_executor_t executor;
static rcl_publisher_t heartbeat_publisher, battery_publisher, odometry_publisher;
static rcl_subscription_t host_subscription, stop_subscription, command_subscription, detections_subscription;
static rcl_service_t lamp_service;

static std_msgs__msg__UInt32 heartbeat, host_heartbeat;
static std_msgs__msg__Bool stop;
static geometry_msgs__msg__Twist command;
static std_msgs__msg__Float32MultiArray detections;
static sensor_msgs__msg__BatteryState battery;
static nav_msgs__msg__Odometry odometry_message;
static std_srvs__srv__SetBool_Request lamp_request;
static std_srvs__srv__SetBool_Response lamp_response;

/* The control step runs beside us (see board_start_control): what it shares is touched under the lock. */
static void on_host(const void *message)
{
  (void)message;
  board_lock();
  drive_heartbeat(&drive, board_millis());
  board_unlock();
}

static void on_stop(const void *message)
{
  board_lock();
  drive_stop(&drive, ((const std_msgs__msg__Bool *)message)->data);
  board_unlock();
}

static void on_command(const void *message)
{
  const geometry_msgs__msg__Twist *twist = message;
  board_lock();
  drive_command(&drive, board_millis(), twist->linear.x, twist->angular.z);
  board_unlock();
}

/* The LED says that something is seen, the relay that it is near, the servo points at it. */
static void on_detections(const void *message)
{
  const std_msgs__msg__Float32MultiArray *array = message;
  size_t count = compact_count(array->data.data, array->data.size);
  board_set_led(count > 0);
  if (count == 0) {
    board_set_relay(false);
    return;
  }
  compact_detection_t first = compact_row(array->data.data, 0);
  board_set_relay(first.range < NEAR_METERS);
  if (!isnan(first.bearing)) {
    board_set_servo(first.bearing);
  }
}

static void on_lamp(const void *request, void *response)
{
  std_srvs__srv__SetBool_Response *answer = response;
  bool on = ((const std_srvs__srv__SetBool_Request *)request)->data;
  board_set_relay(on);
  answer->success = true;
  answer->message = micro_ros_string_utilities_set(answer->message, on ? "relay on" : "relay off");
}

/* Sequences and strings get their memory once, so that nothing is allocated while the robot drives. */
static bool make_messages(void)
{
  static micro_ros_utilities_memory_conf_t detections_memory = {
    .max_string_capacity = 40,
    .max_ros2_type_sequence_capacity = 2,
    .max_basic_type_sequence_capacity = COMPACT_OFFSET + COMPACT_FIELDS * COMPACT_MAX_ROWS};
  static micro_ros_utilities_memory_conf_t small_memory = {
    .max_string_capacity = 32, .max_ros2_type_sequence_capacity = 1, .max_basic_type_sequence_capacity = 1};
  bool made = micro_ros_utilities_create_message_memory(
                ROSIDL_GET_MSG_TYPE_SUPPORT(std_msgs, msg, Float32MultiArray), &detections, detections_memory) &&
    micro_ros_utilities_create_message_memory(
                ROSIDL_GET_MSG_TYPE_SUPPORT(sensor_msgs, msg, BatteryState), &battery, small_memory) &&
    micro_ros_utilities_create_message_memory(
                ROSIDL_GET_MSG_TYPE_SUPPORT(nav_msgs, msg, Odometry), &odometry_message, small_memory);
  battery.power_supply_technology = sensor_msgs__msg__BatteryState__POWER_SUPPLY_TECHNOLOGY_LION;
  battery.present = true;
  battery.cell_voltage.size = battery.cell_temperature.size = 0;
  battery.temperature = battery.current = battery.charge = battery.capacity = battery.design_capacity = NAN;
  battery.percentage = NAN;
  odometry_message.header.frame_id = micro_ros_string_utilities_set(odometry_message.header.frame_id, "odom");
  odometry_message.child_frame_id = micro_ros_string_utilities_set(odometry_message.child_frame_id, "base_link");
  lamp_response.message = micro_ros_string_utilities_init_with_size(32);
  return made;
}

static bool start_session(void)
{
  rcl_init_options_t options = rcl_get_zero_initialized_init_options();
  if (rcl_init_options_init(&options, allocator) != RCL_RET_OK) {
    return false;
  }
  bool made = rcl_init_options_set_domain_id(&options, MCU_DOMAIN_ID) == RCL_RET_OK;
  if (MCU_CLIENT_KEY != 0) {
    made = made &&
      rmw_uros_options_set_client_key(MCU_CLIENT_KEY, rcl_init_options_get_rmw_init_options(&options)) == RMW_RET_OK;
  }
  made = made && rclc_support_init_with_options(&support, 0, NULL, &options, &allocator) == RCL_RET_OK;
  rcl_ret_t ignored = rcl_init_options_fini(&options);
  (void)ignored;
  return made;
}

static bool create_entities(void)
{
  const rosidl_message_type_support_t *uint32 = ROSIDL_GET_MSG_TYPE_SUPPORT(std_msgs, msg, UInt32);
  allocator = rcl_get_default_allocator();
  rcl_node_options_t options = rcl_node_get_default_options();
  options.enable_rosout = false;
  bool made = start_session();
  made = made &&
    rclc_node_init_with_options(&node, MCU_NODE_NAME, MCU_NAMESPACE, &support, &options) == RCL_RET_OK;
  made = made &&
    rclc_publisher_init_best_effort(&heartbeat_publisher, &node, uint32, "mcu/heartbeat") == RCL_RET_OK;
  made = made && rclc_publisher_init_best_effort(
                   &battery_publisher, &node, ROSIDL_GET_MSG_TYPE_SUPPORT(sensor_msgs, msg, BatteryState),
                   "mcu/battery") == RCL_RET_OK;
  /* With its covariances an Odometry is 712 bytes: more than a best-effort message of 512 holds. */
  made = made && rclc_publisher_init_default(
                   &odometry_publisher, &node, ROSIDL_GET_MSG_TYPE_SUPPORT(nav_msgs, msg, Odometry),
                   "mcu/odom") == RCL_RET_OK;
  made = made &&
    rclc_subscription_init_best_effort(&host_subscription, &node, uint32, "mcu/host_heartbeat") == RCL_RET_OK;
  made = made && rclc_subscription_init_default(
                   &stop_subscription, &node, ROSIDL_GET_MSG_TYPE_SUPPORT(std_msgs, msg, Bool), "mcu/stop") ==
      RCL_RET_OK;
  made = made && rclc_subscription_init_best_effort(
                   &command_subscription, &node, ROSIDL_GET_MSG_TYPE_SUPPORT(geometry_msgs, msg, Twist),
                   "mcu/cmd_vel") == RCL_RET_OK;
  made = made && rclc_subscription_init_best_effort(
                   &detections_subscription, &node,
                   ROSIDL_GET_MSG_TYPE_SUPPORT(std_msgs, msg, Float32MultiArray), "mcu/detections") == RCL_RET_OK;
  made = made && rclc_service_init_default(
                   &lamp_service, &node, ROSIDL_GET_SRV_TYPE_SUPPORT(std_srvs, srv, SetBool), "mcu/set_relay") ==
      RCL_RET_OK;
  if (made) {
    /* A reliable publish waits for its acknowledgement: not longer than this, or heartbeats come late. */
    rmw_uros_set_publisher_session_timeout(rcl_publisher_get_rmw_handle(&odometry_publisher), PUBLISH_TIMEOUT_MS);
  }
  made = made && rclc_executor_init(&executor, &support.context, HANDLES, &allocator) == RCL_RET_OK;
  made = made && rclc_executor_add_subscription(
                   &executor, &host_subscription, &host_heartbeat, on_host, ON_NEW_DATA) == RCL_RET_OK;
  made = made &&
    rclc_executor_add_subscription(&executor, &stop_subscription, &stop, on_stop, ON_NEW_DATA) == RCL_RET_OK;
  made = made && rclc_executor_add_subscription(
                   &executor, &command_subscription, &command, on_command, ON_NEW_DATA) == RCL_RET_OK;
  made = made && rclc_executor_add_subscription(
                   &executor, &detections_subscription, &detections, on_detections, ON_NEW_DATA) == RCL_RET_OK;
  made = made &&
    rclc_executor_add_service(&executor, &lamp_service, &lamp_request, &lamp_response, on_lamp) == RCL_RET_OK;
  return made;
}

static void destroy_entities(void)
{
  /* The agent may be gone: do not wait for its answers. */
  rmw_context_t *context = rcl_context_get_rmw_context(&support.context);
  (void)rmw_uros_set_context_entity_destroy_session_timeout(context, 0);
  rcl_ret_t ignored = rclc_executor_fini(&executor);
  ignored = rcl_service_fini(&lamp_service, &node);
  ignored = rcl_subscription_fini(&detections_subscription, &node);
  ignored = rcl_subscription_fini(&command_subscription, &node);
  ignored = rcl_subscription_fini(&stop_subscription, &node);
  ignored = rcl_subscription_fini(&host_subscription, &node);
  ignored = rcl_publisher_fini(&odometry_publisher, &node);
  ignored = rcl_publisher_fini(&battery_publisher, &node);
  ignored = rcl_publisher_fini(&heartbeat_publisher, &node);
  ignored = rcl_node_fini(&node);
  ignored = rclc_support_fini(&support);
  (void)ignored;
}

static bool due(uint32_t now, uint32_t *last, uint32_t period)
{
  if (now - *last < period) {
    return false;
  }
  *last = now;
  return true;
}

/* Not in the loop of the middleware, which may wait a second for an agent that is gone: the wheels must not. */
static void control(void)
{
  static bool moved;
  float left, right;
  board_lock();
  drive_wheels(&drive, board_millis(), &left, &right);
  board_unlock();
  board_set_wheels(left, right);
  bool moves = left != 0.0f || right != 0.0f;
  if (moves != moved) {
    board_say(moves ? "driving" : "standing");
    moved = moves;
  }
}

static void stamp(builtin_interfaces__msg__Time *time)
{
  int64_t nanoseconds = rmw_uros_epoch_synchronized() ? rmw_uros_epoch_nanos() : 0;
  time->sec = (int32_t)(nanoseconds / 1000000000);
  time->nanosec = (uint32_t)(nanoseconds % 1000000000);
}

static void publish(uint32_t now)
{
  static uint32_t heartbeat_at, odometry_at, battery_at;
  rcl_ret_t ignored;
  if (due(now, &heartbeat_at, HEARTBEAT_MS)) {
    heartbeat.data++;
    ignored = rcl_publish(&heartbeat_publisher, &heartbeat, NULL);
  }
  uint32_t elapsed = now - odometry_at;
  if (due(now, &odometry_at, ODOMETRY_MS)) {
    float left, right;
    board_read_wheels(&left, &right);
    odometry_add(&odometry, DRIVE.wheel_separation, left, right, (float)elapsed / 1000.0f);
    stamp(&odometry_message.header.stamp);
    odometry_message.pose.pose.position.x = odometry.x;
    odometry_message.pose.pose.position.y = odometry.y;
    odometry_message.pose.pose.orientation.z = sin(odometry.yaw / 2.0);
    odometry_message.pose.pose.orientation.w = cos(odometry.yaw / 2.0);
    odometry_message.twist.twist.linear.x = odometry.linear;
    odometry_message.twist.twist.angular.z = odometry.angular;
    ignored = rcl_publish(&odometry_publisher, &odometry_message, NULL);
  }
  if (due(now, &battery_at, BATTERY_MS)) {
    stamp(&battery.header.stamp);
    battery.voltage = board_battery_volts();
    ignored = rcl_publish(&battery_publisher, &battery, NULL);
  }
  (void)ignored;
}

/* One step of the connected state; false when the agent does not answer any more. */
static bool serve(uint32_t now)
{
  static uint32_t ping_at, time_at;
  static int missed;
  if (due(now, &ping_at, PING_MS)) {
    missed = rmw_uros_ping_agent(PING_TIMEOUT_MS, 1) == RMW_RET_OK ? 0 : missed + 1;
  }
  if (due(now, &time_at, TIME_SYNC_MS) || !rmw_uros_epoch_synchronized()) {
    (void)rmw_uros_sync_session(PING_TIMEOUT_MS);
  }
  (void)rclc_executor_spin_some(&executor, RCL_MS_TO_NS(5));
  publish(now);
  if (missed < PINGS_MISSED) {
    return true;
  }
  missed = 0;
  return false;
}

static link_state_t link_step(link_state_t state, uint32_t now)
{
  static uint32_t ping_at;
  switch (state) {
    case WAITING_FOR_AGENT:
      if (!due(now, &ping_at, PING_MS)) {
        return state;
      }
      return rmw_uros_ping_agent(PING_TIMEOUT_MS, 1) == RMW_RET_OK ? AGENT_FOUND : state;
    case AGENT_FOUND:
      if (create_entities()) {
        board_say("connected");
        return CONNECTED;
      }
      return AGENT_LOST;
    case CONNECTED:
      return serve(now) ? state : AGENT_LOST;
    default:
      board_say("agent lost");
      board_lock();
      drive_forget(&drive);
      board_unlock();
      destroy_entities();
      return WAITING_FOR_AGENT;
  }
}

void app_run(void)
{
  link_state_t state = WAITING_FOR_AGENT;
  board_init();
  drive_init(&drive, &DRIVE);
  (void)inference_init();
  if (!board_set_transport() || !make_messages()) {
    board_say("cannot start: no transport or no memory");
    return;
  }
  board_start_control(control, CONTROL_MS);
  while (board_running()) {
    state = link_step(state, board_millis());
    board_sleep_ms(1);
  }
  board_lock();
  drive_forget(&drive);
  board_unlock();
  if (state == CONNECTED) {
    destroy_entities();
  }
}
