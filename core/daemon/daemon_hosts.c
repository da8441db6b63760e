/* daemon/daemon_hosts.c - the workers of each transport: made, given what they need, watched, ended.
 * What they say is read in daemon_frames.c. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <umbel/event.h>
#include <umbel/host.h>
#include <umbel/out.h>

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/daemon/answer.h"
#include "core/daemon/daemon.h"
#include "core/daemon/daemon_confine.h"
#include "core/daemon/daemon_files.h"
#include "core/daemon/daemon_frames.h"
#include "core/daemon/daemon_handover.h"
#include "core/daemon/daemon_plugin_file.h"
#include "core/daemon/daemon_share.h"
#include "core/daemon/daemon_hosts.h"
#include "core/daemon/daemon_service.h"
#include "core/daemon/daemon_sockets.h"
#include "core/daemon/daemon_trail.h"

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
    fd_close(&h->wake_read);
    for (size_t i = 0; i < HOST_LISTENERS_MAX; i++)
        fd_close(&h->trial_fds[i]);
}

static int prepare(void *owner, struct host *host, struct host_spawn *spawn, struct why *why)
{
    struct daemon_host *h = of(host);
    struct daemon *daemon = owner;
    char path[4096];
    int r;

    h->trial = h->trial && !h->tried;
    h->drained = h->helloed = h->welcomed = false;
    h->version[0] = '\0';
    daemon_sockets_listen(h); /* again, if they were shut while the host was held down */
    r = daemon_sockets_open(h, daemon_listen_now, why); /* one of the core's own may have found its address taken */
    if (r < 0)
        return r;
    snprintf(path, sizeof path, "%s/stats/host-%s", daemon->config->runtime_dir, host->name);
    r = ring_memory_create_shared("umbel-reader", sizeof(struct ring_reader_page), &h->page, why);
    if (r < 0)
        goto fail;
    r = host_stats_create(path, host->name, h->config->max_connections, &h->stats, why);
    if (r < 0)
        goto fail;
    if (trail_append(stats_page_fd(h->stats), TRAIL_HOST_SLOTS, why) < 0)
        log_warn("%s: umbelctl trace will not show its deliveries: %s", host->name, why->text);
    /* A pipe, not an eventfd: its ends have flags of their own, so nothing the process does to its end can make ours block. */
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) == -1) {
        r = why_errno(why, errno, "no pipe to wake %s", host->name);
        goto fail;
    }
    h->wake_read = ends[0];
    h->wake = ends[1];
    h->bus_reader = bus_reader_add(daemon->bus, page_of(h), h->wake);
    if (h->bus_reader < 0) {
        r = why_set(why, -ENOSPC, "more than %u host processes", BUS_READERS_MAX);
        goto fail;
    }
    spawn->program = daemon->host_program;
    daemon_plugin_file_spawn(h, spawn);
    spawn->log_level = daemon->config->log_level;
    spawn->log_json = daemon->config->log_json;
    spawn->ring = bus_ring_fd(daemon->bus);
    spawn->journal = bus_journal_fd(daemon->bus);
    spawn->stats = stats_page_fd(h->stats);
    spawn->page = h->page.fd;
    spawn->wake = h->wake_read;
    spawn->listener_count = h->socket_count;
    for (size_t i = 0; i < h->socket_count; i++)
        spawn->listeners[i] = h->trial ? (h->trial_fds[i] = daemon_sockets_nobody()) : h->sockets[i]->fd;
    daemon_confine_spawn(h, spawn);
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
    if (daemon->answers && !daemon_handover_keeps_readers(of(host)))
        answer_host_gone(daemon->answers, of(host)->number);
}

static const char *state_text(const struct daemon_host *h)
{
    if (h->role == DAEMON_WAITS && h->host.state == HOST_RUNNING)
        return "paused";
    if (h->transport->out && h->host.state == HOST_DOWN)
        return "drained";
    return host_state_text(h->host.state);
}

void daemon_worker_show(struct daemon_host *h)
{
    row_text(h, HOST_COL_NAME, h->host.name);
    row_text(h, HOST_COL_STATE, state_text(h));
    row_u64(h, HOST_COL_PID, (uint64_t)h->host.pid);
    row_u64(h, HOST_COL_RESTARTS, h->host.restarts);
    row_u64(h, HOST_COL_STARTED, h->host.started_wall_s);
    row_text(h, HOST_COL_LAST_ERROR, h->host.last_error);
}

static void changed(void *owner, struct host *host)
{
    struct daemon_host *h = of(host);
    struct daemon *daemon = owner;

    if (host->state == HOST_HELD)
        daemon_sockets_refuse(h); /* nobody will serve them: a refusal is better than silence */
    if (host->state == HOST_BACKOFF || host->state == HOST_HELD)
        stats_add(daemon->stats, CORE_HOST_DEATHS, 1);
    daemon_trail_host(h);
    daemon_handover_changed(h);
    daemon_worker_show(h);
    daemon_service_changed(h);
    if (daemon->stopping && daemon_hosts_gone(daemon))
        uring_loop_stop(daemon->loop);
}

static const struct host_ops host_ops = {.prepare = prepare, .frame = daemon_frames_take, .ended = ended, .changed = changed};

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

void daemon_worker_name(const struct config_transport *config, uint32_t index, char *ret_name)
{
    snprintf(ret_name, DAEMON_NAME_MAX, "%.48s.%u", config->name, index);
}

int daemon_worker_create(struct daemon_transport *transport, const struct config_transport *config, const char *name, enum daemon_role role,
                         struct daemon_host **ret_h, struct why *why)
{
    struct daemon *daemon = transport->daemon;
    uint32_t number = free_number(daemon), row = number == UINT32_MAX ? UINT32_MAX : stats_row_take(daemon->stats, CORE_TABLE_HOSTS);
    struct daemon_host *h = row == UINT32_MAX ? NULL : calloc(1, sizeof *h);
    char listen[STATS_TEXT_MAX] = "";
    size_t at = 0;

    if (row == UINT32_MAX)
        return why_set(why, -ENOSPC, "more than %u host processes in all", DAEMON_WORKERS_MAX);
    if (!h) {
        stats_row_release(daemon->stats, CORE_TABLE_HOSTS, row);
        return why_set(why, -ENOMEM, "no memory for the workers of %s", config->name);
    }
    h->daemon = daemon;
    h->transport = transport;
    h->config = config;
    h->role = role;
    h->number = number;
    h->row = row;
    h->page.fd = h->wake = h->wake_read = h->bus_reader = h->plugin_fd = -1;
    for (size_t i = 0; i < HOST_LISTENERS_MAX; i++)
        h->trial_fds[i] = -1;
    list_init(&h->askings);
    list_init(&h->resumes);
    list_init(&h->auths);
    list_init(&h->grants);
    host_init(&h->host, daemon->loop, name, &host_ops, daemon);
    list_append(&transport->workers, &h->link);
    for (size_t i = 0; i < config->listen_count && at < sizeof listen; i++)
        at += (size_t)snprintf(listen + at, sizeof listen - at, "%s%s", i ? " " : "", config->listen[i].text);
    row_text(h, HOST_COL_TRANSPORT, config->name);
    row_text(h, HOST_COL_PLUGIN, config->plugin);
    row_text(h, HOST_COL_LISTEN, listen);
    row_u64(h, HOST_COL_BUILTIN, config->builtin);
    daemon_worker_show(h);
    *ret_h = h;
    return 0;
}

static void page_path(const struct daemon_host *h, char *ret_path, size_t room)
{
    snprintf(ret_path, room, "%s/stats/host-%s", h->daemon->config->runtime_dir, h->host.name);
}

void daemon_worker_rename(struct daemon_host *h, const char *name)
{
    char from[4096], to[4096];

    page_path(h, from, sizeof from);
    snprintf(h->host.name, sizeof h->host.name, "%s", name);
    page_path(h, to, sizeof to);
    if (h->stats) {
        rename(from, to);
        stats_page_rename(h->stats, name);
    } else {
        remove(from); /* of a process that has ended */
    }
    daemon_worker_show(h);
}

void daemon_worker_free(struct daemon_host *h)
{
    char path[4096];

    host_free(&h->host);
    release(h);
    if (h->daemon->answers)
        answer_host_gone(h->daemon->answers, h->number); /* if that was put off */
    page_path(h, path, sizeof path);
    remove(path);
    daemon_sockets_release(h);
    daemon_plugin_file_close(h);
    stats_row_release(h->daemon->stats, CORE_TABLE_HOSTS, h->row);
    list_remove(&h->link);
    free(h);
}

/* A worker with its sockets.  The core's own may find their address taken: it is tried again. */
static int add_worker(struct daemon_transport *transport, uint32_t index, daemon_socket_opener *opener, struct why *why)
{
    char name[DAEMON_NAME_MAX];
    struct daemon_host *h;

    daemon_worker_name(transport->config, index, name);
    int r = daemon_worker_create(transport, transport->config, name, DAEMON_SERVES, &h, why);
    if (r == 0)
        r = daemon_sockets_open(h, opener, why);
    if (r == 0 || !transport->config->builtin)
        return r;
    log_error("%s: %s; it is tried again, everything else runs", transport->config->name, why->text);
    return 0;
}

int daemon_transport_create(struct daemon *daemon, const struct config_transport *config, daemon_socket_opener *opener,
                            struct daemon_transport **ret_transport, struct why *why)
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
        r = why_set(why, -ENOMEM, "no memory for the workers of %s", config->name);
    for (uint32_t w = 0; w < config->workers && r == 0; w++)
        r = add_worker(transport, w, opener, why);
    if (r < 0) {
        daemon_transport_free(transport);
        return r;
    }
    *ret_transport = transport;
    return 0;
}

int daemon_hosts_create(struct daemon *daemon, struct why *why)
{
    int r = daemon_confine_create(daemon, why);

    struct daemon_transport *transport;

    for (size_t i = 0; i < daemon->config->transport_count && r == 0; i++)
        r = daemon_transport_create(daemon, &daemon->config->transports[i], daemon_listen, &transport, why);
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
        if (!h->config->outlives_drain)
            host_stop(&h->host, h->config->drain_ms);
}

struct daemon_host *daemon_hosts_find(struct daemon *daemon, const char *transport, const char *plugin)
{
    for_each_worker(daemon, h)
        if (h->host.state == HOST_RUNNING && h->role == DAEMON_SERVES && (!transport || strcmp(h->transport->config->name, transport) == 0) &&
            (!plugin || strcmp(h->transport->config->plugin, plugin) == 0))
            return h;
    return NULL;
}

void daemon_hosts_reload(struct daemon *daemon)
{
    struct control_out out = {0};

    control_begin(&out, CONTROL_RELOAD, 0);
    control_put_text(&out, daemon->config->log_level, strlen(daemon->config->log_level));
    control_put(&out, daemon->config->log_json);
    if (control_end(&out))
        for_each_worker(daemon, h)
            if (h->host.state == HOST_RUNNING) {
                daemon_files_send(h);
                host_send(&h->host, &out);
            }
    control_out_free(&out);
}

bool daemon_hosts_gone(const struct daemon *daemon)
{
    for_each_worker(daemon, h)
        if (h->host.state != HOST_DOWN && !h->config->outlives_drain)
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
        daemon_confine_tick(h);
    }
    daemon_handover_tick(daemon);
}

void daemon_transport_free(struct daemon_transport *transport)
{
    daemon_handover_end(transport);
    list_for_each(link, spare, &transport->workers)
        daemon_worker_free(list_entry(link, struct daemon_host, link));
    kept_free(transport->kept);
    daemon_share_leave(transport->share);
    list_remove(&transport->link);
    free(transport);
}

void daemon_hosts_free(struct daemon *daemon)
{
    list_for_each(link, spare, &daemon->transports)
        daemon_transport_free(list_entry(link, struct daemon_transport, link));
}
