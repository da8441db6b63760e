/* daemon/daemon_sockets.h - listening sockets, shared by reference among the processes that serve them: a socket outlives a process, and is
 * closed when nobody is to serve it any more.  Owner: the core's loop thread. */
#ifndef DAEMON_SOCKETS_H
#define DAEMON_SOCKETS_H

#include "core/daemon/daemon.h"

struct daemon_socket {
    int fd;
    uint32_t uses; /* workers */
    bool is_unix, shut /* unix: it refuses, and can never listen again: another takes its place */;
    uint16_t port;
    char host[]; /* without brackets; a path */
};

typedef int daemon_socket_opener(const struct config_listen *listen, bool reuse_port, int *ret_fd, struct why *why); /* daemon_listen or _now */

/* daemon_sockets_open - those of its configuration's addresses that the worker does not have yet.  0 or -errno; what was opened stays. */
int daemon_sockets_open(struct daemon_host *h, daemon_socket_opener *opener, struct why *why);

/* daemon_sockets_share - gives the newcomer (number index of count) its part of the sockets of those that serve the transport now: each
 * socket goes to at least one newcomer, each newcomer gets one for each address; addresses that nobody serves are opened.
 * 0; -EINVAL (more than HOST_LISTENERS_MAX), -errno of an address. */
int daemon_sockets_share(struct daemon_host *newcomer, uint32_t index, uint32_t count, struct why *why);

/* daemon_sockets_nobody - a listening socket on a free port of this machine's own address, the caller's; -1 if there is none. */
int daemon_sockets_nobody(void);

/* daemon_sockets_listen - they take connections again, after daemon_sockets_refuse. */
void daemon_sockets_listen(struct daemon_host *h);

/* daemon_sockets_refuse - who connects to one of them is refused, and who waits in its queue is hung up on; not those that others serve. */
void daemon_sockets_refuse(struct daemon_host *h);

/* daemon_sockets_drop - the same for good: those that no other worker has are closed, as soon as the leaving process lets go of them. */
void daemon_sockets_drop(struct daemon_host *h);

/* daemon_sockets_release - the worker needs them no more. */
void daemon_sockets_release(struct daemon_host *h);

#endif
