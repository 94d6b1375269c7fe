// The application alone on its board. As a library it leaves setup and loop to your sketch.
extern "C" {
#include "board.h"
}

void setup()
{
  app_run();
}

void loop() {}
