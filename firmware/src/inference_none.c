#include "inference_hook.h"

bool inference_init(void)
{
  return false;
}

void *inference_input(size_t *size)
{
  *size = 0;
  return NULL;
}

bool inference_run(void)
{
  return false;
}

const void *inference_output(size_t index, size_t *size)
{
  (void)index;
  *size = 0;
  return NULL;
}
