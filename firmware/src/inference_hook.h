/* A model on the MCU: inference_tflm.cc (TensorFlow Lite Micro) or, without one, inference_none.c. */
#ifndef ROBOT_AI_INFERENCE_HOOK_H
#define ROBOT_AI_INFERENCE_HOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

bool inference_init(void);
/* Runs the model on `input` (int8, quantized as the model says); false without a model or with a wrong size. */
bool inference_run(const int8_t *input, size_t input_size, int8_t *output, size_t output_size);

#ifdef __cplusplus
}
#endif
#endif
