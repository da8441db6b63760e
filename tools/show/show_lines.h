/* show/show_lines.h - text to lines of a terminal.  Pure, but for the locale: wcwidth needs LC_CTYPE to be a UTF-8 one. */
#ifndef SHOW_LINES_H
#define SHOW_LINES_H

#include <stddef.h>

#include <umbel/out.h>

/* show_char - the character at text (size >= 1): how many bytes and how many columns it takes.  What cannot be shown (control characters,
 * broken bytes) takes no columns and should not be printed; a line end is reported as -1 columns. */
size_t show_char(const char *text, size_t size, int *ret_columns);

/* show_wrap - calls line for each line of text when no line is wider than columns (>= 2): broken at line ends, at blanks, and between
 * characters only where a word alone is too wide.  Blanks at which a line was broken are dropped. */
void show_wrap(const char *text, size_t size, unsigned columns, void (*line)(void *owner, const char *text, size_t size), void *owner);

/* show_fit - appends as much of text as fits into columns, without what cannot be shown.  Returns the columns used. */
unsigned show_fit(struct umbel_out *out, const char *text, size_t size, unsigned columns);

#endif
