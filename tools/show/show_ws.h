/* show/show_ws.h - a strict little WebSocket client (RFC 6455).  Pure: bytes in, calls out.  Whatever a server must not send is a
 * fault: a mask, a reserved bit, an unknown opcode, a length that is not in its shortest form, broken UTF-8, a control frame in pieces. */
#ifndef SHOW_WS_H
#define SHOW_WS_H

#include "tools/show/show_http.h"

#define SHOW_WS_KEY_SIZE 25u    /* base64 of 16 bytes, with the zero */
#define SHOW_WS_ACCEPT_SIZE 29u /* base64 of a SHA-1, with the zero */

#define SHOW_WS_TEXT 1u
#define SHOW_WS_CLOSE 8u
#define SHOW_WS_PING 9u
#define SHOW_WS_PONG 10u

/* show_ws_key - a random Sec-WebSocket-Key.  0 or -errno. */
int show_ws_key(char ret_key[SHOW_WS_KEY_SIZE]);
/* show_ws_accept - what the server must answer to it. */
void show_ws_accept(const char *key, char ret_accept[SHOW_WS_ACCEPT_SIZE]);

/* show_ws_request - the upgrade request. */
void show_ws_request(struct umbel_out *out, const char *host, const char *target, const char *key);
/* show_ws_check - is this head the right answer to it?  0 or -EPROTO. */
int show_ws_check(const struct show_head *head, const char *key, struct why *why);

/* show_ws_frame - appends one masked client frame. */
void show_ws_frame(struct umbel_out *out, unsigned opcode, const char *data, size_t size);

struct show_ws {
    struct umbel_out frame;   /* the frame that is being received */
    struct umbel_out message; /* the message it belongs to */
    bool in_message, closed;
    uint16_t close_code; /* of the server's close frame; 1005 = none was given */
};
void show_ws_free(struct show_ws *ws);

/* show_ws_feed - bytes after the head.  message is called with each text message, zero-terminated; answers that the protocol demands
 * (pong, close) are appended to reply.  Bytes after a close frame are ignored.  -EPROTO with words. */
int show_ws_feed(struct show_ws *ws, const char *data, size_t size, show_sink *message, void *owner, struct umbel_out *reply,
                 struct why *why);

#endif
