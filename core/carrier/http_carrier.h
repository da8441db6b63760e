/* carrier/http_carrier.h - what the files of the HTTP carrier share.  The contract for codecs is <umbel/http.h>.
 *
 * One thread, the host's loop.  Three kinds of code enter: socket and timer events, the host's codec callbacks (began, write,
 * ...), and the codec's calls from inside either.  None of them frees a request or a connection: what is over is put on the
 * `later` list and http_conn_settle_all does it from the loop, so whoever is on the stack may go on using what it holds.
 *
 * A connection: HANDSHAKE (TLS) -> HEAD (idle, or a head is coming) -> BODY -> BUSY (one request is being answered; what the
 * client sends ahead is kept, bounded) -> HEAD again, or LINGER (our side is shut, the rest of what the client sends is thrown
 * away so that it can read our answer) -> DEAD (descriptor closed, memory until the loop turns).
 *
 * Bytes to a client take one way: http_stream (gaps, pace, hold) -> http_io_send (the socket; what it refuses waits in
 * conn->out). */
#ifndef HTTP_CARRIER_H
#define HTTP_CARRIER_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <openssl/ssl.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#include <umbel/http.h>

#include "core/base/clock.h"
#include "core/base/list.h"
#include "core/carrier/http_parse.h"

#define HTTP_HEAD_MS 10000u       /* from accept (or the first byte of a further request) to the end of the head, TLS included */
#define HTTP_BODY_MS 60000u       /* from the end of the head to the end of the body */
#define HTTP_IDLE_MS 75000u       /* between two requests of a connection */
#define HTTP_LINGER_MS 3000u      /* for the client to read our last answer and close */
#define HTTP_ACCEPT_PAUSE_MS 100u /* without a free descriptor */
#define HTTP_ACCEPT_BATCH 64u     /* connections taken in one go */
#define HTTP_LISTENERS_MAX 16u
#define HTTP_AHEAD_MAX (16u << 10)   /* bytes a client may send while its request is being answered; then we stop reading */
#define HTTP_READ_SIZE (64u << 10)   /* one read */
#define HTTP_EVENT_TEXT (16u << 10)  /* bytes of answer text in one batch: with the kernel's buffers the bound of a slow client  \
                                      */
#define HTTP_KEEP_BUFFER 1024u       /* an empty buffer larger than this is given back */
#define HTTP_GAP_TRIES 8u            /* a gap begins again so often while the client has not acknowledged what came before */
#define HTTP_SEND_BUFFER (128 << 10) /* SO_SNDBUF: sent and not yet acknowledged */
#define HTTP_NOT_SENT (16 << 10)     /* TCP_NOTSENT_LOWAT: in the kernel and not yet sent */
#define HTTP_NEVER UINT64_MAX

enum http_state { HTTP_HANDSHAKE, HTTP_HEAD, HTTP_BODY, HTTP_BUSY, HTTP_LINGER, HTTP_DEAD };
enum http_errand { HTTP_NO_ERRAND, HTTP_ASK, HTTP_WATCH, HTTP_RESUME };

struct umbel_http {
    const struct umbel_host *host;
    const struct umbel_config *config;
    const struct umbel_http_codec *codec;
    void *self;
    SSL_CTX *tls; /* NULL without TLS */
    struct event *listener[HTTP_LISTENERS_MAX];
    uint32_t listeners;
    struct event *accept_again; /* ends a pause */
    struct event *settle;       /* made active when `later` is not empty */
    struct list conns, later;
    struct umbel_out scratch, head; /* closing frames; a head being written */
    uint64_t slow_ns;
    uint32_t connections, max_connections;
    struct event *leave; /* while leaving: who goes next */
    uint64_t leave_began_ns, leave_ns;
    uint64_t leave_first, leave_gone; /* connections at its begin; how many were sent over */
    bool paused, leaving, draining, drained;
    uint64_t date_s;
    char date[40];

    struct { /* the closing events of one stream, collected; the host hands them over in a row */
        char id[64];
        bool closed;
        struct umbel_http_ending all;
        char word[64], text[512];
    } ending;
};

struct http_value { /* a text handed to the codec */
    struct http_value *next;
    size_t size;
    char text[];
};

/* What the codec may read of a request: freed when the head of the answer is out. */
struct http_input {
    char *bytes; /* the head */
    size_t size; /* of it */
    struct http_head head;
    char *path;
    struct span query;
    struct umbel_out body;
    struct http_value *values;
};

struct umbel_http_request {
    struct http_conn *conn;
    struct http_input *input;
    struct umbel_client *client; /* NULL for a request that failed for its form */
    struct umbel_reader *reader;
    struct umbel_http_start start;
    char *headers;         /* start.headers, until the head is out */
    struct umbel_out wait; /* frames that are not due yet */
    size_t wait_at;
    uint64_t began_ns, hold_due, gap_due, pace_due, pace_ns;
    uint32_t pace_sent, status; /* status: 0, or what failed() was called with */
    uint8_t errand, gap_tries;
    bool chunked;  /* the client speaks HTTP/1.1 */
    bool is_head;  /* HEAD: no body */
    bool begun;    /* it is a stream: start is set */
    bool head_out; /* of a stream or of an answer */
    bool said;     /* a byte of the body has been sent */
    bool over;     /* no more frames will come */
    bool done;     /* the end of the body is with the socket: settle ends the request */
    bool blocked;  /* the host was told FULL: reader_ready is owed */
    alignas(max_align_t) unsigned char data[];
};

struct http_conn {
    struct umbel_http *http;
    struct list link, later;
    SSL *ssl;
    int fd;
    uint8_t state;
    bool served;      /* has had an answer before */
    bool close_after; /* this answer is the connection's last */
    bool paused;      /* not reading: the client has sent too much ahead */
    bool sending;     /* bytes are on their way together with others' (umbel_host.send) */
    struct event read_event, write_event, timer;
    uint64_t armed_ns;    /* what timer is set for; HTTP_NEVER = not set */
    uint64_t deadline_ns; /* of the state; HTTP_NEVER = none */
    uint64_t sent_ns;     /* the socket took bytes last */
    uint64_t progress_ns; /* the slow clock's start while out is not empty */
    uint64_t acked;
    struct umbel_out in;  /* a head being read, or what the client sent ahead */
    size_t scanned;       /* of in */
    struct umbel_out out; /* what the socket refused */
    size_t out_at;
    struct http_dechunk dechunk;
    uint64_t body_left;
    struct umbel_http_request *request;
};

/* http_wipe - umbel_out_free for what a client has sent: it may hold a key. */
static inline void http_wipe(struct umbel_out *out)
{
    if (out->data)
        explicit_bzero(out->data, out->size);
    umbel_out_free(out);
}

/* http_listen.c */
int http_listen_open(struct umbel_http *http);
void http_listen_pause(struct umbel_http *http, bool pause); /* connections wait in the kernel meanwhile */
void http_listen_close(struct umbel_http *http); /* the sockets stay the host's; twice is fine */

/* http_tls.c: a context for connections to come; 0 or -errno (logged), then *ret_context is untouched.  NULL cert: no TLS. */
int http_tls_load(struct umbel_http *http, const char *cert, const char *key, SSL_CTX **ret_context);

/* http_io.c: the socket.  http_io_read - bytes read, 0 at the end, -EAGAIN, or another negative value: broken. */
long http_io_read(struct http_conn *conn, void *to, size_t size);
/* http_io_handshake - 1 done, 0 not yet, -1 broken. */
int http_io_handshake(struct http_conn *conn);
/* http_io_send - takes all bytes: the socket's part at once, the rest into conn->out.  A broken connection is killed. */
void http_io_send(struct http_conn *conn, const void *bytes, size_t size);
/* http_io_settle - what the host has taken to send it together with others' goes out now; before the socket is looked at or closed. */
void http_io_settle(struct http_conn *conn);
void http_io_flush(struct http_conn *conn); /* conn->out, as far as the socket takes it */
static inline bool http_io_is_full(const struct http_conn *conn)
{
    return conn->out.size > 0;
}
bool http_io_is_acked(const struct http_conn *conn);  /* the peer has acknowledged everything sent */
uint64_t http_io_acked(const struct http_conn *conn); /* bytes it has */
void http_io_shut(struct http_conn *conn);            /* our side: close_notify, FIN */

/* http_conn.c */
struct http_conn *http_conn_new(struct umbel_http *http, int fd); /* owns fd from here on, also on failure (NULL) */
void http_conn_kill(struct http_conn *conn);                      /* closes the descriptor now, the rest from the loop */
void http_conn_later(struct http_conn *conn);                     /* http_conn_settle_all looks at it from the loop */
void http_conn_settle_all(struct umbel_http *http);
void http_conn_finish(struct http_conn *conn);                /* lingering close */
void http_conn_deadline(struct http_conn *conn, uint64_t ms); /* of its state, from now */
void http_conn_free(struct http_conn *conn);

/* http_receive.c: bytes to requests */
void http_receive(struct http_conn *conn, const char *bytes, size_t size);
void http_receive_next(struct http_conn *conn); /* what the client has sent ahead */
void http_receive_late(struct http_conn *conn); /* the deadline of head or body has passed */

/* http_request.c */
struct umbel_http_request *http_request_new(struct http_conn *conn);
int http_request_aim(struct umbel_http_request *request); /* path and query from the target; 0 or 400 */
void http_request_serve(struct umbel_http_request *request);
void http_request_fail(struct umbel_http_request *request, uint32_t status, const char *text);
void http_request_forget_input(struct umbel_http_request *request);
void http_request_free(struct umbel_http_request *request); /* tells host and codec */
void http_request_peer(int fd, char *ret_text, size_t room);

/* http_answer.c: heads */
const char *http_answer_words(uint32_t status);
/* http_answer_head - sends status line, headers, the carrier's own lines and, unless body is NULL, a body of size bytes.  body
 * NULL: the head of a stream. */
void http_answer_head(struct umbel_http_request *request, uint32_t status, const char *headers, const void *body, size_t size);
/* http_answer_plain - a whole answer of one line of text. */
void http_answer_plain(struct umbel_http_request *request, uint32_t status, const char *text);

/* http_frame.c: frames in encoded bytes: HTTP chunks, ready to be sent, and marks between them. */
#define HTTP_MARK_SIZE 4u
enum http_frame_kind { HTTP_FRAME_CHUNK, HTTP_FRAME_GAP, HTTP_FRAME_OPENED, HTTP_FRAME_ENDING };
struct http_frame {
    enum http_frame_kind kind;
    struct span chunk; /* CHUNK: as it goes to the client */
    struct span data;  /* CHUNK: without the chunk's own bytes */
    uint32_t ms;       /* GAP */
};
/* http_frame_next - the frame at *at (which moves past it); false at the end. */
bool http_frame_next(struct span *at, struct http_frame *ret_frame);
/* http_frame_mark - OPENED: what stands before is the opening; ENDING: what follows is the ending. */
void http_frame_mark(struct umbel_out *out, enum http_frame_kind kind);
/* http_frame_says - whether there is a frame between the opening and the ending. */
bool http_frame_says(const char *bytes, size_t size);

/* http_stream.c: frames to a client, each in its time. */
void http_stream_head(struct umbel_http_request *request); /* sends the head now if it is not out */
void http_stream_start(struct umbel_http_request *request, const struct umbel_http_start *start); /* copies; head now or held */
void http_stream_put(struct umbel_http_request *request, const char *bytes, size_t size);
bool http_stream_is_full(const struct umbel_http_request *request); /* do not give more now */
void http_stream_go(struct umbel_http_request *request);            /* what waits, as far as it is due; ends what is over */
void http_stream_over(struct umbel_http_request *request);          /* no more frames: ends once everything is out */
void http_stream_cut(struct umbel_http_request *request);  /* deadline(): the codec's closing frames, the reader is left */
void http_stream_room(struct umbel_http_request *request); /* tells the host that there is room, if there is and it waits */

/* http_reader.c: umbel_codec for the host. */
extern const struct umbel_codec http_reader_codec;

/* http_time.c: one timer a connection, for the earliest of its clocks. */
void http_time_arm(struct http_conn *conn);
void http_time_fired(evutil_socket_t fd, short what, void *conn);

#define http_log(http, level, ...) (http)->host->log((http)->host, level, NULL, __VA_ARGS__)
#define http_count(http, name) (http)->host->count((http)->host, name, 1)

#endif
