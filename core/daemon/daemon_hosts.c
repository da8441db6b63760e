/* daemon/daemon_hosts.c - the workers of each transport: made, given what they need, watched, ended.
 * What they say is read in daemon_frames.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <umbel/event.h>
#include <umbel/host.h>
#include <umbel/out.h>

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/daemon/answer.h"
#include "core/daemon/daemon.h"
#include "core/daemon/daemon_frames.h"

static struct daemon_host *of(struct host *host)
{
    return (struct daemon_host *)(void *)host;
}

static void row_text(struct daemon_host *h, uint32_t column, const char *text)
{
    stats_row_text(h->daemon->stats, CORE_TABLE_HOSTS, h->row, column, text);
}

static void row_u64(struct daemon_host *h, uint32_t column, uint64_t value)
{
    stats_row_u64(h->daemon->stats, CORE_TABLE_HOSTS, h->row, column, value);
}

static struct ring_reader_page *page_of(struct daemon_host *h)
{
    return h->page.base;
}

/* Undoes prepare(), whole or half done. */
static void release(struct daemon_host *h)
{
    if (h->bus_reader >= 0)
        bus_reader_remove(h->daemon->bus, h->bus_reader);
    h->bus_reader = -1;
    ring_memory_free(&h->page);
    h->page = (struct ring_memory){.fd = -1};
    stats_page_free(h->stats);
    h->stats = NULL;
    fd_close(&h->wake);
}

static int prepare(void *owner, struct host *host, struct host_spawn *spawn, struct why *why)
{
    struct daemon_host *h = of(host);
    struct daemon *daemon = owner;
    char path[4096];
    int r;

    h->drained = h->helloed = false;
    for (size_t i = 0; i < h->listener_count; i++)
        listen(h->listeners[i], SOMAXCONN); /* again, if it was shut while the host was held down */
    snprintf(path, sizeof path, "%s/stats/host-%s", daemon->config->runtime_dir, host->name);
    r = ring_memory_create_shared("umbel-reader", sizeof(struct ring_reader_page), &h->page, why);
    if (r < 0)
        goto fail;
    r = host_stats_create(path, host->name, h->transport->config->max_connections, &h->stats, why);
    if (r < 0)
        goto fail;
    h->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (h->wake == -1) {
        r = why_errno(why, errno, "no eventfd for %s", host->name);
        goto fail;
    }
    h->bus_reader = bus_reader_add(daemon->bus, page_of(h), h->wake);
    if (h->bus_reader < 0) {
        r = why_set(why, -ENOSPC, "more than %u host processes", BUS_READERS_MAX);
        goto fail;
    }
    spawn->program = daemon->host_program;
    spawn->plugin_path = h->transport->config->plugin_path;
    spawn->log_level = daemon->config->log_level;
    spawn->log_json = daemon->config->log_json;
    spawn->ring = bus_ring_fd(daemon->bus);
    spawn->journal = bus_journal_fd(daemon->bus);
    spawn->stats = stats_page_fd(h->stats);
    spawn->page = h->page.fd;
    spawn->wake = h->wake;
    spawn->listener_count = h->listener_count;
    memcpy(spawn->listeners, h->listeners, sizeof spawn->listeners);
    stats_add(daemon->stats, CORE_HOST_STARTS, 1);
    return 0;
fail:
    release(h);
    return r;
}

static void ended(void *owner, struct host *host, int status)
{
    struct daemon *daemon = owner;

    (void)status;
    daemon_frames_forget(of(host));
    daemon_command_host_gone(of(host));
    release(of(host));
    if (daemon->answers)
        answer_host_gone(daemon->answers, of(host)->number);
}

static void changed(void *owner, struct host *host)
{
    struct daemon_host *h = of(host);
    struct daemon *daemon = owner;

    for (size_t i = 0; host->state == HOST_HELD && i < h->listener_count; i++)
        shutdown(h->listeners[i], SHUT_RDWR); /* nobody will serve it: a refusal is better than silence */
    if (host->state == HOST_BACKOFF || host->state == HOST_HELD)
        stats_add(daemon->stats, CORE_HOST_DEATHS, 1);
    row_text(h, HOST_COL_STATE, host_state_text(host->state));
    row_u64(h, HOST_COL_PID, (uint64_t)host->pid);
    row_u64(h, HOST_COL_RESTARTS, host->restarts);
    row_u64(h, HOST_COL_STARTED, host->started_wall_s);
    row_text(h, HOST_COL_LAST_ERROR, host->last_error);
    if (daemon->stopping && daemon_hosts_gone(daemon))
        uring_loop_stop(daemon->loop);
}

static const struct host_ops host_ops = {.prepare = prepare, .frame = daemon_frames_take, .ended = ended, .changed = changed};

static int open_listeners(struct daemon_transport *transport, struct daemon_host *h, struct why *why)
{
    const struct config_transport *config = transport->config;

    if (config->listen_count > HOST_LISTENERS_MAX)
        return why_set(why, -EINVAL, "transport %s listens on %zu addresses, at most %u are possible", config->name, config->listen_count,
                       HOST_LISTENERS_MAX);
    for (size_t i = 0; i < config->listen_count; i++) {
        int r = daemon_listen(&config->listen[i], config->workers > 1 && !config->listen[i].is_unix, &h->listeners[i], why);
        if (r < 0)
            return r;
        h->listener_count++;
    }
    return 0;
}

/* The lowest number that no worker has: it names the worker in reader counts. */
static uint32_t free_number(const struct daemon *daemon)
{
    for (uint32_t number = 0; number < DAEMON_WORKERS_MAX; number++) {
        bool taken = false;
        for_each_worker(daemon, h)
            taken = taken || (h->number == number);
        if (!taken)
            return number;
    }
    return UINT32_MAX;
}

static int create_worker(struct daemon_transport *transport, uint32_t index, struct why *why)
{
    const struct config_transport *config = transport->config;
    struct daemon *daemon = transport->daemon;
    struct daemon_host *h = calloc(1, sizeof *h);
    char name[80], listen[STATS_TEXT_MAX] = "";
    size_t at = 0;

    if (!h)
        return why_set(why, -ENOMEM, "no memory for the workers of %s", config->name);
    snprintf(name, sizeof name, "%.64s.%u", config->name, index);
    h->daemon = daemon;
    h->transport = transport;
    h->number = free_number(daemon);
    h->page.fd = h->wake = h->bus_reader = -1;
    list_init(&h->askings);
    host_init(&h->host, daemon->loop, name, &host_ops, daemon);
    list_append(&transport->workers, &h->link);
    h->row = h->number == UINT32_MAX ? UINT32_MAX : stats_row_take(daemon->stats, CORE_TABLE_HOSTS);
    if (h->row == UINT32_MAX)
        return why_set(why, -EINVAL, "more than %u workers in all", DAEMON_WORKERS_MAX);
    for (size_t i = 0; i < config->listen_count && at < sizeof listen; i++)
        at += (size_t)snprintf(listen + at, sizeof listen - at, "%s%s", i ? " " : "", config->listen[i].text);
    row_text(h, HOST_COL_NAME, name);
    row_text(h, HOST_COL_TRANSPORT, config->name);
    row_text(h, HOST_COL_PLUGIN, config->plugin);
    row_text(h, HOST_COL_LISTEN, listen);
    row_text(h, HOST_COL_STATE, host_state_text(HOST_DOWN));
    return open_listeners(transport, h, why);
}

static int create_transport(struct daemon *daemon, const struct config_transport *config, struct why *why)
{
    struct daemon_transport *transport = calloc(1, sizeof *transport);
    int r = 0;

    if (!transport)
        return why_set(why, -ENOMEM, "no memory for the transports");
    transport->daemon = daemon;
    transport->config = config;
    list_init(&transport->workers);
    list_append(&daemon->transports, &transport->link);
    if (kept_create(CONTROL_KEPT_MAX, &transport->kept) < 0)
        return why_set(why, -ENOMEM, "no memory for the workers of %s", config->name);
    for (uint32_t w = 0; w < config->workers && r == 0; w++)
        r = create_worker(transport, w, why);
    return r;
}

int daemon_hosts_create(struct daemon *daemon, struct why *why)
{
    int r = 0;

    for (size_t i = 0; i < daemon->config->transport_count && r == 0; i++)
        r = create_transport(daemon, &daemon->config->transports[i], why);
    return r;
}

void daemon_hosts_start(struct daemon *daemon)
{
    for_each_worker(daemon, h)
        host_start(&h->host);
}

void daemon_hosts_stop(struct daemon *daemon)
{
    for_each_worker(daemon, h)
        h->host.again = false;
    for_each_worker(daemon, h)
        host_stop(&h->host, h->transport->config->drain_ms);
}

struct daemon_host *daemon_hosts_find(struct daemon *daemon, const char *transport, const char *plugin)
{
    for_each_worker(daemon, h)
        if (h->host.state == HOST_RUNNING && (!transport || strcmp(h->transport->config->name, transport) == 0) &&
            (!plugin || strcmp(h->transport->config->plugin, plugin) == 0))
            return h;
    return NULL;
}

void daemon_hosts_reload(struct daemon *daemon)
{
    struct control_out out = {0};

    control_begin(&out, CONTROL_RELOAD, 0);
    if (control_end(&out))
        for_each_worker(daemon, h)
            if (h->host.state == HOST_RUNNING)
                host_send(&h->host, &out);
    control_out_free(&out);
}

bool daemon_hosts_gone(const struct daemon *daemon)
{
    for_each_worker(daemon, h)
        if (h->host.state != HOST_DOWN)
            return false;
    return true;
}

void daemon_hosts_tick(struct daemon *daemon, uint64_t now_ns)
{
    for_each_worker(daemon, h)
    {
        if (!h->page.base)
            continue;
        /* one copy of what the host may scribble over at any time */
        uint64_t beat = atomic_load_explicit(&page_of(h)->beat_ns, memory_order_relaxed);
        row_u64(h, HOST_COL_CURSOR, atomic_load_explicit(&page_of(h)->cursor, memory_order_relaxed));
        row_u64(h, HOST_COL_BEAT, beat);
        /* a beat from the future is no sign of life either */
        if (h->host.state == HOST_RUNNING &&
            ((int64_t)(now_ns - beat) > (int64_t)(DAEMON_HANG_S * CLOCK_S) || (int64_t)(beat - now_ns) > (int64_t)CLOCK_S))
            host_kill(&h->host, "it has shown no sign of life for 20 s");
    }
}

static void free_worker(struct daemon_host *h)
{
    char path[4096];

    host_free(&h->host);
    release(h);
    snprintf(path, sizeof path, "%s/stats/host-%s", h->daemon->config->runtime_dir, h->host.name);
    remove(path);
    for (size_t i = 0; i < h->listener_count; i++)
        fd_close(&h->listeners[i]);
    list_remove(&h->link);
    free(h);
}

static void free_transport(struct daemon_transport *transport)
{
    list_for_each(link, spare, &transport->workers)
        free_worker(list_entry(link, struct daemon_host, link));
    for (size_t k = 0; k < transport->config->listen_count; k++)
        if (transport->config->listen[k].is_unix)
            remove(transport->config->listen[k].host);
    kept_free(transport->kept);
    list_remove(&transport->link);
    free(transport);
}

void daemon_hosts_free(struct daemon *daemon)
{
    list_for_each(link, spare, &daemon->transports)
        free_transport(list_entry(link, struct daemon_transport, link));
}
