/* daemon/daemon_probe.c - umbelctl upstream probe: a tiny question to one upstream, and what was met on the way. */
#include <stdlib.h>
#include <string.h>

#include <umbel/out.h>

#include "core/base/clock.h"
#include "core/daemon/daemon.h"
#include "core/upstream/upstream_probe.h"

struct probe {
    struct daemon_upstream *upstream; /* one reference: it outlives the probe */
    struct upstream_probe *probe;
    struct admin_request *request;
    char *model, *url, *dialect;
};

static void probe_free(struct probe *probe)
{
    probe->upstream->references--;
    free(probe->model);
    free(probe->url);
    free(probe->dialect);
    free(probe);
}

static void gone(void *owner)
{
    struct probe *probe = owner;

    upstream_probe_cancel(probe->probe);
    probe_free(probe);
}

static void put_text(struct umbel_out *out, const char *name, const char *text)
{
    umbel_out_printf(out, ",\"%s\":", name);
    umbel_out_json(out, text, strlen(text));
}

/* A stage's time in ms; null if it was not reached. */
static void put_time(struct umbel_out *out, const char *name, uint64_t from_ns, uint64_t to_ns)
{
    if (from_ns == 0 || to_ns < from_ns)
        umbel_out_printf(out, "%s\"%s\":null", out->data[out->size - 1] == '{' ? "" : ",", name);
    else
        umbel_out_printf(out, "%s\"%s\":%.3f", out->data[out->size - 1] == '{' ? "" : ",", name, (double)(to_ns - from_ns) / CLOCK_MS);
}

static void put_times(struct umbel_out *out, const struct probe_report *report)
{
    const struct upstream_trace *trace = &report->trace;
    const struct upstream_times *times = &trace->times;

    umbel_out_text(out, ",\"times_ms\":{");
    if (out->failed)
        return;
    put_time(out, "room", trace->started_ns, trace->begun_ns);
    put_time(out, "resolve", times->begun_ns, times->resolved_ns);
    put_time(out, "connect", times->resolved_ns, times->connected_ns);
    put_time(out, "proxy", report->has_proxy ? times->connected_ns : 0, times->opened_ns);
    put_time(out, "tls", report->has_tls ? times->opened_ns : 0, times->ready_ns);
    put_time(out, "first_byte", trace->asked_ns, trace->first_byte_ns);
    put_time(out, "first_token", trace->asked_ns, trace->first_token_ns);
    put_time(out, "end", trace->asked_ns, trace->ended_ns);
    put_time(out, "total", trace->started_ns, trace->ended_ns);
    umbel_out_text(out, "}");
}

static void put_tls(struct umbel_out *out, const struct tls_facts *tls)
{
    if (!tls->version[0]) {
        umbel_out_text(out, ",\"tls\":null");
        return;
    }
    umbel_out_text(out, ",\"tls\":{\"version\":");
    umbel_out_json(out, tls->version, strlen(tls->version));
    put_text(out, "cipher", tls->cipher);
    umbel_out_printf(out, ",\"resumed\":%s,\"certificate_days\":", tls->resumed ? "true" : "false");
    umbel_out_printf(out, tls->has_certificate ? "%d}" : "null}", tls->certificate_days);
}

/* What came that not every service does, and whether it is allowed for. */
static void put_quirks(struct umbel_out *out, const struct probe_report *report)
{
    const char *name;
    size_t count = 0;

    umbel_out_text(out, ",\"quirks\":[");
    for (size_t i = 0; (name = dialect_quirk_name(i)); i++)
        if (dialect_quirk_is_on(&report->trace.counts.seen, i))
            umbel_out_printf(out, "%s{\"name\":\"%s\",\"on\":%s}", count++ ? "," : "", name,
                             dialect_quirk_is_on(report->quirks, i) ? "true" : "false");
    umbel_out_text(out, "]");
}

static void put_answer(struct umbel_out *out, const struct probe_report *report)
{
    const struct upstream_trace *trace = &report->trace;

    if (trace->has_head)
        umbel_out_printf(out, ",\"status\":%u", trace->head.status);
    else
        umbel_out_text(out, ",\"status\":null");
    put_text(out, "content_type", trace->head.content_type);
    umbel_out_printf(out, ",\"events\":%llu,\"comments\":%llu,\"deltas\":%llu,\"thinking\":%llu,\"text_bytes\":%llu,\"long\":%s",
                     (unsigned long long)trace->counts.events, (unsigned long long)trace->counts.comments, (unsigned long long)report->deltas,
                     (unsigned long long)report->thoughts, (unsigned long long)report->text_bytes, report->long_answer ? "true" : "false");
    put_text(out, "said", report->said);
    put_text(out, "finish", report->finish);
    if (report->usage)
        umbel_out_printf(out, ",\"usage\":{\"prompt_tokens\":%llu,\"completion_tokens\":%llu}", (unsigned long long)report->prompt_tokens,
                         (unsigned long long)report->completion_tokens);
    else
        umbel_out_text(out, ",\"usage\":null");
    if (trace->has_head && trace->head.retry_after_s >= 0)
        umbel_out_printf(out, ",\"retry_after_s\":%lld", (long long)trace->head.retry_after_s);
}

static void probed(void *owner, const struct probe_report *report)
{
    struct probe *probe = owner;
    const struct upstream_breaker *breaker = &probe->upstream->member.breaker;
    struct umbel_out out = {0};

    umbel_out_text(&out, "\"upstream\":");
    umbel_out_json(&out, upstream_name(probe->upstream->member.upstream), strlen(upstream_name(probe->upstream->member.upstream)));
    put_text(&out, "dialect", probe->dialect);
    put_text(&out, "base_url", probe->url);
    put_text(&out, "model", probe->model);
    put_text(&out, "verdict", probe_class_word(report->class));
    put_text(&out, "error", report->text);
    put_text(&out, "advice", probe_advice(report->class));
    put_text(&out, "breaker", breaker->open_ms == 0 ? "closed" : breaker->probing ? "half-open" : "open");
    put_times(&out, report);
    put_tls(&out, &report->trace.tls);
    put_answer(&out, report);
    put_quirks(&out, report);
    umbel_out_put(&out, "", 1);
    admin_finish(probe->request, out.failed ? NULL : out.data);
    umbel_out_free(&out);
    probe_free(probe);
}

/* The model to ask for: the first that the upstream names, else that of the first app which asks it.  NULL: nobody has said. */
static const char *choose_model(const struct daemon *daemon, const struct config_upstream *upstream)
{
    for (size_t i = 0; i < upstream->models.count; i++)
        if (strcmp(upstream->models.items[i], "*") != 0)
            return upstream->models.items[i];
    for (size_t a = 0; a < daemon->config->app_count; a++) {
        const struct config_app *app = &daemon->config->apps[a];
        for (size_t u = 0; u < app->upstreams.count; u++)
            if (strcmp(app->upstreams.items[u], upstream->name) == 0 && app->model && *app->model)
                return app->model;
    }
    return NULL;
}

static struct probe *probe_new(struct daemon_upstream *upstream, struct admin_request *request, const char *model)
{
    struct probe *probe = calloc(1, sizeof *probe);

    if (!probe)
        return NULL;
    *probe = (struct probe){.upstream = upstream,
                            .request = request,
                            .model = strdup(model),
                            .url = strdup(upstream->config->base_url),
                            .dialect = strdup(upstream->config->dialect)};
    upstream->references++;
    if (probe->model && probe->url && probe->dialect)
        return probe;
    probe_free(probe);
    return NULL;
}

static void upstream_probe(void *owner, struct admin_request *request, const struct umbel_json *arguments)
{
    struct daemon *daemon = owner;
    struct daemon_upstream *upstream = daemon_upstream_find(daemon, admin_argument(arguments, 0));
    const char *model = admin_option_value(arguments, "model");
    struct why why = {""};

    stats_add(daemon->stats, CORE_ADMIN_COMMANDS, 1);
    if (!upstream) {
        admin_fail(request, "no upstream has this name", "umbelctl upstream list shows them");
        return;
    }
    if (!model)
        model = choose_model(daemon, upstream->config);
    if (!model) {
        admin_fail(request, "neither the upstream nor an app that asks it names a model", "name one: --model MODEL");
        return;
    }
    struct probe *probe = probe_new(upstream, request, model);
    if (!probe) {
        admin_fail(request, "no memory", NULL);
        return;
    }
    if (upstream_probe_start(daemon->loop, upstream->member.upstream, probe->model, probed, probe, &probe->probe, &why) < 0) {
        admin_fail(request, why.text, "try again when it is done");
        probe_free(probe);
        return;
    }
    admin_on_gone(request, gone, probe);
}

void daemon_probe_admin(struct daemon *daemon)
{
    admin_server_handle(daemon->admin, "upstream probe", upstream_probe, daemon);
}
