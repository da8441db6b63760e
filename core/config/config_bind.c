#include "core/config/config_bind.h"

#include <confuse.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* libconfuse calls back without an owner. */
static _Thread_local struct {
    const struct config_node *node; /* what is being parsed */
    struct why *why;
    bool failed;
} bind_now;

/* Its lines count from the slice's first one; its text names the fault, the frame around it is ours. */
static void take_error(cfg_t *cfg, const char *format, va_list args)
{
    char words[WHY_MAX / 2];
    const struct config_node *node = bind_now.node;

    if (bind_now.failed)
        return;
    bind_now.failed = true;
    vsnprintf(words, sizeof words, format, args);
    config_fail_line(bind_now.why, node->file->path, node->line + (cfg->line > 0 ? (uint32_t)cfg->line - 1 : 0),
                     "%s in %s, expected NAME = VALUE or NAME TITLE { ... }, write values with special characters in \"quotes\"",
                     words, config_label(node).text);
}

static void free_table(cfg_opt_t *table)
{
    for (size_t i = 0; table && table[i].name; i++)
        free_table(table[i].subopts);
    free(table);
}

static cfg_opt_t *make_table(struct config_rules rules)
{
    cfg_opt_t *table = calloc(rules.count + 1, sizeof *table); /* a zeroed row ends it */

    for (size_t i = 0; table && i < rules.count; i++) {
        const struct config_rule *rule = &rules.items[i];
        table[i].name = rule->name;
        table[i].type = CFGT_STR;
        table[i].flags = CFGF_NODEFAULT | (config_kind_is_list(rule->kind) ? CFGF_LIST : CFGF_NONE);
        if (!config_kind_is_section(rule->kind))
            continue;
        table[i].type = CFGT_SEC;
        table[i].flags = CFGF_MULTI | (rule->kind == CONFIG_SECTION ? CFGF_TITLE | CFGF_NO_TITLE_DUPES : CFGF_NONE);
        if (!(table[i].subopts = make_table(config_rules_below(rule)))) {
            free_table(table);
            return NULL;
        }
    }
    return table;
}

/* The table of a slice that is one section: one row, with the section's table under it. */
static cfg_opt_t *make_slice_table(const struct config_node *node, struct config_rules rules)
{
    cfg_opt_t *inner = make_table(rules), *outer;

    if (!node->section || !inner)
        return inner;
    if (!(outer = calloc(2, sizeof *outer))) {
        free_table(inner);
        return NULL;
    }
    outer[0].name = node->name;
    outer[0].type = CFGT_SEC;
    outer[0].flags = CFGF_MULTI | (node->title ? CFGF_TITLE : CFGF_NONE);
    outer[0].subopts = inner;
    return outer;
}

static int take_option(cfg_t *cfg, struct config_node *node, struct why *why)
{
    unsigned count = cfg_size(cfg, node->name);

    if (count == 0 && !node->braced)
        return config_fail(why, node, "the value of %s cannot be read, expected one value, write it in \"quotes\"", node->name);
    if (!(node->values = calloc(count ? count : 1, sizeof *node->values)))
        return config_no_memory(why);
    for (unsigned i = 0; i < count; i++, node->value_count++) {
        char *text = cfg_getnstr(cfg, node->name, i);
        if (!(node->values[i] = strdup(text ? text : "")))
            return config_no_memory(why);
        if (text)
            explicit_bzero(text, strlen(text)); /* it may be a client's key */
    }
    return 0;
}

static int take_section(cfg_t *cfg, struct config_node *section, struct why *why)
{
    for (size_t i = 0; i < section->child_count; i++) {
        struct config_node *child = &section->children[i];
        unsigned index = 0;
        cfg_t *inner;
        int r;

        if (!child->section) {
            if ((r = take_option(cfg, child, why)) < 0)
                return r;
            continue;
        }
        for (size_t k = 0; k < i; k++)
            index += strcmp(section->children[k].name, child->name) == 0;
        inner = index < cfg_size(cfg, child->name) ? cfg_getnsec(cfg, child->name, index) : NULL;
        if (!inner || strcmp(cfg_title(inner) ? cfg_title(inner) : "", child->title ? child->title : "") != 0)
            return config_fail(why, child, "section %s cannot be read, expected NAME TITLE { ... }, write one option a line",
                               child->name);
        if ((r = take_section(inner, child, why)) < 0)
            return r;
    }
    return 0;
}

static int parse_slice(cfg_t *cfg, const struct config_node *node)
{
    FILE *slice = fmemopen(node->file->text + node->begin, node->end - node->begin, "r");
    int r;

    if (!slice || !(cfg->filename = strdup(node->file->path))) {
        if (slice)
            fclose(slice);
        return config_no_memory(bind_now.why);
    }
    r = cfg_parse_fp(cfg, slice);
    fclose(slice);
    if (r != CFG_SUCCESS && !bind_now.failed)
        config_fail(bind_now.why, node, "%s cannot be read, expected NAME = VALUE or NAME TITLE { ... }, write one option a line",
                    config_label(node).text);
    return r == CFG_SUCCESS && !bind_now.failed ? 0 : -EINVAL;
}

int config_bind(struct config_node *node, struct config_rules rules, struct why *why)
{
    /* the whole slice as a section whose only child is the node: options and sections are then read alike */
    struct config_node slice = {.file = node->file, .line = node->line, .children = node, .child_count = 1};
    cfg_opt_t *table = make_slice_table(node, rules);
    cfg_t *cfg = table ? cfg_init(table, CFGF_NONE) : NULL;
    int r;

    if (!cfg) {
        free_table(table);
        return config_no_memory(why);
    }
    bind_now.node = node;
    bind_now.why = why;
    bind_now.failed = false;
    cfg_set_error_function(cfg, take_error);
    r = parse_slice(cfg, node);
    if (r == 0)
        r = take_section(cfg, &slice, why);
    cfg_free(cfg);
    free_table(table);
    bind_now.node = NULL;
    bind_now.why = NULL;
    return r;
}
