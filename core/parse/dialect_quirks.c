#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/parse/dialect.h"

#define QUIRK(name) {#name, offsetof(struct dialect_quirks, name)}

static const struct {
    const char *name;
    size_t at;
} quirk_names[] = {
    QUIRK(reasoning_content), QUIRK(reasoning),    QUIRK(thinking),     QUIRK(usage_in_choice), QUIRK(empty_finish),
    QUIRK(null_text_finish),  QUIRK(error_finish), QUIRK(error_object), QUIRK(error_bare),      QUIRK(error_event),
    QUIRK(error_field),       QUIRK(done_missing), QUIRK(done_without_finish), QUIRK(eof_flush), QUIRK(message_as_delta),
    QUIRK(content_at_top),   QUIRK(text_events),  QUIRK(stream_options), QUIRK(incremental_output),
    QUIRK(prefill_prefix),    QUIRK(prefill_partial), QUIRK(prefill_final),
};
#define QUIRK_COUNT (sizeof quirk_names / sizeof *quirk_names)
_Static_assert(QUIRK_COUNT == sizeof(struct dialect_quirks) / sizeof(bool), "each quirk has a name");

int dialect_quirks_set(struct dialect_quirks *quirks, const char *word, struct why *why)
{
    bool on = strncmp(word, "no-", 3) != 0;
    char known[WHY_MAX];
    size_t used = 0;

    for (size_t i = 0; i < QUIRK_COUNT; i++) {
        if (strcmp(quirk_names[i].name, on ? word : word + 3) == 0) {
            *(bool *)((char *)quirks + quirk_names[i].at) = on;
            return 0;
        }
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", quirk_names[i].name);
    }
    return why_set(why, -EINVAL, "\"%.64s\" is no quirk; known, with or without \"no-\" before: %s", word, known);
}

const char *dialect_quirk_name(size_t number)
{
    return number < QUIRK_COUNT ? quirk_names[number].name : NULL;
}

bool dialect_quirk_is_on(const struct dialect_quirks *quirks, size_t number)
{
    return number < QUIRK_COUNT && *(const bool *)((const char *)quirks + quirk_names[number].at);
}
