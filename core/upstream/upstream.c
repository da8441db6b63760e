#include "core/upstream/upstream.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/upstream/upstream_request.h"
#include "core/upstream/upstream_state.h"

#define MAX_CONCURRENT_DEFAULT 1024u
#define ANSWER_MAX_DEFAULT (16u << 20)
#define COMPLAINT_EVERY_NS (60 * CLOCK_S)

static int copy_texts(struct upstream *upstream, const struct upstream_options *options, struct why *why)
{
    upstream->name = strdup(options->name);
    upstream->api_key = strdup(options->api_key ? options->api_key : "");
    return upstream->name && upstream->api_key ? 0 : why_set(why, -ENOMEM, "no memory for an upstream");
}

static void copy_limits(struct upstream *upstream, const struct upstream_options *options)
{
    upstream->max_concurrent = options->max_concurrent ? options->max_concurrent : MAX_CONCURRENT_DEFAULT;
    upstream->queue = options->queue;
    upstream->answer_max_bytes = options->answer_max_bytes ? options->answer_max_bytes : ANSWER_MAX_DEFAULT;
    upstream->connect_ns = options->connect_timeout_ms * CLOCK_MS;
    upstream->first_token_ns = options->first_token_timeout_ms * CLOCK_MS;
    upstream->idle_ns = options->idle_timeout_ms * CLOCK_MS;
    upstream->total_ns = options->total_timeout_ms * CLOCK_MS;
}

static int check_service(const struct upstream_options *options, struct upstream_service *ret_service, struct why *why)
{
    struct upstream_service service = {upstream_dialect_find(options->dialect, why), dialect_quirks_default};

    if (!service.dialect)
        return -EINVAL;
    for (size_t i = 0; i < options->quirk_count; i++) {
        int r = dialect_quirks_set(&service.quirks, options->quirks[i], why);

        if (r < 0)
            return r;
    }
    *ret_service = service;
    return 0;
}

/* A path that is written out would come twice. */
static int check_path(const struct upstream_dialect *dialect, const struct upstream_url *url, struct why *why)
{
    size_t size = strlen(url->path), added = strlen(dialect->path);

    if (size < added || strcmp(url->path + size - added, dialect->path) != 0)
        return 0;
    return why_set(why, -EINVAL, "base_url must not end in %s, which is added: leave it out", dialect->path);
}

static const char *set_or_null(const char *text)
{
    return text && *text ? text : NULL;
}

static int check_files(const struct upstream_options *options, const struct upstream_url *url, struct why *why)
{
    const char *cert = set_or_null(options->client_cert), *key = set_or_null(options->client_key);

    if (!url->tls && set_or_null(options->ca_file))
        return why_set(why, -EINVAL, "ca_file is of no use with http://: write https:// or leave ca_file out");
    if (!url->tls && (cert || key))
        return why_set(why, -EINVAL, "client_cert and client_key are of no use with http://: write https:// or leave them out");
    if (!cert != !key)
        return why_set(why, -EINVAL, "%s is missing: client_cert and client_key belong together", cert ? "client_key" : "client_cert");
    return 0;
}

static int check(const struct upstream_options *options, struct upstream_service *ret_service, struct upstream_url *ret_url, struct why *why)
{
    int r;

    if (!options->name || !*options->name)
        return why_set(why, -EINVAL, "an upstream needs a name");
    r = check_service(options, ret_service, why);
    if (r < 0)
        return r;
    if (!options->base_url || !*options->base_url)
        return why_set(why, -EINVAL, "base_url is missing: write for example https://api.example.com/v1");
    r = upstream_url_parse(options->base_url, ret_url, why);
    if (r == 0)
        r = check_path(ret_service->dialect, ret_url, why);
    if (r == 0 && options->api_key)
        r = upstream_key_check(options->api_key, why);
    if (r == 0)
        r = check_files(options, ret_url, why);
    return r;
}

/* The context, the proxy, and what they make together. */
static int make_route(struct upstream *upstream, const struct upstream_options *options, struct why *why)
{
    struct tls_files files = {set_or_null(options->ca_file), set_or_null(options->client_cert), set_or_null(options->client_key)};
    int r = upstream_proxy_choose(options->proxy, &upstream->url, getenv, &upstream->proxy, why);

    if (r == 0 && upstream->url.tls)
        r = tls_context_create(&files, &upstream->tls_context, why);
    upstream->route = (struct upstream_route){&upstream->url, upstream->proxy, upstream->tls_context};
    return r;
}

int upstream_create(struct uring_loop *loop, struct upstream_resolver *resolver, const struct upstream_options *options,
                    struct upstream **ret_upstream, struct why *why)
{
    struct upstream *upstream = calloc(1, sizeof *upstream);
    int r;

    if (!upstream)
        return why_set(why, -ENOMEM, "no memory for an upstream");
    upstream->loop = loop;
    upstream->resolver = resolver;
    list_init(&upstream->running);
    list_init(&upstream->waiting);
    upstream_pool_init(&upstream->pool);
    r = check(options, &upstream->service, &upstream->url, why);
    if (r == 0)
        r = copy_texts(upstream, options, why);
    if (r == 0)
        r = make_route(upstream, options, why);
    if (r < 0) {
        upstream_free(upstream);
        return r;
    }
    copy_limits(upstream, options);
    *ret_upstream = upstream;
    return 0;
}

static void drop_all(struct list *calls)
{
    while (!list_is_empty(calls))
        upstream_call_drop(list_entry(calls->next, struct upstream_call, link));
}

void upstream_free(struct upstream *upstream)
{
    if (!upstream)
        return;
    drop_all(&upstream->waiting);
    drop_all(&upstream->running);
    upstream_pool_clear(&upstream->pool);
    tls_context_free(upstream->tls_context);
    upstream_proxy_free(upstream->proxy);
    if (upstream->api_key)
        explicit_bzero(upstream->api_key, strlen(upstream->api_key));
    free(upstream->api_key);
    free(upstream->name);
    free(upstream);
}

void upstream_retire(struct upstream *upstream)
{
    upstream->retired = true;
    upstream_pool_clear(&upstream->pool);
}

const char *upstream_name(const struct upstream *upstream)
{
    return upstream->name;
}

void upstream_get_counts(const struct upstream *upstream, struct upstream_counts *ret_counts)
{
    *ret_counts = upstream->counts;
}

void upstream_run_waiting(struct upstream *upstream)
{
    while (upstream->counts.active < upstream->max_concurrent && !list_is_empty(&upstream->waiting)) {
        struct upstream_call *call = list_entry(upstream->waiting.next, struct upstream_call, link);

        list_remove(&call->link);
        list_append(&upstream->running, &call->link);
        upstream->counts.waiting--;
        upstream->counts.active++;
        upstream_call_begin(call);
    }
}

void upstream_complain(struct upstream *upstream, enum upstream_complaint complaint, const char *format, ...)
{
    char text[1024];
    va_list args;

    if (!upstream->loop)
        return; /* upstream_replay.c: what was complained of then is no news */
    uint64_t now_ns = uring_loop_now_ns(upstream->loop);
    if (upstream->complained_ns[complaint] != 0 && now_ns - upstream->complained_ns[complaint] < COMPLAINT_EVERY_NS) {
        upstream->unsaid[complaint]++;
        return;
    }
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (upstream->unsaid[complaint] > 0)
        log_warn("upstream %s: %s (and %llu more of this kind before)", upstream->name, text,
                 (unsigned long long)upstream->unsaid[complaint]);
    else
        log_warn("upstream %s: %s", upstream->name, text);
    upstream->complained_ns[complaint] = now_ns;
    upstream->unsaid[complaint] = 0;
}
