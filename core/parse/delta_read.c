#include "core/parse/delta.h"

static struct span text_member(const struct umbel_json *object, const char *name)
{
    struct span text = {NULL, 0};

    text.data = umbel_json_text(umbel_json_member(object, name), &text.size);
    return text;
}

static bool count_member(const struct umbel_json *object, const char *name, const char *other_name, uint64_t *ret_count)
{
    int64_t count = umbel_json_member_integer(object, name, -1);

    if (count < 0)
        count = umbel_json_member_integer(object, other_name, -1);
    if (count < 0)
        return false;
    *ret_count = (uint64_t)count;
    return true;
}

static struct delta_usage read_usage(const struct umbel_json *object)
{
    const struct umbel_json *member = umbel_json_member(object, "usage");
    struct delta_usage usage = {0};
    bool prompt = count_member(member, "prompt_tokens", "input_tokens", &usage.prompt_tokens);
    bool completion = count_member(member, "completion_tokens", "output_tokens", &usage.completion_tokens);

    usage.seen = prompt || completion;
    return usage;
}

static const struct umbel_json *typed_member(const struct umbel_json *object, const char *name, int type)
{
    const struct umbel_json *member = umbel_json_member(object, name);

    return umbel_json_type(member) == type ? member : NULL;
}

static void read_choice(const struct umbel_json *choice, bool message_too, struct delta_chunk *chunk, struct delta_rest *rest)
{
    static const char *const thinking[] = {"reasoning_content", "reasoning", "thinking"};
    const struct umbel_json *delta = typed_member(choice, "delta", UMBEL_JSON_OBJECT);

    if (!delta && message_too)
        delta = typed_member(choice, "message", UMBEL_JSON_OBJECT);
    chunk->finish = text_member(choice, "finish_reason");
    chunk->choice_usage = read_usage(choice);
    chunk->text = text_member(delta, "content");
    if (chunk->text.size == 0)
        chunk->text = text_member(delta, "refusal"); /* the model declines in words of its own: they are the answer */
    for (int i = 0; i < DELTA_THINKING_COUNT; i++)
        chunk->thinking[i] = text_member(delta, thinking[i]);
    rest->tool_calls = typed_member(delta, "tool_calls", UMBEL_JSON_ARRAY);
    rest->function_call = typed_member(delta, "function_call", UMBEL_JSON_OBJECT);
}

static const struct umbel_json *read_error(const struct umbel_json *object)
{
    const struct umbel_json *error = umbel_json_member(object, "error");
    size_t size = 0;

    umbel_json_text(error, &size);
    return size > 0 || (umbel_json_type(error) == UMBEL_JSON_OBJECT && umbel_json_count(error) > 0) ? error : NULL;
}

/* A code of zero, 200 or nothing is how some services say that all is well. */
static bool is_error_code(const struct umbel_json *code)
{
    const char *text = umbel_json_text(code, NULL);
    int64_t number = umbel_json_integer(code, 0);

    return text ? text[0] != '\0' && strcmp(text, "0") != 0 && strcmp(text, "200") != 0 : number != 0 && number != 200;
}

void delta_read(const struct umbel_json *object, bool message_too, struct delta_chunk *ret_chunk, struct delta_rest *ret_rest)
{
    const struct umbel_json *choices = typed_member(object, "choices", UMBEL_JSON_ARRAY);
    bool taken = false;

    *ret_chunk = (struct delta_chunk){0};
    *ret_rest = (struct delta_rest){0};
    for (const struct umbel_json *choice = umbel_json_first(choices); choice; choice = umbel_json_next(choice)) {
        if (umbel_json_type(choice) != UMBEL_JSON_OBJECT)
            continue;
        if (taken || umbel_json_member_integer(choice, "index", 0) != 0) {
            ret_rest->other_choices++;
            continue;
        }
        taken = true;
        read_choice(choice, message_too, ret_chunk, ret_rest);
    }
    ret_chunk->usage = read_usage(object);
    ret_rest->error = read_error(object);
    ret_rest->error_object = span_is(text_member(object, "object"), "error");
    ret_rest->error_bare = !choices && is_error_code(umbel_json_member(object, "code")) && text_member(object, "message").size > 0;
}
