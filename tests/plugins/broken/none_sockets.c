/* No fault, without a carrier: what buffers_slow.c and blocks_slow.c differ from. */
#include "tests/plugins/broken/sockets.h"
