/* Linux: wheels that follow at once, and everything else on stdout. */
#define _POSIX_C_SOURCE 200809L
#include "board.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static volatile sig_atomic_t running = 1;
static void (*control_step)(void);
static uint32_t control_period;
static float wheel_speed[2], rolled[2];
static uint32_t rolled_at;

static void end(int number)
{
  (void)number;
  running = 0;
}

static void *control_thread(void *unused)
{
  while (running) {
    control_step();
    board_sleep_ms(control_period);
  }
  return unused;
}

void board_init(void)
{
  signal(SIGINT, end);
  signal(SIGTERM, end);
  setvbuf(stdout, NULL, _IOLBF, 0);
  rolled_at = board_millis();
}

uint32_t board_millis(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint32_t)(now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

void board_sleep_ms(uint32_t milliseconds)
{
  struct timespec pause = {milliseconds / 1000, (long)(milliseconds % 1000) * 1000000};
  nanosleep(&pause, NULL);
}

bool board_running(void)
{
  return running;
}

void board_start_control(void (*step)(void), uint32_t period_ms)
{
  pthread_t thread;
  control_step = step;
  control_period = period_ms;
  pthread_create(&thread, NULL, control_thread, NULL);
  pthread_detach(thread);
}

void board_lock(void)
{
  pthread_mutex_lock(&lock);
}

void board_unlock(void)
{
  pthread_mutex_unlock(&lock);
}

static void roll(void)
{
  uint32_t now = board_millis();
  float seconds = (float)(now - rolled_at) / 1000.0f;
  rolled_at = now;
  for (int side = 0; side < 2; side++) {
    rolled[side] += wheel_speed[side] * seconds;
  }
}

void board_set_wheels(float left, float right)
{
  board_lock();
  roll();
  wheel_speed[0] = left;
  wheel_speed[1] = right;
  board_unlock();
}

void board_read_wheels(float *left, float *right)
{
  board_lock();
  roll();
  *left = rolled[0];
  *right = rolled[1];
  rolled[0] = rolled[1] = 0.0f;
  board_unlock();
}

void board_say(const char *text)
{
  printf("%s\n", text);
}

float board_battery_volts(void)
{
  return 11.7f;
}

static void say(const char *what, bool on, int *last)
{
  if (*last != on) {
    *last = on;
    printf("%s %s\n", what, on ? "on" : "off");
  }
}

void board_set_led(bool on)
{
  static int last = -1;
  say("led", on, &last);
}

void board_set_relay(bool on)
{
  static int last = -1;
  say("relay", on, &last);
}

void board_set_servo(float angle)
{
  static float last = 100.0f;
  if (angle - last > 0.05f || last - angle > 0.05f) {
    last = angle;
    printf("servo %.2f rad\n", (double)angle);
  }
}

int main(void)
{
  app_run();
  return 0;
}
