#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/parse/dialect_error.h"
#include "core/upstream/upstream_state.h"

#define STOP (-ECANCELED) /* from our callbacks: the outcome is known, or the call is gone */

void upstream_fail(struct upstream_call *call, uint32_t error, bool retryable, const char *format, ...)
{
    va_list args;

    if (call->outcome.verdict != 0)
        return;
    call->outcome.verdict = UMBEL_VERDICT_FAILED;
    call->outcome.error = error;
    call->outcome.retryable = retryable;
    va_start(args, format);
    vsnprintf(call->outcome.text, sizeof call->outcome.text, format, args);
    va_end(args);
}

/* ---- the dialect's events ---- */

static void tell(struct upstream_call *call, const struct parse_event *event)
{
    if (call->record.number)
        upstream_digest_add(&call->record.digest, event);
    call->ops->event(call->owner, event, call->arrival_ns);
}

/* Whole characters only. */
static struct span cut_text(struct span text, uint64_t room)
{
    size_t size = room < text.size ? (size_t)room : text.size;

    while (size > 0 && size < text.size && ((unsigned char)text.data[size] & 0xc0) == 0x80)
        size--;
    return span_of(text.data, size);
}

/* The answer is as long as it may get: what still fits, then an ordinary end. */
static int end_at_length(struct upstream_call *call, const struct parse_event *event, uint64_t room)
{
    struct parse_event last = *event, finish = {.kind = PARSE_FINISH, .code = UMBEL_FINISH_LENGTH, .text = span_text("length")};

    last.text = event->kind == PARSE_TOOL ? span_of("", 0) : cut_text(event->text, room);
    if (last.text.size > 0)
        tell(call, &last);
    if (!call->over)
        tell(call, &finish);
    call->outcome.verdict = UMBEL_VERDICT_COMPLETE;
    return STOP;
}

static void note_first_content(struct upstream_call *call)
{
    if (call->phase == CALL_ANSWERING)
        return;
    call->phase = CALL_ANSWERING;
    if (call->trace)
        call->trace->first_token_ns = clock_now_ns();
    call->upstream->counts.first_token_ns_last = call->arrival_ns - call->begun_ns;
}

static int sink(void *owner, const struct parse_event *event)
{
    struct upstream_call *call = owner;
    uint64_t room = call->upstream->answer_max_bytes - call->answer_bytes;

    switch (event->kind) {
    case PARSE_ERROR: /* told by `ended` */
        call->outcome.error = event->code;
        call->outcome.retryable = event->retryable;
        snprintf(call->outcome.text, sizeof call->outcome.text, "%.*s", (int)event->text.size, event->text.data);
        if (event->words.data != event->text.data) {
            snprintf(call->outcome.words, sizeof call->outcome.words, "%.*s", (int)event->words.size, event->words.data);
            upstream_complain(call->upstream, COMPLAINT_KEY, "the service refuses our account: %s", call->outcome.words);
        }
        return 0;
    case PARSE_TEXT:
    case PARSE_REASONING:
    case PARSE_TOOL:
        note_first_content(call);
        if (event->text.size > room)
            return end_at_length(call, event, room);
        call->answer_bytes += event->text.size;
        break;
    case PARSE_USAGE:
    case PARSE_FINISH:
        break;
    }
    tell(call, event);
    return call->over ? STOP : 0;
}

/* The dialect's verdict becomes the outcome, unless something else has decided already. */
static void take_verdict(struct upstream_call *call, bool body_whole)
{
    uint32_t verdict;

    if (dialect_end(call->reader, body_whole, &verdict, NULL) < 0 || call->over || call->outcome.verdict != 0)
        return;
    call->outcome.verdict = verdict;
    if (verdict == UMBEL_VERDICT_COMPLETE)
        call->outcome.error = 0;
}

static void take_document(struct upstream_call *call)
{
    if (dialect_feed_document(call->reader, call->collected.data ? call->collected.data : "", call->collected.size, NULL) == STOP)
        return; /* the sink has decided, or the call is gone */
    take_verdict(call, true);
}

/* Of a page that something between us and the service has made, a proxy or a load balancer, only the title is for people. */
static struct span page_title(struct span page)
{
    const char *end = page.data + page.size;

    for (const char *at = page.data; end - at > 7; at++)
        if (strncasecmp(at, "<title>", 7) == 0) {
            const char *close = memchr(at + 7, '<', (size_t)(end - at - 7));

            return close ? span_of(at + 7, (size_t)(close - at - 7)) : span_of("", 0);
        }
    return span_text("an HTML page");
}

static void take_refusal(struct upstream_call *call)
{
    struct dialect_error error;
    struct span body = span_of(call->collected.data ? call->collected.data : "", call->collected.size);

    if (call->page)
        body = page_title(body);
    dialect_refusal(call->status, body.data, body.size, &error);
    if (call->status == 401 || call->status == 403)
        upstream_complain(call->upstream, COMPLAINT_KEY, "the service does not accept our api_key (HTTP %u): %s", call->status,
                          error.text);
    else
        upstream_complain(call->upstream, COMPLAINT_ANSWER, "the service refuses (HTTP %u): %s", call->status, error.text);
    upstream_fail(call, error.kind, error.retryable, "%s", dialect_error_for_clients(&error));
    snprintf(call->outcome.words, sizeof call->outcome.words, "%s", error.text);
}

/* The response is whole. */
static void take_end(struct upstream_call *call)
{
    if (call->body == BODY_REFUSAL)
        take_refusal(call);
    else if (call->body == BODY_DOCUMENT)
        take_document(call);
    else
        take_verdict(call, true);
}

/* ---- the response ---- */

static bool type_is(const char *type, const char *wanted)
{
    size_t size = strlen(wanted);

    return strncasecmp(type, wanted, size) == 0 && strchr(" \t;", type[size]);
}

static int refuse_type(struct upstream_call *call, const char *what)
{
    upstream_complain(call->upstream, COMPLAINT_ANSWER, "%s", what);
    upstream_fail(call, UMBEL_ERROR_UPSTREAM, false, "%s", what);
    return STOP;
}

static int head_came(void *owner, const struct http_head *head)
{
    struct upstream_call *call = owner;
    const char *type = head->content_type;
    char what[2 * HTTP_VALUE_MAX];

    call->has_head = true;
    if (call->trace) {
        call->trace->has_head = true;
        call->trace->head = *head;
    }
    call->status = head->status;
    call->reusable = head->keep_alive;
    call->outcome.retry_after_s = head->retry_after_s;
    if (head->content_encoding[0] && strcasecmp(head->content_encoding, "identity") != 0) {
        snprintf(what, sizeof what, "the service answered in Content-Encoding %s, though only identity was accepted",
                 head->content_encoding);
        return refuse_type(call, what);
    }
    if (head->status != 200) {
        call->body = BODY_REFUSAL;
        call->page = type_is(type, "text/html");
        call->collected.limit = UPSTREAM_REFUSAL_MAX;
    } else if (type_is(type, "application/json") && !call->upstream->service.dialect->json_is_stream) {
        call->body = BODY_DOCUMENT;
        call->collected.limit =
            (size_t)call->upstream->answer_max_bytes + UPSTREAM_REFUSAL_MAX; /* the text, and what is around it */
    } else if (type_is(type, "text/html")) {
        return refuse_type(call, "the service answered with an HTML page instead of a stream: is base_url right?");
    } else if (type[0] && !type_is(type, "text/event-stream") && !type_is(type, "text/plain") &&
               !type_is(type, "application/octet-stream") && !type_is(type, call->upstream->service.dialect->accept) &&
               !type_is(type, "application/json")) {
        snprintf(what, sizeof what, "the service answered with Content-Type %s instead of a stream", type);
        return refuse_type(call, what);
    }
    return 0;
}

static int collect(struct upstream_call *call, struct span bytes)
{
    size_t room = call->collected.limit - call->collected.size;

    umbel_out_put(&call->collected, bytes.data, bytes.size < room ? bytes.size : room);
    if (call->collected.failed)
        upstream_fail(call, UMBEL_ERROR_INTERNAL, true, "no memory for the service's response");
    else if (bytes.size <= room)
        return 0;
    else if (call->body == BODY_REFUSAL)
        take_refusal(call); /* whatever else it has to say */
    else
        upstream_fail(call, UMBEL_ERROR_UPSTREAM, false, "the service's answer is over %zu bytes", call->collected.limit);
    return STOP;
}

static int body_came(void *owner, struct span bytes)
{
    struct upstream_call *call = owner;
    int r;

    if (call->body != BODY_STREAM)
        return collect(call, bytes);
    r = dialect_feed(call->reader, bytes.data, bytes.size, NULL);
    if (call->over || call->outcome.verdict != 0)
        return STOP;
    if (r < 0 || dialect_counts(call->reader)->saw_error) {
        take_verdict(call, true); /* the rest means nothing any more */
        return STOP;
    }
    return 0;
}

static int end_came(void *owner)
{
    take_end(owner);
    return 0;
}

static const struct http_response_calls response_calls = {NULL, head_came, body_came, end_came};

int upstream_answer_begin(struct upstream_call *call)
{
    upstream_answer_free(call);
    call->has_head = call->reusable = call->page = false;
    call->body = BODY_STREAM;
    call->status = 0;
    call->outcome = (struct upstream_outcome){.retry_after_s = -1};
    http_response_begin(&call->response, HTTP_REQUEST_BODY, &response_calls, call);
    return dialect_create(call->upstream->service.dialect->name, &call->upstream->service.quirks, 0, sink, call, &call->reader);
}

bool upstream_answer_feed(struct upstream_call *call, const char *bytes, size_t size)
{
    struct why why; /* only its first byte is cleared: this is asked for with every read */
    size_t consumed = 0;
    int r;

    why.text[0] = '\0';
    r = http_response_feed(&call->response, bytes, size, &consumed, &why);
    if (call->over)
        return true;
    if (r < 0 && call->outcome.verdict == 0) {
        upstream_complain(call->upstream, COMPLAINT_ANSWER, "%s", why.text);
        upstream_fail(call, UMBEL_ERROR_UPSTREAM, true, "%s", why.text);
    }
    /* Only a response that ended where its bytes ended leaves a connection that the next answer can be read from. */
    if (r < 0 || consumed < size)
        call->reusable = false;
    return call->outcome.verdict != 0;
}

void upstream_answer_end(struct upstream_call *call, bool clean, const char *text)
{
    struct why why = {""};
    int r = http_response_eof(&call->response, clean, &why);

    call->reusable = false;
    if (call->over || call->outcome.verdict != 0)
        return; /* end() was called and has decided */
    if (r == 0)
        return;
    if (!call->has_head) {
        upstream_complain(call->upstream, COMPLAINT_ANSWER, "%s before answering", text);
        upstream_fail(call, UMBEL_ERROR_UPSTREAM, true, "the service closed the connection before answering");
    } else if (call->body == BODY_REFUSAL) {
        take_refusal(call);
    } else if (call->body == BODY_DOCUMENT) {
        upstream_fail(call, UMBEL_ERROR_UPSTREAM, true, "the service's answer is cut off: %s", why.text);
    } else {
        take_verdict(call, false);
    }
}

void upstream_answer_give_up(struct upstream_call *call, const char *text)
{
    if (call->outcome.verdict == 0 && call->has_head && call->body == BODY_STREAM && call->phase == CALL_ANSWERING)
        take_verdict(call, false);
    if (call->over || call->outcome.verdict == UMBEL_VERDICT_COMPLETE)
        return;
    call->upstream->counts.timeouts++;
    if (call->outcome.verdict == 0)
        call->outcome.verdict = UMBEL_VERDICT_FAILED;
    call->outcome.error = UMBEL_ERROR_TIMEOUT;
    call->outcome.retryable = true;
    snprintf(call->outcome.text, sizeof call->outcome.text, "%s", text);
}

bool upstream_answer_saw_done(const struct upstream_call *call)
{
    return call->reader && dialect_counts(call->reader)->saw_done;
}

void upstream_answer_free(struct upstream_call *call)
{
    if (call->reader) {
        const struct dialect_counts *counts = dialect_counts(call->reader);

        if (call->trace && call->upstream) {
            call->trace->counts = *counts;
            call->trace->has_counts = true;
        }
        if (call->upstream) {
            call->upstream->counts.comments += counts->comments;
            call->upstream->counts.missing_done += counts->missing_done;
            call->upstream->counts.malformed += counts->malformed;
        }
        dialect_free(call->reader);
        call->reader = NULL;
    }
    umbel_out_free(&call->collected);
    http_response_end(&call->response);
}
