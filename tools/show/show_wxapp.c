/* show/show_wxapp.c - the mini-program's frames over chunked HTTP, and the request that it shares with H5. */
#include <string.h>

#include <umbel/json.h>

#include "tools/show/show_protocol.h"

/* The question goes as a POST, so that its length has no limit but the server's; a watch is a GET. */
static void stream_request(const struct show_ask *ask, bool watch, bool wxapp, struct show_request *ret_request)
{
    umbel_out_text(&ret_request->target, ask->path ? ask->path : "/chat/stream");
    if (watch) {
        ret_request->method = "GET";
        umbel_out_printf(&ret_request->target, "?is_wxapp=%d&watch=1&session=", wxapp);
        show_url_put(&ret_request->target, ask->session);
        umbel_out_text(&ret_request->target, "&token=");
        show_url_put(&ret_request->target, ask->key);
        return;
    }
    ret_request->method = "POST";
    umbel_out_text(&ret_request->headers, "Content-Type: application/json\r\n");
    umbel_out_printf(&ret_request->body, "{\"is_wxapp\":%d,\"prompt\":", wxapp);
    umbel_out_json(&ret_request->body, ask->question, strlen(ask->question));
    umbel_out_text(&ret_request->body, ",\"session\":");
    umbel_out_json(&ret_request->body, ask->session, strlen(ask->session));
    umbel_out_text(&ret_request->body, ",\"token\":");
    umbel_out_json(&ret_request->body, ask->key, strlen(ask->key));
    umbel_out_text(&ret_request->body, "}");
}

static void wxapp_request(const struct show_ask *ask, bool watch, struct show_request *ret_request)
{
    stream_request(ask, watch, true, ret_request);
}

static void h5_request(const struct show_ask *ask, bool watch, struct show_request *ret_request)
{
    stream_request(ask, watch, false, ret_request);
}

static void take_json(struct show_decoder *decoder, const char *json, size_t size, bool error)
{
    char why[160];
    struct umbel_json *object = umbel_json_parse(json, size, why, sizeof why);
    size_t text_size = 0;
    const char *text = umbel_json_text(umbel_json_member(object, "content"), &text_size);

    if (!object)
        show_answer_break(&decoder->answer, "a frame is not JSON: %s", why);
    else if (error)
        show_answer_break(&decoder->answer, "the server says: code %lld, %.120s", (long long)umbel_json_member_integer(object, "code", -1),
                          umbel_json_member_text(object, "msg", "no words"));
    else if (!text)
        show_answer_break(&decoder->answer, "a data frame has no content");
    else
        show_answer_text(&decoder->answer, text, text_size);
    umbel_json_free(object);
}

/* One frame if there is a whole one: its length, or 0. */
static size_t take_frame(struct show_decoder *decoder, const char *at, size_t size)
{
    static const char data[] = "success: ", error[] = "event: error\ndata: ", end[] = "0\r\n\r\n";
    const char *cr = memchr(at, '\r', size);
    size_t length;

    if (size < sizeof end - 1 || at[0] == '0') {
        if (size < sizeof end - 1 && memcmp(at, end, size) == 0)
            return 0;
        if (size >= sizeof end - 1 && memcmp(at, end, sizeof end - 1) == 0) {
            decoder->answer.frames++;
            show_answer_whole(&decoder->answer);
            return sizeof end - 1;
        }
    }
    if (!cr || cr + 1 == at + size)
        return 0;
    length = (size_t)(cr - at);
    decoder->answer.frames++;
    if (cr[1] != '\n')
        show_answer_break(&decoder->answer, "a frame ends with CR alone");
    else if (length > sizeof data - 1 && memcmp(at, data, sizeof data - 1) == 0)
        take_json(decoder, at + sizeof data - 1, length - (sizeof data - 1), false);
    else if (length > sizeof error - 1 && memcmp(at, error, sizeof error - 1) == 0)
        take_json(decoder, at + sizeof error - 1, length - (sizeof error - 1), true);
    else
        show_answer_break(&decoder->answer, "a frame of no known kind");
    return length + 2;
}

static void wxapp_take(struct show_decoder *decoder, const char *data, size_t size)
{
    struct umbel_out *pending = &decoder->pending;
    size_t at = 0, taken;

    pending->limit = SHOW_LINE_MAX;
    umbel_out_put(pending, data, size);
    if (pending->failed) {
        show_answer_break(&decoder->answer, "a frame without end");
        return;
    }
    while (at < pending->size && (taken = take_frame(decoder, pending->data + at, pending->size - at)) > 0)
        at += taken;
    memmove(pending->data, pending->data + at, pending->size - at);
    pending->size -= at;
}

/* ---- H5: an event stream of chunks in OpenAI's shape; errors are events of their own ---- */

static void h5_event(void *owner, const char *name, const char *data, size_t size)
{
    struct show_decoder *decoder = owner;

    if (strcmp(name, "error") == 0) {
        decoder->answer.frames++;
        take_json(decoder, data, size, true);
    } else if (strcmp(name, "message") == 0) {
        show_chunk_take(decoder, data, size);
    }
}

static void h5_take(struct show_decoder *decoder, const char *data, size_t size)
{
    if (show_sse_feed(&decoder->sse, data, size, h5_event, decoder) < 0)
        show_answer_break(&decoder->answer, "an event without end");
}

const struct show_protocol show_wxapp = {.name = "wx", .title = "mini-program", .request = wxapp_request, .take = wxapp_take};
const struct show_protocol show_h5 = {.name = "h5", .title = "web page (SSE)", .request = h5_request, .take = h5_take};
