/* parse/json_scan.h - a pull scanner over JSON text: the pieces delta_scanner.c is made of.
 *
 * Each function looks at s->p, takes what it names and moves on; false means "decline": the text is not JSON, or not as it usually is.  What
 * is taken obeys the grammar and the bounds of json_check (loose), so the JSON reader accepts every text that is scanned to its end.
 * Header only, so that the compiler makes one loop of it; nothing is copied but strings that hold escapes.  Pure. */
#ifndef JSON_SCAN_H
#define JSON_SCAN_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/base/span.h"
#include "core/json/json_check.h"
#include "core/json/json_utf8.h"

#define SCAN_DEPTH_MAX 32u    /* containers within a dropped value */
#define SCAN_COUNT_DIGITS 15u /* of a count: below 2^53, so a double would give the same */

#define SCAN_EACH_BYTE(value) (UINT64_C(0x0101010101010101) * (value))

struct scan {
    const char *p, *end;
    char *unescaped; /* where the next decoded string goes: room for all of them */
};

/* A raw string: what stands between the quotes. */
struct scan_raw {
    struct span text;
    bool escaped;
};

/* The byte at hand. */
static inline char scan_peek(const struct scan *s)
{
    return s->p < s->end ? *s->p : '\0'; /* a zero byte is legal nowhere, so both mean "decline" */
}

/* Past blanks. */
static inline void scan_blanks(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
        s->p++;
}

/* The first quote, backslash or control character at or after p; eight bytes at a time.  The lowest bit of such a mask is exact. */
static inline const char *scan_string_stop(const char *p, const char *end)
{
    for (; end - p >= 8; p += 8) {
        uint64_t w, quote, slash, stop;

        memcpy(&w, p, 8);
        w = le64toh(w);
        quote = w ^ SCAN_EACH_BYTE('"');
        slash = w ^ SCAN_EACH_BYTE('\\');
        stop = ((w - SCAN_EACH_BYTE(0x20)) & ~w) | ((quote - SCAN_EACH_BYTE(1)) & ~quote) | ((slash - SCAN_EACH_BYTE(1)) & ~slash);
        stop &= SCAN_EACH_BYTE(0x80);
        if (stop)
            return p + (__builtin_ctzll(stop) >> 3);
    }
    while (p < end && (unsigned char)*p >= 0x20 && *p != '"' && *p != '\\')
        p++;
    return p;
}

/* One escape, at its backslash. */
static inline bool scan_skip_escape(struct scan *s)
{
    if (s->end - s->p < 2)
        return false;
    if (s->p[1] == 'u') {
        if (s->end - s->p < 6 || json_hex4(s->p + 2) < 0)
            return false;
        s->p += 6;
        return true;
    }
    if (!memchr("\"\\/bfnrt", s->p[1], 8))
        return false;
    s->p += 2;
    return true;
}

/* A string with its quotes; *ret is what stands between them, not decoded. */
static inline bool scan_string(struct scan *s, struct scan_raw *ret)
{
    const char *begin;

    if (scan_peek(s) != '"')
        return false;
    begin = ++s->p;
    ret->escaped = false;
    for (;;) {
        s->p = scan_string_stop(s->p, s->end);
        if (s->p == s->end || (unsigned char)*s->p < 0x20)
            return false;
        if (*s->p == '"')
            break;
        ret->escaped = true;
        if (!scan_skip_escape(s))
            return false;
    }
    ret->text = span_of(begin, (size_t)(s->p - begin));
    s->p++;
    return true;
}

/* Decodes one escape (already checked) at p, which has `size` bytes to the closing quote.  Returns the bytes of p it takes. */
static inline size_t scan_unescape_one(const char *p, size_t size, char **to)
{
    static const char letters[128] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                      ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};
    int32_t unit, low;

    if (p[1] != 'u') {
        *(*to)++ = letters[(unsigned char)p[1] & 127];
        return 2;
    }
    unit = json_hex4(p + 2);
    if (json_is_high_surrogate(unit) && size >= 12 && p[6] == '\\' && p[7] == 'u' && json_is_low_surrogate(low = json_hex4(p + 8))) {
        *to += utf8_put(*to, 0x10000u + ((uint32_t)(unit - 0xd800) << 10) + (uint32_t)(low - 0xdc00));
        return 12;
    }
    *to += utf8_put(*to, unit ? (uint32_t)unit : 0xfffdu);
    return 6;
}

/* The text of a raw string: itself if it holds no escape, else decoded to s->unescaped.  Lone surrogates come out in their three-byte form,
 * \u0000 as U+FFFD. */
static inline struct span scan_unescape(struct scan *s, struct scan_raw raw)
{
    const char *p = raw.text.data, *end = p + raw.text.size;
    char *begin = s->unescaped, *to = begin;

    if (!raw.escaped)
        return raw.text;
    while (p < end) {
        const char *slash = memchr(p, '\\', (size_t)(end - p));
        size_t plain = (size_t)((slash ? slash : end) - p);

        memcpy(to, p, plain);
        to += plain;
        p += plain;
        if (p < end)
            p += scan_unescape_one(p, (size_t)(end - p), &to);
    }
    s->unescaped = to;
    return span_of(begin, (size_t)(to - begin));
}

/* At least one digit. */
static inline bool scan_digits(struct scan *s)
{
    const char *begin = s->p;

    while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
        s->p++;
    return s->p > begin;
}

/* A number, checked. */
static inline bool scan_skip_number(struct scan *s)
{
    const char *begin = s->p, *whole;

    if (scan_peek(s) == '-')
        s->p++;
    whole = s->p;
    if (!scan_digits(s) || (*whole == '0' && s->p - whole > 1))
        return false;
    if (scan_peek(s) == '.') {
        s->p++;
        if (!scan_digits(s))
            return false;
    }
    if (scan_peek(s) == 'e' || scan_peek(s) == 'E') {
        s->p++;
        if (scan_peek(s) == '+' || scan_peek(s) == '-')
            s->p++;
        if (!scan_digits(s))
            return false;
    }
    return s->p - begin <= (ptrdiff_t)JSON_NUMBER_MAX;
}

/* Exactly these bytes. */
static inline bool scan_word(struct scan *s, const char *word, size_t size)
{
    if ((size_t)(s->end - s->p) < size || memcmp(s->p, word, size) != 0)
        return false;
    s->p += size;
    return true;
}

/* A value that is no container, checked and dropped. */
static inline bool scan_skip_plain(struct scan *s)
{
    struct scan_raw raw;

    switch (scan_peek(s)) {
    case '"':
        return scan_string(s, &raw);
    case 'n':
        return scan_word(s, "null", 4);
    case 't':
        return scan_word(s, "true", 4);
    case 'f':
        return scan_word(s, "false", 5);
    default:
        return scan_skip_number(s);
    }
}

/* A name and its colon, up to the value. */
static inline bool scan_name(struct scan *s, struct scan_raw *ret)
{
    if (!scan_string(s, ret))
        return false;
    scan_blanks(s);
    if (scan_peek(s) != ':')
        return false;
    s->p++;
    scan_blanks(s);
    return true;
}

/* One value of any kind, checked and dropped. */
static inline bool scan_skip_value(struct scan *s)
{
    char close[SCAN_DEPTH_MAX];
    unsigned depth = 0;
    struct scan_raw raw;

    for (;;) {
        char c = scan_peek(s);
        if (c == '{' || c == '[') {
            if (depth == SCAN_DEPTH_MAX)
                return false;
            close[depth++] = c == '{' ? '}' : ']';
            s->p++;
            scan_blanks(s);
            if (scan_peek(s) != close[depth - 1]) {
                if (c == '{' && !scan_name(s, &raw))
                    return false;
                continue;
            }
        } else if (!scan_skip_plain(s)) {
            return false;
        }
        for (;;) { /* after a value, or before the end of an empty container */
            if (depth == 0)
                return true;
            scan_blanks(s);
            c = scan_peek(s);
            if (c == close[depth - 1]) {
                s->p++;
                depth--;
                continue;
            }
            break;
        }
        if (c != ',')
            return false;
        s->p++;
        scan_blanks(s);
        if (close[depth - 1] == '}' && !scan_name(s, &raw))
            return false;
    }
}

/* null, and nothing is taken if it is not there. */
static inline bool scan_null(struct scan *s)
{
    return scan_peek(s) == 'n' && scan_word(s, "null", 4);
}

/* A string, decoded; null leaves *ret alone. */
static inline bool scan_text(struct scan *s, struct span *ret)
{
    struct scan_raw raw;

    if (scan_null(s))
        return true;
    if (!scan_string(s, &raw))
        return false;
    *ret = scan_unescape(s, raw);
    return true;
}

/* A whole number of at most SCAN_COUNT_DIGITS digits. */
static inline bool scan_count(struct scan *s, uint64_t *ret)
{
    const char *begin = s->p;
    uint64_t value = 0;

    if (!scan_skip_number(s) || s->p - begin > (ptrdiff_t)SCAN_COUNT_DIGITS)
        return false;
    for (const char *p = begin; p < s->p; p++) {
        if (*p < '0' || *p > '9')
            return false;
        value = value * 10 + (uint64_t)(*p - '0');
    }
    *ret = value;
    return true;
}

#endif
