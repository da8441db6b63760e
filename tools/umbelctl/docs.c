/* umbel-docs - writes docs/commands.md and docs/counters.md from the tables that make the programs.
 * umbel-docs PAGE: to standard output.  umbel-docs PAGE FILE: exit 1 if the file says something else. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <umbel/out.h>

#include "core/admin/admin_command.h"
#include "core/base/fd.h"
#include "core/metrics/core_stats.h"
#include "core/metrics/host_stats.h"

#define FILE_MAX ((size_t)1 << 20)

static void put_commands(struct umbel_out *out)
{
    static const char *const role[] = {[ADMIN_LOCAL] = "itself", [ADMIN_VIEW] = "stats pages", [ADMIN_OPERATE] = "admin socket"};

    umbel_out_text(out, "| command | what it does | from |\n|---|---|---|\n");
    for (size_t i = 0; i < ADMIN_COMMAND_COUNT; i++)
        umbel_out_printf(out, "| `%s%s%s` | %s | %s |\n", admin_commands[i].words, admin_commands[i].arguments[0] ? " " : "",
                         admin_commands[i].arguments, admin_commands[i].summary, role[admin_commands[i].role]);
    umbel_out_text(out, "\n| option | of | meaning |\n|---|---|---|\n"
                        "| `-s DIR`, `--runtime-dir DIR` | all | the daemon's `runtime_dir`; default `$UMBEL_RUNTIME_DIR`, else `/run/umbel` "
                        "if it exists, else `$XDG_RUNTIME_DIR/umbel`, else `/tmp/umbel-UID` |\n"
                        "| `--json` | all | one JSON document instead of text |\n"
                        "| `-h`, `--help` | all | help |\n| `--version` | - | the version |\n");
    for (size_t i = 0; i < admin_option_count; i++)
        umbel_out_printf(out, "| `--%s%s%s` | `%s` | %s |\n", admin_options[i].name, *admin_options[i].value ? " " : "", admin_options[i].value,
                         admin_commands[admin_options[i].command].words, admin_options[i].explanation);
}

static const char *type_words(enum stats_type type)
{
    switch (type) {
    case STATS_U64:
        return "number";
    case STATS_TEXT:
        return "text";
    case STATS_MONOTONIC_NS:
        return "seconds since then, with nine decimals; null: never";
    case STATS_WALL_S:
        return "seconds since 1970; null: never";
    case STATS_BYTES:
        return "bytes";
    case STATS_MS:
        return "milliseconds";
    case STATS_FLAG:
        return "true or false";
    }
    abort();
}

static void put_member(struct umbel_out *out, const char *name, enum stats_type type)
{
    umbel_out_printf(out, "| `%s` | %s |\n", name, type_words(type));
}

static void put_table(struct umbel_out *out, const char *command)
{
    umbel_out_printf(out, "\n### %s\n\nAn array of objects:\n\n| member | value |\n|---|---|\n", command);
}

#define MEMBER(id, name, type, size) put_member(out, name, type);

static void put_json(struct umbel_out *out)
{
    umbel_out_text(out, "\n## What `--json` prints\n\nOne document, whatever was found.  Members may be added; these keep their names and "
                        "meaning.  Complaints go to standard error.\n");
    put_table(out, "stream list");
    CORE_STREAM_COLUMNS(MEMBER)
    put_table(out, "client list");
    put_member(out, "host", STATS_TEXT);
    HOST_CLIENT_COLUMNS(MEMBER)
    put_table(out, "host list");
    CORE_HOST_COLUMNS(MEMBER)
    put_member(out, "clients", STATS_U64);
    put_member(out, "readers", STATS_U64);
    umbel_out_text(out, "| `lag_p50_ns`, `lag_p99_ns` | nanoseconds: upstream arrival to the client's socket |\n");
    put_table(out, "upstream list");
    CORE_UPSTREAM_COLUMNS(MEMBER)
    put_table(out, "counters");
    umbel_out_text(out, "| `page` | `core`, or the host's name |\n| `name`, `help` | text, see [counters.md](counters.md) |\n"
                        "| `kind` | `counter`, `gauge` or `histogram` |\n| `value` | number; of a histogram: how many values |\n"
                        "| `sum_ns`, `max_ns`, `p50_ns`, `p90_ns`, `p99_ns`, `p999_ns` | nanoseconds, histograms only, else 0 |\n");
    umbel_out_text(out,
                   "\n### status\n\nAn object: `running` (true), `stuck` (no sign of life for 5 s), `version`, `pid`, `started` (seconds since "
                   "1970), `uptime_s`, `beat` (seconds since the last sign of life), `engine` (`io_uring`, `epoll` or null), "
                   "`runtime_dir`; and the objects `streams`, `ring`, `journal` (the core's counters of that prefix, without it), "
                   "`clients` (`connected`, `readers`, `deliveries`), `hosts` (`total`, `running`, `deaths`), `upstreams` (`total`, "
                   "`active`).\n"
                   "\n### ring show\n\nAn object: `ring` and `journal` (the core's counters of that prefix, without it), and `hosts`, an array: "
                   "`host`, `state`, `cursor`, `behind` (records), `lag_p50_ns`, `lag_p99_ns`, `lag_max_ns`, `ring_records`, `wakes`, "
                   "`catchups`, `lapped`, `slow`, `stale`.\n");
    umbel_out_text(out,
                   "\n### top --once\n\nAn object: `time` (seconds since 1970), `version`, `pid`, `stuck`, `silent_s` "
                   "(since the core's last sign of life), `totals` (the members of `stat` from `seconds` on, since the "
                   "start), `view`, `sort`, and `rows`: an array of objects with the members of that view's listing and "
                   "`rate` (bytes a second since each row's beginning); streams and clients have `lag_bytes` (text that "
                   "the slowest reader, or this client, still lacks), hosts have `behind` (ring records), `lag_p50_ns`, "
                   "`lag_p99_ns`, `lag_max_ns`, `clients`, `readers`, `slow`, `lapped`, `delivered_bytes`.\n"
                   "\n### stat\n\nAn object a line: `time` (seconds since 1970), `since_start` (true for the first "
                   "line), `stuck`, `seconds` (that the line is about), `answers` (begun), `answers_per_s`, "
                   "`deltas_per_s` (pieces of text, with most services tokens), `tokens_per_s` (as reported, counted "
                   "when an answer ends), `ended`, `failed` (also truncated), `refused`, `running`, `clients`, "
                   "`readers`, `ttft_p50_ns`, `ttft_p99_ns`, `lag_p50_ns`, `lag_p99_ns`, `ring` (0 to 1: how far the "
                   "slowest host is behind), `journal` (0 to 1: how full).\n"
                   "\n### log\n\nAn array of events, the oldest first; with `--follow` an event a line.  An event has "
                   "`time` (UTC, with milliseconds), `source` (`core` or the host's name), `number` (in that ring), "
                   "`kind`, and those fields of `umbelctl log fields --json` (`member`) that were told.\n"
                   "\n### log fields\n\nAn array of objects: `field` (in expressions), `member` (in JSON), `type` "
                   "(`text`, `word`, `duration`, `size`, `number`), `words` (an array), `help`.\n"
                   "\n### trace\n\nAn object: `stream`, `running` (no end was seen), `whole` (the question was seen), "
                   "`total_ns`, `events` (an array: `at_ns` since the question, `event`), and `transports` and `hosts`, "
                   "arrays: `host`, `transport`, `readers`, `writes`, `bytes`, `first_ns` (first delivery, since the "
                   "question), `lag_p50_ns`, `lag_p99_ns`, `lag_max_ns` (the worst of several).\n"
                   "\n### stream tail\n\nAn object a line: `event` `open` (`stream`, `app`, `session`, `model`, "
                   "`position`), `text`, `reasoning` or `tool` (`stream`, `position` of its first byte, `text`), of a "
                   "session also `closed` (`stream`, `position`, `verdict`, `error`) and `skipped` (`stream`); the last "
                   "one has `ok`, and `stream`, `position`, `verdict`, `error`, or `error` and `hint`.\n");
    umbel_out_text(out,
                   "\n### chat\n\nAn object: `id` (the stream's; null if it never began), `verdict` (`COMPLETE`, `TRUNCATED`, `FAILED`, "
                   "`CANCELLED`), `text`, `reasoning` (if there was any), `error` and `hint` (if it failed), and what else the daemon "
                   "says.\n"
                   "\n### reload, config diff\n\nAn object: `ok`; `file`; `restart_needed` (true: some of it waits for the next start); "
                   "`changes`, an array: "
                   "`change` (`added`, `changed`, `removed`), `section`, `name` (empty for sections there are once), `applies` (`live`, `hosts`: "
                   "by new "
                   "host processes, `restart`) and `options`, an array: `name`, `from`, `to` (cut at 60 bytes; secrets are never shown), "
                   "`applies`; and "
                   "`warnings`, an array of lines.  If `ok` is false: `error` and `hint`.\n"
                   "\n### config check\n\nAn object: `ok`, `file`, and `said` (good) or `error`.\n"
                   "\n### config doc\n\nAn array of objects: `section`, `option`, `type`, `required`, `default`, `choices` (an array), `min`, "
                   "`max` (both "
                   "0: no bounds), `unit`, `help`.\n"
                   "\n### capture start, capture status\n\nAn object: `ok`, `capturing`, `file` (of the last one, `\"\"`: none yet), `answers`; "
                   "while it runs `bytes`, "
                   "`max_bytes`, `seconds_left`, `with_request`, `upstream` and `app` (`\"\"`: all); else `ended` (why).\n"
                   "\n### capture stop\n\nAn object: `ok`, `file`, `answers`, `bytes`, `ended`.\n"
                   "\n### replay\n\nAn object: `answers`, an array: `answer` (its number in the file), `upstream`, `dialect`, `model`, `app`, "
                   "`stream`, `result` "
                   "(`identical`, `different`, `unfinished`, `nothing`), `differs`, `verdict`, `error`, `ended_by`, `bytes`, `events`, `digest`, "
                   "`usage` (null, or `prompt_tokens`, `completion_tokens`), `first_byte_us`, `last_byte_us` (since the call began), `text`, "
                   "`reasoning`, `tools`; then how many are `identical`, `different`, `unfinished`, `nothing`; `cut`, `damage` (`\"\"`: none), "
                   "`info` and `stop` as they stand in the file (capture-format.md).\n"
                   "\n### selftest\n\nAn object: `trials`, an array: `transport`, `plugin`, `address`, `protocol`, `result` (`ok`, `failed`, "
                   "`skipped`), `what`, "
                   "`advice`, `bytes`, `frames`, `first_text_ms`, `end_ms`, `lag_ms` (each null if it does not apply), `tls`, "
                   "`certificate_days` (null without); then `ok`, `good`, `failed`, `left_out`.\n"
                   "\n### key mint\n\nAn object: `key`, `file` (null, or where it is).\n"
                   "\n### Other commands\n\nThe daemon's reply: `ok`, and `error` and `hint` if it is false.\n");
}

static void page_commands(struct umbel_out *out)
{
    umbel_out_text(out, "# Commands of umbelctl\n\nMade by `umbel-docs commands` from `core/admin/admin_commands.def`: change that.\n\n"
                        "`umbelctl [-s DIR] [--json] [COMMAND]`; without a command: `status`.\n\n");
    put_commands(out);
    umbel_out_text(out, "\nExit status: 0 done, 1 failed (also: no such id), 2 wrong use, 3 umbeld is not running.  A daemon that was "
                        "stopped by a signal counts as running: lists still work, and say how old they are.\n");
    put_json(out);
}

static void put_value(struct umbel_out *out, const char *name, const char *kind, const char *help)
{
    umbel_out_printf(out, "| `%s` | %s | %s |\n", name, kind, help);
}

#define COUNTER_ROW(id, name, help) put_value(out, name, "counter", help);
#define GAUGE_ROW(id, name, help) put_value(out, name, "gauge", help);
#define HISTOGRAM_ROW(id, name, help) put_value(out, name, "histogram", help);
#define UPSTREAM_COUNTER_ROW(id, name, help) put_value(out, name "/UPSTREAM", "counter", help);
#define UPSTREAM_HISTOGRAM_ROW(id, name, help) put_value(out, name "/UPSTREAM", "histogram", help);
#define ERROR_ROW(id, kind) put_value(out, "errors/" kind, "counter", CORE_ERROR_HELP);
static const char value_head[] = "| name | kind | meaning |\n|---|---|---|\n";

static void page_counters(struct umbel_out *out)
{
    umbel_out_text(out, "# Counters\n\nMade by `umbel-docs counters` from `core/metrics/core_stats.h` and `host_stats.h`: change those.  "
                        "`umbelctl counters [PATTERN]` shows them.  A counter only grows while its process lives; a gauge is the present; a "
                        "histogram keeps times, each known to 6.25 %, from 64 ns to 137 s.\n\n## The core\n\n");
    umbel_out_text(out, value_head);
    CORE_COUNTERS(COUNTER_ROW, GAUGE_ROW)
    CORE_HISTOGRAMS(HISTOGRAM_ROW)
    umbel_out_text(out, "\n## Each upstream\n\nCalled NAME/UPSTREAM, and NAME/others for upstreams beyond the first ");
    umbel_out_u64(out, CORE_UPSTREAMS_NAMED_MAX);
    umbel_out_text(out, ".\n\n");
    umbel_out_text(out, value_head);
    CORE_UPSTREAM_COUNTERS(UPSTREAM_COUNTER_ROW)
    CORE_UPSTREAM_HISTOGRAMS(UPSTREAM_HISTOGRAM_ROW)
    umbel_out_text(out, "\n## Each kind of error\n\n");
    umbel_out_text(out, value_head);
    CORE_ERROR_KINDS(ERROR_ROW)
    umbel_out_text(out, "\n## Each host\n\nA transport's plugin may add its own.\n\n");
    umbel_out_text(out, value_head);
    HOST_COUNTERS(COUNTER_ROW, GAUGE_ROW)
    HOST_HISTOGRAMS(HISTOGRAM_ROW)
}

/* 0 if the file holds exactly this. */
static int compare(const struct umbel_out *out, const char *page, const char *path)
{
    char *data = NULL;
    size_t size = 0;
    int r = fd_read_file(path, FILE_MAX, &data, &size);
    int differs = r < 0 || size != out->size || memcmp(data, out->data, size) != 0;

    free(data);
    if (differs)
        fprintf(stderr, "%s is not current: cmake --build BUILD -t docs   (or umbel-docs %s > %s)\n", path, page, path);
    return differs;
}

int main(int argc, char **argv)
{
    struct umbel_out out = {0};
    int r = 0;

    if (argc == 2 || argc == 3) {
        if (strcmp(argv[1], "commands") == 0)
            page_commands(&out);
        else if (strcmp(argv[1], "counters") == 0)
            page_counters(&out);
    }
    if (out.size == 0 || out.failed) {
        fprintf(stderr, "usage: umbel-docs commands|counters [FILE]\n");
        return 2;
    }
    if (argc == 3)
        r = compare(&out, argv[1], argv[2]);
    else if (fwrite(out.data, 1, out.size, stdout) != out.size || fflush(stdout) != 0)
        r = 1;
    umbel_out_free(&out);
    return r;
}
