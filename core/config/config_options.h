/* config/config_options.h - the option table: one row in config_options.def makes an option, its default, its check, its place in
 * struct config, its help and its line in docs/configuration.md. */
#ifndef CONFIG_OPTIONS_H
#define CONFIG_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <umbel/config.h>

struct umbel_out;

/* What a value must look like and how it is stored.  The first six are those a plugin can declare. */
enum config_kind {
    CONFIG_TEXT = UMBEL_OPTION_TEXT,       /* char * */
    CONFIG_INTEGER = UMBEL_OPTION_INTEGER, /* uint32_t */
    CONFIG_BOOL = UMBEL_OPTION_BOOL,       /* bool */
    CONFIG_SECRET = UMBEL_OPTION_SECRET,   /* char *, resolved */
    CONFIG_LIST = UMBEL_OPTION_LIST,       /* struct config_list */
    CONFIG_SECTION = UMBEL_OPTION_SECTION, /* titled, any number: only in plugin tables */
    CONFIG_POWER = 16,                     /* uint32_t, a power of two */
    CONFIG_SWITCH,                         /* bool: the second of two words is true */
    CONFIG_INDEX,                          /* an enum: the number of the word among the choices */
    CONFIG_PATH,                           /* char *, made absolute against the directory of the file it stands in; "" stays */
    CONFIG_URL,                            /* char *, http:// or https:// */
    CONFIG_ADDRESS,                        /* char *, one address to listen on, "" = off */
    CONFIG_ADDRESSES,                      /* struct config_listen * and a count: read by config_transport.c itself */
    CONFIG_KEYS,                           /* struct config_list, client keys, resolved */
    CONFIG_PROXY,                          /* char *, http:// URL, "env" or "" */
    CONFIG_SINK,                           /* char *, a path like CONFIG_PATH, or "-" */
    CONFIG_BLOCK,                          /* NAME { ... } without title, at most once: the rows of SECTION.NAME, at this place */
};

struct config_rule {
    const char *section; /* "" = top level */
    const char *name;
    uint32_t kind;         /* enum config_kind */
    uint32_t flags;        /* UMBEL_OPTION_REQUIRED */
    const char *otherwise; /* the default, as it would stand in the file; "" = empty */
    const char *choices;   /* "a|b|c"; "" with a list: no word is known; NULL: anything */
    int64_t min, max;      /* both 0: anything */
    const char *unit, *help;
    size_t offset;                   /* in the struct of its section */
    const struct config_rule *rules; /* SECTION */
    size_t rule_count;
};

struct config_rules {
    const struct config_rule *items;
    size_t count;
};

struct config_section_rule {
    const char *name; /* "" = top level; "app.limits": inside each app */
    bool titled;      /* NAME TITLE { ... }, any number; else NAME { ... } once */
    const char *help;
};

/* config_sections - all sections the core knows, the top level first, nested ones (with a dot) too. */
const struct config_section_rule *config_sections(size_t *ret_count);
const struct config_section_rule *config_section_rule_find(const char *name); /* NULL: no such section */

/* config_section_rule_at_top - the same of the sections that stand at the top level only. */
const struct config_section_rule *config_section_rule_at_top(const char *name);

/* config_section_rule_within - the first section that has an untitled section NAME inside (its name ends in .NAME), or NULL. */
const struct config_section_rule *config_section_rule_within(const char *name);

/* config_rules_of - the rows of one section, in the order of the table. */
struct config_rules config_rules_of(const char *section);

/* config_rules_below - the rows of the section that a rule of kind CONFIG_SECTION or CONFIG_BLOCK opens. */
struct config_rules config_rules_below(const struct config_rule *rule);

/* config_rule_find - NULL: no such option. */
const struct config_rule *config_rule_find(struct config_rules rules, const char *name);

/* config_kind_name - for people: "integer", "list", ... */
const char *config_kind_name(uint32_t kind);
bool config_kind_is_list(uint32_t kind);
bool config_kind_is_section(uint32_t kind);

/* config_rules_markdown - the table of one section as it stands in docs/configuration.md. */
void config_rules_markdown(const char *section, struct umbel_out *out);

#endif
