#include "chatgpt_segment.h"

#include <stdint.h>
#include <string.h>

/* The next code point of valid UTF-8; moves *at behind it. */
static uint32_t next(const char **at, const char *end)
{
    const unsigned char *s = (const unsigned char *)*at;
    size_t left = (size_t)(end - *at), size = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    uint32_t point = size == 1 ? s[0] : size == 2 ? s[0] & 0x1fu : size == 3 ? s[0] & 0x0fu : s[0] & 0x07u;

    if (size > left)
        size = left;
    for (size_t i = 1; i < size; i++)
        point = point << 6 | (s[i] & 0x3fu);
    *at += size;
    return point;
}

/* What Python's str.strip() takes for white space. */
static int is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
           c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

static int is_stop(uint32_t c)
{
    return c == ',' || c == '?' || c == '!' || c == 0xff0c || c == 0x3002 || c == 0xff1f || c == 0xff01;
}

static int is_quote(uint32_t c)
{
    return c == '\'' || c == '"' || c == 0x2018 || c == 0x2019 || c == 0x201c || c == 0x201d;
}

int chatgpt_segment_ends(const char *text, size_t size)
{
    const char *at = text, *end = text + size;
    uint32_t last = 0, before = 0, waiting_last = 0;
    size_t count = 0, spaces = 0, plain = 0, twice = 0, open1 = 0, close1 = 0, open2 = 0, close2 = 0;

    while (at < end) {
        uint32_t c = next(&at, end);
        plain += c == '\'';
        twice += c == '"';
        open1 += c == 0x2018;
        close1 += c == 0x2019;
        open2 += c == 0x201c;
        close2 += c == 0x201d;
        if (is_space(c)) { /* outer, unless something follows */
            spaces += count > 0;
            waiting_last = c;
            continue;
        }
        before = spaces ? waiting_last : last;
        count += spaces + 1;
        spaces = 0;
        last = c;
    }
    if (count <= 1 || !(is_stop(last) || is_quote(last)) || (is_quote(last) && !is_stop(before)))
        return 0;
    return plain % 2 == 0 && twice % 2 == 0 && open1 == close1 && open2 == close2;
}
