#include "board.h"

void app_main(void)
{
  app_run();
}
