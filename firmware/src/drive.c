#include "drive.h"

#include <math.h>

void drive_init(drive_t *drive, const drive_config_t *config)
{
  drive->config = *config;
  drive_forget(drive);
}

void drive_forget(drive_t *drive)
{
  drive->host_heard = false;
  drive->stop_asked = true;
  drive->host_at = drive->command_at = 0;
  drive->linear = drive->angular = 0.0f;
}

void drive_heartbeat(drive_t *drive, uint32_t now)
{
  drive->host_heard = true;
  drive->host_at = now;
}

void drive_stop(drive_t *drive, bool stop)
{
  drive->stop_asked = stop;
  if (stop) {
    /* A command from before the stop must not run after it. */
    drive->linear = drive->angular = 0.0f;
  }
}

void drive_command(drive_t *drive, uint32_t now, double linear, double angular)
{
  bool sane = isfinite(linear) && isfinite(angular);
  drive->linear = sane ? (float)linear : 0.0f;
  drive->angular = sane ? (float)angular : 0.0f;
  drive->command_at = now;
}

bool drive_may_move(const drive_t *drive, uint32_t now)
{
  return drive->host_heard && !drive->stop_asked && now - drive->host_at <= drive->config.host_timeout_ms;
}

void drive_wheels(const drive_t *drive, uint32_t now, float *left, float *right)
{
  *left = *right = 0.0f;
  if (!drive_may_move(drive, now) || now - drive->command_at > drive->config.command_timeout_ms) {
    return;
  }
  float turn = drive->angular * drive->config.wheel_separation / 2.0f;
  *left = drive->linear - turn;
  *right = drive->linear + turn;
  float fastest = fmaxf(fabsf(*left), fabsf(*right));
  if (fastest > drive->config.max_wheel_speed) {
    /* Both by the same factor, so that the curve stays the one that was asked for. */
    *left *= drive->config.max_wheel_speed / fastest;
    *right *= drive->config.max_wheel_speed / fastest;
  }
}

void odometry_add(odometry_t *odometry, float separation, float left, float right, float seconds)
{
  double rolled = (left + right) / 2.0, turned = (right - left) / separation;
  double heading = odometry->yaw + turned / 2.0;
  odometry->x += rolled * cos(heading);
  odometry->y += rolled * sin(heading);
  odometry->yaw = remainder(odometry->yaw + turned, 6.283185307179586);
  odometry->linear = seconds > 0.0f ? (float)rolled / seconds : 0.0f;
  odometry->angular = seconds > 0.0f ? (float)turned / seconds : 0.0f;
}
