/* The parts of dialect_reader.h that turn words of a service into ours: finish reasons, tool calls. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/parse/dialect_reader.h"

int dialect_take_finish(struct dialect_reader *r, const struct dialect_finish *table, size_t count, struct span word)
{
    struct dialect_error error = {.retryable = true};

    r->counts.seen.empty_finish |= word.data && word.size == 0;
    r->counts.seen.null_text_finish |= span_is(word, "null");
    if (!word.data || (word.size == 0 && r->quirks.empty_finish) || (r->quirks.null_text_finish && span_is(word, "null")))
        return 0;
    for (size_t i = 0; i < count; i++) {
        r->counts.seen.error_finish |= span_is(word, table[i].word) && !table[i].finish;
        if (!span_is(word, table[i].word) || (!table[i].finish && !r->quirks.error_finish))
            continue;
        if (table[i].finish) {
            dialect_note_finish(r, table[i].finish, word);
            return 0;
        }
        error.kind = table[i].error;
        snprintf(error.text, sizeof error.text, "the model service ended the answer with \"%s\"", table[i].word);
        return dialect_note_error(r, &error);
    }
    dialect_note_finish(r, UMBEL_FINISH_OTHER, word);
    return 0;
}

int dialect_emit_call(struct dialect_reader *r, size_t index, struct span id, struct span name, struct span arguments)
{
    struct umbel_out *out = &r->scratch;

    umbel_out_reset(out);
    umbel_out_printf(out, "{\"index\":%zu", index);
    if (id.data) {
        umbel_out_text(out, ",\"id\":");
        umbel_out_json(out, id.data, id.size);
        umbel_out_text(out, ",\"type\":\"function\",\"function\":{\"name\":");
        umbel_out_json(out, name.data ? name.data : "", name.size);
        umbel_out_text(out, ",");
    } else {
        umbel_out_text(out, ",\"function\":{");
    }
    umbel_out_text(out, "\"arguments\":");
    umbel_out_json(out, arguments.data ? arguments.data : "", arguments.size);
    umbel_out_text(out, "}}");
    return out->failed ? out->failed : dialect_emit_tool(r, span_of(out->data, out->size));
}

struct span dialect_member_text(const struct umbel_json *object, const char *name)
{
    struct span text = {NULL, 0};

    text.data = umbel_json_text(umbel_json_member(object, name), &text.size);
    return text;
}
