#include "core/config/config_plugin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config/config_bind.h"
#include "core/config/config_scan.h"
#include "core/config/config_value.h"

/* One option: where it stands (or its section, for a default), its rule, its values. */
struct given {
    struct config_load *load;
    const struct config_node *section, *node; /* node NULL: not in the file */
    const struct config_node *at;
    const struct config_rule *rule;
};

static int fill_list(const struct given *given, char **values, size_t count, struct config_value *value)
{
    uint32_t index;
    int r;

    if (!(value->list.items = calloc(count ? count : 1, sizeof *value->list.items)))
        return config_no_memory(given->load->why);
    for (size_t i = 0; i < count; i++, value->list.count++) {
        if (given->rule->choices && (r = config_value_choice(given->load, given->at, given->rule, values[i], &index)) < 0)
            return r;
        if (!(value->list.items[i] = strdup(values[i])))
            return config_no_memory(given->load->why);
    }
    return 0;
}

static int fill_secret(const struct given *given, const char *text, struct config_value *value)
{
    bool unset = false;
    int r = config_value_secret(given->load, given->at, given->rule, text, false, &value->text, &unset);

    if (r < 0 || !unset || !given->node)
        return r;
    if (given->rule->flags & UMBEL_OPTION_REQUIRED)
        return config_fail(given->load->why, given->at,
                           "%s: %s is empty or not set, expected %s, set the variable or use file:PATH", given->rule->name,
                           text[0] ? config_show(text).text : "\"\"", given->rule->help);
    if (text[0])
        config_load_warn(given->load, given->at, "%s: %s is not set and counts as empty, expected a value, set the variable",
                         given->rule->name, config_show(text).text);
    return 0;
}

static int fill_text(const struct given *given, const char *text, struct config_value *value)
{
    uint32_t index;
    int r;

    if (given->rule->choices && (given->node || text[0]) &&
        (r = config_value_choice(given->load, given->at, given->rule, text, &index)) < 0)
        return r;
    if ((given->rule->flags & UMBEL_OPTION_FILE) && text[0]) {
        value->file = true;
        return config_value_path(given->load, given->at, text, &value->text);
    }
    return (value->text = strdup(text)) ? 0 : config_no_memory(given->load->why);
}

static int fill_value(const struct given *given, char **values, size_t count, struct config_value *value)
{
    const char *text = count ? values[0] : "";
    bool yes = false;
    int r;

    switch (given->rule->kind) {
    case CONFIG_LIST:
        return fill_list(given, values, count, value);
    case CONFIG_SECRET:
        return fill_secret(given, text, value);
    case CONFIG_INTEGER:
        if (!given->node && !text[0])
            text = "0";
        return config_value_integer(given->load, given->at, given->rule, text, &value->integer);
    case CONFIG_BOOL:
        r = config_value_bool(given->load, given->at, given->rule, !given->node && !text[0] ? "false" : text, &yes);
        value->integer = yes;
        return r;
    default:
        return fill_text(given, text, value);
    }
}

/* A default stands in the manifest as it would in the file; only lists and quoted texts need reading as such. */
static int fill_default(const struct given *given, struct config_value *value)
{
    const char *text = given->rule->otherwise ? given->rule->otherwise : "";
    struct config_tree tree = {0};
    struct why why = {""};
    char line[1024], *plain = (char *)(uintptr_t)text;
    int n, r;

    if (given->rule->kind != CONFIG_LIST && text[0] != '"' && text[0] != '\'')
        return fill_value(given, &plain, 1, value);
    if (text[0] == '\0')
        return fill_value(given, NULL, 0, value);
    n = snprintf(line, sizeof line, "%s = %s", given->rule->name, text);
    if (n < 0 || (size_t)n >= sizeof line)
        return config_fail(given->load->why, given->at, "the default of %s is over 1 KiB, expected a short one, write %s = ...",
                           given->rule->name, given->rule->name);
    r = config_scan_text("default", given->at->file->directory, line, (size_t)n, &tree, &why);
    if (r == 0 && (tree.root.child_count != 1 || tree.root.children[0].section))
        r = -EINVAL;
    if (r == 0)
        r = config_bind(&tree.root.children[0], (struct config_rules){given->rule, 1}, &why);
    if (r == 0)
        r = fill_value(given, tree.root.children[0].values, tree.root.children[0].value_count, value);
    else
        config_fail(given->load->why, given->at,
                    "the plugin's default of %s cannot be read (%s), expected what could stand here, write %s = ...",
                    given->rule->name, config_show(text).text, given->rule->name);
    config_tree_clear(&tree);
    return r;
}

static int fill_sections(const struct given *given, struct config_value *value)
{
    struct config_rules rules = {given->rule->rules, given->rule->rule_count};
    size_t count = 0;

    for (size_t i = 0; i < given->section->child_count; i++)
        count += strcmp(given->section->children[i].name, given->rule->name) == 0;
    if (count == 0 && (given->rule->flags & UMBEL_OPTION_REQUIRED))
        return config_fail(given->load->why, given->at, "%s has no section %s, expected at least one: %s, write %s NAME { ... }",
                           config_label(given->section).text, given->rule->name, given->rule->help, given->rule->name);
    if (!(value->sections = calloc(count ? count : 1, sizeof *value->sections)))
        return config_no_memory(given->load->why);
    for (size_t i = 0; i < given->section->child_count; i++) {
        const struct config_node *child = &given->section->children[i];
        int r;
        if (strcmp(child->name, given->rule->name) != 0)
            continue;
        if ((r = config_plugin_fill(given->load, child, child->title, rules, &value->sections[value->section_count++])) < 0)
            return r;
    }
    return 0;
}

static int fill_option(const struct given *given, struct config_value *value)
{
    const struct config_rule *rule = given->rule;

    value->type = rule->kind;
    if (!(value->name = strdup(rule->name)))
        return config_no_memory(given->load->why);
    if (rule->kind == CONFIG_SECTION)
        return fill_sections(given, value);
    if ((rule->flags & UMBEL_OPTION_REQUIRED) && (!given->node || given->node->value_count == 0 || !given->node->values[0][0]))
        return config_fail(given->load->why, given->at, "%s has no %s, expected one: %s, write %s = %s",
                           config_label(given->section).text, rule->name, rule->help, rule->name,
                           rule->kind == CONFIG_SECRET ? "env:NAME or file:PATH" : "VALUE");
    if (given->node)
        return fill_value(given, given->node->values, given->node->value_count, value);
    return fill_default(given, value);
}

int config_plugin_fill(struct config_load *load, const struct config_node *node, const char *title, struct config_rules rules,
                       struct config_section *section)
{
    section->title = strdup(title ? title : "");
    section->values = calloc(rules.count ? rules.count : 1, sizeof *section->values);
    if (!section->title || !section->values)
        return config_no_memory(load->why);
    for (size_t i = 0; i < rules.count; i++) {
        const struct config_rule *rule = &rules.items[i];
        const struct config_node *option = rule->kind == CONFIG_SECTION ? NULL : config_node_find(node, rule->name);
        struct given given = {load, node, option, option ? option : node, rule};
        int r = fill_option(&given, &section->values[section->value_count++]);
        if (r < 0)
            return r;
    }
    return 0;
}
