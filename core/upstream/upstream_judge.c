/* What a probe's report comes to, for the operator: a class, and what to do about it. */
#include <string.h>
#include <strings.h>
#include <umbel/event.h>

#include "core/upstream/upstream_probe.h"

static const struct {
    const char *word, *advice;
} classes[] = {
    [PROBE_OK] = {"ok", ""},
    [PROBE_NO_ROOM] = {"no_room", "max_concurrent answers are running at this upstream: probe again later, or raise it if the service allows more."},
    [PROBE_RESOLVE] = {"resolve", "The host's name has no address: look at the host in base_url (or proxy), and at this machine's name servers."},
    [PROBE_CONNECT] = {"connect", "Nobody takes the connection: is the service running, is the port in base_url right, does a firewall stand between, "
                                  "is a proxy needed (proxy = ...)?"},
    [PROBE_PROXY] = {"proxy", "The proxy does not open a way: look at its address and its user and password, and whether it lets this host pass."},
    [PROBE_TLS] = {"tls", "The service was reached, TLS with it failed: for a private authority give ca_file; else look at base_url's host and port, "
                          "this machine's clock, and client_cert if the service wants one."},
    [PROBE_KEY] = {"key", "The service does not accept api_key: is it of this service and this account, is it still valid, may it use this model?"},
    [PROBE_NOT_FOUND] = {"not_found", "There is nothing at this path, or no such model: look at base_url (docs/upstreams.md says what is added to it), "
                                      "dialect, and the model's name."},
    [PROBE_REQUEST] = {"request", "The service refuses the request itself: is the dialect right, the model's name, and should a quirk be switched off "
                                  "(no-stream_options for services that refuse members they do not know)?"},
    [PROBE_RATE] = {"rate", "Too many requests, or the account's credit is spent: look at the account; max_concurrent keeps calls below its limit."},
    [PROBE_SERVICE] = {"service", "The service, or what stands before it, has trouble of its own: its status page knows more.  A second upstream in the "
                                  "app's list takes over meanwhile."},
    [PROBE_ENCODING] = {"encoding", "The answer was compressed though that was not asked for: something between here and the service does it; switch it "
                                    "off there."},
    [PROBE_TYPE] = {"type", "Something else than the service answered, a page of a proxy or of a log-in perhaps: look at base_url, and at what stands "
                            "between."},
    [PROBE_SILENT] = {"silent", "The question was taken, and no answer began within the time limit: the model may be loading, or first_token_timeout_ms "
                                "too short for one that thinks long."},
    [PROBE_ERROR] = {"error", "The service began, and reported an error: its words are above."},
    [PROBE_CUT] = {"cut", "The answer stopped in the middle: something between may cut long or quiet connections.  If this service always ends like that, "
                          "a quirk in docs/upstreams.md may be for it."},
    [PROBE_BROKEN] = {"broken", "What came is no answer of this dialect: is dialect right for this service?"},
};

const char *probe_class_word(enum probe_class class)
{
    return classes[class].word;
}

const char *probe_advice(enum probe_class class)
{
    return classes[class].advice;
}

/* It did not come to a question. */
static enum probe_class judge_connection(const struct probe_report *report)
{
    const struct upstream_times *times = &report->trace.times;

    if (report->trace.begun_ns == 0)
        return PROBE_NO_ROOM;
    if (times->resolved_ns == 0)
        return PROBE_RESOLVE;
    if (times->connected_ns == 0)
        return PROBE_CONNECT;
    if (times->opened_ns == 0)
        return PROBE_PROXY;
    return PROBE_TLS;
}

static enum probe_class judge_status(unsigned status)
{
    return status == 401 || status == 403   ? PROBE_KEY
           : status == 404 || status == 405 ? PROBE_NOT_FOUND
           : status == 429                  ? PROBE_RATE
           : status >= 400 && status < 500  ? PROBE_REQUEST
                                            : PROBE_SERVICE;
}

/* A head of 200, and no good end. */
static enum probe_class judge_answer(const struct probe_report *report)
{
    const struct upstream_trace *trace = &report->trace;
    bool begun = report->deltas + report->thoughts > 0;

    if (trace->has_counts && (trace->counts.saw_error || report->error == UMBEL_ERROR_BUSY))
        return trace->counts.malformed > 0 ? PROBE_BROKEN : PROBE_ERROR;
    if (report->error == UMBEL_ERROR_TIMEOUT && !begun)
        return PROBE_SILENT;
    if (begun || report->error == UMBEL_ERROR_TIMEOUT || report->verdict == UMBEL_VERDICT_TRUNCATED)
        return PROBE_CUT;
    return trace->has_counts && trace->counts.events == 0 ? PROBE_TYPE : PROBE_BROKEN;
}

enum probe_class probe_judge(const struct probe_report *report)
{
    const struct upstream_trace *trace = &report->trace;

    if (report->verdict == UMBEL_VERDICT_COMPLETE)
        return PROBE_OK;
    if (trace->asked_ns == 0)
        return judge_connection(report);
    if (trace->head.content_encoding[0] && strcasecmp(trace->head.content_encoding, "identity") != 0)
        return PROBE_ENCODING;
    if (trace->has_head && trace->head.status != 200)
        return judge_status(trace->head.status);
    if (!trace->has_head)
        return report->error == UMBEL_ERROR_TIMEOUT ? PROBE_SILENT : trace->first_byte_ns ? PROBE_BROKEN : PROBE_SERVICE;
    return judge_answer(report);
}
