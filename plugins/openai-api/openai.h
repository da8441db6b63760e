/* openai-api/openai.h - what the files of this codec share: OpenAI's shapes, and a request's meaning. */
#ifndef OPENAI_H
#define OPENAI_H

#include <stdbool.h>
#include <stdint.h>

#include <umbel/http.h>

struct umbel_json;

#define OPENAI_TOOLS_MAX 128u       /* tool calls of one answer that is sent whole */
#define OPENAI_WHOLE_MAX (8u << 20) /* bytes of text, reasoning, or one call's arguments of such an answer */

/* umbel_http_start.variant of streams; whole answers and stops are private */
enum { OPENAI_STREAM, OPENAI_STREAM_USAGE };

enum openai_errand { OPENAI_CHAT, OPENAI_WHOLE, OPENAI_WATCH, OPENAI_RESUME, OPENAI_STOP, OPENAI_MODELS };

struct openai_tool {
    struct umbel_out id, name, arguments;
};

/* An answer collected to be sent whole. */
struct openai_whole {
    struct umbel_out text, reasoning;
    struct openai_tool *tools;
    uint32_t tool_count;
    int failed; /* -EMSGSIZE, -ENOMEM */
};

struct openai_request {
    struct umbel_json *body; /* until it is acted on */
    char *name;              /* session, stream id or model, out of the path; "" = none */
    struct openai_whole whole;
    uint8_t errand;
    bool usage;
};

struct openai {
    const struct umbel_host *host;
    const struct umbel_config *config;
    struct umbel_out out, parameters, headers;
};

/* ---- shapes: openai_shape.c.  All append. ---- */
uint32_t openai_status(uint32_t error); /* the HTTP status of an UMBEL_ERROR_* */
/* openai_error - {"error":{...}}; what: one line, or "" for the error's own words. */
void openai_error(uint32_t error, const char *what, struct umbel_out *out);
void openai_chunk(const struct umbel_stream *stream, const struct umbel_event *event, struct umbel_out *out);
void openai_end(const struct umbel_stream *stream, const struct umbel_http_ending *ending, bool usage, struct umbel_out *out);
bool openai_is_failed(const struct umbel_http_ending *ending);
#define OPENAI_KEEPALIVE ": ka\n\n"

/* ---- whole answers: openai_whole.c ---- */
void openai_whole_take(struct openai_whole *whole, const struct umbel_event *event);
void openai_whole_put(const struct openai_whole *whole, const struct umbel_stream *stream, const struct umbel_http_ending *ending,
                      struct umbel_out *out);
void openai_whole_free(struct openai_whole *whole);
const char *openai_finish_word(const struct umbel_http_ending *ending);
void openai_usage(const struct umbel_http_ending *ending, struct umbel_out *out); /* the object */

/* ---- requests: openai_request.c ---- */
/* openai_read - what is wanted, into the request's own data.  0 or an UMBEL_ERROR_* with *ret_what; *ret_status: 405 if only the
 * method is wrong. */
uint32_t openai_read(struct umbel_http_request *request, const char **ret_what, uint32_t *ret_status);
/* openai_act - does it, once the client is known.  0 or an UMBEL_ERROR_* with *ret_what. */
uint32_t openai_act(struct openai *openai, struct umbel_http_request *request, const char **ret_what);
/* openai_headers - the header lines; stream NULL: before there is one.  Good until the next call. */
const char *openai_headers(struct openai *openai, const char *type, const struct umbel_stream *stream);

#endif
