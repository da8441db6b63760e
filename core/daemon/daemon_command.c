/* daemon/daemon_command.c - operators' commands that a transport's own process carries out: only it has that transport's secrets. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <umbel/json.h>

#include "core/base/clock.h"
#include "core/daemon/daemon.h"
#include "core/daemon/daemon_plugin_file.h"

#define COMMAND_LIMIT_S 60u
#define MEMBERS_MAX 65536u

struct command {
    struct list link; /* daemon.commands */
    struct daemon *daemon;
    struct daemon_host *host; /* only its answer counts */
    struct admin_request *request;
    struct uring_timer limit;
    uint64_t tag;
};

static void command_free(struct command *command)
{
    uring_timer_clear(command->daemon->loop, &command->limit);
    list_remove(&command->link);
    free(command);
}

static void late(struct uring_timer *timer)
{
    struct command *command = list_entry(timer, struct command, limit);

    admin_fail(command->request, "the transport did not answer within a minute", "umbelctl host list shows how its process is");
    command_free(command);
}

static void gone(void *owner)
{
    command_free(owner);
}

/* The members a host sends go into our reply: they must be what they say, for the host is not trusted. */
static bool are_members(const char *members)
{
    struct umbel_out object = {0};

    umbel_out_printf(&object, "{%s}", members);
    struct umbel_json *json = object.failed ? NULL : umbel_json_parse(object.data, object.size, NULL, 0);
    bool good = umbel_json_type(json) == UMBEL_JSON_OBJECT && !umbel_json_member(json, "ok");
    umbel_json_free(json);
    umbel_out_free(&object);
    return good;
}

void daemon_command_host_gone(struct daemon_host *host)
{
    list_for_each(link, spare, &host->daemon->commands) {
        struct command *command = list_entry(link, struct command, link);
        if (command->host != host)
            continue;
        admin_fail(command->request, "the transport's process has ended before it answered", "umbelctl host list shows how it is");
        command_free(command);
    }
}

int daemon_command_replied(struct daemon_host *host, uint64_t tag, struct control_in *in)
{
    struct daemon *daemon = host->daemon;
    char error[WHY_MAX];

    control_get_string(in, error, sizeof error);
    struct span members = control_get_text(in, MEMBERS_MAX);
    if (!control_done(in))
        return -EPROTO;
    list_for_each(link, spare, &daemon->commands) {
        struct command *command = list_entry(link, struct command, link);
        if (command->tag != tag || command->host != host)
            continue;
        char *copy = strndup(members.data, members.size);
        if (*error)
            admin_fail(command->request, error, NULL);
        else if (!copy || !are_members(copy))
            admin_fail(command->request, "the transport's answer makes no sense", NULL);
        else
            admin_finish(command->request, *copy ? copy : NULL);
        free(copy);
        command_free(command);
        return 0;
    }
    return 0; /* too late, or nobody waits any more */
}

static struct daemon_host *find(struct daemon *daemon, struct admin_request *request, const struct umbel_json *arguments, const char *plugin)
{
    const char *transport = admin_option_value(arguments, "transport");
    struct daemon_host *h = daemon_hosts_find(daemon, transport, plugin);
    char text[160];

    if (!h) {
        snprintf(text, sizeof text, "no running transport %.48s has the plugin %.48s", transport ? transport : "", plugin);
        admin_fail(request, text, "umbelctl host list shows the transports and how they are");
    }
    return h;
}

static void pass_on(struct daemon *daemon, struct admin_request *request, const struct umbel_json *arguments, const char *plugin,
                    const char *word)
{
    struct daemon_host *h = find(daemon, request, arguments, plugin);
    struct control_out out = {0};
    uint64_t count = 0;

    stats_add(daemon->stats, CORE_ADMIN_COMMANDS, 1);
    if (!h)
        return;
    struct command *command = calloc(1, sizeof *command);
    if (!command) {
        admin_fail(request, "no memory", NULL);
        return;
    }
    *command = (struct command){.daemon = daemon, .host = h, .request = request, .limit = {.fired = late}, .tag = ++daemon->next_command};
    list_append(&daemon->commands, &command->link);
    uring_timer_set(daemon->loop, &command->limit, COMMAND_LIMIT_S * CLOCK_S);
    admin_on_gone(request, gone, command);
    while (admin_argument(arguments, count))
        count++;
    control_begin(&out, CONTROL_COMMAND, command->tag);
    control_put_text(&out, word, strlen(word));
    control_put(&out, count);
    for (uint64_t i = 0; i < count; i++)
        control_put_text(&out, admin_argument(arguments, i), strlen(admin_argument(arguments, i)));
    if (control_end(&out))
        host_send(&h->host, &out);
    control_out_free(&out);
}

/* host restart NAME: a worker ("bmob.0") that runs is drained first; one that is held down starts at once. */
static void host_restart_command(void *owner, struct admin_request *request, const struct umbel_json *arguments)
{
    struct daemon *daemon = owner;
    const char *name = admin_argument(arguments, 0);
    bool found = false;

    stats_add(daemon->stats, CORE_ADMIN_COMMANDS, 1);
    if (daemon->stopping) {
        admin_fail(request, "the daemon stops", NULL);
        return;
    }
    for_each_worker(daemon, h)
    {
        if (h->role != DAEMON_SERVES || (strcmp(h->host.name, name) != 0 && strcmp(h->transport->config->name, name) != 0))
            continue;
        found = true;
        h->transport->out = false;
        daemon_plugin_file_leave(h);
        host_restart(&h->host, h->config->drain_ms);
    }
    if (found)
        admin_finish(request, NULL);
    else
        admin_fail(request, "no host and no transport has this name", "umbelctl host list shows them");
}

static void im_setup(void *owner, struct admin_request *request, const struct umbel_json *arguments)
{
    pass_on(owner, request, arguments, "im-custom-message", "setup");
}

static void im_check(void *owner, struct admin_request *request, const struct umbel_json *arguments)
{
    pass_on(owner, request, arguments, "im-custom-message", "check");
}

void daemon_command_admin(struct daemon *daemon)
{
    admin_server_handle(daemon->admin, "host restart", host_restart_command, daemon);
    admin_server_handle(daemon->admin, "im setup", im_setup, daemon);
    admin_server_handle(daemon->admin, "im check", im_check, daemon);
}
