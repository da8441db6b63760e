/* ws-chatgpt/chatgpt_frames.h - the frames of the chatgpt-websocket project, byte exact: Python's JSON spacing, raw UTF-8. */
#ifndef CHATGPT_FRAMES_H
#define CHATGPT_FRAMES_H

#include <stdint.h>

#include <umbel/event.h>
#include <umbel/out.h>

/* One request on its way: what its frames need to know.  A watch's serves many answers, several at once: what belongs to one of them may
 * stay here only from its FINISH to its CLOSED, between which nothing of another one comes. */
struct chatgpt_task {
    char *seq;          /* as JSON, with quotes; "null" if the request had none */
    const char *error_seq; /* what error frames say: seq, or "null" as the original does */
    int sentences, extended, double_stop;
    uint64_t begun_ns;  /* CLOCK_MONOTONIC */
    struct umbel_out text; /* sentence mode: what waits */
    uint32_t finish;    /* UMBEL_FINISH_*, from FINISH to CLOSED; else 0 */
};

/* chatgpt_frame - one frame with code 0.  finish: "null" or a JSON string.  id: the stream's, or NULL. */
void chatgpt_frame(const struct chatgpt_task *task, uint64_t now_ns, const char *finish, const char *text, size_t size, const char *id,
                   struct umbel_out *out);

/* chatgpt_error - one error frame, a terminal.  seq: JSON.  id: the stream's that failed; NULL: the request did, or does not want it. */
void chatgpt_error(int code, const char *message, const char *seq, const char *id, struct umbel_out *out);

/* chatgpt_encode - the frames of one event. */
void chatgpt_encode(struct chatgpt_task *task, uint64_t now_ns, const struct umbel_stream *stream, const struct umbel_event *event,
                    struct umbel_out *out);

/* chatgpt_words - the text for an UMBEL_ERROR_*; what, if it is not "", is used for bad requests, bad keys, quotas and rates. */
const char *chatgpt_words(uint32_t error, const char *what);

#endif
