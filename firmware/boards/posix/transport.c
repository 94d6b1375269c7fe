/* The way to the agent over POSIX: MCU_TRANSPORT_SERIAL (MCU_PORT, MCU_BAUD) or UDP (MCU_HOST, MCU_PORT), chosen at build time;
 * the environment variables of the same names win over what was built in. Needs rmw_microxrcedds with custom transports.
 * Linux has both, ESP-IDF the sockets of UDP. */
#define _DEFAULT_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/poll.h>
#include <sys/socket.h>
#include <unistd.h>
#ifdef MCU_TRANSPORT_SERIAL
#include <termios.h>
#endif

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
#ifndef MCU_BAUD
#define MCU_BAUD 115200
#endif
#define TEXT_OF(value) #value
#define TEXT(macro) TEXT_OF(macro)
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
/* termios names its speeds; B0, which would hang up, for one that it has no name for. */
static speed_t speed_of(long baud)
{
  static const struct {
    long baud;
    speed_t speed;
  } SPEEDS[] = {{9600, B9600},     {57600, B57600},   {115200, B115200},   {230400, B230400},
                {460800, B460800}, {921600, B921600}, {1000000, B1000000}, {2000000, B2000000}};
  for (size_t index = 0; index < sizeof(SPEEDS) / sizeof(SPEEDS[0]); index++) {
    if (SPEEDS[index].baud == baud) {
      return SPEEDS[index].speed;
    }
  }
  return B0;
}

static bool open_line(struct uxrCustomTransport *transport)
{
  (void)transport;
  speed_t speed = speed_of(strtol(setting("MCU_BAUD", TEXT(MCU_BAUD)), NULL, 10));
  if (speed == B0) {
    board_say("MCU_BAUD is no speed that the serial port has");
    return false;
  }
  line = open(setting("MCU_PORT", MCU_PORT), O_RDWR | O_NOCTTY | O_NONBLOCK);
  struct termios mode;
  if (line < 0 || tcgetattr(line, &mode) != 0) {
    return false;
  }
  cfmakeraw(&mode);
  cfsetspeed(&mode, speed);
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
