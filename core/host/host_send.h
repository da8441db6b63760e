/* host/host_send.h - the bytes of one turn's deliveries go to the kernel together: one system call for up to HOST_SEND_MAX sockets.
 *
 * A delivery is a few hundred bytes for each of very many sockets, and entering the kernel for each of them costs a good part of it
 * (docs/performance.md).  Carriers hand bytes in while codec->write runs (umbel_host.send); they are copied here, written when the turn's
 * deliveries are made, when there is no more room, or when a carrier must know (umbel_host.send_now).  The ring is made before the process is
 * confined and can do nothing but write: IORING_OP_WRITE, with RWF_NOWAIT, which sockets know since Linux 6.5.  Without it carriers send by
 * themselves.  One thread. */
#ifndef HOST_SEND_H
#define HOST_SEND_H

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <umbel/host.h>

#include "core/base/why.h"

#define HOST_SEND_MAX 256u             /* sockets in one call */
#define HOST_SEND_BYTES (256u << 10)   /* of copies; equal neighbours share one */
#define HOST_SEND_ONE_MAX (16u << 10)  /* bytes for one socket; more is not worth a copy */

struct hosting;

struct host_send_entry {
    void (*sent)(void *owner, const void *rest, size_t size, int error);
    void *owner;
    const char *bytes; /* in host_send.bytes */
    uint32_t size;
    int32_t result;
    uint64_t arrival_ns; /* for the lag; 0: not from a live delta */
};

struct host_send {
    struct io_uring io;
    bool usable;    /* there is a ring, and it is in order */
    bool begun;     /* deliveries are being made */
    bool flushing;
    uint32_t count;
    size_t used;
    uint64_t taken;
    struct host_send_entry entries[HOST_SEND_MAX];
    char bytes[HOST_SEND_BYTES];
};

/* host_send_open - makes and tries the ring; before the sandbox.  NULL *ret_send with words in why: not here, which is no error. */
void host_send_open(struct host_send **ret_send, struct why *why);
void host_send_free(struct host_send *send); /* NULL is fine */

/* host_send_begin, host_send_end - between them deliveries are made; end hands everything to the kernel. */
void host_send_begin(struct hosting *hosting);
void host_send_end(struct hosting *hosting);

/* host_send_mark - how much was taken so far, to be given to host_send_lag after a write: whether its bytes wait here.  If so their lag is
 * counted when they leave, from arrival_ns (0: not at all). */
uint64_t host_send_mark(const struct hosting *hosting);
bool host_send_lag(struct hosting *hosting, uint64_t mark, uint64_t arrival_ns);

/* umbel_host.send and .send_now. */
int host_send_put(const struct umbel_host *host, int fd, const void *bytes, size_t size,
                  void (*sent)(void *owner, const void *rest, size_t size, int error), void *owner);
void host_send_now(const struct umbel_host *host);

#endif
