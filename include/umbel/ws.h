/* umbel/ws.h - the WebSocket carrier: everything of RFC 6455 and of serving many clients; a codec adds one protocol's words.
 *
 * A codec sees whole text messages and answers with *questions*, taken in turn: at most max_in_flight run at once, at most max_waiting wait,
 * beyond that the carrier answers `busy` in turn, and when as many `busy` wait too it stops reading from the socket.  Watching runs beside
 * the turn.  The carrier does upgrade, TLS, ping and hang-up, idle and slow clients, size limits, UTF-8, close codes, drain.
 * What a codec asks for (ask, say, watch, end, ...) is done when the loop turns next, never during the call; only umbel_ws_say_now,
 * umbel_ws_stop and umbel_ws_authorize act at once.  All calls [loop].  libumbel-ws; link it from the plugin.  History: 1.2 retire,
 * UMBEL_WS_TRANSPORT; 1.0 first. */
#ifndef UMBEL_WS_H
#define UMBEL_WS_H

#include <umbel/carrier.h>
#include <umbel/host.h>
#include <umbel/transport.h>

#ifdef __cplusplus
extern "C" {
#endif

struct umbel_ws;        /* one carrier */
struct umbel_ws_client; /* one WebSocket */

/* The opening request; everything is valid only during umbel_ws_codec.upgrade. */
struct umbel_ws_upgrade {
    uint32_t struct_size;
    uint32_t tls;       /* 1 over TLS */
    const char *path;   /* percent-decoded, without the query; a doubled slash is one slash, "." and ".." are gone */
    const char *peer;   /* address */
    void *context;      /* the carrier's own */
    /* header: name in lower case with its colon ("x-bmob-secret-key:"); query: decoded value of a query member.  NULL if absent. */
    const char *(*header)(const struct umbel_ws_upgrade *upgrade, const char *name);
    const char *(*query)(const struct umbel_ws_upgrade *upgrade, const char *name);
};

/* One question.  request's memory is copied by umbel_ws_ask. */
struct umbel_ws_question {
    uint32_t struct_size;
    uint32_t variant;               /* as umbel_reader_options.variant: answers of one variant are encoded once for all */
    uint32_t reader_flags;          /* as umbel_reader_options.flags */
    uint32_t reserved;              /* 0 */
    const struct umbel_request *request;
    void *data;                     /* the codec's own per question; handed back in encode (private variant), refused and answered */
};

/* umbel_ws_codec.flags */
#define UMBEL_WS_HOLD_BACK 1u /* with max_waiting questions waiting stop reading from the socket, rather than refuse the next one */

struct umbel_ws_codec {
    uint32_t struct_size;
    uint32_t client_size;   /* bytes of the codec's own in each client, zeroed: umbel_ws_data() */
    uint32_t max_message;   /* bytes of one message; over it the client is closed with 1009 */
    uint32_t max_waiting;   /* questions waiting their turn */
    uint32_t max_in_flight; /* questions answered at once; answers then interleave frame by frame */
    uint32_t ping_s;        /* a ping after so many silent seconds; hang-up after ping_s + pong_s without any sign */
    uint32_t pong_s;
    uint32_t flags;         /* UMBEL_WS_* */
    uint32_t idle_s;        /* close 1000 after so long without a question, an answer or a umbel_ws_say_now; 0 = never */

    /* A client wants in.  Call umbel_ws_authorize() (now or with the first message), umbel_ws_watch(), remember what it says.
     * Returns 0 to accept, or an HTTP status to refuse with. */
    int (*upgrade)(void *self, struct umbel_ws_client *client, const struct umbel_ws_upgrade *upgrade);

    /* The answer to umbel_ws_authorize: 0 or UMBEL_ERROR_*.  Until it comes the carrier holds messages and watches back. */
    void (*authorized)(void *self, struct umbel_ws_client *client, uint32_t error, const char *text);

    /* One whole text message, valid UTF-8, borrowed.  (Binary messages are refused by the carrier with 1003.) */
    void (*message)(void *self, struct umbel_ws_client *client, const char *text, size_t size);

    /* Appends whole frames for one event, with umbel_ws_frame_begin/end.  data: the question's or the watch's, for private variants; else NULL. */
    int (*encode)(void *self, uint32_t variant, void *data, const struct umbel_stream *stream, const struct umbel_event *event,
                  struct umbel_out *out);

    /* A question, watch or resume failed, or was one too many (UMBEL_ERROR_BUSY): appends the frames to send in its turn.
     * data: the question's or the watch's.  (A watch of a client that was not authorized is dropped without a word.) */
    void (*refused)(void *self, struct umbel_ws_client *client, void *data, uint32_t error, const char *text, struct umbel_out *out);

    /* This question has had its last frame (or the client went): data is the codec's to free.  Optional. */
    void (*answered)(void *self, struct umbel_ws_client *client, void *data);

    /* The client is gone; last call for it. */
    void (*closed)(void *self, struct umbel_ws_client *client);
};

/* umbel_ws_open - serves host's listeners with this codec; reads tls_cert, tls_key, max_connections, slow_client_s from config.
 * 0 or -errno (logged). */
UMBEL_EXPORT int umbel_ws_open(const struct umbel_host *host, const struct umbel_config *config, const struct umbel_ws_codec *codec,
                               void *self, struct umbel_ws **ret_ws);
UMBEL_EXPORT void umbel_ws_drain(struct umbel_ws *ws, uint32_t deadline_ms); /* 1001 to each client once its answers are out */
/* umbel_ws_retire - umbel_transport.retire for the connections of this carrier. */
UMBEL_EXPORT void umbel_ws_retire(struct umbel_ws *ws, uint32_t step, uint32_t ms);
UMBEL_EXPORT int umbel_ws_reload(struct umbel_ws *ws);                       /* certificates; 0 or -errno, then the old ones stay */
UMBEL_EXPORT void umbel_ws_close(struct umbel_ws *ws);                       /* NULL is fine */

UMBEL_EXPORT void *umbel_ws_data(struct umbel_ws_client *client);
UMBEL_EXPORT void umbel_ws_authorize(struct umbel_ws_client *client, const struct umbel_credential *credentials, uint32_t count);

/* umbel_ws_ask - a question in its turn.  umbel_ws_resume - the rest of an answer, in its turn.  Outcome: encode..., answered; or refused,
 * answered.  Never called back during the call.  (Full: refused with UMBEL_ERROR_BUSY in turn.
 * Only if the client is being closed already answered comes during the call, so that data is never lost.) */
UMBEL_EXPORT void umbel_ws_ask(struct umbel_ws_client *client, const struct umbel_ws_question *question);
UMBEL_EXPORT void umbel_ws_resume(struct umbel_ws_client *client, uint32_t variant, const char *stream_id, uint64_t position, void *data);

/* umbel_ws_say - frames of the codec's own (built with umbel_ws_frame_begin/end) sent in turn, as if they answered a question. */
UMBEL_EXPORT void umbel_ws_say(struct umbel_ws_client *client, const struct umbel_out *frames);

/* umbel_ws_say_now - the same, at once, between the frames of a running answer.  A client that may ask is not idle then: the answer to its
 * heartbeat keeps the connection.  To others it can be said as often, and they go after idle_s. */
UMBEL_EXPORT void umbel_ws_say_now(struct umbel_ws_client *client, const struct umbel_out *frames);

/* umbel_ws_watch - every answer of the session until the client goes.  data: handed to encode for a private variant (one value for all
 * answers of this watch, several of which may run at once) and to refused; the codec frees it in closed(), not before. */
UMBEL_EXPORT void umbel_ws_watch(struct umbel_ws_client *client, const char *session, uint32_t variant, void *data);

/* umbel_ws_stop - stops an answer of the client's app now; stream_id NULL: the one this client asked for last among those that have left
 * the queue (if it has not begun yet, as soon as it does).  An unknown or foreign id does nothing and says nothing. */
UMBEL_EXPORT void umbel_ws_stop(struct umbel_ws_client *client, const char *stream_id);

/* umbel_ws_end - close with this code after what is queued in turn (now: what is queued is dropped). */
UMBEL_EXPORT void umbel_ws_end(struct umbel_ws_client *client, uint16_t code, const char *reason);
UMBEL_EXPORT void umbel_ws_end_now(struct umbel_ws_client *client, uint16_t code, const char *reason);

/* umbel_ws_frame_begin/_end - one text frame around what is appended between them. */
UMBEL_EXPORT size_t umbel_ws_frame_begin(struct umbel_out *out);
UMBEL_EXPORT void umbel_ws_frame_end(struct umbel_out *out, size_t begin);

/* UMBEL_WS_TRANSPORT - the whole rest of a plugin over this carrier: its functions, and the exported table.  umbel/carrier.h. */
#define UMBEL_WS_TRANSPORT(codec, ...)                                                                                               \
    UMBEL_CARRIER_ALONE(ws, codec)                                                                                                   \
    UMBEL_CARRIER_RELOAD(ws)                                                                                                         \
    UMBEL_CARRIER_TABLE(umbel_plugin_reload, __VA_ARGS__)
#define UMBEL_WS_TRANSPORT_WITH(type, codec, setup, cleanup, ...)                                                                    \
    UMBEL_CARRIER_WITH(ws, type, codec, setup, cleanup)                                                                              \
    UMBEL_CARRIER_RELOAD(ws)                                                                                                         \
    UMBEL_CARRIER_TABLE(umbel_plugin_reload, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
