/* metrics/core_stats.h - what the core's page holds: one row here makes the counter, its help, its documentation.
 * File: RUNTIME_DIR/stats/core */
#ifndef CORE_STATS_H
#define CORE_STATS_H

/* X(id, name, help) */
#define CORE_COUNTERS(COUNTER, GAUGE)                                                                                               \
    COUNTER(STREAMS_OPENED, "streams_opened", "answers begun")                                                                      \
    COUNTER(STREAMS_COMPLETE, "streams_complete", "answers that ended COMPLETE")                                                    \
    COUNTER(STREAMS_TRUNCATED, "streams_truncated", "answers whose upstream stopped without saying why")                            \
    COUNTER(STREAMS_FAILED, "streams_failed", "answers that ended FAILED")                                                          \
    COUNTER(STREAMS_CANCELLED, "streams_cancelled", "answers stopped by a client, an operator or for want of readers")              \
    COUNTER(STREAMS_ORPHANED, "streams_orphaned", "answers whose last reader left and did not come back in time")                   \
    COUNTER(STREAMS_REFUSED, "streams_refused", "questions refused because the journal or the stream table was full")               \
    GAUGE(STREAMS_LIVE, "streams_live", "answers running now")                                                                      \
    COUNTER(DELTAS, "deltas", "text deltas received from upstreams")                                                                \
    COUNTER(TEXT_BYTES, "text_bytes", "bytes of answer text published")                                                             \
    COUNTER(RING_RECORDS, "ring_records", "records published on the ring")                                                          \
    GAUGE(RING_SLOTS, "ring_slots", "slots of the ring")                                                                            \
    GAUGE(RING_HEAD, "ring_head", "sequence of the next slot")                                                                      \
    COUNTER(RING_BATCHES, "ring_batches", "batches published")                                                                      \
    COUNTER(RING_WAKES, "ring_wakes", "eventfd wake-ups sent to sleeping hosts")                                                    \
    COUNTER(RING_WAKES_SAVED, "ring_wakes_saved", "batches for which a host was awake or not interested")                           \
    GAUGE(JOURNAL_PAGES, "journal_pages", "pages of the journal")                                                                   \
    GAUGE(JOURNAL_PAGES_FREE, "journal_pages_free", "free pages")                                                                   \
    GAUGE(JOURNAL_STREAMS, "journal_streams", "streams kept, live and finished")                                                    \
    COUNTER(JOURNAL_EVICTED, "journal_evicted", "finished streams forgotten to make room")                                          \
    COUNTER(JOURNAL_FULL, "journal_full", "appends that found no page: that answer failed")                                         \
    COUNTER(REQUESTS, "requests", "questions received from hosts and the admin socket")                                             \
    COUNTER(REQUESTS_BAD, "requests_bad", "questions refused as malformed")                                                         \
    COUNTER(AUTH_OK, "auth_ok", "credentials accepted")                                                                             \
    COUNTER(AUTH_BAD, "auth_bad", "credentials refused")                                                                            \
    COUNTER(CONTROL_BAD, "control_bad", "malformed frames from hosts (the host was ended)")                                         \
    COUNTER(HOST_STARTS, "host_starts", "host processes started")                                                                   \
    COUNTER(HOST_DEATHS, "host_deaths", "host processes that ended unasked")                                                        \
    COUNTER(SESSIONS_EVICTED, "sessions_evicted", "sessions forgotten to make room")                                                \
    GAUGE(SESSIONS, "sessions", "sessions with turns in memory")                                                                    \
    GAUGE(LOOP_TURNS, "loop_turns", "turns of the engine's loop")                                                                   \
    GAUGE(SOCKETS, "sockets", "sockets of the engine open now")                                                                     \
    COUNTER(ADMIN_COMMANDS, "admin_commands", "commands received on the admin socket")

/* X(id, name, help): nanoseconds */
#define CORE_HISTOGRAMS(HISTOGRAM)                                                                                                  \
    HISTOGRAM(FIRST_TOKEN, "first_token", "question received to first delta")                                                       \
    HISTOGRAM(TOKEN_GAP, "token_gap", "time between deltas of one answer")                                                          \
    HISTOGRAM(PUBLISH, "publish", "upstream bytes received to record published")

/* X(id, name, type, size) */
#define CORE_STREAM_COLUMNS(COLUMN)                                                                                                 \
    COLUMN(ID, "id", STATS_TEXT, 48)                                                                                                \
    COLUMN(APP, "app", STATS_TEXT, 64)                                                                                              \
    COLUMN(SESSION, "session", STATS_TEXT, 128)                                                                                     \
    COLUMN(STATE, "state", STATS_TEXT, 16) /* connecting, streaming, complete, truncated, failed, cancelled */                      \
    COLUMN(UPSTREAM, "upstream", STATS_TEXT, 64)                                                                                    \
    COLUMN(MODEL, "model", STATS_TEXT, 64)                                                                                          \
    COLUMN(TRANSPORT, "transport", STATS_TEXT, 64) /* where it was asked */                                                         \
    COLUMN(OPENED, "opened", STATS_WALL_S, 0)                                                                                       \
    COLUMN(OPENED_NS, "age", STATS_MONOTONIC_NS, 0)                                                                                 \
    COLUMN(FIRST_TOKEN_MS, "first_token_ms", STATS_MS, 0)                                                                           \
    COLUMN(DURATION_MS, "duration_ms", STATS_MS, 0) /* 0 while it runs */                                                           \
    COLUMN(DELTAS, "deltas", STATS_U64, 0)                                                                                          \
    COLUMN(TEXT_BYTES, "text_bytes", STATS_BYTES, 0)                                                                                \
    COLUMN(READERS, "readers", STATS_U64, 0)                                                                                        \
    COLUMN(ERROR, "error", STATS_TEXT, 128)

#define CORE_HOST_COLUMNS(COLUMN)                                                                                                   \
    COLUMN(NAME, "name", STATS_TEXT, 64) /* transport.worker */                                                                     \
    COLUMN(TRANSPORT, "transport", STATS_TEXT, 64)                                                                                  \
    COLUMN(PLUGIN, "plugin", STATS_TEXT, 64)                                                                                        \
    COLUMN(STATE, "state", STATS_TEXT, 16) /* starting, running, draining, backoff, down, held */                                   \
    COLUMN(PID, "pid", STATS_U64, 0)                                                                                                \
    COLUMN(RESTARTS, "restarts", STATS_U64, 0)                                                                                      \
    COLUMN(LISTEN, "listen", STATS_TEXT, 128)                                                                                       \
    COLUMN(STARTED, "started", STATS_WALL_S, 0)                                                                                     \
    COLUMN(CURSOR, "ring_cursor", STATS_U64, 0)                                                                                     \
    COLUMN(BEAT, "beat", STATS_MONOTONIC_NS, 0)                                                                                     \
    COLUMN(LAST_ERROR, "last_error", STATS_TEXT, 128)

#define CORE_UPSTREAM_COLUMNS(COLUMN)                                                                                               \
    COLUMN(NAME, "name", STATS_TEXT, 64)                                                                                            \
    COLUMN(DIALECT, "dialect", STATS_TEXT, 32)                                                                                      \
    COLUMN(URL, "url", STATS_TEXT, 128) /* without credentials */                                                                   \
    COLUMN(ACTIVE, "active", STATS_U64, 0)                                                                                          \
    COLUMN(WAITING, "waiting", STATS_U64, 0)                                                                                        \
    COLUMN(STARTED, "calls", STATS_U64, 0)                                                                                          \
    COLUMN(COMPLETED, "complete", STATS_U64, 0)                                                                                     \
    COLUMN(TRUNCATED, "truncated", STATS_U64, 0)                                                                                    \
    COLUMN(FAILED, "failed", STATS_U64, 0)                                                                                          \
    COLUMN(CANCELLED, "cancelled", STATS_U64, 0)                                                                                    \
    COLUMN(BYTES_IN, "bytes_in", STATS_BYTES, 0)                                                                                    \
    COLUMN(FIRST_TOKEN_MS, "first_token_ms", STATS_MS, 0)

enum { CORE_TABLE_STREAMS, CORE_TABLE_HOSTS, CORE_TABLE_UPSTREAMS, CORE_TABLES };

#define CORE_ENUM_ROW(id, ...) CORE_##id,
#define CORE_ENUM_HISTOGRAM(id, ...) CORE_H_##id,
#define CORE_ENUM_STREAM(id, ...) STREAM_COL_##id,
#define CORE_ENUM_HOST(id, ...) HOST_COL_##id,
#define CORE_ENUM_UPSTREAM(id, ...) UPSTREAM_COL_##id,
enum { CORE_COUNTERS(CORE_ENUM_ROW, CORE_ENUM_ROW) CORE_COUNTER_COUNT };
enum { CORE_HISTOGRAMS(CORE_ENUM_HISTOGRAM) CORE_HISTOGRAM_COUNT };
enum { CORE_STREAM_COLUMNS(CORE_ENUM_STREAM) STREAM_COL_COUNT };
enum { CORE_HOST_COLUMNS(CORE_ENUM_HOST) HOST_COL_COUNT };
enum { CORE_UPSTREAM_COLUMNS(CORE_ENUM_UPSTREAM) UPSTREAM_COL_COUNT };

#include "core/metrics/stats_page.h"

/* core_stats_create - the core's page at RUNTIME_DIR/stats/core with room for so many streams, hosts and upstreams. */
int core_stats_create(const char *path, uint32_t streams, uint32_t hosts, uint32_t upstreams, struct stats_page **ret_page,
                      struct why *why);

#endif
