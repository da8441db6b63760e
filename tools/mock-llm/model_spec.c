#include "model_spec.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"

enum kind { NUMBER, MILLISECONDS, WORD, FLAG, NAME };

struct row {
    const char *name;
    enum kind kind;
    bool fault;
    size_t offset;
    uint64_t max;      /* NUMBER: largest value; MILLISECONDS: largest, in microseconds */
    const char *words; /* " a b c": the values of WORD, or extra values of NUMBER */
    const char *help;
};

#define AT(member) offsetof(struct model_spec, member)
#define HOUR_US 3600000000u

/* clang-format off: one row, one line */
static const struct row rows[] = {
    {"tokens", NUMBER, false, AT(tokens), 1000000000000u, NULL, "number of tokens; a demo answer is repeated or cut"},
    {"bytes", NUMBER, false, AT(bytes), 65536, NULL, "size of a token, in whole characters; 0 = word-like"},
    {"pace", MILLISECONDS, false, AT(pace_us), HOUR_US, NULL, "time from token to token; 0 = as fast as possible"},
    {"first", MILLISECONDS, false, AT(first_us), HOUR_US, NULL, "wait between the head and the first token"},
    {"continue", FLAG, false, AT(go_on), 1, NULL, "goes on where a last message of the assistant's ends"},
    {"overlap", NUMBER, false, AT(overlap), 65536, NULL, "continue=1: says about so many bytes before that again"},
    {"seed", NUMBER, false, AT(seed), UINT64_MAX - 64u, NULL, "seed of random texts, cuts and chunks"},
    {"text", WORD, false, AT(text), 0, " demo echo ascii cjk emoji count mixed messages request empty", "what is said"},
    {"cut", WORD, false, AT(cut), 0, " event coalesce any utf8 byte", "how the bytes are spread over writes"},
    {"gap", MILLISECONDS, false, AT(gap_us), HOUR_US, NULL, "pause between the writes of a cut (utf8 1, others 0)"},
    {"http", WORD, false, AT(http), 0, " chunked close", "body framing; close = the body ends with the connection"},
    {"chunks", WORD, false, AT(chunks), 0, " event any", "HTTP chunk boundaries; any = anywhere in the events"},
    {"eol", WORD, false, AT(eol), 0, " lf crlf cr", "line ends; the dialect's own if not given"},
    {"comments", NUMBER, false, AT(comments), 1000000000u, NULL, "a ': keep-alive' comment first and every N tokens"},
    {"space", WORD, false, AT(space), 0, " no yes", "'data: {' or 'data:{'"},
    {"bom", FLAG, false, AT(bom), 1, NULL, "a byte order mark at the very start"},
    {"done", WORD, false, AT(done), 0, " no yes", "the closing 'data: [DONE]'"},
    {"finish", NAME, false, AT(finish), 0, NULL, "finish reason; no = no finish chunk"},
    {"usage", WORD, false, AT(usage), 0, " ask always finish choice no", "where token counts appear"},
    {"role", WORD, false, AT(role), 0, " first each none", "which chunks carry the role"},
    {"reasoning", NUMBER, false, AT(reasoning), 1000000u, NULL, "so many reasoning_content tokens first"},
    {"tool", FLAG, false, AT(tool), 1, NULL, "a tool call in fragments"},
    {"nulls", FLAG, false, AT(nulls), 1, NULL, "members that are null instead of absent"},
    {"choices", WORD, false, AT(choices_empty), 0, " normal empty", "empty = a leading chunk with choices:[]"},
    {"eof", WORD, false, AT(eof_noeol), 0, " normal noeol", "noeol = the last data line has no line end"},
    {"array", FLAG, false, AT(array), 1, NULL, "gemini: a JSON array in spite of alt=sse"},
    {"status", NUMBER, true, AT(status), 599, " 200json", "refuse with this HTTP status (400..599), or 200 with error JSON"},
    {"retryafter", NUMBER, false, AT(retryafter), 86400, NULL, "the Retry-After of status=429 and 503, in seconds"},
    {"html", FLAG, true, AT(html), 1, NULL, "502 with a proxy's HTML page"},
    {"gzip", FLAG, true, AT(gzip), 1, NULL, "Content-Encoding: gzip, asked for or not"},
    {"stall", NUMBER, true, AT(stall), UINT64_MAX - 64u, " first head",
     "fall silent after N tokens, after the head, or before it"},
    {"reset", NUMBER, true, AT(reset), UINT64_MAX - 64u, NULL, "TCP reset after N tokens"},
    {"close", NUMBER, true, AT(close), UINT64_MAX - 64u, NULL, "close after N tokens, body unfinished"},
    {"endchunk", NUMBER, true, AT(endchunk), UINT64_MAX - 64u, NULL, "end the body properly after N tokens, answer unfinished"},
    {"malformed", NUMBER, true, AT(malformed), UINT64_MAX - 64u, NULL, "the Nth event (from 1) is broken JSON"},
    {"errorat", NUMBER, true, AT(errorat), UINT64_MAX - 64u, NULL, "an error object after N tokens, then the end"},
    {"errordone", FLAG, false, AT(errordone), 1, NULL, "[DONE] follows the error object"},
    {"longline", NUMBER, true, AT(longline), 67108864, NULL, "the first token's data line has this many bytes"},
    {"headers", WORD, true, AT(headers), 0, " normal endless", "endless = response headers that never end"},
    {"slowhead", MILLISECONDS, true, AT(slowhead_us), HOUR_US, NULL, "wait before the response head"},
    {"times", NUMBER, false, AT(times), 1000000000u, NULL, "the faults hit only the first N requests for this model name"},
};
/* clang-format on */
#define ROWS (sizeof rows / sizeof rows[0])

static uint64_t *number_at(struct model_spec *spec, const struct row *row)
{
    return (uint64_t *)(void *)((char *)spec + row->offset);
}

/* Returns the index of value in a " a b c" list, or MODEL_UNSET. */
static uint64_t word_index(const char *words, const char *value)
{
    size_t length = strlen(value);
    uint64_t index = 0;

    for (const char *at = words; at && *at; index++) {
        at++;
        size_t here = strcspn(at, " ");
        if (here == length && !memcmp(at, value, length))
            return index;
        at += here;
    }
    return MODEL_UNSET;
}

static bool number_parse(const char *value, uint64_t max, uint64_t *ret_number)
{
    uint64_t number = 0;

    if (!*value)
        return false;
    for (; *value; value++) {
        if (!isdigit((unsigned char)*value))
            return false;
        uint64_t digit = (uint64_t)(*value - '0');
        if (number > (UINT64_MAX - digit) / 10u)
            return false;
        number = number * 10u + digit;
    }
    if (number > max)
        return false;
    *ret_number = number;
    return true;
}

/* "30", "0.25": at most three digits behind the point count, which is what a microsecond can hold. */
static bool milliseconds_parse(const char *value, uint64_t max_us, uint64_t *ret_us)
{
    char whole[24];
    size_t digits = strcspn(value, ".");
    uint64_t us, scale = 100;

    if (digits >= sizeof whole)
        return false;
    memcpy(whole, value, digits);
    whole[digits] = '\0';
    if (!number_parse(whole, max_us / 1000u, &us))
        return false;
    us *= 1000u;
    if (value[digits] == '.' && !value[digits + 1])
        return false;
    for (const char *at = value + digits; *at && *++at; scale /= 10u) {
        if (!isdigit((unsigned char)*at))
            return false;
        us += (uint64_t)(*at - '0') * scale;
    }
    *ret_us = us;
    return true;
}

static bool name_parse(char *ret_name, size_t size, const char *value)
{
    size_t length = strlen(value);

    if (!length || length >= size)
        return false;
    for (const char *at = value; *at; at++)
        if (!isalnum((unsigned char)*at) && *at != '_' && *at != '-')
            return false;
    memcpy(ret_name, value, length + 1);
    return true;
}

/* Stores value; false if the row does not take it. */
static bool row_store(struct model_spec *spec, const struct row *row, const char *value)
{
    uint64_t index, *number = number_at(spec, row);

    switch (row->kind) {
    case NUMBER:
        index = row->words ? word_index(row->words, value) : MODEL_UNSET;
        if (index != MODEL_UNSET) {
            *number = MODEL_WORD(index);
            return true;
        }
        return number_parse(value, row->max, number);
    case MILLISECONDS:
        return milliseconds_parse(value, row->max, number);
    case FLAG:
        return number_parse(value, 1, number);
    case WORD:
        index = word_index(row->words, value);
        if (index == MODEL_UNSET)
            return false;
        *number = index;
        return true;
    case NAME:
        return name_parse((char *)spec + row->offset, sizeof spec->finish, value);
    }
    return false;
}

static void expected(const struct row *row, struct bytes *out)
{
    switch (row->kind) {
    case NUMBER:
        bytes_printf(out, "a number up to %llu%s%s", (unsigned long long)row->max, row->words ? " or one of" : "",
                     row->words ? row->words : "");
        break;
    case MILLISECONDS:
        bytes_puts(out, "milliseconds such as 5 or 0.25, up to an hour");
        break;
    case FLAG:
        bytes_puts(out, "0 or 1");
        break;
    case WORD:
        bytes_printf(out, "one of%s", row->words);
        break;
    case NAME:
        bytes_puts(out, "a word of at most 31 letters, digits, '_' and '-'");
        break;
    }
}

static bool option_parse(struct model_spec *spec, char *option, struct bytes *why)
{
    char *value = strchr(option, '=');
    bool fault_only = false;

    if (value)
        *value++ = '\0';
    if (!strcmp(option, "fault") && value) { /* fault=reset@50 is reset=50, fault=html is html=1 */
        option = value;
        value = strchr(option, '@');
        if (value)
            *value++ = '\0';
        fault_only = true;
    }
    for (size_t i = 0; i < ROWS; i++) {
        if (strcmp(option, rows[i].name) || (fault_only && !rows[i].fault))
            continue;
        if (!row_store(spec, &rows[i], value ? value : "1")) {
            bytes_printf(why, "model option '%s' does not take '%s'; it takes ", option, value ? value : "1");
            expected(&rows[i], why);
            return false;
        }
        return true;
    }
    bytes_printf(why, "unknown model option '%s'; --help and the README list the options", option);
    return false;
}

void model_spec_defaults(struct model_spec *spec, uint64_t tokens, uint64_t token_bytes, uint64_t pace_us, uint64_t seed)
{
    *spec = (struct model_spec){.tokens = tokens,
                                .bytes = token_bytes,
                                .pace_us = pace_us,
                                .seed = seed,
                                .gap_us = MODEL_UNSET,
                                .eol = MODEL_UNSET,
                                .space = 1,
                                .done = 1,
                                .retryafter = 1,
                                .times = MODEL_UNSET};
    spec->tokens_given = tokens != MODEL_UNSET;
    model_spec_calm(spec);
}

bool model_spec_parse(struct model_spec *spec, const char *model, struct bytes *why)
{
    char name[MODEL_NAME_MAX + 1], *option, *next;
    size_t length = strlen(model);
    uint64_t tokens = spec->tokens;

    why->len = 0;
    if (length > MODEL_NAME_MAX) {
        bytes_printf(why, "the model name is longer than %u bytes", MODEL_NAME_MAX);
        return false;
    }
    memcpy(name, model, length + 1);
    option = strchr(name, ':');
    if (option == name || !length) {
        bytes_puts(why, "the model name must not begin with an option");
        return false;
    }
    spec->text = MODEL_UNSET;
    spec->tokens = MODEL_UNSET;
    for (; option; option = next) {
        *option++ = '\0';
        next = strchr(option, ':');
        if (next)
            *next = '\0';
        if (!option_parse(spec, option, why))
            return false;
        if (next)
            *next = ':';
    }
    if (spec->status < 400) {
        bytes_puts(why, "model option 'status' takes 400 to 599, or 200json");
        return false;
    }
    if (spec->malformed == 0) {
        bytes_puts(why, "model option 'malformed' counts from 1");
        return false;
    }
    spec->text_given = spec->text != MODEL_UNSET;
    if (spec->tokens != MODEL_UNSET)
        spec->tokens_given = true;
    else
        spec->tokens = tokens;
    if (!spec->text_given) /* a tool call says nothing besides unless told to */
        spec->text = spec->tool && !spec->tokens_given ? TEXT_EMPTY : TEXT_DEMO;
    return true;
}

void model_spec_calm(struct model_spec *spec)
{
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].fault)
            *number_at(spec, &rows[i]) = rows[i].kind == NUMBER ? MODEL_UNSET : 0;
}

void model_spec_help(struct bytes *out)
{
    struct bytes left = {0};

    for (size_t i = 0; i < ROWS; i++) {
        left.len = 0;
        bytes_printf(&left, "%s=", rows[i].name);
        if (rows[i].kind == NUMBER)
            bytes_puts(&left, "N");
        if (rows[i].kind == MILLISECONDS)
            bytes_puts(&left, "MS");
        if (rows[i].kind == FLAG)
            bytes_puts(&left, "1");
        if (rows[i].kind == NAME)
            bytes_puts(&left, "WORD|no");
        for (const char *at = rows[i].words; at && *at; at++)
            bytes_printf(&left, "%c", *at != ' ' ? *at : '|');
        if (rows[i].kind == WORD) { /* the first separator stands behind the '=' */
            char *bar = strchr(bytes_string(&left), '|');
            memmove(bar, bar + 1, strlen(bar));
            left.len--;
        }
        /* A long list of words gets a line of its own, to keep the columns. */
        bytes_printf(out, "  %-22s%s %s%s\n", bytes_string(&left), left.len > 22 ? "\n                        " : "",
                     rows[i].help, rows[i].fault ? " [fault]" : "");
    }
    bytes_free(&left);
}
