#include "core/parse/delta_scanner.h"

#include <string.h>

#include "core/parse/json_scan.h"

/* One chunk being read. */
struct delta {
    struct scan in;
    struct delta_chunk chunk;
};

typedef bool take_member(struct delta *d, struct span name, unsigned *seen);

/* One object: each member goes to `take`, which takes its value.  *ret_seen: the bits that take has set. */
static bool take_object(struct delta *d, take_member *take, unsigned *ret_seen)
{
    unsigned seen = 0;
    struct scan_raw name;

    if (scan_peek(&d->in) != '{')
        return false;
    d->in.p++;
    scan_blanks(&d->in);
    if (scan_peek(&d->in) == '}') {
        d->in.p++;
        *ret_seen = 0;
        return true;
    }
    for (;;) {
        if (!scan_name(&d->in, &name) || name.escaped || !take(d, name.text, &seen))
            return false;
        scan_blanks(&d->in);
        char c = scan_peek(&d->in);
        if (c != ',' && c != '}')
            return false;
        d->in.p++;
        if (c == '}')
            break;
        scan_blanks(&d->in);
    }
    *ret_seen = seen;
    return true;
}

struct name {
    const char *text;
    size_t size;
};
#define NAME(text) {text, sizeof(text) - 1}

/* The place of name in the table, marked in *seen; count if it is not there; -1 if it has been seen before. */
static int find_name(struct span name, const struct name *table, int count, unsigned *seen)
{
    for (int i = 0; i < count; i++)
        if (name.size == table[i].size && memcmp(name.data, table[i].text, name.size) == 0) {
            if (*seen & 1u << i)
                return -1;
            *seen |= 1u << i;
            return i;
        }
    return count;
}

static bool usage_member(struct delta *d, struct span name, unsigned *seen)
{
    enum { PROMPT, COMPLETION, INPUT, OUTPUT, OTHER };
    static const struct name names[] = {NAME("prompt_tokens"), NAME("completion_tokens"), NAME("input_tokens"), NAME("output_tokens")};

    switch (find_name(name, names, OTHER, seen)) {
    case PROMPT:
        return scan_count(&d->in, &d->chunk.usage.prompt_tokens);
    case COMPLETION:
        return scan_count(&d->in, &d->chunk.usage.completion_tokens);
    case OTHER:
        return scan_skip_value(&d->in);
    default:
        return false;
    }
}

/* usage_member writes to chunk.usage: the value found is moved to where it belongs. */
static bool take_usage(struct delta *d, struct delta_usage *to)
{
    struct delta_usage saved = d->chunk.usage, found;
    unsigned seen;

    if (scan_null(&d->in))
        return true;
    d->chunk.usage = (struct delta_usage){0};
    if (!take_object(d, usage_member, &seen))
        return false;
    found = d->chunk.usage;
    found.seen = seen != 0;
    d->chunk.usage = saved;
    *to = found;
    return true;
}

static bool take_empty_array(struct delta *d)
{
    if (!scan_word(&d->in, "[", 1))
        return false;
    scan_blanks(&d->in);
    return scan_word(&d->in, "]", 1);
}

static bool delta_member(struct delta *d, struct span name, unsigned *seen)
{
    enum { CONTENT, REASONING_CONTENT, REASONING, THINKING, TOOL_CALLS, REFUSAL, FUNCTION_CALL, OTHER };
    static const struct name names[] = {NAME("content"),    NAME("reasoning_content"), NAME("reasoning"),    NAME("thinking"),
                                        NAME("tool_calls"), NAME("refusal"),           NAME("function_call")};
    int which = find_name(name, names, OTHER, seen);

    switch (which) {
    case CONTENT:
        return scan_text(&d->in, &d->chunk.text);
    case REASONING_CONTENT:
    case REASONING:
    case THINKING:
        return scan_text(&d->in, &d->chunk.thinking[which - REASONING_CONTENT]);
    case TOOL_CALLS:
        return scan_null(&d->in) || take_empty_array(d);
    case REFUSAL:
    case FUNCTION_CALL:
        return scan_null(&d->in);
    case OTHER:
        return scan_skip_value(&d->in);
    default:
        return false;
    }
}

static bool take_finish(struct delta *d)
{
    struct scan_raw raw;

    if (scan_null(&d->in))
        return true;
    if (!scan_string(&d->in, &raw) || raw.escaped)
        return false;
    d->chunk.finish = raw.text;
    return true;
}

static bool choice_member(struct delta *d, struct span name, unsigned *seen)
{
    enum { INDEX, DELTA, FINISH_REASON, USAGE, MESSAGE, OTHER };
    static const struct name names[] = {NAME("index"), NAME("delta"), NAME("finish_reason"), NAME("usage"), NAME("message")};
    uint64_t index = 0;
    unsigned ignored;

    switch (find_name(name, names, OTHER, seen)) {
    case INDEX:
        return scan_count(&d->in, &index) && index == 0;
    case DELTA:
        return take_object(d, delta_member, &ignored);
    case FINISH_REASON:
        return take_finish(d);
    case USAGE:
        return take_usage(d, &d->chunk.choice_usage);
    case OTHER:
        return scan_skip_value(&d->in);
    default:
        return false;
    }
}

static bool take_choices(struct delta *d)
{
    unsigned ignored;

    if (scan_peek(&d->in) != '[')
        return false;
    d->in.p++;
    scan_blanks(&d->in);
    if (scan_peek(&d->in) != ']') {
        if (!take_object(d, choice_member, &ignored))
            return false;
        scan_blanks(&d->in);
    }
    return scan_word(&d->in, "]", 1);
}

static bool take_object_word(struct delta *d)
{
    struct scan_raw raw;

    if (scan_peek(&d->in) != '"')
        return scan_skip_value(&d->in);
    return scan_string(&d->in, &raw) && !raw.escaped && !span_is(raw.text, "error");
}

enum { TOP_CHOICES, TOP_USAGE, TOP_OBJECT, TOP_ERROR, TOP_OTHER };

static bool top_member(struct delta *d, struct span name, unsigned *seen)
{
    static const struct name names[] = {NAME("choices"), NAME("usage"), NAME("object"), NAME("error")};

    switch (find_name(name, names, TOP_OTHER, seen)) {
    case TOP_CHOICES:
        return take_choices(d);
    case TOP_USAGE:
        return take_usage(d, &d->chunk.usage);
    case TOP_OBJECT:
        return take_object_word(d);
    case TOP_ERROR:
        return scan_null(&d->in);
    case TOP_OTHER:
        return scan_skip_value(&d->in);
    default:
        return false;
    }
}

bool delta_scan(const char *text, size_t size, struct umbel_out *scratch, struct delta_chunk *ret_chunk)
{
    struct delta d = {.in = {.p = text, .end = text + size}};
    unsigned seen;

    if (size > DELTA_SCAN_MAX)
        return false;
    umbel_out_reset(scratch);
    d.in.unescaped = umbel_out_reserve(scratch, size); /* an escape is never shorter than what it stands for */
    if (!d.in.unescaped)
        return false;
    scan_blanks(&d.in);
    if (!take_object(&d, top_member, &seen) || !(seen & 1u << TOP_CHOICES))
        return false;
    scan_blanks(&d.in);
    if (d.in.p != d.in.end)
        return false;
    *ret_chunk = d.chunk;
    return true;
}
