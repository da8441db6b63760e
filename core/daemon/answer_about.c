#include "core/daemon/answer_about.h"

#include <stdio.h>
#include <string.h>

#include <umbel/event.h>
#include <umbel/json.h>

/* Texts of the journal's fixed places end in zero; one that would not is taken as it stands. */
static void put_text(struct umbel_out *out, const char *name, const char *text, size_t room)
{
    umbel_out_printf(out, "\"%s\":", name);
    umbel_out_json(out, text, strnlen(text, room));
    umbel_out_put(out, ",", 1);
}

void answer_about_write(const struct journal_identity *identity, const struct journal_ending *ending, uint64_t text_bytes,
                        struct umbel_out *out)
{
    umbel_out_printf(out, "{\"bytes\":%llu,\"created\":%llu,", (unsigned long long)text_bytes, (unsigned long long)identity->created_s);
    put_text(out, "model", identity->model, sizeof identity->model);
    umbel_out_printf(out, "\"finish\":%u,", ending->finish);
    put_text(out, "word", ending->finish_word, sizeof ending->finish_word);
    umbel_out_printf(out, "\"error\":%u,", ending->error);
    put_text(out, "why", ending->error_text, sizeof ending->error_text);
    umbel_out_printf(out, "\"usage\":%u,\"prompt\":%llu,\"completion\":%llu}", ending->usage_flags,
                     (unsigned long long)ending->prompt_tokens, (unsigned long long)ending->completion_tokens);
}

static bool get_number(const struct umbel_json *object, const char *name, uint64_t max, uint64_t *ret_number)
{
    int64_t number = umbel_json_member_integer(object, name, -1);

    *ret_number = (uint64_t)number;
    return number >= 0 && (uint64_t)number <= max;
}

static bool get_code(const struct umbel_json *object, const char *name, uint32_t max, uint32_t *ret_code)
{
    uint64_t number;
    bool good = get_number(object, name, max, &number);

    *ret_code = (uint32_t)number;
    return good;
}

static bool get_text(const struct umbel_json *object, const char *name, char *text, size_t room)
{
    const char *found = umbel_json_member_text(object, name, NULL);

    return found && snprintf(text, room, "%s", found) < (int)room;
}

bool answer_about_read(const char *about, struct journal_identity *ret_identity, struct journal_ending *ret_ending, uint64_t *ret_text_bytes)
{
    char why[128];
    struct umbel_json *object = umbel_json_parse(about, strlen(about), why, sizeof why);
    bool good = get_number(object, "bytes", JOURNAL_LOG_MAX, ret_text_bytes) &&
                get_number(object, "created", INT64_MAX, &ret_identity->created_s) &&
                get_text(object, "model", ret_identity->model, sizeof ret_identity->model) &&
                get_code(object, "finish", UMBEL_FINISH_OTHER, &ret_ending->finish) &&
                get_text(object, "word", ret_ending->finish_word, sizeof ret_ending->finish_word) &&
                get_code(object, "error", UMBEL_ERROR_POSITION, &ret_ending->error) &&
                get_text(object, "why", ret_ending->error_text, sizeof ret_ending->error_text) &&
                get_code(object, "usage", JOURNAL_USAGE_KNOWN | JOURNAL_USAGE_ESTIMATED, &ret_ending->usage_flags) &&
                get_number(object, "prompt", INT64_MAX, &ret_ending->prompt_tokens) &&
                get_number(object, "completion", INT64_MAX, &ret_ending->completion_tokens);

    umbel_json_free(object);
    return good;
}
