/* ring/ring_memory.h - shared memory between the core and its hosts: made, sealed, mapped.
 * The creator maps it writable, then seals it (F_SEAL_SHRINK | GROW | FUTURE_WRITE | SEAL): whoever gets the descriptor can only read. */
#ifndef RING_MEMORY_H
#define RING_MEMORY_H

#include <stddef.h>

#include "core/base/why.h"

struct ring_memory {
    void *base;
    size_t size; /* bytes, a multiple of the page size */
    int fd;      /* owned; inherited by hosts */
};

/* ring_memory_create - a zeroed, sealed memfd of size bytes (rounded up to pages), mapped read-write here only.  0 or -errno. */
int ring_memory_create(const char *name, size_t size, struct ring_memory *ret_memory, struct why *why);

/* ring_memory_create_shared - as above without FUTURE_WRITE: for pages that a host writes. */
int ring_memory_create_shared(const char *name, size_t size, struct ring_memory *ret_memory, struct why *why);

/* ring_memory_map - maps somebody else's memory from its descriptor, which stays the caller's (ret_memory->fd is -1).  -EPROTO when it
 * is smaller than min_size or can still shrink. */
int ring_memory_map(int fd, size_t min_size, int writable, struct ring_memory *ret_memory, struct why *why);

/* ring_memory_free - unmaps and closes; a zeroed struct with fd -1 is fine. */
void ring_memory_free(struct ring_memory *memory);

#endif
