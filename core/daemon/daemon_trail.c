/* daemon/daemon_trail.c - the daemon's own events: its life, its hosts, refusals. */
#include "core/daemon/daemon_trail.h"

#include <stdio.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/daemon/daemon.h"

void daemon_trail_create(struct daemon *daemon)
{
    char path[4096];
    struct why why = {""};

    if (snprintf(path, sizeof path, "%s/stats/events", daemon->config->runtime_dir) >= (int)sizeof path ||
        trail_create(path, TRAIL_CORE_SLOTS, &daemon->trail, &why) < 0)
        log_warn("umbelctl log and trace will show nothing: %s", why.text);
}

void daemon_trail_free(struct daemon *daemon)
{
    trail_free(daemon->trail);
    daemon->trail = NULL;
}

void daemon_trail_say(struct daemon *daemon, enum trail_kind kind, uint64_t count)
{
    struct trail_record record = {.kind = (uint16_t)kind};

    record.value[TRAIL_V_COUNT] = count;
    trail_put(daemon->trail, &record);
}

void daemon_trail_refused(struct daemon *daemon, const char *app, const char *transport, uint32_t error, const char *reason)
{
    struct trail_record record = {.kind = TRAIL_REFUSED, .error = (uint8_t)error};
    struct daemon_refusals *refusals = &daemon->refusals;
    uint64_t second = uring_loop_now_ns(daemon->loop) / CLOCK_S;

    if (!reason && refusals->limit)
        reason = refusals->limit;
    refusals->limit = NULL;
    if (second != refusals->second) {
        refusals->second = second;
        refusals->listed = 0;
    }
    if (refusals->listed == DAEMON_TRAIL_REFUSED_MAX) {
        refusals->unlisted++;
        return;
    }
    refusals->listed++;
    trail_text(&record, TRAIL_T_APP, app);
    trail_text(&record, TRAIL_T_TRANSPORT, transport);
    trail_text(&record, TRAIL_T_REASON, reason ? reason : "");
    record.value[TRAIL_V_COUNT] = refusals->unlisted;
    refusals->unlisted = 0;
    trail_put(daemon->trail, &record);
}

void daemon_trail_host(struct daemon_host *h)
{
    static const uint16_t kinds[HOST_STATE_COUNT] = {
        [HOST_DOWN] = TRAIL_HOST_ENDED,   [HOST_STARTING] = TRAIL_HOST_STARTED, [HOST_RUNNING] = TRAIL_HOST_READY,
        [HOST_STOPPING] = TRAIL_HOST_DRAINING, [HOST_BACKOFF] = TRAIL_HOST_DIED, [HOST_HELD] = TRAIL_HOST_HELD,
    };
    struct trail_record record = {.kind = kinds[h->host.state]};

    if (h->state_told == h->host.state)
        return;
    h->state_told = h->host.state;
    trail_text(&record, TRAIL_T_TRANSPORT, h->config->name);
    trail_text(&record, TRAIL_T_HOST, h->host.name);
    if (h->host.state == HOST_BACKOFF || h->host.state == HOST_HELD)
        trail_text(&record, TRAIL_T_REASON, h->host.last_error);
    if (h->host.state == HOST_STARTING || h->host.state == HOST_RUNNING)
        record.value[TRAIL_V_COUNT] = (uint64_t)h->host.pid;
    trail_put(h->daemon->trail, &record);
}
