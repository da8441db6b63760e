#include "core/config/config_scan.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/fd.h"
#include "core/config/config_lex.h"

struct scan {
    struct config_tree *tree;
    struct config_lex lex;
    uint32_t include_depth;
    bool no_include;
    struct why *why;
};

/* Fails at a line of the file being read; the compiler checks the words. */
#define fail_at(scan, at_line, ...) config_fail_line((scan)->why, (scan)->lex.file->path, at_line, __VA_ARGS__)

static int scan_file(struct scan *outer, const char *path, const struct config_file *from, uint32_t from_line);
static int scan_items(struct scan *scan, struct config_node *parent, uint32_t depth);

static bool is_mark(const struct config_token *token, char mark)
{
    return token->kind == CONFIG_TOKEN_MARK && token->mark == mark;
}

static bool is_value(const struct config_token *token)
{
    return token->kind == CONFIG_TOKEN_WORD || token->kind == CONFIG_TOKEN_TEXT;
}

/* What follows `NAME = {`: values, commas, the brace. */
static int scan_list(struct scan *scan, struct config_node *node, uint32_t opened)
{
    struct config_token token;
    size_t items = 0;
    int r;

    node->braced = true;
    for (;;) {
        if ((r = config_lex_next(&scan->lex, &token)) < 0)
            return r;
        if (is_mark(&token, '}'))
            break;
        if (!is_value(&token))
            return fail_at(scan, opened,
                           "the list of %s that begins here is not closed, expected { \"a\", \"b\" }, write the missing }",
                           node->name);
        if (items++ == CONFIG_ITEMS_MAX)
            return fail_at(scan, opened, "the list of %s is too long, expected at most 65536 values, split it", node->name);
        if (items == 1) {
            node->value_begin = token.begin;
            node->value_end = token.end;
        }
        if ((r = config_lex_next(&scan->lex, &token)) < 0)
            return r;
        if (is_mark(&token, '}'))
            break;
        if (!is_mark(&token, ','))
            return fail_at(
                scan, opened,
                "the list of %s that begins here lacks a comma or its }, expected { \"a\", \"b\" }, write what is missing",
                node->name);
    }
    node->end = token.end;
    return 0;
}

static int scan_value(struct scan *scan, struct config_node *node)
{
    struct config_token token;
    int r = config_lex_next(&scan->lex, &token);

    if (r < 0)
        return r;
    if (is_mark(&token, '{'))
        return scan_list(scan, node, token.line);
    if (!is_value(&token))
        return fail_at(scan, token.line,
                       "%s has no value after =, expected a word, a number, \"a text\" or { \"a\", \"list\" }, write %s = VALUE",
                       node->name, node->name);
    node->value_begin = token.begin;
    node->value_end = node->end = token.end;
    return 0;
}

static int scan_title(struct scan *scan, const struct config_token *token, struct config_node *node)
{
    const char *text = scan->lex.file->text;
    size_t quotes = token->kind == CONFIG_TOKEN_TEXT ? 1 : 0;
    size_t size = token->end - token->begin - 2 * quotes;

    if (!config_is_name(text + token->begin + quotes, size))
        return fail_at(
            scan, token->line,
            "the title of this %s is not a name, expected 1 to 63 letters, digits, _ . or -, write for example %s first { ... }",
            node->name, node->name);
    node->title = strndup(text + token->begin + quotes, size);
    return node->title ? 0 : config_no_memory(scan->why);
}

/* include("PATH") at the top level: its items become ours, in place. */
static int scan_include(struct scan *scan, const struct config_node *node, uint32_t depth)
{
    struct config_token path, close;
    const char *text = scan->lex.file->text;
    char *name;
    int r;

    if ((r = config_lex_next(&scan->lex, &path)) < 0 || (r = config_lex_next(&scan->lex, &close)) < 0)
        return r;
    if (path.kind != CONFIG_TOKEN_TEXT || path.end - path.begin < 3 || !is_mark(&close, ')') ||
        memchr(text + path.begin, '\\', path.end - path.begin))
        return fail_at(
            scan, node->line,
            "include(...) needs one file, expected include(\"FILE\"), write for example include(\"transport.d/wx.conf\")");
    if (scan->no_include)
        return fail_at(scan, node->line,
                       "include(...) is not possible in this text, expected options and sections, write them here");
    if (depth > 0)
        return fail_at(scan, node->line,
                       "include(...) inside a section, expected it between sections, write it outside all braces");
    if (!(name = strndup(text + path.begin + 1, path.end - path.begin - 2)))
        return config_no_memory(scan->why);
    r = scan_file(scan, name, scan->lex.file, node->line);
    free(name);
    return r;
}

static int scan_section(struct scan *scan, struct config_node *node, uint32_t depth)
{
    if (depth >= CONFIG_SECTION_DEPTH_MAX)
        return fail_at(scan, node->line, "%s is nested too deeply, expected at most 8 sections inside each other, write fewer",
                       node->name);
    node->section = true;
    return scan_items(scan, node, depth + 1);
}

/* What follows a name. */
static int scan_rest(struct scan *scan, struct config_node *node, uint32_t depth)
{
    struct config_token token;
    int r = config_lex_next(&scan->lex, &token);

    if (r < 0)
        return r;
    if (is_mark(&token, '='))
        return scan_value(scan, node);
    if (is_mark(&token, '{'))
        return scan_section(scan, node, depth);
    if (is_value(&token)) {
        struct config_token brace;
        if ((r = config_lex_next(&scan->lex, &brace)) < 0)
            return r;
        if (is_mark(&brace, '{')) {
            r = scan_title(scan, &token, node);
            return r < 0 ? r : scan_section(scan, node, depth);
        }
    }
    return fail_at(
        scan, node->line,
        "%s is followed by neither = nor {, expected NAME = VALUE or NAME TITLE { ... }, write %s = VALUE, and values of "
        "several words in \"quotes\"",
        node->name, node->name);
}

static int scan_item(struct scan *scan, const struct config_token *name, struct config_node *parent, uint32_t depth)
{
    struct config_node node = {.file = scan->lex.file, .line = name->line, .begin = name->begin};
    struct config_lex ahead = scan->lex;
    struct config_token next;
    int r;

    if (name->end - name->begin > CONFIG_TITLE_MAX)
        return fail_at(scan, name->line, "a name longer than 63 bytes, expected an option or section, write its name and = or {");
    if (!(node.name = strndup(scan->lex.file->text + name->begin, name->end - name->begin)))
        return config_no_memory(scan->why);
    if (strcmp(node.name, "include") == 0 && config_lex_next(&ahead, &next) == 0 && is_mark(&next, '(')) {
        scan->lex = ahead;
        r = scan_include(scan, &node, depth);
        config_node_clear(&node);
        return r;
    }
    if ((r = scan_rest(scan, &node, depth)) < 0)
        goto drop;
    if ((r = config_node_add(parent, &node)) == -E2BIG)
        r = fail_at(scan, node.line,
                    "too many options and sections before this %s, expected at most 4096 in one place, write fewer", node.name);
    else if (r < 0)
        r = config_no_memory(scan->why);
    if (r == 0)
        return 0;
drop:
    config_node_clear(&node);
    return r;
}

/* Reads items up to the parent's closing brace, or at depth 0 up to the end of the file. */
static int scan_items(struct scan *scan, struct config_node *parent, uint32_t depth)
{
    struct config_token token;
    int r;

    for (;;) {
        if ((r = config_lex_next(&scan->lex, &token)) < 0)
            return r;
        if (token.kind == CONFIG_TOKEN_END && depth == 0)
            return 0;
        if (token.kind == CONFIG_TOKEN_END)
            return fail_at(
                scan, parent->line,
                "the section %s that begins here is not closed, expected a } before the end of the file, write the missing }",
                config_label(parent).text);
        if (is_mark(&token, '}') && depth > 0) {
            parent->end = token.end;
            return 0;
        }
        if (token.kind != CONFIG_TOKEN_WORD) {
            struct config_shown what = config_lex_describe(&scan->lex, &token);
            if (is_mark(&token, '}'))
                return fail_at(scan, token.line,
                               "this } closes nothing, expected as many } as {, take it out or write the missing {");
            return fail_at(
                scan, token.line,
                "unexpected %s, expected the name of an option or section, write NAME = VALUE or NAME { ... }, and values with "
                "such characters in \"quotes\"",
                what.text);
        }
        if ((r = scan_item(scan, &token, parent, depth)) < 0)
            return r;
    }
}

/* Takes over nothing; text is copied. */
static int add_file(struct scan *scan, const char *path, const char *directory, const char *text, size_t size,
                    struct config_file **ret_file)
{
    struct config_file *file = calloc(1, sizeof *file);

    if (!file)
        return config_no_memory(scan->why);
    scan->tree->files[scan->tree->file_count++] = file;
    file->path = strdup(path);
    file->directory = strdup(directory);
    file->text = malloc(size + 1);
    if (!file->path || !file->directory || !file->text)
        return config_no_memory(scan->why);
    memcpy(file->text, text, size);
    file->text[size] = '\0';
    file->size = size;
    *ret_file = file;
    return 0;
}

static uint32_t line_of(const char *text, size_t at)
{
    uint32_t line = 1;

    for (size_t i = 0; i < at; i++)
        line += text[i] == '\n';
    return line;
}

/* Only top-level items of the file go to the tree's root, whatever file they come from. */
static int scan_text(struct scan *scan, struct config_file *file)
{
    size_t bad;

    if (file->size >= 3 && memcmp(file->text, "\xef\xbb\xbf", 3) == 0)
        memset(file->text, ' ', 3);
    bad = config_text_check(file->text, file->size);
    if (bad < file->size)
        return config_fail_line(scan->why, file->path, line_of(file->text, bad),
                                "byte 0x%02x is not text, expected UTF-8 without control characters, save the file as UTF-8",
                                (unsigned)(unsigned char)file->text[bad]);
    scan->lex = (struct config_lex){.file = file, .line = 1, .why = scan->why};
    return scan_items(scan, &scan->tree->root, 0);
}

static bool is_world_readable(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & S_IROTH);
}

static int read_file(struct scan *scan, const char *path, const char *from, uint32_t line, struct config_file **ret_file)
{
    char real[PATH_MAX], *text = NULL;
    size_t size = 0;
    int r = fd_read_file(path, CONFIG_FILE_MAX, &text, &size);

    if (r == -EFBIG)
        return config_fail_line(scan->why, from, line, "%s is too large, expected at most 1 MiB, split it with include(\"FILE\")",
                                path);
    if (r < 0)
        return config_fail_line(scan->why, from, line,
                                "cannot read %s (%s), expected a readable file, check its name and permissions", path,
                                strerror(-r));
    r = add_file(scan, path, realpath(path, real) ? dirname(real) : ".", text, size, ret_file);
    explicit_bzero(text, size);
    free(text);
    if (r == 0)
        (*ret_file)->world_readable = is_world_readable(path);
    return r;
}

static int scan_file(struct scan *outer, const char *path, const struct config_file *from, uint32_t from_line)
{
    struct scan scan = {.tree = outer->tree, .include_depth = outer->include_depth + 1, .why = outer->why};
    char joined[PATH_MAX], *slash = from ? strrchr(from->path, '/') : NULL;
    struct config_file *file = NULL;
    int r;

    if (scan.include_depth > CONFIG_INCLUDE_DEPTH_MAX + 1)
        return config_fail_line(
            scan.why, from ? from->path : path, from_line,
            "includes inside each other too deeply, expected at most 8, look for a file that includes itself");
    if (scan.tree->file_count == CONFIG_FILES_MAX)
        return config_fail_line(scan.why, from ? from->path : path, from_line,
                                "too many includes, expected at most 64 files, write more sections into one file");
    if (path[0] != '/' && slash)
        r = snprintf(joined, sizeof joined, "%.*s/%s", (int)(slash - from->path), from->path, path);
    else
        r = snprintf(joined, sizeof joined, "%s", path);
    if (r < 0 || (size_t)r >= sizeof joined)
        return config_fail_line(scan.why, from ? from->path : path, from_line,
                                "the path is too long, expected at most 4095 bytes");
    if ((r = read_file(&scan, joined, from ? from->path : joined, from_line, &file)) < 0)
        return r;
    return scan_text(&scan, file);
}

int config_scan_file(const char *path, struct config_tree *tree, struct why *why)
{
    struct scan scan = {.tree = tree, .why = why};

    return scan_file(&scan, path, NULL, 1);
}

int config_scan_text(const char *name, const char *directory, const char *text, size_t size, struct config_tree *tree,
                     struct why *why)
{
    struct scan scan = {.tree = tree, .no_include = true, .why = why};
    struct config_file *file;
    int r = add_file(&scan, name, directory, text, size, &file);

    return r < 0 ? r : scan_text(&scan, file);
}
