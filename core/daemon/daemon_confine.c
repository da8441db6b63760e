#include "core/daemon/daemon_confine.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <umbel/transport.h>

#include "core/base/log.h"
#include "core/daemon/daemon_files.h"
#include "core/sandbox/sandbox_core.h"
#include "core/supervise/host_memory.h"

#define SPARE_BYTES ((uint64_t)64 << 20) /* libraries and stats pages, where they lie in a tmpfs */
#define CLIENT_KIB 20u /* of memory, with TLS and a full answer on its way: what the warning below reckons with */

void daemon_confine_core(const struct config *config)
{
    char report[SANDBOX_REPORT_MAX];

    if (sandbox_core_enter(sandbox_core_mode(config->sandbox), report))
        log_info("confined: %s", report);
    else
        log_warn("confined less than asked for: %s", report);
}

static void warn_of_room(const struct config_transport *config)
{
    uint64_t room_mb = (uint64_t)config->max_connections * CLIENT_KIB / 1024;

    if (config->memory_mb && config->memory_mb < room_mb)
        log_warn("transport %s: memory_mb = %u may be too little for max_connections = %u; write memory_mb = %llu, or 0 for no limit",
                 config->name, config->memory_mb, config->max_connections, (unsigned long long)(room_mb + 256));
}

int daemon_confine_create(struct daemon *daemon, struct why *why)
{
    int r = sandbox_user_choose(daemon->config->host_user ? daemon->config->host_user : "", &daemon->sandbox, why);

    for (size_t i = 0; i < daemon->config->transport_count && r == 0; i++)
        warn_of_room(&daemon->config->transports[i]);
    return r;
}

void daemon_confine_spawn(struct daemon_host *h, struct host_spawn *spawn)
{
    struct sandbox_settings settings = h->daemon->sandbox;

    settings.needs = h->config->needs | (daemon_files_any(h->config) ? SANDBOX_KEEPS_FILES : 0);
    if (h->daemon->config->io && strcmp(h->daemon->config->io, "epoll") == 0)
        settings.needs |= SANDBOX_PLAIN_SENDS;
    settings.memory_mb = h->config->memory_mb;
    settings.connections = h->config->max_connections;
    sandbox_settings_text(&settings, h->sandbox, sizeof h->sandbox);
    spawn->sandbox = h->sandbox;
    stats_row_text(h->daemon->stats, CORE_TABLE_HOSTS, h->row, HOST_COL_SANDBOX, "");
}

int daemon_confine_told(struct daemon_host *h, struct control_in *in)
{
    char text[SANDBOX_REPORT_MAX];

    control_get_string(in, text, sizeof text);
    if (!control_done(in) || h->helloed)
        return -EPROTO;
    stats_row_text(h->daemon->stats, CORE_TABLE_HOSTS, h->row, HOST_COL_SANDBOX, text);
    return 0;
}

/* Shared memory that the process was given.  One that reads the stats pages maps everybody's: of those no sum is kept. */
static uint64_t given_to(const struct daemon_host *h)
{
    const int fds[] = {bus_ring_fd(h->daemon->bus), bus_journal_fd(h->daemon->bus), h->page.fd};
    uint64_t sum = SPARE_BYTES;
    struct stat file;

    if (h->config->needs & UMBEL_NEEDS_STATS)
        return UINT64_MAX;
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fstat(fds[i], &file) == 0)
            sum += (uint64_t)file.st_size;
    return sum;
}

void daemon_confine_tick(struct daemon_host *h)
{
    uint64_t limit = (uint64_t)h->config->memory_mb << 20, bytes;

    if (h->host.pid <= 0)
        return;
    stats_add(h->daemon->stats, CORE_HOST_PAUSES, h->host.budget.pauses - h->pauses_told);
    h->pauses_told = h->host.budget.pauses;
    if (host_memory_read(h->host.pid, given_to(h), &bytes) < 0) {
        if (!h->daemon->told_blind && kill(h->host.pid, 0) == 0 && h->host.state == HOST_RUNNING) {
            h->daemon->told_blind = true;
            log_warn("/proc hides how much memory hosts have (hidepid?): memory_mb is not watched, only RLIMIT_DATA holds");
        }
        return;
    }
    stats_row_u64(h->daemon->stats, CORE_TABLE_HOSTS, h->row, HOST_COL_MEMORY, bytes);
    if (limit == 0 || bytes <= limit || h->host.killed_for)
        return;
    stats_add(h->daemon->stats, CORE_HOST_MEMORY_KILLS, 1);
    log_error("host %s has %llu MiB of memory, over its memory_mb = %u", h->host.name, (unsigned long long)(bytes >> 20),
              h->config->memory_mb);
    host_kill(&h->host, "it took more memory than memory_mb");
}
