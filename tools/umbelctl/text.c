#include "tools/umbelctl/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Decodes one character.  Returns its bytes, 0 if these are no UTF-8. */
static size_t decode(const unsigned char *at, size_t size, uint32_t *ret_code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = at[0] < 0x80 ? 1 : at[0] >= 0xc2 && at[0] < 0xe0 ? 2 : (at[0] & 0xf0) == 0xe0 ? 3 : (at[0] & 0xf8) == 0xf0 ? 4 : 0;
    uint32_t code = length == 1 ? at[0] : at[0] & (0x7fu >> length);

    if (length == 0 || length > size)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (at[i] & 0x3fu);
    }
    if (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return 0;
    *ret_code = code;
    return length;
}

static int within(uint32_t code, const uint32_t (*ranges)[2], size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (code >= ranges[i][0] && code <= ranges[i][1])
            return 1;
    return 0;
}

#define WITHIN(code, ranges) within(code, ranges, sizeof(ranges) / sizeof(ranges)[0])

static size_t code_width(uint32_t code)
{
    static const uint32_t zero[][2] = {{0x300, 0x36f}, {0x483, 0x489}, {0x591, 0x5bd}, {0x64b, 0x65f}, {0x200b, 0x200d}, {0x20d0, 0x20ff},
                                       {0xfe00, 0xfe0f}, {0xfeff, 0xfeff}, {0x1f3fb, 0x1f3ff}};
    static const uint32_t wide[][2] = {{0x1100, 0x115f}, {0x231a, 0x231b}, {0x2e80, 0x303e}, {0x3041, 0x33ff}, {0x3400, 0x4dbf},
                                       {0x4e00, 0xa4cf}, {0xa960, 0xa97f}, {0xac00, 0xd7a3}, {0xf900, 0xfaff}, {0xfe30, 0xfe6f},
                                       {0xff00, 0xff60}, {0xffe0, 0xffe6}, {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1faff},
                                       {0x20000, 0x3fffd}};

    return WITHIN(code, zero) ? 0 : WITHIN(code, wide) ? 2 : 1;
}

size_t text_width(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t size = strlen(text), width = 0;

    while (size > 0) {
        uint32_t code = 0;
        size_t length = decode(at, size, &code);

        width += length ? code_width(code) : 1;
        length = length ? length : 1;
        at += length;
        size -= length;
    }
    return width;
}

size_t text_clean(const char *text, size_t size, int keep_lines, char *ret_text, size_t room)
{
    static const uint32_t steering[][2] = {{0, 0x1f}, {0x7f, 0x9f}, {0x200e, 0x200f}, {0x2028, 0x202e}, {0x2066, 0x2069}};
    const unsigned char *at = (const unsigned char *)text;
    size_t used = 0;

    while (size > 0) {
        uint32_t code = 0;
        size_t length = decode(at, size, &code);
        int good = length > 0 && (!WITHIN(code, steering) || (keep_lines && (code == '\n' || code == '\t')));

        length = length ? length : 1;
        if (used + (good ? length : 1) >= room)
            break;
        if (good)
            memcpy(ret_text + used, at, length);
        else
            ret_text[used] = '?';
        used += good ? length : 1;
        at += length;
        size -= length;
    }
    ret_text[used] = '\0';
    return used;
}

void text_duration(uint64_t ns, char *ret_text, size_t room)
{
    uint64_t s = ns / 1000000000u;

    if (ns < 1000)
        snprintf(ret_text, room, "%" PRIu64 " ns", ns);
    else if (ns < 1000000)
        snprintf(ret_text, room, "%.1f us", (double)ns / 1e3);
    else if (s < 1)
        snprintf(ret_text, room, "%.1f ms", (double)ns / 1e6);
    else if (s < 60)
        snprintf(ret_text, room, "%.1f s", (double)ns / 1e9);
    else if (s < 3600)
        snprintf(ret_text, room, "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(ret_text, room, "%" PRIu64 "h%02" PRIu64 "m", s / 3600, s / 60 % 60);
    else
        snprintf(ret_text, room, "%" PRIu64 "d%02" PRIu64 "h", s / 86400, s / 3600 % 24);
}

void text_bytes(uint64_t bytes, char *ret_text, size_t room)
{
    static const char *const unit[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes / 1024;
    size_t i = 0;

    if (bytes < 1024) {
        snprintf(ret_text, room, "%" PRIu64 " B", bytes);
        return;
    }
    for (; value >= 1024 && i < 5; i++)
        value /= 1024;
    snprintf(ret_text, room, "%.1f %s", value, unit[i]);
}
