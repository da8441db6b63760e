/* config/config_tree.h - what stands where in the operator's files: sections, options and their places, in the order of the text.
 *
 * config_scan makes the tree (names, titles, places), config_bind adds the values, config_free's side gives it back wiped,
 * because it holds client keys.  Single-threaded. */
#ifndef CONFIG_TREE_H
#define CONFIG_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/why.h"

#define CONFIG_FILE_MAX (1u << 20) /* bytes of one file */
#define CONFIG_FILES_MAX 64u       /* files, included ones and repetitions counted */
#define CONFIG_INCLUDE_DEPTH_MAX 8u
#define CONFIG_SECTION_DEPTH_MAX 8u /* sections in sections */
#define CONFIG_CHILDREN_MAX 4096u   /* options and sections in one section, or at the top level */
#define CONFIG_ITEMS_MAX 65536u     /* values in one list */
#define CONFIG_TITLE_MAX 63u        /* bytes of a title and of an option's name */

struct config_file {
    char *path;      /* as the operator would write it: for messages */
    char *directory; /* absolute where the system can tell: what relative paths in this file start from */
    char *text;      /* comments blanked out, line ends kept */
    size_t size;
    bool world_readable;
};

struct config_node {
    char *name;
    char *title; /* NULL: none was written */
    const struct config_file *file;
    uint32_t line;                 /* where the name stands */
    bool section;                  /* { ... } follows; else it is an option with values */
    bool braced;                   /* option: the value is a { list } */
    size_t begin, end;             /* the whole of it in file->text */
    size_t value_begin, value_end; /* option: its first value as written, quotes included */
    struct config_node *children;
    size_t child_count, child_capacity;
    char **values; /* option: what it says, by config_bind */
    size_t value_count;
};

struct config_tree {
    struct config_file *files[CONFIG_FILES_MAX];
    size_t file_count;
    struct config_node root; /* a section without name; its children may come from several files */
};

/* config_node_add - appends *child (moved) to parent.  0; -ENOMEM; -E2BIG at CONFIG_CHILDREN_MAX.  On failure the caller keeps
 * it. */
int config_node_add(struct config_node *parent, const struct config_node *child);

/* config_node_find - the first child of that name, or NULL.  section may be NULL. */
const struct config_node *config_node_find(const struct config_node *section, const char *name);

/* config_node_clear, config_tree_clear - wipe and free everything below; a zeroed one is fine. */
void config_node_clear(struct config_node *node);
void config_tree_clear(struct config_tree *tree);

/* config_fail - puts "FILE:LINE: words" of that place into why and returns -EINVAL. */
int config_fail(struct why *why, const struct config_node *at, const char *format, ...) __attribute__((format(printf, 3, 4)));
int config_fail_line(struct why *why, const char *file, uint32_t line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* config_no_memory - the words for -ENOMEM, which it returns. */
int config_no_memory(struct why *why);

/* config_label - how messages call a node: `upstream demo`, `core`, `the top level`.  Cut at CONFIG_LABEL_MAX. */
#define CONFIG_LABEL_MAX 160
struct config_label {
    char text[CONFIG_LABEL_MAX];
};
struct config_label config_label(const struct config_node *node);

/* config_show - a value for the eyes: at most 60 bytes, cut between characters, control characters as '?'.  Never for secrets. */
struct config_shown {
    char text[68];
};
struct config_shown config_show(const char *text);

/* config_wipe - overwrites a string, then frees it; NULL is fine. */
void config_wipe(char *text);
void config_wipe_list(char **items, size_t count);

/* config_text_check - the offset of the first byte that is not text (invalid UTF-8, a control character but tab and line ends),
 * or size when all is well. */
size_t config_text_check(const char *text, size_t size);

/* config_is_name - [A-Za-z0-9_.-]+ of at most CONFIG_TITLE_MAX bytes. */
bool config_is_name(const char *text, size_t size);

#endif
