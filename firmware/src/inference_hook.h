/* A model on the MCU: inference_tflm.cc (TensorFlow Lite Micro) or, without one, inference_none.c. */
#ifndef ROBOT_AI_INFERENCE_HOOK_H
#define ROBOT_AI_INFERENCE_HOOK_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* False without a model, or when it does not fit its arena. Call once; the other functions need it. */
bool inference_init(void);
/* Where the input of the next inference_run goes, and its size in bytes; NULL without a model. Its type is the model's own:
 * float32, NHWC for what `robot_ai model export` writes. The run may overwrite it. */
void *inference_input(size_t *size);
bool inference_run(void);
/* Output `index` of the last run, and its size in bytes, again of the model's own type; NULL when there is none. */
const void *inference_output(size_t index, size_t *size);

#ifdef __cplusplus
}
#endif

#endif
