/* benchmarks/load_client.h - the readers of the rig: many connections, each with its own place in the text. */
#ifndef LOAD_CLIENT_H
#define LOAD_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/benchmarks/load_token.h"
#include "tools/benchmarks/load_wire.h"

struct load_options {
    enum wire_kind wire;
    uint16_t port;       /* of the server, 127.0.0.1 */
    uint32_t clients;
    const char *request; /* what a client sends first: an upgrade or a whole request, with %u for its number */
    const char *then;    /* WebSocket: a text frame each client sends at the start of the run; NULL = none */
    bool request_at_go;  /* relay: nothing is sent before the run */
    const char *ask;     /* fan-out: the whole request of the one who asks, as request; it reads along; NULL = nobody */
    const char *ask_then; /* WebSocket: its frame */
    uint32_t tokens;     /* each client must get */
    uint32_t settle_ms;  /* from the start; the times of tokens born before that are counted apart; 0 = none are */
    uint32_t limit_s;    /* from the start to the last byte; what is missing then is lost */
};

struct load_result {
    struct token_tally tally;
    struct token_times times;
    uint64_t began_ns, first_ns, ended_ns;
    uint32_t connected, refused;
    uint64_t bytes; /* read from sockets during the run */
};

struct load;

/* load_open - connects everybody (256 at a time) and waits until every server has answered the upgrade or the head of a watch's
 * answer is due only later.  0 or -errno. */
int load_open(const struct load_options *options, struct load **ret_load);
/* load_run - sends what starts the run and reads until every client has all its tokens or the limit is reached. */
void load_run(struct load *load, struct load_result *ret_result);
void load_close(struct load *load);

#endif
