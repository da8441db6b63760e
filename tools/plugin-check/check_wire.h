/* plugin-check/check_wire.h - a client of the plugin, byte for byte: bytes to units (a message, a line, a piece of an HTTP body) and units to
 * what they mean by the plan.  Never blocks; wire_pump does what the socket allows. */
#ifndef CHECK_WIRE_H
#define CHECK_WIRE_H

#include <stdint.h>

#include "tools/plugin-check/check_plan.h"

struct wire {
    const struct plan *plan;
    int fd;
    struct umbel_out send, in, body; /* not sent; not taken apart; of HTTP, without chunks, not taken apart */
    size_t sent;
    struct umbel_out text;  /* answer text in all */
    struct umbel_out last;  /* the last unit, for reports, zero-terminated */
    long status;            /* HTTP; 0 = no head yet */
    long length;            /* of the body; -1 = chunked, -2 = to the end */
    bool opened;            /* WebSocket: 101 came; TCP and HTTP: at once */
    bool ready;             /* the plan's "ready" was seen, if there is one */
    bool ended;             /* the other side has ended the connection, or the HTTP body is whole */
    unsigned units, terminals, errors, unreadable, after_end;
    const regex_t *want; /* a dialogue's */
    bool got;            /* a unit matched it */
    uint64_t received;   /* bytes */
};

/* wire_open - connects to 127.0.0.1; receive_buffer 0 = the system's.  wire_free closes. */
void wire_open(struct wire *wire, const struct plan *plan, int port, int receive_buffer);
void wire_free(struct wire *wire);
void wire_reset(struct wire *wire); /* as wire_free, with a TCP reset */

void wire_hello(struct wire *wire, const char *key); /* what opens a conversation: the upgrade, the plan's "connect" */
void wire_unit(struct wire *wire, const char *template, const char *key, const char *question);
void wire_request(struct wire *wire, const struct umbel_json *request, const char *key, const char *question);
void wire_ask(struct wire *wire, const char *key, const char *question);
void wire_raw(struct wire *wire, const void *bytes, size_t size); /* as they are; WebSocket: not framed */
void wire_frame(struct wire *wire, unsigned char first, const void *bytes, size_t size);

/* wire_pump - sends and, unless deaf, receives what it can.  True if anything moved. */
bool wire_pump(struct wire *wire, bool deaf);

#endif
