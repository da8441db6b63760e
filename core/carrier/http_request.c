/* carrier/http_request.c - one request: what the codec may read of it, and its life with host and codec. */
#include "core/carrier/http_carrier.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct umbel_http_request *http_request_new(struct http_conn *conn)
{
    struct umbel_http_request *request = calloc(1, sizeof *request + conn->http->codec->request_size);

    if (!request)
        return NULL;
    request->conn = conn;
    request->began_ns = clock_now_ns();
    request->hold_due = request->gap_due = request->pace_due = HTTP_NEVER;
    request->input = calloc(1, sizeof *request->input);
    if (!request->input) {
        free(request);
        return NULL;
    }
    return request;
}

void http_request_forget_input(struct umbel_http_request *request)
{
    struct http_input *input = request->input;

    if (!input)
        return;
    while (input->values) {
        struct http_value *next = input->values->next;
        explicit_bzero(input->values->text, input->values->size);
        free(input->values);
        input->values = next;
    }
    http_wipe(&input->body);
    free(input->path);
    if (input->bytes)
        explicit_bzero(input->bytes, input->size);
    free(input->bytes);
    free(input);
    request->input = NULL;
}

void http_request_free(struct umbel_http_request *request)
{
    struct umbel_http *http;

    if (!request)
        return;
    http = request->conn->http;
    if (request->client)
        http->host->client_close(request->client);
    if (http->codec->closed)
        http->codec->closed(http->self, request);
    http_request_forget_input(request);
    free(request->headers);
    umbel_out_free(&request->wait);
    free(request);
}

/* "http://host/path" is as good as "/path". */
static struct span strip_authority(struct span target)
{
    if (!span_begins(target, "http://") && !span_begins(target, "https://"))
        return target;
    const char *host = (const char *)memchr(target.data, ':', target.size) + 3, *end = target.data + target.size;
    while (host < end && *host != '/' && *host != '?')
        host++;
    return span_of(host, (size_t)(end - host));
}

int http_request_aim(struct umbel_http_request *request)
{
    struct http_input *input = request->input;
    struct span path = strip_authority(input->head.target);
    const char *mark = memchr(path.data, '?', path.size);

    if (mark) {
        input->query = span_of(mark + 1, (size_t)(path.data + path.size - mark - 1));
        path.size = (size_t)(mark - path.data);
    }
    input->path = malloc(path.size + 2);
    if (!input->path)
        return 400;
    if (path.size == 0) {
        strcpy(input->path, "/");
        return 0;
    }
    if (http_decode(path, false, input->path) >= 0)
        return 0;
    input->path[0] = '\0';
    return 400;
}

static bool is_method_known(const struct umbel_http_request *request)
{
    struct span method = request->input->head.method, rest = span_text(request->conn->http->codec->methods);

    while (rest.size) {
        size_t size = strcspn(rest.data, ", ");
        if (span_equal(span_of(rest.data, size), method))
            return true;
        size += strspn(rest.data + size, ", ");
        rest = span_of(rest.data + size, rest.size - size);
    }
    return false;
}

void http_request_peer(int fd, char *ret_text, size_t room)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    const void *bytes = NULL;

    if (getpeername(fd, (struct sockaddr *)&address, &size) == 0 && address.ss_family == AF_INET)
        bytes = &((struct sockaddr_in *)(void *)&address)->sin_addr;
    if (address.ss_family == AF_INET6)
        bytes = &((struct sockaddr_in6 *)(void *)&address)->sin6_addr;
    if (!bytes || !inet_ntop(address.ss_family, bytes, ret_text, (socklen_t)room))
        strcpy(ret_text, "local");
}

void http_request_serve(struct umbel_http_request *request)
{
    struct umbel_http *http = request->conn->http;
    char peer[INET6_ADDRSTRLEN];

    http_count(http, "http_requests");
    if (!is_method_known(request)) {
        http_request_fail(request, 405, "the method is not served here");
        return;
    }
    http_request_peer(request->conn->fd, peer, sizeof peer);
    request->client = http->host->client_open(http->host, &http_reader_codec, http, request, peer);
    if (!request->client) {
        http_request_fail(request, 503, "there are too many clients");
        return;
    }
    http->codec->request(http->self, request);
}

void http_request_fail(struct umbel_http_request *request, uint32_t status, const char *text)
{
    struct umbel_http *http = request->conn->http;

    http_count(http, "http_bad_requests");
    request->status = status;
    if (http->codec->failed)
        http->codec->failed(http->self, request, status, text);
    if (!request->begun && !request->over)
        http_answer_plain(request, status, text);
}

/* A fresh text owned by the request, with room for size bytes and a zero; NULL without memory. */
static char *new_value(struct umbel_http_request *request, size_t size)
{
    struct http_value *value = malloc(sizeof *value + size + 1);

    if (!value)
        return NULL;
    value->next = request->input->values;
    value->size = size;
    request->input->values = value;
    return value->text;
}

static const char *copy_text(struct umbel_http_request *request, struct span text)
{
    char *copy = text.data && http_utf8_is_valid(text.data, text.size) ? new_value(request, text.size) : NULL;

    if (!copy)
        return NULL;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    return copy;
}

/* The first member of this name in "a=b&c=d". */
static const char *find_member(struct umbel_http_request *request, struct span list, const char *name)
{
    size_t name_size = strlen(name);
    char decoded[64];

    while (list.size) {
        const char *end = memchr(list.data, '&', list.size);
        struct span member = span_of(list.data, end ? (size_t)(end - list.data) : list.size);
        list = span_of(member.data + member.size + (end != NULL), list.size - member.size - (end != NULL));
        const char *equal = memchr(member.data, '=', member.size);
        struct span key = span_of(member.data, equal ? (size_t)(equal - member.data) : member.size);
        if (key.size >= sizeof decoded || http_decode(key, true, decoded) != (long)name_size ||
            memcmp(decoded, name, name_size) != 0)
            continue;
        struct span value = equal ? span_of(equal + 1, member.size - key.size - 1) : span_of("", 0);
        char *text = new_value(request, value.size);
        return text && http_decode(value, true, text) >= 0 ? text : NULL;
    }
    return NULL;
}

void *umbel_http_data(struct umbel_http_request *request)
{
    return request->data;
}

const char *umbel_http_method(struct umbel_http_request *request)
{
    const char *method = request->input ? copy_text(request, request->input->head.method) : NULL;

    return method ? method : "";
}

const char *umbel_http_path(struct umbel_http_request *request)
{
    return request->input && request->input->path ? request->input->path : "";
}

const char *umbel_http_header(struct umbel_http_request *request, const char *name)
{
    return request->input ? copy_text(request, http_head_find(&request->input->head, name)) : NULL;
}

const char *umbel_http_query(struct umbel_http_request *request, const char *name)
{
    return request->input ? find_member(request, request->input->query, name) : NULL;
}

const char *umbel_http_form(struct umbel_http_request *request, const char *name)
{
    static const char form[] = "application/x-www-form-urlencoded";
    const struct http_input *input = request->input;

    if (!input || input->body.size == 0)
        return NULL;
    struct span type = http_head_find(&input->head, "content-type");
    if (type.size > sizeof form - 1 && strchr("; \t", type.data[sizeof form - 1]))
        type.size = sizeof form - 1;
    return span_is_nocase(type, form) ? find_member(request, span_of(input->body.data, input->body.size), name) : NULL;
}

const char *umbel_http_body(struct umbel_http_request *request, size_t *ret_size)
{
    const struct umbel_out *body = request->input ? &request->input->body : NULL;

    *ret_size = body ? body->size : 0;
    return body && body->size ? body->data : "";
}

const char *umbel_http_peer(struct umbel_http_request *request)
{
    char *text = request->input ? new_value(request, INET6_ADDRSTRLEN) : NULL;

    if (text)
        http_request_peer(request->conn->fd, text, INET6_ADDRSTRLEN);
    return text ? text : "";
}

int umbel_http_is_tls(struct umbel_http_request *request)
{
    return request->conn->http->tls != NULL;
}
