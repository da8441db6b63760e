#include "chatgpt_request.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODEL_DEFAULT "gpt-3.5-turbo"
#define MODEL_DAVINCI "text-davinci-003"

static int wrong(char *why, const char *name)
{
    snprintf(why, CHATGPT_WHY_MAX, "param %s error", name);
    return CHATGPT_PARAM;
}

/* A string without the white space around it; NULL if the member is not a string.  Absent or null: otherwise. */
static const char *stripped(const struct umbel_json *data, const char *name, const char *otherwise, size_t *ret_size)
{
    const struct umbel_json *member = umbel_json_member(data, name);
    const char *text = otherwise;

    *ret_size = strlen(otherwise);
    if (!member || umbel_json_type(member) == UMBEL_JSON_NULL)
        return text;
    text = umbel_json_text(member, ret_size);
    while (text && *ret_size && isspace((unsigned char)*text)) {
        text++;
        --*ret_size;
    }
    while (text && *ret_size && isspace((unsigned char)text[*ret_size - 1]))
        --*ret_size;
    return text;
}

static int is(const char *text, size_t size, const char *word)
{
    return size == strlen(word) && memcmp(text, word, size) == 0;
}

/* 1, 0, or -1 for something that is no truth value. */
static int truth(const struct umbel_json *data, const char *name, int otherwise)
{
    const struct umbel_json *member = umbel_json_member(data, name);

    if (!member || umbel_json_type(member) == UMBEL_JSON_NULL)
        return otherwise;
    return umbel_json_type(member) == UMBEL_JSON_BOOL ? umbel_json_bool(member, 0) : -1;
}

struct range {
    const char *name, *words;
    double otherwise, low, high;
    int whole;
};
static const struct range ranges[] = {
    {"max_tokens", "0~4097", 500, 1, 4097, 1},         {"temperature", "0~1.0", 0, 0, 1, 0},
    {"top_p", "0.0~1.0", 1, 0, 1, 0},                  {"frequency_penalty", "0.0~2.0", 0, 0, 2, 0},
    {"presence_penalty", "0.0~2.0", 0, 0, 2, 0},       {"best_of", "0~20", 1, 0, 20, 1},
};
#define RANGES (sizeof ranges / sizeof *ranges)

static int check_ranges(const struct umbel_json *data, double *ret_values, char *why)
{
    for (size_t i = 0; i < RANGES; i++) {
        const struct umbel_json *member = umbel_json_member(data, ranges[i].name);
        double value = umbel_json_number(member, ranges[i].otherwise);
        int type = umbel_json_type(member);
        if (type > UMBEL_JSON_NULL && (type != UMBEL_JSON_NUMBER || (ranges[i].whole && value != (double)(long long)value)))
            return wrong(why, ranges[i].name);
        if (!(value >= ranges[i].low && value <= ranges[i].high)) {
            struct umbel_out shown = {.limit = 64};
            umbel_json_print(member, &shown);
            snprintf(why, CHATGPT_WHY_MAX, "param %s out of range(%s): %.*s", ranges[i].name, ranges[i].words, (int)shown.size,
                     shown.size ? shown.data : "");
            umbel_out_free(&shown);
            return CHATGPT_PARAM;
        }
        ret_values[i] = value;
    }
    return 0;
}

static int check_stop(const struct umbel_json *data, char *why)
{
    const struct umbel_json *stop = umbel_json_member(data, "stop");

    if (!stop || umbel_json_type(stop) == UMBEL_JSON_NULL)
        return 0;
    if (umbel_json_type(stop) != UMBEL_JSON_ARRAY || umbel_json_count(stop) == 0)
        return wrong(why, "stop");
    for (const struct umbel_json *item = umbel_json_first(stop); item; item = umbel_json_next(item))
        if (umbel_json_type(item) != UMBEL_JSON_STRING)
            return wrong(why, "stop");
    return 0;
}

/* openai_parameter = true sends the project's two fixed values, false all that the request says or their defaults. */
static void put_parameters(struct chatgpt_request *request, const struct umbel_json *data, int fixed, const double *values)
{
    struct umbel_out *out = &request->parameters;
    const struct umbel_json *stop = umbel_json_member(data, "stop");

    if (fixed) {
        umbel_out_text(out, "{\"temperature\":0.0,\"max_tokens\":500}");
        return;
    }
    for (size_t i = 0; i < RANGES; i++) {
        if (strcmp(ranges[i].name, "best_of") == 0 && !request->davinci)
            continue;
        umbel_out_printf(out, "%s\"%s\":%.15g", i ? "," : "{", ranges[i].name, values[i]);
    }
    umbel_out_text(out, ",\"stop\":");
    if (umbel_json_type(stop) == UMBEL_JSON_ARRAY)
        umbel_json_print(stop, out);
    else
        umbel_out_text(out, "[\"Human:\"]");
    umbel_out_text(out, "}");
}

static int has_model(const struct chatgpt_models *models, const char *model, size_t size)
{
    for (uint32_t i = 0; i < models->count; i++)
        if (is(model, size, models->names[i]))
            return 1;
    return 0;
}

/* messages or query, whichever this model wants; an unknown model is judged later, by its own check. */
static int read_question(struct chatgpt_request *request, const struct umbel_json *data, const struct chatgpt_models *models,
                         const char *model, size_t model_size, char *why)
{
    const struct umbel_json *messages = umbel_json_member(data, "messages");
    size_t query_size, known = model && has_model(models, model, model_size);
    const char *query;
    int type = umbel_json_type(messages);

    if (type > UMBEL_JSON_NULL && type != UMBEL_JSON_ARRAY)
        return wrong(why, "messages");
    if (known && !request->davinci && umbel_json_count(messages) == 0) {
        query = stripped(data, "query", "", &query_size);
        if (is(model, model_size, MODEL_DEFAULT) || is(model, model_size, "gpt-4") || !query || !query_size)
            return wrong(why, "messages");
    }
    query = stripped(data, "query", "", &query_size);
    if (!query || (request->davinci && known && query_size == 0))
        return wrong(why, "query");
    if (type == UMBEL_JSON_ARRAY && umbel_json_count(messages) > 0 && !request->davinci) {
        umbel_json_print(messages, &request->messages);
        return 0;
    }
    umbel_out_question(&request->messages, query, query_size);
    return 0;
}

static int read_ask(struct chatgpt_request *request, const struct umbel_json *data, const struct chatgpt_models *models, char *why)
{
    double values[RANGES];
    size_t model_size;
    const char *model = stripped(data, "model", MODEL_DEFAULT, &model_size);

    request->davinci = model && is(model, model_size, MODEL_DAVINCI);
    int r = read_question(request, data, models, model, model_size, why);
    if (r)
        return r;
    int whole = truth(data, "origin_stream", 1), fixed = truth(data, "openai_parameter", 1);
    if (whole < 0)
        return wrong(why, "origin_stream");
    if (fixed < 0)
        return wrong(why, "openai_parameter");
    request->sentences = !whole;
    if (!model || !has_model(models, model, model_size))
        return wrong(why, "model");
    for (uint32_t i = 0; i < models->count; i++)
        if (is(model, model_size, models->names[i]))
            request->model = models->names[i];
    r = check_ranges(data, values, why);
    if (r == 0)
        r = check_stop(data, why);
    if (r == 0)
        put_parameters(request, data, fixed, values);
    return r;
}

/* Our own members: session beside a question, or watch, resume, cancel instead of one. */
static int read_extensions(struct chatgpt_request *request, const struct umbel_json *data, char *why)
{
    const struct umbel_json *session = umbel_json_member(data, "session"), *resume = umbel_json_member(data, "resume");
    const struct umbel_json *cancel = umbel_json_member(data, "cancel");
    int watch = truth(data, "watch", 0);
    size_t size = 0;

    if (session && (!(request->session = umbel_json_text(session, &size)) || size == 0))
        return wrong(why, "session");
    if (watch < 0 || (watch && !request->session))
        return wrong(why, "watch");
    if (resume && !(request->resume = umbel_json_text(resume, NULL)))
        return wrong(why, "resume");
    if (cancel && !(request->cancel = umbel_json_text(cancel, NULL)) && umbel_json_bool(cancel, 0) != 1)
        return wrong(why, "cancel");
    request->extended = session || resume || cancel || watch;
    request->kind = watch ? CHATGPT_WATCH : resume ? CHATGPT_RESUME : cancel ? CHATGPT_CANCEL : CHATGPT_ASK;
    return 0;
}

/* Clients of the original write Python: True, False and None outside of strings are read as what they mean.  Never evaluated. */
static struct umbel_json *parse_python(const char *text, size_t size)
{
    static const struct {
        const char *python, *json;
    } words[] = {{"True", "true"}, {"False", "false"}, {"None", "null"}};
    struct umbel_out out = {.limit = size + 1};
    int inside = 0;

    for (size_t i = 0; i < size;) {
        size_t w = inside ? 3 : 0;
        while (w < 3 && (size - i < strlen(words[w].python) || memcmp(text + i, words[w].python, strlen(words[w].python)) != 0))
            w++;
        if (w < 3) {
            umbel_out_text(&out, words[w].json);
            i += strlen(words[w].python);
            continue;
        }
        if (text[i] == '"')
            inside = !inside;
        size_t step = inside && text[i] == '\\' && i + 1 < size ? 2 : 1;
        umbel_out_put(&out, text + i, step);
        i += step;
    }
    struct umbel_json *json = out.failed ? NULL : umbel_json_parse(out.size ? out.data : "", out.size, NULL, 0);
    umbel_out_free(&out);
    return json;
}

int chatgpt_request_read(const char *text, size_t size, const struct chatgpt_models *models, struct chatgpt_request *ret_request, char *why)
{
    struct chatgpt_request *request = ret_request;
    char detail[160];
    size_t seq_size = 0;

    *request = (struct chatgpt_request){.json = umbel_json_parse(text, size, detail, sizeof detail)};
    if (!request->json)
        request->json = parse_python(text, size);
    if (!request->json || umbel_json_type(request->json) != UMBEL_JSON_OBJECT) {
        snprintf(why, CHATGPT_WHY_MAX, "json.decoder.JSONDecodeError: %s", request->json ? "the message is not an object" : detail);
        return CHATGPT_JSON;
    }
    request->seq = stripped(request->json, "seq", "", &seq_size);
    request->seq_size = (uint32_t)seq_size;
    if (!request->seq || !seq_size) {
        request->seq = NULL;
        return wrong(why, "seq");
    }
    const struct umbel_json *data = umbel_json_member(request->json, "data");
    if (umbel_json_type(data) != UMBEL_JSON_OBJECT || umbel_json_count(data) == 0)
        return wrong(why, "data");
    int r = read_extensions(request, data, why);
    if (r == 0 && request->kind == CHATGPT_ASK)
        r = read_ask(request, data, models, why);
    return r;
}

void chatgpt_request_free(struct chatgpt_request *request)
{
    umbel_json_free(request->json);
    umbel_out_free(&request->messages);
    umbel_out_free(&request->parameters);
    *request = (struct chatgpt_request){0};
}
