#include "core/upstream/upstream_request.h"

#include <errno.h>
#include <string.h>
#include <umbel/version.h>

#include "core/upstream/upstream_prefill.h"

/* The longest head: a key, a path and a model whose every byte is written as three. */
#define HEAD_MAX (UPSTREAM_KEY_MAX + UPSTREAM_PATH_MAX + 3u * UPSTREAM_MODEL_MAX + 2048u)

int upstream_key_check(const char *api_key, struct why *why)
{
    size_t size = strlen(api_key);

    if (size > UPSTREAM_KEY_MAX)
        return why_set(why, -EINVAL, "api_key has %zu bytes, at most %u are possible", size, UPSTREAM_KEY_MAX);
    for (size_t i = 0; i < size; i++)
        if (api_key[i] <= ' ' || api_key[i] >= 0x7f)
            return why_set(why, -EINVAL, "api_key: byte %zu is a blank or not ASCII and cannot be sent: give the bare key",
                           i + 1);
    return 0;
}

/* Unreserved characters as they are, others as %XX.  "models/x", as a list of models has it, is "x": the path says models already. */
static void put_model(struct umbel_out *out, const char *model)
{
    for (const char *p = strncmp(model, "models/", 7) == 0 ? model + 7 : model; *p; p++) {
        if ((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || strchr("-._~", *p))
            umbel_out_put(out, p, 1);
        else
            umbel_out_printf(out, "%%%02X", (unsigned)(unsigned char)*p);
    }
}

static void put_head(struct umbel_out *out, const struct upstream_dialect *dialect, const struct upstream_url *url, const char *api_key,
                     const char *model, size_t body_size)
{
    const char *in_path = strstr(dialect->path, "%s");

    umbel_out_printf(out, "POST %s%.*s", url->path, in_path ? (int)(in_path - dialect->path) : (int)strlen(dialect->path), dialect->path);
    if (in_path) {
        put_model(out, model);
        umbel_out_text(out, in_path + 2);
    }
    umbel_out_printf(out,
                     " HTTP/1.1\r\n"
                     "Host: %s\r\n"
                     "%s%s%s"
                     "%s"
                     "Content-Type: application/json\r\n"
                     "Accept: %s\r\n"
                     "Accept-Encoding: identity\r\n"
                     "Content-Length: %zu\r\n"
                     "User-Agent: umbel/" UMBEL_VERSION "\r\n"
                     "\r\n",
                     url->authority, *api_key ? dialect->key : "", api_key, *api_key ? "\r\n" : "", dialect->headers, dialect->accept, body_size);
}

/* The body of a question whose answer has begun elsewhere. */
static int put_continued(struct umbel_out *body, const struct upstream_service *service, const struct upstream_question *question,
                         struct why *why)
{
    struct umbel_out messages = {.limit = UPSTREAM_REQUEST_MAX};
    struct upstream_question continued = *question;
    int r = upstream_prefill(&messages, service->dialect, &service->quirks, question, why);

    if (r == 0) {
        continued.messages = messages.data;
        continued.messages_size = messages.size;
        r = service->dialect->put_body(body, &service->quirks, &continued, why);
    }
    umbel_out_free(&messages);
    return r;
}

int upstream_request_build(struct umbel_out *out, const struct upstream_service *service, const struct upstream_url *url, const char *api_key,
                           const struct upstream_question *question, struct why *why)
{
    struct umbel_out body = {.limit = UPSTREAM_REQUEST_MAX};
    int r;

    if (question->messages_size > UPSTREAM_REQUEST_MAX || question->parameters_size > UPSTREAM_REQUEST_MAX)
        return why_set(why, -EMSGSIZE, "the question is over %zu bytes", UPSTREAM_REQUEST_MAX);
    if (strstr(service->dialect->path, "%s") && strlen(question->model) > UPSTREAM_MODEL_MAX)
        return why_set(why, -EINVAL, "the model's name is over %u bytes", UPSTREAM_MODEL_MAX);
    if (question->so_far)
        r = put_continued(&body, service, question, why);
    else
        r = service->dialect->put_body(&body, &service->quirks, question, why);
    out->limit = UPSTREAM_REQUEST_MAX;
    /* Room for all of it first: a buffer that grows leaves copies of the key behind. */
    if (r == 0 && !body.failed && umbel_out_reserve(out, HEAD_MAX + body.size)) {
        put_head(out, service->dialect, url, api_key, question->model, body.size);
        umbel_out_put(out, body.data, body.size);
    }
    if (r == 0)
        r = body.failed ? body.failed : out->failed;
    if (r == -EMSGSIZE)
        why_set(why, r, "the question is over %zu bytes", UPSTREAM_REQUEST_MAX);
    else if (r == -ENOMEM)
        why_set(why, r, "no memory for the question");
    umbel_out_free(&body);
    if (r < 0)
        upstream_request_wipe(out);
    return r;
}

void upstream_request_wipe(struct umbel_out *out)
{
    if (out->data)
        explicit_bzero(out->data, out->size);
    umbel_out_free(out);
}
