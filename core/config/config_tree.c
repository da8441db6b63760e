#include "core/config/config_tree.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json/json_utf8.h"

int config_node_add(struct config_node *parent, const struct config_node *child)
{
    if (parent->child_count == CONFIG_CHILDREN_MAX)
        return -E2BIG;
    if (parent->child_count == parent->child_capacity) {
        size_t capacity = parent->child_capacity ? parent->child_capacity * 2 : 8;
        struct config_node *more = reallocarray(parent->children, capacity, sizeof *more);
        if (!more)
            return -ENOMEM;
        parent->children = more;
        parent->child_capacity = capacity;
    }
    parent->children[parent->child_count++] = *child;
    return 0;
}

const struct config_node *config_node_find(const struct config_node *section, const char *name)
{
    for (size_t i = 0; section && i < section->child_count; i++)
        if (strcmp(section->children[i].name, name) == 0)
            return &section->children[i];
    return NULL;
}

void config_wipe(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

void config_wipe_list(char **items, size_t count)
{
    for (size_t i = 0; items && i < count; i++)
        config_wipe(items[i]);
    free(items);
}

void config_node_clear(struct config_node *node)
{
    for (size_t i = 0; i < node->child_count; i++)
        config_node_clear(&node->children[i]);
    free(node->children);
    config_wipe_list(node->values, node->value_count);
    free(node->name);
    free(node->title);
    *node = (struct config_node){0};
}

void config_tree_clear(struct config_tree *tree)
{
    config_node_clear(&tree->root);
    for (size_t i = 0; i < tree->file_count; i++) {
        struct config_file *file = tree->files[i];
        if (file->text)
            explicit_bzero(file->text, file->size);
        free(file->text);
        free(file->path);
        free(file->directory);
        free(file);
    }
    tree->file_count = 0;
}

static int fail_words(struct why *why, const char *file, uint32_t line, const char *format, va_list args)
{
    char words[WHY_MAX];

    vsnprintf(words, sizeof words, format, args);
    return why_set(why, -EINVAL, "%s:%u: %s", file, line, words);
}

int config_fail(struct why *why, const struct config_node *at, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fail_words(why, at->file->path, at->line, format, args);
    va_end(args);
    return -EINVAL;
}

int config_fail_line(struct why *why, const char *file, uint32_t line, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fail_words(why, file, line, format, args);
    va_end(args);
    return -EINVAL;
}

int config_no_memory(struct why *why)
{
    return why_set(why, -ENOMEM, "out of memory while the configuration was read");
}

struct config_label config_label(const struct config_node *node)
{
    struct config_label label;

    if (!node->name)
        snprintf(label.text, sizeof label.text, "the top level");
    else if (node->title)
        snprintf(label.text, sizeof label.text, "%s %s", node->name, node->title);
    else
        snprintf(label.text, sizeof label.text, "%s", node->name);
    return label;
}

struct config_shown config_show(const char *text)
{
    struct config_shown shown;
    size_t size = strlen(text), at = 0;

    while (at < size && at < 60) {
        int step = utf8_step((const unsigned char *)text + at, size - at);
        if (step <= 0 || at + (size_t)step > 60)
            break;
        for (int i = 0; i < step; i++, at++)
            shown.text[at] = (unsigned char)text[at] < 0x20 || text[at] == 0x7f ? '?' : text[at];
    }
    snprintf(shown.text + at, sizeof shown.text - at, "%s", at < size ? "..." : "");
    return shown;
}

size_t config_text_check(const char *text, size_t size)
{
    for (size_t at = 0; at < size;) {
        unsigned char c = (unsigned char)text[at];
        int step = utf8_step((const unsigned char *)text + at, size - at);
        if (step <= 0 || (c < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7f)
            return at;
        at += (size_t)step;
    }
    return size;
}

bool config_is_name(const char *text, size_t size)
{
    if (size == 0 || size > CONFIG_TITLE_MAX)
        return false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-'))
            return false;
    }
    return true;
}
