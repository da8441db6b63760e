/* ws-bmob/bmob.h - what the two files of this codec share: the frames of Bmob's AI WebSocket. */
#ifndef BMOB_H
#define BMOB_H

#include <umbel/event.h>
#include <umbel/out.h>

/* How an error looks: TEXT: a chunk with the message, then the final frame; FRAME: one chunk with the message and "stop", which is
 * the only form that fires the Android SDK's onError, but the JavaScript SDK never says it is done. */
enum bmob_style { BMOB_STYLE_TEXT, BMOB_STYLE_FRAME };

/* bmob_encode - appends the WebSocket frames for one event.  Depends on nothing but its arguments: one result serves all clients. */
void bmob_encode(enum bmob_style style, const struct umbel_stream *stream, const struct umbel_event *event, struct umbel_out *out);

/* bmob_refuse - appends a whole answer that only says what is wrong, under an id of its own.  error: UMBEL_ERROR_*; what: for a bad
 * request, what is bad about it; for a bad key, a quota or a rate the words to say in place of the protocol's own, "" = none. */
void bmob_refuse(enum bmob_style style, uint32_t error, const char *what, struct umbel_out *out);

/* bmob_pong - appends the answer to a text heartbeat. */
void bmob_pong(struct umbel_out *out);

/* bmob_random_hex - 2 * size random lower-case hexadecimal digits and a zero; size <= 32. */
void bmob_random_hex(size_t size, char *ret_text);

#endif
