/* server - what all connections share, and the listening socket.  Owner: the one thread there is. */
#ifndef MOCK_LLM_SERVER_H
#define MOCK_LLM_SERVER_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "attempts.h"
#include "bytes.h"
#include "options.h"
#include "pacer.h"
#include "prng.h"
#include "record.h"

struct conn;
struct event;
struct event_base;
struct evconnlistener;
struct ssl_ctx_st;

struct server {
    struct options options;
    struct event_base *base;
    struct evconnlistener *listener;
    struct event *signals[2];
    struct ssl_ctx_st *tls; /* NULL = clear text */
    struct pacer pacer;
    struct record_log log;
    struct attempts attempts;
    LIST_HEAD(conn_list, conn) conns;
    uint64_t connections;             /* accepted so far */
    struct prng ids;                  /* completion ids: different in every run */
    struct bytes body, wire, scratch; /* work space for one event; nobody keeps anything in them */
    bool paused;                      /* out of descriptors: not accepting until a connection ends */
    bool closing;
};

/* server_open listens and prints the address.  Returns 0, or a negative errno after a message; server_close must
 * follow in both cases. */
int server_open(struct server *server, const struct options *options);
/* server_run serves until SIGINT or SIGTERM. */
void server_run(struct server *server);
/* server_room tells the server that a connection ended. */
void server_room(struct server *server);
/* server_close ends all connections (records end as "shutdown") and frees everything. */
void server_close(struct server *server);
#endif
