/* plugin-check/fake_host_internal.h - shared by fake_host.c (clients, calls) and fake_stream.c (streams, delivery). */
#ifndef FAKE_HOST_INTERNAL_H
#define FAKE_HOST_INTERNAL_H

#include "core/base/list.h"
#include "tools/plugin-check/fake_host.h"

struct event;

struct umbel_config {
    struct list values; /* of struct fake_value */
};

struct fake_value {
    struct list link;
    char *name, *value;
};

struct fake_event {
    uint32_t kind, code;
    char *data;
    size_t size;
    uint64_t position;
};

struct fake_stream {
    struct list link;
    struct fake_host *host;
    struct umbel_stream info;
    char *id, *app, *session, *model;
    struct fake_event *events;
    size_t count, capacity;
    uint64_t text_size;
    bool closed, forgotten;
    struct list readers;
};

struct umbel_reader {
    struct list link, of_client; /* in its stream's and its client's list, until the turn's end even if gone */
    struct umbel_reader *next_dead;
    struct umbel_client *client;
    struct fake_stream *stream;
    struct umbel_reader_options options;
    size_t next;   /* event */
    size_t offset; /* bytes of that event's text already given */
    uint64_t position;
    bool opened, ready, gone;
};

struct umbel_client {
    struct list link;
    struct fake_host *host;
    const struct umbel_codec *codec;
    void *self, *client_data;
    const char *app; /* once authorized */
    struct list readers, watches;
    bool gone;
};

enum fake_job_kind { FAKE_AUTHORIZED, FAKE_ASK, FAKE_WATCH, FAKE_RESUME, FAKE_REFUSED };

struct fake_job {
    struct list link;
    enum fake_job_kind kind;
    struct umbel_client *client;
    uint64_t tag, position;
    uint32_t error, flags;
    const char *app;
    char *session, *messages, *model, *parameters; /* session also: stream id of a resume, words of a refusal */
};

struct fake_watch {
    struct list link;
    uint64_t tag;
    char *session;
};

struct fake_key {
    struct list link;
    uint32_t kind;
    char *value, *app;
};

struct fake_kept {
    struct list link;
    char *key, *value;
    uint64_t size;
};

#define FAKE_LISTENERS 8
#define FAKE_TURNS 4
#define FAKE_COUNTERS 64
#define FAKE_SENDS 32
#define FAKE_SEND_MAX 16384 /* bytes */

/* Bytes that umbel_host.send has taken. */
struct fake_send {
    int fd;
    size_t size;
    char *bytes;
    void (*sent)(void *owner, const void *rest, size_t size, int error);
    void *owner;
};

struct fake_host {
    struct umbel_host table;
    struct fake_host_stats stats;
    struct umbel_config config;
    const struct umbel_transport *transport;
    void *plugin;
    bool open;
    struct list clients, streams, jobs, keys, kept;
    struct umbel_reader *dead_readers;
    bool dead_clients;
    int listener[FAKE_LISTENERS];
    int (*turn[FAKE_TURNS])(void *);
    void *turn_arg[FAKE_TURNS];
    struct {
        char name[64];
        uint64_t value;
    } counter[FAKE_COUNTERS];
    struct event *timer;
    struct umbel_out out;
    void (*answer)(void *arg, struct fake_ask *ask);
    void *answer_arg;
    int refuse_asks;
    bool refuse_clients, hold_authorize, hold_resume, watch_first, turn_away;
    uint64_t next_id;
    bool sending; /* deliveries are being made */
    struct fake_send sends[FAKE_SENDS];
    size_t send_count;
    uint64_t sent;
};

/* fake_send.c: umbel_host.send between begin and end. */
void fake_send_fill(struct umbel_host *table);
void fake_send_begin(struct fake_host *host);
void fake_send_end(struct fake_host *host);

void *fake_memory(size_t size);    /* zeroed; ends the program when there is none */
char *fake_copy(const char *text); /* NULL stays NULL */
char *fake_copy_bytes(const char *bytes, uint64_t size); /* zero-terminated; NULL stays NULL */

/* fake_services.c */
void fake_services_fill(struct umbel_host *table);
void fake_kept_free_all(struct fake_host *host);
const char *fake_config_item(const struct umbel_config *config, const char *name, uint32_t index);

struct fake_job *fake_job_add(struct umbel_client *client, enum fake_job_kind kind, uint64_t tag);

/* fake_reader_begin - asks the client's codec; true if it took the reader. */
bool fake_reader_begin(struct umbel_client *client, uint64_t tag, struct fake_stream *stream, uint64_t position);
void fake_reader_remove(struct umbel_reader *reader); /* marks it; it stays in its lists until the end of the turn */
void fake_readers_sweep(struct fake_host *host);
void fake_stream_watchers(struct fake_stream *stream);
/* fake_stream_place - where position lies; false: past the end or inside a character. */
bool fake_stream_place(const struct fake_stream *stream, uint64_t position, size_t *ret_next, size_t *ret_offset);
/* fake_streams_serve - delivers to every reader that is ready until none can get more.  True if anything was done. */
bool fake_streams_serve(struct fake_host *host);
void fake_stream_free(struct fake_stream *stream);

#endif
