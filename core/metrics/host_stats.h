/* metrics/host_stats.h - what a host's page holds.  Created by the core (RUNTIME_DIR/stats/host-TRANSPORT.WORKER), written by the host,
 * trusted by nobody. */
#ifndef HOST_STATS_H
#define HOST_STATS_H

#define HOST_COUNTERS(COUNTER, GAUGE)                                                                                               \
    GAUGE(CLIENTS, "clients", "clients connected now")                                                                              \
    COUNTER(CLIENTS_TOTAL, "clients_total", "clients that came")                                                                    \
    COUNTER(CLIENTS_REFUSED, "clients_refused", "clients refused at a limit")                                                       \
    GAUGE(READERS, "readers", "readers: clients' places on streams")                                                                \
    GAUGE(FEEDS, "feeds", "streams that have readers here")                                                                         \
    COUNTER(QUESTIONS, "questions", "questions passed to the core")                                                                 \
    COUNTER(DELIVERIES, "deliveries", "writes of answer bytes to clients")                                                          \
    COUNTER(DELIVERED_BYTES, "delivered_bytes", "bytes of them")                                                                    \
    COUNTER(ENCODES, "encodes", "times events were encoded: shared by the deliveries")                                              \
    COUNTER(SLOW, "slow", "times a client was found full and kept only its place")                                                  \
    COUNTER(CATCHUPS, "catchups", "merged deliveries read back from the journal")                                                   \
    COUNTER(LAPPED, "lapped", "times the ring had overtaken this host: it went on from the journal")                                \
    COUNTER(STALE, "stale", "readers ended because the stream's memory was taken while they lagged")                                \
    COUNTER(SEND_BATCHES, "send_batches", "system calls that carried deliveries to several sockets at once")                        \
    COUNTER(SENDS_BATCHED, "sends_batched", "deliveries in them")                                                                   \
    COUNTER(RING_RECORDS, "ring_records", "records read from the ring")                                                             \
    COUNTER(WAKES, "wakes", "wake-ups by the core")                                                                                 \
    COUNTER(PROCESS_CPU_US, "process_cpu_us", "microseconds of processor time this process has used")                               \
    GAUGE(PROCESS_RSS_BYTES, "process_rss_bytes", "bytes of memory this process has resident")                                      \
    GAUGE(PROCESS_FDS, "process_fds", "file descriptors this process has open")

#define HOST_HISTOGRAMS(HISTOGRAM) HISTOGRAM(LAG, "lag", "upstream bytes received to answer bytes handed to the client's socket")

#define HOST_CLIENT_COLUMNS(COLUMN)                                                                                                 \
    COLUMN(PEER, "peer", STATS_TEXT, 64)                                                                                            \
    COLUMN(APP, "app", STATS_TEXT, 64)                                                                                              \
    COLUMN(STATE, "state", STATS_TEXT, 16) /* new, idle, waiting, streaming, slow */                                                \
    COLUMN(CONNECTED, "age", STATS_MONOTONIC_NS, 0)                                                                                 \
    COLUMN(READERS, "readers", STATS_U64, 0)                                                                                        \
    COLUMN(STREAM, "stream", STATS_TEXT, 48) /* the newest one */                                                                   \
    COLUMN(POSITION, "position", STATS_BYTES, 0)                                                                                    \
    COLUMN(DELIVERED, "delivered", STATS_BYTES, 0)                                                                                  \
    COLUMN(QUESTIONS, "questions", STATS_U64, 0)

enum { HOST_TABLE_CLIENTS, HOST_TABLES };
#define HOST_ENUM_ROW(id, ...) HOST_##id,
#define HOST_ENUM_HISTOGRAM(id, ...) HOST_H_##id,
#define HOST_ENUM_CLIENT(id, ...) CLIENT_COL_##id,
enum { HOST_COUNTERS(HOST_ENUM_ROW, HOST_ENUM_ROW) HOST_COUNTER_COUNT };
enum { HOST_HISTOGRAMS(HOST_ENUM_HISTOGRAM) HOST_HISTOGRAM_COUNT };
enum { HOST_CLIENT_COLUMNS(HOST_ENUM_CLIENT) CLIENT_COL_COUNT };

#include "core/metrics/stats_page.h"

/* host_stats_create - one host's page with room for so many clients. */
int host_stats_create(const char *path, const char *name, uint32_t clients, struct stats_page **ret_page, struct why *why);

#endif
