// TensorFlow Lite Micro: add `tflite-micro` to the build and a model as `model_data` (xxd -i model_int8.tflite).
#include "inference_hook.h"

#include <cstring>

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

extern "C" const unsigned char model_data[];

namespace {
constexpr int kArenaSize = 64 * 1024;
alignas(16) uint8_t arena[kArenaSize];
tflite::MicroMutableOpResolver<8> resolver;
tflite::MicroInterpreter *interpreter = nullptr;
}  // namespace

bool inference_init(void)
{
  const tflite::Model *model = tflite::GetModel(model_data);
  if (model->version() != TFLITE_SCHEMA_VERSION) {
    return false;
  }
  resolver.AddConv2D();
  resolver.AddDepthwiseConv2D();
  resolver.AddFullyConnected();
  resolver.AddSoftmax();
  resolver.AddReshape();
  resolver.AddAveragePool2D();
  resolver.AddMaxPool2D();
  resolver.AddRelu();
  static tflite::MicroInterpreter made(model, resolver, arena, kArenaSize);
  interpreter = made.AllocateTensors() == kTfLiteOk ? &made : nullptr;
  return interpreter != nullptr;
}

bool inference_run(const int8_t *input, size_t input_size, int8_t *output, size_t output_size)
{
  if (interpreter == nullptr || interpreter->input(0)->bytes != input_size) {
    return false;
  }
  std::memcpy(interpreter->input(0)->data.int8, input, input_size);
  if (interpreter->Invoke() != kTfLiteOk || interpreter->output(0)->bytes != output_size) {
    return false;
  }
  std::memcpy(output, interpreter->output(0)->data.int8, output_size);
  return true;
}
