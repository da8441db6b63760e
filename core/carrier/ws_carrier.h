/* carrier/ws_carrier.h - what the files of the WebSocket carrier share.  The contract for codecs is <umbel/ws.h>.
 *
 * One thread, the host's loop.  Three kinds of code enter: libwebsockets' callbacks (inside uv_run, inside ws_loop_turn), the host's
 * codec callbacks (began, write, ...), and libevent timers and accepts.  None of them runs a codec's wishes at once: a client that needs
 * something done is put on the `dirty` list and ws_loop_turn does it, so no call here ever nests in another for the same client.
 *
 * A client's life: HANDSHAKE (accepted, no upgrade yet), OPEN, CLOSING (our close frame is out; detached from host and codec, waiting for
 * the peer's), GONE (libwebsockets has closed it).  The struct is freed by WSI_DESTROY, libwebsockets' last word on a connection. */
#ifndef WS_CARRIER_H
#define WS_CARRIER_H

#include <libwebsockets.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include <umbel/ws.h>

#include "core/base/list.h"

struct event;

#define WS_HANDSHAKE_MS 10000u           /* from accept to the end of the upgrade, TLS included */
#define WS_CLOSE_ACK_MS 3000u            /* from our close frame to the peer's */
#define WS_ACCEPT_PAUSE_MS 100u          /* without a free descriptor */
#define WS_ACCEPT_BATCH 64u              /* connections taken in one go */
#define WS_LISTENERS_MAX 16u
#define WS_RX_BUFFER 512u                /* per client, allocated by libwebsockets */
#define WS_QUESTION_BYTES (4u << 20)     /* copies of questions, held messages and frames waiting in one client's turn */
#define WS_READERS_MAX 64u               /* answers one client follows at a time; further watched ones are declined */
#define WS_WATCHES_MAX 8u                /* sessions one client watches */
#define WS_EVENT_TEXT (16u << 10)        /* bytes of answer text in one event: with the kernel's buffers the bound of a slow client */
#define WS_NOW_BYTES (8u << 10)          /* say_now and pings to a client that is full; over it the client is closed with 1013 */
#define WS_SEND_BUFFER (128 << 10)       /* SO_SNDBUF: sent and not yet acknowledged */
#define WS_NOT_SENT (16 << 10)           /* TCP_NOTSENT_LOWAT: in the kernel and not yet sent */

enum ws_state { WS_HANDSHAKE, WS_OPEN, WS_CLOSING, WS_GONE };
enum ws_access { WS_UNASKED, WS_ASKED, WS_KNOWN, WS_REFUSED };
enum ws_turn_kind { WS_TURN_ASK, WS_TURN_RESUME, WS_TURN_SAY, WS_TURN_REFUSED, WS_TURN_END, WS_TURN_MESSAGE, WS_TURN_WATCH };

struct umbel_ws {
    const struct umbel_host *host;
    const struct umbel_config *config;
    const struct umbel_ws_codec *codec;
    void *self;

    uv_loop_t uv;
    struct event *uv_event;
    struct lws_context *context;
    struct lws_vhost *vhost;
    struct ssl_ctx_st *tls; /* the vhost's, NULL without TLS */

    struct event *listener[WS_LISTENERS_MAX];
    uint32_t listeners;
    struct event *accept_again; /* ends a pause */
    struct event *deadline;     /* the earliest of the lists below */
    uint64_t deadline_ns;       /* when it is set for; UINT64_MAX = not at all */

    struct list clients;  /* every connection */
    struct list dirty;    /* ws_client_work is due */
    struct list starting, quiet, pinged, closing; /* of client.life: handshake, ping due, hang-up due, close ack due */
    struct list idle, slow;                       /* of client.rest */
    uint64_t ping_ns, pong_ns, idle_ns, slow_ns;

    struct umbel_out scratch; /* frames of refusals and of our own */
    uint64_t next_tag;
    uint32_t connections, max_connections;
    struct event *leave; /* while leaving: who goes next */
    uint64_t leave_began_ns, leave_ns;
    uint64_t leave_first, leave_gone; /* connections at its begin; how many were sent over */
    bool paused, leaving;
    bool uv_open, draining, drained, closing_down, kick;
    int self_test; /* 0, or what went wrong: see ws_selftest.c */
};

/* A thing that waits for its turn, is answered, or is held until the client is authorized.  One allocation. */
struct ws_turn {
    struct list link;
    struct ws_reader *reader; /* once the answer has begun */
    struct umbel_request request;
    void *data;
    const char *text; /* refusal's words, close reason, stream id, session, message */
    uint64_t tag;
    uint64_t position;
    size_t size; /* of bytes */
    enum ws_turn_kind kind;
    uint32_t variant;
    uint32_t reader_flags;
    uint32_t code; /* UMBEL_ERROR_* or close code */
    bool has_data; /* data is the codec's to free: answered() is owed */
    bool stop;     /* stop it as soon as it has begun */
    char bytes[];
};

/* One answer on its way to one client. */
struct ws_reader {
    struct list link;
    struct umbel_ws_client *client;
    struct umbel_reader *reader; /* NULL once the host has forgotten it */
    struct ws_turn *turn; /* the question it answers; NULL for a watched one */
    void *watch_data;     /* of a watched one */
    uint32_t variant;
    bool waiting; /* was told FULL: reader_ready is owed */
};

struct umbel_ws_client {
    struct list link, dirty, life, rest;
    struct umbel_ws *ws;
    struct lws *wsi; /* NULL before adoption and after the end */
    struct umbel_client *client;
    uint64_t life_due_ns, rest_due_ns;
    struct list waiting; /* turns: ASK, RESUME, SAY, REFUSED, END */
    struct list running; /* turns: ASK, RESUME handed to the host */
    struct list held;    /* MESSAGE, until authorized */
    struct list watches; /* WATCH */
    struct list readers;
    char *message; /* being assembled */
    size_t message_size, message_capacity;
    size_t queued_bytes, held_bytes; /* of what waits and is watched; of what is held */
    uint64_t acked;      /* tcp bytes acknowledged when the slow clock began */
    uint32_t now_bytes;  /* said past a full socket */
    uint16_t questions, answers; /* waiting: ASK and RESUME; SAY and REFUSED */
    uint16_t held_count, watch_count, reader_count, in_flight;
    uint16_t end_code; /* close at the next turn of the loop; 0 = no */
    char *end_reason;    /* owned; NULL = none */
    uint8_t state, access;
    bool known_to_codec; /* upgrade accepted: closed() is owed */
    bool clear;          /* no TLS: its frames may go out with those for others (umbel_host.send) */
    bool sending;        /* some are on their way like that */
    bool full;           /* libwebsockets holds bytes the socket refused */
    bool slow_clock;     /* rest is on the slow list */
    bool doomed;         /* a write failed: kill at the next turn */
    bool rx_off;         /* not reading: its turn is full */
    bool self_test;
    alignas(max_align_t) unsigned char data[];
};

/* ws_loop.c: libwebsockets on a libuv loop inside the host's libevent loop.  0 or -errno (logged). */
int ws_loop_open(struct umbel_ws *ws, const char *cert, const char *key);
void ws_loop_close(struct umbel_ws *ws);
/* ws_loop_turn - the host's on_turn: does what dirty clients need, serves sockets.  Returns ms until the next turn is due, -1 = any. */
int ws_loop_turn(void *ws);
/* ws_loop_kill - ends a connection at once and without a word, from anywhere; WSI_DESTROY follows from the loop. */
void ws_loop_kill(struct umbel_ws_client *client);

/* ws_lws.c: libwebsockets' callback. */
int ws_lws_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len);

/* ws_listen.c */
int ws_listen_open(struct umbel_ws *ws);
void ws_listen_pause(struct umbel_ws *ws, bool pause); /* connections wait in the kernel meanwhile */
void ws_listen_close(struct umbel_ws *ws); /* the sockets stay the host's; twice is fine */
/* ws_listen_adopt - gives a connected descriptor, which it takes over, to libwebsockets as a new client.  NULL: closed already. */
struct umbel_ws_client *ws_listen_adopt(struct umbel_ws *ws, int fd, bool tls, bool self_test);

/* ws_upgrade.c: decides on an upgrade request.  0 to go on, -1 after having answered the refusal.  ws_upgrade_plain refuses a request
 * that asks for no upgrade. */
int ws_upgrade_decide(struct umbel_ws_client *client, const char *to);
int ws_upgrade_plain(struct umbel_ws_client *client);

/* ws_client.c */
struct umbel_ws_client *ws_client_new(struct umbel_ws *ws);
void ws_client_free(struct umbel_ws_client *client);
void ws_client_dirty(struct umbel_ws_client *client); /* ws_client_work at the next turn of the loop */
void ws_client_work(struct umbel_ws_client *client);
/* ws_client_detach - the end of the client's logical life: host and codec are told, every turn and reader is dropped.  Twice is fine. */
void ws_client_detach(struct umbel_ws_client *client);
/* ws_client_end - detaches and sends a close frame; the connection ends when the peer has answered it.  Not inside codec callbacks. */
void ws_client_end(struct umbel_ws_client *client, uint16_t code, const char *reason);
/* ws_client_fail - the same at the next turn of the loop, from anywhere.  The first call counts.  reason is copied. */
void ws_client_fail(struct umbel_ws_client *client, uint16_t code, const char *reason);
void ws_client_gone(struct umbel_ws_client *client); /* libwebsockets has closed it */

/* ws_reader.c: umbel_codec for the host. */
extern const struct umbel_codec ws_reader_codec;
void ws_reader_free(struct ws_reader *reader);
/* ws_reader_resume - the socket has room again: tells the host for each reader that was full, until one fills it again. */
void ws_reader_resume(struct umbel_ws_client *client);

/* ws_turn.c: the queue of turns */
void ws_turn_pump(struct umbel_ws_client *client);
void ws_turn_free(struct umbel_ws_client *client, struct ws_turn *turn); /* unlinks, tells the codec (answered), frees */
struct ws_turn *ws_turn_running(struct umbel_ws_client *client, uint64_t tag);
struct ws_turn *ws_turn_watch(struct umbel_ws_client *client, uint64_t tag);
/* ws_turn_refuse - a running question or a watch came to nothing: the codec's words go out, the turn is over. */
void ws_turn_refuse(struct umbel_ws_client *client, struct ws_turn *turn, uint32_t error, const char *text);
void ws_turn_hold(struct umbel_ws_client *client, const char *text, size_t size); /* a message, until authorized */
/* ws_turn_release - authorized now: gives held messages to the codec, one at a time as long as the answer is not asked for again. */
void ws_turn_release(struct umbel_ws_client *client);
bool ws_turn_is_over(const struct umbel_ws_client *client); /* more than the peer may send: stop reading */

/* ws_write.c.  Bytes are whole frames. */
/* ws_write_put - 0, or -1: the connection is broken and marked so.  client->full says whether libwebsockets kept some of it. */
int ws_write_put(struct umbel_ws_client *client, const void *bytes, size_t size);
/* ws_write_deliver - the same for what the host delivers: may go out together with others' at the end of the host's deliveries, and whether
 * the client is full is known then. */
int ws_write_deliver(struct umbel_ws_client *client, const void *bytes, size_t size);
void ws_write_settle(struct umbel_ws_client *client); /* what is on its way like that goes out now */
void ws_write_now(struct umbel_ws_client *client, const void *bytes, size_t size); /* past a full socket, bounded */

/* ws_frame.c */
#define WS_CLOSE_FRAME_MAX 127
size_t ws_frame_close(uint16_t code, const char *reason, unsigned char *ret_frame); /* bytes written, at most WS_CLOSE_FRAME_MAX */
extern const unsigned char ws_frame_ping[3];

/* ws_receive.c: one piece of a message from libwebsockets */
void ws_receive(struct umbel_ws_client *client, const char *bytes, size_t size);
bool ws_utf8_is_valid(const char *text, size_t size);

/* ws_time.c */
void ws_time_start(struct umbel_ws_client *client);   /* handshake clock */
void ws_time_touch(struct umbel_ws_client *client);   /* the peer lives */
void ws_time_closing(struct umbel_ws_client *client);
void ws_time_rest(struct umbel_ws_client *client);    /* chooses between slow, idle and neither by what the client is */
void ws_time_forget(struct umbel_ws_client *client);
int ws_time_open(struct umbel_ws *ws);
void ws_time_close(struct umbel_ws *ws);

/* ws_tls.c: replaces certificate and key in context for connections to come.  0 or -errno (logged); then nothing has changed. */
int ws_tls_load(struct umbel_ws *ws, struct ssl_ctx_st *context, const char *cert, const char *key);

/* ws_selftest.c: checks on a socket pair that libwebsockets passes our frames through unchanged.  0 or -errno (logged). */
int ws_selftest(struct umbel_ws *ws);
void ws_selftest_established(struct umbel_ws_client *client);

#define ws_log(ws, level, ...) (ws)->host->log((ws)->host, level, NULL, __VA_ARGS__)
#define ws_count(ws, name) (ws)->host->count((ws)->host, name, 1)

#endif
