/* im-custom-message/im_hook.c - the webhook: is it genuine, what does it say; answered before any work is done. */
#include <stdlib.h>
#include <string.h>

#include "im.h"

static const char ok[] = "{\"ActionStatus\":\"OK\",\"ErrorInfo\":\"\",\"ErrorCode\":0}";
static const char refused[] = "{\"ActionStatus\":\"FAIL\",\"ErrorInfo\":\"not allowed\",\"ErrorCode\":1}";

static bool is_known(void *arg, const char *account)
{
    return im_bot_find(arg, account) != NULL;
}

static void answer(struct umbel_http_request *request, uint32_t status, const char *body)
{
    umbel_http_answer(request, status, "Content-Type: application/json\r\n", body, strlen(body));
}

static bool is_our_app(const struct im *im, const char *text)
{
    char *end;

    return text && *text >= '0' && *text <= '9' && strtoull(text, &end, 10) == im->sdk_app_id && !*end;
}

static bool is_genuine(const struct im *im, struct umbel_http_request *request)
{
    if (!is_our_app(im, umbel_http_query(request, "SdkAppid")))
        return false;
    return !*im->webhook_token || im_webhook_is_genuine(im->webhook_token, umbel_http_query(request, "Sign"),
                                                        umbel_http_query(request, "RequestTime"), im_wall_s());
}

/* One notice for each of our bots that the message is for. */
static void read_callback(struct im *im, const char *command, const char *body, size_t size)
{
    struct im_notice notice;
    bool more = true;

    for (unsigned index = 0; more && index < IM_BOTS_MAX; index++) {
        im_notice_read(command, body, size, is_known, im, index, &notice);
        more = notice.kind != IM_NOTICE_NOTHING && *notice.group;
        if (index == 0 || notice.kind != IM_NOTICE_NOTHING)
            im_chat_notice(im, &notice);
        im_notice_free(&notice);
    }
}

static void on_request(void *self, struct umbel_http_request *request)
{
    struct im *im = self;
    const char *body, *command;
    size_t size;

    if (strcmp(umbel_http_path(request), im->webhook_path) != 0) {
        answer(request, 404, refused);
        return;
    }
    if (!is_genuine(im, request)) {
        im_count(im, "im_webhook_refused");
        im->real->log(im->real, UMBEL_LOG_DEBUG, NULL, "a webhook from %s is not the service's", umbel_http_peer(request));
        answer(request, 403, refused);
        return;
    }
    im_count(im, "im_webhooks");
    body = umbel_http_body(request, &size);
    command = umbel_http_query(request, "CallbackCommand");
    umbel_out_reset(&im->body); /* a copy: the request's own is good only until it is answered */
    umbel_out_put(&im->body, body, size);
    umbel_out_text(&im->body, command ? command : "");
    umbel_out_put(&im->body, "", 1);
    answer(request, 200, ok); /* what is in the body is ours to deal with, whatever it is: the service could do nothing about it */
    if (im->body.failed) {
        im_count(im, "im_dropped_full");
        return;
    }
    struct umbel_out copy = im->body;
    im->body = (struct umbel_out){0}; /* calls are written there while the copy is read */
    read_callback(im, copy.data + size, copy.data, size);
    umbel_out_free(&copy);
}

static const struct umbel_http_codec codec = {.struct_size = sizeof codec,
                                              .max_line = 4096,
                                              .max_headers = 8192,
                                              .max_body = IM_BODY_MAX,
                                              .methods = "POST",
                                              .request = on_request};

/* The carrier's last connection has gone; ours may not have sent everything yet. */
static void on_http_drained(const struct umbel_host *host)
{
    struct im *im = (struct im *)(void *)((char *)(uintptr_t)host - offsetof(struct im, host));

    im->http_drained = true;
    im_check_drained(im);
}

int im_hook_open(struct im *im)
{
    im->host = *im->real;
    im->host.drained = on_http_drained;
    if (im->real->listener(im->real, 0) < 0) {
        im->real->log(im->real, UMBEL_LOG_WARN, NULL, "no listen address: nobody can ask, only mirrored answers are delivered");
        return 0;
    }
    return umbel_http_open(&im->host, im->config, &codec, im, &im->http);
}
