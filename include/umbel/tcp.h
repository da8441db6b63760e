/* umbel/tcp.h - the TCP carrier: protocols of lines on plain connections; a codec adds one protocol's words.
 *
 * A codec sees whole lines and answers each with lines of its own (umbel_tcp_say) or with a question (umbel_tcp_ask), one at a time.  The bytes of
 * an answer are encoded once for all clients of one variant.  The carrier accepts, splits, bounds, holds back, notices slow, idle and
 * vanished clients, and drains.  A client that ends its side of the connection has gone: its answer goes on for others.
 * Lines end with LF; a CR before it is taken off.  They are not checked for UTF-8: a codec that puts them into JSON uses umbel_out_json.
 * No TLS: put a proxy that ends it in front.
 * A codec may call anything from any callback; the client outlives the callback, closed() always comes later, from the loop.
 * All calls [loop].  libumbel-tcp; link it from the plugin.  History: 1.2 first. */
#ifndef UMBEL_TCP_H
#define UMBEL_TCP_H

#include <umbel/carrier.h>
#include <umbel/host.h>
#include <umbel/transport.h>

#ifdef __cplusplus
extern "C" {
#endif

struct umbel_tcp;        /* one carrier */
struct umbel_tcp_client; /* one connection */

/* results of umbel_tcp_codec.line */
#define UMBEL_TCP_TAKEN 0
#define UMBEL_TCP_LATER 1 /* offered again, before any later line, when the answer that runs now is over */

struct umbel_tcp_codec {
    uint32_t struct_size;
    uint32_t client_size; /* bytes of the codec's own in each client, zeroed: umbel_tcp_data() */
    uint32_t max_line;    /* bytes of one line without its end; at a longer one too_long() and the connection ends.  0 = 64 KiB */
    uint32_t idle_s;      /* end after so long without a line or an answer; 0 = never */

    /* One line, borrowed, not zero-terminated.  While umbel_tcp_authorize() is undecided none comes.  Returns UMBEL_TCP_*: LATER only while
     * umbel_tcp_is_answering(), else it counts as TAKEN. */
    int (*line)(void *self, struct umbel_tcp_client *client, const char *text, size_t size);

    /* The answer to umbel_tcp_authorize: 0 or UMBEL_ERROR_*; text as in umbel_codec.authorized.  It may come again later, when an operator has
     * taken the key away. */
    void (*authorized)(void *self, struct umbel_tcp_client *client, uint32_t error, const char *text);

    /* Appends the protocol's bytes for one event, with their line ends.  A shared variant: the result may depend on nothing but the arguments. */
    int (*encode)(void *self, uint32_t variant, const struct umbel_stream *stream, const struct umbel_event *event, struct umbel_out *out);

    /* A question came to nothing: UMBEL_ERROR_*; say so. */
    void (*refused)(void *self, struct umbel_tcp_client *client, uint32_t error, const char *text);

    /* A line was longer than max_line: what is said here is the last that the client gets.  Optional. */
    void (*too_long)(void *self, struct umbel_tcp_client *client);

    /* The client is gone; last call for it.  Optional. */
    void (*closed)(void *self, struct umbel_tcp_client *client);
};

/* umbel_tcp_open - serves host's listeners with this codec; reads tls_cert (must be ""), max_connections, slow_client_s from config.  0 or
 * -errno (logged). */
UMBEL_EXPORT int umbel_tcp_open(const struct umbel_host *host, const struct umbel_config *config, const struct umbel_tcp_codec *codec,
                                void *self, struct umbel_tcp **ret_tcp);
/* umbel_tcp_drain - accepts nothing new; idle clients end now, others with their answer. */
UMBEL_EXPORT void umbel_tcp_drain(struct umbel_tcp *tcp, uint32_t deadline_ms);
/* umbel_tcp_retire - umbel_transport.retire for the connections of this carrier. */
UMBEL_EXPORT void umbel_tcp_retire(struct umbel_tcp *tcp, uint32_t step, uint32_t ms);
UMBEL_EXPORT void umbel_tcp_close(struct umbel_tcp *tcp); /* NULL is fine */

UMBEL_EXPORT void *umbel_tcp_data(struct umbel_tcp_client *client);
UMBEL_EXPORT int umbel_tcp_is_answering(const struct umbel_tcp_client *client); /* 1 from umbel_tcp_ask to the answer's last byte or refused() */

/* umbel_tcp_authorize - who this client says it is; authorized() follows. */
UMBEL_EXPORT void umbel_tcp_authorize(struct umbel_tcp_client *client, const struct umbel_credential *credentials, uint32_t count);

/* umbel_tcp_ask - a question; umbel_tcp_resume - the rest of an answer, after position bytes of its text.  Outcome: encode..., or refused().
 * Never called back during the call.  One at a time: while an answer runs refused() says UMBEL_ERROR_BUSY. */
UMBEL_EXPORT void umbel_tcp_ask(struct umbel_tcp_client *client, uint32_t variant, const struct umbel_request *request);
UMBEL_EXPORT void umbel_tcp_resume(struct umbel_tcp_client *client, uint32_t variant, const char *stream_id, uint64_t position);

/* umbel_tcp_stop - stops the answer that runs, for all its readers; without one it does nothing. */
UMBEL_EXPORT void umbel_tcp_stop(struct umbel_tcp_client *client);

/* umbel_tcp_say - sends bytes of the codec's own, whole lines, at once, between those of a running answer.  A client that does not read and
 * yet makes the codec talk (64 KiB) is closed. */
UMBEL_EXPORT void umbel_tcp_say(struct umbel_tcp_client *client, const void *bytes, size_t size);

/* umbel_tcp_end - ends the connection once what was said is out; a running answer is left. */
UMBEL_EXPORT void umbel_tcp_end(struct umbel_tcp_client *client);

/* UMBEL_TCP_TRANSPORT - the whole rest of a plugin over this carrier: its functions, and the exported table.  umbel/carrier.h. */
#define UMBEL_TCP_TRANSPORT(codec, ...)                                                                                              \
    UMBEL_CARRIER_ALONE(tcp, codec)                                                                                                  \
    UMBEL_CARRIER_TABLE(NULL, __VA_ARGS__)
#define UMBEL_TCP_TRANSPORT_WITH(type, codec, setup, cleanup, ...)                                                                   \
    UMBEL_CARRIER_WITH(tcp, type, codec, setup, cleanup)                                                                             \
    UMBEL_CARRIER_TABLE(NULL, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
