/* openai-api/openai_api.c - the OpenAI API for umbel's clients, with sessions that several clients share. */
#include "openai.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <umbel/json.h>

static void refuse(struct openai *openai, struct umbel_http_request *request, uint32_t status, uint32_t error, const char *what,
                   const struct umbel_stream *stream)
{
    struct umbel_out *out = &openai->out;

    umbel_out_reset(out);
    if (umbel_http_is_begun(request)) { /* a watch whose head is out */
        size_t begin = umbel_http_frame_begin(out);
        umbel_out_text(out, "data: ");
        openai_error(error, what, out);
        umbel_out_text(out, "\n\n");
        umbel_http_frame_end(out, begin);
        umbel_http_say(request, out);
        umbel_http_end(request);
        return;
    }
    openai_error(error, what, out);
    umbel_http_answer(request, status ? status : openai_status(error), openai_headers(openai, "application/json", stream),
                      out->data, out->size);
}

static void on_failed(void *self, struct umbel_http_request *request, uint32_t status, const char *text)
{
    refuse(self, request, status, status == 503 ? UMBEL_ERROR_BUSY : UMBEL_ERROR_BAD_REQUEST, text, NULL);
}

static void on_request(void *self, struct umbel_http_request *request)
{
    const char *what, *bearer = umbel_http_header(request, "authorization");
    struct umbel_credential key = {.kind = UMBEL_CREDENTIAL_KEY};
    uint32_t status, error;

    if (!strcmp(umbel_http_method(request), "OPTIONS")) {
        umbel_http_answer(request, 204,
                          "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Methods: GET, POST, DELETE, OPTIONS\r\n"
                          "Access-Control-Allow-Headers: *, Authorization\r\nAccess-Control-Max-Age: 86400\r\n",
                          NULL, 0);
        return;
    }
    error = openai_read(request, &what, &status);
    if (error) {
        refuse(self, request, status, error, what, NULL);
        return;
    }
    if (bearer && !strncasecmp(bearer, "Bearer ", 7)) {
        key.value = bearer + 7 + strspn(bearer + 7, " ");
        key.size = strlen(key.value);
    }
    umbel_http_authorize(request, &key, key.value && *key.value);
}

static void on_authorized(void *self, struct umbel_http_request *request, uint32_t error, const char *text)
{
    struct openai_request *mine = umbel_http_data(request);
    const char *what = text;

    if (!error)
        error = openai_act(self, request, &what);
    if (error)
        refuse(self, request, 0, error, what, NULL);
    umbel_json_free(mine->body);
    mine->body = NULL;
}

static int on_began(void *self, struct umbel_http_request *request, const struct umbel_stream *stream,
                    struct umbel_http_start *ret_start)
{
    const struct openai_request *mine = umbel_http_data(request);
    bool whole = mine->errand == OPENAI_WHOLE || mine->errand == OPENAI_STOP;

    *ret_start = (struct umbel_http_start){.struct_size = sizeof *ret_start,
                                           .variant = whole         ? UMBEL_VARIANT_PRIVATE
                                                      : mine->usage ? OPENAI_STREAM_USAGE
                                                                    : OPENAI_STREAM,
                                           .hold_ms = UINT32_MAX, /* what fails before its first word fails with a status */
                                           .keepalive_ms = 5000,
                                           .keepalive = OPENAI_KEEPALIVE,
                                           .keepalive_size = sizeof OPENAI_KEEPALIVE - 1};
    if (mine->errand == OPENAI_RESUME || mine->errand == OPENAI_WATCH)
        ret_start->hold_ms = 50; /* these are told that they are heard */
    if (!umbel_http_is_begun(request))
        ret_start->headers = openai_headers(self, "text/event-stream; charset=utf-8", stream);
    if (mine->errand == OPENAI_STOP)
        umbel_http_stop(request);
    return 0;
}

static void on_refused(void *self, struct umbel_http_request *request, uint32_t error, const char *text)
{
    refuse(self, request, 0, error, text, NULL);
}

static int on_encode(void *self, uint32_t variant, void *data, const struct umbel_stream *stream, const struct umbel_event *event,
                     struct umbel_out *out)
{
    struct openai_request *mine = data;

    (void)self;
    if (variant != UMBEL_VARIANT_PRIVATE)
        openai_chunk(stream, event, out);
    else if (mine->errand == OPENAI_WHOLE)
        openai_whole_take(&mine->whole, event);
    return 0;
}

static int on_encode_end(void *self, uint32_t variant, void *data, const struct umbel_stream *stream,
                         const struct umbel_http_ending *ending, struct umbel_out *out)
{
    (void)self;
    (void)data;
    if (variant != UMBEL_VARIANT_PRIVATE)
        openai_end(stream, ending, variant == OPENAI_STREAM_USAGE, out);
    return 0;
}

static void answer_stop(struct openai *openai, struct umbel_http_request *request, const struct umbel_stream *stream,
                        const struct umbel_http_ending *ending)
{
    static const char *const words[] = {[UMBEL_VERDICT_COMPLETE] = "complete",
                                        [UMBEL_VERDICT_TRUNCATED] = "failed",
                                        [UMBEL_VERDICT_FAILED] = "failed",
                                        [UMBEL_VERDICT_CANCELLED] = "cancelled"};

    umbel_out_reset(&openai->out);
    umbel_out_printf(&openai->out, "{\"id\":\"%s\",\"object\":\"chat.completion.stopped\",\"stopped\":true,\"status\":\"%s\"}",
                     stream->id, ending->verdict < sizeof words / sizeof *words ? words[ending->verdict] : "failed");
    umbel_http_answer(request, 200, openai_headers(openai, "application/json", stream), openai->out.data, openai->out.size);
}

/* The answer is over and nothing of it has been sent: a whole one, a stopped one, or one that failed before its first word. */
static int on_unsaid(void *self, struct umbel_http_request *request, const struct umbel_stream *stream,
                     const struct umbel_http_ending *ending)
{
    struct openai *openai = self;
    struct openai_request *mine = umbel_http_data(request);

    if (mine->errand == OPENAI_STOP) {
        answer_stop(openai, request, stream, ending);
    } else if (openai_is_failed(ending)) {
        refuse(openai, request, 0, ending->error ? ending->error : UMBEL_ERROR_UPSTREAM, ending->error_text, stream);
    } else if (mine->errand == OPENAI_WHOLE && mine->whole.failed) {
        refuse(openai, request, 0, UMBEL_ERROR_INTERNAL, "The answer is too long to be sent whole: stream it.", stream);
    } else if (mine->errand == OPENAI_WHOLE) {
        umbel_out_reset(&openai->out);
        openai_whole_put(&mine->whole, stream, ending, &openai->out);
        if (openai->out.failed)
            refuse(openai, request, 0, UMBEL_ERROR_INTERNAL, "", stream);
        else
            umbel_http_answer(request, 200, openai_headers(openai, "application/json", stream), openai->out.data,
                              openai->out.size);
        umbel_out_free(&openai->out); /* it may have been large */
    } else {
        return 0;
    }
    return 1;
}

static void on_closed(void *self, struct umbel_http_request *request)
{
    struct openai_request *mine = umbel_http_data(request);

    (void)self;
    umbel_json_free(mine->body);
    free(mine->name);
    openai_whole_free(&mine->whole);
}

static const struct umbel_http_codec codec = {.struct_size = sizeof codec,
                                              .request_size = sizeof(struct openai_request),
                                              .max_line = 16u << 10,
                                              .max_headers = 16u << 10,
                                              .max_body = 1u << 20,
                                              .methods = "GET, POST, DELETE, OPTIONS",
                                              .request = on_request,
                                              .failed = on_failed,
                                              .authorized = on_authorized,
                                              .began = on_began,
                                              .refused = on_refused,
                                              .encode = on_encode,
                                              .encode_end = on_encode_end,
                                              .unsaid = on_unsaid,
                                              .closed = on_closed};

static int setup(struct openai *openai, const struct umbel_host *host, const struct umbel_config *config)
{
    openai->host = host;
    openai->config = config;
    return 0;
}

static void cleanup(struct openai *openai)
{
    umbel_out_free(&openai->out);
    umbel_out_free(&openai->parameters);
    umbel_out_free(&openai->headers);
}

static const struct umbel_option options[] = {
    {.type = UMBEL_OPTION_LIST, .name = "models", .help = "what GET /v1/models lists: the models clients may name"}};

UMBEL_HTTP_TRANSPORT_WITH(struct openai, codec, setup, cleanup, .name = "openai-api", .version = UMBEL_VERSION,
                          .summary = "the OpenAI API, with shared sessions and resumable streams", UMBEL_OPTIONS(options));
