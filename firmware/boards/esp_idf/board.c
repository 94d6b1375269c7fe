/* ESP-IDF: an ESP32 and its family. Pins and scales: `idf.py menuconfig`, "Robot MCU". */
#include "board.h"

#include <driver/gpio.h>
#include <driver/ledc.h>
#include <esp_adc/adc_oneshot.h>
#include <esp_log.h>
#include <esp_timer.h>
#include <math.h>
#include <sdkconfig.h>
#include <stdatomic.h>
#if defined(CONFIG_MICRO_ROS_ESP_NETIF_WLAN) || defined(CONFIG_MICRO_ROS_ESP_NETIF_ENET)
#include <uros_network_interfaces.h>
#define HAS_NETWORK
#endif

#define MOTOR_HZ 20000
#define MOTOR_BITS LEDC_TIMER_10_BIT
#define MOTOR_FULL 1023
#define SERVO_HZ 50
#define SERVO_BITS LEDC_TIMER_14_BIT
#define SERVO_COUNTS_PER_US ((1 << 14) / 20000.0f)
#define SERVO_FULL_ANGLE 0.7854f
#define ADC_FULL_VOLTS 3.3f
#define ADC_FULL_COUNTS 4095

static const gpio_num_t MOTOR_PWM[2] = {CONFIG_MCU_PIN_LEFT_PWM, CONFIG_MCU_PIN_RIGHT_PWM};
static const gpio_num_t MOTOR_DIRECTION[2] = {CONFIG_MCU_PIN_LEFT_DIRECTION, CONFIG_MCU_PIN_RIGHT_DIRECTION};
static const gpio_num_t ENCODER_A[2] = {CONFIG_MCU_PIN_LEFT_ENCODER_A, CONFIG_MCU_PIN_RIGHT_ENCODER_A};
static const gpio_num_t ENCODER_B[2] = {CONFIG_MCU_PIN_LEFT_ENCODER_B, CONFIG_MCU_PIN_RIGHT_ENCODER_B};
static const ledc_channel_t MOTOR_CHANNEL[2] = {LEDC_CHANNEL_0, LEDC_CHANNEL_1};
static const ledc_channel_t SERVO_CHANNEL = LEDC_CHANNEL_2;

static atomic_int ticks[2];
static adc_oneshot_unit_handle_t battery_unit;
static adc_channel_t battery_channel;

static void on_tick(void *argument)
{
  int side = (int)(intptr_t)argument;
  atomic_fetch_add(&ticks[side], gpio_get_level(ENCODER_B[side]) ? 1 : -1);
}

static void make_output(gpio_num_t pin)
{
  gpio_reset_pin(pin);
  ESP_ERROR_CHECK(gpio_set_direction(pin, GPIO_MODE_OUTPUT));
}

static void make_pwm(ledc_timer_t timer, ledc_timer_bit_t bits, uint32_t hertz)
{
  ledc_timer_config_t config = {
    .speed_mode = LEDC_LOW_SPEED_MODE, .timer_num = timer, .duty_resolution = bits, .freq_hz = hertz,
    .clk_cfg = LEDC_AUTO_CLK};
  ESP_ERROR_CHECK(ledc_timer_config(&config));
}

static void attach_pwm(ledc_channel_t channel, ledc_timer_t timer, gpio_num_t pin)
{
  ledc_channel_config_t config = {
    .speed_mode = LEDC_LOW_SPEED_MODE, .channel = channel, .timer_sel = timer, .gpio_num = pin};
  ESP_ERROR_CHECK(ledc_channel_config(&config));
}

static void set_pwm(ledc_channel_t channel, uint32_t duty)
{
  ESP_ERROR_CHECK(ledc_set_duty(LEDC_LOW_SPEED_MODE, channel, duty));
  ESP_ERROR_CHECK(ledc_update_duty(LEDC_LOW_SPEED_MODE, channel));
}

static void make_encoder(int side)
{
  gpio_config_t config = {
    .pin_bit_mask = (1ULL << ENCODER_A[side]) | (1ULL << ENCODER_B[side]), .mode = GPIO_MODE_INPUT};
  ESP_ERROR_CHECK(gpio_config(&config));
  ESP_ERROR_CHECK(gpio_set_intr_type(ENCODER_A[side], GPIO_INTR_POSEDGE));
  ESP_ERROR_CHECK(gpio_isr_handler_add(ENCODER_A[side], on_tick, (void *)(intptr_t)side));
}

static void make_battery(void)
{
  adc_unit_t unit;
  ESP_ERROR_CHECK(adc_oneshot_io_to_channel(CONFIG_MCU_PIN_BATTERY, &unit, &battery_channel));
  adc_oneshot_unit_init_cfg_t unit_config = {.unit_id = unit};
  ESP_ERROR_CHECK(adc_oneshot_new_unit(&unit_config, &battery_unit));
  adc_oneshot_chan_cfg_t channel_config = {.atten = ADC_ATTEN_DB_12, .bitwidth = ADC_BITWIDTH_12};
  ESP_ERROR_CHECK(adc_oneshot_config_channel(battery_unit, battery_channel, &channel_config));
}

void board_init(void)
{
  make_pwm(LEDC_TIMER_0, MOTOR_BITS, MOTOR_HZ);
  make_pwm(LEDC_TIMER_1, SERVO_BITS, SERVO_HZ);
  ESP_ERROR_CHECK(gpio_install_isr_service(0));
  for (int side = 0; side < 2; side++) {
    make_output(MOTOR_DIRECTION[side]);
    attach_pwm(MOTOR_CHANNEL[side], LEDC_TIMER_0, MOTOR_PWM[side]);
    make_encoder(side);
  }
  attach_pwm(SERVO_CHANNEL, LEDC_TIMER_1, CONFIG_MCU_PIN_SERVO);
  make_output(CONFIG_MCU_PIN_LED);
  make_output(CONFIG_MCU_PIN_RELAY);
  make_battery();
#ifdef HAS_NETWORK
  ESP_ERROR_CHECK(uros_network_interface_initialize());
#endif
}

uint32_t board_millis(void)
{
  return (uint32_t)(esp_timer_get_time() / 1000);
}

void board_set_wheels(float left, float right)
{
  const float speeds[2] = {left, right};
  for (int side = 0; side < 2; side++) {
    float part = fabsf(speeds[side]) / (CONFIG_MCU_FULL_SPEED_MM_S / 1000.0f);
    gpio_set_level(MOTOR_DIRECTION[side], speeds[side] < 0.0f);
    set_pwm(MOTOR_CHANNEL[side], (uint32_t)(fminf(part, 1.0f) * MOTOR_FULL));
  }
}

void board_read_wheels(float *left, float *right)
{
  float *rolled[2] = {left, right};
  for (int side = 0; side < 2; side++) {
    *rolled[side] = (float)atomic_exchange(&ticks[side], 0) * (CONFIG_MCU_MICROMETERS_PER_TICK * 1e-6f);
  }
}

float board_battery_volts(void)
{
  int counts;
  if (adc_oneshot_read(battery_unit, battery_channel, &counts) != ESP_OK) {
    return NAN;
  }
  return (float)counts / ADC_FULL_COUNTS * ADC_FULL_VOLTS * CONFIG_MCU_BATTERY_DIVIDER;
}

void board_set_led(bool on)
{
  gpio_set_level(CONFIG_MCU_PIN_LED, on);
}

void board_set_relay(bool on)
{
  gpio_set_level(CONFIG_MCU_PIN_RELAY, on);
}

void board_set_servo(float angle)
{
  float part = fmaxf(-1.0f, fminf(angle / SERVO_FULL_ANGLE, 1.0f));
  set_pwm(SERVO_CHANNEL, (uint32_t)((1500.0f + 500.0f * part) * SERVO_COUNTS_PER_US));
}

void board_say(const char *text)
{
  /* Never on the agent's UART: sdkconfig.serial takes the console off it. */
  ESP_LOGI("robot_mcu", "%s", text);
}
