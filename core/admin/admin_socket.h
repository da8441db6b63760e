/* admin/admin_socket.h - the socket RUNTIME_DIR/admin.sock, both ends. */
#ifndef ADMIN_SOCKET_H
#define ADMIN_SOCKET_H

#include "core/base/why.h"

/* admin_socket_listen - makes the socket with mode 0660, in place of a stale one (the caller holds the lock of the directory, so what is
 * there is stale), and listens, non-blocking.  Returns the descriptor or -errno. */
int admin_socket_listen(const char *runtime_dir, struct why *why);

#define ADMIN_CONNECT_S 10 /* seconds to wait for a place in the daemon's backlog, and for each write */

/* admin_socket_connect - a connected, blocking descriptor, or -errno (-ENOENT, -ECONNREFUSED: nobody listens; -EACCES; -EAGAIN: the
 * daemon took no connection for ADMIN_CONNECT_S). */
int admin_socket_connect(const char *runtime_dir, struct why *why);

/* admin_socket_unlink - removes the socket's name. */
void admin_socket_unlink(const char *runtime_dir);

#endif
