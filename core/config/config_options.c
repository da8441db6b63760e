#include "core/config/config_options.h"

#include <stdio.h>
#include <string.h>

#include <umbel/out.h>

#include "core/config/config.h"

static const struct config_section_rule section_rules[] = {
#define SECTION(name, titled, help) {name, titled, help},
#include "core/config/config_options.def"
};

static const struct config_rule option_rules[] = {
#define OPTION(section, name, kind, flags, object, member, otherwise, choices, min, max, unit, help)                             \
    {section, name, kind, flags, otherwise, choices, min, max, unit, help, offsetof(struct object, member), NULL, 0},
#include "core/config/config_options.def"
};

const struct config_section_rule *config_sections(size_t *ret_count)
{
    *ret_count = sizeof section_rules / sizeof section_rules[0];
    return section_rules;
}

const struct config_section_rule *config_section_rule_find(const char *name)
{
    for (size_t i = 0; i < sizeof section_rules / sizeof section_rules[0]; i++)
        if (strcmp(section_rules[i].name, name) == 0)
            return &section_rules[i];
    return NULL;
}

const struct config_section_rule *config_section_rule_at_top(const char *name)
{
    return strchr(name, '.') ? NULL : config_section_rule_find(name);
}

const struct config_section_rule *config_section_rule_within(const char *name)
{
    for (size_t i = 0; i < sizeof section_rules / sizeof section_rules[0]; i++) {
        const char *dot = strchr(section_rules[i].name, '.');
        if (dot && strcmp(dot + 1, name) == 0)
            return &section_rules[i];
    }
    return NULL;
}

/* The rows of a section stand together. */
struct config_rules config_rules_of(const char *section)
{
    struct config_rules rules = {NULL, 0};

    for (size_t i = 0; i < sizeof option_rules / sizeof option_rules[0]; i++) {
        if (strcmp(option_rules[i].section, section) != 0)
            continue;
        if (!rules.items)
            rules.items = &option_rules[i];
        rules.count++;
    }
    return rules;
}

struct config_rules config_rules_below(const struct config_rule *rule)
{
    char name[64];

    if (rule->kind != CONFIG_BLOCK)
        return (struct config_rules){rule->rules, rule->rule_count};
    snprintf(name, sizeof name, "%s.%s", rule->section, rule->name);
    return config_rules_of(name);
}

const struct config_rule *config_rule_find(struct config_rules rules, const char *name)
{
    for (size_t i = 0; i < rules.count; i++)
        if (strcmp(rules.items[i].name, name) == 0)
            return &rules.items[i];
    return NULL;
}

const char *config_kind_name(uint32_t kind)
{
    switch (kind) {
    case CONFIG_INTEGER:
    case CONFIG_POWER:
        return "integer";
    case CONFIG_BOOL:
        return "boolean";
    case CONFIG_SECRET:
        return "secret";
    case CONFIG_LIST:
    case CONFIG_ADDRESSES:
    case CONFIG_KEYS:
        return "list";
    case CONFIG_SECTION:
    case CONFIG_BLOCK:
        return "section";
    case CONFIG_SWITCH:
    case CONFIG_INDEX:
        return "word";
    case CONFIG_PATH:
    case CONFIG_SINK:
        return "path";
    case CONFIG_URL:
    case CONFIG_PROXY:
        return "URL";
    case CONFIG_ADDRESS:
        return "address";
    default:
        return "text";
    }
}

bool config_kind_is_list(uint32_t kind)
{
    return kind == CONFIG_LIST || kind == CONFIG_ADDRESSES || kind == CONFIG_KEYS;
}

bool config_kind_is_section(uint32_t kind)
{
    return kind == CONFIG_SECTION || kind == CONFIG_BLOCK;
}

static void put_type(const struct config_rule *rule, struct umbel_out *out)
{
    if (!rule->choices || !rule->choices[0]) {
        umbel_out_text(out, config_kind_name(rule->kind));
        if (rule->min || rule->max)
            umbel_out_printf(out, " %lld to %lld", (long long)rule->min, (long long)rule->max);
        return;
    }
    for (const char *at = rule->choices; *at; at++) /* a bare | would end the column */
        umbel_out_put(out, *at == '|' ? ", " : at, *at == '|' ? 2 : 1);
}

void config_rules_markdown(const char *section, struct umbel_out *out)
{
    struct config_rules rules = config_rules_of(section);

    umbel_out_text(out, "| option | type | default | unit | meaning |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < rules.count; i++) {
        const struct config_rule *rule = &rules.items[i];
        umbel_out_printf(out, "| `%s` | ", rule->name);
        put_type(rule, out);
        if (rule->flags & UMBEL_OPTION_REQUIRED)
            umbel_out_text(out, " | required | ");
        else if (config_kind_is_section(rule->kind))
            umbel_out_text(out, " | `{}` | ");
        else if (rule->otherwise[0])
            umbel_out_printf(out, " | `%s` | ", rule->otherwise);
        else
            umbel_out_text(out, config_kind_is_list(rule->kind) ? " | `{}` | " : " | `\"\"` | ");
        umbel_out_printf(out, "%s | %s |\n", rule->unit, rule->help);
    }
}
