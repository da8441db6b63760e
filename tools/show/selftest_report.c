#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "tools/show/selftest.h"

#define CERTIFICATE_SOON_DAYS 14

static void fail(struct selftest_trial *trial, const char *advice, const char *what)
{
    trial->result = SELFTEST_FAIL;
    trial->advice = advice;
    if (what != trial->what)
        snprintf(trial->what, sizeof trial->what, "%s", what);
}

/* Where two texts part. */
static void note_difference(struct selftest_trial *trial, const char *text, size_t size)
{
    size_t at = 0, whole = strlen(selftest_text);

    while (at < size && at < whole && text[at] == selftest_text[at])
        at++;
    snprintf(trial->what, sizeof trial->what, "the text is not the one that was sent: %zu bytes instead of %zu, alike up to byte %zu", size,
             whole, at);
    fail(trial, "something between umbeld and this client changes answers: is there a proxy in front of the address?", trial->what);
}

void selftest_judge(const struct selftest *test, struct selftest_trial *trial)
{
    const struct show_client *client = &trial->client;
    const struct show_answer *answer = &client->decoder.answer;

    if (!trial->runs)
        return;
    if (client->phase == SHOW_CONNECTING || (client->phase == SHOW_OVER && client->bytes == 0 && client->asked_ns == 0))
        fail(trial, "does its process run?  umbelctl host list; is the address this machine's?  with TLS: are tls_cert and tls_key a pair?",
             answer->why);
    else if (client->head.status == 401 || client->head.status == 403)
        fail(trial, "the key of the test was refused: was the configuration read again meanwhile?  Try once more", answer->why);
    else if (answer->state == SHOW_WAITING)
        fail(trial, "umbelctl stream list shows how far its answer is, umbelctl ring show whether the host keeps up", "no end came in time");
    else if (answer->state == SHOW_BROKEN)
        fail(trial,
             test->live ? "umbelctl upstream probe NAME tells more of the service; the log has the answer's stream id"
                        : "the log has a line for it; umbelctl capture shows what the service sent",
             answer->why);
    else if (answer->text.size == 0)
        fail(trial, "umbelctl upstream probe NAME tells more of the service", "the answer is empty");
    else if (!test->live && (answer->text.size != strlen(selftest_text) || memcmp(answer->text.data, selftest_text, answer->text.size) != 0))
        note_difference(trial, answer->text.data, answer->text.size);
    else if (trial->has_certificate && trial->certificate_days < 0)
        fail(trial, "renew it and send umbeld SIGHUP", "the certificate has expired");
    else if (trial->has_certificate && trial->certificate_days < CERTIFICATE_SOON_DAYS)
        trial->advice = "the certificate expires soon: renew it and send umbeld SIGHUP";
}

/* Milliseconds between two moments; negative: one of them was not. */
static double between_ms(uint64_t from_ns, uint64_t to_ns)
{
    return from_ns && to_ns >= from_ns ? (double)(to_ns - from_ns) / CLOCK_MS : -1;
}

static const char *const words[] = {"ok", "FAIL", "skipped"};

static void put_ms(struct umbel_out *out, const char *name, double ms)
{
    if (ms < 0)
        umbel_out_printf(out, ",\"%s\":null", name);
    else
        umbel_out_printf(out, ",\"%s\":%.3f", name, ms);
}

static void put_text(struct umbel_out *out, const char *name, const char *text)
{
    umbel_out_printf(out, "%s\"%s\":", out->data[out->size - 1] == '{' ? "" : ",", name);
    umbel_out_json(out, text, strlen(text));
}

static void report_json(const struct selftest *test, const struct selftest_trial *trial, struct umbel_out *out)
{
    const struct show_client *client = &trial->client;

    umbel_out_text(out, "{");
    if (out->failed)
        return;
    put_text(out, "transport", trial->transport);
    put_text(out, "plugin", trial->plugin);
    put_text(out, "address", trial->address);
    put_text(out, "protocol", trial->protocol_name);
    put_text(out, "result", trial->result == SELFTEST_FAIL ? "failed" : words[trial->result]);
    put_text(out, "what", trial->what);
    put_text(out, "advice", trial->advice ? trial->advice : "");
    umbel_out_printf(out, ",\"bytes\":%zu,\"frames\":%llu", client->decoder.answer.text.size, (unsigned long long)client->decoder.answer.frames);
    put_ms(out, "first_text_ms", between_ms(client->asked_ns, client->first_text_ns));
    put_ms(out, "end_ms", between_ms(client->asked_ns, client->ended_ns));
    put_ms(out, "lag_ms", test->live ? -1 : between_ms(trial->sent_ns, client->ended_ns));
    umbel_out_printf(out, ",\"tls\":%s,\"certificate_days\":", trial->tls ? "true" : "false");
    umbel_out_printf(out, trial->has_certificate ? "%d}" : "null}", trial->certificate_days);
}

static void report_text(const struct selftest *test, const struct selftest_trial *trial, struct umbel_out *out)
{
    const struct show_client *client = &trial->client;
    double first = between_ms(client->asked_ns, client->first_text_ns), lag = between_ms(trial->sent_ns, client->ended_ns);

    umbel_out_printf(out, "%-8s %-16s %-22s %s", words[trial->result], trial->transport, trial->address, trial->protocol_name);
    if (trial->result == SELFTEST_OK && trial->runs)
        umbel_out_printf(out, "  %zu bytes, first text after %.1f ms", client->decoder.answer.text.size, first);
    if (trial->result == SELFTEST_OK && trial->runs && !test->live && lag >= 0)
        umbel_out_printf(out, ", lag %.2f ms", lag);
    if (trial->has_certificate)
        umbel_out_printf(out, ", certificate for %d days", trial->certificate_days);
    umbel_out_text(out, "\n");
    if (*trial->what)
        umbel_out_printf(out, "         %s\n", trial->what);
    if (trial->advice)
        umbel_out_printf(out, "         %s\n", trial->advice);
}

size_t selftest_report(const struct selftest *test)
{
    struct umbel_out out = {0};
    size_t failed = 0, good = 0;

    umbel_out_text(&out, test->json ? "{\"trials\":[" : "");
    for (size_t i = 0; i < test->count; i++) {
        const struct selftest_trial *trial = &test->trials[i];
        failed += trial->result == SELFTEST_FAIL;
        good += trial->result == SELFTEST_OK;
        umbel_out_text(&out, test->json && i ? "," : "");
        if (test->json)
            report_json(test, trial, &out);
        else
            report_text(test, trial, &out);
    }
    if (test->json)
        umbel_out_printf(&out, "],\"ok\":%s,\"good\":%zu,\"failed\":%zu,\"left_out\":%zu}\n", failed == 0 && good > 0 ? "true" : "false", good, failed,
                         test->left_out);
    else
        umbel_out_printf(&out, "%zu good, %zu failed%s\n", good, failed, good + failed == 0 ? ": there was nothing to test" : "");
    if (test->left_out && !test->json)
        umbel_out_printf(&out, "%zu addresses were left out: at most %u at once\n", test->left_out, SELFTEST_TRIALS_MAX);
    if (out.failed || fwrite(out.data, 1, out.size, stdout) != out.size || fflush(stdout) != 0)
        failed++;
    umbel_out_free(&out);
    return good == 0 ? failed + 1 : failed;
}
