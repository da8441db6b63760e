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

#define SESSIONS_MAX 20000u
#define SESSION_IDLE_S 1800u
#define DRAIN_TICK_NS (1 * CLOCK_S)

static void wake_reader(void *owner, int eventfd)
{
    struct daemon *daemon = owner;

    uring_wake_fd(daemon->loop, eventfd);
}

/* End of each turn: what this turn has published becomes one batch. */
static void flush(struct uring_hook *hook)
{
    struct daemon *daemon = list_entry(hook, struct daemon, flush_hook);

    bus_flush(daemon->bus, uring_loop_now_ns(daemon->loop), wake_reader, daemon);
}

static void refresh_upstreams(struct daemon *daemon)
{
    for (size_t i = 0; i < daemon->config->upstream_count; i++) {
        struct upstream_counts c;
        upstream_get_counts(daemon->upstreams[i].upstream, &c);
        const uint64_t values[][2] = {
            {UPSTREAM_COL_ACTIVE, c.active},       {UPSTREAM_COL_WAITING, c.waiting},     {UPSTREAM_COL_STARTED, c.started},
            {UPSTREAM_COL_COMPLETED, c.completed}, {UPSTREAM_COL_TRUNCATED, c.truncated}, {UPSTREAM_COL_FAILED, c.failed},
            {UPSTREAM_COL_CANCELLED, c.cancelled}, {UPSTREAM_COL_BYTES_IN, c.bytes_in},   {UPSTREAM_COL_FIRST_TOKEN_MS, c.first_token_ns_last / CLOCK_MS},
        };
        for (size_t k = 0; k < sizeof values / sizeof values[0]; k++)
            stats_row_u64(daemon->stats, CORE_TABLE_UPSTREAMS, daemon->upstream_rows[i], (uint32_t)values[k][0], values[k][1]);
    }
}

static void refresh(struct daemon *daemon, uint64_t now_ns)
{
    struct uring_loop_counts counts;

    uring_loop_counts(daemon->loop, &counts);
    stats_set(daemon->stats, CORE_LOOP_TURNS, counts.turns);
    stats_set(daemon->stats, CORE_SOCKETS, counts.sockets);
    stats_set(daemon->stats, CORE_SESSIONS, session_table_count(daemon->sessions));
    bus_gauges(daemon->bus);
    daemon_history_tick(daemon);
    stats_beat(daemon->stats, now_ns);
    refresh_upstreams(daemon);
}

static void tick(struct uring_timer *timer)
{
    struct daemon *daemon = list_entry(timer, struct daemon, tick);
    uint64_t now_ns = uring_loop_now_ns(daemon->loop);

    answer_tick(daemon->answers, now_ns);
    daemon_hosts_tick(daemon, now_ns);
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
            log_info("SIGHUP: the transports read their certificates again");
            daemon_hosts_reload(daemon);
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

/* The upstreams an app names, in its order. */
static int join_upstreams(struct daemon *daemon, struct daemon_app *app, const struct config_app *config)
{
    size_t count = config->upstreams.count;

    app->config = config;
    app->members = calloc(count, sizeof(struct upstream_member *));
    app->upstream_configs = calloc(count, sizeof(struct config_upstream *));
    if (!app->members || !app->upstream_configs)
        return -ENOMEM;
    for (size_t k = 0; k < count; k++)
        for (size_t i = 0; i < daemon->config->upstream_count; i++)
            if (strcmp(daemon->config->upstreams[i].name, config->upstreams.items[k]) == 0) {
                app->members[app->member_count] = &daemon->upstreams[i];
                app->upstream_configs[app->member_count++] = &daemon->config->upstreams[i];
            }
    return 0;
}

static int create_upstreams(struct daemon *daemon, struct why *why)
{
    const struct config *config = daemon->config;
    int r = upstream_resolver_create(daemon->loop, &daemon->resolver, why);

    if (r < 0)
        return r;
    daemon->upstreams = calloc(config->upstream_count + 1, sizeof *daemon->upstreams);
    daemon->upstream_rows = calloc(config->upstream_count + 1, sizeof(uint32_t));
    daemon->apps = calloc(config->app_count + 1, sizeof *daemon->apps);
    if (!daemon->upstreams || !daemon->upstream_rows || !daemon->apps)
        return why_set(why, -ENOMEM, "no memory for the upstreams");
    for (size_t i = 0; i < config->upstream_count; i++) {
        const struct config_upstream *u = &config->upstreams[i];
        struct upstream_options options = {.name = u->name,
                                           .dialect = u->dialect,
                                           .quirks = (const char *const *)u->quirks.items,
                                           .quirk_count = u->quirks.count,
                                           .base_url = u->base_url,
                                           .api_key = u->api_key,
                                           .ca_file = u->ca_file,
                                           .max_concurrent = u->max_concurrent,
                                           .queue = u->queue,
                                           .connect_timeout_ms = u->connect_timeout_ms,
                                           .first_token_timeout_ms = u->first_token_timeout_ms,
                                           .idle_timeout_ms = u->idle_timeout_ms,
                                           .total_timeout_ms = u->total_timeout_ms};
        r = upstream_create(daemon->loop, daemon->resolver, &options, &daemon->upstreams[i].upstream, why);
        if (r < 0)
            return r;
        daemon->upstream_rows[i] = stats_row_take(daemon->stats, CORE_TABLE_UPSTREAMS);
        stats_row_text(daemon->stats, CORE_TABLE_UPSTREAMS, daemon->upstream_rows[i], UPSTREAM_COL_NAME, u->name);
        stats_row_text(daemon->stats, CORE_TABLE_UPSTREAMS, daemon->upstream_rows[i], UPSTREAM_COL_DIALECT, u->dialect);
        stats_row_text(daemon->stats, CORE_TABLE_UPSTREAMS, daemon->upstream_rows[i], UPSTREAM_COL_URL, u->base_url);
    }
    for (size_t a = 0; a < config->app_count; a++)
        if (join_upstreams(daemon, &daemon->apps[a], &config->apps[a]) < 0)
            return why_set(why, -ENOMEM, "no memory for the apps");
    return 0;
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
    list_init(&daemon->transports);
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
    r = core_stats_create(path, (uint32_t)(journal / JOURNAL_PAGE_SIZE / 4), DAEMON_WORKERS_MAX, (uint32_t)config->upstream_count + 1,
                          &daemon->stats, why);
    if (r < 0)
        goto fail;
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
    if ((r = daemon_history_create(daemon)) < 0 || (r = create_upstreams(daemon, why)) < 0 || (r = daemon_hosts_create(daemon, why)) < 0 ||
        (r = daemon_admin_create(daemon, why)) < 0 || (r = watch_signals(daemon, why)) < 0)
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
    log_info("umbeld %s runs, %s, runtime directory %s", UMBEL_VERSION, uring_loop_backend(daemon->loop), daemon->config->runtime_dir);
    daemon_hosts_start(daemon);
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
    admin_server_close(daemon->admin);
    answer_table_free(daemon->answers);
    daemon->answers = NULL;
    for (size_t i = 0; daemon->upstreams && i < daemon->config->upstream_count; i++)
        upstream_free(daemon->upstreams[i].upstream);
    for (size_t a = 0; daemon->apps && a < daemon->config->app_count; a++) {
        free(daemon->apps[a].members);
        free(daemon->apps[a].upstream_configs);
    }
    free(daemon->upstreams);
    free(daemon->upstream_rows);
    free(daemon->apps);
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
    if (daemon->stats) {
        stats_page_free(daemon->stats);
        snprintf(path, sizeof path, "%s/stats/core", daemon->config->runtime_dir);
        unlink(path);
    }
    fd_close(&daemon->lock_fd);
    config_free(daemon->config);
    free(daemon);
}
