#include "chatgpt_frames.h"

#include <string.h>

#include <umbel/ws.h>

#include "chatgpt_request.h"
#include "chatgpt_segment.h"

/* The end of every frame.  id: NULL, or the stream of which it is told. */
static void put_tail(const char *id, size_t begin, struct umbel_out *out)
{
    if (id)
        umbel_out_printf(out, ", \"id\": \"%s\"", id);
    umbel_out_text(out, "}}");
    umbel_ws_frame_end(out, begin);
}

void chatgpt_frame(const struct chatgpt_task *task, uint64_t now_ns, const char *finish, const char *text, size_t size, const char *id,
                   struct umbel_out *out)
{
    uint64_t hundredths = (now_ns - task->begun_ns + 5000000u) / 10000000u;
    size_t begin = umbel_ws_frame_begin(out);

    umbel_out_printf(out,
                     "{\"code\": 0, \"msg\": \"ok\", \"seq\": %s, \"data\": {\"consume_time\": \"%llu.%02u\", \"finish_reason\": %s, "
                     "\"contents\": ",
                     task->seq, (unsigned long long)(hundredths / 100), (unsigned)(hundredths % 100), finish);
    umbel_out_json(out, text, size);
    put_tail(id, begin, out);
}

void chatgpt_error(int code, const char *message, const char *seq, const char *id, struct umbel_out *out)
{
    size_t begin = umbel_ws_frame_begin(out);

    umbel_out_printf(out, "{\"code\": %d, \"msg\": ", code);
    umbel_out_json(out, message, strlen(message));
    umbel_out_printf(out, ", \"seq\": %s, \"data\": {\"consume_time\": \"0.00\", \"finish_reason\": \"stop\", \"contents\": \"\"", seq);
    put_tail(id, begin, out);
}

const char *chatgpt_words(uint32_t error, const char *what)
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
    case UMBEL_ERROR_NOT_FOUND:
        return "no such answer";
    case UMBEL_ERROR_POSITION:
    case UMBEL_ERROR_BAD_REQUEST:
        return *what ? what : "bad request";
    default:
        return "The model service failed, try again later.";
    }
}

/* What waits in sentence mode goes out before an error: the text is never lost. */
static void flush(struct chatgpt_task *task, uint64_t now_ns, const char *id, struct umbel_out *out)
{
    if (task->text.size)
        chatgpt_frame(task, now_ns, "null", task->text.data, task->text.size, id, out);
    umbel_out_reset(&task->text);
}

static void put_text(struct chatgpt_task *task, uint64_t now_ns, const char *id, const struct umbel_event *event, struct umbel_out *out)
{
    if (!task->sentences) {
        chatgpt_frame(task, now_ns, "null", event->data, event->size, id, out);
        return;
    }
    umbel_out_put(&task->text, event->data, event->size);
    if (chatgpt_segment_ends(task->text.data, task->text.size))
        flush(task, now_ns, id, out);
}

/* The one terminal of an answer that did not fail. */
static void put_terminal(struct chatgpt_task *task, uint64_t now_ns, const char *id, struct umbel_out *out)
{
    chatgpt_frame(task, now_ns, task->finish == UMBEL_FINISH_LENGTH ? "\"length\"" : "\"stop\"", task->text.size ? task->text.data : "",
                  task->text.size, id, out);
    umbel_out_reset(&task->text);
    if (task->double_stop)
        chatgpt_frame(task, now_ns, "\"stop\"", "", 0, id, out);
}

void chatgpt_encode(struct chatgpt_task *task, uint64_t now_ns, const struct umbel_stream *stream, const struct umbel_event *event,
                    struct umbel_out *out)
{
    const char *id = task->extended ? stream->id : NULL;

    switch (event->kind) {
    case UMBEL_EVENT_TEXT:
        if (event->size)
            put_text(task, now_ns, id, event, out);
        return;
    case UMBEL_EVENT_FINISH:
        task->finish = event->code;
        return;
    case UMBEL_EVENT_ERROR:
        flush(task, now_ns, id, out);
        chatgpt_error(CHATGPT_OTHER, chatgpt_words(event->code == UMBEL_ERROR_AUTH ? UMBEL_ERROR_UPSTREAM : event->code, ""),
                      task->error_seq, id, out);
        return;
    case UMBEL_EVENT_CLOSED:
        if (event->code != UMBEL_VERDICT_FAILED && event->code != UMBEL_VERDICT_TRUNCATED) /* these have ended by their ERROR */
            put_terminal(task, now_ns, id, out);
        task->finish = 0;
        return;
    default:
        return;
    }
}
