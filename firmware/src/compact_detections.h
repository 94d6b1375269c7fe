/* Reading mcu/detections: docs/micro_ros.md has the format. Pure C, no ROS. */
#ifndef ROBOT_AI_COMPACT_DETECTIONS_H
#define ROBOT_AI_COMPACT_DETECTIONS_H

#include <stdbool.h>
#include <stddef.h>

#define COMPACT_OFFSET 2
#define COMPACT_FIELDS 5
#define COMPACT_MAX_ROWS 20

typedef struct {
  int class_index; /* -1: no known label */
  float score;
  float bearing; /* rad, positive to the left; NaN: unknown */
  float range;   /* m; NaN: unknown */
  float size;    /* rad; NaN: unknown */
} compact_detection_t;

/* How many rows are filled; 0 for numbers that are no compact detections. */
size_t compact_count(const float *data, size_t length);
/* Row `index`, which must be below compact_count. */
compact_detection_t compact_row(const float *data, size_t index);

#endif
