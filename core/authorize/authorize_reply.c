#include "core/authorize/authorize_reply.h"

#include <errno.h>
#include <string.h>

#include <umbel/json.h>

#include "core/authorize/authorize.h"

static int wrong(struct why *why, const char *what)
{
    return why_set(why, -EBADMSG, "%s", what);
}

/* What the client shows must be one line: whatever would make a second one, or moves a terminal's cursor, becomes a blank. */
static void copy_line(const char *from, size_t size, char *ret_text, size_t max)
{
    if (size > max)
        for (size = max; size && ((unsigned char)from[size] & 0xc0) == 0x80;)
            size--;
    for (size_t i = 0; i < size; i++)
        ret_text[i] = (unsigned char)from[i] < 0x20 || from[i] == 0x7f ? ' ' : from[i];
    ret_text[size] = '\0';
}

/* U+0080 to U+009F, U+2028 and U+2029 end lines too for some. */
static void blank_wide_controls(char *text)
{
    for (unsigned char *c = (unsigned char *)text; *c; c++) {
        if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)
            c[0] = c[1] = ' ';
        else if (c[0] == 0xe2 && c[1] == 0x80 && (c[2] == 0xa8 || c[2] == 0xa9))
            c[0] = c[1] = c[2] = ' ';
    }
}

/* A name goes into tables, logs and counters as it is: it is good or it is refused, never mended. */
static int read_user(const struct umbel_json *json, struct authorize_reply *reply, struct why *why)
{
    size_t size;
    const char *text = umbel_json_text(json, &size);

    if (umbel_json_type(json) <= UMBEL_JSON_NULL)
        return 0;
    if (!text)
        return wrong(why, "user is not a string");
    if (size > AUTHORIZE_USER_MAX)
        return wrong(why, "user is longer than 100 bytes");
    copy_line(text, size, reply->user, AUTHORIZE_USER_MAX);
    blank_wide_controls(reply->user);
    return memcmp(reply->user, text, size) == 0 ? 0 : wrong(why, "user has control characters");
}

static int read_limits(const struct umbel_json *json, struct authorize_limits *limits, struct why *why)
{
    static const char *const names[AUTHORIZE_LIMITS] = {"concurrent", "requests_per_minute", "prompt_bytes", "output_tokens",
                                                        "tokens_per_day"};

    if (umbel_json_type(json) <= UMBEL_JSON_NULL)
        return 0;
    if (umbel_json_type(json) != UMBEL_JSON_OBJECT)
        return wrong(why, "limits is not an object");
    for (size_t i = 0; i < AUTHORIZE_LIMITS; i++) {
        const struct umbel_json *member = umbel_json_member(json, names[i]);
        int64_t value = umbel_json_integer(member, -1);
        if (umbel_json_type(member) <= UMBEL_JSON_NULL)
            continue;
        if (value < 0 || value > UINT32_MAX)
            return why_set(why, -EBADMSG, "limits.%s is not a whole number from 0 to 4294967295", names[i]);
        limits->value[i] = (uint32_t)value;
        limits->given[i] = true;
    }
    return 0;
}

static int read_cache_s(const struct umbel_json *json, struct authorize_reply *reply, struct why *why)
{
    int64_t value = umbel_json_integer(json, -1);

    if (umbel_json_type(json) <= UMBEL_JSON_NULL)
        return 0;
    if (value < 0)
        return wrong(why, "cache_s is not a whole number from 0");
    reply->has_cache_s = true;
    reply->cache_s = value > AUTHORIZE_CACHE_S_MAX ? AUTHORIZE_CACHE_S_MAX : (uint32_t)value;
    return 0;
}

static int read_denial(const struct umbel_json *json, struct authorize_reply *reply, struct why *why)
{
    const struct umbel_json *code = umbel_json_member(json, "code"), *message = umbel_json_member(json, "message");
    int64_t value = umbel_json_integer(code, INT64_MIN);
    size_t size;
    const char *text = umbel_json_text(message, &size);

    if (umbel_json_type(code) > UMBEL_JSON_NULL && (value < INT32_MIN || value > INT32_MAX))
        return wrong(why, "code is not a whole number");
    if (umbel_json_type(message) > UMBEL_JSON_NULL && !text)
        return wrong(why, "message is not a string");
    if (umbel_json_type(code) > UMBEL_JSON_NULL)
        reply->code = (int)value;
    if (text) {
        copy_line(text, size, reply->message, AUTHORIZE_MESSAGE_MAX);
        blank_wide_controls(reply->message);
    }
    return 0;
}

static int read_object(const struct umbel_json *json, struct authorize_reply *reply, struct why *why)
{
    const struct umbel_json *allow = umbel_json_member(json, "allow");
    int r;

    if (umbel_json_type(json) != UMBEL_JSON_OBJECT)
        return wrong(why, "it is not a JSON object");
    if (umbel_json_type(allow) != UMBEL_JSON_BOOL)
        return wrong(why, "allow is not true or false");
    reply->allow = umbel_json_bool(allow, 0) != 0;
    r = read_cache_s(umbel_json_member(json, "cache_s"), reply, why);
    if (r < 0 || !reply->allow)
        return r < 0 ? r : read_denial(json, reply, why);
    r = read_user(umbel_json_member(json, "user"), reply, why);
    return r < 0 ? r : read_limits(umbel_json_member(json, "limits"), &reply->limits, why);
}

int authorize_reply_read(const char *body, size_t size, struct authorize_reply *ret_reply, struct why *why)
{
    struct authorize_reply reply = {0};
    char ignored[160];
    struct umbel_json *json = umbel_json_parse(body, size, ignored, sizeof ignored);

    if (!json)
        return wrong(why, "it is not JSON");
    int r = read_object(json, &reply, why);
    umbel_json_free(json);
    if (r == 0)
        *ret_reply = reply;
    return r;
}

static void put_member(struct umbel_out *out, const char *name, const char *text, size_t size)
{
    umbel_out_text(out, name);
    umbel_out_json(out, text, size);
}

void authorize_request_write(const struct authorize_question *question, struct umbel_out *out)
{
    /* the longest escape is six bytes for one */
    size_t most = 6 * (question->credential.size + strlen(question->app) + strlen(question->transport) + strlen(question->kind) +
                       strlen(question->client_ip)) +
                  256;

    if (!umbel_out_reserve(out, most))
        return;
    put_member(out, "{\"app\":", question->app, strlen(question->app));
    put_member(out, ",\"transport\":", question->transport, strlen(question->transport));
    put_member(out, ",\"kind\":", question->kind, strlen(question->kind));
    put_member(out, ",\"credential\":", question->credential.data, question->credential.size);
    if (*question->client_ip)
        put_member(out, ",\"client_ip\":", question->client_ip, strlen(question->client_ip));
    umbel_out_text(out, "}");
}
