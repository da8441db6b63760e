#include "core/daemon/answer_bill.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <umbel/event.h>
#include <umbel/out.h>

#include "core/access/access_log.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/daemon/answer_parts.h"
#include "core/daemon/daemon.h"
#include "core/daemon/daemon_trail.h"
#include "core/policy/policy.h"

#define NAME_MAX_BYTES 128u
#define READ_BY_MAX 512u /* bytes of the names of transports that read; one more that does not fit is left out */

struct answer_bill {
    struct policy_ticket ticket;
    uint64_t prompt_tokens; /* estimated */
    uint64_t output_bytes;  /* text, reasoning, tool calls that went out */
    uint64_t asked_ms;      /* wall clock */
    uint64_t last_ns;       /* of the last piece */
    uint32_t readers_peak;
    bool begun, session;
    char key[POLICY_NAME_MAX], transport[NAME_MAX_BYTES], model[NAME_MAX_BYTES];
    char read_by[READ_BY_MAX]; /* zero-terminated names one after the other */
    size_t read_by_size;
};

static struct policy_time time_now(const struct daemon *daemon)
{
    return (struct policy_time){.now_ns = uring_loop_now_ns(daemon->loop), .wall_s = clock_wall_s()};
}

static struct policy_limits limits_of(const struct config_limits *config)
{
    return (struct policy_limits){.concurrent = config->concurrent,
                                  .requests_per_minute = config->requests_per_minute,
                                  .prompt_bytes = config->prompt_bytes,
                                  .output_tokens = config->output_tokens,
                                  .tokens_per_day = config->tokens_per_day};
}

/* To clients the protocols' own words: which limit it was is the operator's to know. */
static const struct refusal {
    uint32_t error, counter;
    const char *limit, *words; /* words NULL: made from the limit */
} refusals[POLICY_REFUSAL_COUNT] = {
    [POLICY_CONCURRENT] = {UMBEL_ERROR_RATE, CORE_LIMITED_CONCURRENT, "concurrent", "Too many requests, try again later."},
    [POLICY_RATE] = {UMBEL_ERROR_RATE, CORE_LIMITED_RATE, "requests_per_minute", "Too many requests, try again later."},
    [POLICY_DAY] = {UMBEL_ERROR_QUOTA, CORE_LIMITED_DAY, "tokens_per_day", "You exceeded your current quota."},
    [POLICY_PROMPT] = {UMBEL_ERROR_BAD_REQUEST, CORE_LIMITED_PROMPT, "prompt_bytes", NULL},
    [POLICY_FULL] = {UMBEL_ERROR_BUSY, CORE_LIMITED_FULL, "accounts", "The service is overloaded, try again later."},
};

static uint32_t refuse(struct daemon *daemon, const struct policy_request *request, enum policy_refusal refusal, uint32_t limit,
                       struct why *why)
{
    const struct refusal *how = &refusals[refusal];

    stats_add(daemon->stats, how->counter, 1);
    daemon->refusals.limit = how->limit;
    log_debug("app %s, key %s: a question was refused, %s = %u", request->app, request->key, how->limit, limit);
    if (how->words)
        why_set(why, 0, "%s", how->words);
    else
        why_set(why, 0, "the question is larger than %u bytes", limit);
    return how->error;
}

uint32_t bill_open(struct daemon *daemon, const struct answer_question *question, struct answer_bill **ret_bill, struct why *why)
{
    const struct config_app *app = daemon->apps[question->app].config;
    struct policy_limits of_app = limits_of(&app->limits), of_key = limits_of(&app->key_limits);
    struct answer_bill *bill = calloc(1, sizeof *bill);
    struct policy_time now = time_now(daemon);
    uint32_t limit = 0;

    if (!bill) {
        why_set(why, 0, "The service failed, try again later.");
        return UMBEL_ERROR_INTERNAL;
    }
    /* the parameters too: tools and schemas are read by the model like messages */
    size_t prompt_bytes = question->messages.size + question->parameters.size;
    bill->prompt_tokens = policy_tokens(prompt_bytes);
    struct policy_request request = {.app = app->name,
                                     .key = question->key_name,
                                     .of_app = &of_app,
                                     .of_key = question->key_limits ? question->key_limits : &of_key,
                                     .prompt_bytes = prompt_bytes,
                                     .prompt_tokens = bill->prompt_tokens};
    enum policy_refusal refusal = policy_admit(daemon->policy, &request, &now, &bill->ticket, &limit);
    if (refusal) {
        free(bill);
        return refuse(daemon, &request, refusal, limit, why);
    }
    bill->asked_ms = clock_wall_ms();
    bill->session = *question->session;
    snprintf(bill->key, sizeof bill->key, "%s", question->key_name);
    snprintf(bill->transport, sizeof bill->transport, "%s", question->transport);
    *ret_bill = bill;
    return 0;
}

void bill_drop(struct daemon *daemon, struct answer_bill *bill)
{
    struct policy_time now = time_now(daemon);

    if (!bill)
        return;
    policy_charge(&bill->ticket, 0, &now);
    policy_release(daemon->policy, &bill->ticket, &now);
    free(bill);
}

uint32_t bill_output_tokens(const struct answer_bill *bill)
{
    return bill->ticket.output_tokens;
}

static void charge_estimate(struct answer_bill *bill, const struct policy_time *now)
{
    policy_charge(&bill->ticket, bill->prompt_tokens + policy_tokens(bill->output_bytes), now);
}

void bill_asked(struct answer_bill *bill, const struct daemon *daemon, const char *model, size_t bytes)
{
    struct policy_time now = time_now(daemon);

    snprintf(bill->model, sizeof bill->model, "%s", model);
    bill->prompt_tokens = policy_tokens(bytes);
    charge_estimate(bill, &now);
}

static uint64_t beyond(uint64_t bytes, uint64_t used)
{
    return bytes > used ? bytes - used : 0;
}

size_t bill_fit(struct answer_bill *bill, const struct daemon *daemon, const char *data, size_t size, bool whole, enum bill_stop *ret_stop)
{
    struct policy_time now = time_now(daemon);
    uint64_t left = policy_left(&bill->ticket, &now), room = UINT64_MAX;
    enum bill_stop stop = BILL_GOES_ON;

    bill->begun = true;
    if (bill->ticket.output_tokens) {
        room = beyond(policy_bytes(bill->ticket.output_tokens), bill->output_bytes);
        stop = BILL_LENGTH;
    }
    if (left != UINT64_MAX) {
        uint64_t today = beyond(policy_bytes(policy_tokens(bill->output_bytes) + left), bill->output_bytes);
        if (today < room) {
            room = today;
            stop = BILL_QUOTA;
        }
    }
    if (size <= room) {
        *ret_stop = BILL_GOES_ON;
        return size;
    }
    *ret_stop = stop;
    if (whole)
        return 0;
    return answer_prefix(data, size, (size_t)room);
}

void bill_took(struct answer_bill *bill, const struct daemon *daemon, size_t size)
{
    struct policy_time now = time_now(daemon);

    bill->output_bytes += size;
    bill->last_ns = now.now_ns;
    charge_estimate(bill, &now);
}

void bill_readers(struct answer_bill *bill, const char *transport, uint32_t total)
{
    if (total > bill->readers_peak)
        bill->readers_peak = total;
    if (!transport)
        return;
    for (const char *name = bill->read_by; name < bill->read_by + bill->read_by_size; name += strlen(name) + 1)
        if (strcmp(name, transport) == 0)
            return;
    size_t size = strlen(transport) + 1;
    if (size > sizeof bill->read_by - bill->read_by_size)
        return;
    memcpy(bill->read_by + bill->read_by_size, transport, size);
    bill->read_by_size += size;
}

/* ---- the end ---- */

/* What the service says, else what we think. */
static void settle(const struct answer *answer, uint32_t verdict, struct history_usage *usage)
{
    const struct answer_bill *bill = answer->bill;

    if (answer->usage_known) {
        usage->prompt_tokens = answer->prompt_tokens;
        usage->completion_tokens = answer->completion_tokens;
    } else if (verdict != UMBEL_VERDICT_FAILED || bill->begun) { /* a service that failed before its first word charges nothing */
        usage->prompt_tokens = bill->prompt_tokens;
        usage->completion_tokens = policy_tokens(bill->output_bytes);
        usage->estimated = true;
    }
}

static void put_text(struct umbel_out *out, const char *name, const char *text)
{
    umbel_out_printf(out, ",\"%s\":", name);
    umbel_out_json(out, text, strlen(text));
}

static void put_ms(struct umbel_out *out, const char *name, uint64_t from_ns, uint64_t to_ns)
{
    if (to_ns)
        umbel_out_printf(out, ",\"%s\":%llu", name, (unsigned long long)((to_ns > from_ns ? to_ns - from_ns : 0) / CLOCK_MS));
    else
        umbel_out_printf(out, ",\"%s\":null", name);
}

static void put_date(struct umbel_out *out, uint64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    char text[32];
    struct tm utc;

    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &utc));
    umbel_out_printf(out, "{\"asked\":\"%s.%03uZ\"", text, (unsigned)(wall_ms % 1000));
}

static const char *word_of(const char *const *words, size_t count, uint32_t code)
{
    return code < count ? words[code] : "other";
}
#define WORD(words, code) word_of(words, sizeof(words) / sizeof *(words), code)

/* No text, no session name, no secret: a session's name may be a person's. */
static void write_access_line(const struct answer *answer, const struct history_usage *usage, uint32_t error)
{
    static const char *const verdicts[] = {"", "complete", "truncated", "failed", "cancelled"};
    static const char *const finishes[] = {"", "stop", "length", "filter", "tool", "other"};
    static const char *const errors[] = {"",        "auth",    "quota",    "rate",      "busy",    "bad_request",
                                         "upstream", "timeout", "internal", "not_found", "position"};
    const struct answer_bill *bill = answer->bill;
    struct umbel_out out = {0};

    put_date(&out, bill->asked_ms);
    put_text(&out, "stream", answer->id);
    put_text(&out, "app", usage->app);
    put_text(&out, "key", usage->key);
    umbel_out_printf(&out, ",\"session\":%s", bill->session ? "true" : "false");
    put_text(&out, "transport", usage->transport);
    umbel_out_text(&out, ",\"read_by\":[");
    for (const char *name = bill->read_by; name < bill->read_by + bill->read_by_size; name += strlen(name) + 1) {
        umbel_out_text(&out, name == bill->read_by ? "" : ",");
        umbel_out_json(&out, name, strlen(name));
    }
    umbel_out_printf(&out, "],\"readers_peak\":%u", bill->readers_peak);
    put_text(&out, "upstream", usage->upstream);
    umbel_out_printf(&out, ",\"tries\":%u,\"continued\":%u", answer->tries, answer->continued);
    put_text(&out, "model", usage->model);
    put_ms(&out, "ttft_ms", answer->asked_ns, answer->first_token_ns);
    put_ms(&out, "ttlt_ms", answer->asked_ns, bill->last_ns);
    put_ms(&out, "duration_ms", answer->asked_ns, answer->ended_ns);
    umbel_out_printf(&out, ",\"prompt_tokens\":%llu,\"completion_tokens\":%llu,\"estimated\":%s", (unsigned long long)usage->prompt_tokens,
                     (unsigned long long)usage->completion_tokens, usage->estimated ? "true" : "false");
    put_text(&out, "verdict", WORD(verdicts, usage->verdict));
    put_text(&out, "finish", WORD(finishes, answer->finish));
    put_text(&out, "error", WORD(errors, error));
    umbel_out_printf(&out, ",\"text_bytes\":%llu}", (unsigned long long)answer->text_bytes);
    if (!out.failed)
        access_log_write(answer->daemon->access, out.data, out.size);
    umbel_out_free(&out);
}

void bill_close(struct answer *answer, uint32_t verdict, uint32_t error)
{
    struct daemon *daemon = answer->daemon;
    struct answer_bill *bill = answer->bill;
    struct policy_time now = time_now(daemon);
    struct history_usage usage = {.wall_ms = clock_wall_ms(),
                                  .stream = answer->id,
                                  .app = daemon->apps[answer->app].config->name,
                                  .key = bill->key,
                                  .upstream = answer->upstream ? answer->upstream : "",
                                  .model = bill->model,
                                  .transport = bill->transport,
                                  .verdict = verdict,
                                  .text_bytes = answer->text_bytes};

    settle(answer, verdict, &usage);
    policy_charge(&bill->ticket, usage.prompt_tokens + usage.completion_tokens, &now);
    policy_release(daemon->policy, &bill->ticket, &now);
    stats_add(daemon->stats, CORE_TOKENS_PROMPT, usage.prompt_tokens);
    stats_add(daemon->stats, CORE_TOKENS_COMPLETION, usage.completion_tokens);
    stats_add(daemon->stats, CORE_USAGE_ESTIMATED, usage.estimated);
    answer_trail_ended(answer, verdict, error,
                       &(struct answer_tokens){.prompt = usage.prompt_tokens, .completion = usage.completion_tokens, .readers_peak = bill->readers_peak});
    if (daemon->history)
        history_usage_add(daemon->history, &usage);
    if (daemon->access)
        write_access_line(answer, &usage, error);
    free(bill);
    answer->bill = NULL;
}
