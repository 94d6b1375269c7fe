#include "compact_detections.h"

size_t compact_count(const float *data, size_t length)
{
  if (length < COMPACT_OFFSET || (length - COMPACT_OFFSET) % COMPACT_FIELDS != 0) {
    return 0;
  }
  size_t rows = (length - COMPACT_OFFSET) / COMPACT_FIELDS;
  /* Written so that NaN is refused, too. */
  return data[0] >= 0.0f && data[0] <= (float)rows ? (size_t)data[0] : 0;
}

compact_detection_t compact_row(const float *data, size_t index)
{
  const float *row = data + COMPACT_OFFSET + index * COMPACT_FIELDS;
  compact_detection_t detection = {(int)row[0], row[1], row[2], row[3], row[4]};
  return detection;
}
