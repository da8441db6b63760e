#include "core/parse/dialect_error.h"

#include <stdio.h>
#include <string.h>

#include "core/base/number.h"
#include "core/json/json_read.h"
#include "core/json/json_utf8.h"

#define BODY_MAX 65536u   /* bytes of a refusal that are looked at */
#define WORDS_MAX 256u    /* bytes of type, code and status together */
#define SECRET_MIN 16u    /* characters a word needs to look like a credential */

/* ---- one line ---- */

/* Blanks, C0, DEL, C1, U+2028, U+2029: what must not break or colour a line of a log or a page. */
static bool is_blank(const unsigned char *p, int size)
{
    return (size == 1 && (p[0] <= 0x20 || p[0] == 0x7f)) || (size == 2 && p[0] == 0xc2 && p[1] < 0xa0) ||
           (size == 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9));
}

size_t dialect_one_line(char *to, size_t max, struct span text)
{
    const unsigned char *p = (const unsigned char *)text.data;
    size_t i = 0, out = 0;
    bool blank = false;

    while (i < text.size) {
        int step = utf8_step(p + i, text.size - i);
        const char *piece = step > 0 ? text.data + i : UTF8_REPLACEMENT;
        size_t size = step > 0 ? (size_t)step : sizeof UTF8_REPLACEMENT - 1;

        if (step > 0 && is_blank(p + i, step)) {
            blank = out > 0;
        } else {
            if (size + blank > max - out)
                break;
            if (blank)
                to[out++] = ' ';
            blank = false;
            memcpy(to + out, piece, size);
            out += size;
        }
        i += step > 0 ? (size_t)step : step < 0 ? (size_t)-step : text.size - i;
    }
    to[out] = '\0';
    return out;
}

/* ---- which kind ---- */

enum class { CLASS_NONE, CLASS_QUOTA, CLASS_AUTH, CLASS_RATE, CLASS_BUSY, CLASS_REQUEST, CLASS_SERVER };

static const struct {
    const char *part; /* lower case, somewhere in type, code or status */
    enum class is;
} hints[] = {
    /* Our account at the service is empty: waiting does not help, though some call it a rate. */
    {"insufficient_quota", CLASS_QUOTA}, {"exceeded_current_quota", CLASS_QUOTA}, {"arrearage", CLASS_QUOTA},
    {"insufficient_balance", CLASS_QUOTA}, {"billing", CLASS_QUOTA},
    {"authentication", CLASS_AUTH}, {"unauthenticated", CLASS_AUTH}, {"unauthorized", CLASS_AUTH}, {"permission", CLASS_AUTH},
    {"api_key", CLASS_AUTH}, {"apikey", CLASS_AUTH}, {"access_denied", CLASS_AUTH}, {"accessdenied", CLASS_AUTH},
    {"forbidden", CLASS_AUTH},
    {"rate_limit", CLASS_RATE}, {"ratelimit", CLASS_RATE}, {"throttling", CLASS_RATE}, {"too_many_requests", CLASS_RATE},
    {"toomanyrequests", CLASS_RATE}, {"resource_exhausted", CLASS_RATE},
    {"overloaded", CLASS_BUSY}, {"unavailable", CLASS_BUSY}, {"insufficient_system_resource", CLASS_BUSY},
    {"invalid", CLASS_REQUEST}, {"badrequest", CLASS_REQUEST}, {"bad_request", CLASS_REQUEST}, {"not_found", CLASS_REQUEST},
    {"notfound", CLASS_REQUEST}, {"content_filter", CLASS_REQUEST}, {"content_policy", CLASS_REQUEST},
    {"inspection", CLASS_REQUEST}, {"context_length", CLASS_REQUEST}, {"unsupported", CLASS_REQUEST},
};

static enum class class_of_number(uint64_t number)
{
    switch (number) {
    case 401:
    case 403:
        return CLASS_AUTH;
    case 402:
        return CLASS_QUOTA;
    case 429:
    case 1302: /* Zhipu: concurrency too high */
        return CLASS_RATE;
    case 503:
    case 529:
        return CLASS_BUSY;
    case 408:
    case 425:
        return CLASS_SERVER;
    default:
        return number >= 400 && number < 500 ? CLASS_REQUEST : number >= 500 && number < 600 ? CLASS_SERVER : CLASS_NONE;
    }
}

static enum class class_of_words(const char *words)
{
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
        if (strstr(words, hints[i].part))
            return hints[i].is;
    return CLASS_NONE;
}

/* words: type, code and status in lower case, a blank before each; numbers among them count like an HTTP status.  What the service calls
 * its trouble weighs more than the status around it, but for "your request was bad", which some say about everything. */
static enum class classify(unsigned status, const char *words)
{
    enum class by_words = class_of_words(words), by_status = class_of_number(status), by_code = CLASS_NONE;

    for (const char *p = words; *p && by_code == CLASS_NONE; p++) {
        uint64_t number;
        size_t size = strspn(p, "0123456789");
        if (p > words && p[-1] == ' ' && (p[size] == ' ' || !p[size]) && number_parse_u64(p, size, &number))
            by_code = class_of_number(number);
    }
    if (by_words != CLASS_NONE && by_words != CLASS_REQUEST)
        return by_words;
    if (by_status != CLASS_NONE)
        return by_status;
    return by_code != CLASS_NONE ? by_code : by_words;
}

static void set_kind(enum class is, struct dialect_error *error)
{
    error->kind = is == CLASS_RATE ? UMBEL_ERROR_RATE : is == CLASS_BUSY ? UMBEL_ERROR_BUSY : UMBEL_ERROR_UPSTREAM;
    error->retryable = is != CLASS_QUOTA && is != CLASS_AUTH && is != CLASS_REQUEST;
}

const char *dialect_error_for_clients(const struct dialect_error *error)
{
    return error->ours ? "the model service refused this service's own account" : error->text;
}

/* ---- which text ---- */

static bool is_secret_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || strchr("-_*.+/=", c) != NULL;
}

/* Replaces words that look like keys (long, with a digit or a star) by "[...]". */
static void hide_secrets(char *text)
{
    char *to = text;

    for (const char *p = text; *p;) {
        size_t size = 0, marks = 0;
        while (p[size] && is_secret_char(p[size]))
            marks += strchr("0123456789*", p[size++]) != NULL;
        if (size >= SECRET_MIN && marks > 0) {
            memcpy(to, "[...]", 5);
            to += 5;
            p += size;
            continue;
        }
        if (size == 0)
            size = 1;
        memmove(to, p, size);
        to += size;
        p += size;
    }
    *to = '\0';
}

/* Many services say it in the message alone, with a code for bad requests or too many of them. */
static bool is_about_account(const char *text)
{
    static const char *const phrases[] = {"api key", "api_key", "apikey", "credit balance", "insufficient balance", "billing", "quota", "organization",
                                          "subscription", "\xe4\xbd\x99\xe9\xa2\x9d" /* balance */, "\xe6\xac\xa0\xe8\xb4\xb9" /* in arrears */};

    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++)
        if (strcasestr(text, phrases[i]))
            return true;
    return false;
}

/* status: for the words used when text has none.  is: by the service's own words; a status alone may stand for what the client said. */
static void set_text(struct dialect_error *error, enum class is, unsigned status, struct span text)
{
    if (dialect_one_line(error->text, DIALECT_TEXT_MAX, text) == 0 && status)
        snprintf(error->text, sizeof error->text, "the model service answered HTTP %u", status);
    else if (!error->text[0])
        snprintf(error->text, sizeof error->text, "the model service reported an error");
    error->ours = is == CLASS_QUOTA || is == CLASS_AUTH || is_about_account(error->text);
    if (error->ours)
        hide_secrets(error->text);
}

static void add_word(char *words, const struct umbel_json *value)
{
    size_t used = strlen(words);
    const char *text = umbel_json_text(value, NULL);
    int64_t number = umbel_json_integer(value, -1);

    if (text)
        snprintf(words + used, WORDS_MAX - used, " %s", text);
    else if (number >= 0)
        snprintf(words + used, WORDS_MAX - used, " %lld", (long long)number);
    for (char *p = words + used; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
}

static struct span first_text(const struct umbel_json *object)
{
    static const char *const names[] = {"message", "detail", "error_msg", "type", "code", "status"};
    struct span text = {"", 0};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *found = umbel_json_member_text(object, names[i], "");
        if (*found)
            return span_text(found);
    }
    return text;
}

/* value: a string, or an object that is the error or holds it. */
static void read_error(const struct umbel_json *value, unsigned status, struct dialect_error *ret_error)
{
    const struct umbel_json *inner = umbel_json_member(value, "error");
    int inner_type = umbel_json_type(inner);
    char words[WORDS_MAX] = "";
    struct span text = {NULL, 0};
    enum class is;

    if (inner_type == UMBEL_JSON_OBJECT || inner_type == UMBEL_JSON_STRING)
        value = inner;
    add_word(words, umbel_json_member(value, "type"));
    add_word(words, umbel_json_member(value, "code"));
    add_word(words, umbel_json_member(value, "status"));
    is = classify(status, words);
    set_kind(is, ret_error);
    text.data = umbel_json_text(value, &text.size);
    if (!text.data)
        text = first_text(value);
    if (is == CLASS_AUTH && class_of_words(words) == CLASS_REQUEST)
        is = CLASS_REQUEST; /* 403 for a question that was found unfit */
    set_text(ret_error, is, status, text);
}

void dialect_error_read(const struct umbel_json *value, struct dialect_error *ret_error)
{
    read_error(value, 0, ret_error);
}

void dialect_error_text(struct span text, struct dialect_error *ret_error)
{
    struct umbel_json *value = NULL;

    if (text.size <= BODY_MAX && json_read(text.data, text.size, true, &value, NULL) == 0 &&
        (umbel_json_type(value) == UMBEL_JSON_OBJECT || umbel_json_type(value) == UMBEL_JSON_STRING)) {
        read_error(value, 0, ret_error);
    } else {
        set_kind(CLASS_NONE, ret_error);
        set_text(ret_error, CLASS_NONE, 0, text);
    }
    umbel_json_free(value);
}

void dialect_refusal(unsigned status, const char *body, size_t size, struct dialect_error *ret_error)
{
    struct umbel_json *value = NULL;
    enum class is = class_of_number(status);
    char text[DIALECT_TEXT_MAX + 32];
    int used;

    if (size > 0 && size <= BODY_MAX && json_read(body, size, true, &value, NULL) == 0 && umbel_json_type(value) == UMBEL_JSON_OBJECT) {
        read_error(value, status, ret_error);
    } else {
        set_kind(is, ret_error);
        used = snprintf(text, sizeof text, "HTTP %u: ", status);
        if (dialect_one_line(text + used, DIALECT_TEXT_MAX, span_of(body, size > BODY_MAX ? BODY_MAX : size)) == 0)
            snprintf(text, sizeof text, "HTTP %u without a body", status);
        set_text(ret_error, is, status, span_text(text));
    }
    umbel_json_free(value);
}
