#include "core/upstream/upstream_prefill.h"

#include <errno.h>
#include <string.h>

#include "core/base/span.h"

/* Characters that count as white space beyond ASCII's; those of U+2000 to U+200A are tested by themselves. */
static const char *const wide_spaces[] = {"\xc2\x85", "\xc2\xa0", "\xe1\x9a\x80", "\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f",
                                          "\xe3\x80\x80"};

/* The size of the white space character that ends text; 0: none does. */
static size_t space_at_end(const char *text, size_t size)
{
    if (size > 0 && (text[size - 1] == ' ' || (text[size - 1] >= '\t' && text[size - 1] <= '\r')))
        return 1;
    if (size >= 3 && memcmp(text + size - 3, "\xe2\x80", 2) == 0 && (unsigned char)text[size - 1] <= 0x8a)
        return 3;
    for (size_t i = 0; i < sizeof wide_spaces / sizeof *wide_spaces; i++) {
        size_t wide = strlen(wide_spaces[i]);

        if (size >= wide && memcmp(text + size - wide, wide_spaces[i], wide) == 0)
            return wide;
    }
    return 0;
}

size_t upstream_prefill_size(const struct upstream_dialect *dialect, const char *so_far, size_t size)
{
    size_t space;

    while (dialect->prefill_trimmed && (space = space_at_end(so_far, size)) > 0)
        size -= space;
    return size;
}

static int no_array(struct why *why)
{
    return why_set(why, -EINVAL, "the messages are not a JSON array");
}

int upstream_prefill(struct umbel_out *out, const struct upstream_dialect *dialect, const struct dialect_quirks *quirks,
                     const struct upstream_question *question, struct why *why)
{
    const char *messages = question->messages;
    size_t size = question->messages_size, shown = upstream_prefill_size(dialect, question->so_far, question->so_far_size);

    while (size > 0 && memchr(" \t\r\n", messages[size - 1], 4))
        size--;
    if (size < 2 || messages[size - 1] != ']')
        return no_array(why);
    if (shown == 0) {
        umbel_out_put(out, messages, size);
        return out->failed;
    }
    for (size--; size > 0 && memchr(" \t\r\n", messages[size - 1], 4);)
        size--;
    if (size == 0)
        return no_array(why);
    umbel_out_put(out, messages, size);
    umbel_out_text(out, messages[size - 1] == '[' ? "" : ",");
    umbel_out_text(out, "{\"role\":\"assistant\",\"content\":");
    umbel_out_json(out, question->so_far, shown);
    if (dialect->prefill_mark)
        umbel_out_text(out, dialect->prefill_mark);
    if (dialect == &upstream_openai && quirks->prefill_prefix)
        umbel_out_text(out, ",\"prefix\":true");
    if (dialect == &upstream_openai && quirks->prefill_partial)
        umbel_out_text(out, ",\"partial\":true");
    umbel_out_text(out, "}]");
    return out->failed;
}
