/* voice - one dialect of model services: how its requests are read and its answers written.  answer.c decides what comes when.
 * A voice is constant; what an answer needs to remember is in struct answer.  Pure. */
#ifndef MOCK_LLM_VOICE_H
#define MOCK_LLM_VOICE_H
#include "answer.h"

struct chat_refusal;
struct chat_request;
struct http_head;

#define VOICE_ERROR "The server had an error while processing your request. Sorry about that!"

struct voice {
    const char *type;       /* Content-Type of a stream */
    const char *key_header; /* where the key is */
    bool lines, crlf;       /* one JSON object a line; lines end with CR LF unless told otherwise */
    /* Reads a request whose JSON is request->root; NULL: as chat_request_parse.  Fills in what struct chat_request says but root and
     * voice; false with refusal filled. */
    bool (*read)(struct chat_request *request, const struct http_head *head, struct chat_refusal *refusal);
    void (*prepare)(struct answer *answer, const struct chat_request *request, uint64_t created); /* answer->open, if it wants one */
    /* Each appends whole events. */
    void (*open)(struct answer *answer, struct bytes *out);    /* before the first token */
    void (*comment)(struct answer *answer, struct bytes *out); /* a sign of life; NULL: it has none */
    void (*token)(struct answer *answer, struct bytes *out, bool thinking, const struct bytes *token);
    bool (*tool)(struct answer *answer, struct bytes *out);    /* the next fragment of the tool call; false: there is none */
    void (*finish)(struct answer *answer, struct bytes *out);
    void (*usage)(struct answer *answer, struct bytes *out);   /* NULL: not an event of its own */
    void (*done)(struct answer *answer, struct bytes *out);    /* the end marker; NULL: there is none */
    void (*error)(struct answer *answer, struct bytes *out);
    /* The body of a response that is no stream. */
    void (*refusal)(struct bytes *out, unsigned status, const char *message, const char *type, const char *param, const char *code);
};

extern const struct voice voice_openai, voice_anthropic, voice_ollama, voice_gemini, voice_dashscope;

/* voice_reason returns the finish reason: the one that the model name gives, or for the tool call, the limit or the end one of these. */
const char *voice_reason(const struct answer *answer, const char *tool, const char *length, const char *stop);
/* voice_tool_json appends the whole arguments of the tool call. */
void voice_tool_json(struct bytes *out);
#endif
