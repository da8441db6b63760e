/* umbelctl/text.h - numbers and strangers' text, made fit for a terminal.  Pure. */
#ifndef TEXT_H
#define TEXT_H

#include <stddef.h>
#include <stdint.h>

/* text_width - columns of valid UTF-8 on a terminal: wide characters count 2, combining ones 0. */
size_t text_width(const char *text);

/* text_clean - copies text, cut at a character to fit room with its zero: bytes that are no UTF-8, control characters and those that
 * change the direction of writing become '?'.  keep_lines: tabs and line ends stay.  Returns the bytes written without the zero. */
size_t text_clean(const char *text, size_t size, int keep_lines, char *ret_text, size_t room);

/* What fits 24 bytes: "3.2 s", "4m05s", "2h07m", "3d04h"; "12.5 us" ... ; "1.4 MiB". */
void text_duration(uint64_t ns, char *ret_text, size_t room);
void text_bytes(uint64_t bytes, char *ret_text, size_t room);

#endif
