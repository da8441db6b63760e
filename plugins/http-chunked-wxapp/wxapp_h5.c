/* http-chunked-wxapp/wxapp_h5.c - the same answers for web pages: server-sent events in the shape of OpenAI's chunks.
 *
 * Each event has an id that names the answer and the place after it ("<id>:<bytes>"), because an EventSource that comes back
 * sends nothing else: with the number alone nobody could tell whose bytes they are.  The last one, [DONE] or the error, says so too
 * ("<id>:<bytes>:end"), because the place alone cannot: reasoning, tool calls and an error have no bytes of text. */
#include "wxapp.h"

#include <stdio.h>
#include <string.h>

int wxapp_code(uint32_t error)
{
    switch (error) {
    case UMBEL_ERROR_AUTH:
        return -1; /* to the login page */
    case UMBEL_ERROR_QUOTA:
        return 101; /* to the recharge page */
    case UMBEL_ERROR_RATE:
    case UMBEL_ERROR_BUSY:
        return 102;
    default:
        return 0;
    }
}

const char *wxapp_words(uint32_t error, const char *what, char *room, size_t size)
{
    switch (error) {
    case UMBEL_ERROR_AUTH:
        return *what ? what : "Incorrect API key provided.";
    case UMBEL_ERROR_QUOTA:
        return *what ? what : "You exceeded your current quota.";
    case UMBEL_ERROR_RATE:
        return *what ? what : "Too many requests, try again later.";
    case UMBEL_ERROR_BUSY:
        return "Too many requests, try again later.";
    case UMBEL_ERROR_BAD_REQUEST:
        snprintf(room, size, "Invalid request: %s.", *what ? what : "it is malformed");
        return room;
    case UMBEL_ERROR_NOT_FOUND:
        return "There is no such answer.";
    case UMBEL_ERROR_POSITION:
        return "The answer cannot be resumed from there.";
    default:
        return "The model service failed, try again later.";
    }
}

const char *wxapp_ending_text(const struct umbel_http_ending *ending)
{
    return ending->error == UMBEL_ERROR_BAD_REQUEST ? ending->error_text : "";
}

/* ...up to where the choices stand. */
static size_t begin_chunk(const struct umbel_stream *stream, uint64_t position, struct umbel_out *out)
{
    size_t begin = umbel_http_frame_begin(out);

    umbel_out_text(out, "id: ");
    umbel_out_text(out, stream->id);
    umbel_out_text(out, ":");
    umbel_out_u64(out, position);
    umbel_out_text(out, "\ndata: {\"id\":\"");
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

void wxapp_h5_event(const struct umbel_stream *stream, const struct umbel_event *event, struct umbel_out *out)
{
    uint64_t position = event->position + (event->kind == UMBEL_EVENT_TEXT ? event->size : 0);

    if (event->kind == UMBEL_EVENT_OPEN ? event->position != 0 : event->size == 0)
        return;
    size_t begin = begin_chunk(stream, position, out);
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
    umbel_out_text(out, "},\"finish_reason\":null}]");
    end_chunk(begin, out);
}

void wxapp_h5_error(const struct umbel_stream *stream, uint64_t position, uint32_t error, const char *what, struct umbel_out *out)
{
    char room[320];
    const char *words = wxapp_words(error, what, room, sizeof room);
    size_t begin = umbel_http_frame_begin(out);

    /* The id makes an EventSource come back with Last-Event-ID, and then 204 stops it; without one it would ask again, and pay. */
    if (position != WXAPP_H5_NO_PLACE)
        umbel_out_printf(out, "id: %s:%llu" WXAPP_H5_OVER "\n", stream ? stream->id : "none", (unsigned long long)position);
    umbel_out_printf(out, "event: error\ndata: {\"code\":%d,\"msg\":", wxapp_code(error));
    umbel_out_json(out, words, strlen(words));
    end_chunk(begin, out);
}

static const char *finish_word(const struct umbel_http_ending *ending)
{
    switch (ending->verdict == UMBEL_VERDICT_CANCELLED ? UMBEL_FINISH_STOP : ending->finish) {
    case UMBEL_FINISH_LENGTH:
        return "length";
    case UMBEL_FINISH_FILTER:
        return "content_filter";
    case UMBEL_FINISH_TOOL:
        return "tool_calls";
    case UMBEL_FINISH_OTHER:
        return *ending->finish_word ? ending->finish_word : "stop";
    default:
        return "stop";
    }
}

void wxapp_h5_end(const struct umbel_stream *stream, const struct umbel_http_ending *ending, bool usage, struct umbel_out *out)
{
    size_t begin;

    if (ending->verdict == UMBEL_VERDICT_FAILED || ending->verdict == UMBEL_VERDICT_TRUNCATED) {
        wxapp_h5_error(stream, ending->position, ending->error ? ending->error : UMBEL_ERROR_UPSTREAM, wxapp_ending_text(ending), out);
        return;
    }
    begin = begin_chunk(stream, ending->position, out);
    umbel_out_text(out, "{\"index\":0,\"delta\":{},\"finish_reason\":");
    umbel_out_json(out, finish_word(ending), strlen(finish_word(ending)));
    umbel_out_text(out, "}]");
    end_chunk(begin, out);
    if (usage && ending->usage) {
        begin = begin_chunk(stream, ending->position, out);
        umbel_out_printf(out, "],\"usage\":{\"prompt_tokens\":%llu,\"completion_tokens\":%llu,\"total_tokens\":%llu}",
                         (unsigned long long)ending->prompt_tokens, (unsigned long long)ending->completion_tokens,
                         (unsigned long long)(ending->prompt_tokens + ending->completion_tokens));
        end_chunk(begin, out);
    }
    begin = umbel_http_frame_begin(out);
    umbel_out_printf(out, "id: %s:%llu" WXAPP_H5_OVER "\ndata: [DONE]\n\n", stream->id, (unsigned long long)ending->position);
    umbel_http_frame_end(out, begin);
}
