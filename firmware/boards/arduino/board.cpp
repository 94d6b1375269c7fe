// PlatformIO with the Arduino framework and micro_ros_platformio; the project's platformio.ini chooses the transport. For
// the ESP32: a board whose Arduino is not on FreeRTOS needs something of its own in place of boards/freertos/control.c.
#include <Arduino.h>
#include <micro_ros_platformio.h>

extern "C" {
#include "board.h"
}

#ifndef MCU_BAUD
#define MCU_BAUD 115200
#endif

namespace {
constexpr int kMotorPwm[2] = {25, 27}, kMotorDirection[2] = {26, 14};
constexpr int kEncoderA[2] = {34, 32}, kEncoderB[2] = {35, 33};
constexpr int kBattery = 36, kLed = 2, kRelay = 4, kServo = 5;
constexpr float kFullSpeed = 0.8f;            // m/s at a duty of 100 %
constexpr float kMetersPerTick = 0.00021f;    // wheel of 65 mm, 970 ticks a turn
constexpr float kVoltsPerCount = 0.00403f;    // 12 bits of 3.3 V behind a divider of 1:5
volatile int32_t ticks[2];

template <int side>
void onTick()
{
  ticks[side] += digitalRead(kEncoderB[side]) ? 1 : -1;
}
}  // namespace

extern "C" {

void board_init(void)
{
  Serial.begin(MCU_BAUD);
  for (int side = 0; side < 2; side++) {
    pinMode(kMotorPwm[side], OUTPUT);
    pinMode(kMotorDirection[side], OUTPUT);
    pinMode(kEncoderA[side], INPUT);
    pinMode(kEncoderB[side], INPUT);
  }
  attachInterrupt(digitalPinToInterrupt(kEncoderA[0]), onTick<0>, RISING);
  attachInterrupt(digitalPinToInterrupt(kEncoderA[1]), onTick<1>, RISING);
  pinMode(kLed, OUTPUT);
  pinMode(kRelay, OUTPUT);
  pinMode(kServo, OUTPUT);
}

uint32_t board_millis(void)
{
  return millis();
}

void board_set_wheels(float left, float right)
{
  const float speeds[2] = {left, right};
  for (int side = 0; side < 2; side++) {
    digitalWrite(kMotorDirection[side], speeds[side] < 0.0f);
    analogWrite(kMotorPwm[side], constrain(fabsf(speeds[side]) / kFullSpeed, 0.0f, 1.0f) * 255.0f);
  }
}

void board_read_wheels(float *left, float *right)
{
  float *rolled[2] = {left, right};
  for (int side = 0; side < 2; side++) {
    noInterrupts();
    int32_t counted = ticks[side];
    ticks[side] = 0;
    interrupts();
    *rolled[side] = counted * kMetersPerTick;
  }
}

float board_battery_volts(void)
{
  return analogRead(kBattery) * kVoltsPerCount;
}

void board_set_led(bool on)
{
  digitalWrite(kLed, on);
}

void board_set_relay(bool on)
{
  digitalWrite(kRelay, on);
}

void board_set_servo(float angle)
{
  // One pulse of 1 to 2 ms for -pi/4 to pi/4; detections come often enough to hold the angle.
  digitalWrite(kServo, HIGH);
  delayMicroseconds(1500 + constrain(angle / 0.7854f, -1.0f, 1.0f) * 500.0f);
  digitalWrite(kServo, LOW);
}

void board_say(const char *text)
{
#if defined(MCU_WIFI_SSID)
  Serial.println(text);
#else
  (void)text;  // Serial is the way to the agent
#endif
}

bool board_set_transport(void)
{
#if defined(MCU_WIFI_SSID)
  static char network[] = MCU_WIFI_SSID, password[] = MCU_WIFI_PASSWORD;
  IPAddress host;
  if (!host.fromString(MCU_HOST)) {
    return false;
  }
  set_microros_wifi_transports(network, password, host, MCU_PORT);
#else
  set_microros_serial_transports(Serial);
#endif
  return true;
}

}  // extern "C"
