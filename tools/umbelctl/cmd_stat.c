/* stat: one line each interval, as vmstat does. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/number.h"
#include "tools/umbelctl/print.h"
#include "tools/umbelctl/sample.h"
#include "tools/umbelctl/text.h"

#define HEAD_EVERY 20u /* lines */

static void put_time(uint64_t ns, char *ret_text, size_t room)
{
    if (ns)
        text_duration(ns, ret_text, room);
    else
        snprintf(ret_text, room, "-");
}

static void print_line(const struct sample_rates *rates, const struct pages *pages, uint64_t line)
{
    char first[32], lag[32], ago[32];

    if (line % HEAD_EVERY == 0)
        printf("%9s %9s %7s %7s %9s %9s %7s %7s %5s %7s\n", "ANSWERS/S", "TOKENS/S", "RUNNING", "CLIENTS", "TTFT P99", "LAG P99", "FAILED",
               "REFUSED", "RING", "JOURNAL");
    put_time(rates->first_token.p99_ns, first, sizeof first);
    put_time(rates->lag.p99_ns, lag, sizeof lag);
    printf("%9.1f %9.1f %7" PRIu64 " %7" PRIu64 " %9s %9s %7" PRIu64 " %7" PRIu64 " %4.0f%% %6.0f%%", rates->answers, rates->deltas,
           rates->running, rates->clients, first, lag, rates->failed, rates->refused, 100 * rates->ring, 100 * rates->journal);
    text_duration(pages->silent_ns, ago, sizeof ago);
    if (pages->stuck)
        printf("  (stopped or stuck: %s old)", ago);
    printf("\n");
}

static int print_json_line(const struct sample_rates *rates, const struct pages *pages, bool from_start)
{
    struct umbel_out out = {0};

    umbel_out_printf(&out, "{\"time\":%.3f,\"since_start\":%s,\"stuck\":%s,", (double)clock_wall_ms() / 1000, from_start ? "true" : "false",
                     pages->stuck ? "true" : "false");
    sample_json(rates, &out);
    umbel_out_text(&out, "}");
    return print_document(&out);
}

static void wait_ms(uint64_t ms)
{
    struct timespec left = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};

    while (nanosleep(&left, &left) == -1 && !print_is_broken())
        ;
}

static int read_arguments(const struct ctl *ctl, uint64_t *ret_interval_s, uint64_t *ret_count)
{
    uint64_t *to[] = {ret_interval_s, ret_count};

    for (size_t i = 0; i < ctl->word_count; i++)
        if (!number_parse_u64(ctl->words[i], strlen(ctl->words[i]), to[i]) || *to[i] == 0 || *to[i] > 86400)
            return ctl_complain(CTL_USAGE, "umbelctl stat 5 12: a line every 5 seconds, 12 lines", "%s: a whole number from 1 to 86400 is needed",
                                ctl->words[i]);
    return CTL_OK;
}

int ctl_stat(const struct ctl *ctl)
{
    uint64_t interval_s = 0, count = 1;
    struct sample before, now;
    int r;

    if (ctl->word_count == 1)
        count = UINT64_MAX;
    r = read_arguments(ctl, &interval_s, &count);
    for (uint64_t line = 0; line < count && r == CTL_OK && !print_is_broken(); line++) {
        struct sample_rates rates;
        struct pages pages;

        if (line > 0)
            wait_ms(interval_s * 1000);
        if (line == 0 || !pages_look(ctl, &pages)) /* the first look complains, so does the one that finds nobody */
            r = pages_open(ctl, true, &pages);
        if (r != CTL_OK)
            break;
        sample_take(&pages, &now);
        sample_compare(line ? &before : NULL, &now, &rates);
        if (ctl->json)
            r = print_json_line(&rates, &pages, line == 0);
        else
            print_line(&rates, &pages, line);
        before = now;
        pages_close(&pages);
    }
    return r;
}
