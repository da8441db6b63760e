/* openai-api/openai_shape.c - chunks, ends and errors as OpenAI's API has them. */
#include "openai.h"

#include <string.h>

static const struct {
    uint32_t error, status;
    const char *type, *code, *words;
} errors[] = {
    {UMBEL_ERROR_AUTH, 401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided."},
    {UMBEL_ERROR_QUOTA, 429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota."},
    {UMBEL_ERROR_RATE, 429, "requests", "rate_limit_exceeded", "Too many requests, try again later."},
    {UMBEL_ERROR_BUSY, 503, "server_error", "overloaded", "The service is overloaded, try again later."},
    {UMBEL_ERROR_BAD_REQUEST, 400, "invalid_request_error", NULL, "The request is malformed."},
    {UMBEL_ERROR_UPSTREAM, 502, "server_error", "upstream_error", "The model service failed, try again later."},
    {UMBEL_ERROR_TIMEOUT, 504, "server_error", "upstream_timeout", "The model service was silent for too long, try again later."},
    {UMBEL_ERROR_NOT_FOUND, 404, "invalid_request_error", "not_found", "There is no such thing, or it is not yours."},
    {UMBEL_ERROR_POSITION, 400, "invalid_request_error", "invalid_position", "The answer cannot be resumed from there."},
    {UMBEL_ERROR_INTERNAL, 500, "server_error", NULL, "The service failed, try again later."},
};

static size_t find(uint32_t error)
{
    size_t i = 0;

    while (i < sizeof errors / sizeof *errors - 1 && errors[i].error != error)
        i++;
    return i; /* the last one stands for all unknown */
}

uint32_t openai_status(uint32_t error)
{
    return errors[find(error)].status;
}

void openai_error(uint32_t error, const char *what, struct umbel_out *out)
{
    size_t i = find(error);
    bool fixed = error == UMBEL_ERROR_NOT_FOUND; /* of what is whose there is only one thing to say */
    const char *words = *what && !fixed ? what : errors[i].words;

    umbel_out_text(out, "{\"error\":{\"message\":");
    umbel_out_json(out, words, strlen(words));
    umbel_out_printf(out, ",\"type\":\"%s\",\"param\":null,\"code\":", errors[i].type);
    if (errors[i].code)
        umbel_out_json(out, errors[i].code, strlen(errors[i].code));
    else
        umbel_out_text(out, "null");
    umbel_out_text(out, "}}");
}

bool openai_is_failed(const struct umbel_http_ending *ending)
{
    return ending->verdict == UMBEL_VERDICT_FAILED || ending->verdict == UMBEL_VERDICT_TRUNCATED;
}

static size_t begin_chunk(const struct umbel_stream *stream, struct umbel_out *out)
{
    size_t begin = umbel_http_frame_begin(out);

    umbel_out_text(out, "data: {\"id\":\"");
    umbel_out_text(out, stream->id);
    umbel_out_text(out, "\",\"object\":\"chat.completion.chunk\",\"created\":");
    umbel_out_u64(out, stream->created);
    umbel_out_text(out, ",\"model\":");
    umbel_out_json(out, stream->model, strlen(stream->model));
    umbel_out_text(out, ",\"choices\":[");
    return begin;
}

static void end_chunk(size_t begin, struct umbel_out *out)
{
    umbel_out_text(out, "}\n\n");
    umbel_http_frame_end(out, begin);
}

void openai_chunk(const struct umbel_stream *stream, const struct umbel_event *event, struct umbel_out *out)
{
    if (event->kind == UMBEL_EVENT_OPEN ? event->position != 0 : event->size == 0)
        return;
    size_t begin = begin_chunk(stream, out);
    umbel_out_text(out, "{\"index\":0,\"delta\":{");
    switch (event->kind) {
    case UMBEL_EVENT_OPEN:
        umbel_out_text(out, "\"role\":\"assistant\",\"content\":\"\"");
        break;
    case UMBEL_EVENT_REASONING:
        umbel_out_text(out, "\"reasoning_content\":");
        umbel_out_json(out, event->data, event->size);
        break;
    case UMBEL_EVENT_TOOL:
        umbel_out_text(out, "\"tool_calls\":[");
        umbel_out_put(out, event->data, event->size);
        umbel_out_text(out, "]");
        break;
    default:
        umbel_out_text(out, "\"content\":");
        umbel_out_json(out, event->data, event->size);
    }
    umbel_out_text(out, "},\"logprobs\":null,\"finish_reason\":null}]");
    end_chunk(begin, out);
}

void openai_end(const struct umbel_stream *stream, const struct umbel_http_ending *ending, bool usage, struct umbel_out *out)
{
    size_t begin;

    if (openai_is_failed(ending)) { /* no reason and no [DONE]: a client's library throws */
        begin = umbel_http_frame_begin(out);
        umbel_out_text(out, "data: ");
        openai_error(ending->error ? ending->error : UMBEL_ERROR_UPSTREAM, ending->error_text, out);
        umbel_out_text(out, "\n\n");
        umbel_http_frame_end(out, begin);
        return;
    }
    const char *word = openai_finish_word(ending);
    begin = begin_chunk(stream, out);
    umbel_out_text(out, "{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":");
    umbel_out_json(out, word, strlen(word));
    umbel_out_text(out, "}]");
    end_chunk(begin, out);
    if (usage && ending->usage) {
        begin = begin_chunk(stream, out);
        umbel_out_text(out, "],\"usage\":");
        openai_usage(ending, out);
        end_chunk(begin, out);
    }
    begin = umbel_http_frame_begin(out);
    umbel_out_text(out, "data: [DONE]\n\n");
    umbel_http_frame_end(out, begin);
}
