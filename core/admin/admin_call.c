#include "core/admin/admin_call.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *admin_argument(const struct umbel_json *arguments, size_t index)
{
    const struct umbel_json *each = umbel_json_first(arguments);

    for (size_t i = 0; i < index && each; i++)
        each = umbel_json_next(each);
    return umbel_json_text(each, NULL);
}

const char *admin_option_value(const struct umbel_json *arguments, const char *name)
{
    const struct umbel_json *each = umbel_json_first(arguments), *last = NULL;

    for (; each; each = umbel_json_next(each))
        last = each;
    return umbel_json_member_text(last, name, NULL);
}

static int check_options(const struct admin_command *command, const struct umbel_json *options, struct why *why)
{
    for (const struct umbel_json *each = umbel_json_first(options); each; each = umbel_json_next(each)) {
        const char *name = umbel_json_name(each);

        if (!admin_option_named(command->id, name, strlen(name)))
            return why_set(why, -EINVAL, "%s has no option --%.64s", command->words, name);
        if (umbel_json_type(each) != UMBEL_JSON_STRING)
            return why_set(why, -EINVAL, "the value of --%.64s is no string", name);
    }
    return 0;
}

static int check_arguments(const struct admin_command *command, const struct umbel_json *arguments, struct why *why)
{
    size_t words = 0;

    for (const struct umbel_json *each = umbel_json_first(arguments); each; each = umbel_json_next(each)) {
        int type = umbel_json_type(each);

        if (type == UMBEL_JSON_STRING) {
            words++;
        } else if (type == UMBEL_JSON_OBJECT && !umbel_json_next(each)) {
            int r = check_options(command, each, why);
            if (r < 0)
                return r;
        } else {
            return why_set(why, -EINVAL, "arguments are strings, and at the end one object with the options");
        }
    }
    if (words < command->min || words > command->max)
        return why_set(why, -EINVAL, "%s takes %u%s%.0u argument%s, not %zu", command->words, command->min,
                       command->max > command->min ? " to " : "", command->max > command->min ? command->max : 0,
                       command->max == 1 ? "" : "s", words);
    return 0;
}

int admin_call_read(const char *line, size_t size, struct admin_call *ret_call, struct why *why, char *ret_hint)
{
    struct admin_call call = {0};
    char text[200];
    const char *name;
    int r;

    ret_hint[0] = '\0';
    call.json = umbel_json_parse(line, size, text, sizeof text);
    if (!call.json)
        return why_set(why, -EBADMSG, "the request is not JSON: %s", text);
    name = umbel_json_member_text(call.json, "command", NULL);
    call.arguments = umbel_json_member(call.json, "arguments");
    if (!name || (call.arguments && umbel_json_type(call.arguments) != UMBEL_JSON_ARRAY)) {
        snprintf(ret_hint, WHY_MAX, "write {\"command\":\"stream cancel\",\"arguments\":[\"chatcmpl-...\"]}");
        r = why_set(why, -EBADMSG, "a request is an object with a string \"command\" and an array \"arguments\"");
        goto fail;
    }
    call.command = admin_command_named(name);
    if (!call.command || call.command->role != ADMIN_OPERATE) {
        const struct admin_command *near = call.command ? NULL : admin_command_nearest(name);

        if (near)
            snprintf(ret_hint, WHY_MAX, "did you mean %s?", near->words);
        r = call.command ? why_set(why, -ENOENT, "%s is answered by umbelctl itself, not by the daemon", call.command->words)
                         : why_set(why, -ENOENT, "unknown command: %.64s", name);
        goto fail;
    }
    r = check_arguments(call.command, call.arguments, why);
    if (r < 0) {
        snprintf(ret_hint, WHY_MAX, "umbelctl %s %s", call.command->words, call.command->arguments);
        goto fail;
    }
    *ret_call = call;
    return 0;
fail:
    umbel_json_free(call.json);
    return r;
}

void admin_call_write(struct umbel_out *out, const char *command, char *const *arguments, size_t argument_count,
                      const char *const *option_names, const char *const *option_values, size_t option_count)
{
    umbel_out_text(out, "{\"command\":");
    umbel_out_json(out, command, strlen(command));
    umbel_out_text(out, ",\"arguments\":[");
    for (size_t i = 0; i < argument_count; i++) {
        umbel_out_text(out, i ? "," : "");
        umbel_out_json(out, arguments[i], strlen(arguments[i]));
    }
    for (size_t i = 0; i < option_count; i++) {
        umbel_out_text(out, i ? "," : argument_count ? ",{" : "{");
        umbel_out_json(out, option_names[i], strlen(option_names[i]));
        umbel_out_text(out, ":");
        umbel_out_json(out, option_values[i], strlen(option_values[i]));
    }
    umbel_out_text(out, option_count ? "}]}\n" : "]}\n");
}
