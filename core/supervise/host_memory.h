/* supervise/host_memory.h - how much memory a process has of its own: private, and shared beyond what it was given.  Ring and journal are mapped
 * by every host and belong to the core: RLIMIT_AS or the whole resident size would count them against each of them.  But shared memory that a
 * process has made itself is its own: it is not private, and no resource limit sees it. */
#ifndef HOST_MEMORY_H
#define HOST_MEMORY_H

#include <stdint.h>
#include <sys/types.h>

/* host_memory_parse - from the text of /proc/PID/status.  given_kib: shared memory that is not its own.  0 or -EPROTO.  Pure. */
int host_memory_parse(const char *status, uint64_t given_kib, uint64_t *ret_kib);

/* host_memory_read - bytes; one small read of /proc.  0, or -errno when the process has gone. */
int host_memory_read(pid_t pid, uint64_t given_bytes, uint64_t *ret_bytes);

#endif
