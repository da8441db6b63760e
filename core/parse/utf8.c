#include "core/parse/utf8.h"

#include <stdint.h>
#include <string.h>

#include "core/json/json_utf8.h"

#define REPLACEMENT_SIZE 3u

size_t utf8_whole(const char *data, size_t size)
{
    const unsigned char *p = (const unsigned char *)data;
    size_t i = 0;

    while (i < size) {
        for (uint64_t word; i + 8 <= size; i += 8) {
            memcpy(&word, p + i, 8);
            if (word & UINT64_C(0x8080808080808080))
                break;
        }
        for (; i < size; ) {
            int step = utf8_step(p + i, size - i);
            if (step <= 0)
                return i;
            i += (size_t)step;
            if (step == 1 && i % 8 == 0)
                break; /* ASCII again: back to words */
        }
    }
    return i;
}

bool utf8_is_boundary(const char *text, size_t size, size_t position)
{
    return position == size || (position < size && ((unsigned char)text[position] & 0xc0) != 0x80);
}

size_t utf8_cut(const char *text, size_t size, size_t max)
{
    size_t n = size < max ? size : max;

    while (n > 0 && !utf8_is_boundary(text, size, n))
        n--;
    return n;
}

/* The second half of a pair at p: its three bytes (3), the beginning of them (0), or not (-1). */
static int second_half(const unsigned char *p, size_t size)
{
    if ((size > 0 && p[0] != 0xed) || (size > 1 && (p[1] < 0xb0 || p[1] > 0xbf)))
        return -1;
    if (size < 3)
        return 0;
    return (p[2] & 0xc0) == 0x80 ? 3 : -1;
}

static size_t put_pair(char *to, const unsigned char *p)
{
    uint32_t high = (uint32_t)(p[1] & 0x0f) << 6 | (p[2] & 0x3fu), low = (uint32_t)(p[4] & 0x0f) << 6 | (p[5] & 0x3fu);

    return utf8_put(to, 0x10000u + (high << 10) + low);
}

/* Writes p to `to` (room for 3 * size), repaired.  Returns the bytes of p that are dealt with; the others are an unfinished end. */
static size_t repair(const unsigned char *p, size_t size, char *to, size_t *ret_written)
{
    size_t i = 0, out = 0;

    while (i < size) {
        int step = utf8_step(p + i, size - i), half = -1;

        if (step > 0) {
            memcpy(to + out, p + i, (size_t)step);
            out += (size_t)step;
            i += (size_t)step;
            continue;
        }
        if (step == -3 && p[i + 1] < 0xb0) /* a first half */
            half = second_half(p + i + 3, size - i - 3);
        if (half == 3) {
            out += put_pair(to + out, p + i);
            i += 6;
            continue;
        }
        if (step == 0 || half == 0)
            break;
        memcpy(to + out, UTF8_REPLACEMENT, REPLACEMENT_SIZE);
        out += REPLACEMENT_SIZE;
        i += (size_t)-step;
    }
    *ret_written = out;
    return i;
}

void utf8_replace(const char *data, size_t size, struct umbel_out *out)
{
    size_t whole;

    for (size_t i = 0; i < size; i += whole) {
        whole = utf8_whole(data + i, size - i);
        umbel_out_put(out, data + i, whole);
        if (i + whole == size)
            break;
        int step = utf8_step((const unsigned char *)data + i + whole, size - i - whole);
        umbel_out_put(out, UTF8_REPLACEMENT, REPLACEMENT_SIZE);
        whole = step < 0 ? whole + (size_t)-step : size - i;
    }
}

int utf8_join(struct utf8_carry *carry, const char *data, size_t size, struct umbel_out *scratch, struct span *ret_text)
{
    size_t raw = carry->size + size, done, written;
    char *to;

    if (carry->size == 0 && utf8_whole(data, size) == size) {
        *ret_text = span_of(data, size);
        return 0;
    }
    umbel_out_reset(scratch);
    to = umbel_out_reserve(scratch, (1 + REPLACEMENT_SIZE) * raw + 1); /* the joined bytes, then what they become */
    if (!to)
        return scratch->failed;
    memcpy(to, carry->bytes, carry->size);
    if (size)
        memcpy(to + carry->size, data, size);
    done = repair((const unsigned char *)to, raw, to + raw, &written);
    carry->size = (unsigned char)(raw - done);
    memcpy(carry->bytes, to + done, raw - done);
    *ret_text = span_of(to + raw, written);
    return 0;
}

struct span utf8_flush(struct utf8_carry *carry)
{
    /* One unfinished sequence; more than three bytes are a first half and the beginning of another sequence. */
    size_t count = carry->size > 3 ? 2 : carry->size > 0 ? 1 : 0;

    carry->size = 0;
    return span_of(UTF8_REPLACEMENT UTF8_REPLACEMENT, count * REPLACEMENT_SIZE);
}
