/* What boards with FreeRTOS have alike: the control task, the lock, sleeping. Headers as on the ESP32. */
#include <freertos/FreeRTOS.h>
#include <freertos/semphr.h>
#include <freertos/task.h>

#include "board.h"

#define STACK_BYTES 4096

/* All of it static: a robot whose control task found no memory would drive without one. */
static StackType_t stack[STACK_BYTES / sizeof(StackType_t)];
static StaticTask_t task;
static StaticSemaphore_t mutex_memory;
static SemaphoreHandle_t mutex;
static void (*control_step)(void);
static TickType_t control_period;

static void control_task(void *unused)
{
  (void)unused;
  TickType_t woken = xTaskGetTickCount();
  for (;;) {
    control_step();
    vTaskDelayUntil(&woken, control_period);
  }
}

void board_start_control(void (*step)(void), uint32_t period_ms)
{
  mutex = xSemaphoreCreateMutexStatic(&mutex_memory);
  control_step = step;
  control_period = pdMS_TO_TICKS(period_ms);
  xTaskCreateStatic(
    control_task, "control", sizeof stack / sizeof stack[0], NULL, configMAX_PRIORITIES - 2, stack, &task);
}

void board_lock(void)
{
  xSemaphoreTake(mutex, portMAX_DELAY);
}

void board_unlock(void)
{
  xSemaphoreGive(mutex);
}

void board_sleep_ms(uint32_t milliseconds)
{
  TickType_t count = pdMS_TO_TICKS(milliseconds);
  vTaskDelay(count > 0 ? count : 1);
}

bool board_running(void)
{
  return true;
}
