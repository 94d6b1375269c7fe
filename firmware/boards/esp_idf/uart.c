/* The way to the agent over a UART of ESP-IDF. The pins are those of "micro-ROS Settings" in menuconfig, -1: as they are. */
#include <driver/uart.h>
#include <freertos/FreeRTOS.h>
#include <rmw_microros/rmw_microros.h>
#include <sdkconfig.h>
#include <uxr/client/transport.h>

#include "board.h"

#define BUFFER_SIZE 2048 /* what may come while the application is busy: four messages of 512 bytes */

static const uart_port_t PORT = CONFIG_MCU_UART;

static bool open_uart(struct uxrCustomTransport *transport)
{
  (void)transport;
  const uart_config_t config = {
    .baud_rate = CONFIG_MCU_BAUD,
    .data_bits = UART_DATA_8_BITS,
    .parity = UART_PARITY_DISABLE,
    .stop_bits = UART_STOP_BITS_1,
    .flow_ctrl = UART_HW_FLOWCTRL_DISABLE,
    .source_clk = UART_SCLK_DEFAULT};
  return uart_param_config(PORT, &config) == ESP_OK &&
    uart_set_pin(PORT, CONFIG_MICROROS_UART_TXD, CONFIG_MICROROS_UART_RXD, CONFIG_MICROROS_UART_RTS,
                 CONFIG_MICROROS_UART_CTS) == ESP_OK &&
    uart_driver_install(PORT, BUFFER_SIZE, BUFFER_SIZE, 0, NULL, 0) == ESP_OK;
}

static bool close_uart(struct uxrCustomTransport *transport)
{
  (void)transport;
  return uart_driver_delete(PORT) == ESP_OK;
}

static size_t write_uart(struct uxrCustomTransport *transport, const uint8_t *data, size_t length, uint8_t *error)
{
  (void)transport;
  int written = uart_write_bytes(PORT, data, length);
  *error = written < 0;
  return written < 0 ? 0 : (size_t)written;
}

static size_t read_uart(
  struct uxrCustomTransport *transport, uint8_t *data, size_t length, int timeout, uint8_t *error)
{
  (void)transport;
  /* Waits for the first byte only: uart_read_bytes would wait for all of `length`. */
  int got = uart_read_bytes(PORT, data, 1, pdMS_TO_TICKS(timeout));
  size_t waiting = 0;
  if (got == 1 && length > 1 && uart_get_buffered_data_len(PORT, &waiting) == ESP_OK && waiting > 0) {
    int more = uart_read_bytes(PORT, data + 1, waiting < length - 1 ? waiting : length - 1, 0);
    got += more > 0 ? more : 0;
  }
  *error = got <= 0;
  return got < 0 ? 0 : (size_t)got;
}

bool board_set_transport(void)
{
  return rmw_uros_set_custom_transport(true, NULL, open_uart, close_uart, write_uart, read_uart) == RMW_RET_OK;
}
