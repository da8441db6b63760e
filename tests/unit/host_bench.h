/* tests/unit/host_bench.h - a host without a process: a real bus on one side, readers with scripted sockets on the other. */
#ifndef HOST_BENCH_H
#define HOST_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/host/hosting.h"
#include "core/stream/bus.h"

#define READERS_MAX 1200

struct bench {
    struct bus *bus;
    struct stats_page *core_stats;
    struct hosting *hosting;
    uint32_t encodes;
    char ended[64]; /* the stream whose end was encoded last */
    char directory[64];
};

struct sink { /* one client with one reader */
    struct bench *bench;
    struct umbel_client *client;
    struct umbel_reader *reader;
    char *text;
    char stream[64];
    size_t size, capacity, writes, events, tools;
    uint64_t begun, ended, refused;
    uint32_t verdict, refusal, opens;
    int fill_after; /* writes until it is full; 0 = never */
    uint64_t from; /* where it begins */
    uint32_t variant, max_batch, max_text, flags;
};

/* bench_open - a bus of that many ring slots and bytes of journal, and a host that reads it; what fails ends the test. */
void bench_open(struct bench *bench, uint32_t ring_slots, size_t journal);
/* bench_close - everybody must have been detached. */
void bench_close(struct bench *bench);
/* turn - the host's turn without its wait; takes at most that many records from the ring. */
void turn(struct bench *bench, uint32_t records);
void settle(struct bench *bench); /* turns until nothing is left to do */

/* The core's side: an answer in session "s" of app "shop", asked for by nobody here or with the request of that number. */
struct journal_ref open_stream(struct bench *bench);
struct journal_ref open_asked(struct bench *bench, uint64_t asker);
void say(struct bench *bench, struct journal_ref ref, const char *text);
void end_stream(struct bench *bench, struct journal_ref ref, uint32_t verdict);

/* attach - a client that reads this stream from position on; the sink is all zero but for its wishes. */
void attach(struct bench *bench, struct sink *sink, struct journal_ref ref, uint64_t position);
void detach(struct sink *sink);
void expect_text(const struct sink *sink, const char *text);

#endif
