/* upstream/upstream_trace.h - what one call met on its way, stage by stage: filled for calls that are asked to, see upstream_probe.h.  Internal
 * to the module.  Times are CLOCK_MONOTONIC ns, 0: it was not reached. */
#ifndef UPSTREAM_TRACE_H
#define UPSTREAM_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/http/http_response.h"
#include "core/parse/dialect.h"
#include "core/tls/tls_session.h"

/* Of a connection. */
struct upstream_times {
    uint64_t begun_ns;
    uint64_t resolved_ns;  /* the name has addresses */
    uint64_t connected_ns; /* to the service, or its proxy */
    uint64_t opened_ns;    /* the way to the service: the proxy has agreed */
    uint64_t ready_ns;     /* TLS is done, if there is any */
};

struct upstream_trace {
    uint64_t started_ns; /* the call */
    uint64_t begun_ns;   /* there was room for it */
    uint64_t asked_ns, first_byte_ns, first_token_ns, ended_ns;
    struct upstream_times times;
    struct tls_facts tls; /* version "" : clear text, or not reached */
    char trouble[WHY_MAX]; /* of the connection, for the operator; "" none */
    bool has_head;
    struct http_head head;
    bool has_counts;
    struct dialect_counts counts;
};

#endif
