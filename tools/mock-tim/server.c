/* server - two HTTP servers on one loop: the service, which can be away, and the commands, which are always there. */
#include "mock.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>

#define BODY_MAX (1 << 20)

double mock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

uint64_t mock_random(struct mock *mock)
{
    uint64_t x = mock->random += 0x9e3779b97f4a7c15ull;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

void mock_count(cJSON *object, const char *name)
{
    cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    if (item)
        cJSON_SetNumberValue(item, item->valuedouble + 1);
    else
        cJSON_AddNumberToObject(object, name, 1);
}

void mock_violation(struct mock *mock, const char *format, ...)
{
    char text[512];
    va_list list;

    mock->violations_count++;
    if (cJSON_GetArraySize(mock->violations) >= VIOLATIONS_MAX)
        return;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    cJSON_AddItemToArray(mock->violations, cJSON_CreateString(text));
}

static void clear_counts(struct mock *mock)
{
    cJSON_Delete(mock->commands_count);
    cJSON_Delete(mock->codes_count);
    cJSON_Delete(mock->violations);
    cJSON_Delete(mock->injected);
    mock->commands_count = cJSON_CreateObject();
    mock->codes_count = cJSON_CreateObject();
    mock->violations = cJSON_CreateArray();
    mock->injected = cJSON_CreateArray();
    mock->calls = mock->duplicates = mock->limited = mock->violations_count = mock->most_in_second = mock->most_body = 0;
    mock->call_head = mock->call_tail = 0;
}

void mock_reset(struct mock *mock)
{
    store_clear(mock);
    rules_clear(mock);
    clear_counts(mock);
}

void server_reply(struct evhttp_request *request, int status, const char *json)
{
    struct evbuffer *out = evbuffer_new();

    evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", "application/json");
    /* A page may look: the playground shows what users see. */
    evhttp_add_header(evhttp_request_get_output_headers(request), "Access-Control-Allow-Origin", "*");
    evbuffer_add(out, json, strlen(json));
    evhttp_send_reply(request, status, NULL, out);
    evbuffer_free(out);
}

void server_reply_json(struct evhttp_request *request, int status, cJSON *json)
{
    char *text = cJSON_PrintUnformatted(json);

    server_reply(request, status, text ? text : "{}");
    free(text);
    cJSON_Delete(json);
}

static void drop(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    evhttp_connection_free(arg); /* its request goes with it */
}

void server_drop(struct evhttp_request *request)
{
    struct evhttp_connection *connection = evhttp_request_get_connection(request);
    struct timeval now = {0, 0};

    event_base_once(evhttp_connection_get_base(connection), -1, EV_TIMEOUT, drop, connection, &now);
}

char *server_body(struct evhttp_request *request)
{
    struct evbuffer *input = evhttp_request_get_input_buffer(request);
    size_t size = evbuffer_get_length(input);
    char *text = calloc(1, size + 1);

    evbuffer_copyout(input, text, size);
    return text;
}

char *server_query(struct evhttp_request *request, const char *name)
{
    const char *query = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(request));
    struct evkeyvalq pairs;
    char *value = NULL;

    if (!query || evhttp_parse_query_str(query, &pairs) < 0)
        return NULL;
    const char *found = evhttp_find_header(&pairs, name);
    if (found)
        value = strdup(found);
    evhttp_clear_headers(&pairs);
    return value;
}

bool server_split_address(const char *text, char *ret_host, size_t room, uint16_t *ret_port)
{
    const char *colon = strrchr(text, ':');
    char *end;

    if (!colon || colon == text || (size_t)(colon - text) >= room)
        return false;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (!colon[1] || *end || port > 65535)
        return false;
    snprintf(ret_host, room, "%.*s", (int)(colon - text), text);
    *ret_port = (uint16_t)port;
    return true;
}

static void on_service(struct evhttp_request *request, void *arg)
{
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));

    if (path && strncmp(path, "/v4/", 4) == 0 && evhttp_request_get_command(request) == EVHTTP_REQ_POST)
        rest_request(arg, request, path);
    else
        server_reply(request, 404, "{\"ActionStatus\":\"FAIL\",\"ErrorInfo\":\"no such address\",\"ErrorCode\":60002}");
}

static void on_command(struct evhttp_request *request, void *arg)
{
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));

    control_request(arg, request, path ? path : "");
}

static struct evhttp *serve(struct mock *mock, void (*callback)(struct evhttp_request *, void *))
{
    struct evhttp *http = evhttp_new(mock->base);

    evhttp_set_gencb(http, callback, mock);
    evhttp_set_max_body_size(http, BODY_MAX);
    evhttp_set_allowed_methods(http, EVHTTP_REQ_GET | EVHTTP_REQ_POST);
    return http;
}

static struct evhttp_bound_socket *bind_to(struct evhttp *http, const char *host, uint16_t *port)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    struct evhttp_bound_socket *bound = evhttp_bind_socket_with_handle(http, host, *port);

    if (!bound)
        return NULL;
    getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&address, &size);
    *port = ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)(void *)&address)->sin6_port
                                                : ((struct sockaddr_in *)(void *)&address)->sin_port);
    return bound;
}

static void on_outage_over(evutil_socket_t fd, short what, void *arg)
{
    struct mock *mock = arg;

    (void)fd;
    (void)what;
    mock->outage = false;
    mock->bound = evhttp_bind_socket_with_handle(mock->service, mock->service_address, mock->service_port);
    if (!mock->bound) {
        struct timeval soon = {0, 50000};
        mock->outage = true;
        event_add(mock->outage_over, &soon);
    }
}

void server_outage(struct mock *mock, double seconds)
{
    struct timeval tv = {(time_t)seconds, (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6)};

    if (!mock->outage)
        evhttp_del_accept_socket(mock->service, mock->bound);
    mock->outage = true;
    event_add(mock->outage_over, &tv);
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    event_base_loopbreak(((struct mock *)arg)->base);
}

int server_open(struct mock *mock)
{
    char host[64];
    uint16_t port;

    mock->base = event_base_new();
    mock->last = &mock->first;
    mock->random = mock->options.seed;
    mock->next_seq = 40000;
    clear_counts(mock);
    mock->service = serve(mock, on_service);
    mock->commands = serve(mock, on_command);
    mock->outage_over = evtimer_new(mock->base, on_outage_over, mock);
    for (int i = 0; i < 2; i++) {
        mock->signals[i] = evsignal_new(mock->base, i ? SIGINT : SIGTERM, on_signal, mock);
        event_add(mock->signals[i], NULL);
    }
    signal(SIGPIPE, SIG_IGN);
    if (mock->options.webhook && !hook_set_url(mock, mock->options.webhook)) {
        fprintf(stderr, "umbel-mock-tim: %s is not http://ADDR:PORT/PATH\n", mock->options.webhook);
        return -1;
    }
    if (!server_split_address(mock->options.listen, mock->service_address, sizeof mock->service_address, &mock->service_port) ||
        !(mock->bound = bind_to(mock->service, mock->service_address, &mock->service_port))) {
        fprintf(stderr, "umbel-mock-tim: cannot listen on %s\n", mock->options.listen);
        return -1;
    }
    if (!server_split_address(mock->options.control, host, sizeof host, &port) || !bind_to(mock->commands, host, &port)) {
        fprintf(stderr, "umbel-mock-tim: cannot listen on %s\n", mock->options.control);
        return -1;
    }
    printf("listening on %s:%u\ncontrol on %s:%u\n", mock->service_address, mock->service_port, host, port);
    fflush(stdout);
    return 0;
}

void server_run(struct mock *mock)
{
    event_base_dispatch(mock->base);
}

void server_close(struct mock *mock)
{
    mock_reset(mock);
    cJSON_Delete(mock->commands_count);
    cJSON_Delete(mock->codes_count);
    cJSON_Delete(mock->violations);
    cJSON_Delete(mock->injected);
    free(mock->last_query);
    free(mock->last_body);
    evhttp_free(mock->service);
    evhttp_free(mock->commands);
    event_free(mock->outage_over);
    for (int i = 0; i < 2; i++)
        event_free(mock->signals[i]);
    event_base_free(mock->base);
}
