#include "tools/show/show_lines.h"

#include <wchar.h>

#include "core/json/json_utf8.h"

size_t show_char(const char *text, size_t size, int *ret_columns)
{
    const unsigned char *p = (const unsigned char *)text;
    int step = utf8_step(p, size);
    wchar_t value;

    *ret_columns = 0;
    if (*p == '\n') {
        *ret_columns = -1;
        return 1;
    }
    if (step <= 0)
        return step == 0 ? size : (size_t)-step;
    value = step == 1 ? p[0] : step == 2 ? (p[0] & 0x1f) : step == 3 ? (p[0] & 0x0f) : (p[0] & 0x07);
    for (int i = 1; i < step; i++)
        value = value << 6 | (p[i] & 0x3f);
    int columns = value == '\t' ? 1 : wcwidth(value);
    *ret_columns = columns < 0 ? 0 : columns;
    return (size_t)step;
}

void show_wrap(const char *text, size_t size, unsigned columns, void (*line)(void *owner, const char *text, size_t size), void *owner)
{
    size_t begin = 0, at = 0, blank = 0; /* blank: after the last blank of this line, 0 = none */
    unsigned used = 0;

    while (at < size) {
        int wide;
        size_t step = show_char(text + at, size - at, &wide);
        if (wide < 0) {
            line(owner, text + begin, at - begin);
            begin = at + step;
            at = begin;
            used = 0;
            blank = 0;
            continue;
        }
        if (used + (unsigned)wide > columns) {
            if (text[at] == ' ') { /* the blank itself does not fit: it is the break */
                line(owner, text + begin, at - begin);
                begin = at + step;
            } else if (blank > begin) {
                line(owner, text + begin, blank - 1 - begin);
                begin = blank;
            } else {
                line(owner, text + begin, at - begin);
                begin = at;
            }
            at = begin;
            used = 0;
            blank = 0;
            continue;
        }
        used += (unsigned)wide;
        at += step;
        if (text[at - step] == ' ')
            blank = at;
    }
    if (begin < size)
        line(owner, text + begin, size - begin);
}

unsigned show_fit(struct umbel_out *out, const char *text, size_t size, unsigned columns)
{
    unsigned used = 0;

    for (size_t at = 0; at < size;) {
        int wide;
        size_t step = show_char(text + at, size - at, &wide);
        if (wide < 0)
            break;
        if (used + (unsigned)wide > columns)
            break;
        if (text[at] == '\t')
            umbel_out_put(out, " ", 1);
        else if (wide > 0 || (step > 1 && (unsigned char)text[at] >= 0xcc)) /* combining marks and joiners, but no control characters */
            umbel_out_put(out, text + at, step);
        used += (unsigned)wide;
        at += step;
    }
    return used;
}
