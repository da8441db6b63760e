/* umbel/host.h - what the host process does for a transport plugin: a table of functions, given to open().
 *
 * Model.  A *client* is whoever is owed answers: a WebSocket connection, one HTTP request, one chat in an IM.  A client proves who it is
 * (authorize), then asks, watches or resumes.  Each answer it is served is a *reader*: this client's place on one stream.  The host
 * drains the ring, merges what waits, encodes once per (stream, variant) through umbel_codec.encode and hands the same bytes to
 * every reader that is ready.  A reader that is not ready costs nothing but its place; when it is ready again it gets what it missed
 * as one merged event.  Everything here runs on the host's one thread, [loop]; nothing blocks; callbacks may call any function.
 * History: 1.1 stats; 1.0 first. */
#ifndef UMBEL_HOST_H
#define UMBEL_HOST_H

#include <stddef.h>
#include <stdint.h>
#include <umbel/config.h>
#include <umbel/event.h>
#include <umbel/out.h>
#include <umbel/stats.h>

#ifdef __cplusplus
extern "C" {
#endif

struct event_base; /* libevent's */
struct sockaddr;
struct umbel_client;
struct umbel_reader;

/* levels of umbel_host.log */
#define UMBEL_LOG_ERROR 1u
#define UMBEL_LOG_WARN 2u
#define UMBEL_LOG_INFO 3u
#define UMBEL_LOG_DEBUG 4u

/* One way in which a client may have said who it is.  The core takes the first that is a key of the configuration, else asks the operator's
 * authorize services about each in order (docs/authorize.md). */
#define UMBEL_CREDENTIAL_KEY 1u       /* a secret client key */
#define UMBEL_CREDENTIAL_PUBLIC_ID 2u /* an id that is not secret but listed among the keys (X-Bmob-Application-Id) */
#define UMBEL_CREDENTIAL_APP 3u       /* an app's name, no secret: good only if this transport's own section names it (anonymous_app, app) */
struct umbel_credential {
    uint32_t kind;
    uint32_t reserved;
    const char *value;
    uint64_t size;
};

/* A question.  Pointers are borrowed until ask() returns. */
struct umbel_request {
    uint32_t struct_size;
    uint32_t flags;          /* UMBEL_REQUEST_* */
    const char *session;     /* "" or NULL: no session */
    const char *messages;    /* JSON array of {"role":..,"content":..}, checked again by the core */
    uint64_t messages_size;
    const char *model;       /* NULL: the app's; one the app may not use is refused, or with MODEL_HINT ignored */
    const char *parameters;  /* JSON object of generation parameters to send along (temperature, tools, ...), or NULL */
    uint64_t parameters_size;
};
#define UMBEL_REQUEST_MEMORY 1u /* apply the memory rule: one new message continues the session's turns, several replace them */
#define UMBEL_REQUEST_MODEL_HINT 2u /* model is a wish: where the app may not use it, the app's own is used */

/* umbel_codec.write results */
#define UMBEL_WRITE_READY 0 /* taken, more may follow */
#define UMBEL_WRITE_FULL 1  /* taken whole, but no more until reader_ready() */
/* negative: the client is gone; the host forgets the reader and calls nothing more for it */

/* umbel_reader_options.variant: readers of one stream with equal variants (and sizes below) share their encoded bytes */
#define UMBEL_VARIANT_PRIVATE 0xffffffffu /* encode is called for this reader alone, with its reader_data */

/* How a reader wants to be served; filled in by umbel_codec.began, zeroed before. */
struct umbel_reader_options {
    void *reader_data; /* handed to write, ended, and to encode of private readers */
    uint32_t variant;  /* 0.. or UMBEL_VARIANT_PRIVATE */
    uint32_t max_text; /* bytes of answer text in one event at most; 0 = 64 KiB */
    uint32_t max_batch; /* bytes of answer text in one write at most; 0 = 64 KiB.  To pace a client: answer FULL, be ready() later.
                         * A tool call that is longer goes alone. */
    uint32_t flags;     /* UMBEL_READER_* */
};
#define UMBEL_READER_SEPARATE 1u /* each delta of the upstream is an event of its own, never merged: dearer, for codecs that look at them */

/* What a plugin does with answers.  One static table per plugin. */
struct umbel_codec {
    uint32_t struct_size;
    uint32_t reserved;

    /* The answer to authorize(): error 0, or UMBEL_ERROR_*: AUTH, QUOTA, RATE (text: the operator's words for the client, one line, "" if
     * none), BUSY (it cannot be checked now), INTERNAL. */
    void (*authorized)(void *client_data, uint32_t error, const char *text);

    /* A reader begins: the answer to ask(), or resume(), or (any number of times) to watch(), with the tag given there.  The plugin
     * sets *ret_options.  Return 0, or -1 to decline it.  No event has been encoded yet. */
    int (*began)(void *client_data, uint64_t tag, struct umbel_reader *reader, const struct umbel_stream *stream,
                 struct umbel_reader_options *ret_options);

    /* ask(), watch() or resume() came to nothing.  error: UMBEL_ERROR_*; text as in authorized(): a client may be asked about again later,
     * and be refused then. */
    void (*refused)(void *client_data, uint64_t tag, uint32_t error, const char *text);

    /* Appends the protocol's bytes for one event.  For a shared variant reader_data is NULL and the result may depend on nothing but
     * the arguments.  Return 0; a negative value ends all readers of this variant. */
    int (*encode)(void *self, uint32_t variant, void *reader_data, const struct umbel_stream *stream, const struct umbel_event *event,
                  struct umbel_out *out);

    /* Sends bytes to one reader's client; takes all of them or fails.  bytes are borrowed until the call returns.  last: 1 if nothing
     * follows for this reader.  Returns UMBEL_WRITE_*. */
    int (*write)(void *reader_data, const void *bytes, size_t size, int last);

    /* The reader has been given its last byte (verdict UMBEL_VERDICT_*), or cannot go on (verdict 0: the stream's memory was taken for
     * others while this client lagged).  The reader is gone when this returns. */
    void (*ended)(void *reader_data, uint32_t verdict);
};

struct umbel_host {
    uint32_t struct_size;
    uint16_t abi_major, abi_minor;
    void *context;            /* the host's own */
    struct event_base *base;  /* the loop: plugins may add their own events to it */
    const char *transport;    /* this section's title in the configuration */

    /* Writes one log line.  stream: an id, or NULL.  Never put a secret or a client's text in it. */
    void (*log)(const struct umbel_host *host, uint32_t level, const char *stream, const char *format, ...);

    /* Calls turn(arg) before each wait of the loop; what it returns (ms, -1 = none) bounds the wait.  For a foreign loop inside ours. */
    int (*on_turn)(const struct umbel_host *host, int (*turn)(void *arg), void *arg);

    /* Listening socket number index (from 0), non-blocking, or -1 when there are no more.  The host keeps ownership. */
    int (*listener)(const struct umbel_host *host, uint32_t index);

    /* admit: asks, before an accepted connection is served, whether this address may come (connect_rate).  1, or 0: close it at once. */
    int (*admit)(const struct umbel_host *host, const struct sockaddr *address);

    /* Values of a section: the option must be declared with that type; of the transport's own section also the common ones: tls_cert,
     * tls_key (TEXT, "" = none), max_connections, slow_client_s, drain_ms (INTEGER).  Pointers live until close(). */
    const char *(*config_text)(const struct umbel_config *config, const char *name);   /* TEXT, SECRET; never NULL */
    int64_t (*config_integer)(const struct umbel_config *config, const char *name);    /* INTEGER, BOOL (0, 1) */
    const char *(*config_item)(const struct umbel_config *config, const char *name, uint32_t index); /* LIST; NULL past the end */
    const struct umbel_config *(*config_section)(const struct umbel_config *config, const char *name, uint32_t index); /* NULL past */
    const char *(*config_title)(const struct umbel_config *section);

    /* client_open: a client has come.  peer: address for lists and logs.  Returns NULL when the host is at its limit.
     * client_close: it has gone: all its readers are left (disconnect is not stop), nothing is called for it any more. */
    struct umbel_client *(*client_open)(const struct umbel_host *host, const struct umbel_codec *codec, void *self, void *client_data,
                                        const char *peer);
    void (*client_close)(struct umbel_client *client);

    /* authorize: asks the core who this is; codec->authorized is called later, once, from the loop.  Values are borrowed until return. */
    void (*authorize)(struct umbel_client *client, const struct umbel_credential *credentials, uint32_t count);

    /* ask, watch, resume: the client must be authorized.  The outcome comes by began or refused with this tag, from the loop, never
     * during the call.  ask and resume have one outcome; a watch goes on until unwatch, and begins a reader for each answer of
     * the session (session "": of every session of the app), the running ones first.  Returns 0 or -errno (-EPERM: not authorized,
     * -EMSGSIZE, -EAGAIN: channel full). */
    int (*ask)(struct umbel_client *client, uint64_t tag, const struct umbel_request *request);
    int (*watch)(struct umbel_client *client, uint64_t tag, const char *session);
    void (*unwatch)(struct umbel_client *client, uint64_t tag);
    int (*resume)(struct umbel_client *client, uint64_t tag, const char *stream_id, uint64_t position);

    /* abandon: forgets a request whose outcome is not known yet; if its answer begins it counts as having no reader here, but it is
     * begun for a watch of this client that is for its session. */
    void (*abandon)(struct umbel_client *client, uint64_t tag);

    /* stop: ends a running answer of the client's app for all its readers, at once.  stream_id: one answer.  An unknown or foreign id
     * does nothing; refused() is then called with UMBEL_ERROR_NOT_FOUND and this tag if tag is not 0. */
    int (*stop)(struct umbel_client *client, uint64_t tag, const char *stream_id);

    /* reader_ready: after UMBEL_WRITE_FULL the client has room again.  reader_leave: this client does not want the rest. */
    void (*reader_ready)(struct umbel_reader *reader);
    void (*reader_leave)(struct umbel_reader *reader);
    const struct umbel_stream *(*reader_stream)(const struct umbel_reader *reader);
    uint64_t (*reader_position)(const struct umbel_reader *reader); /* bytes of answer text handed to this reader */

    /* count: adds to one of the transport's counters on the stats page; a new name makes a new counter (64 at most, [a-z0-9_]+). */
    void (*count)(const struct umbel_host *host, const char *name, uint64_t add);

    /* keep: has the core remember a value under a key for this transport, beyond this process's life (not the core's); size 0 forgets it.
     * kept: visits what is remembered, in open() and later.  Key: 1..255 bytes of text; value: at most 4 KiB; 20,000 keys a transport:
     * beyond that -ENOSPC.  What was kept is with the core once the loop has turned. */
    int (*keep)(const struct umbel_host *host, const char *key, const void *value, uint64_t size);
    void (*kept)(const struct umbel_host *host, void (*visit)(void *arg, const char *key, const void *value, uint64_t size), void *arg);

    /* reply: the answer to umbel_transport.command.  error NULL or "": done, and members are members of a JSON object for the operator
     * ("\"created\":true", or ""); else error is one line of what went wrong.  An id answered before, or too late, is ignored. */
    void (*reply)(const struct umbel_host *host, uint64_t id, const char *error, const char *members);

    /* drained: no client is left; the host ends as soon as it may. */
    void (*drained)(const struct umbel_host *host);

    /* stats: visits the stats pages of the core and of all running hosts, as they are now (umbel/stats.h).  For plugins that declare
     * UMBEL_NEEDS_STATS.  Takes a millisecond or two for a few hosts.  0, or -errno: -EPERM (not declared), -ENOENT (no core).  Since 1.1. */
    int (*stats)(const struct umbel_host *host, const struct umbel_stats_visitor *visitor, void *arg);

    /* send: inside codec->write, for a non-blocking stream socket: takes a copy of the bytes, which go to the kernel together with those for
     * other sockets, when this turn's deliveries are made or somebody asks for send_now.  sent is called once, before the turn goes on, with
     * what the socket did not take (size 0: it took all), or with error (-errno: the connection is broken); it may call nothing of this
     * table.  Returns 1, or 0: not taken, so write it yourself (outside of write, many bytes, a kernel that cannot).  NULL where there is no
     * such thing.  Since 1.2.
     * send_now: everything that was taken goes out.  To be called before anything else is done with a socket that has bytes under way:
     * before more is written to it, before it is closed. */
    int (*send)(const struct umbel_host *host, int fd, const void *bytes, size_t size,
                void (*sent)(void *owner, const void *rest, size_t size, int error), void *owner);
    void (*send_now)(const struct umbel_host *host);
};

#ifdef __cplusplus
}
#endif
#endif
