#include "core/config/config_lex.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int fail_here(const struct config_lex *lex, uint32_t line, const char *words)
{
    return config_fail_line(lex->why, lex->file->path, line, "%s", words);
}

static bool at_text(const struct config_lex *lex, const char *text)
{
    size_t size = strlen(text);

    return lex->file->size - lex->at >= size && memcmp(lex->file->text + lex->at, text, size) == 0;
}

static void blank_line_comment(struct config_lex *lex)
{
    char *text = lex->file->text;

    while (lex->at < lex->file->size && text[lex->at] != '\n')
        text[lex->at++] = ' ';
}

static int blank_block_comment(struct config_lex *lex)
{
    char *text = lex->file->text;
    uint32_t opened = lex->line;

    text[lex->at] = text[lex->at + 1] = ' ';
    for (lex->at += 2; !at_text(lex, "*/"); lex->at++) {
        if (lex->at >= lex->file->size)
            return fail_here(lex, opened, "the comment opened here by /* never ends, expected */ after it, write the missing */");
        if (text[lex->at] == '\n')
            lex->line++;
        else
            text[lex->at] = ' ';
    }
    text[lex->at] = text[lex->at + 1] = ' ';
    lex->at += 2;
    return 0;
}

/* Moves to where the next token begins. */
static int skip_blanks(struct config_lex *lex)
{
    while (lex->at < lex->file->size) {
        char c = lex->file->text[lex->at];
        int r;

        if (c == '\n') {
            lex->line++;
            lex->at++;
        } else if (c == ' ' || c == '\t' || c == '\r') {
            lex->at++;
        } else if (c == '#' || at_text(lex, "//")) {
            blank_line_comment(lex);
        } else if (at_text(lex, "/*")) {
            if ((r = blank_block_comment(lex)) < 0)
                return r;
        } else {
            break;
        }
    }
    return 0;
}

/* One backslash in quotes: steps over it and what it stands for. */
static int take_escape(struct config_lex *lex, char quote)
{
    char next = lex->at + 1 < lex->file->size ? lex->file->text[lex->at + 1] : '\0';

    if (next == '\n')
        lex->line++;
    else if (quote == '"' && (next == '\0' || !strchr("nrt\\\"'$", next)))
        return fail_here(
            lex, lex->line,
            "unknown escape after a backslash, expected one of \\n \\r \\t \\\\ \\\" \\' \\$, write \\\\ for a backslash or "
            "put the text into single quotes");
    lex->at += next == '\0' && lex->at + 1 >= lex->file->size ? 1 : 2;
    return 0;
}

static int take_quoted(struct config_lex *lex, struct config_token *token)
{
    const char *text = lex->file->text;
    char quote = text[lex->at++];
    int r;

    while (lex->at < lex->file->size && text[lex->at] != quote) {
        if (text[lex->at] == '\\') {
            if ((r = take_escape(lex, quote)) < 0)
                return r;
            continue;
        }
        if (quote == '"' && at_text(lex, "${"))
            return fail_here(
                lex, lex->line,
                "${ in double quotes, expected plain text, write \\${ for these characters, or env:NAME as the whole value "
                "of a key or secret");
        if (text[lex->at] == '\n')
            lex->line++;
        lex->at++;
    }
    if (lex->at >= lex->file->size)
        return config_fail_line(lex->why, lex->file->path, token->line,
                                "the text that begins here has no end, expected a closing %c, write the missing %c", quote,
                                quote);
    lex->at++;
    token->kind = CONFIG_TOKEN_TEXT;
    token->end = lex->at;
    return 0;
}

static int take_word(struct config_lex *lex, struct config_token *token)
{
    static const char stops[] = " \t\r\n#\"'={}(),";
    const char *text = lex->file->text;

    while (lex->at < lex->file->size && !strchr(stops, text[lex->at])) {
        if (strchr("+*\\", text[lex->at]) || at_text(lex, "${"))
            return config_fail_line(lex->why, lex->file->path, lex->line,
                                    "unexpected %c outside quotes, expected NAME = VALUE or NAME { ... }, write values with such "
                                    "characters in \"quotes\"",
                                    text[lex->at]);
        lex->at++;
    }
    token->kind = CONFIG_TOKEN_WORD;
    token->end = lex->at;
    return 0;
}

int config_lex_next(struct config_lex *lex, struct config_token *ret_token)
{
    struct config_token token = {0};
    int r = skip_blanks(lex);

    if (r < 0)
        return r;
    token.begin = token.end = lex->at;
    token.line = lex->line;
    if (lex->at >= lex->file->size) {
        token.kind = CONFIG_TOKEN_END;
    } else if (strchr("={}(),", lex->file->text[lex->at])) {
        token.kind = CONFIG_TOKEN_MARK;
        token.mark = lex->file->text[lex->at++];
        token.end = lex->at;
    } else if (lex->file->text[lex->at] == '"' || lex->file->text[lex->at] == '\'') {
        r = take_quoted(lex, &token);
    } else {
        r = take_word(lex, &token);
    }
    if (r < 0)
        return r;
    *ret_token = token;
    return 0;
}

struct config_shown config_lex_describe(const struct config_lex *lex, const struct config_token *token)
{
    char word[64];

    if (token->kind == CONFIG_TOKEN_END)
        return config_show("the end of the file");
    if (token->kind == CONFIG_TOKEN_TEXT)
        return config_show("a quoted text");
    snprintf(word, sizeof word, "%.*s", (int)(token->end - token->begin < 60 ? token->end - token->begin : 60),
             lex->file->text + token->begin);
    return config_show(word);
}
