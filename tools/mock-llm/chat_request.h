/* chat_request - the JSON body of POST /v1/chat/completions, checked as the real service does.
 * Pure: bytes in, values out. */
#ifndef MOCK_LLM_CHAT_REQUEST_H
#define MOCK_LLM_CHAT_REQUEST_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

struct cJSON;
struct http_head;
struct voice;

struct chat_request {
    struct cJSON *root;           /* owned */
    const char *model;            /* inside root, or model_owned */
    char *model_owned;            /* NULL, or owned */
    const struct voice *voice;    /* the dialect */
    const struct cJSON *messages; /* inside root */
    size_t message_count;
    char *prompt;           /* the last user message, its text parts joined; "" if none; owned */
    char *begun;            /* what the last message says, if it is the assistant's; else NULL; owned */
    uint64_t max_tokens;    /* MODEL_UNSET if the request sets none */
    uint64_t prompt_tokens; /* a plausible number: a quarter of the bytes of all messages, at least 1 */
    bool stream, include_usage;
    bool array, repeat; /* of the dialects: see struct answer */
};

/* Why a request is refused: the members of OpenAI's error object. */
struct chat_refusal {
    struct bytes message;     /* owned: bytes_free() it */
    const char *param, *code; /* static or NULL */
};

/* chat_request_parse reads size bytes of JSON (not NUL-terminated).  Returns true with *ret filled, to be freed by
 * chat_request_free, or false with refusal filled and *ret untouched. */
bool chat_request_parse(const char *body, size_t size, struct chat_request *ret, struct chat_refusal *refusal);
/* chat_request_read is chat_request_parse for a request in the dialect of voice; head is that of its HTTP request. */
bool chat_request_read(const struct voice *voice, const struct http_head *head, const char *body, size_t size, struct chat_request *ret,
                       struct chat_refusal *refusal);
/* chat_request_refuse fills refusal and returns false; param and code are static or NULL. */
bool chat_request_refuse(struct chat_refusal *refusal, const char *param, const char *code, const char *message);
/* chat_request_begun notes text as what the last message says: kept if role is the assistant's ("assistant", "model"). */
void chat_request_begun(struct chat_request *request, const char *role, const struct bytes *text);
/* chat_request_limit reads a positive whole number; an absent or null member leaves *ret alone.  False if it is something else. */
bool chat_request_limit(const struct cJSON *item, uint64_t *ret);
/* chat_request_whole returns the request as JSON text, owned by the caller. */
char *chat_request_whole(const struct chat_request *request);
/* chat_request_messages returns the messages array as JSON text, owned by the caller. */
char *chat_request_messages(const struct chat_request *request);
/* chat_request_free frees what request owns; fine on a zeroed one. */
void chat_request_free(struct chat_request *request);
#endif
