/* supervise/host_process.h - starting one umbel-host: descriptors to fixed numbers, a clean environment, a pidfd. */
#ifndef HOST_PROCESS_H
#define HOST_PROCESS_H

#include <stddef.h>
#include <sys/types.h>

#include "core/base/why.h"

#define HOST_LISTENERS_MAX 16u /* listening sockets of one transport */

struct host_spawn {
    const char *program;     /* path of umbel-host */
    const char *plugin_path; /* the .so */
    int plugin_fd;           /* > 0: its file, to be loaded in place of what is at the path now; stays the caller's */
    const char *name;        /* "bmob.0": for the process list and log lines */
    const char *log_level;   /* as in the configuration */
    int log_json;
    const char *sandbox;     /* core/sandbox: settings as text */
    int channel, ring, journal, stats, page, wake; /* stay the caller's */
    int listeners[HOST_LISTENERS_MAX];
    size_t listener_count;
};

/* host_process_start - the child has exactly standard error, CONTROL_FD_* (behind them plugin_fd, if given) and nothing else, and its environment holds no
 * more than PATH, LANG, TZ and sanitizer settings: keys given to the core by environment do not reach it.
 * The caller owns *ret_pidfd and must reap *ret_pid.  0 or -errno. */
int host_process_start(const struct host_spawn *spawn, pid_t *ret_pid, int *ret_pidfd, struct why *why);

/* host_process_environment - what a host may know of our environment: no keys.  NULL: no memory.  To be freed by _free. */
char **host_process_environment(void);
void host_process_environment_free(char **environment);

#endif
