/* conn - one client connection: reads requests, writes bytes exactly as told, notices at once when the client goes.
 *
 *   READING --request complete--> ANSWERING --conn_answered--> READING        (kept alive)
 *                                                         \--> LINGERING --> freed   (our FIN sent, waiting for theirs)
 *
 * Nothing below the event callbacks frees a connection: it is marked with a fate, and the callback that started the
 * work carries it out at its end (conn_settle).  So a conn pointer stays good until its caller returns to the loop.
 * Owner: the loop thread. */
#ifndef MOCK_LLM_CONN_H
#define MOCK_LLM_CONN_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "http_request.h"
#include "pacer.h"

struct bufferevent;
struct server;
struct sockaddr;
struct stream;
struct voice;

#define CONN_INPUT_MAX 65536u   /* bytes kept of a client that sends while it is being answered, then it waits */
#define CONN_LINGER_US 2000000u /* how long a closed connection waits for the client's own close */

enum conn_state { CONN_READING, CONN_ANSWERING, CONN_LINGERING };
enum conn_fate { CONN_OPEN, CONN_CLOSE, CONN_RESET, CONN_LOST };

struct conn {
    LIST_ENTRY(conn) link;
    struct server *server;
    struct bufferevent *bev;
    int fd;
    bool tls, keep_alive, head_only, minor0; /* of the request in hand: wants reuse, is HEAD, is HTTP/1.0 */
    enum conn_state state;
    enum conn_fate fate;
    uint64_t id, requests; /* number of the connection; requests read on it */
    uint64_t sent;         /* bytes written for the current answer */
    struct http_head *head;
    struct http_chunks chunks;
    const struct voice *voice; /* the dialect of the request in hand; NULL: openai */
    struct stream *stream; /* the answer in progress; NULL for plain replies */
    struct pacer_node linger;
    char peer[64];
};

/* conn_open takes over the accepted socket fd: it is closed with the connection, or at once if this fails. */
void conn_open(struct server *server, int fd, const struct sockaddr *peer);
/* conn_send writes size bytes with one send of their own.  What the socket does not take is kept (copied) and sent
 * later; conn_busy tells so.  A lost client sets the fate. */
void conn_send(struct conn *conn, const char *data, size_t size);
/* conn_busy tells whether bytes still wait for the socket; when they are gone the stream is run again. */
bool conn_busy(const struct conn *conn);
/* conn_unsent returns how many bytes the kernel has not yet delivered to the client. */
size_t conn_unsent(const struct conn *conn);
/* conn_answered ends the answer: the next request may come if reuse holds and the client wants it. */
void conn_answered(struct conn *conn, bool reuse);
/* conn_settle carries out the connection's fate; call it last in every callback, conn may be gone afterwards. */
void conn_settle(struct conn *conn);
/* conn_free closes the connection now.  end is how a running answer's record ends ("client_closed", "shutdown"). */
void conn_free(struct conn *conn, const char *end);
#endif
