#include "core/upstream/upstream_record.h"

#include <string.h>

#include "core/upstream/upstream_state.h"

static const char *const how_words[] = {[RECORD_UNREACHED] = "unreached", [RECORD_DECIDED] = "decided", [RECORD_CLOSED] = "closed",
                                        [RECORD_TIME] = "time", [RECORD_CANCELLED] = "cancelled"};

const char *upstream_record_how_word(enum upstream_record_how how)
{
    return how_words[how];
}

bool upstream_record_how_parse(const char *word, enum upstream_record_how *ret_how)
{
    for (size_t i = 0; i < sizeof how_words / sizeof *how_words; i++)
        if (strcmp(word, how_words[i]) == 0) {
            *ret_how = (enum upstream_record_how)i;
            return true;
        }
    return false;
}

void upstream_set_recorder(struct upstream *upstream, const struct upstream_recorder *recorder)
{
    upstream->recorder = recorder;
}

static uint64_t add_number(uint64_t sum, uint64_t number, size_t size)
{
    unsigned char bytes[8];

    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(number >> 8 * i);
    return fnv_add(sum, bytes, size);
}

void upstream_digest_add(struct upstream_digest *digest, const struct parse_event *event)
{
    uint64_t sum = digest->events ? digest->sum : FNV_START;

    sum = add_number(sum, (uint64_t)event->kind, 1);
    sum = add_number(sum, event->code, 4);
    sum = add_number(sum, event->prompt_tokens, 8);
    sum = add_number(sum, event->completion_tokens, 8);
    sum = add_number(sum, event->text.size, 8);
    digest->sum = fnv_add(sum, event->text.data, event->text.size);
    digest->events++;
    if (event->kind == PARSE_TEXT)
        digest->text_bytes += event->text.size;
    if (event->kind == PARSE_USAGE) {
        digest->usage = true;
        digest->prompt_tokens = event->prompt_tokens;
        digest->completion_tokens = event->completion_tokens;
    }
}

/* The body is what follows the head; the head holds the key. */
static struct span body_of(const struct umbel_out *request)
{
    const char *end = request->data ? memmem(request->data, request->size, "\r\n\r\n", 4) : NULL;

    return end ? span_of(end + 4, request->size - (size_t)(end + 4 - request->data)) : span_of("", 0);
}

void upstream_record_call(struct upstream_call *call, const struct upstream_question *question)
{
    const struct upstream *upstream = call->upstream;
    const struct upstream_recorder *recorder = upstream->recorder;

    if (!recorder)
        return;
    struct upstream_record_begin about = {.upstream = upstream->name,
                                          .dialect = upstream->service.dialect->name,
                                          .model = question->model,
                                          .app = question->app ? question->app : "",
                                          .stream = question->stream ? question->stream : "",
                                          .quirks = &upstream->service.quirks,
                                          .answer_max_bytes = upstream->answer_max_bytes,
                                          .request = body_of(&call->request)};
    call->record.number = recorder->begin(recorder->owner, &about);
    call->record.recorder = recorder;
    call->record.how = RECORD_UNREACHED;
}

void upstream_record_bytes(struct upstream_call *call, const char *bytes, size_t size)
{
    const struct upstream_recorder *recorder = call->record.recorder;

    if (call->record.number)
        recorder->bytes(recorder->owner, call->record.number, call->arrival_ns, bytes, size);
}

void upstream_record_end(struct upstream_call *call, bool cancelled)
{
    const struct upstream_recorder *recorder = call->record.recorder;
    const struct upstream_outcome *outcome = &call->outcome;

    if (!call->record.number)
        return;
    struct upstream_record_end end = {.how = cancelled ? RECORD_CANCELLED : call->record.how,
                                      .clean = call->record.clean,
                                      .verdict = cancelled ? 0 : outcome->verdict,
                                      .error = cancelled ? 0 : outcome->error,
                                      .text = cancelled ? "" : outcome->text,
                                      .digest = call->record.digest};
    recorder->end(recorder->owner, call->record.number, uring_loop_now_ns(call->upstream->loop), &end);
    call->record.number = 0;
}
