/* config/config_lex.h - the words and marks of one file, and the blanking of its comments.
 *
 * The language is a strict part of libconfuse's, so that libconfuse, which reads the values afterwards, can never understand a
 * file differently or meet the cases in which it reads on silently:
 * - words without quotes: no blanks and none of # " ' = { } ( ) + , * \ and no ${ ;
 * - "text": \n \r \t \\ \" \' \$ and a backslash at a line end (the line goes on); ${ must be written \${ because libconfuse
 * would put the environment there;
 * - 'text': \\ and \' ; everything else as it stands;
 * - comments: # and // to the end of the line, and the C kind. */
#ifndef CONFIG_LEX_H
#define CONFIG_LEX_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/why.h"
#include "core/config/config_tree.h"

enum config_token_kind { CONFIG_TOKEN_END, CONFIG_TOKEN_WORD, CONFIG_TOKEN_TEXT, CONFIG_TOKEN_MARK };

struct config_token {
    enum config_token_kind kind;
    char mark;         /* MARK: one of = { } ( ) , */
    size_t begin, end; /* in file->text, quotes included */
    uint32_t line;     /* where it begins */
};

struct config_lex {
    struct config_file *file; /* its text is changed: comments become blanks */
    size_t at;
    uint32_t line;
    struct why *why;
};

/* config_lex_next - reads one token.  0, or -EINVAL with file, line and words. */
int config_lex_next(struct config_lex *lex, struct config_token *ret_token);

/* config_lex_describe - a token for a message: marks and words as they are, quoted text never (it may be a secret). */
struct config_shown config_lex_describe(const struct config_lex *lex, const struct config_token *token);

#endif
