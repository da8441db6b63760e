/* openai-api/openai_request.c - which call a request is, what is wrong with it, and what it asks of the core. */
#include "openai.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <umbel/json.h>

/* The rest of path after prefix and before suffix, in fresh memory; NULL if it is not of that form, or empty. */
static char *cut_name(const char *path, const char *prefix, const char *suffix)
{
    size_t size = strlen(path), head = strlen(prefix), tail = strlen(suffix);

    if (size <= head + tail || strncmp(path, prefix, head) || strcmp(path + size - tail, suffix))
        return NULL;
    return strndup(path + head, size - head - tail);
}

static bool find_call(struct openai_request *mine, const char *path, const char *method, const char **ret_allowed)
{
    *ret_allowed = "GET";
    if (!strcmp(path, "/v1/chat/completions")) {
        mine->errand = OPENAI_CHAT;
        *ret_allowed = "POST";
    } else if (!strcmp(path, "/v1/models")) {
        mine->errand = OPENAI_MODELS;
    } else if ((mine->name = cut_name(path, "/v1/models/", ""))) {
        mine->errand = OPENAI_MODELS;
    } else if ((mine->name = cut_name(path, "/v1/sessions/", "/stream"))) {
        mine->errand = OPENAI_WATCH;
    } else if ((mine->name = cut_name(path, "/v1/streams/", ""))) {
        mine->errand = strcmp(method, "DELETE") ? OPENAI_RESUME : OPENAI_STOP;
        *ret_allowed = mine->errand == OPENAI_STOP ? "DELETE" : "GET";
    } else {
        return false;
    }
    return true;
}

/* NULL, or what is wrong. */
static const char *check_chat(struct openai_request *mine)
{
    const struct umbel_json *messages = umbel_json_member(mine->body, "messages"),
                            *model = umbel_json_member(mine->body, "model");
    const struct umbel_json *stream = umbel_json_member(mine->body, "stream"),
                            *session = umbel_json_member(mine->body, "session");

    if (umbel_json_type(mine->body) != UMBEL_JSON_OBJECT)
        return "The body is not a JSON object.";
    if (umbel_json_type(messages) != UMBEL_JSON_ARRAY || umbel_json_count(messages) == 0)
        return "messages is not an array of one or more.";
    if (umbel_json_type(model) > UMBEL_JSON_NULL && umbel_json_type(model) != UMBEL_JSON_STRING)
        return "model is not a string.";
    if (umbel_json_type(stream) > UMBEL_JSON_NULL && umbel_json_type(stream) != UMBEL_JSON_BOOL)
        return "stream is not a bool.";
    if (umbel_json_type(session) > UMBEL_JSON_NULL && umbel_json_type(session) != UMBEL_JSON_STRING)
        return "session is not a string.";
    if (umbel_json_member_integer(mine->body, "n", 1) != 1)
        return "n is not 1: one answer is given at a time.";
    if (!umbel_json_bool(stream, 0))
        mine->errand = OPENAI_WHOLE;
    mine->usage = umbel_json_bool(umbel_json_member(umbel_json_member(mine->body, "stream_options"), "include_usage"), 0);
    return NULL;
}

uint32_t openai_read(struct umbel_http_request *request, const char **ret_what, uint32_t *ret_status)
{
    struct openai_request *mine = umbel_http_data(request);
    const char *allowed, *method = umbel_http_method(request);
    char why[160];
    size_t size;

    *ret_what = "";
    *ret_status = 0;
    if (!find_call(mine, umbel_http_path(request), method, &allowed))
        return UMBEL_ERROR_NOT_FOUND;
    if (strcmp(method, allowed)) {
        *ret_status = 405;
        *ret_what = "This path does not take that method.";
        return UMBEL_ERROR_BAD_REQUEST;
    }
    if (mine->errand != OPENAI_CHAT)
        return 0;
    const char *body = umbel_http_body(request, &size);
    mine->body = umbel_json_parse(body, size, why, sizeof why);
    *ret_what = mine->body ? check_chat(mine) : "The body is not JSON.";
    return *ret_what ? UMBEL_ERROR_BAD_REQUEST : 0;
}

const char *openai_headers(struct openai *openai, const char *type, const struct umbel_stream *stream)
{
    struct umbel_out *out = &openai->headers;

    umbel_out_reset(out);
    umbel_out_printf(out,
                     "Content-Type: %s\r\nCache-Control: no-cache\r\nX-Accel-Buffering: no\r\nAccess-Control-Allow-Origin: *\r\n"
                     "Access-Control-Expose-Headers: X-Umbel-Stream\r\n",
                     type);
    if (stream)
        umbel_out_printf(out, "X-Umbel-Stream: %s\r\n", stream->id);
    umbel_out_put(out, "", 1);
    return out->failed ? "" : out->data;
}

/* Everything the client asked of the model but what is ours: temperature, tools, max_tokens, and what services invent. */
static void put_parameters(const struct umbel_json *body, struct umbel_out *out)
{
    static const char *const ours[] = {"messages", "model", "stream", "stream_options", "session", "n"};
    bool first = true;

    umbel_out_text(out, "{");
    for (const struct umbel_json *member = umbel_json_first(body); member; member = umbel_json_next(member)) {
        const char *name = umbel_json_name(member);
        bool mine = false;
        for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
            mine = mine || !strcmp(name, ours[i]);
        if (mine)
            continue;
        umbel_out_text(out, first ? "" : ",");
        umbel_out_json(out, name, strlen(name));
        umbel_out_text(out, ":");
        umbel_json_print(member, out);
        first = false;
    }
    umbel_out_text(out, "}");
}

static uint32_t ask(struct openai *openai, struct umbel_http_request *request, const char **ret_what)
{
    const struct openai_request *mine = umbel_http_data(request);
    const char *model = umbel_json_member_text(mine->body, "model", "");
    const char *session = umbel_json_member_text(mine->body, "session", umbel_http_header(request, "x-umbel-session"));

    umbel_out_reset(&openai->out);
    umbel_out_reset(&openai->parameters);
    umbel_json_print(umbel_json_member(mine->body, "messages"), &openai->out);
    put_parameters(mine->body, &openai->parameters);
    if (openai->out.failed || openai->parameters.failed)
        return UMBEL_ERROR_INTERNAL;
    *ret_what = "";
    const struct umbel_request question = {.struct_size = sizeof question,
                                           .flags = UMBEL_REQUEST_MEMORY,
                                           .session = session,
                                           .messages = openai->out.data,
                                           .messages_size = openai->out.size,
                                           .model = *model ? model : NULL,
                                           .parameters = openai->parameters.data,
                                           .parameters_size = openai->parameters.size};
    return umbel_http_ask(request, &question);
}

static uint32_t resume(struct umbel_http_request *request, const char *id, const char **ret_what)
{
    const char *from = umbel_http_query(request, "from");
    unsigned long long position = 0;
    char *end = NULL;

    if (from && *from) {
        errno = 0;
        position = strtoull(from, &end, 10);
        if (*from < '0' || *from > '9' || *end || errno) {
            *ret_what = "from is not a number of bytes.";
            return UMBEL_ERROR_BAD_REQUEST;
        }
    }
    return umbel_http_resume(request, id, position);
}

static void put_model(const char *id, struct umbel_out *out)
{
    umbel_out_text(out, "{\"id\":");
    umbel_out_json(out, id, strlen(id));
    umbel_out_text(out, ",\"object\":\"model\",\"created\":0,\"owned_by\":\"umbel\"}");
}

static uint32_t list_models(struct openai *openai, struct umbel_http_request *request)
{
    const struct openai_request *mine = umbel_http_data(request);
    struct umbel_out *out = &openai->out;
    const char *id;
    bool found = false;

    umbel_out_reset(out);
    if (!mine->name)
        umbel_out_text(out, "{\"object\":\"list\",\"data\":[");
    for (uint32_t i = 0; (id = openai->host->config_item(openai->config, "models", i)); i++) {
        if (mine->name && strcmp(mine->name, id))
            continue;
        umbel_out_text(out, found && !mine->name ? "," : "");
        put_model(id, out);
        found = true;
        if (mine->name)
            break;
    }
    if (mine->name && !found)
        return UMBEL_ERROR_NOT_FOUND;
    if (!mine->name)
        umbel_out_text(out, "]}");
    umbel_http_answer(request, 200, openai_headers(openai, "application/json", NULL), out->data, out->size);
    return 0;
}

static uint32_t watch(struct openai *openai, struct umbel_http_request *request, const char *session)
{
    struct umbel_http_start start = {.struct_size = sizeof start,
                                     .hold_ms = 500, /* if an answer runs, its id can still go into the head */
                                     .keepalive_ms = 5000,
                                     .keepalive = OPENAI_KEEPALIVE,
                                     .keepalive_size = sizeof OPENAI_KEEPALIVE - 1};
    uint32_t error = umbel_http_watch(request, session);

    if (error)
        return error;
    start.headers = openai_headers(openai, "text/event-stream; charset=utf-8", NULL);
    umbel_http_begin(request, &start);
    return 0;
}

uint32_t openai_act(struct openai *openai, struct umbel_http_request *request, const char **ret_what)
{
    const struct openai_request *mine = umbel_http_data(request);

    *ret_what = "";
    switch (mine->errand) {
    case OPENAI_MODELS:
        return list_models(openai, request);
    case OPENAI_WATCH:
        return watch(openai, request, mine->name);
    case OPENAI_RESUME:
        return resume(request, mine->name, ret_what);
    case OPENAI_STOP: /* to be stopped it must be found first, and the answer says how it really ended */
        return umbel_http_resume(request, mine->name, 0);
    default:
        return ask(openai, request, ret_what);
    }
}
