#include "core/parse/dialect_chat_forms.h"

#include <string.h>

#include "core/json/json_read.h"

bool dialect_is_bare_completion(const struct umbel_json *object)
{
    return !umbel_json_member(object, "choices") && umbel_json_type(umbel_json_member(object, "content")) == UMBEL_JSON_STRING &&
           umbel_json_type(umbel_json_member(object, "stop")) == UMBEL_JSON_BOOL;
}

int dialect_take_bare_completion(struct dialect_reader *r, const struct umbel_json *object)
{
    int64_t prompt = umbel_json_member_integer(object, "tokens_evaluated", -1);
    int64_t completion = umbel_json_member_integer(object, "tokens_predicted", -1);
    int result = dialect_emit_text(r, dialect_member_text(object, "content"));
    bool limit;

    if (result < 0 || !umbel_json_bool(umbel_json_member(object, "stop"), 0))
        return result;
    if (prompt >= 0 || completion >= 0)
        dialect_note_usage(r, prompt > 0 ? (uint64_t)prompt : 0, completion > 0 ? (uint64_t)completion : 0);
    limit = strcmp(umbel_json_member_text(object, "stop_type", ""), "limit") == 0 ||
            umbel_json_bool(umbel_json_member(object, "stopped_limit"), 0);
    dialect_note_finish(r, limit ? UMBEL_FINISH_LENGTH : UMBEL_FINISH_STOP, span_text(limit ? "limit" : "stop"));
    return dialect_note_done(r);
}

bool dialect_is_text_event(struct span name)
{
    return span_is(name, "add") || span_is(name, "finish") || span_is(name, "interrupted");
}

int dialect_take_text_event(struct dialect_reader *r, struct span name, struct span data)
{
    int result = dialect_emit_text(r, data);

    if (result < 0 || span_is(name, "add"))
        return result;
    dialect_note_finish(r, span_is(name, "finish") ? UMBEL_FINISH_STOP : UMBEL_FINISH_FILTER, name);
    return dialect_note_done(r);
}

void dialect_take_meta(struct dialect_reader *r, struct span value)
{
    struct umbel_json *meta = NULL;
    const struct umbel_json *usage;

    if (json_read(value.data, value.size, true, &meta, NULL) < 0)
        return;
    usage = umbel_json_member(meta, "usage");
    if (umbel_json_type(usage) == UMBEL_JSON_OBJECT) {
        int64_t prompt = umbel_json_member_integer(usage, "prompt_tokens", 0);
        int64_t completion = umbel_json_member_integer(usage, "completion_tokens", 0);
        dialect_note_usage(r, prompt > 0 ? (uint64_t)prompt : 0, completion > 0 ? (uint64_t)completion : 0);
    }
    umbel_json_free(meta);
}
