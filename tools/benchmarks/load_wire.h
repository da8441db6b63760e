/* benchmarks/load_wire.h - from the bytes of a connection to the model's text, for the few wire formats the rig reads.
 *
 * Not a validator: umbel's own tests do that.  It undoes the framing (chunks, WebSocket frames, lines) and takes out the members
 * "content" or "contents"; where there are none the payload itself is the text (peers that pass bytes on). */
#ifndef LOAD_WIRE_H
#define LOAD_WIRE_H

#include <stdbool.h>
#include <stddef.h>

enum wire_kind { WIRE_WS, WIRE_SSE, WIRE_CHUNK };

#define WIRE_KEPT_MAX (8u << 20) /* bytes of one incomplete frame */

struct wire {
    enum wire_kind kind;
    bool head_done, chunked, bad;
    size_t chunk_left; /* bytes of the chunk at hand; its line end included */
    bool in_chunk;
    char *kept;        /* an incomplete head, frame or line; owned */
    size_t kept_size, kept_room;
    char *line;        /* HTTP: an incomplete line of the body; owned */
    size_t line_size, line_room;
};

/* wire_take - size bytes from the socket.  text(owner, ...) gets pieces of the text, valid during the call.  false: the bytes make no
 * sense (a refused upgrade, a status other than 200 or 101, a close frame). */
bool wire_take(struct wire *wire, const char *data, size_t size, void (*text)(void *owner, const char *text, size_t size), void *owner);
void wire_free(struct wire *wire);

#endif
