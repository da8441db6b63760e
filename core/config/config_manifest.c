#include "core/config/config_manifest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <umbel/json.h>
#include <umbel/transport.h>

struct parse {
    const char *plugin;
    struct why *why;
};

static int read_options(const struct parse *parse, const struct umbel_json *array, uint32_t depth, struct config_rule *rules,
                        size_t *count);

static void free_rules(const struct config_rule *rules, size_t count)
{
    for (size_t i = 0; rules && i < count; i++) {
        if (rules[i].rules) {
            free_rules(rules[i].rules, rules[i].rule_count);
            free((void *)(uintptr_t)rules[i].rules);
        }
    }
}

static int fail_option(const struct parse *parse, const char *name, const char *fault)
{
    return why_set(parse->why, -EINVAL,
                   "plugin %s has a wrong manifest: option %s %s, expected the table of umbel/config.h, rebuild the plugin",
                   parse->plugin, name, fault);
}

static bool is_option_name(const char *name)
{
    return name[0] && strlen(name) < 64 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name);
}

static int read_section(const struct parse *parse, const struct umbel_json *option, uint32_t depth, struct config_rule *rule)
{
    const struct umbel_json *array = umbel_json_member(option, "section");
    size_t size = umbel_json_count(array);
    struct config_rule *rules;
    int r;

    if (umbel_json_type(array) != UMBEL_JSON_ARRAY || size > CONFIG_MANIFEST_OPTIONS_MAX || depth >= CONFIG_MANIFEST_DEPTH_MAX)
        return fail_option(parse, rule->name, "is a section without options, with over 256, or over 4 deep");
    if (!(rules = calloc(size + 1, sizeof *rules)))
        return why_set(parse->why, -ENOMEM, "out of memory");
    rule->rules = rules;
    r = read_options(parse, array, depth + 1, rules, &rule->rule_count);
    return r;
}

static int read_option(const struct parse *parse, const struct umbel_json *option, uint32_t depth, struct config_rule *rule)
{
    int64_t type = umbel_json_member_integer(option, "type", 0);

    *rule = (struct config_rule){
        .section = "transport",
        .name = umbel_json_member_text(option, "name", ""),
        .otherwise = umbel_json_member_text(option, "default", ""),
        .choices = umbel_json_member_text(option, "choices", ""),
        .min = umbel_json_member_integer(option, "min", 0),
        .max = umbel_json_member_integer(option, "max", 0),
        .unit = "",
        .help = umbel_json_member_text(option, "help", ""),
    };
    if (umbel_json_bool(umbel_json_member(option, "required"), 0))
        rule->flags = UMBEL_OPTION_REQUIRED;
    if (umbel_json_bool(umbel_json_member(option, "file"), 0))
        rule->flags |= UMBEL_OPTION_FILE;
    if (!rule->choices[0])
        rule->choices = NULL;
    if (!is_option_name(rule->name))
        return fail_option(parse, "?", "has no name of a-z, 0-9 and _");
    if (type < UMBEL_OPTION_TEXT || type > UMBEL_OPTION_SECTION)
        return fail_option(parse, rule->name, "has an unknown type");
    if (rule->min > rule->max)
        return fail_option(parse, rule->name, "has min over max");
    rule->kind = (uint32_t)type;
    return type == UMBEL_OPTION_SECTION ? read_section(parse, option, depth, rule) : 0;
}

/* Fills rules[*count...]; room for all of array is there.  *count grows as it goes, so what was read can be freed after an error.
 */
static int read_options(const struct parse *parse, const struct umbel_json *array, uint32_t depth, struct config_rule *rules,
                        size_t *count)
{
    for (const struct umbel_json *option = umbel_json_first(array); option; option = umbel_json_next(option)) {
        struct config_rule *rule = &rules[*count];
        int r = read_option(parse, option, depth, rule);

        for (size_t i = 0; r == 0 && i < *count; i++)
            if (strcmp(rules[i].name, rule->name) == 0)
                r = fail_option(parse, rule->name, "is declared twice or belongs to the core");
        ++*count;
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_manifest(const struct parse *parse, struct config_manifest *manifest)
{
    const struct umbel_json *options = umbel_json_member(manifest->json, "options");
    struct config_rules common = config_rules_of("transport");
    size_t size = umbel_json_count(options);

    if (strcmp(umbel_json_member_text(manifest->json, "name", ""), parse->plugin) != 0)
        return why_set(parse->why, -EINVAL, "plugin %s calls itself \"%.64s\", expected the name of its file, rename one of them",
                       parse->plugin, umbel_json_member_text(manifest->json, "name", ""));
    if (umbel_json_type(options) != UMBEL_JSON_ARRAY || size > CONFIG_MANIFEST_OPTIONS_MAX)
        return why_set(parse->why, -EINVAL,
                       "plugin %s has no list of options or over 256, expected the table of umbel/config.h, rebuild it",
                       parse->plugin);
    if (!(manifest->rules = calloc(common.count + size, sizeof *manifest->rules)))
        return why_set(parse->why, -ENOMEM, "out of memory");
    memcpy(manifest->rules, common.items, common.count * sizeof *manifest->rules);
    manifest->count = manifest->common = common.count;
    manifest->needs = (uint32_t)umbel_json_member_integer(manifest->json, "needs", 0);
    manifest->outbound = manifest->needs & UMBEL_NEEDS_OUTBOUND;
    return read_options(parse, options, 0, manifest->rules, &manifest->count);
}

int config_manifest_parse(const char *plugin, const char *text, struct config_manifest *ret_manifest, struct why *why)
{
    struct parse parse = {plugin, why};
    struct config_manifest manifest = {0};
    char fault[160] = "";
    int r;

    manifest.json = umbel_json_parse(text, strlen(text), fault, sizeof fault);
    if (!manifest.json)
        return why_set(why, -EINVAL, "plugin %s has a wrong manifest (%s), expected JSON, rebuild the plugin", plugin, fault);
    if ((r = read_manifest(&parse, &manifest)) < 0) {
        config_manifest_clear(&manifest);
        return r;
    }
    *ret_manifest = manifest;
    return 0;
}

void config_manifest_clear(struct config_manifest *manifest)
{
    free_rules(manifest->rules, manifest->count);
    free(manifest->rules);
    umbel_json_free(manifest->json);
    *manifest = (struct config_manifest){0};
}
