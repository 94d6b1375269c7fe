// TensorFlow Lite Micro with what `robot_ai model export MODEL --to tflite-micro` writes. For the model `tiny` the build adds
// tiny.cc, the folder of tiny.h, and -DINFERENCE_HEADER='"tiny.h"' -DINFERENCE_MODEL=g_tiny.
#include "inference_hook.h"

#include INFERENCE_HEADER

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

#define JOINED(name, suffix) name##suffix
#define OF_MODEL(name, suffix) JOINED(name, suffix)

namespace {
alignas(16) uint8_t arena[OF_MODEL(INFERENCE_MODEL, _arena_size)];
tflite::MicroMutableOpResolver<OF_MODEL(INFERENCE_MODEL, _operation_count)> resolver;
tflite::MicroInterpreter *interpreter = nullptr;
}  // namespace

bool inference_init(void)
{
  const tflite::Model *model = tflite::GetModel(INFERENCE_MODEL);
  if (model->version() != TFLITE_SCHEMA_VERSION || !OF_MODEL(INFERENCE_MODEL, _add_operations)(resolver)) {
    return false;
  }
  static tflite::MicroInterpreter made(model, resolver, arena, sizeof(arena));
  interpreter = made.AllocateTensors() == kTfLiteOk ? &made : nullptr;
  return interpreter != nullptr;
}

void *inference_input(size_t *size)
{
  TfLiteTensor *input = interpreter != nullptr ? interpreter->input(0) : nullptr;
  *size = input != nullptr ? input->bytes : 0;
  return input != nullptr ? input->data.raw : nullptr;
}

bool inference_run(void)
{
  return interpreter != nullptr && interpreter->Invoke() == kTfLiteOk;
}

const void *inference_output(size_t index, size_t *size)
{
  bool there = interpreter != nullptr && index < interpreter->outputs_size();
  const TfLiteTensor *output = there ? interpreter->output(index) : nullptr;
  *size = output != nullptr ? output->bytes : 0;
  return output != nullptr ? output->data.raw : nullptr;
}
