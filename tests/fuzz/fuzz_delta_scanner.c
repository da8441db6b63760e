/* Fuzz: whatever the delta scanner takes, the JSON reader takes too and reads alike. */
#include "core/json/json_read.h"
#include "core/parse/delta_scanner.h"
#include "tests/fuzz/pieces.h"

static bool usage_equal(const struct delta_usage *a, const struct delta_usage *b)
{
    return a->seen == b->seen && a->prompt_tokens == b->prompt_tokens && a->completion_tokens == b->completion_tokens;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct umbel_out scratch;
    struct umbel_json *value = NULL;
    struct delta_chunk fast, slow;
    struct delta_rest rest;

    if (!delta_scan((const char *)data, size, &scratch, &fast))
        return 0;
    REQUIRE(json_read((const char *)data, size, true, &value, NULL) == 0);
    REQUIRE(umbel_json_type(value) == UMBEL_JSON_OBJECT);
    delta_read(value, true, &slow, &rest);
    REQUIRE(span_equal(fast.text, slow.text));
    for (int i = 0; i < DELTA_THINKING_COUNT; i++)
        REQUIRE(span_equal(fast.thinking[i], slow.thinking[i]));
    REQUIRE(!fast.finish.data == !slow.finish.data && span_equal(fast.finish, slow.finish));
    REQUIRE(usage_equal(&fast.usage, &slow.usage) && usage_equal(&fast.choice_usage, &slow.choice_usage));
    REQUIRE(!rest.tool_calls || umbel_json_count(rest.tool_calls) == 0);
    REQUIRE(!rest.function_call && !rest.error && !rest.error_object && !rest.error_bare && rest.other_choices == 0);
    umbel_json_free(value);
    return 0;
}
