#include "core/daemon/daemon_usage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <umbel/json.h>
#include <umbel/out.h>

#include "core/access/access_log.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/number.h"
#include "core/policy/policy.h"

#define ACCOUNTS_MAX 65536u
#define RESTORE_MS 2000u       /* how long a start waits for the tokens of today */
#define RESTORE_RETRY_MS 100u  /* the database is locked, or still being opened */
#define DAY_MS 86400000u
#define ROWS_MAX 10000u        /* of one umbelctl usage */
#define SINCE_DEFAULT_MS DAY_MS

/* ---- what was used before this start ---- */

struct daemon_restore {
    struct daemon *daemon;
    void (*ready)(struct daemon *daemon);
    struct history_ask *ask; /* on its way */
    struct uring_timer timer;
    uint64_t until_ns;
};

static struct policy_time time_now(const struct daemon *daemon)
{
    return (struct policy_time){.now_ns = uring_loop_now_ns(daemon->loop), .wall_s = clock_wall_s()};
}

/* Keys with limits of their own, or users that a service of the operator's may give some. */
static bool limits_keys(const struct config_app *app)
{
    return app->key_limits.tokens_per_day > 0 || *app->authorize.url;
}

static bool limits_days(const struct daemon *daemon)
{
    for (size_t i = 0; i < daemon->config->app_count; i++)
        if (daemon->config->apps[i].limits.tokens_per_day || limits_keys(&daemon->config->apps[i]))
            return true;
    return false;
}

static void restore_done(struct daemon_restore *restore)
{
    struct daemon *daemon = restore->daemon;
    void (*ready)(struct daemon *) = restore->ready;

    uring_timer_clear(daemon->loop, &restore->timer);
    history_cancel(restore->ask);
    daemon->restore = NULL;
    free(restore);
    if (!daemon->stopping)
        ready(daemon);
}

static void restore_sums(struct daemon *daemon, const struct history_reply *reply)
{
    struct policy_time now = time_now(daemon);
    uint64_t today = now.wall_s / (DAY_MS / 1000u), lost = 0;

    for (size_t i = 0; i < reply->count; i++) {
        const struct history_usage_sum *sum = &reply->usage[i];
        int app = daemon_find_app(daemon, sum->app);
        uint64_t tokens = sum->prompt_tokens + sum->completion_tokens;
        if (app < 0)
            continue;
        const struct config_app *config = daemon->apps[app].config;
        if (config->limits.tokens_per_day)
            lost += !policy_restore(daemon->policy, sum->app, NULL, today, tokens, &now);
        if (limits_keys(config))
            lost += !policy_restore(daemon->policy, sum->app, sum->key, today, tokens, &now);
    }
    if (lost)
        log_warn("no room to count the tokens that %llu keys have used today: they begin at 0", (unsigned long long)lost);
}

static void restored(void *owner, const struct history_reply *reply)
{
    struct daemon_restore *restore = owner;

    restore->ask = NULL;
    if (reply->error) { /* tried again by the timer, which also knows when it is enough */
        uring_timer_set(restore->daemon->loop, &restore->timer, RESTORE_RETRY_MS * CLOCK_MS);
        return;
    }
    restore_sums(restore->daemon, reply);
    restore_done(restore);
}

static void restore_ask(struct daemon_restore *restore)
{
    uint64_t now_ms = clock_wall_ms();

    if (history_usage_sums(restore->daemon->history, now_ms - now_ms % DAY_MS, HISTORY_BY_KEY, NULL, NULL, HISTORY_USAGE_ROWS_MAX, restored,
                           restore, &restore->ask) < 0)
        restore->ask = NULL;
}

static void restore_fired(struct uring_timer *timer)
{
    struct daemon_restore *restore = list_entry(timer, struct daemon_restore, timer);
    uint64_t now_ns = uring_loop_now_ns(restore->daemon->loop);

    if (now_ns >= restore->until_ns) {
        log_error("the tokens used today before this start cannot be read from the database: they are counted from 0");
        restore_done(restore);
        return;
    }
    if (!restore->ask)
        restore_ask(restore);
    uring_timer_set(restore->daemon->loop, &restore->timer, restore->until_ns - now_ns);
}

void daemon_usage_start(struct daemon *daemon, void (*ready)(struct daemon *daemon))
{
    struct daemon_restore *restore = daemon->history && limits_days(daemon) ? calloc(1, sizeof *restore) : NULL;

    if (!restore) {
        ready(daemon);
        return;
    }
    *restore = (struct daemon_restore){.daemon = daemon,
                                       .ready = ready,
                                       .timer = {.fired = restore_fired},
                                       .until_ns = clock_now_ns() + RESTORE_MS * CLOCK_MS};
    daemon->restore = restore;
    uring_timer_set(daemon->loop, &restore->timer, RESTORE_MS * CLOCK_MS);
    restore_ask(restore);
}

/* ---- the whole ---- */

int daemon_usage_create(struct daemon *daemon, struct why *why)
{
    if (policy_create(ACCOUNTS_MAX, &daemon->policy) < 0)
        return why_set(why, -ENOMEM, "no memory for the limits");
    return *daemon->config->access_log ? access_log_open(daemon->config->access_log, &daemon->access, why) : 0;
}

void daemon_usage_free(struct daemon *daemon)
{
    if (daemon->restore) {
        uring_timer_clear(daemon->loop, &daemon->restore->timer);
        history_cancel(daemon->restore->ask);
        free(daemon->restore);
    }
    daemon->restore = NULL;
    access_log_close(daemon->access);
    daemon->access = NULL;
    policy_free(daemon->policy);
    daemon->policy = NULL;
}

void daemon_usage_tick(struct daemon *daemon)
{
    struct history_counts counts;

    stats_set(daemon->stats, CORE_LIMIT_ACCOUNTS, policy_accounts(daemon->policy));
    stats_set(daemon->stats, CORE_ACCESS_DROPPED, access_log_dropped(daemon->access));
    if (!daemon->history)
        return;
    history_get_counts(daemon->history, &counts);
    stats_set(daemon->stats, CORE_USAGE_WAITING, counts.usage_waiting);
    stats_set(daemon->stats, CORE_USAGE_DROPPED, counts.usage_dropped);
}

void daemon_access_reopen(struct daemon *daemon)
{
    access_log_reopen(daemon->access);
}

/* ---- umbelctl usage ---- */

struct usage_command {
    struct admin_request *request;
    struct history_ask *ask;
    uint64_t since_ms;
    enum history_usage_by by;
};

static const char *const by_words[HISTORY_BY_COUNT] = {
    [HISTORY_BY_APP] = "app", [HISTORY_BY_KEY] = "key", [HISTORY_BY_DAY] = "day", [HISTORY_BY_UPSTREAM] = "upstream"};

static void gone(void *owner)
{
    struct usage_command *command = owner;

    history_cancel(command->ask);
    free(command);
}

static void put_text(struct umbel_out *out, const char *name, const char *text)
{
    umbel_out_printf(out, "\"%s\":", name);
    umbel_out_json(out, text, strlen(text));
    umbel_out_put(out, ",", 1);
}

static void put_sum(struct umbel_out *out, enum history_usage_by by, const struct history_usage_sum *sum)
{
    umbel_out_put(out, "{", 1);
    if (by == HISTORY_BY_APP || by == HISTORY_BY_KEY)
        put_text(out, "app", sum->app);
    if (by == HISTORY_BY_KEY)
        put_text(out, "key", sum->key);
    if (by == HISTORY_BY_UPSTREAM)
        put_text(out, "upstream", sum->upstream);
    if (by == HISTORY_BY_DAY)
        umbel_out_printf(out, "\"day_ms\":%llu,", (unsigned long long)sum->day_ms);
    umbel_out_printf(out,
                     "\"answers\":%llu,\"estimated\":%llu,\"prompt_tokens\":%llu,\"completion_tokens\":%llu,\"total_tokens\":%llu,"
                     "\"text_bytes\":%llu}",
                     (unsigned long long)sum->answers, (unsigned long long)sum->estimated, (unsigned long long)sum->prompt_tokens,
                     (unsigned long long)sum->completion_tokens, (unsigned long long)(sum->prompt_tokens + sum->completion_tokens),
                     (unsigned long long)sum->text_bytes);
}

static void summed(void *owner, const struct history_reply *reply)
{
    struct usage_command *command = owner;
    struct history_usage_sum total = {.app = "", .key = "", .upstream = ""};
    struct umbel_out out = {0};

    if (reply->error) {
        admin_fail(command->request, reply->text, "umbelctl counters history_ shows how the database is; the daemon's log says more");
        free(command);
        return;
    }
    umbel_out_printf(&out, "\"by\":\"%s\",\"since_ms\":%llu,\"usage\":[", by_words[command->by], (unsigned long long)command->since_ms);
    for (size_t i = 0; i < reply->count; i++) {
        const struct history_usage_sum *sum = &reply->usage[i];
        umbel_out_text(&out, i ? "," : "");
        put_sum(&out, command->by, sum);
        total.answers += sum->answers;
        total.estimated += sum->estimated;
        total.prompt_tokens += sum->prompt_tokens;
        total.completion_tokens += sum->completion_tokens;
        total.text_bytes += sum->text_bytes;
    }
    umbel_out_text(&out, "],\"total\":");
    put_sum(&out, HISTORY_BY_COUNT, &total);
    umbel_out_printf(&out, ",\"truncated\":%s", reply->count >= ROWS_MAX ? "true" : "false");
    umbel_out_put(&out, "", 1);
    if (out.failed)
        admin_fail(command->request, "no memory for the reply", NULL);
    else
        admin_finish(command->request, out.data);
    umbel_out_free(&out);
    free(command);
}

/* False: none of the words. */
static bool parse_by(const char *word, enum history_usage_by *ret_by)
{
    for (int i = 0; i < HISTORY_BY_COUNT; i++)
        if (strcmp(word, by_words[i]) == 0) {
            *ret_by = (enum history_usage_by)i;
            return true;
        }
    return false;
}

static void usage(void *owner, struct admin_request *request, const struct umbel_json *arguments)
{
    struct daemon *daemon = owner;
    const char *since = admin_option_value(arguments, "since"), *by = admin_option_value(arguments, "by");
    const char *app = admin_option_value(arguments, "app"), *key = admin_option_value(arguments, "key");
    uint64_t time_ms = SINCE_DEFAULT_MS, now_ms = clock_wall_ms();
    enum history_usage_by grouped = HISTORY_BY_KEY;

    stats_add(daemon->stats, CORE_ADMIN_COMMANDS, 1);
    if (since && !number_parse_duration(since, &time_ms)) {
        admin_fail(request, "--since is no time", "write 90s, 15m, 6h, 1d or 4w");
        return;
    }
    if (by && !parse_by(by, &grouped)) {
        admin_fail(request, "--by is none of app, key, day, upstream", NULL);
        return;
    }
    if (!daemon->history) {
        admin_fail(request, "usage is not kept: there is no database", "the daemon's log says why");
        return;
    }
    struct usage_command *command = calloc(1, sizeof *command);
    if (!command) {
        admin_fail(request, "no memory", NULL);
        return;
    }
    *command = (struct usage_command){.request = request, .since_ms = now_ms > time_ms ? now_ms - time_ms : 0, .by = grouped};
    int r = history_usage_sums(daemon->history, command->since_ms, grouped, app, key, ROWS_MAX, summed, command, &command->ask);
    if (r < 0) {
        admin_fail(request, r == -EINVAL ? "an app's or key's name has 1 to 255 bytes" : strerror(-r), NULL);
        free(command);
        return;
    }
    admin_on_gone(request, gone, command);
}

void daemon_usage_admin(struct daemon *daemon)
{
    admin_server_handle(daemon->admin, "usage", usage, daemon);
}
