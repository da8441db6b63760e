/* metrics/health.h - is the core alive; can it serve.  Decided from stats pages alone.
 *
 *   live   the core's last sign of life is at most HEALTH_SILENT_S old: else restart it
 *   ready  live, and: it takes questions (it does not drain); of each transport of the file a worker runs; the breaker of at least one
 *          upstream lets calls through (closed, or half open: a probe may go): else send its clients elsewhere */
#ifndef METRICS_HEALTH_H
#define METRICS_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include <umbel/host.h>

#define HEALTH_SILENT_S 5u
#define HEALTH_TRANSPORTS_MAX 256u
#define HEALTH_NAME_MAX 64u
#define HEALTH_REASONS_MAX 16u /* told; more are as bad */

struct health_transport {
    char name[HEALTH_NAME_MAX], state[16];
    bool running;
};

struct health {
    bool core, accepting;
    uint64_t silent_ns;
    struct health_transport transports[HEALTH_TRANSPORTS_MAX];
    uint32_t transport_count, upstreams, admitting;
};

/* health_look - fills *ret_health from the pages; what cannot be read is as if it were not there. */
void health_look(const struct umbel_host *host, struct health *ret_health);

/* health_live, health_ready - true, or false with reasons appended: one line each, or as members of a JSON array. */
bool health_live(const struct health *health, bool json, struct umbel_out *reasons);
bool health_ready(const struct health *health, bool json, struct umbel_out *reasons);

#endif
