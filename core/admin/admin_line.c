#include "core/admin/admin_line.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int keep(struct admin_line *line, const char *bytes, size_t size)
{
    size_t max = line->max ? line->max : ADMIN_LINE_MAX;

    if (size > max + 1 - line->size) /* one more for a \r that will turn out to belong to the end */
        return -EMSGSIZE;
    if (line->size + size > line->capacity) {
        size_t capacity = line->capacity ? line->capacity : 256;

        while (capacity < line->size + size)
            capacity *= 2;
        char *more = realloc(line->data, capacity);
        if (!more)
            return -ENOMEM;
        line->data = more;
        line->capacity = capacity;
    }
    if (size > 0)
        memcpy(line->data + line->size, bytes, size);
    line->size += size;
    return 0;
}

int admin_line_feed(struct admin_line *line, const char *bytes, size_t size, int (*each)(void *owner, const char *line, size_t size),
                    void *owner)
{
    size_t max = line->max ? line->max : ADMIN_LINE_MAX;

    while (size > 0) {
        const char *end = memchr(bytes, '\n', size);
        size_t part = end ? (size_t)(end - bytes) : size;
        int r = keep(line, bytes, part);

        if (r < 0)
            return r;
        if (!end)
            return 0;
        bytes += part + 1;
        size -= part + 1;
        part = line->size;
        line->size = 0;
        if (part > 0 && line->data[part - 1] == '\r')
            part--;
        if (part > max)
            return -EMSGSIZE;
        if (part == 0)
            continue;
        r = each(owner, line->data, part);
        if (r < 0)
            return r;
    }
    return 0;
}

void admin_line_free(struct admin_line *line)
{
    free(line->data);
    *line = (struct admin_line){.max = line->max};
}
