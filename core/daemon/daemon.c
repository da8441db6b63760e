/* daemon/daemon.c - wiring: makes the parts in order, joins them, takes them apart in reverse. */
#include "core/daemon/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/daemon/answer.h"
#include "core/daemon/daemon_capture.h"
#include "core/daemon/daemon_selftest.h"
#include "core/daemon/daemon_authorize.h"
#include "core/daemon/daemon_grants.h"
#include "core/daemon/daemon_inherit.h"
#include "core/daemon/daemon_notify.h"
#include "core/daemon/daemon_reload.h"
#include "core/daemon/daemon_trail.h"
#include "core/daemon/daemon_renew.h"
#include "core/daemon/daemon_upgrade.h"
#include "core/daemon/daemon_usage.h"

#define SESSIONS_MAX 20000u
#define SESSION_IDLE_S 1800u
#define DRAIN_TICK_NS (1 * CLOCK_S)

static void wake_reader(void *owner, int eventfd, bool near)
{
    struct daemon *daemon = owner;

    uring_wake_fd(daemon->loop, eventfd, near);
}

/* End of each turn: what this turn has published becomes one batch. */
static void flush(struct uring_hook *hook)
{
    struct daemon *daemon = list_entry(hook, struct daemon, flush_hook);

    bus_flush(daemon->bus, uring_loop_now_ns(daemon->loop), wake_reader, daemon);
}

static void refresh(struct daemon *daemon, uint64_t now_ns)
{
    struct uring_loop_counts counts;

    uring_loop_counts(daemon->loop, &counts);
    stats_set(daemon->stats, CORE_LOOP_TURNS, counts.turns);
    stats_set(daemon->stats, CORE_LOOP_COALESCED, counts.coalesced);
    stats_set(daemon->stats, CORE_LOOP_YIELDS, counts.yields);
    stats_set(daemon->stats, CORE_COALESCE_US, counts.coalesce_ns / CLOCK_US);
    stats_set(daemon->stats, CORE_SOCKETS, counts.sockets);
    stats_set(daemon->stats, CORE_SESSIONS, session_table_count(daemon->sessions));
    bus_gauges(daemon->bus);
    daemon_history_tick(daemon);
    daemon_usage_tick(daemon);
    daemon_authorize_tick(daemon);
    if (daemon->admin) {
        struct admin_counts admin;
        admin_server_counts(daemon->admin, &admin);
        stats_set(daemon->stats, CORE_ADMIN_PAUSES, admin.pauses);
    }
    stats_beat(daemon->stats, now_ns);
    stats_set(daemon->stats, CORE_ACCEPTING, !daemon->stopping);
    process_stats_note(&daemon->process, daemon->stats, now_ns);
    daemon_upstreams_refresh(daemon, now_ns);
}

static void tick(struct uring_timer *timer)
{
    struct daemon *daemon = list_entry(timer, struct daemon, tick);
    uint64_t now_ns = uring_loop_now_ns(daemon->loop);

    answer_tick(daemon->answers, now_ns);
    daemon_hosts_tick(daemon, now_ns);
    daemon_notify_tick(daemon);
    daemon_upstreams_tick(daemon);
    daemon_reload_tick(daemon);
    if (now_ns - daemon->tidied_ns > 60 * CLOCK_S) {
        daemon->tidied_ns = now_ns;
        session_tidy(daemon->sessions, now_ns);
    }
    refresh(daemon, now_ns);
    uring_timer_set(daemon->loop, &daemon->tick, DRAIN_TICK_NS);
}

void daemon_stop(struct daemon *daemon)
{
    if (daemon->stopping) {
        log_warn("told to stop again: ends at once");
        uring_loop_stop(daemon->loop);
        return;
    }
    daemon->stopping = true;
    daemon_trail_say(daemon, TRAIL_STOPPING, 0);
    stats_set(daemon->stats, CORE_ACCEPTING, 0);
    daemon_notify_stopping(daemon);
    log_info("stops: running answers are served to their end, nothing new is taken");
    daemon_hosts_stop(daemon);
    if (daemon_hosts_gone(daemon))
        uring_loop_stop(daemon->loop);
}

static void on_signal(void *owner, int fd)
{
    struct daemon *daemon = owner;
    struct signalfd_siginfo info;

    while (read(fd, &info, sizeof info) == (ssize_t)sizeof info)
        if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
            daemon_stop(daemon);
        else if (info.ssi_signo == SIGHUP) {
            log_info("SIGHUP: the configuration and the transports' certificates are read again");
            daemon_reload_signal(daemon);
            daemon_access_reopen(daemon);
        }
}

/* Before any thread is made: they inherit the mask, so a signal can reach nobody but the signalfd. */
static void block_signals(sigset_t *ret_set)
{
    sigemptyset(ret_set);
    sigaddset(ret_set, SIGTERM);
    sigaddset(ret_set, SIGINT);
    sigaddset(ret_set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, ret_set, NULL);
}

static int watch_signals(struct daemon *daemon, struct why *why)
{
    sigset_t set;

    block_signals(&set);
    daemon->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (daemon->signal_fd == -1)
        return why_errno(why, errno, "no signalfd");
    int r = uring_watch_open(daemon->loop, daemon->signal_fd, on_signal, daemon, &daemon->signal_watch);
    return r < 0 ? why_errno(why, -r, "cannot watch signals") : 0;
}

/* The runtime directory and its stats folder: ours, not for others. */
static int make_runtime_dir(const char *path, struct why *why)
{
    char stats[4096];

    if (mkdir(path, 0750) == -1 && errno != EEXIST)
        return why_errno(why, errno, "cannot make the runtime directory %s (choose another by --runtime-dir)", path);
    snprintf(stats, sizeof stats, "%s/stats", path);
    if (mkdir(stats, 0750) == -1 && errno != EEXIST)
        return why_errno(why, errno, "cannot make %s", stats);
    if (access(stats, W_OK) == -1)
        return why_errno(why, errno, "cannot write to %s (another user's runtime directory? choose another by --runtime-dir)", stats);
    return 0;
}

static int create_upstreams(struct daemon *daemon, struct why *why)
{
    const struct config *config = daemon->config;
    struct daemon_apps_change *apps;
    int r = upstream_resolver_create(daemon->loop, &daemon->resolver, why);

    if (r < 0)
        return r;
    daemon->apps = calloc(DAEMON_APPS_MAX, sizeof *daemon->apps);
    if (!daemon->apps)
        return why_set(why, -ENOMEM, "no memory for the apps");
    for (size_t i = 0; i < config->upstream_count; i++) {
        struct daemon_upstream *upstream;
        r = daemon_upstream_make(daemon, config, &config->upstreams[i], &upstream, why);
        if (r < 0)
            return r;
        daemon_upstream_put(daemon, upstream);
    }
    r = daemon_apps_prepare(daemon, config, &apps, why);
    if (r == 0)
        daemon_apps_commit(daemon, apps);
    if (r == 0)
        daemon_authorize_follow(daemon);
    return r;
}

int daemon_create(struct config *config, const char *host_program, struct daemon **ret_daemon, struct why *why)
{
    struct daemon *daemon = calloc(1, sizeof *daemon);
    char path[4096];
    sigset_t set;
    int r;

    block_signals(&set);
    if (!daemon) {
        config_free(config);
        return why_set(why, -ENOMEM, "no memory");
    }
    daemon->config = config;
    daemon->lock_fd = daemon->signal_fd = -1;
    list_init(&daemon->commands);
    list_init(&daemon->looks);
    list_init(&daemon->transports);
    list_init(&daemon->drains);
    list_init(&daemon->tails);
    list_init(&daemon->upgrades);
    list_init(&daemon->upstreams);
    list_init(&daemon->retired);
    list_init(&daemon->dropped);
    daemon->tick.fired = tick;
    daemon->flush_hook.run = flush;
    snprintf(daemon->host_program, sizeof daemon->host_program, "%s", host_program);
    r = make_runtime_dir(config->runtime_dir, why);
    if (r < 0)
        goto fail;
    daemon->lock_fd = r = admin_lock(config->runtime_dir, why);
    if (r < 0)
        goto fail;
    r = uring_loop_create(&(struct uring_loop_options){.io = config->io}, &daemon->loop, why);
    if (r < 0)
        goto fail;
    size_t journal = (size_t)config->journal_mb << 20;
    snprintf(path, sizeof path, "%s/stats/core", config->runtime_dir);
    r = core_stats_create(path, (uint32_t)(journal / JOURNAL_PAGE_SIZE / 4), DAEMON_WORKERS_MAX, (uint32_t)config->upstream_count + DAEMON_UPSTREAMS_SPARE,
                          &daemon->stats, why);
    if (r < 0)
        goto fail;
    answer_stats_setup(daemon->stats);
    daemon_trail_create(daemon);
    process_stats_open(&daemon->process, CORE_PROCESS_CPU_US, CORE_PROCESS_RSS_BYTES, CORE_PROCESS_FDS);
    r = bus_create(config->ring_slots, journal, daemon->stats, &daemon->bus, why);
    if (r < 0)
        goto fail;
    r = session_table_create(SESSIONS_MAX, SESSION_IDLE_S * CLOCK_S, &daemon->sessions);
    if (r == 0)
        r = answer_table_create(daemon, &daemon->answers);
    if (r < 0) {
        why_errno(why, -r, "cannot make the tables");
        goto fail;
    }
    if ((r = daemon_capture_create(daemon)) < 0 || (r = daemon_selftest_create(daemon)) < 0 ||
        (r = daemon_history_create(daemon)) < 0 || (r = daemon_usage_create(daemon, why)) < 0 || (r = create_upstreams(daemon, why)) < 0 ||
        (r = daemon_hosts_create(daemon, why)) < 0 ||
        (r = daemon_reload_create(daemon, why)) < 0 || (r = daemon_admin_create(daemon, why)) < 0 || (r = watch_signals(daemon, why)) < 0)
        goto fail;
    uring_hook_add(daemon->loop, &daemon->flush_hook);
    *ret_daemon = daemon;
    return 0;
fail:
    daemon_free(daemon);
    return r;
}

int daemon_run(struct daemon *daemon)
{
    uint64_t now_ns = clock_now_ns();

    refresh(daemon, now_ns);
    bool ring = strcmp(uring_loop_backend(daemon->loop), "io_uring") == 0;
    stats_set(daemon->stats, stats_name_counter(daemon->stats, ring ? "engine_io_uring" : "engine_epoll", "1: what the engine runs on", true), 1);
    daemon->tidied_ns = now_ns;
    uring_timer_set(daemon->loop, &daemon->tick, CLOCK_S);
    uring_loop_coalesce(daemon->loop, daemon->config->coalesce_us * CLOCK_US);
    log_info("umbeld %s runs, %s, runtime directory %s", UMBEL_VERSION, uring_loop_backend(daemon->loop), daemon->config->runtime_dir);
    daemon_trail_say(daemon, TRAIL_STARTED, (uint64_t)getpid());
    daemon_usage_start(daemon, daemon_hosts_start);
    daemon_notify_open(daemon);
    daemon_inherit_settle();
    int r = uring_loop_run(daemon->loop);
    refresh(daemon, clock_now_ns());
    return r;
}

void daemon_free(struct daemon *daemon)
{
    char path[4096];

    if (!daemon)
        return;
    daemon->stopping = true;
    if (daemon->config && daemon->loop)
        daemon_hosts_free(daemon);
    daemon_authorize_free(daemon);
    daemon_grants_free(daemon);
    admin_server_close(daemon->admin);
    daemon_upgrade_end(daemon);
    daemon_renew_end(daemon);
    daemon_inherit_listen();
    daemon_notify_close(daemon);
    daemon_reload_free(daemon);
    answer_table_free(daemon->answers);
    daemon->answers = NULL;
    daemon_usage_free(daemon);
    daemon_apps_free(daemon);
    daemon_upstreams_free(daemon);
    daemon_capture_free(daemon);
    daemon_selftest_free(daemon);
    upstream_resolver_free(daemon->resolver);
    history_close(daemon->history); /* after the last answer: what they left is written */
    session_table_free(daemon->sessions);
    bus_free(daemon->bus);
    if (daemon->loop) {
        uring_timer_clear(daemon->loop, &daemon->tick);
        uring_watch_close(daemon->signal_watch);
        if (daemon->flush_hook.link.next)
            uring_hook_remove(daemon->loop, &daemon->flush_hook);
        uring_loop_free(daemon->loop);
    }
    fd_close(&daemon->signal_fd);
    process_stats_close(&daemon->process);
    daemon_trail_free(daemon);
    if (daemon->stats) {
        stats_page_free(daemon->stats);
        snprintf(path, sizeof path, "%s/stats/core", daemon->config->runtime_dir);
        unlink(path);
    }
    fd_close(&daemon->lock_fd);
    config_free(daemon->config);
    free(daemon);
}
