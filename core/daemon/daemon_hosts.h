/* daemon/daemon_hosts.h - workers one by one, for those who replace them (daemon_handover.c).  Owner: the core's loop thread. */
#ifndef DAEMON_HOSTS_H
#define DAEMON_HOSTS_H

#include "core/daemon/daemon.h"

/* daemon_worker_create - a worker that does not run yet, without sockets, at the end of the transport's list.  config is borrowed.
 * 0 or -errno: nothing was made; -ENOSPC: DAEMON_WORKERS_MAX. */
int daemon_worker_create(struct daemon_transport *transport, const struct config_transport *config, const char *name, enum daemon_role role,
                         struct daemon_host **ret_h, struct why *why);
void daemon_worker_free(struct daemon_host *h); /* ends its process at once if there is one; its stats page goes */

/* daemon_worker_name - "bmob.0", in ret_name of DAEMON_NAME_MAX bytes. */
void daemon_worker_name(const struct config_transport *config, uint32_t index, char *ret_name);
/* daemon_worker_rename - in lists, and its stats page. */
void daemon_worker_rename(struct daemon_host *h, const char *name);
/* daemon_worker_show - its row of the hosts table says what is true. */
void daemon_worker_show(struct daemon_host *h);

/* daemon_transport_create - with its workers and sockets; nothing is started.  Addresses are tried with opener.  0 or -errno: nothing was
 * made. */
int daemon_transport_create(struct daemon *daemon, const struct config_transport *config,
                            int (*opener)(const struct config_listen *listen, bool reuse_port, int *ret_fd, struct why *why),
                            struct daemon_transport **ret_transport, struct why *why);
void daemon_transport_free(struct daemon_transport *transport);

#endif
