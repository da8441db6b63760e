/* daemon/daemon_history.c - the history store: where it is, how it is, and what operators ask of it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <umbel/json.h>
#include <umbel/out.h>

#include "core/base/log.h"
#include "core/daemon/answer.h"
#include "core/daemon/daemon.h"

#define LIST_DEFAULT 1000u

static const struct {
    const char *name, *help;
    bool gauge;
} counters[] = {
    {"history_turns_written", "turns written to the history database", true},
    {"history_turns_waiting", "turns waiting to be written", true},
    {"history_turns_dropped", "turns lost because the database could not be written for too long", true},
    {"history_errors", "operations of the history database that failed", true},
    {"history_state", "0 off or being opened, 1 good, 2 damaged: somebody must act", true},
};

/* The shortest time any app asks for: one database, one pace. */
static uint32_t sync_ms(const struct daemon *daemon, bool *ret_wanted)
{
    uint32_t shortest = UINT32_MAX;

    for (size_t i = 0; i < daemon->config->app_count; i++)
        if (daemon->config->apps[i].history && daemon->config->apps[i].history_sync_ms < shortest)
            shortest = daemon->config->apps[i].history_sync_ms;
    *ret_wanted = shortest != UINT32_MAX;
    return shortest;
}

int daemon_history_create(struct daemon *daemon)
{
    const char *dir = daemon->config->state_dir;
    struct history_options options = {0};
    struct why why = {""};
    char path[4096];
    bool wanted;

    options.sync_ms = sync_ms(daemon, &wanted);
    options.retention_days = daemon->config->history_days;
    options.retention_mb = daemon->config->history_mb;
    for (uint32_t i = 0; i < sizeof counters / sizeof *counters; i++)
        daemon->history_counter[i] = stats_name_counter(daemon->stats, counters[i].name, counters[i].help, counters[i].gauge);
    daemon->history_kept = wanted;
    if (!wanted)
        options.sync_ms = 0; /* usage only: the default pace */
    if (mkdir(dir, 0750) == -1 && errno != EEXIST)
        log_warn("cannot make the state directory %s (%s): "
                 "conversations are remembered in memory only, usage is not kept; set state_dir", dir, strerror(errno));
    snprintf(path, sizeof path, "%s/history.db", dir);
    if (history_open(daemon->loop, path, &options, &daemon->history, &why) < 0) {
        log_error("no history: %s", why.text);
        daemon->history = NULL;
    }
    return 0;
}

void daemon_history_want(struct daemon *daemon)
{
    bool wanted;

    sync_ms(daemon, &wanted); /* its pace stays that of the start */
    daemon->history_kept = daemon->history_kept || wanted;
}

void daemon_history_tick(struct daemon *daemon)
{
    struct history_counts counts;

    if (!daemon->history)
        return;
    history_get_counts(daemon->history, &counts);
    const uint64_t values[] = {counts.written, counts.waiting, counts.dropped, counts.errors,
                               (uint64_t)history_state(daemon->history, NULL)};
    for (uint32_t i = 0; i < sizeof values / sizeof *values; i++)
        if (daemon->history_counter[i] != UINT32_MAX)
            stats_set(daemon->stats, daemon->history_counter[i], values[i]);
}

/* ---- umbelctl session ... ---- */

struct session_command {
    struct daemon *daemon;
    struct admin_request *request;
    struct history_ask *ask;
    char app[HISTORY_NAME_MAX + 1], session[HISTORY_NAME_MAX + 1];
};

static void gone(void *owner)
{
    struct session_command *command = owner;

    history_cancel(command->ask);
    free(command);
}

/* The reply's error told to the operator; true if there was one. */
static bool failed(struct session_command *command, const struct history_reply *reply)
{
    if (!reply->error)
        return false;
    admin_fail(command->request, reply->text, "umbelctl counters history_ shows how the database is; the daemon's log says more");
    return true;
}

static void finish(struct session_command *command, struct umbel_out *members)
{
    umbel_out_put(members, "", 1);
    if (members->failed)
        admin_fail(command->request, "no memory for the reply", NULL);
    else
        admin_finish(command->request, members->data);
    umbel_out_free(members);
}

static void put_text(struct umbel_out *out, const char *name, const char *text)
{
    umbel_out_printf(out, "\"%s\":", name);
    umbel_out_json(out, text, strlen(text));
}

static void listed(void *owner, const struct history_reply *reply)
{
    struct session_command *command = owner;
    struct umbel_out out = {0};

    if (!failed(command, reply)) {
        umbel_out_text(&out, "\"sessions\":[");
        for (size_t i = 0; i < reply->count; i++) {
            const struct history_conversation *c = &reply->conversations[i];
            umbel_out_text(&out, i ? ",{" : "{");
            put_text(&out, "app", c->app);
            umbel_out_put(&out, ",", 1);
            put_text(&out, "session", c->session);
            umbel_out_printf(&out, ",\"turns\":%llu,\"bytes\":%llu,\"last_ms\":%llu}", (unsigned long long)c->turns,
                             (unsigned long long)c->bytes, (unsigned long long)c->last_ms);
        }
        umbel_out_text(&out, "]");
        finish(command, &out);
    }
    free(command);
}

static void shown(void *owner, const struct history_reply *reply)
{
    static const char *const verdicts[] = {"", "complete", "truncated", "failed", "cancelled"};
    struct session_command *command = owner;
    struct umbel_out out = {0};

    if (!failed(command, reply) && reply->count == 0) {
        admin_fail(command->request, "no session of this name has a history", "umbelctl session list shows those that have");
    } else if (!reply->error) {
        put_text(&out, "session", command->session);
        umbel_out_text(&out, ",\"turns\":[");
        for (size_t i = 0; i < reply->count; i++) {
            const struct history_turn *turn = &reply->turns[i];
            umbel_out_printf(&out, "%s{\"time_ms\":%llu,", i ? "," : "", (unsigned long long)turn->wall_ms);
            put_text(&out, "stream", turn->stream);
            umbel_out_put(&out, ",", 1);
            put_text(&out, "verdict", turn->verdict < 5 ? verdicts[turn->verdict] : "");
            umbel_out_text(&out, ",\"message\":");
            umbel_out_put(&out, turn->message, turn->size);
            umbel_out_text(&out, "}");
        }
        umbel_out_text(&out, "]");
        finish(command, &out);
    }
    free(command);
}

/* Its ended answers that are still in memory cannot be resumed from there either. */
static void forget_kept(const struct session_command *command)
{
    int app = daemon_find_app(command->daemon, command->app);

    if (app >= 0)
        answer_forget_session(command->daemon->answers, (uint32_t)app, command->session);
}

static void forgotten(void *owner, const struct history_reply *reply)
{
    struct session_command *command = owner;
    struct umbel_out out = {0};

    forget_kept(command); /* a look that was under way before may have brought one back */
    if (!failed(command, reply)) {
        put_text(&out, "session", command->session);
        umbel_out_printf(&out, ",\"forgotten\":%llu", (unsigned long long)reply->forgotten);
        finish(command, &out);
    }
    free(command);
}

/* The app named, or the only one.  NULL after having told the operator. */
static struct session_command *begin(struct daemon *daemon, struct admin_request *request, const struct umbel_json *arguments, bool one)
{
    const char *app = admin_option_value(arguments, "app"), *session = admin_argument(arguments, 0);
    struct session_command *command;

    stats_add(daemon->stats, CORE_ADMIN_COMMANDS, 1);
    if (!daemon->history || !daemon->history_kept) {
        admin_fail(request, "there is no history: no app keeps one", "write history = on in an app section");
        return NULL;
    }
    if (one && !app && daemon->config->app_count == 1)
        app = daemon->config->apps[0].name;
    if ((one && !app) || (app && daemon_find_app(daemon, app) < 0)) {
        admin_fail(request, app ? "no app has this name" : "there is not exactly one app",
                   "name one of the configuration's apps: --app APP");
        return NULL;
    }
    command = calloc(1, sizeof *command);
    if (!command) {
        admin_fail(request, "no memory", NULL);
        return NULL;
    }
    command->daemon = daemon;
    command->request = request;
    snprintf(command->app, sizeof command->app, "%s", app ? app : "");
    snprintf(command->session, sizeof command->session, "%s", session ? session : "");
    return command;
}

/* After the ask was given to the history: r as it answered. */
static void wait_for(struct session_command *command, int r)
{
    if (r < 0) {
        admin_fail(command->request, strerror(-r), NULL);
        free(command);
        return;
    }
    admin_on_gone(command->request, gone, command);
}

static void session_list(void *owner, struct admin_request *request, const struct umbel_json *arguments)
{
    struct daemon *daemon = owner;
    struct session_command *command = begin(daemon, request, arguments, false);

    if (command)
        wait_for(command, history_list(daemon->history, *command->app ? command->app : NULL, LIST_DEFAULT, listed, command, &command->ask));
}

static void session_show(void *owner, struct admin_request *request, const struct umbel_json *arguments)
{
    struct daemon *daemon = owner;
    struct session_command *command = begin(daemon, request, arguments, true);

    if (command)
        wait_for(command, history_show(daemon->history, command->app, command->session, shown, command, &command->ask));
}

static void session_forget_command(void *owner, struct admin_request *request, const struct umbel_json *arguments)
{
    struct daemon *daemon = owner;
    struct session_command *command = begin(daemon, request, arguments, true);

    if (!command)
        return;
    struct session *session = session_find(daemon->sessions, (uint32_t)daemon_find_app(daemon, command->app), command->session);
    if (session)
        session_forget(session);
    forget_kept(command);
    wait_for(command, history_forget(daemon->history, command->app, command->session, forgotten, command, &command->ask));
}

void daemon_history_admin(struct daemon *daemon)
{
    admin_server_handle(daemon->admin, "session list", session_list, daemon);
    admin_server_handle(daemon->admin, "session show", session_show, daemon);
    admin_server_handle(daemon->admin, "session forget", session_forget_command, daemon);
}
