/* supervise/host_memory.h - how much memory a process has of its own: resident, without what it shares.  Ring and journal are mapped by every
 * host and belong to the core: RLIMIT_AS or the whole resident size would count them against each of them. */
#ifndef HOST_MEMORY_H
#define HOST_MEMORY_H

#include <stdint.h>
#include <sys/types.h>

/* host_memory_parse - from the text of /proc/PID/statm, in pages.  0 or -EPROTO.  Pure. */
int host_memory_parse(const char *statm, uint64_t *ret_pages);

/* host_memory_read - bytes; one small read of /proc.  0, or -errno when the process has gone. */
int host_memory_read(pid_t pid, uint64_t *ret_bytes);

#endif
