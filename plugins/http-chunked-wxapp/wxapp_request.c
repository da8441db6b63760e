/* http-chunked-wxapp/wxapp_request.c - what a request says: fields from body and address, who speaks, and what is wanted. */
#include "wxapp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <umbel/json.h>

const char *wxapp_field(struct umbel_http_request *request, const char *name)
{
    const struct wxapp_request *mine = umbel_http_data(request);
    const char *text = umbel_json_text(umbel_json_member(mine->body, name), NULL);

    if (!text)
        text = umbel_http_form(request, name);
    return text ? text : umbel_http_query(request, name);
}

/* A field that is 1 or 0, also as JSON's number or bool; otherwise if it is absent. */
static bool flag(struct umbel_http_request *request, const char *name, bool otherwise)
{
    const struct wxapp_request *mine = umbel_http_data(request);
    const struct umbel_json *member = umbel_json_member(mine->body, name);
    const char *text;

    if (umbel_json_type(member) == UMBEL_JSON_BOOL)
        return umbel_json_bool(member, 0) != 0;
    if (umbel_json_type(member) == UMBEL_JSON_NUMBER)
        return umbel_json_integer(member, 1) != 0;
    text = wxapp_field(request, name);
    return text && *text ? !strcmp(text, "1") || !strcasecmp(text, "true") : otherwise;
}

bool wxapp_is_mini(struct umbel_http_request *request)
{
    static const char platform[] = "https://servicewechat.com/";
    const char *referer = umbel_http_header(request, "referer");

    return flag(request, "is_wxapp", referer && !strncasecmp(referer, platform, sizeof platform - 1));
}

/* A member of another type would be taken for absent, and the question asked otherwise than it was meant: without its memory, of
 * another model, or asked and paid where it was to be watched.  NULL, or what is wrong. */
static const char *wrong_type(const struct umbel_json *body)
{
    static const struct {
        const char *name, *wrong;
        bool flag;
    } members[] = {{"prompt", "prompt is not a string", false},  {"session", "session is not a string", false},
                   {"model", "model is not a string", false},    {"token", "token is not a string", false},
                   {"resume", "resume is not a string", false},  {"watch", "watch is not 1 or 0", true},
                   {"is_wxapp", "is_wxapp is not 1 or 0", true}, {"usage", "usage is not 1 or 0", true}};

    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        int type = umbel_json_type(umbel_json_member(body, members[i].name));
        bool is_flag = members[i].flag && (type == UMBEL_JSON_BOOL || type == UMBEL_JSON_NUMBER);
        if (type > UMBEL_JSON_NULL && type != UMBEL_JSON_STRING && !is_flag)
            return members[i].wrong;
    }
    return NULL;
}

/* Bytes of a place ("<id>:<n>") without the mark of a last event. */
static size_t place_size(const char *text, bool *ret_over)
{
    size_t size = strlen(text), mark = sizeof WXAPP_H5_OVER - 1;

    *ret_over = size > mark && !strcmp(text + size - mark, WXAPP_H5_OVER);
    return *ret_over ? size - mark : size;
}

/* A JSON body says so, or cannot be anything else. */
static bool is_json(struct umbel_http_request *request, const char *body, size_t size)
{
    const char *type = umbel_http_header(request, "content-type");

    if (type && strcasestr(type, "json"))
        return true;
    if (type && strcasestr(type, "urlencoded"))
        return false;
    while (size && strchr(" \t\r\n", *body)) {
        body++;
        size--;
    }
    return size && *body == '{';
}

const char *wxapp_read(struct umbel_http_request *request)
{
    struct wxapp_request *mine = umbel_http_data(request);
    const char *wrong = NULL;
    char why[160];
    size_t size;
    const char *body = umbel_http_body(request, &size);

    if (size && is_json(request, body, size)) {
        mine->body = umbel_json_parse(body, size, why, sizeof why);
        if (!mine->body)
            wrong = "the body is not JSON";
        else if (umbel_json_type(mine->body) != UMBEL_JSON_OBJECT)
            wrong = "the body is not a JSON object";
        else
            wrong = wrong_type(mine->body);
    }
    const struct umbel_json *options = umbel_json_member(mine->body, "stream_options");
    const char *last = umbel_http_header(request, "last-event-id");
    mine->mini = wxapp_is_mini(request);
    mine->usage = umbel_json_bool(umbel_json_member(options, "include_usage"), 0) || flag(request, "usage", false);
    mine->again = !mine->mini && last && *last;
    if (mine->again)
        place_size(last, &mine->over);
    return wrong;
}

/* Who may read the answer from a page of another origin: anybody, or those listed. */
static void put_origin(struct wxapp *wxapp, struct umbel_http_request *request)
{
    const char *origin = umbel_http_header(request, "origin");
    const char *allowed = wxapp->host->config_item(wxapp->config, "origins", 0);

    if (!allowed) {
        umbel_out_text(&wxapp->headers, "Access-Control-Allow-Origin: *\r\n");
        return;
    }
    for (uint32_t i = 1; origin && allowed && strcmp(origin, allowed); i++)
        allowed = wxapp->host->config_item(wxapp->config, "origins", i);
    if (origin && allowed)
        umbel_out_printf(&wxapp->headers, "Access-Control-Allow-Origin: %s\r\n", allowed);
    umbel_out_text(&wxapp->headers, "Vary: Origin\r\n");
}

static const char *finish_headers(struct wxapp *wxapp)
{
    umbel_out_put(&wxapp->headers, "", 1);
    return wxapp->headers.failed ? "" : wxapp->headers.data;
}

const char *wxapp_headers(struct wxapp *wxapp, struct umbel_http_request *request, bool mini, const struct umbel_stream *stream)
{
    struct umbel_out *out = &wxapp->headers;

    umbel_out_reset(out);
    if (!mini)
        umbel_out_text(out, "Content-Type: text/event-stream; charset=utf-8\r\n");
    else if (wxapp->plain)
        umbel_out_text(out, "Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n");
    else
        umbel_out_text(out, "Content-Type: text/html; charset=UTF-8\r\n");
    put_origin(wxapp, request);
    umbel_out_text(out, "Access-Control-Allow-Credentials: true\r\n"
                        "Access-Control-Allow-Methods: GET, POST, OPTIONS\r\n"
                        "Access-Control-Allow-Headers: Content-Type\r\n"
                        "Access-Control-Expose-Headers: X-Umbel-Stream\r\n"
                        "Cache-Control: no-cache\r\n"
                        "X-Accel-Buffering: no\r\n");
    if (stream)
        umbel_out_printf(out, "X-Umbel-Stream: %s\r\n", stream->id);
    return finish_headers(wxapp);
}

const char *wxapp_preflight_headers(struct wxapp *wxapp, struct umbel_http_request *request)
{
    struct umbel_out *out = &wxapp->headers;

    umbel_out_reset(out);
    put_origin(wxapp, request);
    umbel_out_text(out, "Access-Control-Allow-Credentials: true\r\n"
                        "Access-Control-Allow-Methods: GET, POST, OPTIONS\r\n"
                        "Access-Control-Allow-Headers: Content-Type, Authorization, token, Last-Event-ID\r\n"
                        "Access-Control-Max-Age: 86400\r\n");
    return finish_headers(wxapp);
}

void wxapp_start(const struct wxapp *wxapp, struct umbel_http_request *request, struct umbel_http_start *ret_start)
{
    const struct wxapp_request *mine = umbel_http_data(request);

    *ret_start = (struct umbel_http_start){.struct_size = sizeof *ret_start, .keepalive_ms = wxapp->keepalive_ms};
    if (mine->mini) {
        ret_start->variant = WXAPP_MINI;
        ret_start->flags = UMBEL_HTTP_APART;
        ret_start->pace_bytes = 4096;
        ret_start->pace_ms = 20;
        ret_start->max_ms = wxapp->max_stream_ms;
        ret_start->keepalive = WXAPP_MINI_KEEPALIVE;
        ret_start->keepalive_size = sizeof WXAPP_MINI_KEEPALIVE - 1;
    } else {
        ret_start->variant = mine->usage ? WXAPP_H5_USAGE : WXAPP_H5;
        ret_start->keepalive = WXAPP_H5_KEEPALIVE;
        ret_start->keepalive_size = sizeof WXAPP_H5_KEEPALIVE - 1;
    }
}

/* "<id>:<n>" */
static uint32_t resume(struct umbel_http_request *request, const char *text, const char **ret_what)
{
    bool over;
    size_t whole = place_size(text, &over); /* the mark is no mistake: ids are what a page has at hand */
    const char *colon = memrchr(text, ':', whole);
    char id[64], *end = NULL;
    size_t size = colon ? (size_t)(colon - text) : 0;

    *ret_what = "resume is not \"<id>:<bytes>\"";
    if (size == 0 || size >= sizeof id || colon[1] < '0' || colon[1] > '9')
        return UMBEL_ERROR_BAD_REQUEST;
    errno = 0;
    unsigned long long position = strtoull(colon + 1, &end, 10);
    if (end != text + whole || errno)
        return UMBEL_ERROR_BAD_REQUEST;
    memcpy(id, text, size);
    id[size] = '\0';
    return umbel_http_resume(request, id, position);
}

static uint32_t watch(struct wxapp *wxapp, struct umbel_http_request *request, const char **ret_what)
{
    const char *session = wxapp_field(request, "session");
    struct umbel_http_start start;

    if (!session || !*session) {
        *ret_what = "watch needs a session";
        return UMBEL_ERROR_BAD_REQUEST;
    }
    uint32_t error = umbel_http_watch(request, session);
    if (error)
        return error;
    wxapp_start(wxapp, request, &start);
    start.headers = wxapp_headers(wxapp, request, ((struct wxapp_request *)umbel_http_data(request))->mini, NULL);
    start.hold_ms = 500; /* if an answer runs, its id can still go into the head; else the client learns that it is heard */
    umbel_http_begin(request, &start);
    return 0;
}

/* The messages array as JSON text, appended to out.  NULL, or what is wrong. */
static const char *put_messages(struct umbel_http_request *request, struct umbel_out *out)
{
    const struct wxapp_request *mine = umbel_http_data(request);
    const struct umbel_json *array = umbel_json_member(mine->body, "messages");
    struct umbel_json *parsed = NULL;
    const char *text, *wrong = NULL;
    char why[160];

    if (umbel_json_type(array) <= UMBEL_JSON_NULL || umbel_json_type(array) == UMBEL_JSON_STRING) {
        text = wxapp_field(request, "messages");
        if (text && *text) {
            array = parsed = umbel_json_parse(text, strlen(text), why, sizeof why);
            if (!parsed)
                return "messages is not JSON";
        }
    }
    if (array && umbel_json_type(array) != UMBEL_JSON_NULL) {
        if (umbel_json_type(array) != UMBEL_JSON_ARRAY || umbel_json_count(array) == 0)
            wrong = "messages is not an array of one or more";
        else
            umbel_json_print(array, out);
    } else if ((text = wxapp_field(request, "prompt")) && *text) {
        umbel_out_question(out, text, strlen(text));
    } else {
        wrong = "there is neither prompt nor messages";
    }
    umbel_json_free(parsed);
    return wrong ? wrong : out->failed ? "it is too long" : NULL;
}

static uint32_t ask(struct wxapp *wxapp, struct umbel_http_request *request, const char **ret_what)
{
    const char *model = wxapp_field(request, "model");

    umbel_out_reset(&wxapp->out);
    *ret_what = put_messages(request, &wxapp->out);
    if (*ret_what)
        return UMBEL_ERROR_BAD_REQUEST;
    *ret_what = "";
    const struct umbel_request question = {.struct_size = sizeof question,
                                           .flags = UMBEL_REQUEST_MEMORY,
                                           .session = wxapp_field(request, "session"),
                                           .messages = wxapp->out.data,
                                           .messages_size = wxapp->out.size,
                                           .model = model && *model ? model : NULL};
    return umbel_http_ask(request, &question);
}

uint32_t wxapp_act(struct wxapp *wxapp, struct umbel_http_request *request, const char **ret_what)
{
    const struct wxapp_request *mine = umbel_http_data(request);
    const char *from = mine->again ? umbel_http_header(request, "last-event-id") : wxapp_field(request, "resume");

    *ret_what = "";
    if (from && *from)
        return resume(request, from, ret_what);
    if (flag(request, "watch", false))
        return watch(wxapp, request, ret_what);
    return ask(wxapp, request, ret_what);
}
