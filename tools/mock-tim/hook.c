/* hook - callbacks to the webhook, signed; what it answered goes to who asked for the callback. */
#include "mock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>

#define HOOK_S 10

struct callback {
    struct mock *mock;
    struct evhttp_request *asked; /* the command to answer */
    struct evhttp_connection *connection;
    char key[96];
    double sent_ms;
};

bool hook_set_url(struct mock *mock, const char *url)
{
    char address[256];
    const char *path;

    if (strncmp(url, "http://", 7) != 0)
        return false;
    path = strchr(url + 7, '/');
    snprintf(address, sizeof address, "%.*s", (int)(path ? path - url - 7 : (long)strlen(url + 7)), url + 7);
    snprintf(mock->webhook_path, sizeof mock->webhook_path, "%s", path ? path : "/");
    return server_split_address(address, mock->webhook_host, sizeof mock->webhook_host, &mock->webhook_port);
}

static void free_connection(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    evhttp_connection_free(arg);
}

static void on_reply(struct evhttp_request *reply, void *arg)
{
    struct callback *callback = arg;
    struct timeval now = {0, 0};
    cJSON *json = cJSON_CreateObject();

    cJSON_AddNumberToObject(json, "status", reply ? evhttp_request_get_response_code(reply) : 0);
    cJSON_AddNumberToObject(json, "ms", mock_ms() - callback->sent_ms);
    cJSON_AddStringToObject(json, "key", callback->key);
    if (reply) {
        struct evbuffer *input = evhttp_request_get_input_buffer(reply);
        size_t size = evbuffer_get_length(input);
        char *text = calloc(1, size + 1);
        evbuffer_copyout(input, text, size);
        cJSON_AddStringToObject(json, "body", text);
        free(text);
    }
    server_reply_json(callback->asked, 200, json);
    /* freed from the loop: the connection is still standing on this call */
    event_base_once(callback->mock->base, -1, EV_TIMEOUT, free_connection, callback->connection, &now);
    free(callback);
}

static void post(struct mock *mock, struct evhttp_request *asked, const char *query, const char *body, const char *key)
{
    struct callback *callback;
    char uri[1024], host[128];

    if (!mock->webhook_port) {
        server_reply(asked, 400, "{\"error\":\"no webhook is known: --webhook URL\"}");
        return;
    }
    callback = calloc(1, sizeof *callback);
    *callback = (struct callback){.mock = mock, .asked = asked, .sent_ms = mock_ms()};
    snprintf(callback->key, sizeof callback->key, "%s", key);
    callback->connection = evhttp_connection_base_new(mock->base, NULL, mock->webhook_host, mock->webhook_port);
    evhttp_connection_set_timeout(callback->connection, HOOK_S);
    struct evhttp_request *request = evhttp_request_new(on_reply, callback);
    snprintf(host, sizeof host, "%s:%u", mock->webhook_host, mock->webhook_port);
    evhttp_add_header(evhttp_request_get_output_headers(request), "Host", host);
    evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", "application/json");
    evhttp_add_header(evhttp_request_get_output_headers(request), "Connection", "close");
    evbuffer_add(evhttp_request_get_output_buffer(request), body, strlen(body));
    snprintf(uri, sizeof uri, "%s?%s", mock->webhook_path, query);
    evhttp_make_request(callback->connection, request, EVHTTP_REQ_POST, uri);
}

static void make_query(struct mock *mock, const char *command, const char *sign, const char *sdk_app_id, char *ret_query, size_t room)
{
    char time_text[24], hex[65], app[24];

    snprintf(time_text, sizeof time_text, "%" PRIu64, (uint64_t)time(NULL));
    snprintf(app, sizeof app, "%" PRIu64, mock->options.sdk_app_id);
    signature_webhook(mock->options.token, time_text, hex);
    snprintf(ret_query, room, "SdkAppid=%s&CallbackCommand=%s&contenttype=json&ClientIP=127.0.0.1&OptPlatform=Web&Sign=%s&RequestTime=%s",
             sdk_app_id ? sdk_app_id : app, command, sign ? sign : hex, time_text);
}

void hook_send(struct mock *mock, struct evhttp_request *request, const char *command, cJSON *body, const char *key)
{
    char query[512];

    make_query(mock, command, NULL, NULL, query, sizeof query);
    free(mock->last_query);
    free(mock->last_body);
    mock->last_query = strdup(query);
    mock->last_body = cJSON_PrintUnformatted(body);
    cJSON_Delete(body);
    post(mock, request, mock->last_query, mock->last_body, key);
}

void hook_replay(struct mock *mock, struct evhttp_request *request, const char *sign, const char *sdk_app_id)
{
    char query[512];

    if (!mock->last_body) {
        server_reply(request, 400, "{\"error\":\"no callback has been sent yet\"}");
        return;
    }
    if (!sign && !sdk_app_id) {
        post(mock, request, mock->last_query, mock->last_body, "");
        return;
    }
    make_query(mock, "Bot.OnC2CMessage", sign, sdk_app_id, query, sizeof query);
    post(mock, request, query, mock->last_body, "");
}
