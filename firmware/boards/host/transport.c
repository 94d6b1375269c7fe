/* The way to the agent on Linux: MCU_TRANSPORT_SERIAL (MCU_PORT, MCU_BAUD) or UDP (MCU_HOST, MCU_PORT), chosen at build time;
 * the environment variables of the same names win over what was built in. Needs rmw_microxrcedds with custom transports. */
#define _DEFAULT_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <rmw_microros/rmw_microros.h>
#include <uxr/client/profile/transport/custom/custom_transport.h>

#include "board.h"

#ifndef MCU_HOST
#define MCU_HOST "127.0.0.1"
#endif
#ifdef MCU_TRANSPORT_SERIAL
#ifndef MCU_PORT
#define MCU_PORT "/dev/ttyUSB0"
#endif
#define FRAMED true
#else
#ifndef MCU_PORT
#define MCU_PORT "8888"
#endif
#define FRAMED false
#endif

static int line = -1;

static const char *setting(const char *name, const char *built_in)
{
  const char *given = getenv(name);
  return given != NULL ? given : built_in;
}

#ifdef MCU_TRANSPORT_SERIAL
static bool open_line(struct uxrCustomTransport *transport)
{
  (void)transport;
  line = open(setting("MCU_PORT", MCU_PORT), O_RDWR | O_NOCTTY | O_NONBLOCK);
  struct termios mode;
  if (line < 0 || tcgetattr(line, &mode) != 0) {
    return false;
  }
  cfmakeraw(&mode);
  cfsetspeed(&mode, B115200);
  return tcsetattr(line, TCSANOW, &mode) == 0;
}
#else
static bool open_line(struct uxrCustomTransport *transport)
{
  (void)transport;
  struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *found = NULL;
  if (getaddrinfo(setting("MCU_HOST", MCU_HOST), setting("MCU_PORT", MCU_PORT), &hints, &found) != 0) {
    return false;
  }
  line = socket(found->ai_family, found->ai_socktype, found->ai_protocol);
  bool connected = line >= 0 && connect(line, found->ai_addr, found->ai_addrlen) == 0;
  freeaddrinfo(found);
  return connected;
}
#endif

static bool close_line(struct uxrCustomTransport *transport)
{
  (void)transport;
  int closed = line;
  line = -1;
  return closed < 0 || close(closed) == 0;
}

static size_t write_line(struct uxrCustomTransport *transport, const uint8_t *data, size_t length, uint8_t *error)
{
  (void)transport;
  ssize_t written = write(line, data, length);
  *error = written < 0;
  return written < 0 ? 0 : (size_t)written;
}

static size_t read_line(
  struct uxrCustomTransport *transport, uint8_t *data, size_t length, int timeout, uint8_t *error)
{
  (void)transport;
  struct pollfd wait = {.fd = line, .events = POLLIN};
  if (poll(&wait, 1, timeout) <= 0) {
    *error = 1;
    return 0;
  }
  ssize_t got = read(line, data, length);
  *error = got <= 0;
  return got < 0 ? 0 : (size_t)got;
}

bool board_set_transport(void)
{
  return rmw_uros_set_custom_transport(FRAMED, NULL, open_line, close_line, write_line, read_line) == RMW_RET_OK;
}
