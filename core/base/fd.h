/* base/fd.h - small things with file descriptors.  All return 0 or -errno unless said otherwise. */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <stdbool.h>
#include <stddef.h>

/* fd_close - closes *fd if it is open and sets it to -1; errno survives. */
void fd_close(int *fd);

int fd_set_nonblocking(int fd, bool on);
int fd_set_cloexec(int fd, bool on);

/* fd_read_file - reads a whole file of at most max bytes into fresh memory, zero-terminated.  The caller frees *ret_data; *ret_size
 * does not count the zero.  -EFBIG if there is more. */
int fd_read_file(const char *path, size_t max, char **ret_data, size_t *ret_size);

#endif
