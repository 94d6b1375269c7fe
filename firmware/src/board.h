/* What the application wants of a board. boards/<name>/ implements it. */
#ifndef ROBOT_AI_BOARD_H
#define ROBOT_AI_BOARD_H

#include <stdbool.h>
#include <stdint.h>

void board_init(void);
uint32_t board_millis(void);
void board_sleep_ms(uint32_t milliseconds);
bool board_running(void); /* false ends the application; a real board never says so */

/* Calls `step` every `period_ms` from a timer or a task of its own, whatever the main loop waits for. The lock between
 * the two exists from then on. */
void board_start_control(void (*step)(void), uint32_t period_ms);
void board_lock(void);
void board_unlock(void);

void board_set_wheels(float left, float right);       /* m/s */
void board_read_wheels(float *left, float *right);    /* meters rolled since the call before */
float board_battery_volts(void);
void board_set_led(bool on);
void board_set_relay(bool on);
void board_set_servo(float angle);                    /* rad, positive to the left */

/* For people, one line: never on the wire to the agent, where it would tear a frame. Called from any task. */
void board_say(const char *text);

/* Tells rmw_microxrcedds how to reach the agent; before anything else of micro-ROS. */
bool board_set_transport(void);

void app_run(void);

#endif
