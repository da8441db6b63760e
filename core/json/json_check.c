#include "core/json/json_check.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include <umbel/json.h>

#include "core/json/json_utf8.h"

struct check {
    const char *text;
    size_t size, at;
    size_t values, repairs, depth;
    bool loose;
    struct why *why;
    char close[UMBEL_JSON_DEPTH_MAX]; /* what ends each open container: ']' or '}' */
};

static int bad(struct check *c, const char *what)
{
    return why_set(c->why, -EBADMSG, "byte %zu: %s", c->at, what);
}

static void skip_blanks(struct check *c)
{
    while (c->at < c->size &&
           (c->text[c->at] == ' ' || c->text[c->at] == '\n' || c->text[c->at] == '\r' || c->text[c->at] == '\t'))
        c->at++;
}

static int check_unicode(struct check *c)
{
    int32_t low, unit;

    if (c->size - c->at < 6 || (unit = json_hex4(c->text + c->at + 2)) < 0)
        return bad(c, "\\u needs four hexadecimal digits");
    if (unit == 0) {
        if (!c->loose)
            return bad(c, "\\u0000 is not accepted");
        c->repairs++;
    }
    if (json_is_low_surrogate(unit))
        c->repairs++;
    if (json_is_high_surrogate(unit)) {
        bool escaped = c->size - c->at >= 12 && c->text[c->at + 6] == '\\' && c->text[c->at + 7] == 'u';
        low = escaped ? json_hex4(c->text + c->at + 8) : -1;
        if (json_is_low_surrogate(low))
            c->at += 6;
        else
            c->repairs++;
    }
    c->at += 6;
    return 0;
}

static int check_escape(struct check *c)
{
    if (c->size - c->at < 2)
        return bad(c, "the text ends inside a string");
    if (c->text[c->at + 1] == 'u')
        return check_unicode(c);
    if (!memchr("\"\\/bfnrt", c->text[c->at + 1], 8))
        return bad(c, "unknown escape");
    c->at += 2;
    return 0;
}

static int check_string(struct check *c)
{
    int r;

    if (c->at == c->size || c->text[c->at] != '"')
        return bad(c, "expected a string");
    for (c->at++; c->at < c->size;) {
        unsigned char byte = (unsigned char)c->text[c->at];

        if (byte == '"') {
            c->at++;
            return 0;
        }
        if (byte == '\\') {
            r = check_escape(c);
            if (r < 0)
                return r;
            continue;
        }
        if (byte < 0x20)
            return bad(c, "raw control character in a string");
        if (byte < 0x80 || c->loose) {
            c->at++;
            continue;
        }
        int step = utf8_step((const unsigned char *)c->text + c->at, c->size - c->at);
        if (step <= 0)
            return bad(c, "invalid UTF-8");
        c->at += (size_t)step;
    }
    return bad(c, "the text ends inside a string");
}

static size_t skip_digits(struct check *c)
{
    size_t begin = c->at;

    while (c->at < c->size && c->text[c->at] >= '0' && c->text[c->at] <= '9')
        c->at++;
    return c->at - begin;
}

static int check_number(struct check *c)
{
    size_t begin = c->at, digits;
    bool zero;

    if (c->text[c->at] == '-')
        c->at++;
    zero = c->at < c->size && c->text[c->at] == '0';
    digits = skip_digits(c);
    if (digits == 0 || (zero && digits > 1))
        return bad(c, "not a number");
    if (c->at < c->size && c->text[c->at] == '.') {
        c->at++;
        if (skip_digits(c) == 0)
            return bad(c, "a digit must follow the point");
    }
    if (c->at < c->size && (c->text[c->at] == 'e' || c->text[c->at] == 'E')) {
        c->at++;
        if (c->at < c->size && (c->text[c->at] == '+' || c->text[c->at] == '-'))
            c->at++;
        if (skip_digits(c) == 0)
            return bad(c, "a digit must follow the exponent");
    }
    if (c->at - begin > JSON_NUMBER_MAX)
        return why_set(c->why, -E2BIG, "byte %zu: a number of more than %u digits", begin, JSON_NUMBER_MAX);
    return 0;
}

static int check_word(struct check *c, const char *word, size_t size)
{
    if (c->size - c->at < size || memcmp(c->text + c->at, word, size) != 0)
        return bad(c, "expected a value");
    c->at += size;
    return 0;
}

/* The name of a member and its colon. */
static int check_name(struct check *c)
{
    int r = check_string(c);

    if (r < 0)
        return r;
    skip_blanks(c);
    if (c->at == c->size || c->text[c->at] != ':')
        return bad(c, "expected ':'");
    c->at++;
    skip_blanks(c);
    return 0;
}

static int open_container(struct check *c, char close, bool *ret_empty)
{
    if (c->depth == UMBEL_JSON_DEPTH_MAX)
        return why_set(c->why, -E2BIG, "byte %zu: nested deeper than %d", c->at, UMBEL_JSON_DEPTH_MAX);
    c->at++;
    skip_blanks(c);
    *ret_empty = c->at < c->size && c->text[c->at] == close;
    if (*ret_empty) {
        c->at++;
        return 0;
    }
    c->close[c->depth++] = close;
    return close == '}' ? check_name(c) : 0;
}

/* One value; of a container that is not empty only the beginning: *ret_opened. */
static int check_value(struct check *c, bool *ret_opened)
{
    bool empty = true;
    int r;

    *ret_opened = false;
    if (++c->values > JSON_VALUES_MAX)
        return why_set(c->why, -E2BIG, "byte %zu: more than %u values", c->at, JSON_VALUES_MAX);
    switch (c->at < c->size ? c->text[c->at] : '\0') {
    case '"':
        return check_string(c);
    case 't':
        return check_word(c, "true", 4);
    case 'f':
        return check_word(c, "false", 5);
    case 'n':
        return check_word(c, "null", 4);
    case '[':
    case '{':
        r = open_container(c, c->text[c->at] == '[' ? ']' : '}', &empty);
        *ret_opened = r == 0 && !empty;
        return r;
    case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
        return check_number(c);
    default:
        return bad(c, c->at < c->size ? "expected a value" : "the text ends where a value is expected");
    }
}

/* After a value: closes what ends here.  *ret_more: another value of the innermost container begins at c->at. */
static int check_after(struct check *c, bool *ret_more)
{
    for (*ret_more = false; c->depth > 0; c->depth--) {
        skip_blanks(c);
        if (c->at == c->size)
            return bad(c, "the text ends inside an array or object");
        char byte = c->text[c->at], close = c->close[c->depth - 1];
        if (byte == ',') {
            c->at++;
            skip_blanks(c);
            *ret_more = true;
            return close == '}' ? check_name(c) : 0;
        }
        if (byte != close)
            return bad(c, close == '}' ? "expected ',' or '}'" : "expected ',' or ']'");
        c->at++;
    }
    return 0;
}

int json_check(const char *text, size_t size, bool loose, size_t *ret_repairs, struct why *why)
{
    struct check c = {.text = text, .size = size, .loose = loose, .why = why};
    bool opened, more;
    int r;

    skip_blanks(&c);
    do {
        r = check_value(&c, &opened);
        if (r < 0)
            return r;
        more = opened;
        if (!opened && (r = check_after(&c, &more)) < 0)
            return r;
    } while (more);
    skip_blanks(&c);
    if (c.at != size)
        return bad(&c, "something follows the value");
    *ret_repairs = c.repairs;
    return 0;
}

size_t json_repair(const char *text, size_t size, bool loose, char *to)
{
    size_t at = 0, out = 0;

    while (at < size) {
        /* In a checked text a backslash occurs in strings only, and begins an escape. */
        const char *slash = memchr(text + at, '\\', size - at);
        size_t plain = slash ? (size_t)(slash - text) - at : size - at;

        memcpy(to + out, text + at, plain);
        at += plain;
        out += plain;
        if (at == size)
            break;
        int32_t unit = text[at + 1] == 'u' ? json_hex4(text + at + 2) : -1;
        size_t length = unit < 0 ? 2 : 6;
        if (json_is_high_surrogate(unit) && text[at + 6] == '\\' && text[at + 7] == 'u' &&
            json_is_low_surrogate(json_hex4(text + at + 8)))
            length = 12;
        if (length == 6 && (unit == 0 || (!loose && unit >= 0xd800 && unit <= 0xdfff))) {
            memcpy(to + out, "\\ufffd", 6);
            out += 6;
        } else if (length == 6 && unit >= 0xd800 && unit <= 0xdfff) {
            out += utf8_put(to + out, (uint32_t)unit);
        } else {
            memcpy(to + out, text + at, length);
            out += length;
        }
        at += length;
    }
    return out;
}
