/* openai-api/openai_whole.c - an answer collected and sent in one piece ("stream": false). */
#include "openai.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <umbel/json.h>

static void put(struct openai_whole *whole, struct umbel_out *to, const char *bytes, size_t size)
{
    to->limit = OPENAI_WHOLE_MAX;
    umbel_out_put(to, bytes, size);
    if (to->failed)
        whole->failed = to->failed;
}

/* The call a fragment belongs to: by its index, else the newest, or a new one if it brings an id. */
static struct openai_tool *find_tool(struct openai_whole *whole, const struct umbel_json *fragment)
{
    bool fresh = umbel_json_member(fragment, "id") != NULL || whole->tool_count == 0;
    int64_t index = umbel_json_member_integer(fragment, "index", (int64_t)whole->tool_count - !fresh);

    if (index < 0 || index >= OPENAI_TOOLS_MAX)
        return NULL;
    if ((uint64_t)index >= whole->tool_count) {
        struct openai_tool *tools = realloc(whole->tools, ((size_t)index + 1) * sizeof *tools);
        if (!tools)
            return NULL;
        memset(tools + whole->tool_count, 0, ((size_t)index + 1 - whole->tool_count) * sizeof *tools);
        whole->tools = tools;
        whole->tool_count = (uint32_t)index + 1;
    }
    return &whole->tools[index];
}

static void take_tool(struct openai_whole *whole, const struct umbel_event *event)
{
    char why[160];
    struct umbel_json *fragment = umbel_json_parse(event->data, event->size, why, sizeof why);
    struct openai_tool *tool = fragment ? find_tool(whole, fragment) : NULL;
    const struct umbel_json *function = umbel_json_member(fragment, "function");

    if (!tool) {
        whole->failed = -EMSGSIZE;
    } else {
        const char *id = umbel_json_member_text(fragment, "id", ""), *name = umbel_json_member_text(function, "name", "");
        size_t size = 0;
        const char *arguments = umbel_json_text(umbel_json_member(function, "arguments"), &size);
        if (*id && tool->id.size == 0)
            put(whole, &tool->id, id, strlen(id));
        if (*name)
            put(whole, &tool->name, name, strlen(name));
        if (arguments)
            put(whole, &tool->arguments, arguments, size);
    }
    umbel_json_free(fragment);
}

void openai_whole_take(struct openai_whole *whole, const struct umbel_event *event)
{
    switch (event->kind) {
    case UMBEL_EVENT_TEXT:
        put(whole, &whole->text, event->data, event->size);
        break;
    case UMBEL_EVENT_REASONING:
        put(whole, &whole->reasoning, event->data, event->size);
        break;
    case UMBEL_EVENT_TOOL:
        take_tool(whole, event);
        break;
    default:
        break;
    }
}

void openai_whole_free(struct openai_whole *whole)
{
    for (uint32_t i = 0; i < whole->tool_count; i++) {
        umbel_out_free(&whole->tools[i].id);
        umbel_out_free(&whole->tools[i].name);
        umbel_out_free(&whole->tools[i].arguments);
    }
    free(whole->tools);
    umbel_out_free(&whole->text);
    umbel_out_free(&whole->reasoning);
}

const char *openai_finish_word(const struct umbel_http_ending *ending)
{
    switch (ending->verdict == UMBEL_VERDICT_CANCELLED ? UMBEL_FINISH_STOP : ending->finish) {
    case UMBEL_FINISH_LENGTH:
        return "length";
    case UMBEL_FINISH_FILTER:
        return "content_filter";
    case UMBEL_FINISH_TOOL:
        return "tool_calls";
    case UMBEL_FINISH_OTHER:
        return *ending->finish_word ? ending->finish_word : "stop";
    default:
        return "stop";
    }
}

void openai_usage(const struct umbel_http_ending *ending, struct umbel_out *out)
{
    umbel_out_printf(out, "{\"prompt_tokens\":%llu,\"completion_tokens\":%llu,\"total_tokens\":%llu}",
                     (unsigned long long)ending->prompt_tokens, (unsigned long long)ending->completion_tokens,
                     (unsigned long long)(ending->prompt_tokens + ending->completion_tokens));
}

static void put_member(struct umbel_out *out, const char *name, const struct umbel_out *text)
{
    umbel_out_printf(out, "\"%s\":", name);
    umbel_out_json(out, text->size ? text->data : "", text->size);
}

static void put_tools(const struct openai_whole *whole, struct umbel_out *out)
{
    umbel_out_text(out, ",\"tool_calls\":[");
    for (uint32_t i = 0; i < whole->tool_count; i++) {
        const struct openai_tool *tool = &whole->tools[i];
        umbel_out_text(out, i ? ",{" : "{");
        put_member(out, "id", &tool->id);
        umbel_out_text(out, ",\"type\":\"function\",\"function\":{");
        put_member(out, "name", &tool->name);
        umbel_out_text(out, ",");
        put_member(out, "arguments", &tool->arguments);
        umbel_out_text(out, "}}");
    }
    umbel_out_text(out, "]");
}

void openai_whole_put(const struct openai_whole *whole, const struct umbel_stream *stream, const struct umbel_http_ending *ending,
                      struct umbel_out *out)
{
    const char *word = openai_finish_word(ending);

    umbel_out_text(out, "{\"id\":\"");
    umbel_out_text(out, stream->id);
    umbel_out_text(out, "\",\"object\":\"chat.completion\",\"created\":");
    umbel_out_u64(out, stream->created);
    umbel_out_text(out, ",\"model\":");
    umbel_out_json(out, stream->model, strlen(stream->model));
    umbel_out_text(out, ",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",");
    if (whole->text.size == 0 && whole->tool_count)
        umbel_out_text(out, "\"content\":null");
    else
        put_member(out, "content", &whole->text);
    if (whole->reasoning.size) {
        umbel_out_text(out, ",");
        put_member(out, "reasoning_content", &whole->reasoning);
    }
    if (whole->tool_count)
        put_tools(whole, out);
    umbel_out_text(out, ",\"refusal\":null},\"logprobs\":null,\"finish_reason\":");
    umbel_out_json(out, word, strlen(word));
    umbel_out_text(out, "}]");
    if (ending->usage) {
        umbel_out_text(out, ",\"usage\":");
        openai_usage(ending, out);
    }
    umbel_out_text(out, "}");
}
