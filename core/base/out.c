#include <umbel/out.h>

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OUT_LIMIT_DEFAULT ((size_t)1 << 30)
#define OUT_FIRST 256u /* bytes of the first allocation */

#define EACH_BYTE(value) (UINT64_C(0x0101010101010101) * (value))
#define HIGH_BITS EACH_BYTE(0x80)

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

void umbel_out_free(struct umbel_out *out)
{
    free(out->data);
    *out = (struct umbel_out){.limit = out->limit};
}

void umbel_out_reset(struct umbel_out *out)
{
    out->size = 0;
    out->failed = 0;
}

static char *grow(struct umbel_out *out, size_t size)
{
    size_t limit = out->limit ? out->limit : OUT_LIMIT_DEFAULT;
    size_t capacity = out->capacity ? out->capacity : OUT_FIRST;

    if (out->size > limit || size > limit - out->size) {
        out->failed = -EMSGSIZE;
        return NULL;
    }
    while (capacity < out->size + size)
        capacity *= 2;
    if (capacity > limit)
        capacity = limit;
    char *data = realloc(out->data, capacity);
    if (!data) {
        out->failed = -ENOMEM;
        return NULL;
    }
    out->data = data;
    out->capacity = capacity;
    return data + out->size;
}

/* Inside of the library: the exported name would be called by way of its table, for every few bytes. */
static inline char *reserve(struct umbel_out *out, size_t size)
{
    if (out->failed)
        return NULL;
    if (out->data && size <= out->capacity - out->size && (!out->limit || size <= out->limit - out->size))
        return out->data + out->size;
    return grow(out, size);
}

char *umbel_out_reserve(struct umbel_out *out, size_t size)
{
    return reserve(out, size);
}

void umbel_out_put(struct umbel_out *out, const void *bytes, size_t size)
{
    char *to;

    if (size == 0 || !(to = reserve(out, size)))
        return;
    memcpy(to, bytes, size);
    out->size += size;
}

void umbel_out_text(struct umbel_out *out, const char *text)
{
    umbel_out_put(out, text, strlen(text));
}

void umbel_out_printf(struct umbel_out *out, const char *format, ...)
{
    va_list args;
    char shorter[512], *longer = NULL;
    int n;

    va_start(args, format);
    n = vsnprintf(shorter, sizeof shorter, format, args);
    va_end(args);
    if (n > 0 && (size_t)n >= sizeof shorter) { /* apart, so that text which just fits the limit is not refused for its zero */
        va_start(args, format);
        n = vasprintf(&longer, format, args);
        va_end(args);
    }
    if (n < 0)
        out->failed = out->failed ? out->failed : -ENOMEM;
    else
        umbel_out_put(out, (size_t)n < sizeof shorter ? shorter : longer, (size_t)n);
    if (n >= 0)
        free(longer);
}

void umbel_out_u64(struct umbel_out *out, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;

    do
        digits[--at] = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    umbel_out_put(out, digits + at, sizeof digits - at);
}

/* Bytes from p on that are printable ASCII and neither a quote nor a backslash: eight at a time.  DEL is let through. */
static size_t plain_span(const unsigned char *p, size_t size)
{
    size_t i = 0;

    for (; i + 8 <= size; i += 8) {
        uint64_t w, quote, slash;

        memcpy(&w, p + i, 8);
        quote = w ^ EACH_BYTE('"');
        slash = w ^ EACH_BYTE('\\');
        if ((w | ((w - EACH_BYTE(0x20)) & ~w) | ((quote - EACH_BYTE(1)) & ~quote) | ((slash - EACH_BYTE(1)) & ~slash)) & HIGH_BITS)
            break;
    }
    while (i < size && p[i] >= 0x20 && p[i] < 0x80 && p[i] != '"' && p[i] != '\\')
        i++;
    return i;
}

/* The code point at p: *ret_size bytes of it, or of what is replaced as one invalid sequence (then -1).  A surrogate in the
 * three-byte form is one invalid sequence. */
static int32_t decode(const unsigned char *p, size_t size, size_t *ret_size)
{
    unsigned char c = p[0], low = 0x80, high = 0xbf;
    size_t need = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    int32_t value = c & (need == 2 ? 0x1f : need == 3 ? 0x0f : 0x07);

    *ret_size = 1;
    if (c < 0xc2 || c > 0xf4)
        return -1;
    if (c == 0xe0)
        low = 0xa0;
    else if (c == 0xf0)
        low = 0x90;
    else if (c == 0xf4)
        high = 0x8f;
    for (size_t i = 1; i < need; i++, low = 0x80, high = 0xbf) {
        *ret_size = i;
        if (i >= size || p[i] < low || p[i] > high)
            return -1;
        value = (int32_t)((uint32_t)value << 6 | (p[i] & 0x3fu));
    }
    *ret_size = need;
    return value >= 0xd800 && value <= 0xdfff ? -1 : value;
}

static void put_unit(struct umbel_out *out, uint32_t unit)
{
    static const char digits[] = "0123456789abcdef";
    char text[6] = {'\\', 'u', digits[unit >> 12 & 15], digits[unit >> 8 & 15], digits[unit >> 4 & 15], digits[unit & 15]};

    umbel_out_put(out, text, sizeof text);
}

static void put_escape(struct umbel_out *out, unsigned char c)
{
    static const char letters[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r', ['"'] = '"', ['\\'] = '\\'};

    if (c < sizeof letters && letters[c])
        umbel_out_put(out, (char[2]){'\\', letters[c]}, 2);
    else
        put_unit(out, c);
}

static void put_ascii(struct umbel_out *out, int32_t point)
{
    uint32_t value = point < 0 ? 0xfffdu : (uint32_t)point;

    if (value >= 0x10000u) {
        put_unit(out, 0xd7c0u + (value >> 10)); /* 0xd800 - (0x10000 >> 10) */
        value = 0xdc00u | (value & 0x3ffu);
    }
    put_unit(out, value);
}

/* Length of the run from p on that may be copied as it is. */
static size_t raw_span(const unsigned char *p, size_t size, bool ascii)
{
    size_t n, i = 0;

    for (;;) {
        i += plain_span(p + i, size - i);
        if (i == size || ascii || p[i] < 0x80 || decode(p + i, size - i, &n) < 0)
            break;
        i += n;
    }
    if (ascii) {
        const unsigned char *del = memchr(p, 0x7f, i);
        if (del)
            i = (size_t)(del - p);
    }
    return i;
}

static void escape(struct umbel_out *out, const char *text, size_t size, bool ascii)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + size;

    while (p < end) {
        size_t n = raw_span(p, (size_t)(end - p), ascii);

        umbel_out_put(out, p, n);
        p += n;
        if (p == end)
            break;
        if (*p < 0x80) {
            put_escape(out, *p++);
            continue;
        }
        int32_t point = decode(p, (size_t)(end - p), &n);
        if (ascii)
            put_ascii(out, point);
        else
            umbel_out_put(out, replacement, 3);
        p += n;
    }
}

void umbel_out_json_bare(struct umbel_out *out, const char *text, size_t size)
{
    if (size)
        escape(out, text, size, false);
}

void umbel_out_json(struct umbel_out *out, const char *text, size_t size)
{
    umbel_out_put(out, "\"", 1);
    umbel_out_json_bare(out, text, size);
    umbel_out_put(out, "\"", 1);
}

void umbel_out_json_ascii(struct umbel_out *out, const char *text, size_t size)
{
    umbel_out_put(out, "\"", 1);
    if (size)
        escape(out, text, size, true);
    umbel_out_put(out, "\"", 1);
}

void umbel_out_question(struct umbel_out *out, const char *text, size_t size)
{
    umbel_out_text(out, "[{\"role\":\"user\",\"content\":");
    umbel_out_json(out, text, size);
    umbel_out_text(out, "}]");
}
