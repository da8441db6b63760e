/* daemon/daemon_inherit.h - listening sockets that this process was started with (LISTEN_PID, LISTEN_FDS: a socket unit of systemd, or an
 * earlier umbeld that executed this one), and the way back: executing umbeld anew with the sockets it has.
 * An address of the configuration that one of them is bound to is not opened but taken from here.  Those of a socket unit are never closed:
 * the address is systemd's.  Single-threaded. */
#ifndef DAEMON_INHERIT_H
#define DAEMON_INHERIT_H

#include "core/config/config.h"

#define INHERIT_MAX 256u

/* daemon_inherit_read - at the very start of the process, before any other descriptor is opened. */
void daemon_inherit_read(void);

/* daemon_inherit_take - a descriptor of the socket bound to this address (a duplicate, the caller's), or -1. */
int daemon_inherit_take(const struct config_listen *listen);
bool daemon_inherit_has(const struct config_listen *listen); /* after _settle: the system's manager has this address */

/* daemon_inherit_settle - all addresses of the configuration have been asked for.  Tells the log which sockets of the system's manager none of
 * them has wanted.  What an earlier umbeld had opened is from here on the transports' alone. */
void daemon_inherit_settle(void);

/* daemon_inherit_begin, then daemon_inherit_add for each listening socket that the program that this one becomes shall have (a duplicate
 * of it is kept), then daemon_inherit_ready: from there on daemon_inherit_exec needs no further descriptor.  0 or -errno: then
 * daemon_inherit_undo gives back what was taken since begin, and all is as before. */
void daemon_inherit_begin(void);
int daemon_inherit_add(int fd);
int daemon_inherit_ready(void);
void daemon_inherit_undo(void);

/* daemon_inherit_listen - all of them take connections again: the next owner wants them so. */
void daemon_inherit_listen(void);

/* daemon_inherit_exec - after _ready: becomes path with argv, handing over every socket; same process number.  Returns -errno only. */
int daemon_inherit_exec(const char *path, char *const argv[]);

#endif
