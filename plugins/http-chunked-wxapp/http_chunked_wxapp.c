/* http-chunked-wxapp/http_chunked_wxapp.c - WeChat mini-programs over chunked HTTP, and web pages over server-sent events, on one
 * URL. */
#include "wxapp.h"

#include <string.h>
#include <strings.h>

#include <umbel/json.h>

/* The one word an EventSource obeys. */
static void stop_coming(struct wxapp *wxapp, struct umbel_http_request *request, const struct umbel_stream *stream)
{
    umbel_http_answer(request, 204, wxapp_headers(wxapp, request, false, stream), NULL, 0);
}

/* Ends a request that gets no answer of the model, in the client's own way. */
static void refuse(struct wxapp *wxapp, struct umbel_http_request *request, uint32_t error, const char *what)
{
    const struct wxapp_request *mine = umbel_http_data(request);
    struct umbel_http_start start;

    if (mine->again && error != UMBEL_ERROR_RATE && error != UMBEL_ERROR_BUSY && error != UMBEL_ERROR_INTERNAL) {
        stop_coming(wxapp, request, NULL);
        return;
    }
    umbel_out_reset(&wxapp->out);
    if (mine->mini)
        wxapp_mini_error(wxapp, error, what, &wxapp->out);
    else
        wxapp_h5_error(NULL, mine->again ? WXAPP_H5_NO_PLACE : 0, error, what, &wxapp->out); /* who comes again keeps the place he has */
    wxapp_start(wxapp, request, &start);
    start.headers = wxapp_headers(wxapp, request, mine->mini, NULL);
    umbel_http_begin(request, &start);
    umbel_http_say(request, &wxapp->out);
    umbel_http_end(request);
}

static void answer_status(struct wxapp *wxapp, struct umbel_http_request *request, uint32_t status, const char *text)
{
    umbel_out_reset(&wxapp->out);
    umbel_out_text(&wxapp->out, "{\"code\":0,\"msg\":");
    umbel_out_json(&wxapp->out, text, strlen(text));
    umbel_out_text(&wxapp->out, "}");
    umbel_out_reset(&wxapp->headers);
    umbel_http_answer(request, status, "Content-Type: application/json\r\nAccess-Control-Allow-Origin: *\r\n", wxapp->out.data,
                      wxapp->out.size);
}

/* What is wrong with the form of the request.  A mini-program takes any status for success, so it is told in a frame. */
static void on_failed(void *self, struct umbel_http_request *request, uint32_t status, const char *text)
{
    struct wxapp_request *mine = umbel_http_data(request);

    mine->mini = wxapp_is_mini(request);
    if (mine->mini)
        refuse(self, request, status == 503 ? UMBEL_ERROR_BUSY : UMBEL_ERROR_BAD_REQUEST, text);
    else
        answer_status(self, request, status, text);
}

static bool is_ours(const struct wxapp *wxapp, const char *path)
{
    size_t size = strlen(wxapp->path);

    if (strncmp(path, wxapp->path, size))
        return false;
    /* the openai package appends its own path to the base URL */
    return !path[size] || !strcmp(path + size, "/") || !strcmp(path + size, "/chat/completions");
}

static uint32_t add_key(struct umbel_credential *list, uint32_t count, const char *value)
{
    if (!value || !*value)
        return count;
    list[count] = (struct umbel_credential){.kind = UMBEL_CREDENTIAL_KEY, .value = value, .size = strlen(value)};
    return count + 1;
}

static void on_request(void *self, struct umbel_http_request *request)
{
    struct wxapp *wxapp = self;
    const char *wrong, *bearer = umbel_http_header(request, "authorization");
    struct umbel_credential list[3];

    if (!is_ours(wxapp, umbel_http_path(request))) {
        on_failed(self, request, 404, "there is nothing at this path");
        return;
    }
    if (!strcmp(umbel_http_method(request), "OPTIONS")) {
        umbel_http_answer(request, 204, wxapp_preflight_headers(wxapp, request), NULL, 0);
        return;
    }
    wrong = wxapp_read(request);
    if (wrong) {
        refuse(wxapp, request, UMBEL_ERROR_BAD_REQUEST, wrong);
        return;
    }
    if (((const struct wxapp_request *)umbel_http_data(request))->over) {
        stop_coming(wxapp, request, NULL); /* whose answer it was does not matter: nothing of it is said */
        return;
    }
    uint32_t count = add_key(list, 0, wxapp_field(request, "token"));
    if (bearer && !strncasecmp(bearer, "Bearer ", 7))
        count = add_key(list, count, bearer + 7 + strspn(bearer + 7, " "));
    count = add_key(list, count, umbel_http_header(request, "token"));
    umbel_http_authorize(request, list, count);
}

static void on_authorized(void *self, struct umbel_http_request *request, uint32_t error, const char *text)
{
    struct wxapp_request *mine = umbel_http_data(request);
    const char *what = text;

    if (!error)
        error = wxapp_act(self, request, &what);
    if (error)
        refuse(self, request, error, what);
    umbel_json_free(mine->body);
    mine->body = NULL;
}

static int on_began(void *self, struct umbel_http_request *request, const struct umbel_stream *stream,
                    struct umbel_http_start *ret_start)
{
    const struct wxapp_request *mine = umbel_http_data(request);

    wxapp_start(self, request, ret_start);
    if (!umbel_http_is_begun(request))
        ret_start->headers = wxapp_headers(self, request, mine->mini, stream);
    if (mine->again)
        ret_start->hold_ms = 50; /* an answer that is over and has nothing new is a 204, see on_unsaid */
    return 0;
}

static void on_refused(void *self, struct umbel_http_request *request, uint32_t error, const char *text)
{
    refuse(self, request, error, text);
}

static int on_encode(void *self, uint32_t variant, void *data, const struct umbel_stream *stream, const struct umbel_event *event,
                     struct umbel_out *out)
{
    (void)self;
    (void)data;
    if (variant != WXAPP_MINI)
        wxapp_h5_event(stream, event, out);
    else if (event->kind == UMBEL_EVENT_TEXT)
        wxapp_mini_text(event->data, event->size, out);
    return 0;
}

static int on_encode_end(void *self, uint32_t variant, void *data, const struct umbel_stream *stream,
                         const struct umbel_http_ending *ending, struct umbel_out *out)
{
    (void)data;
    if (variant == WXAPP_MINI)
        wxapp_mini_end(self, ending, out);
    else
        wxapp_h5_end(stream, ending, variant == WXAPP_H5_USAGE, out);
    return 0;
}

static int on_unsaid(void *self, struct umbel_http_request *request, const struct umbel_stream *stream,
                     const struct umbel_http_ending *ending)
{
    const struct wxapp_request *mine = umbel_http_data(request);

    if (!mine->again || ending->verdict == UMBEL_VERDICT_FAILED || ending->verdict == UMBEL_VERDICT_TRUNCATED)
        return 0; /* an error is something to say, to who does not name it as what it has */
    stop_coming(self, request, stream);
    return 1;
}

static void on_deadline(void *self, struct umbel_http_request *request, const struct umbel_stream *stream, uint64_t position,
                        struct umbel_out *out)
{
    const struct wxapp_request *mine = umbel_http_data(request);

    if (mine->mini && !stream && umbel_http_is_leaving(request))
        wxapp_mini_renewed(self, out);
    else if (mine->mini)
        wxapp_mini_deadline(self, stream, position, out);
}

static void on_closed(void *self, struct umbel_http_request *request)
{
    (void)self;
    umbel_json_free(((struct wxapp_request *)umbel_http_data(request))->body);
}

static const struct umbel_http_codec codec = {.struct_size = sizeof codec,
                                              .request_size = sizeof(struct wxapp_request),
                                              .max_line = 16u << 10,
                                              .max_headers = 16u << 10,
                                              .max_body = 1u << 20,
                                              .methods = "GET, POST, OPTIONS",
                                              .request = on_request,
                                              .failed = on_failed,
                                              .authorized = on_authorized,
                                              .began = on_began,
                                              .refused = on_refused,
                                              .encode = on_encode,
                                              .encode_end = on_encode_end,
                                              .unsaid = on_unsaid,
                                              .deadline = on_deadline,
                                              .closed = on_closed};

static int setup(struct wxapp *wxapp, const struct umbel_host *host, const struct umbel_config *config)
{
    wxapp->host = host;
    wxapp->config = config;
    wxapp->path = host->config_text(config, "path");
    wxapp->gap_ms = (uint32_t)host->config_integer(config, "gap_ms");
    wxapp->end_gap_ms = (uint32_t)host->config_integer(config, "end_gap_ms");
    wxapp->keepalive_ms = (uint32_t)host->config_integer(config, "keepalive_ms");
    wxapp->max_stream_ms = (uint32_t)host->config_integer(config, "max_stream_ms");
    wxapp->plain = !strcmp(host->config_text(config, "content_type"), "plain");
    wxapp->error_after_text = !strcmp(host->config_text(config, "error_after_text"), "frame");
    wxapp->second_terminal = host->config_integer(config, "second_terminal") != 0;
    return 0;
}

static void cleanup(struct wxapp *wxapp)
{
    umbel_out_free(&wxapp->out);
    umbel_out_free(&wxapp->headers);
}

static const struct umbel_option options[] = {
    {.type = UMBEL_OPTION_TEXT, .name = "path", .otherwise = "/chat/stream", .help = "where clients ask"},
    {.type = UMBEL_OPTION_INTEGER,
     .name = "max_stream_ms",
     .otherwise = "55000",
     .min = 0,
     .max = 86400000,
     .help = "a mini-program's answer ends with a note after so many ms, because phones cut at 60 s; 0 = never"},
    {.type = UMBEL_OPTION_TEXT,
     .name = "max_stream_note",
     .otherwise = "[to be continued]",
     .help = "that note, on a line of its own; \"\" = none"},
    {.type = UMBEL_OPTION_INTEGER,
     .name = "gap_ms",
     .otherwise = "150",
     .min = 0,
     .max = 10000,
     .help = "quiet ms before a mini-program's terminal or error frame"},
    {.type = UMBEL_OPTION_INTEGER,
     .name = "end_gap_ms",
     .otherwise = "50",
     .min = 0,
     .max = 10000,
     .help = "quiet ms between that frame and the end of the HTTP body"},
    {.type = UMBEL_OPTION_INTEGER,
     .name = "keepalive_ms",
     .otherwise = "5000",
     .min = 100,
     .max = 3600000,
     .help = "an empty frame (H5: a comment) after so many silent ms"},
    {.type = UMBEL_OPTION_TEXT,
     .name = "content_type",
     .otherwise = "html",
     .choices = "html|plain",
     .help = "of mini-program answers: text/html, or text/plain with nosniff"},
    {.type = UMBEL_OPTION_TEXT,
     .name = "error_after_text",
     .otherwise = "note",
     .choices = "note|frame",
     .help = "a mini-program's failure after text: a note and the terminal, or an error frame, which destroys the text"},
    {.type = UMBEL_OPTION_BOOL,
     .name = "second_terminal",
     .otherwise = "false",
     .help = "send a mini-program's terminal again after another gap"},
    {.type = UMBEL_OPTION_LIST,
     .name = "origins",
     .help = "web pages (\"https://shop.example\") that may read answers; none listed = all"}};

UMBEL_HTTP_TRANSPORT_WITH(struct wxapp, codec, setup, cleanup, .name = "http-chunked-wxapp", .version = UMBEL_VERSION,
                          .summary = "WeChat mini-programs over chunked HTTP, web pages over server-sent events", UMBEL_OPTIONS(options));
