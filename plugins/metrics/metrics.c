/* metrics/metrics.c - GET /metrics, /healthz/live, /healthz/ready: what the stats pages say, for Prometheus and for load balancers. */
#include <string.h>

#include <umbel/http.h>

#include "health.h"
#include "pages.h"

struct metrics {
    const struct umbel_host *host;
    struct umbel_out out;
    struct health health;
};

static const char text_head[] = "Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n";
static const char json_head[] = "Content-Type: application/json\r\nCache-Control: no-store\r\n";
static const char prometheus_head[] = "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\nCache-Control: no-store\r\n";
static const char open_metrics_head[] =
    "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\nCache-Control: no-store\r\n";

static void answer_text(struct umbel_http_request *request, uint32_t status, const char *text)
{
    umbel_http_answer(request, status, text_head, text, strlen(text));
}

static void answer_metrics(struct metrics *metrics, struct umbel_http_request *request)
{
    const char *accept = umbel_http_header(request, "accept");
    bool open_metrics = accept && strstr(accept, "application/openmetrics-text");

    umbel_out_reset(&metrics->out);
    if (pages_write(metrics->host, open_metrics, &metrics->out) < 0)
        answer_text(request, 503, "the stats pages cannot be read\n");
    else
        umbel_http_answer(request, 200, open_metrics ? open_metrics_head : prometheus_head, metrics->out.data, metrics->out.size);
    umbel_out_free(&metrics->out); /* it may have been large */
}

static void answer_health(struct metrics *metrics, struct umbel_http_request *request, const char *word,
                          bool (*check)(const struct health *health, bool json, struct umbel_out *reasons))
{
    const char *format = umbel_http_query(request, "format");
    bool json = format && strcmp(format, "json") == 0;
    struct umbel_out reasons = {0};

    health_look(metrics->host, &metrics->health);
    bool good = check(&metrics->health, json, &reasons);
    umbel_out_reset(&metrics->out);
    if (json)
        umbel_out_printf(&metrics->out, "{\"%s\":%s,\"reasons\":[%.*s]}\n", word, good ? "true" : "false", (int)reasons.size,
                         reasons.size ? reasons.data : "");
    else if (good)
        umbel_out_printf(&metrics->out, "%s\n", word);
    else
        umbel_out_put(&metrics->out, reasons.data, reasons.size);
    umbel_http_answer(request, good ? 200 : 503, json ? json_head : text_head, metrics->out.data, metrics->out.size);
    umbel_out_free(&reasons);
}

static void on_request(void *self, struct umbel_http_request *request)
{
    const char *path = umbel_http_path(request);

    if (strcmp(path, "/metrics") == 0)
        answer_metrics(self, request);
    else if (strcmp(path, "/healthz/live") == 0)
        answer_health(self, request, "live", health_live);
    else if (strcmp(path, "/healthz/ready") == 0)
        answer_health(self, request, "ready", health_ready);
    else
        answer_text(request, 404, "here are /metrics, /healthz/live and /healthz/ready\n");
}

/* Nothing here asks the core: the callbacks of answers are never called. */
static const struct umbel_http_codec codec = {.struct_size = sizeof codec,
                                              .max_line = 2048,
                                              .max_headers = 8192,
                                              .max_body = 1024, /* read and ignored */
                                              .methods = "GET, HEAD",
                                              .request = on_request};

static int setup(struct metrics *metrics, const struct umbel_host *host, const struct umbel_config *config)
{
    (void)config;
    metrics->host = host;
    return 0;
}

static void cleanup(struct metrics *metrics)
{
    umbel_out_free(&metrics->out);
}

UMBEL_HTTP_TRANSPORT_WITH(struct metrics, codec, setup, cleanup, .name = "metrics", .version = UMBEL_VERSION,
                          .summary = "Prometheus metrics and health checks over HTTP", .option_size = sizeof(struct umbel_option), .needs = UMBEL_NEEDS_STATS);
