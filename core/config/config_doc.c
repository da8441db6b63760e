#include "core/config/config_doc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <umbel/out.h>

#include "core/config/config_manifest.h"
#include "core/config/config_options.h"
#include "core/config/config_spell.h"

struct writing {
    struct umbel_out *out;
    bool json;
    size_t count; /* JSON objects so far */
};

static const char *default_of(const struct config_rule *rule)
{
    if (rule->otherwise && rule->otherwise[0])
        return rule->otherwise;
    return config_kind_is_list(rule->kind) ? "{}" : config_kind_is_section(rule->kind) ? "" : "\"\"";
}

static void put_member(struct umbel_out *out, const char *name, const char *text)
{
    umbel_out_printf(out, "\"%s\":", name);
    umbel_out_json(out, text, strlen(text));
    umbel_out_text(out, ",");
}

static void put_choices(struct umbel_out *out, const char *choices)
{
    umbel_out_text(out, "\"choices\":[");
    for (const char *at = choices; at && *at;) {
        size_t size = strcspn(at, "|");
        umbel_out_text(out, at == choices ? "" : ",");
        umbel_out_json(out, at, size);
        at += size + (at[size] == '|');
    }
    umbel_out_text(out, "],");
}

static void put_json(struct writing *writing, const char *section, const struct config_rule *rule)
{
    struct umbel_out *out = writing->out;

    umbel_out_text(out, writing->count++ ? ",\n{" : "{");
    put_member(out, "section", section);
    put_member(out, "option", rule->name);
    put_member(out, "type", config_kind_name(rule->kind));
    umbel_out_printf(out, "\"required\":%s,", rule->flags & UMBEL_OPTION_REQUIRED ? "true" : "false");
    put_member(out, "default", rule->otherwise ? rule->otherwise : "");
    put_choices(out, rule->choices);
    umbel_out_printf(out, "\"min\":%lld,\"max\":%lld,", (long long)rule->min, (long long)rule->max);
    put_member(out, "unit", rule->unit ? rule->unit : "");
    umbel_out_text(out, "\"help\":");
    umbel_out_json(out, rule->help ? rule->help : "", rule->help ? strlen(rule->help) : 0);
    umbel_out_text(out, "}");
}

static void put_range(struct umbel_out *out, const struct config_rule *rule)
{
    if (rule->choices && rule->choices[0]) {
        umbel_out_text(out, ": ");
        for (const char *at = rule->choices; *at; at++)
            umbel_out_put(out, *at == '|' ? ", " : at, *at == '|' ? 2 : 1);
    } else if (rule->min || rule->max) {
        umbel_out_printf(out, ", %lld to %lld", (long long)rule->min, (long long)rule->max);
    }
    if (rule->unit && rule->unit[0])
        umbel_out_printf(out, " (%s)", rule->unit);
}

/* Words of a text, broken into lines of at most 100 columns, each begun by indent. */
static void put_wrapped(struct umbel_out *out, const char *indent, const char *text)
{
    size_t column = 0;

    while (*text) {
        size_t size = strcspn(text, " ");
        if (column && column + 1 + size > 100) {
            umbel_out_text(out, "\n");
            column = 0;
        }
        umbel_out_text(out, column ? " " : indent);
        umbel_out_put(out, text, size);
        column += (column ? 1 : strlen(indent)) + size;
        text += size + (text[size] == ' ');
    }
    umbel_out_text(out, "\n");
}

static void put_text(struct writing *writing, const struct config_rule *rule)
{
    struct umbel_out *out = writing->out;

    umbel_out_printf(out, "  %s  %s", rule->name, config_kind_name(rule->kind));
    put_range(out, rule);
    if (rule->flags & UMBEL_OPTION_REQUIRED)
        umbel_out_text(out, ", required");
    else if (!config_kind_is_section(rule->kind))
        umbel_out_printf(out, ", default %s", default_of(rule));
    umbel_out_text(out, "\n");
    put_wrapped(out, "      ", rule->help ? rule->help : "");
}

static void put_rules(struct writing *writing, const char *section, struct config_rules rules, const char *only)
{
    for (size_t i = 0; i < rules.count; i++) {
        if (only && strcmp(rules.items[i].name, only) != 0)
            continue;
        if (writing->json)
            put_json(writing, section, &rules.items[i]);
        else
            put_text(writing, &rules.items[i]);
    }
}

/* "app NAME { ... }", "limits { ... } within app", "(outside all sections)" */
static void put_heading(struct umbel_out *out, const struct config_section_rule *section)
{
    const char *dot = strchr(section->name, '.');

    if (!section->name[0])
        umbel_out_text(out, "(outside all sections)");
    else if (dot)
        umbel_out_printf(out, "%s { ... } within %.*s", dot + 1, (int)(dot - section->name), section->name);
    else
        umbel_out_printf(out, "%s%s { ... }", section->name, section->titled ? " NAME" : "");
    umbel_out_text(out, "\n");
    put_wrapped(out, "  ", section->help);
}

static void put_overview(struct writing *writing)
{
    size_t count;
    const struct config_section_rule *sections = config_sections(&count);

    for (size_t i = 0; i < count; i++) {
        if (writing->json)
            put_rules(writing, sections[i].name, config_rules_of(sections[i].name), NULL);
        else
            put_heading(writing->out, &sections[i]);
    }
    if (!writing->json)
        umbel_out_text(writing->out, "\numbelctl config doc SECTION, SECTION.OPTION or PLUGIN tells more.\n");
}

/* Splits at the last dot; false: there is none, or too much before it. */
static bool split(const char *what, char *ret_section, size_t room, const char **ret_option)
{
    const char *dot = strrchr(what, '.');

    if (!dot || (size_t)(dot - what) >= room)
        return false;
    snprintf(ret_section, room, "%.*s", (int)(dot - what), what);
    *ret_option = dot + 1;
    return true;
}

/* A section of the core or one of its options.  False: what is neither. */
static bool put_own(struct writing *writing, const char *what)
{
    const struct config_section_rule *section = config_section_rule_find(what);
    char name[128] = "";
    const char *option = what;

    if (section) {
        if (!writing->json)
            put_heading(writing->out, section);
        put_rules(writing, what, config_rules_of(what), NULL);
        return true;
    }
    split(what, name, sizeof name, &option);
    if (!config_rule_find(config_rules_of(name), option))
        return false;
    put_rules(writing, name, config_rules_of(name), option);
    return true;
}

static int say_unknown(const char *what, const struct config_rules *rules, struct why *why)
{
    struct config_spell spell;
    size_t count;
    const struct config_section_rule *sections = config_sections(&count);

    config_spell_begin(&spell, what);
    for (size_t i = 0; rules && i < rules->count; i++)
        config_spell_offer(&spell, rules->items[i].name);
    for (size_t i = 1; !rules && i < count; i++)
        config_spell_offer(&spell, sections[i].name);
    return why_set(why, -ENOENT, "there is no %s%s, expected one of %s", config_show(what).text, config_spell_hint(&spell).text, spell.all);
}

static int put_plugin(struct writing *writing, const char *what, config_manifest_lookup *lookup, void *owner, struct why *why)
{
    struct config_manifest manifest;
    char plugin[64], *path = NULL, *text = NULL;
    const char *option = NULL;
    int r;

    if (!split(what, plugin, sizeof plugin, &option))
        snprintf(plugin, sizeof plugin, "%s", what);
    if (lookup(owner, plugin, &path, &text, why) < 0)
        return say_unknown(what, NULL, why);
    r = config_manifest_parse(plugin, text, &manifest, why);
    free(path);
    free(text);
    if (r < 0)
        return r;
    struct config_rules own = {manifest.rules + manifest.common, manifest.count - manifest.common};
    const struct config_rule *rule = option ? config_rule_find(own, option) : NULL;
    if (option && !rule)
        r = say_unknown(option, &own, why);
    else if (rule && rule->kind == CONFIG_SECTION)
        put_rules(writing, what, config_rules_below(rule), NULL);
    else
        put_rules(writing, plugin, own, option);
    if (r == 0 && !option && own.count == 0 && !writing->json)
        umbel_out_printf(writing->out, "%s has no options besides those of transport\n", plugin);
    config_manifest_clear(&manifest);
    return r;
}

int config_doc(const char *what, bool json, config_manifest_lookup *lookup, void *owner, struct umbel_out *out, struct why *why)
{
    struct writing writing = {out, json, 0};
    int r = 0;

    if (json)
        umbel_out_text(out, "[");
    if (!what[0])
        put_overview(&writing);
    else if (!put_own(&writing, what))
        r = put_plugin(&writing, what, lookup, owner, why);
    if (json)
        umbel_out_text(out, "]\n");
    return r == 0 && out->failed ? why_set(why, -ENOMEM, "no memory") : r;
}

/* A required option, or one that only its owner can know: not commented out, wrong as it stands. */
static const char *edit_of(const char *section, const char *option)
{
    static const char *const edits[][3] = {{"upstream", "base_url", "\"EDIT: https://api.example.com/v1\""},
                                           {"app", "upstreams", "{ \"demo\" }"},
                                           {"app", "model", "EDIT: the model to ask for"},
                                           {"app", "keys", "{ \"env:EDIT: a variable with a key for your clients\" }"},
                                           {"transport", "plugin", "\"EDIT: ws-bmob\""},
                                           {"transport", "listen", "{ \"127.0.0.1:8801\" }"},
                                           {"transport", "apps", "{ \"shop\" }"}};

    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++)
        if (strcmp(edits[i][0], section) == 0 && strcmp(edits[i][1], option) == 0)
            return edits[i][2];
    return NULL;
}

static void put_quoted_default(struct umbel_out *out, const struct config_rule *rule)
{
    const char *text = default_of(rule);
    bool bare = text[0] == '"' || text[0] == '{' || strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(text);

    umbel_out_printf(out, bare ? "%s" : "\"%s\"", text);
}

static void put_default_rules(struct umbel_out *out, const char *section, const char *indent)
{
    struct config_rules rules = config_rules_of(section);

    for (size_t i = 0; i < rules.count; i++) {
        const struct config_rule *rule = &rules.items[i];
        const char *edit = edit_of(section, rule->name);
        char inner[32], name[64], comment[64];

        snprintf(comment, sizeof comment, "%s# ", indent);
        put_wrapped(out, comment, rule->help);
        if (rule->kind == CONFIG_BLOCK) {
            snprintf(inner, sizeof inner, "%.16s  ", indent);
            snprintf(name, sizeof name, "%.30s.%.30s", section, rule->name);
            umbel_out_printf(out, "%s#%s {\n", indent, rule->name);
            put_default_rules(out, name, inner);
            umbel_out_printf(out, "%s#}\n", indent);
            continue;
        }
        umbel_out_printf(out, "%s%s%s = ", indent, edit ? "" : "#", rule->name);
        if (edit)
            umbel_out_text(out, edit);
        else
            put_quoted_default(out, rule);
        umbel_out_text(out, "\n");
    }
}

void config_doc_default(struct umbel_out *out)
{
    static const char *const titles[][2] = {{"upstream", "demo"}, {"app", "shop"}, {"transport", "bmob"}};
    size_t count;
    const struct config_section_rule *sections = config_sections(&count);

    umbel_out_text(out, "# umbel.conf with every option at its default.  Lines with EDIT must be written; take a # away to change an option.\n"
                        "# umbeld --check -c FILE checks it; umbelctl config doc PLUGIN explains the options of a transport's plugin.\n\n");
    for (size_t i = 0; i < count; i++) {
        const char *title = NULL;
        if (strchr(sections[i].name, '.'))
            continue; /* stands in its section */
        for (size_t k = 0; k < sizeof titles / sizeof *titles; k++)
            if (strcmp(sections[i].name, titles[k][0]) == 0)
                title = titles[k][1];
        put_wrapped(out, "# ", sections[i].help);
        if (sections[i].name[0])
            umbel_out_printf(out, "%s%s%s {\n", sections[i].name, title ? " " : "", title ? title : "");
        put_default_rules(out, sections[i].name, sections[i].name[0] ? "  " : "");
        umbel_out_text(out, sections[i].name[0] ? "}\n\n" : "\n");
    }
}
