/* The motors' last guardian: decides how fast the wheels may turn. Pure C, no ROS, no clock of its own. */
#ifndef ROBOT_AI_DRIVE_H
#define ROBOT_AI_DRIVE_H

#include <stdbool.h>
#include <stdint.h>

/* Times in milliseconds of a clock that may wrap; speeds in m/s and rad/s; lengths in meters. */
typedef struct {
  float wheel_separation;
  float max_wheel_speed;
  uint32_t host_timeout_ms;    /* without the host's heartbeat for this long the wheels stop */
  uint32_t command_timeout_ms; /* a command older than this is forgotten */
} drive_config_t;

typedef struct {
  drive_config_t config;
  bool host_heard;
  bool stop_asked;
  uint32_t host_at;
  uint32_t command_at;
  float linear;
  float angular;
} drive_t;

typedef struct {
  double x, y, yaw;
  float linear, angular;
} odometry_t;

/* Starts stopped: only a heartbeat, a released stop and a fresh command together move the wheels. */
void drive_init(drive_t *drive, const drive_config_t *config);
void drive_heartbeat(drive_t *drive, uint32_t now);
void drive_stop(drive_t *drive, bool stop);
/* Numbers that are not finite count as a stop. */
void drive_command(drive_t *drive, uint32_t now, double linear, double angular);
/* The agent is gone: nothing heard so far counts any more. */
void drive_forget(drive_t *drive);
bool drive_may_move(const drive_t *drive, uint32_t now);
/* What the wheels shall do now, in m/s; zero whenever drive_may_move says no. */
void drive_wheels(const drive_t *drive, uint32_t now, float *left, float *right);
/* Adds what the wheels have rolled, in meters, within `seconds`. */
void odometry_add(odometry_t *odometry, float separation, float left, float right, float seconds);

#endif
