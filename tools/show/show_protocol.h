/* show/show_protocol.h - one client protocol: how it asks, how it watches, and how it reads an answer.  Pure: a table row each. */
#ifndef SHOW_PROTOCOL_H
#define SHOW_PROTOCOL_H

#include "tools/show/show_answer.h"
#include "tools/show/show_http.h"

/* What all clients of one show have in common.  Zero-terminated. */
struct show_ask {
    const char *question, *key, *session, *model;
    const char *token; /* for a protocol that is asked without a key otherwise; NULL: without */
    const char *path;  /* of http-chunked-wxapp; NULL: its default */
};

/* The request that a client sends.  WebSocket: target of the upgrade, and body = its first message, empty for none. */
struct show_request {
    const char *method;
    struct umbel_out target, headers, body; /* headers: whole lines besides Host, Content-Length and Connection */
};
void show_request_free(struct show_request *request);

/* The reading side of one client. */
struct show_decoder {
    struct show_answer answer;
    struct show_sse sse;       /* event streams */
    struct umbel_out pending;  /* mini-program frames: bytes of one that is not whole; IM: of a reply */
    struct umbel_out last;     /* ws-bmob: the newest piece of text */
    char id[64];               /* of the answer, "" until it was told */
    bool finished;             /* a finish reason was seen; IM: all messages that are there are finished */
    const char *session;       /* IM: whose messages are looked at; borrowed, as long as the decoder */
    size_t parts;              /* IM: finished messages so far */
};
void show_decoder_free(struct show_decoder *decoder);

struct show_protocol {
    const char *name;  /* on the command line */
    const char *title; /* of the column */
    bool websocket;
    void (*request)(const struct show_ask *ask, bool watch, struct show_request *ret_request);
    /* A text message (zero-terminated), or a piece of the body. */
    void (*take)(struct show_decoder *decoder, const char *data, size_t size);
    /* NULL, or the protocol is polled: it cannot ask; its request is sent again and again, and each reply ends with this call. */
    void (*reply)(struct show_decoder *decoder);
    /* NULL, or what the end depends on besides: called after each change of either side with the answer as the asking protocol has it. */
    void (*compare)(struct show_decoder *decoder, const struct show_answer *asked);
};

/* show_protocol_find - by the name on the command line, or NULL.  show_protocol_name - the index-th name, NULL past the end. */
const struct show_protocol *show_protocol_find(const char *name, size_t size);
const char *show_protocol_name(size_t index);

/* show_decoder_close - the server ended the body or the connection: an answer that is not whole by now is broken. */
void show_decoder_close(struct show_decoder *decoder, const char *what);

extern const struct show_protocol show_bmob, show_wxapp, show_h5, show_cgws, show_api, show_im;

/* ---- shared by the rows ---- */

/* show_url_put - appends text percent-encoded for a query or a path. */
void show_url_put(struct umbel_out *out, const char *text);

/* show_id_check - the id of each message of one answer is the same. */
void show_id_check(struct show_decoder *decoder, const char *id);

/* show_chunk_take - one chat.completion.chunk in OpenAI's shape, or "[DONE]", or an error object. */
void show_chunk_take(struct show_decoder *decoder, const char *data, size_t size);

#endif
