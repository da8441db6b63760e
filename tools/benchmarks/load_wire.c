#include "tools/benchmarks/load_wire.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef void wire_text(void *owner, const char *text, size_t size);

static bool keep(char **buffer, size_t *size, size_t *room, const char *data, size_t more)
{
    if (*size + more > WIRE_KEPT_MAX)
        return false;
    if (*size + more > *room) {
        size_t wanted = (*size + more) * 2;
        char *grown = realloc(*buffer, wanted);
        if (!grown)
            return false;
        *buffer = grown;
        *room = wanted;
    }
    memcpy(*buffer + *size, data, more);
    *size += more;
    return true;
}

/* The text within one payload: the values of "content" and "contents" if it is JSON, else all of it. */
static void payload(const char *data, size_t size, wire_text *text, void *owner)
{
    const char *end = data + size;

    if (size > 0 && *data == '@') {
        text(owner, data, size);
        return;
    }
    for (const char *at = data; at < end && (at = memmem(at, (size_t)(end - at), "\"content", 8));) {
        at += 8;
        if (at < end && *at == 's')
            at++;
        if (end - at < 3 || at[0] != '"' || at[1] != ':' || at[2] != '"')
            continue;
        at += 3;
        const char *close = memchr(at, '"', (size_t)(end - at));
        if (!close)
            return;
        if (close > at)
            text(owner, at, (size_t)(close - at));
        at = close;
    }
}

/* One line of an event stream or of the mini-program's frames. */
static void take_line(const char *line, size_t size, wire_text *text, void *owner)
{
    while (size > 0 && (line[size - 1] == '\n' || line[size - 1] == '\r')) /* a text that is no JSON is all of the line */
        size--;
    const char *colon = memchr(line, ':', size < 16 ? size : 16);

    if (!colon)
        return;
    size_t skip = (size_t)(colon - line) + 1;
    if (skip < size && line[skip] == ' ')
        skip++;
    if ((skip >= 5 && memcmp(line, "data:", 5) == 0) || (skip >= 8 && memcmp(line, "success:", 8) == 0))
        payload(line + skip, size - skip, text, owner);
}

static bool take_body(struct wire *wire, const char *data, size_t size, wire_text *text, void *owner)
{
    while (size > 0) {
        const char *end = memchr(data, '\n', size);
        if (!end)
            return keep(&wire->line, &wire->line_size, &wire->line_room, data, size);
        size_t part = (size_t)(end - data) + 1;
        if (wire->line_size > 0) {
            if (!keep(&wire->line, &wire->line_size, &wire->line_room, data, part))
                return false;
            take_line(wire->line, wire->line_size, text, owner);
            wire->line_size = 0;
        } else {
            take_line(data, part, text, owner);
        }
        data += part;
        size -= part;
    }
    return true;
}

/* Both take from the front of data what is whole and say how much that was. */
static size_t take_chunks(struct wire *wire, const char *data, size_t size, wire_text *text, void *owner)
{
    size_t used = 0;

    while (used < size) {
        if (!wire->in_chunk) {
            const char *end = memchr(data + used, '\n', size - used);
            if (!end)
                break;
            wire->chunk_left = strtoul(data + used, NULL, 16) + 2;
            wire->in_chunk = wire->chunk_left > 2; /* the last chunk: what follows is read as the next one's line */
            used = (size_t)(end - data) + 1;
            continue;
        }
        size_t part = wire->chunk_left < size - used ? wire->chunk_left : size - used;
        size_t inner = wire->chunk_left > 2 ? (part < wire->chunk_left - 2 ? part : wire->chunk_left - 2) : 0;
        if (inner > 0 && !take_body(wire, data + used, inner, text, owner))
            wire->bad = true;
        used += part;
        wire->chunk_left -= part;
        wire->in_chunk = wire->chunk_left > 0;
    }
    return used;
}

static size_t take_frames(struct wire *wire, const char *data, size_t size, wire_text *text, void *owner)
{
    size_t used = 0;

    while (size - used >= 2) {
        const unsigned char *at = (const unsigned char *)data + used;
        size_t head = 2, length = at[1] & 127;
        if (length == 126)
            head = 4;
        else if (length == 127)
            head = 10;
        if (size - used < head)
            break;
        if (head > 2) {
            length = 0;
            for (size_t i = 2; i < head; i++)
                length = length << 8 | at[i];
        }
        if (size - used - head < length)
            break;
        if ((at[0] & 15) == 8)
            wire->bad = true;
        if ((at[0] & 15) <= 1)
            payload((const char *)at + head, length, text, owner);
        used += head + length;
    }
    return used;
}

static size_t take_head(struct wire *wire, const char *data, size_t size)
{
    const char *end = memmem(data, size, "\r\n\r\n", 4);

    if (!end)
        return 0;
    wire->head_done = true;
    wire->bad = size < 12 || memcmp(data + 9, wire->kind == WIRE_WS ? "101" : "200", 3) != 0;
    for (const char *at = data; at < end; at++)
        wire->chunked |= end - at >= 26 && strncasecmp(at, "transfer-encoding: chunked", 26) == 0;
    return (size_t)(end - data) + 4;
}

static size_t take_whole(struct wire *wire, const char *data, size_t size, wire_text *text, void *owner)
{
    size_t used = 0;

    if (!wire->head_done && (used = take_head(wire, data, size)) == 0)
        return 0;
    if (wire->bad || used == size)
        return used;
    if (wire->kind == WIRE_WS)
        return used + take_frames(wire, data + used, size - used, text, owner);
    if (wire->chunked)
        return used + take_chunks(wire, data + used, size - used, text, owner);
    wire->bad = !take_body(wire, data + used, size - used, text, owner);
    return size;
}

bool wire_take(struct wire *wire, const char *data, size_t size, wire_text *text, void *owner)
{
    size_t used;

    if (wire->kept_size > 0) {
        if (!keep(&wire->kept, &wire->kept_size, &wire->kept_room, data, size))
            return false;
        used = take_whole(wire, wire->kept, wire->kept_size, text, owner);
        memmove(wire->kept, wire->kept + used, wire->kept_size - used);
        wire->kept_size -= used;
        return !wire->bad;
    }
    used = take_whole(wire, data, size, text, owner);
    if (used < size && !keep(&wire->kept, &wire->kept_size, &wire->kept_room, data + used, size - used))
        return false;
    return !wire->bad;
}

void wire_free(struct wire *wire)
{
    free(wire->kept);
    free(wire->line);
    *wire = (struct wire){0};
}
