/* record - what was asked and how it ended: the log's JSON lines and the listing under /mock/requests.
 * Owner: the loop thread.  Bound: RECORD_RING records are kept for the listing; a running request keeps its own. */
#ifndef MOCK_LLM_RECORD_H
#define MOCK_LLM_RECORD_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "bytes.h"

#define RECORD_RING 1000u

struct http_head;

/* One request; freed when both the ring and its holder let go. */
struct record {
    unsigned holders;
    uint64_t id, generation, start_us;
    char *fixed;            /* the JSON members known at the start, without braces; owned */
    char *model;            /* NULL if none; owned */
    unsigned status;        /* of the response; 0 before its head */
    uint64_t tokens, bytes; /* sent; bytes include the head */
    double duration_ms;     /* set at the end */
    const char *fault;      /* the fault option that was acted on, static; NULL if none */
    char end[40];           /* complete, fault:NAME, client_closed, shutdown; "" while running */
};

struct record_log {
    FILE *file; /* NULL = no log */
    struct record *ring[RECORD_RING];
    uint64_t next, kept; /* ring position of the next record; records in the ring */
    uint64_t ids, generation;
    uint64_t active;               /* requests running now */
    uint64_t total, client_closed; /* since the start or the last reset */
};

/* What a record is begun with; strings are copied. */
struct record_facts {
    const char *peer;             /* "127.0.0.1:4711" */
    uint64_t connection, nth;     /* number of the connection, of the request on it (from 1) */
    const struct http_head *head; /* NULL if it was unreadable */
    uint64_t body_bytes, messages;
    const char *model; /* NULL if none */
    bool stream;
};

/* record_begin opens a record, logs its start and returns it with one hold for the caller. */
struct record *record_begin(struct record_log *log, const struct record_facts *facts);
/* record_end sets how the request ended and logs it; only the first call for a record counts. */
void record_end(struct record_log *log, struct record *record, const char *end);
/* record_drop gives the caller's hold back; NULL is fine. */
void record_drop(struct record *record);
/* record_list appends counters and kept records, oldest first, as one JSON object; only those of this model if it is
 * not NULL. */
void record_list(const struct record_log *log, const char *model, struct bytes *out);
/* record_reset forgets the kept records and zeroes the counters; requests still running no longer count in
 * client_closed when they end, but stay in active. */
void record_reset(struct record_log *log);
#endif
