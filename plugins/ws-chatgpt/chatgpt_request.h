/* ws-chatgpt/chatgpt_request.h - one request of the chatgpt-websocket project, checked in its order and with its texts.  Pure. */
#ifndef CHATGPT_REQUEST_H
#define CHATGPT_REQUEST_H

#include <stdint.h>

#include <umbel/json.h>
#include <umbel/out.h>

#define CHATGPT_JSON 129001
#define CHATGPT_PARAM 129002
#define CHATGPT_OTHER 129003
#define CHATGPT_WHY_MAX 256

enum chatgpt_kind { CHATGPT_ASK, CHATGPT_WATCH, CHATGPT_RESUME, CHATGPT_CANCEL };

struct chatgpt_models { /* the names that may be asked for */
    const char *const *names;
    uint32_t count;
};

/* What a good request says; texts are borrowed from json. */
struct chatgpt_request {
    struct umbel_json *json; /* free with umbel_json_free */
    enum chatgpt_kind kind;
    const char *seq;        /* stripped; NULL if it could not be read */
    uint32_t seq_size;
    int sentences;          /* origin_stream = false */
    int davinci;
    int extended;           /* uses session, watch, resume or cancel: its frames carry the id */
    const char *session;    /* or NULL */
    const char *model;
    const char *resume;     /* "<id>:<n>", or NULL */
    const char *cancel;     /* an id; NULL: the answer now running */
    struct umbel_out messages, parameters; /* JSON for the core; free with chatgpt_request_free */
};

/* chatgpt_request_read - 0, or CHATGPT_JSON / CHATGPT_PARAM with the protocol's text in why; then only seq may be used. */
int chatgpt_request_read(const char *text, size_t size, const struct chatgpt_models *models, struct chatgpt_request *ret_request, char *why);
void chatgpt_request_free(struct chatgpt_request *request);

#endif
