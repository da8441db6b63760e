/* carrier/tcp_carrier.h - what the files of the TCP carrier share.  The contract for codecs is <umbel/tcp.h>.
 *
 * One thread, the host's loop.  Codecs and the host may call from anywhere, so nothing is freed where it dies: a client that ends is put on the
 * `dead` list and freed by tcp_turn(), the host's on_turn; lines that can go on after an answer are handed out there too (`due`).
 *
 * A slow client costs its place: at most TCP_OUT_FULL bytes wait here, then the host is told FULL and keeps the rest in the journal. */
#ifndef TCP_CARRIER_H
#define TCP_CARRIER_H

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <umbel/tcp.h>

#include "core/base/list.h"

struct event;

#define TCP_LISTENERS_MAX 16u
#define TCP_ACCEPT_BATCH 64u
#define TCP_ACCEPT_PAUSE_MS 100u    /* without a free descriptor */
#define TCP_LINE_DEFAULT (64u << 10)
#define TCP_READ (16u << 10)        /* bytes taken from one socket at a time */
#define TCP_OUT_FULL (32u << 10)    /* bytes waiting for the socket, above which a reader is FULL */
#define TCP_SAID_MAX (64u << 10)    /* and above which a codec's own words end the connection */
#define TCP_EVENT_TEXT (16u << 10)  /* bytes of answer text in one event */
#define TCP_SEND_BUFFER (128 << 10) /* SO_SNDBUF */
#define TCP_LEAVE_TICK_MS 20
#define TCP_LINGER_NS 3000000000ull /* from the end of our side to the peer's: what was said last is not lost to a reset */

struct umbel_tcp {
    const struct umbel_host *host;
    const struct umbel_tcp_codec *codec;
    void *self;
    struct event *listener[TCP_LISTENERS_MAX];
    uint32_t listeners;
    struct event *accept_again;
    struct event *tick; /* once a second: slow, idle, lingering */
    struct event *wake; /* makes the loop turn soon */
    struct list clients; /* every connection */
    struct list due;     /* lines wait to be handed out */
    struct list dead;    /* to be freed */
    uint32_t connections, max_connections, max_line;
    uint64_t slow_ns, idle_ns, next_tag;
    struct event *leave; /* while leaving: who goes next */
    uint64_t leave_began_ns, leave_ns, leave_first, leave_gone;
    bool draining, drained, paused;
};

enum tcp_access { TCP_UNKNOWN, TCP_ASKED, TCP_DECIDED };

struct umbel_tcp_client {
    struct list link, due;
    struct umbel_tcp *tcp;
    struct umbel_client *client;
    struct umbel_reader *reader; /* the answer that runs; NULL until it begins */
    struct event *readable, *writable;
    struct umbel_out in;  /* received, not handed out */
    struct umbel_out out; /* to send, from out_at */
    size_t out_at;
    uint32_t variant;
    uint32_t failed;    /* UMBEL_ERROR_* of a question that the host did not take, told when the loop turns; 0 = none */
    uint32_t too_many;  /* questions beside a running one: refusals that are owed */
    uint64_t tag;       /* of the question; 0 = none: not answering */
    uint64_t heard_ns;  /* the last line, or the end of the last answer */
    uint64_t moved_ns;  /* when the socket last took something, or had nothing to take */
    uint64_t shut_ns;   /* when our side was closed; 0 = it is open */
    int fd;
    uint8_t access;
    bool full;   /* the host was told FULL: reader_ready is owed */
    bool ending; /* no more lines; ends when all is sent */
    bool stop;   /* stop the answer as soon as it begins */
    bool gone;
    alignas(max_align_t) unsigned char data[];
};

/* tcp_listen.c: accepting.  open: 0 or -errno (logged). */
int tcp_listen_open(struct umbel_tcp *tcp);
void tcp_listen_pause(struct umbel_tcp *tcp, bool pause);
void tcp_listen_close(struct umbel_tcp *tcp);

/* tcp_client.c: one connection. */
void tcp_client_new(struct umbel_tcp *tcp, int fd, const char *peer); /* owns fd */
void tcp_client_kill(struct umbel_tcp_client *client);                /* ends it now, from anywhere; it is freed later */
void tcp_client_send(struct umbel_tcp_client *client);                /* what the socket takes */
void tcp_client_due(struct umbel_tcp_client *client);                 /* its lines are looked at when the loop turns */
void tcp_client_settle(struct umbel_tcp_client *client);              /* ends it if it is ending, or drained, and all is out */
int tcp_turn(void *tcp);                                              /* the host's on_turn */

/* tcp_answer.c: the host's codec. */
extern const struct umbel_codec tcp_host_codec;
void tcp_answer_over(struct umbel_tcp_client *client);
void tcp_answer_refusals(struct umbel_tcp_client *client); /* tells those that are owed */

#endif
