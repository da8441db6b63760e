/* daemon/daemon_plugin_file.h - the file that a worker's plugin came from, held open while another takes its place.
 *
 * A process of an UMBEL_NEEDS_ALONE plugin ends before its successor serves.  When that one fails, the path leads to the successor's file:
 * going back means starting from the file of before, which has no name any more but is there as long as somebody has it open.
 * Owner: the core's loop thread.  One descriptor a worker, of such plugins only; without one (no descriptor free) the path must do. */
#ifndef DAEMON_PLUGIN_FILE_H
#define DAEMON_PLUGIN_FILE_H

#include "core/daemon/daemon.h"
#include "core/supervise/host_process.h"

/* daemon_plugin_file_spawn - says which file the process is to load, and holds on to it.  Before each start. */
void daemon_plugin_file_spawn(struct daemon_host *h, struct host_spawn *spawn);
/* daemon_plugin_file_keep - from now on starts of this worker load what it ran before; until _leave, or its end as a worker. */
void daemon_plugin_file_keep(struct daemon_host *h);
/* daemon_plugin_file_leave - the next start loads what is at the path: an operator wants it to begin anew. */
void daemon_plugin_file_leave(struct daemon_host *h);
void daemon_plugin_file_close(struct daemon_host *h);

#endif
