/* uring/uring_restrict.h - a ring that does what the engine does and nothing else.  What is submitted to a ring never passes a system-call
 * filter, so the ring carries a list of its own, which the kernel checks for each entry. */
#ifndef URING_RESTRICT_H
#define URING_RESTRICT_H

#include <liburing.h>

#include "core/base/why.h"

/* uring_restrict - the last step of making a ring that was set up with IORING_SETUP_R_DISABLED: limits it, for ever, to the engine's
 * operations and enables it.  Everything else an entry asks for ends with -EACCES.  Whatever is registered must have been registered
 * before; afterwards receive buffers can be given back, and that is all.  The calling thread is the only one that may submit from here
 * on.  0; or -errno with words. */
int uring_restrict(struct io_uring *io, struct why *why);

#endif
