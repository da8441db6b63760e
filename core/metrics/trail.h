/* metrics/trail.h - the event ring: what happened lately, one fixed record an event, in a file that outlives its writer.
 *
 *   +--------+--------+--------+-- ... --+     head: number of the next event; event n is in slot n % slots
 *   | header | slot 0 | slot 1 |         |     slot: seq, then the record
 *   +--------+--------+--------+-- ... --+     seq: 2n + 1 while event n is written, 2n + 2 once it is whole
 *
 * One writer (one thread of the core, or of a host), which never waits and overwrites the oldest; any number of readers in other
 * processes (trail_view.h), who learn for certain what they missed.  No conversation text, no session name, no secret goes in.
 * The core's is RUNTIME_DIR/stats/events; a host's lies behind the stats page in its file, from the next TRAIL_ALIGN on. */
#ifndef TRAIL_H
#define TRAIL_H

#include <stdint.h>

#include "core/base/why.h"

#define TRAIL_TEXT_MAX 64u /* bytes of a text, with its zero */
#define TRAIL_CORE_SLOTS 8192u
#define TRAIL_HOST_SLOTS 1024u
#define TRAIL_SLOTS_MAX (1u << 20)
#define TRAIL_ALIGN 65536u /* a multiple of every page size */

/* KIND(id, word, by: C the core tells it, H a host does, help) */
#define TRAIL_KINDS(KIND)                                                                                                           \
    KIND(STARTED, "started", C, "the daemon runs; count: its process")                                                              \
    KIND(STOPPING, "stopping", C, "the daemon drains: nothing new is taken")                                                        \
    KIND(ASKED, "asked", C, "a question was taken; bytes: its messages, duration: until it was on its way")                         \
    KIND(CONNECTED, "connected", C, "the question went to the upstream; duration: since it was asked; count 1: on a kept connection") \
    KIND(FIRST_BYTE, "first_byte", C, "the upstream began to reply; duration: since the question was asked")                        \
    KIND(FIRST_TOKEN, "first_token", C, "the first piece of the answer; ttft: since the question was asked")                        \
    KIND(RETRY, "retry", C, "an attempt failed before the answer began, and the same upstream is asked again; tries: so far")       \
    KIND(FAILOVER, "failover", C, "an attempt failed, and another upstream than this one is asked; tries: so far")                  \
    KIND(CONTINUED, "continued", C, "another upstream goes on with an answer that had broken off; bytes: from where")               \
    KIND(BREAKER_OPEN, "breaker_open", C, "an upstream failed too often and is left alone for a while")                             \
    KIND(BREAKER_CLOSED, "breaker_closed", C, "it answered again")                                                                  \
    KIND(LIMIT, "limit", C, "a limit ended an answer in its middle; reason: which")                                                 \
    KIND(ORPHANED, "orphaned", C, "nobody reads an answer any more: it is stopped")                                                 \
    KIND(ENDED, "ended", C, "an answer is over; bytes: its text, count: its deltas, readers: the most at once")                     \
    KIND(REFUSED, "refused", C, "a question or a credential was refused; reason: why; count: as many more that are not listed")     \
    KIND(HOST_STARTED, "host_started", C, "a host process was started; count: its process")                                         \
    KIND(HOST_READY, "host_ready", C, "it serves")                                                                                  \
    KIND(HOST_DRAINING, "host_draining", C, "it takes nothing new and ends")                                                        \
    KIND(HOST_ENDED, "host_ended", C, "it has ended as it was told to")                                                             \
    KIND(HOST_DIED, "host_died", C, "it ended unasked and is started again; reason: how")                                           \
    KIND(HOST_HELD, "host_held", C, "it failed too often and is held down; reason: how it ended last")                              \
    KIND(RELOADED, "reloaded", C, "a configuration was applied")                                                                    \
    KIND(RELOAD_REFUSED, "reload_refused", C, "a configuration was bad and was not applied")                                        \
    KIND(DELIVERED_FIRST, "delivered_first", H, "the first piece of an answer went to a client of this host; lag: how late")        \
    KIND(DELIVERED, "delivered", H, "the last reader of an answer has left this host; readers: in all, count: writes, lag: of these") \
    KIND(SLOW_CLOSED, "slow_closed", H, "a client that took nothing for too long was closed")

/* VALUE(id, field, type: DURATION (ns), SIZE (bytes) or NUMBER, help) */
#define TRAIL_VALUES(VALUE)                                                                                                         \
    VALUE(TTFT, "ttft", DURATION, "question to first piece")                                                                        \
    VALUE(DURATION, "duration", DURATION, "how long it took")                                                                       \
    VALUE(LAG_P50, "lag_p50", DURATION, "upstream arrival to a client's socket: the middle one")                                    \
    VALUE(LAG, "lag", DURATION, "the same, of a hundred the second worst (p99)")                                                    \
    VALUE(LAG_MAX, "lag_max", DURATION, "the same, the worst")                                                                      \
    VALUE(READERS, "readers", NUMBER, "readers")                                                                                    \
    VALUE(PROMPT, "prompt_tokens", NUMBER, "tokens of the question, reported or estimated")                                         \
    VALUE(TOKENS, "tokens", NUMBER, "tokens of the answer, reported or estimated")                                                  \
    VALUE(BYTES, "bytes", SIZE, "bytes; of what says the kind")                                                                     \
    VALUE(TRIES, "tries", NUMBER, "calls to upstreams")                                                                             \
    VALUE(COUNT, "count", NUMBER, "of what says the kind")

#define TRAIL_ENUM_KIND(id, ...) TRAIL_##id,
enum trail_kind { TRAIL_NONE, TRAIL_KINDS(TRAIL_ENUM_KIND) TRAIL_KIND_COUNT };
#define TRAIL_ENUM_VALUE(id, ...) TRAIL_V_##id,
enum trail_value { TRAIL_VALUES(TRAIL_ENUM_VALUE) TRAIL_VALUE_COUNT };
enum trail_text { TRAIL_T_APP, TRAIL_T_TRANSPORT, TRAIL_T_UPSTREAM, TRAIL_T_HOST, TRAIL_T_REASON, TRAIL_TEXT_COUNT };

struct trail_record {
    uint64_t wall_ms, time_ns;        /* set by trail_put: wall clock; CLOCK_MONOTONIC */
    uint16_t kind;                    /* enum trail_kind */
    uint8_t verdict, finish, error;   /* UMBEL_VERDICT_*, UMBEL_FINISH_*, UMBEL_ERROR_*; 0: none */
    uint8_t spare[3];
    uint8_t stream[16];               /* all zero: none */
    uint64_t value[TRAIL_VALUE_COUNT]; /* 0: not told */
    char text[TRAIL_TEXT_COUNT][TRAIL_TEXT_MAX];
};

struct trail; /* the writer's side */

/* trail_create - the file of that path, mode 0640, writer's side.  One that is there and of the same shape is gone on with, so what an
 * earlier process told stays readable; any other is replaced.  Room is taken from the file system at once.  0; -EINVAL (slots is no
 * power of two up to TRAIL_SLOTS_MAX), -errno; words in why. */
int trail_create(const char *path, uint32_t slots, struct trail **ret_trail, struct why *why);

/* trail_append - makes room for one behind the stats page in fd (which stays the caller's).  0 or -errno. */
int trail_append(int fd, uint32_t slots, struct why *why);
/* trail_adopt - the writer's side of what trail_append made; fd stays the caller's.  0; -ENOENT: there is none; -EPROTO, -errno. */
int trail_adopt(int fd, struct trail **ret_trail, struct why *why);
void trail_free(struct trail *trail); /* unmaps; the file stays; NULL is fine */

/* trail_put - one event, now.  *record's times are set.  NULL trail: nothing happens.  Never blocks, never fails. */
void trail_put(struct trail *trail, struct trail_record *record);

/* trail_text - copies text into the record, cut at a character. */
void trail_text(struct trail_record *record, enum trail_text which, const char *text);

#endif
