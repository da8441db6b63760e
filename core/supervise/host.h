/* supervise/host.h - one supervised umbel-host: state, process, control channel.
 *
 *            start             READY                  quiet
 *   DOWN ----------> STARTING -------> RUNNING --------------> STOPPING --EXIT--> DOWN
 *    ^                  | EXIT, late      | EXIT, hang             | late: SIGKILL
 *    |                  v                 v                        v
 *    |               BACKOFF <------------+                      DOWN
 *    |     timer: STARTING again; 10 failures in a minute: HELD (until host_start)
 *
 * Owner: the core's loop thread.  What the process says arrives by ops->frame; nothing it says is trusted here. */
#ifndef SUPERVISE_HOST_H
#define SUPERVISE_HOST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/control/control.h"
#include "core/supervise/host_backoff.h"
#include "core/supervise/host_budget.h"
#include "core/supervise/host_process.h"
#include "core/uring/uring_loop.h"
#include "core/uring/uring_socket.h"

#define HOST_START_LIMIT_MS 20000u /* from spawn to READY */
#define HOST_STOP_GRACE_MS 2000u   /* beyond the drain time, then SIGKILL */
#define HOST_LAST_WORDS_MS 5000u   /* from the end of a process to the end of its channel: a child of it may hold that open */
#define HOST_SEND_MAX (8u << 20)   /* bytes waiting on the channel: a host that does not read that much is killed */

enum host_state { HOST_DOWN, HOST_STARTING, HOST_RUNNING, HOST_STOPPING, HOST_BACKOFF, HOST_HELD, HOST_STATE_COUNT };
enum host_event { HOST_EV_START, HOST_EV_READY, HOST_EV_QUIET, HOST_EV_EXIT, HOST_EV_TIMER, HOST_EVENT_COUNT };

struct host;
struct host_ops {
    /* Before each start: fill in *spawn's program, plugin, ring... descriptors (channel is set).  0 or -errno with why. */
    int (*prepare)(void *owner, struct host *host, struct host_spawn *spawn, struct why *why);
    /* One frame from the process; negative = it broke the protocol and is killed. */
    int (*frame)(void *owner, struct host *host, uint32_t type, uint64_t tag, struct control_in *in);
    /* The process has ended (status as of waitpid): release what prepare() made. */
    void (*ended)(void *owner, struct host *host, int status);
    /* The state has changed. */
    void (*changed)(void *owner, struct host *host);
};

struct host {
    const struct host_ops *ops;
    void *owner;
    struct uring_loop *loop;
    char name[80];
    char last_error[128]; /* for lists: why it went down last */
    enum host_state state;
    pid_t pid;
    uint32_t restarts;
    uint64_t started_wall_s;
    /* private */
    int pidfd;
    struct uring_watch *exit_watch;
    struct uring_socket *channel;
    struct control_parser parser;
    struct host_backoff backoff;
    struct host_budget budget;        /* of the core's time for its frames */
    struct uring_timer budget_timer;
    struct uring_timer timer;
    const char *killed_for;
    bool reaped; /* the process is gone, its channel is read to the end */
    int exit_status;
    struct uring_timer exit_timer; /* for that end */
    bool again; /* STOPPING: start once it has ended */
};

const char *host_state_text(enum host_state state);

void host_init(struct host *host, struct uring_loop *loop, const char *name, const struct host_ops *ops, void *owner);
/* host_start - starts a host that is down or held; failures go through the backoff. */
void host_start(struct host *host);
/* host_stop - asks it to drain within drain_ms and then ends it. */
void host_stop(struct host *host, uint32_t drain_ms);
/* host_retire - another process takes its place: clients go over to it within drain_ms (UMBEL_RETIRE_LEAVE). */
void host_retire(struct host *host, uint32_t drain_ms);
/* host_restart - drains and starts again; one that is down, waiting or held starts at once. */
void host_restart(struct host *host, uint32_t drain_ms);
/* host_expect - so many bytes more than HOST_SEND_MAX may wait on the channel of this process: it is about to be sent them. */
void host_expect(struct host *host, size_t bytes);
/* host_kill - it hangs or breaks the rules: SIGKILL now, then the backoff.  reason (a literal) goes to the log and the list. */
void host_kill(struct host *host, const char *reason);
/* host_ready - it said READY. */
void host_ready(struct host *host);
/* host_send - one finished frame (control_end was true).  A host too slow to take it is killed. */
void host_send(struct host *host, struct control_out *frame);
/* host_free - ends the process at once if it runs, and waits for it.  For the core's exit. */
void host_free(struct host *host);

#endif
