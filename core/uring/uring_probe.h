/* uring/uring_probe.h - asks the kernel at start what it can and may do, and says what to change where it cannot.  Blocks
 * briefly. */
#ifndef URING_PROBE_H
#define URING_PROBE_H

#include <liburing.h>
#include <stdint.h>

#include "core/base/why.h"
#include "core/uring/uring_buffers.h"

/* uring_probe_open - makes a ring with the best flags that this kernel knows.  It is not enabled: uring_restrict does that when the buffers
 * are registered.  0; or -errno with the reason and the remedy in why. */
int uring_probe_open(uint32_t entries, struct io_uring *ret_io, struct why *why);

/* uring_probe_receive - proves on the ring that a multishot receive fills one of the buffers.  Leaves all buffers with the
 * kernel. */
int uring_probe_receive(struct io_uring *io, struct uring_buffers *buffers, struct why *why);

/* uring_probe_words - why a ring cannot be made: code as io_uring_setup returned it (-errno), disabled: the content of
 * /proc/sys/kernel/io_uring_disabled, or -1 where there is none.  Pure; returns code. */
int uring_probe_words(int code, int disabled, struct why *why);

#endif
