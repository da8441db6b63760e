/* carrier/http_reader.c - answers from the host to requests: the host's umbel_codec around the codec of an HTTP protocol. */
#include "core/carrier/http_carrier.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TAG 1u /* a request asks the host for one thing */
#define FRAME_EXTRA 64u /* bytes that a codec puts around text, at most as far as this matters */

static void on_authorized(void *client_data, uint32_t error, const char *text)
{
    struct umbel_http_request *request = client_data;

    if (!request->over && request->conn->state != HTTP_DEAD)
        request->conn->http->codec->authorized(request->conn->http->self, request, error, text);
}

/* Text that is read back for a paced client at a time.  A quarter of its pace, because escaped text is longer and a batch goes out whole;
 * less what frames of a quarter's size add, so that plain text is one frame: of two the second waits for the call of the first. */
static uint32_t batch_of(uint32_t pace_bytes)
{
    uint32_t quarter = (pace_bytes + 3) / 4;

    return quarter > FRAME_EXTRA * 4 ? quarter - FRAME_EXTRA : quarter;
}

static int on_began(void *client_data, uint64_t tag, struct umbel_reader *reader, const struct umbel_stream *stream,
                    struct umbel_reader_options *ret_options)
{
    struct umbel_http_request *request = client_data;
    struct umbel_http *http = request->conn->http;
    struct umbel_http_start start = request->start;

    if (request->reader || request->over || request->conn->state == HTTP_DEAD)
        return -1;
    if (request->errand == HTTP_WATCH)
        http->host->unwatch(request->client, tag); /* one response carries one answer */
    request->errand = HTTP_NO_ERRAND;
    request->reader = reader;
    start.struct_size = sizeof start;
    int status = http->codec->began(http->self, request, stream, &start);
    if (status) {
        request->reader = NULL;
        http_answer_plain(request, (uint32_t)status, http_answer_words((uint32_t)status));
        return -1;
    }
    http_stream_start(request, &start);
    if (request->conn->state == HTTP_DEAD) {
        request->reader = NULL;
        return -1;
    }
    ret_options->reader_data = request;
    ret_options->variant = start.variant;
    ret_options->max_text = start.max_text ? start.max_text : HTTP_EVENT_TEXT;
    ret_options->max_batch = start.pace_bytes ? batch_of(start.pace_bytes) : HTTP_EVENT_TEXT;
    return 0;
}

static void on_refused(void *client_data, uint64_t tag, uint32_t error, const char *text)
{
    struct umbel_http_request *request = client_data;

    (void)tag;
    if (request->over || request->reader || request->conn->state == HTTP_DEAD)
        return;
    request->errand = HTTP_NO_ERRAND;
    request->conn->http->codec->refused(request->conn->http->self, request, error, text);
}

static void keep_text(char *to, size_t room, const struct umbel_event *event)
{
    size_t size = event->size < room - 1 ? (size_t)event->size : room - 1;

    while (size > 0 && size < event->size && ((unsigned char)event->data[size] & 0xc0) == 0x80)
        size--; /* never half a character */
    memcpy(to, event->data, size);
    to[size] = '\0';
}

/* The host gives usage, reason, error and end one after the other; a codec gets them in one piece, because what it says about one
 * depends on the others (OpenAI's usage comes after the reason).  An event of another stream, or one after an end, begins anew.
 */
static void note_ending(struct umbel_http *http, const struct umbel_stream *stream, const struct umbel_event *event)
{
    struct umbel_http_ending *all = &http->ending.all;

    if (http->ending.closed || strcmp(http->ending.id, stream->id) != 0) {
        snprintf(http->ending.id, sizeof http->ending.id, "%s", stream->id);
        http->ending.closed = false;
        http->ending.word[0] = http->ending.text[0] = '\0';
        *all = (struct umbel_http_ending){
            .struct_size = sizeof *all, .finish_word = http->ending.word, .error_text = http->ending.text};
    }
    switch (event->kind) {
    case UMBEL_EVENT_USAGE:
        all->usage = 1;
        all->prompt_tokens = event->prompt_tokens;
        all->completion_tokens = event->completion_tokens;
        break;
    case UMBEL_EVENT_FINISH:
        all->finish = event->code;
        keep_text(http->ending.word, sizeof http->ending.word, event);
        break;
    case UMBEL_EVENT_ERROR:
        all->error = event->code;
        keep_text(http->ending.text, sizeof http->ending.text, event);
        break;
    default:
        all->verdict = event->code;
        all->position = event->position;
        http->ending.closed = true;
    }
}

static int on_encode(void *self, uint32_t variant, void *reader_data, const struct umbel_stream *stream,
                     const struct umbel_event *event, struct umbel_out *out)
{
    struct umbel_http *http = self;
    struct umbel_http_request *request = reader_data;
    void *data = request ? request->data : NULL;
    int r;

    switch (event->kind) {
    case UMBEL_EVENT_USAGE:
    case UMBEL_EVENT_FINISH:
    case UMBEL_EVENT_ERROR:
        note_ending(http, stream, event);
        return 0;
    case UMBEL_EVENT_CLOSED:
        note_ending(http, stream, event);
        http_frame_mark(out, HTTP_FRAME_ENDING);
        return http->codec->encode_end(http->self, variant, data, stream, &http->ending.all, out);
    case UMBEL_EVENT_OPEN:
        r = http->codec->encode(http->self, variant, data, stream, event, out);
        http_frame_mark(out, HTTP_FRAME_OPENED);
        return r;
    default:
        return http->codec->encode(http->self, variant, data, stream, event, out);
    }
}

/* The answer has ended and this client has heard nothing of it yet: the codec may say it otherwise.  True if it did. */
static bool end_unsaid(struct umbel_http_request *request, const char *bytes, size_t size)
{
    struct umbel_http *http = request->conn->http;
    const struct umbel_stream *stream = http->host->reader_stream(request->reader);

    if (request->head_out || !http->codec->unsaid || http_frame_says(bytes, size) || !http->ending.closed ||
        strcmp(http->ending.id, stream->id) != 0)
        return false;
    return http->codec->unsaid(http->self, request, stream, &http->ending.all) != 0;
}

static int on_write(void *reader_data, const void *bytes, size_t size, int last)
{
    struct umbel_http_request *request = reader_data;

    if (request->conn->state == HTTP_DEAD || request->over) {
        request->reader = NULL;
        return -1;
    }
    if (last && end_unsaid(request, bytes, size))
        return UMBEL_WRITE_READY; /* ended() follows */
    http_stream_put(request, bytes, size);
    if (request->conn->state == HTTP_DEAD) {
        request->reader = NULL;
        return -1;
    }
    request->blocked = !last && http_stream_is_full(request);
    return request->blocked ? UMBEL_WRITE_FULL : UMBEL_WRITE_READY;
}

/* The answer was taken away while this client lagged.  It must not look like a clean end: say it in the protocol's words. */
static void say_lost(struct umbel_http_request *request, const struct umbel_stream *stream, uint64_t position)
{
    struct umbel_http *http = request->conn->http;
    bool alone = request->start.variant == UMBEL_VARIANT_PRIVATE;
    const struct umbel_http_ending ending = {.struct_size = sizeof ending,
                                             .verdict = UMBEL_VERDICT_FAILED,
                                             .error = UMBEL_ERROR_INTERNAL,
                                             .finish_word = "",
                                             .error_text = "the rest of the answer is gone",
                                             .position = position};

    http_count(http, "http_lost");
    if (!request->head_out && http->codec->unsaid && http->codec->unsaid(http->self, request, stream, &ending))
        return;
    umbel_out_reset(&http->scratch);
    int r = http->codec->encode_end(http->self, request->start.variant, alone ? request->data : NULL, stream, &ending,
                                    &http->scratch);
    if (r < 0 || http->scratch.failed) {
        http_conn_kill(request->conn); /* at least it does not look whole */
        return;
    }
    http_stream_put(request, http->scratch.data, http->scratch.size);
}

static void on_ended(void *reader_data, uint32_t verdict)
{
    struct umbel_http_request *request = reader_data;
    struct umbel_reader *reader = request->reader;
    const struct umbel_host *host = request->conn->http->host;

    request->reader = NULL;
    request->blocked = false;
    if (request->over || request->conn->state == HTTP_DEAD)
        return;
    if (!verdict && reader)
        say_lost(request, host->reader_stream(reader), host->reader_position(reader));
    if (!request->over && request->conn->state != HTTP_DEAD)
        http_stream_over(request);
}

const struct umbel_codec http_reader_codec = {.struct_size = sizeof http_reader_codec,
                                              .authorized = on_authorized,
                                              .began = on_began,
                                              .refused = on_refused,
                                              .encode = on_encode,
                                              .write = on_write,
                                              .ended = on_ended};

void umbel_http_authorize(struct umbel_http_request *request, const struct umbel_credential *credentials, uint32_t count)
{
    if (request->client && !request->over && request->conn->state != HTTP_DEAD)
        request->conn->http->host->authorize(request->client, credentials, count);
}

static uint32_t error_of(int r)
{
    switch (r) {
    case 0:
        return 0;
    case -EPERM:
        return UMBEL_ERROR_AUTH;
    case -EMSGSIZE:
        return UMBEL_ERROR_BAD_REQUEST;
    case -EAGAIN:
        return UMBEL_ERROR_BUSY;
    default:
        return UMBEL_ERROR_INTERNAL;
    }
}

static bool may_go(const struct umbel_http_request *request)
{
    return request->client && !request->over && request->errand == HTTP_NO_ERRAND && request->conn->state != HTTP_DEAD;
}

uint32_t umbel_http_ask(struct umbel_http_request *request, const struct umbel_request *question)
{
    int r = may_go(request) ? request->conn->http->host->ask(request->client, TAG, question) : -EINVAL;

    if (r == 0)
        request->errand = HTTP_ASK;
    return error_of(r);
}

uint32_t umbel_http_watch(struct umbel_http_request *request, const char *session)
{
    int r = may_go(request) ? request->conn->http->host->watch(request->client, TAG, session) : -EINVAL;

    if (r == 0)
        request->errand = HTTP_WATCH;
    return error_of(r);
}

uint32_t umbel_http_resume(struct umbel_http_request *request, const char *stream_id, uint64_t position)
{
    int r = may_go(request) ? request->conn->http->host->resume(request->client, TAG, stream_id, position) : -EINVAL;

    if (r == 0)
        request->errand = HTTP_RESUME;
    return error_of(r);
}

void umbel_http_stop(struct umbel_http_request *request)
{
    const struct umbel_host *host = request->conn->http->host;

    if (request->reader)
        host->stop(request->client, 0, host->reader_stream(request->reader)->id);
}
