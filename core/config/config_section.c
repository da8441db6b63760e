/* A plugin's options and values as JSON: from the plugin to the core (the table), from the core to the host (the values). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <umbel/json.h>
#include <umbel/out.h>

#include "core/config/config.h"

#define SECTION_DEPTH_MAX 8 /* deeper than any checked table */

static void put_text(struct umbel_out *out, const char *member, const char *text)
{
    umbel_out_printf(out, ",\"%s\":", member);
    umbel_out_json(out, text ? text : "", text ? strlen(text) : 0);
}

static void put_list(const struct config_list *list, struct umbel_out *out)
{
    umbel_out_text(out, ",\"list\":[");
    for (size_t i = 0; i < list->count; i++) {
        umbel_out_text(out, i ? "," : "");
        umbel_out_json(out, list->items[i], strlen(list->items[i]));
    }
    umbel_out_text(out, "]");
}

static void put_value(const struct config_value *value, struct umbel_out *out)
{
    umbel_out_printf(out, "{\"type\":%u", value->type);
    put_text(out, "name", value->name);
    switch (value->type) {
    case UMBEL_OPTION_INTEGER:
    case UMBEL_OPTION_BOOL:
        umbel_out_printf(out, ",\"integer\":%lld", (long long)value->integer);
        break;
    case UMBEL_OPTION_LIST:
        put_list(&value->list, out);
        break;
    case UMBEL_OPTION_SECTION:
        umbel_out_text(out, ",\"sections\":[");
        for (size_t i = 0; i < value->section_count; i++) {
            umbel_out_text(out, i ? "," : "");
            config_section_json(&value->sections[i], out);
        }
        umbel_out_text(out, "]");
        break;
    default:
        put_text(out, "text", value->text);
    }
    umbel_out_text(out, "}");
}

void config_section_json(const struct config_section *section, struct umbel_out *out)
{
    umbel_out_text(out, "{\"title\":");
    umbel_out_json(out, section->title ? section->title : "", section->title ? strlen(section->title) : 0);
    umbel_out_text(out, ",\"values\":[");
    for (size_t i = 0; i < section->value_count; i++) {
        umbel_out_text(out, i ? "," : "");
        put_value(&section->values[i], out);
    }
    umbel_out_text(out, "]}");
}

static int parse_section(const struct umbel_json *json, int depth, struct config_section *section);

static int take_text(const struct umbel_json *json, char **to)
{
    const char *text = umbel_json_text(json, NULL);

    if (!text)
        return -EINVAL;
    return (*to = strdup(text)) ? 0 : -ENOMEM;
}

static int parse_list(const struct umbel_json *array, struct config_list *list)
{
    int r;

    if (umbel_json_type(array) != UMBEL_JSON_ARRAY)
        return -EINVAL;
    if (!(list->items = calloc(umbel_json_count(array) + 1, sizeof *list->items)))
        return -ENOMEM;
    for (const struct umbel_json *item = umbel_json_first(array); item; item = umbel_json_next(item), list->count++)
        if ((r = take_text(item, &list->items[list->count])) < 0)
            return r;
    return 0;
}

static int parse_sections(const struct umbel_json *array, int depth, struct config_value *value)
{
    int r;

    if (umbel_json_type(array) != UMBEL_JSON_ARRAY || depth >= SECTION_DEPTH_MAX)
        return -EINVAL;
    if (!(value->sections = calloc(umbel_json_count(array) + 1, sizeof *value->sections)))
        return -ENOMEM;
    for (const struct umbel_json *item = umbel_json_first(array); item; item = umbel_json_next(item))
        if ((r = parse_section(item, depth + 1, &value->sections[value->section_count++])) < 0)
            return r;
    return 0;
}

static int parse_value(const struct umbel_json *json, int depth, struct config_value *value)
{
    const struct umbel_json *integer = umbel_json_member(json, "integer");
    int64_t type = umbel_json_member_integer(json, "type", 0);
    int r = take_text(umbel_json_member(json, "name"), &value->name);

    if (r < 0)
        return r;
    value->type = type > 0 && type <= UMBEL_OPTION_SECTION ? (uint32_t)type : 0;
    switch (value->type) {
    case UMBEL_OPTION_TEXT:
    case UMBEL_OPTION_SECRET:
        return take_text(umbel_json_member(json, "text"), &value->text);
    case UMBEL_OPTION_INTEGER:
    case UMBEL_OPTION_BOOL:
        value->integer = umbel_json_integer(integer, 0);
        return umbel_json_integer(integer, 0) == umbel_json_integer(integer, 1) ? 0 : -EINVAL; /* unequal: not a whole number */
    case UMBEL_OPTION_LIST:
        return parse_list(umbel_json_member(json, "list"), &value->list);
    case UMBEL_OPTION_SECTION:
        return parse_sections(umbel_json_member(json, "sections"), depth, value);
    default:
        return -EINVAL;
    }
}

/* On an error *section holds what was read, to be freed by the caller of all. */
static int parse_section(const struct umbel_json *json, int depth, struct config_section *section)
{
    const struct umbel_json *values = umbel_json_member(json, "values");
    int r = take_text(umbel_json_member(json, "title"), &section->title);

    if (r < 0)
        return r;
    if (umbel_json_type(values) != UMBEL_JSON_ARRAY)
        return -EINVAL;
    if (!(section->values = calloc(umbel_json_count(values) + 1, sizeof *section->values)))
        return -ENOMEM;
    for (const struct umbel_json *item = umbel_json_first(values); item; item = umbel_json_next(item))
        if ((r = parse_value(item, depth, &section->values[section->value_count++])) < 0)
            return r;
    return 0;
}

int config_section_parse(const struct umbel_json *json, struct config_section *ret_section)
{
    struct config_section section = {0};
    int r = parse_section(json, 0, &section);

    if (r < 0) {
        config_section_free(&section);
        return r;
    }
    *ret_section = section;
    return 0;
}

const struct config_value *config_section_find(const struct config_section *section, const char *name)
{
    for (size_t i = 0; section && i < section->value_count; i++)
        if (strcmp(section->values[i].name, name) == 0)
            return &section->values[i];
    return NULL;
}

/* JSON readers keep whole numbers within 2^53; a plugin that means "no limit" by INT64_MAX gets that. */
static long long json_bound(int64_t value)
{
    const int64_t limit = (int64_t)1 << 53;

    return value > limit ? limit : value < -limit ? -limit : value;
}

void config_options_json(const struct umbel_option *options, size_t count, struct umbel_out *out)
{
    umbel_out_text(out, "[");
    for (size_t i = 0; i < count; i++) {
        const struct umbel_option *option = &options[i];
        umbel_out_printf(out, "%s{\"type\":%u,\"required\":%s,\"min\":%lld,\"max\":%lld", i ? "," : "", option->type,
                         option->flags & UMBEL_OPTION_REQUIRED ? "true" : "false", json_bound(option->min),
                         json_bound(option->max));
        if (option->flags & UMBEL_OPTION_FILE)
            umbel_out_text(out, ",\"file\":true");
        put_text(out, "name", option->name);
        put_text(out, "default", option->otherwise);
        put_text(out, "choices", option->choices);
        put_text(out, "help", option->help);
        if (option->type == UMBEL_OPTION_SECTION) {
            umbel_out_text(out, ",\"section\":");
            config_options_json(option->section, option->section_count, out);
        }
        umbel_out_text(out, "}");
    }
    umbel_out_text(out, "]");
}
