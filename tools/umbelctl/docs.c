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
        umbel_out_printf(out, "| `--%s %s` | `%s` | %s |\n", admin_options[i].name, admin_options[i].value,
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
                   "`catchups`, `lapped`, `slow`, `stale`.\n"
                   "\n### chat\n\nAn object: `id` (the stream's; null if it never began), `verdict` (`COMPLETE`, `TRUNCATED`, `FAILED`, "
                   "`CANCELLED`), `text`, `reasoning` (if there was any), `error` and `hint` (if it failed), and what else the daemon "
                   "says.\n"
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
static const char value_head[] = "| name | kind | meaning |\n|---|---|---|\n";

static void page_counters(struct umbel_out *out)
{
    umbel_out_text(out, "# Counters\n\nMade by `umbel-docs counters` from `core/metrics/core_stats.h` and `host_stats.h`: change those.  "
                        "`umbelctl counters [PATTERN]` shows them.  A counter only grows while its process lives; a gauge is the present; a "
                        "histogram keeps times, each known to 6.25 %, from 64 ns to 137 s.\n\n## The core\n\n");
    umbel_out_text(out, value_head);
    CORE_COUNTERS(COUNTER_ROW, GAUGE_ROW)
    CORE_HISTOGRAMS(HISTOGRAM_ROW)
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
