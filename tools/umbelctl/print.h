/* umbelctl/print.h - documents to standard output. */
#ifndef PRINT_H
#define PRINT_H

#include <stdbool.h>
#include <umbel/out.h>

/* print_document - writes out and a line end, and frees out.  CTL_OK, or CTL_FAILED after a complaint. */
int print_document(struct umbel_out *out);

/* print_finish - at the very end: whether all output got out.  A reader that went away (a pipe into head) is no failure. */
int print_finish(int code);

/* print_live - a piece of an answer.  A terminal must not be steered by a model's text; a file or a pipe gets the bytes as they are. */
void print_live(bool terminal, const char *text, size_t size);

/* print_is_broken - the reader of standard output has gone: nothing more need be done for it. */
int print_is_broken(void);

#endif
