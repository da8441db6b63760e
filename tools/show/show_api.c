/* show/show_api.c - openai-api: POST /v1/chat/completions; a watch is GET /v1/sessions/S/stream. */
#include <string.h>

#include "tools/show/show_protocol.h"

static void api_request(const struct show_ask *ask, bool watch, struct show_request *ret_request)
{
    struct umbel_out *body = &ret_request->body;

    umbel_out_printf(&ret_request->headers, "Authorization: Bearer %s\r\nAccept: text/event-stream\r\n", ask->key);
    if (watch) {
        ret_request->method = "GET";
        umbel_out_text(&ret_request->target, "/v1/sessions/");
        show_url_put(&ret_request->target, ask->session);
        umbel_out_text(&ret_request->target, "/stream");
        return;
    }
    ret_request->method = "POST";
    umbel_out_text(&ret_request->target, "/v1/chat/completions");
    umbel_out_text(&ret_request->headers, "Content-Type: application/json\r\n");
    umbel_out_text(body, "{\"model\":");
    umbel_out_json(body, ask->model, strlen(ask->model));
    umbel_out_text(body, ",\"stream\":true,\"session\":");
    umbel_out_json(body, ask->session, strlen(ask->session));
    umbel_out_text(body, ",\"messages\":[{\"role\":\"user\",\"content\":");
    umbel_out_json(body, ask->question, strlen(ask->question));
    umbel_out_text(body, "}]}");
}

static void api_event(void *owner, const char *name, const char *data, size_t size)
{
    (void)name;
    show_chunk_take(owner, data, size);
}

static void api_take(struct show_decoder *decoder, const char *data, size_t size)
{
    if (show_sse_feed(&decoder->sse, data, size, api_event, decoder) < 0)
        show_answer_break(&decoder->answer, "an event without end");
}

const struct show_protocol show_api = {.name = "api", .title = "openai-api", .request = api_request, .take = api_take};
