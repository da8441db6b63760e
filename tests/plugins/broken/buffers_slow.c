/* Takes all that the host gives for a client that does not read: libevent's buffer has no bound of its own, and nobody looks at its length. */
#define FAULT_WRITE(link, bytes, size) (bufferevent_write((link)->socket, bytes, size), UMBEL_WRITE_READY)
#include "tests/plugins/broken/sockets.h"
