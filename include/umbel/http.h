/* umbel/http.h - the HTTP carrier: everything of HTTP/1.1 and of serving many clients; a codec adds one protocol's words.
 *
 * A codec is shown whole requests.  It answers each one of two ways:
 *     umbel_http_answer()                        status, headers and a body of known length, at once or after the core has spoken
 *     umbel_http_ask(), _watch() or _resume()    a stream: a head, then frames, each frame an HTTP chunk of its own, then the end
 * The bytes of a stream are encoded once for all clients of one variant.  The carrier does TLS, keep-alive, pipelining, HTTP/1.0
 * clients (no chunks), limits, slow clients, keepalive frames, quiet gaps, pacing, deadlines, drain, and notices clients that go
 * away, also before the head.  Disconnect is not stop: the reader is left.
 *
 * A request's life: request() or failed(), [authorized()], [began() | refused()], [deadline() | unsaid()], closed().  What a
 * codec reads of the request (umbel_http_header, ...) is good until the head has been sent.  Calls from inside codec callbacks
 * are fine; the request itself outlives them, closed() always comes later, from the loop.  All calls [loop].  libumbel-http; link
 * it from the plugin.  History: 1.2 retire, UMBEL_HTTP_TRANSPORT, is_leaving; 1.0 first. */
#ifndef UMBEL_HTTP_H
#define UMBEL_HTTP_H

#include <umbel/carrier.h>
#include <umbel/host.h>
#include <umbel/transport.h>

#ifdef __cplusplus
extern "C" {
#endif

struct umbel_http;         /* one carrier */
struct umbel_http_request; /* one request, until its answer is out */

/* umbel_http_start.flags */
#define UMBEL_HTTP_APART 1u /* each frame is a write of its own (and a TLS record); else neighbours go out together */

/* How a stream is to be served.  Zeroed before began(), except after umbel_http_begin: then it is what was given there. */
struct umbel_http_start {
    uint32_t struct_size;
    uint32_t status;     /* 0 = 200 */
    const char *headers; /* whole lines "Name: value\r\n", copied; not Date, Connection, Transfer-Encoding, Content-Length */
    uint32_t variant;    /* as umbel_reader_options.variant; a private one gets umbel_http_data() in encode */
    uint32_t flags;      /* UMBEL_HTTP_* */
    uint32_t max_text;   /* as umbel_reader_options; 0 = 16 KiB */
    uint32_t pace_bytes; /* at most so many bytes in pace_ms to one client that catches up; 0 = as fast as it reads */
    uint32_t pace_ms;
    uint32_t hold_ms; /* the head waits until the answer has said something (not counting what OPEN encoded), at most so long;
                         0 = it is sent at once.  An answer that ends in this time goes to unsaid() first */
    uint32_t keepalive_ms; /* after so long without a byte... */
    uint32_t max_ms;       /* so long after the request deadline() ends the stream; 0 = never */
    const char *keepalive; /* ...this frame is sent: its bytes without the chunk's, static storage; NULL = none */
    uint64_t keepalive_size;
};

/* How an answer ended: everything the host's closing events say, in one piece. */
struct umbel_http_ending {
    uint32_t struct_size;
    uint32_t verdict;        /* UMBEL_VERDICT_* */
    uint32_t finish;         /* UMBEL_FINISH_*, 0 = the upstream did not say */
    uint32_t error;          /* UMBEL_ERROR_*, 0 = none */
    const char *finish_word; /* the upstream's own, "" if none */
    const char *error_text;  /* one line for a person, "" if none */
    uint64_t position;       /* bytes of answer text in all */
    uint32_t usage;          /* 1: the two below are known */
    uint32_t reserved;
    uint64_t prompt_tokens, completion_tokens;
};

struct umbel_http_codec {
    uint32_t struct_size;
    uint32_t request_size; /* bytes of the codec's own in each request, zeroed: umbel_http_data() */
    uint32_t max_line;     /* bytes of the request line; over it failed(414) */
    uint32_t max_headers;  /* bytes of all headers; over it failed(431) */
    uint32_t max_body;     /* bytes, decoded; over it failed(413) */
    uint32_t reserved;
    const char *methods; /* "GET, POST": others failed(405) */

    /* One whole request.  Call umbel_http_authorize() or answer. */
    void (*request)(void *self, struct umbel_http_request *request);

    /* A request that is refused for its form: status is the right one (400, 405, 408, 413, 414, 417, 431, 501, 503, 505).  As
     * much as could be read is there; after 414 there is no method and no path.  The codec may umbel_http_answer() with it or in
     * its protocol's own way; a codec that does nothing here leaves the plain answer to the carrier.  The connection ends after
     * it (but for 405 and 503). */
    void (*failed)(void *self, struct umbel_http_request *request, uint32_t status, const char *text);

    /* The answer to umbel_http_authorize: 0 or UMBEL_ERROR_*. */
    void (*authorized)(void *self, struct umbel_http_request *request, uint32_t error, const char *text);

    /* The answer begins.  Returns 0 with *ret_start, or an HTTP status to end with. */
    int (*began)(void *self, struct umbel_http_request *request, const struct umbel_stream *stream,
                 struct umbel_http_start *ret_start);

    /* ask, watch or resume came to nothing: umbel_http_answer(), or begin, say, end. */
    void (*refused)(void *self, struct umbel_http_request *request, uint32_t error, const char *text);

    /* Appends whole frames, with umbel_http_frame_begin/end and umbel_http_gap, for OPEN, TEXT, REASONING, TOOL.  data: of the
     * request for private variants, else NULL and the result may depend on nothing but the arguments. */
    int (*encode)(void *self, uint32_t variant, void *data, const struct umbel_stream *stream, const struct umbel_event *event,
                  struct umbel_out *out);

    /* The same for the end of the answer.  A gap after the last frame delays the end of the HTTP body. */
    int (*encode_end)(void *self, uint32_t variant, void *data, const struct umbel_stream *stream,
                      const struct umbel_http_ending *ending, struct umbel_out *out);

    /* The answer is over and its head is still held: 0 to send head and frames now, or 1 after umbel_http_answer().  Optional. */
    int (*unsaid)(void *self, struct umbel_http_request *request, const struct umbel_stream *stream,
                  const struct umbel_http_ending *ending);

    /* max_ms have passed, or a waiting watch is sent away (umbel_http_is_leaving): appends the closing frames.  stream NULL: none has
     * begun.  position: answer text given to this client.  Optional: without it the stream just ends. */
    void (*deadline)(void *self, struct umbel_http_request *request, const struct umbel_stream *stream, uint64_t position,
                     struct umbel_out *out);

    /* The request is over, or its client went: last call, free what umbel_http_data() owns.  Optional. */
    void (*closed)(void *self, struct umbel_http_request *request);
};

/* umbel_http_open - serves host's listeners with this codec; reads tls_cert, tls_key, max_connections, slow_client_s from config.
 * 0 or -errno (logged). */
UMBEL_EXPORT int umbel_http_open(const struct umbel_host *host, const struct umbel_config *config,
                                 const struct umbel_http_codec *codec, void *self, struct umbel_http **ret_http);
/* umbel_http_drain - no new connections; idle ones end now, others with their answer, waiting watches by deadline(). */
UMBEL_EXPORT void umbel_http_drain(struct umbel_http *http, uint32_t deadline_ms);
/* umbel_http_retire - umbel_transport.retire for the connections of this carrier. */
UMBEL_EXPORT void umbel_http_retire(struct umbel_http *http, uint32_t step, uint32_t ms);
UMBEL_EXPORT int umbel_http_reload(struct umbel_http *http); /* certificates; 0 or -errno, then the old ones stay */
UMBEL_EXPORT void umbel_http_close(struct umbel_http *http); /* NULL is fine */

/* Reading a request.  Texts are zero-terminated valid UTF-8 without other zeros, owned by the request; NULL if absent or not such
 * a text. header: any case.  query, form: decoded member of the address, or of a body of type application/x-www-form-urlencoded;
 * the first of several.  body: its bytes, never NULL. */
UMBEL_EXPORT void *umbel_http_data(struct umbel_http_request *request);
UMBEL_EXPORT const char *umbel_http_method(struct umbel_http_request *request); /* "" if unreadable */
UMBEL_EXPORT const char *umbel_http_path(struct umbel_http_request *request);   /* percent-decoded; "" if unreadable */
UMBEL_EXPORT const char *umbel_http_header(struct umbel_http_request *request, const char *name);
UMBEL_EXPORT const char *umbel_http_query(struct umbel_http_request *request, const char *name);
UMBEL_EXPORT const char *umbel_http_form(struct umbel_http_request *request, const char *name);
UMBEL_EXPORT const char *umbel_http_body(struct umbel_http_request *request, size_t *ret_size);
UMBEL_EXPORT const char *umbel_http_peer(struct umbel_http_request *request); /* numeric address */
UMBEL_EXPORT int umbel_http_is_tls(struct umbel_http_request *request);

UMBEL_EXPORT void umbel_http_authorize(struct umbel_http_request *request, const struct umbel_credential *credentials,
                                       uint32_t count);

/* umbel_http_ask, _watch, _resume - once per request, after authorized().  Return 0, or the UMBEL_ERROR_* to answer with (nothing
 * more will be called for it then).  A watch ends with its first answer. */
UMBEL_EXPORT uint32_t umbel_http_ask(struct umbel_http_request *request, const struct umbel_request *question);
UMBEL_EXPORT uint32_t umbel_http_watch(struct umbel_http_request *request, const char *session);
UMBEL_EXPORT uint32_t umbel_http_resume(struct umbel_http_request *request, const char *stream_id, uint64_t position);

/* umbel_http_stop - stops the answer this request reads, for all its readers.  After began(). */
UMBEL_EXPORT void umbel_http_stop(struct umbel_http_request *request);

/* umbel_http_answer - the whole answer.  headers: as in umbel_http_start.  204 and 304 have no body.  Does nothing once a head is
 * out. */
UMBEL_EXPORT void umbel_http_answer(struct umbel_http_request *request, uint32_t status, const char *headers, const void *body,
                                    size_t size);

/* umbel_http_begin - a stream's head without an answer of the core, or before there is one (a watch that waits; began() may still
 * change it while it is held).  umbel_http_say - frames.  umbel_http_end - and its end, after the gaps in them. */
UMBEL_EXPORT void umbel_http_begin(struct umbel_http_request *request, const struct umbel_http_start *start);
UMBEL_EXPORT void umbel_http_say(struct umbel_http_request *request, const struct umbel_out *frames);
UMBEL_EXPORT void umbel_http_end(struct umbel_http_request *request);
UMBEL_EXPORT int umbel_http_is_begun(struct umbel_http_request *request); /* 1 once a head has been sent */
/* umbel_http_is_leaving - 1: this process is drained or gives its place to another.  A watch that waits (deadline() without a stream)
 * is then sent away and its client has to come again: it must not look like an answer that has ended. */
UMBEL_EXPORT int umbel_http_is_leaving(struct umbel_http_request *request);

/* umbel_http_frame_begin/_end - one frame (at most 16 MiB) around what is appended between them.  An empty one vanishes. */
UMBEL_EXPORT size_t umbel_http_frame_begin(struct umbel_out *out);
UMBEL_EXPORT void umbel_http_frame_end(struct umbel_out *out, size_t begin);

/* umbel_http_gap - what follows waits until the client has been left in peace for ms (at most 65535) since the bytes before it.
 */
UMBEL_EXPORT void umbel_http_gap(struct umbel_out *out, uint32_t ms);

/* UMBEL_HTTP_TRANSPORT - the whole rest of a plugin over this carrier: its functions, and the exported table.  umbel/carrier.h. */
#define UMBEL_HTTP_TRANSPORT(codec, ...)                                                                                             \
    UMBEL_CARRIER_ALONE(http, codec)                                                                                                 \
    UMBEL_CARRIER_RELOAD(http)                                                                                                       \
    UMBEL_CARRIER_TABLE(umbel_plugin_reload, __VA_ARGS__)
#define UMBEL_HTTP_TRANSPORT_WITH(type, codec, setup, cleanup, ...)                                                                  \
    UMBEL_CARRIER_WITH(http, type, codec, setup, cleanup)                                                                            \
    UMBEL_CARRIER_RELOAD(http)                                                                                                       \
    UMBEL_CARRIER_TABLE(umbel_plugin_reload, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
