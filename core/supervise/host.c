#include "core/supervise/host.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <umbel/transport.h>

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/log.h"

static void exited(struct host *host);

typedef void host_action(struct host *host);
static host_action act_spawn, act_ready, act_crash, act_exit, act_late, act_kill, act_nothing;

static const struct host_step {
    enum host_state next;
    host_action *act;
} host_step[HOST_STATE_COUNT][HOST_EVENT_COUNT] = {
    [HOST_DOWN] = {[HOST_EV_START] = {HOST_STARTING, act_spawn}, [HOST_EV_QUIET] = {HOST_DOWN, act_nothing}},
    [HOST_STARTING] = {[HOST_EV_READY] = {HOST_RUNNING, act_ready},
                       [HOST_EV_QUIET] = {HOST_STOPPING, act_nothing},
                       [HOST_EV_EXIT] = {HOST_BACKOFF, act_crash},
                       [HOST_EV_TIMER] = {HOST_STARTING, act_late},
                       [HOST_EV_START] = {HOST_STARTING, act_nothing}},
    [HOST_RUNNING] = {[HOST_EV_QUIET] = {HOST_STOPPING, act_nothing},
                      [HOST_EV_EXIT] = {HOST_BACKOFF, act_crash},
                      [HOST_EV_READY] = {HOST_RUNNING, act_nothing},
                      [HOST_EV_START] = {HOST_RUNNING, act_nothing}},
    [HOST_STOPPING] = {[HOST_EV_EXIT] = {HOST_DOWN, act_exit},
                       [HOST_EV_TIMER] = {HOST_STOPPING, act_kill},
                       [HOST_EV_READY] = {HOST_STOPPING, act_nothing},
                       [HOST_EV_QUIET] = {HOST_STOPPING, act_nothing},
                       [HOST_EV_START] = {HOST_STOPPING, act_nothing}},
    [HOST_BACKOFF] = {[HOST_EV_TIMER] = {HOST_STARTING, act_spawn},
                      [HOST_EV_START] = {HOST_STARTING, act_spawn},
                      [HOST_EV_QUIET] = {HOST_DOWN, act_exit}},
    [HOST_HELD] = {[HOST_EV_START] = {HOST_STARTING, act_spawn}, [HOST_EV_QUIET] = {HOST_DOWN, act_nothing}},
};

static const char *const state_text[] = {"down", "starting", "running", "draining", "backoff", "held"};

const char *host_state_text(enum host_state state)
{
    return state_text[state];
}

static void step(struct host *host, enum host_event event)
{
    const struct host_step *next = &host_step[host->state][event];

    assert(next->act); /* a forgotten case is loud */
    host->state = next->next;
    next->act(host);
    host->ops->changed(host->owner, host);
}

static void act_nothing(struct host *host)
{
    (void)host;
}

static void set_timer_ms(struct host *host, uint32_t ms)
{
    uring_timer_set(host->loop, &host->timer, ms * CLOCK_MS);
}

/* After a failed start or a crash: wait, or hold it down. */
static void fall_back(struct host *host)
{
    bool held;
    uint32_t wait_ms = host_backoff_failed(&host->backoff, clock_now_ns(), &held);

    if (held) {
        host->state = HOST_HELD;
        uring_timer_clear(host->loop, &host->timer);
        log_error("host %s failed %u times within a minute and is held down; last: %s; mend the cause, then restart it", host->name,
                  HOST_FAILURES_MAX, host->last_error);
        return;
    }
    host->state = HOST_BACKOFF;
    set_timer_ms(host, wait_ms);
    log_warn("host %s starts again in %u ms", host->name, wait_ms);
}

static void close_channel(struct host *host)
{
    uring_timer_clear(host->loop, &host->budget_timer);
    uring_socket_close(host->channel);
    host->channel = NULL;
    control_parser_free(&host->parser);
}

static int on_frame(void *owner, uint32_t type, uint64_t tag, struct control_in *in)
{
    struct host *host = owner;

    int r = host->ops->frame(host->owner, host, type, tag, in);
    return r == 0 && !host->channel ? -ECANCELED : r; /* it was killed meanwhile: the parser is gone */
}

static void channel_received(void *owner, const char *bytes, size_t size)
{
    struct host *host = owner;
    uint64_t begun_ns = clock_now_ns();
    int r = control_feed(&host->parser, bytes, size, on_frame, host);

    if (r < 0 && host->channel)
        host_kill(host, r == -ENOMEM ? "no memory for its frames" : "it broke the control protocol");
    uint64_t wait_ns = host_budget_spend(&host->budget, begun_ns, clock_now_ns());
    if (wait_ns && host->channel) {
        uring_socket_pause(host->channel, true);
        uring_timer_set(host->loop, &host->budget_timer, wait_ns);
    }
}

static void budget_refilled(struct uring_timer *timer)
{
    struct host *host = list_entry(timer, struct host, budget_timer);

    if (host->channel)
        uring_socket_pause(host->channel, false);
}

static void channel_closed(void *owner, int error)
{
    struct host *host = owner;

    (void)error; /* the process's end is told by its pidfd; a live process that closed its channel is of no use */
    close_channel(host);
    if (host->reaped)
        exited(host);
    else if (host->pid > 0 && host->state != HOST_STOPPING)
        kill(host->pid, SIGKILL);
}

static const struct uring_socket_ops channel_ops = {.received = channel_received, .closed = channel_closed};

static void describe_exit(struct host *host, int status)
{
    if (host->killed_for)
        snprintf(host->last_error, sizeof host->last_error, "killed by the core: %s", host->killed_for);
    else if (WIFSIGNALED(status))
        snprintf(host->last_error, sizeof host->last_error, "killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(host->last_error, sizeof host->last_error, "exited with status %d", WEXITSTATUS(status));
}

/* It has ended, and everything that it said has been read. */
static void exited(struct host *host)
{
    host->reaped = false;
    uring_timer_clear(host->loop, &host->exit_timer);
    uring_timer_clear(host->loop, &host->timer);
    close_channel(host);
    host->ops->ended(host->owner, host, host->exit_status);
    step(host, HOST_EV_EXIT);
}

static void exit_late(struct uring_timer *timer)
{
    exited(list_entry(timer, struct host, exit_timer));
}

static void process_ended(void *owner, int fd)
{
    struct host *host = owner;
    int status = 0;

    (void)fd;
    if (waitpid(host->pid, &status, WNOHANG) != host->pid)
        return;
    describe_exit(host, status);
    uring_watch_close(host->exit_watch);
    host->exit_watch = NULL;
    fd_close(&host->pidfd);
    host->pid = 0;
    host->exit_status = status;
    host->reaped = true;
    if (host->channel) /* its last words: what it wants remembered, above all */
        uring_timer_set(host->loop, &host->exit_timer, HOST_LAST_WORDS_MS * CLOCK_MS);
    else
        exited(host);
}

/* Starts the process; on success the state stays STARTING with its time limit. */
static int spawn(struct host *host, struct why *why)
{
    struct host_spawn spawn = {.name = host->name};
    int pair[2], r;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == -1)
        return why_errno(why, errno, "no socket for %s", host->name);
    spawn.channel = pair[1];
    r = host->ops->prepare(host->owner, host, &spawn, why);
    if (r < 0)
        goto fail;
    r = host_process_start(&spawn, &host->pid, &host->pidfd, why);
    if (r < 0)
        goto fail_prepared;
    fd_close(&pair[1]);
    fd_set_nonblocking(pair[0], true);
    r = uring_socket_adopt(host->loop, pair[0], &channel_ops, host, &host->channel);
    pair[0] = -1;
    if (r == 0) {
        uring_socket_set_send_limit(host->channel, HOST_SEND_MAX);
        r = uring_watch_open(host->loop, host->pidfd, process_ended, host, &host->exit_watch);
    }
    if (r < 0) {
        why_set(why, r, "cannot watch %s: %s", host->name, strerror(-r));
        kill(host->pid, SIGKILL);
        waitpid(host->pid, NULL, 0);
        host->pid = 0;
        fd_close(&host->pidfd);
        close_channel(host);
        goto fail_prepared;
    }
    return 0;
fail_prepared:
    host->ops->ended(host->owner, host, 0);
fail:
    fd_close(&pair[0]);
    fd_close(&pair[1]);
    return r;
}

static void act_spawn(struct host *host)
{
    struct why why = {""};

    host->started_wall_s = clock_wall_s();
    if (spawn(host, &why) < 0) {
        log_error("host %s cannot start: %s", host->name, why.text);
        snprintf(host->last_error, sizeof host->last_error, "%.100s", why.text);
        fall_back(host);
        return;
    }
    host->killed_for = NULL;
    set_timer_ms(host, HOST_START_LIMIT_MS);
}

static void act_ready(struct host *host)
{
    uring_timer_clear(host->loop, &host->timer);
    log_info("host %s runs, pid %d", host->name, (int)host->pid);
}

static void act_crash(struct host *host)
{
    log_error("host %s ended unasked: %s", host->name, host->last_error);
    host->restarts++;
    fall_back(host);
}

static void act_exit(struct host *host)
{
    uring_timer_clear(host->loop, &host->timer);
    if (host->again) {
        host->again = false;
        host->restarts++;
        host->state = HOST_STARTING;
        act_spawn(host);
    }
}

static void act_late(struct host *host)
{
    host_kill(host, "it was not ready within its time");
}

static void act_kill(struct host *host)
{
    log_warn("host %s did not end in time and is killed", host->name);
    if (host->pid > 0)
        kill(host->pid, SIGKILL);
}

static void timer_fired(struct uring_timer *timer)
{
    struct host *host = list_entry(timer, struct host, timer);

    step(host, HOST_EV_TIMER);
}

void host_init(struct host *host, struct uring_loop *loop, const char *name, const struct host_ops *ops, void *owner)
{
    memset(host, 0, sizeof *host);
    host->loop = loop;
    host->ops = ops;
    host->owner = owner;
    host->pidfd = -1;
    host->timer.fired = timer_fired;
    host->budget_timer.fired = budget_refilled;
    host->exit_timer.fired = exit_late;
    snprintf(host->name, sizeof host->name, "%s", name);
}

void host_start(struct host *host)
{
    if (host->state == HOST_HELD)
        host_backoff_reset(&host->backoff);
    step(host, HOST_EV_START);
}

/* Asks it to end: by DRAIN, or by RETIRE with a step. */
static void quiet(struct host *host, uint32_t drain_ms, bool retire)
{
    struct control_out frame = {0};

    step(host, HOST_EV_QUIET);
    if (host->state != HOST_STOPPING)
        return;
    control_begin(&frame, retire ? CONTROL_RETIRE : CONTROL_DRAIN, 0);
    if (retire)
        control_put(&frame, UMBEL_RETIRE_LEAVE);
    control_put(&frame, drain_ms);
    if (control_end(&frame))
        host_send(host, &frame);
    control_out_free(&frame);
    set_timer_ms(host, drain_ms + HOST_STOP_GRACE_MS);
}

void host_stop(struct host *host, uint32_t drain_ms)
{
    quiet(host, drain_ms, false);
}

void host_retire(struct host *host, uint32_t drain_ms)
{
    quiet(host, drain_ms, true);
}

void host_restart(struct host *host, uint32_t drain_ms)
{
    if (host->state == HOST_STARTING)
        return;
    host->again = true; /* of one that is stopping too */
    if (host->state == HOST_STOPPING)
        return;
    if (host->state != HOST_RUNNING) {
        host->again = false;
        host_start(host);
        return;
    }
    host_stop(host, drain_ms);
}

void host_expect(struct host *host, size_t bytes)
{
    if (host->channel)
        uring_socket_set_send_limit(host->channel, HOST_SEND_MAX + bytes);
}

void host_kill(struct host *host, const char *reason)
{
    log_error("host %s is killed: %s", host->name, reason);
    host->killed_for = reason;
    close_channel(host);
    if (host->pid > 0)
        kill(host->pid, SIGKILL);
}

void host_ready(struct host *host)
{
    step(host, HOST_EV_READY);
}

void host_send(struct host *host, struct control_out *frame)
{
    if (host->channel && uring_socket_send(host->channel, frame->data, frame->size) == -ENOBUFS)
        host_kill(host, "it does not read its control channel");
}

void host_free(struct host *host)
{
    uring_timer_clear(host->loop, &host->timer);
    if (host->pid > 0) {
        kill(host->pid, SIGKILL);
        waitpid(host->pid, NULL, 0);
        uring_watch_close(host->exit_watch);
        fd_close(&host->pidfd);
        close_channel(host);
        host->ops->ended(host->owner, host, 0);
        host->pid = 0;
    } else if (host->reaped) {
        host->reaped = false;
        uring_timer_clear(host->loop, &host->exit_timer);
        close_channel(host);
        host->ops->ended(host->owner, host, host->exit_status);
    }
}
