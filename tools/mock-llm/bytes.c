#include "bytes.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void out_of_memory(void)
{
    fputs("umbel-mock-llm: out of memory\n", stderr);
    abort();
}

/* Makes room for extra more bytes. */
static void reserve(struct bytes *bytes, size_t extra)
{
    if (bytes->cap - bytes->len >= extra)
        return;
    size_t cap = bytes->cap ? bytes->cap : 256;
    while (cap - bytes->len < extra) {
        if (cap > SIZE_MAX / 2)
            out_of_memory();
        cap *= 2;
    }
    char *data = realloc(bytes->data, cap);
    if (!data)
        out_of_memory();
    bytes->data = data;
    bytes->cap = cap;
}

void bytes_put(struct bytes *bytes, const void *data, size_t size)
{
    if (!size)
        return;
    reserve(bytes, size);
    memcpy(bytes->data + bytes->len, data, size);
    bytes->len += size;
}

void bytes_puts(struct bytes *bytes, const char *string)
{
    bytes_put(bytes, string, strlen(string));
}

void bytes_printf(struct bytes *bytes, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int need = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (need < 0)
        return;
    reserve(bytes, (size_t)need + 1);
    va_start(args, format);
    vsnprintf(bytes->data + bytes->len, (size_t)need + 1, format, args);
    va_end(args);
    bytes->len += (size_t)need;
}

void bytes_fill(struct bytes *bytes, char byte, size_t count)
{
    if (!count)
        return;
    reserve(bytes, count);
    memset(bytes->data + bytes->len, byte, count);
    bytes->len += count;
}

void bytes_json(struct bytes *bytes, const char *data, size_t size)
{
    static const char hex[] = "0123456789abcdef";
    size_t plain = 0; /* start of the run that needs no escaping */

    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)data[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        bytes_put(bytes, data + plain, i - plain);
        plain = i + 1;
        char escape[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        size_t length = 2;
        switch (c) {
        case '"':
        case '\\':
            escape[1] = (char)c;
            break;
        case '\n':
            escape[1] = 'n';
            break;
        case '\r':
            escape[1] = 'r';
            break;
        case '\t':
            escape[1] = 't';
            break;
        default:
            length = 6;
            break;
        }
        bytes_put(bytes, escape, length);
    }
    bytes_put(bytes, data + plain, size - plain);
}

void bytes_json_string(struct bytes *bytes, const char *string)
{
    if (!string) {
        bytes_puts(bytes, "null");
        return;
    }
    bytes_puts(bytes, "\"");
    bytes_json(bytes, string, strlen(string));
    bytes_puts(bytes, "\"");
}

void bytes_drop(struct bytes *bytes, size_t count)
{
    if (count >= bytes->len) {
        bytes->len = 0;
        return;
    }
    memmove(bytes->data, bytes->data + count, bytes->len - count);
    bytes->len -= count;
}

char *bytes_string(struct bytes *bytes)
{
    reserve(bytes, 1);
    bytes->data[bytes->len] = '\0';
    return bytes->data;
}

void bytes_free(struct bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct bytes){0};
}

char *bytes_copy(const char *data, size_t size)
{
    char *copy = bytes_alloc(size + 1);

    if (size)
        memcpy(copy, data, size);
    return copy;
}

void *bytes_alloc(size_t size)
{
    void *memory = calloc(1, size ? size : 1);

    if (!memory)
        out_of_memory();
    return memory;
}
