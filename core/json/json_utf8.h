/* json/json_utf8.h - the byte-level rules of text, in one place: one step of UTF-8, encoding, and the four digits of \uXXXX.
 * Pure, header only: the JSON reader and core/parse use the same rules, so their replacements of bad bytes are equal. */
#ifndef JSON_UTF8_H
#define JSON_UTF8_H

#include <stddef.h>
#include <stdint.h>

#define UTF8_REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* utf8_step - looks at the code point that begins at p (size >= 1 bytes there).  Returns
 *   1..4   a whole valid code point of that many bytes;
 *   0      the beginning of one, more bytes are needed to know;
 *   -1..-3 that many bytes are one invalid sequence (U+FFFD takes their place).  -3 is only ever a surrogate in three-byte form. */
static inline int utf8_step(const unsigned char *p, size_t size)
{
    unsigned char c = p[0], low, high;
    int need;

    if (c < 0x80)
        return 1;
    if (c < 0xc2 || c > 0xf4)
        return -1;
    if (size < 2)
        return 0;
    need = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    high = c == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high)
        return -1;
    for (int i = 2; i < need; i++) {
        if (size <= (size_t)i)
            return 0;
        if ((p[i] & 0xc0) != 0x80)
            return -i;
    }
    return c == 0xed && p[1] >= 0xa0 ? -3 : need;
}

/* utf8_put - writes value (0..0x10ffff; surrogates come out in their three-byte form) to `to`, 1..4 bytes.  Returns how many. */
static inline size_t utf8_put(char *to, uint32_t value)
{
    if (value < 0x80) {
        to[0] = (char)value;
        return 1;
    }
    if (value < 0x800) {
        to[0] = (char)(0xc0 | value >> 6);
        to[1] = (char)(0x80 | (value & 0x3f));
        return 2;
    }
    if (value < 0x10000) {
        to[0] = (char)(0xe0 | value >> 12);
        to[1] = (char)(0x80 | (value >> 6 & 0x3f));
        to[2] = (char)(0x80 | (value & 0x3f));
        return 3;
    }
    to[0] = (char)(0xf0 | value >> 18);
    to[1] = (char)(0x80 | (value >> 12 & 0x3f));
    to[2] = (char)(0x80 | (value >> 6 & 0x3f));
    to[3] = (char)(0x80 | (value & 0x3f));
    return 4;
}

/* json_hex4 - the value of four hexadecimal digits at p (all four readable), or -1. */
static inline int32_t json_hex4(const char *p)
{
    int32_t value = 0;

    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static inline int json_is_high_surrogate(int32_t unit)
{
    return unit >= 0xd800 && unit <= 0xdbff;
}

static inline int json_is_low_surrogate(int32_t unit)
{
    return unit >= 0xdc00 && unit <= 0xdfff;
}

#endif
