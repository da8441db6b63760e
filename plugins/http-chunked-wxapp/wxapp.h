/* http-chunked-wxapp/wxapp.h - what the files of this codec share: the frames of mini-programs and of web pages (H5), and a
 * request's meaning. */
#ifndef WXAPP_H
#define WXAPP_H

#include <stdbool.h>
#include <stdint.h>

#include <umbel/http.h>

struct umbel_json;

#define WXAPP_FRAME_MAX 1024u /* bytes of one mini-program frame */

/* umbel_http_start.variant */
enum { WXAPP_MINI, WXAPP_H5, WXAPP_H5_USAGE };

struct wxapp {
    const struct umbel_host *host;
    const struct umbel_config *config;
    struct umbel_out out, headers;
    const char *path;
    uint32_t gap_ms, end_gap_ms, keepalive_ms, max_stream_ms;
    bool plain, error_after_text, second_terminal;
};

/* ---- frames: wxapp_mini.c, wxapp_h5.c ---- */

/* wxapp_code - the number that the published mini-program page acts on.  wxapp_words - what a person is told; what: of a bad
 * request, or in place of the protocol's words about a bad key, a quota, a rate; "" = none.  wxapp_ending_text - what, for an answer that
 * failed: a model service's words about its own quotas are not for clients. */
int wxapp_code(uint32_t error);
const char *wxapp_words(uint32_t error, const char *what, char *room, size_t size);
const char *wxapp_ending_text(const struct umbel_http_ending *ending);

/* Mini-program.  text: UTF-8; becomes as many frames as it needs.  Nothing else in a frame may ever spell the words that the page
 * searches for, whatever the text is. */
void wxapp_mini_text(const char *text, size_t size, struct umbel_out *out);
void wxapp_mini_error(const struct wxapp *wxapp, uint32_t error, const char *what, struct umbel_out *out);
void wxapp_mini_terminal(const struct wxapp *wxapp, struct umbel_out *out); /* guard, gap, terminal, gap */
void wxapp_mini_end(const struct wxapp *wxapp, const struct umbel_http_ending *ending, struct umbel_out *out);
void wxapp_mini_deadline(const struct wxapp *wxapp, const struct umbel_stream *stream, uint64_t position, struct umbel_out *out);
/* wxapp_mini_renewed - to a watch that waits when this process goes.  The terminal would say that an answer is whole: there was none. */
void wxapp_mini_renewed(const struct wxapp *wxapp, struct umbel_out *out);
#define WXAPP_MINI_KEEPALIVE "success: {\"content\":\"\"}\r\n"

/* H5: server-sent events in the shape of OpenAI's chunks.  stream NULL: an error before there is an answer; position WXAPP_H5_NO_PLACE: one
 * that leaves the client the place it has. */
#define WXAPP_H5_NO_PLACE UINT64_MAX
void wxapp_h5_event(const struct umbel_stream *stream, const struct umbel_event *event, struct umbel_out *out);
void wxapp_h5_end(const struct umbel_stream *stream, const struct umbel_http_ending *ending, bool usage, struct umbel_out *out);
void wxapp_h5_error(const struct umbel_stream *stream, uint64_t position, uint32_t error, const char *what,
                    struct umbel_out *out);
#define WXAPP_H5_KEEPALIVE ": ka\n\n"
#define WXAPP_H5_OVER ":end" /* behind the place in the id of the last event: who has seen it misses nothing */

/* ---- a request: wxapp_request.c ---- */

struct wxapp_request {
    struct umbel_json *body; /* a JSON body, until it is acted on */
    bool mini;               /* speaks the mini-program's frames */
    bool usage;
    bool again; /* an EventSource that comes back with Last-Event-ID ... */
    bool over;  /* ... of a last event */
};

/* wxapp_field - a text member of the body (JSON or form), else of the address; NULL if absent. */
const char *wxapp_field(struct umbel_http_request *request, const char *name);

/* wxapp_read - fills in the request's own data.  NULL, or what is wrong. */
const char *wxapp_read(struct umbel_http_request *request);

/* wxapp_is_mini - whether the client speaks the mini-program's frames, as far as it can be told. */
bool wxapp_is_mini(struct umbel_http_request *request);

/* wxapp_headers - the header lines of an answer; stream: NULL before there is one.  Good until the next call. */
const char *wxapp_headers(struct wxapp *wxapp, struct umbel_http_request *request, bool mini, const struct umbel_stream *stream);
const char *wxapp_preflight_headers(struct wxapp *wxapp, struct umbel_http_request *request);

/* wxapp_act - asks, watches or resumes.  0, or UMBEL_ERROR_* with *ret_what. */
uint32_t wxapp_act(struct wxapp *wxapp, struct umbel_http_request *request, const char **ret_what);

/* wxapp_start - how the client's stream is served, but for status and headers. */
void wxapp_start(const struct wxapp *wxapp, struct umbel_http_request *request, struct umbel_http_start *ret_start);

#endif
