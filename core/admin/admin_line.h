/* admin/admin_line.h - cutting a byte stream into lines of bounded length.  Pure; both ends of the admin socket use it. */
#ifndef ADMIN_LINE_H
#define ADMIN_LINE_H

#include <stddef.h>

#define ADMIN_LINE_MAX ((size_t)1 << 20) /* bytes of a request line, without its end */

struct admin_line {
    char *data; /* an incomplete line; owned */
    size_t size, capacity;
    size_t max; /* bytes of a line; 0 = ADMIN_LINE_MAX */
};

/* admin_line_feed - calls each(owner, line, size) for every complete line (without \n or \r\n; borrowed until it returns; empty lines
 * are skipped).  each returns 0, or a negative value that ends the feeding and is returned (what was not fed is lost).  0, -EMSGSIZE (a
 * line passes max), -ENOMEM. */
int admin_line_feed(struct admin_line *line, const char *bytes, size_t size, int (*each)(void *owner, const char *line, size_t size),
                    void *owner);
void admin_line_free(struct admin_line *line);

#endif
