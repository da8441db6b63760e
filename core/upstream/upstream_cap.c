#include "core/upstream/upstream_cap.h"

#include <string.h>

#include <umbel/json.h>

static const char *const names[] = {"max_tokens", "max_completion_tokens"};
#define NAMES (sizeof names / sizeof *names)

/* Behind the value or the name that begins here, in text that has been parsed. */
static const char *skip(const char *at)
{
    int depth = 0;

    for (;; at++) {
        if (*at == '"') {
            for (at++; *at != '"'; at++)
                at += *at == '\\';
            if (depth == 0)
                return at + 1;
        } else if (*at == '{' || *at == '[') {
            depth++;
        } else if (*at == '}' || *at == ']') {
            if (depth == 0)
                return at;
            if (--depth == 0)
                return at + 1;
        } else if (depth == 0 && strchr(",: \t\r\n", *at)) {
            return at;
        }
    }
}

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " \t\r\n");
}

static bool is_larger(const struct umbel_json *wish, uint32_t max_tokens)
{
    if (umbel_json_type(wish) == UMBEL_JSON_NULL)
        return true;
    return umbel_json_type(wish) == UMBEL_JSON_NUMBER && umbel_json_number(wish, 0) > max_tokens;
}

static bool is_limit(const char *name)
{
    for (size_t i = 0; i < NAMES; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static void put_object(const char *text, const struct umbel_json *object, uint32_t max_tokens, struct umbel_out *out)
{
    const char *at = strchr(text, '{') + 1;
    bool named = false, first = true;

    umbel_out_text(out, "{");
    for (const struct umbel_json *member = umbel_json_first(object); member; member = umbel_json_next(member)) {
        const char *name = skip_blanks(at), *colon = skip_blanks(skip(name)), *value = skip_blanks(colon + 1), *end = skip(value);
        bool limit = is_limit(umbel_json_name(member));

        umbel_out_text(out, first ? "" : ",");
        umbel_out_put(out, name, (size_t)(value - name));
        if (limit && is_larger(member, max_tokens))
            umbel_out_u64(out, max_tokens);
        else
            umbel_out_put(out, value, (size_t)(end - value));
        named = named || limit;
        first = false;
        at = skip_blanks(end) + 1; /* the comma; behind the last member nobody reads on */
    }
    if (!named)
        umbel_out_printf(out, "%s\"%s\":%u", first ? "" : ",", names[0], max_tokens);
    umbel_out_text(out, "}");
}

void upstream_cap_parameters(struct span parameters, uint32_t max_tokens, struct umbel_out *out)
{
    struct umbel_json *object;
    char words[64];

    if (parameters.size == 0) {
        umbel_out_printf(out, "{\"%s\":%u}", names[0], max_tokens);
        return;
    }
    object = umbel_json_parse(parameters.data, parameters.size, words, sizeof words);
    if (!object || umbel_json_type(object) != UMBEL_JSON_OBJECT) {
        umbel_out_put(out, parameters.data, parameters.size);
    } else {
        struct umbel_out text = {0};
        umbel_out_put(&text, parameters.data, parameters.size); /* with a zero behind it, for the walk */
        umbel_out_put(&text, "", 1);
        if (text.failed)
            out->failed = text.failed;
        else
            put_object(text.data, object, max_tokens, out);
        umbel_out_free(&text);
    }
    umbel_json_free(object);
}
