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
    COUNTER(STREAMS_CONTINUED, "streams_continued", "times another upstream went on with an answer that had broken off")              \
    COUNTER(STREAMS_ORPHANED, "streams_orphaned", "answers whose last reader left and did not come back in time")                   \
    COUNTER(STREAMS_REFUSED, "streams_refused", "questions refused because the journal or the stream table was full")               \
    COUNTER(STREAMS_BUSY, "streams_busy", "questions refused because the upstreams' places and queues were full")                    \
    COUNTER(QUESTIONS_FULL, "questions_full", "questions refused because their transport had max_questions already")                 \
    COUNTER(STREAMS_REVIVED, "streams_revived", "ended answers read back from the history for a resume")                              \
    COUNTER(RESUMES_FULL, "resumes_full", "resumes refused because too many of their process waited for the history")               \
    COUNTER(WATCH_CUT, "watch_cut", "running answers that a new watcher of an app was not told of: too many ran")                    \
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
    COUNTER(AUTH_UNCHECKED, "auth_unchecked", "clients told to try again because their credential could not be checked")             \
    COUNTER(AUTH_WAITING_FULL, "auth_waiting_full", "of these, those for whom too many waited already")                             \
    COUNTER(AUTHORIZE_CALLS, "authorize_calls", "calls to authorize services")                                                      \
    COUNTER(AUTHORIZE_CACHED, "authorize_cached", "questions to them answered by what was known")                                   \
    COUNTER(AUTHORIZE_JOINED, "authorize_joined", "questions to them that waited for a call that ran already")                      \
    COUNTER(AUTHORIZE_FAILURES, "authorize_failures", "questions to them without a good answer in time")                            \
    COUNTER(AUTHORIZE_FULL, "authorize_full", "of these, those for which no place was free")                                        \
    GAUGE(AUTHORIZE_ENTRIES, "authorize_entries", "answers of authorize services kept now")                                         \
    GAUGE(AUTHORIZE_WAITING, "authorize_waiting", "calls to authorize services that run or wait now")                               \
    GAUGE(GRANTS, "grants", "clients let in by authorize services now")                                                             \
    COUNTER(GRANTS_FULL, "grants_full", "clients that could not be let in because no place was free")                               \
    COUNTER(LIMITED_CONCURRENT, "limited_concurrent", "questions refused: too many answers of the app or key run")                  \
    COUNTER(LIMITED_RATE, "limited_rate", "questions refused: too many requests a minute")                                          \
    COUNTER(LIMITED_DAY, "limited_day", "questions refused: the tokens of the day are used up")                                     \
    COUNTER(LIMITED_PROMPT, "limited_prompt", "questions refused: larger than prompt_bytes")                                        \
    COUNTER(LIMITED_FULL, "limited_full", "questions refused: no room to count another key")                                        \
    COUNTER(LIMITED_OUTPUT, "limited_output", "answers ended in their middle: output_tokens reached")                               \
    COUNTER(LIMITED_DAY_OUTPUT, "limited_day_output", "answers ended in their middle: tokens_per_day reached")                      \
    GAUGE(LIMIT_ACCOUNTS, "limit_accounts", "apps and keys with something to count now")                                            \
    COUNTER(TOKENS_PROMPT, "tokens_prompt", "tokens of questions, reported or estimated")                                           \
    COUNTER(TOKENS_COMPLETION, "tokens_completion", "tokens of answers, reported or estimated")                                     \
    COUNTER(USAGE_ESTIMATED, "usage_estimated", "answers whose service reported no usage: it was estimated")                        \
    GAUGE(USAGE_WAITING, "usage_waiting", "answers whose usage waits to be written to the database")                                \
    GAUGE(USAGE_DROPPED, "usage_dropped", "answers whose usage could not be kept in the database")                                  \
    GAUGE(ACCESS_DROPPED, "access_dropped", "lines of the access log that were lost: full disk or buffer")                          \
    COUNTER(CONTROL_BAD, "control_bad", "malformed frames from hosts (the host was ended)")                                         \
    COUNTER(HOST_STARTS, "host_starts", "host processes started")                                                                   \
    COUNTER(HOST_DEATHS, "host_deaths", "host processes that ended unasked")                                                        \
    COUNTER(HOST_MEMORY_KILLS, "host_memory_kills", "host processes killed because they had more than memory_mb")                   \
    COUNTER(HOST_PAUSES, "host_pauses", "times a host's frames had to wait because it took more than its share of the core's time") \
    COUNTER(SESSIONS_EVICTED, "sessions_evicted", "sessions forgotten to make room")                                                \
    GAUGE(SESSIONS, "sessions", "sessions with turns in memory")                                                                    \
    GAUGE(LOOP_TURNS, "loop_turns", "turns of the engine's loop")                                                                   \
    GAUGE(LOOP_COALESCED, "loop_coalesced", "turns that did not begin with the first result (coalesce_us)")                       \
    GAUGE(LOOP_YIELDS, "loop_yields", "times the engine let a host on its processor run before it took in more")                     \
    GAUGE(COALESCE_US, "coalesce_us", "microseconds that the busy engine may wait for more; 0 = never")                              \
    GAUGE(SOCKETS, "sockets", "sockets of the engine open now")                                                                     \
    COUNTER(ADMIN_COMMANDS, "admin_commands", "commands received on the admin socket")                                              \
    GAUGE(ADMIN_PAUSES, "admin_pauses", "times the admin socket took no connection for a while, for want of descriptors")             \
    COUNTER(RELOADS, "reloads", "times a configuration was read again and applied")                                                 \
    COUNTER(RELOADS_REFUSED, "reloads_refused", "times a configuration was not applied because it was bad")                         \
    GAUGE(CONFIGS_KEPT, "configs_kept", "configurations in memory: the one that holds, and earlier ones that draining hosts need")  \
    GAUGE(CAPTURING, "capturing", "1: a capture of upstream bytes runs")                                                             \
    COUNTER(CAPTURE_ANSWERS, "capture_answers", "answers of upstreams that were captured")                                          \
    COUNTER(CAPTURE_BYTES, "capture_bytes", "bytes of captures, as they stand in their files")                                      \
    COUNTER(CAPTURES_CUT, "captures_cut", "captures that ended early: full file, slow disk, disk error")                            \
    GAUGE(ACCEPTING, "accepting", "1: questions are taken; 0: the daemon starts or drains")                                         \
    COUNTER(PROCESS_CPU_US, "process_cpu_us", "microseconds of processor time this process has used")                               \
    GAUGE(PROCESS_RSS_BYTES, "process_rss_bytes", "bytes of memory this process has resident")                                      \
    GAUGE(PROCESS_FDS, "process_fds", "file descriptors this process has open")

/* X(id, name, help): nanoseconds */
#define CORE_HISTOGRAMS(HISTOGRAM)                                                                                                  \
    HISTOGRAM(FIRST_TOKEN, "first_token", "question received to first delta")                                                       \
    HISTOGRAM(TOKEN_GAP, "token_gap", "time between deltas of one answer")                                                          \
    HISTOGRAM(PUBLISH, "publish", "upstream bytes received to record published")                                                    \
    HISTOGRAM(DURATION, "duration", "question received to the end of its answer")                                                   \
    HISTOGRAM(AUTHORIZE, "authorize", "time of a call to an authorize service")

/* Named NAME/UPSTREAM when an upstream first answers (daemon/answer_stats.h); those that find no room count under NAME/others. */
#define CORE_UPSTREAM_COUNTERS(COUNTER)                                                                                             \
    COUNTER(PROMPT_TOKENS, "prompt_tokens", "tokens of questions, as the upstream counted them")                                    \
    COUNTER(COMPLETION_TOKENS, "completion_tokens", "tokens of answers, as the upstream counted them")
#define CORE_UPSTREAM_HISTOGRAMS(HISTOGRAM)                                                                                         \
    HISTOGRAM(FIRST_TOKEN, "first_token", "question received to first delta")                                                       \
    HISTOGRAM(TOKEN_GAP, "token_gap", "time between deltas of one answer")                                                          \
    HISTOGRAM(DURATION, "duration", "question received to the end of its answer")
#define CORE_UPSTREAM_OTHERS "others"
#define CORE_UPSTREAMS_NAMED_MAX 64u /* upstreams with counters and histograms of their own */

/* Named errors/KIND at the start: X(UMBEL_ERROR_ id, kind).  NOT_FOUND and POSITION end no answer. */
#define CORE_ERROR_KINDS(KIND)                                                                                                      \
    KIND(AUTH, "auth") KIND(QUOTA, "quota") KIND(RATE, "rate") KIND(BUSY, "busy") KIND(BAD_REQUEST, "bad_request")                   \
    KIND(UPSTREAM, "upstream") KIND(TIMEOUT, "timeout") KIND(INTERNAL, "internal")
#define CORE_ERROR_HELP "answers that ended with this kind of error"

/* X(id, name, type, size) */
#define CORE_STREAM_COLUMNS(COLUMN)                                                                                                 \
    COLUMN(ID, "id", STATS_TEXT, 48)                                                                                                \
    COLUMN(APP, "app", STATS_TEXT, 64)                                                                                              \
    COLUMN(SESSION, "session", STATS_TEXT, 128)                                                                                     \
    COLUMN(STATE, "state", STATS_TEXT, 16) /* connecting, streaming, complete, truncated, failed, cancelled */                      \
    COLUMN(UPSTREAM, "upstream", STATS_TEXT, 64)                                                                                    \
    COLUMN(MODEL, "model", STATS_TEXT, 64)                                                                                          \
    COLUMN(TRANSPORT, "transport", STATS_TEXT, 64) /* where it was asked */                                                         \
    COLUMN(KEY, "key", STATS_TEXT, 128) /* the key's name, "user:NAME" of an authorize service, or "" */                            \
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
    COLUMN(BUILTIN, "builtin", STATS_FLAG, 0) /* made of a section of the core's own, as metrics { } */                             \
    COLUMN(MEMORY, "memory", STATS_BYTES, 0) /* of its own, without ring and journal */                                              \
    COLUMN(SANDBOX, "sandbox", STATS_TEXT, 128) /* its user, Landlock and seccomp, as far as they hold */                           \
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
    COLUMN(FIRST_TOKEN_MS, "first_token_ms", STATS_MS, 0)                                                                           \
    COLUMN(BREAKER, "breaker", STATS_TEXT, 16) /* closed, open, half: one call may try, or tries */

enum { CORE_TABLE_STREAMS, CORE_TABLE_HOSTS, CORE_TABLE_UPSTREAMS, CORE_TABLES };

#define CORE_ENUM_ROW(id, ...) CORE_##id,
#define CORE_ENUM_HISTOGRAM(id, ...) CORE_H_##id,
#define CORE_ENUM_STREAM(id, ...) STREAM_COL_##id,
#define CORE_ENUM_HOST(id, ...) HOST_COL_##id,
#define CORE_ENUM_UPSTREAM(id, ...) UPSTREAM_COL_##id,
enum { CORE_COUNTERS(CORE_ENUM_ROW, CORE_ENUM_ROW) CORE_COUNTER_COUNT };
enum { CORE_HISTOGRAMS(CORE_ENUM_HISTOGRAM) CORE_HISTOGRAM_COUNT };
#define CORE_ENUM_UPSTREAM_COUNTER(id, ...) CORE_UC_##id,
#define CORE_ENUM_UPSTREAM_HISTOGRAM(id, ...) CORE_UH_##id,
enum { CORE_UPSTREAM_COUNTERS(CORE_ENUM_UPSTREAM_COUNTER) CORE_UPSTREAM_COUNTER_COUNT };
enum { CORE_UPSTREAM_HISTOGRAMS(CORE_ENUM_UPSTREAM_HISTOGRAM) CORE_UPSTREAM_HISTOGRAM_COUNT };
enum { CORE_STREAM_COLUMNS(CORE_ENUM_STREAM) STREAM_COL_COUNT };
enum { CORE_HOST_COLUMNS(CORE_ENUM_HOST) HOST_COL_COUNT };
enum { CORE_UPSTREAM_COLUMNS(CORE_ENUM_UPSTREAM) UPSTREAM_COL_COUNT };

#include "core/metrics/stats_page.h"

/* core_stats_create - the core's page at RUNTIME_DIR/stats/core with room for so many streams, hosts and upstreams,
 * and histograms for each of the upstreams up to CORE_UPSTREAMS_NAMED_MAX and for the rest of them together. */
int core_stats_create(const char *path, uint32_t streams, uint32_t hosts, uint32_t upstreams, struct stats_page **ret_page,
                      struct why *why);

#endif
