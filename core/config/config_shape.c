#include "core/config/config_shape.h"

#include <string.h>

#include "core/config/config_spell.h"

static int fail_unknown(const struct config_node *section, const struct config_node *child, struct config_rules rules, bool root,
                        struct why *why)
{
    struct config_spell spell;
    size_t count = 0;
    const struct config_section_rule *sections = config_sections(&count);
    const struct config_section_rule *known = config_section_rule_at_top(child->name);
    const struct config_section_rule *within = config_section_rule_within(child->name);

    if (!root && child->section && known)
        return config_fail(why, child,
                           "section %s inside %s (line %u), expected it at the top level, write the } that is missing before it",
                           child->name, config_label(section).text, section->line);
    if (root && within && child->section)
        return config_fail(why, child, "section %s in the top level, expected it inside a section %.*s, move it there", child->name,
                           (int)strcspn(within->name, "."), within->name);
    config_spell_begin(&spell, child->name);
    for (size_t i = 0; i < rules.count; i++)
        config_spell_offer(&spell, rules.items[i].name);
    for (size_t i = 0; root && i < count; i++)
        if (sections[i].name[0] && config_section_rule_at_top(sections[i].name))
            config_spell_offer(&spell, sections[i].name);
    return config_fail(why, child, "unknown %s %s in %s%s, expected one of %s, write one of these or take it out",
                       child->section ? "section" : "option", child->name, config_label(section).text,
                       config_spell_hint(&spell).text, spell.used ? spell.all : "nothing");
}

/* The same name, or for titled sections the same name and title, before this child. */
static int check_first(const struct config_node *section, size_t index, bool titled, struct why *why)
{
    const struct config_node *child = &section->children[index];

    for (size_t i = 0; i < index; i++) {
        const struct config_node *earlier = &section->children[i];
        if (strcmp(earlier->name, child->name) != 0 || (titled && strcmp(earlier->title, child->title) != 0))
            continue;
        return config_fail(why, child, "%s is there twice, expected it once (first at %s:%u), %s", config_label(child).text,
                           earlier->file->path, earlier->line, titled ? "write another title" : "write all of it in one place");
    }
    return 0;
}

/* A child that should be a section, with a title or without one. */
static int check_section(const struct config_node *child, bool titled, struct why *why)
{
    if (!child->section)
        return config_fail(why, child, "%s is a section, expected { after it, write %s%s { ... }", child->name, child->name,
                           titled ? " NAME" : "");
    if (titled && !child->title)
        return config_fail(why, child, "section %s has no title, expected a name before its {, write %s NAME { ... }",
                           child->name, child->name);
    if (!titled && child->title)
        return config_fail(why, child, "section %s has a title, expected none, write %s { ... }", child->name, child->name);
    return 0;
}

static int check_option(const struct config_node *child, const struct config_rule *rule, struct why *why)
{
    bool list = config_kind_is_list(rule->kind);

    if (child->section)
        return config_fail(why, child, "%s is an option, expected = after it, write %s = %s", child->name, child->name,
                           list ? "{ \"a\", \"b\" }" : "VALUE");
    if (child->braced && !list)
        return config_fail(why, child, "%s has a list as value, expected one %s, write %s = VALUE without braces", child->name,
                           config_kind_name(rule->kind), child->name);
    return 0;
}

int config_shape(const struct config_node *section, struct config_rules rules, struct why *why)
{
    for (size_t i = 0; i < section->child_count; i++) {
        const struct config_node *child = &section->children[i];
        const struct config_rule *rule = config_rule_find(rules, child->name);
        bool section_rule = rule && config_kind_is_section(rule->kind), titled = rule && rule->kind == CONFIG_SECTION;
        int r;

        if (!rule)
            return fail_unknown(section, child, rules, false, why);
        r = section_rule ? check_section(child, titled, why) : check_option(child, rule, why);
        if (r < 0 || (r = check_first(section, i, titled, why)) < 0)
            return r;
        if (section_rule && (r = config_shape(child, config_rules_below(rule), why)) < 0)
            return r;
    }
    return 0;
}

int config_shape_root(const struct config_tree *tree, struct why *why)
{
    const struct config_node *root = &tree->root;
    struct config_rules rules = config_rules_of("");

    for (size_t i = 0; i < root->child_count; i++) {
        const struct config_node *child = &root->children[i];
        const struct config_section_rule *section = config_section_rule_at_top(child->name);
        const struct config_rule *rule = config_rule_find(rules, child->name);
        int r;

        if (!section && !rule)
            return fail_unknown(root, child, rules, true, why);
        r = section ? check_section(child, section->titled, why) : check_option(child, rule, why);
        if (r < 0 || (r = check_first(root, i, section && section->titled, why)) < 0)
            return r;
    }
    return 0;
}
