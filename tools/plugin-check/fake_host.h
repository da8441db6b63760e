/* plugin-check/fake_host.h - struct umbel_host in one process, for driving a transport plugin over real sockets with scripted answers.
 *
 * Everything runs on the caller's thread inside fake_host_turn.  Streams are written by the test and kept until fake_host_free, so that
 * slow, late and resuming readers can be served from any place, merged as the real host does.  Errors in the *use* of this library and
 * lack of memory end the program with a line on stderr: a test cannot go on from there. */
#ifndef FAKE_HOST_H
#define FAKE_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <umbel/transport.h>

struct fake_host;
struct fake_stream;

/* What has happened so far, and what is.  Read only. */
struct fake_host_stats {
    uint64_t encodes;        /* calls of codec->encode */
    uint64_t encoded_bytes;  /* what they gave */
    uint64_t writes;         /* calls of codec->write */
    uint64_t full;           /* of these answered FULL */
    uint64_t opened, closed; /* clients */
    uint64_t readers, left;  /* begun; of these ended by the client's leaving, before the last byte */
    uint64_t ended;          /* readers that were told ended() */
    uint64_t declined;       /* began() said no */
    uint64_t asks, stops, resumes, watches, authorizes;
    uint64_t errors_logged;
    uint32_t clients, live_readers; /* now */
    bool drained;
};

/* A question as it came; valid during the call. */
struct fake_ask {
    struct fake_host *host;
    struct umbel_client *client;
    uint64_t tag;
    const char *app, *session, *messages, *model, *parameters; /* model and parameters: NULL if the client gave none */
    uint32_t flags;
    struct fake_stream *stream; /* set by the answering function, or left NULL after it called fake_ask_refuse */
};

struct fake_host *fake_host_new(void);
void fake_host_free(struct fake_host *host); /* closes the plugin first if it is still open */

const struct umbel_host *fake_host_table(struct fake_host *host);
const struct fake_host_stats *fake_host_stats(const struct fake_host *host);

/* fake_host_listen - one more listening socket on 127.0.0.1; returns its port.  port 0: any. */
int fake_host_listen(struct fake_host *host, int port);

/* fake_host_option - a value of the transport's section, as text; of a LIST one more item.  Before fake_host_open. */
void fake_host_option(struct fake_host *host, const char *name, const char *value);

/* fake_host_key - a credential (kind, value) that belongs to app. */
void fake_host_key(struct fake_host *host, uint32_t kind, const char *value, const char *app);

/* fake_host_open - fills in the manifest's defaults and calls open.  Returns what it returns. */
int fake_host_open(struct fake_host *host, const struct umbel_transport *transport);
void fake_host_drain(struct fake_host *host);
int fake_host_reload(struct fake_host *host);
void fake_host_close(struct fake_host *host); /* the plugin; twice is fine */

/* fake_host_turn - one turn of the loop, waiting at most max_wait_ms for something to happen. */
void fake_host_turn(struct fake_host *host, int max_wait_ms);

/* fake_host_on_ask - who answers questions.  Default: a new running stream each.  Called from fake_host_turn. */
void fake_host_on_ask(struct fake_host *host, void (*answer)(void *arg, struct fake_ask *ask), void *arg);
void fake_ask_refuse(struct fake_ask *ask, uint32_t error, const char *text);

/* fake_host_refuse_asks - host->ask returns this (-errno) at once; 0 = back to normal. */
void fake_host_refuse_asks(struct fake_host *host, int r);
/* fake_host_refuse_clients - host->client_open finds no room. */
void fake_host_refuse_clients(struct fake_host *host, bool refuse);
/* fake_host_hold_authorize - answers to authorize() wait until this is called with false. */
void fake_host_hold_authorize(struct fake_host *host, bool hold);
/* fake_host_hold_resume - the same for resume(). */
void fake_host_hold_resume(struct fake_host *host, bool hold);
/* fake_host_watch_first - a new answer begins at its watchers before it begins at who asked (the wrong way round). */
void fake_host_watch_first(struct fake_host *host, bool first);
void fake_host_admit(struct fake_host *host, bool admit);
uint64_t fake_host_counter(const struct fake_host *host, const char *name); /* host->count so far; 0 if never */

/* Streams.  fake_stream_new: a running one nobody asked for (watchers get it).  The pointers live until fake_host_free. */
struct fake_stream *fake_stream_new(struct fake_host *host, const char *app, const char *session);
/* fake_stream_quiet - one for fake_ask.stream: its watchers begin together with who asked. */
struct fake_stream *fake_stream_quiet(struct fake_host *host, const char *app, const char *session);
struct fake_stream *fake_host_stream(struct fake_host *host, size_t index); /* in order of beginning; NULL past the end */
const struct umbel_stream *fake_stream_info(const struct fake_stream *stream);
void fake_stream_name(struct fake_stream *stream, const char *id, const char *model, uint64_t created); /* before readers come */
void fake_stream_text(struct fake_stream *stream, const char *text);
void fake_stream_event(struct fake_stream *stream, uint32_t kind, const char *text, uint32_t code);
void fake_stream_close(struct fake_stream *stream, uint32_t verdict);
/* fake_stream_forget - the memory is taken for others: readers that are behind end with verdict 0. */
void fake_stream_forget(struct fake_stream *stream);
bool fake_stream_is_closed(const struct fake_stream *stream);

#endif
