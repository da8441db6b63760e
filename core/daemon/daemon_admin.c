/* daemon/daemon_admin.c - what umbelctl can have done: stream cancel, chat. */
#include <stdlib.h>
#include <string.h>

#include <umbel/event.h>
#include <umbel/host.h>
#include <umbel/json.h>
#include <umbel/out.h>

#include "core/daemon/asking.h"
#include "core/daemon/daemon_capture.h"
#include "core/daemon/daemon_selftest.h"
#include "core/daemon/daemon.h"
#include "core/daemon/daemon_renew.h"
#include "core/daemon/daemon_service.h"
#include "core/daemon/daemon_tail.h"
#include "core/daemon/daemon_upgrade.h"
#include "core/daemon/daemon_reload.h"
#include "core/daemon/daemon_usage.h"

static void stream_cancel(void *owner, struct admin_request *request, const struct umbel_json *arguments)
{
    struct daemon *daemon = owner;
    const char *id = admin_argument(arguments, 0);
    struct answer *answer = answer_find(daemon->answers, -1, id);
    struct umbel_out members = {0};

    stats_add(daemon->stats, CORE_ADMIN_COMMANDS, 1);
    if (!answer) {
        admin_fail(request, "no answer has this id", "umbelctl stream list shows those that run and those that ended lately");
        return;
    }
    umbel_out_text(&members, "\"stream\":");
    umbel_out_json(&members, id, strlen(id));
    umbel_out_text(&members, answer->call ? ",\"cancelled\":true" : ",\"cancelled\":false");
    umbel_out_put(&members, "", 1);
    answer_cancel(answer);
    admin_finish(request, members.failed ? NULL : members.data);
    umbel_out_free(&members);
}

/* One `umbelctl chat` in progress: reads along until the answer ends or the terminal goes away. */
struct chat {
    struct answer_listener listener;
    struct asking *asking; /* until it has begun */
    struct answer *answer; /* from then on */
    struct admin_request *request;
    char id[ANSWER_ID_SIZE];
};

static void chat_line(struct chat *chat, const char *event, const char *member, const char *text, size_t size)
{
    struct umbel_out line = {0};

    umbel_out_printf(&line, "{\"event\":\"%s\",\"%s\":", event, member);
    umbel_out_json(&line, text, size);
    umbel_out_put(&line, "}", 1);
    if (!line.failed)
        admin_send(chat->request, line.data, line.size);
    umbel_out_free(&line);
}

static void chat_closed(struct chat *chat, uint32_t verdict, const char *text, size_t size)
{
    static const char *const words[] = {"", "complete", "truncated", "failed", "cancelled"};
    struct umbel_out members = {0};

    umbel_out_printf(&members, "\"stream\":\"%s\",\"verdict\":\"%s\",\"error\":", chat->id, words[verdict]);
    umbel_out_json(&members, text, size);
    umbel_out_put(&members, "", 1);
    admin_finish(chat->request, members.failed ? NULL : members.data);
    umbel_out_free(&members);
    free(chat);
}

static void chat_event(struct answer_listener *listener, uint32_t kind, uint32_t code, const char *data, size_t size)
{
    struct chat *chat = list_entry(listener, struct chat, listener);

    if (kind == UMBEL_EVENT_TEXT)
        chat_line(chat, "text", "text", data, size);
    else if (kind == UMBEL_EVENT_REASONING)
        chat_line(chat, "reasoning", "text", data, size);
    else if (kind == UMBEL_EVENT_CLOSED)
        chat_closed(chat, code, data, size);
}

static void chat_gone(void *owner)
{
    struct chat *chat = owner;

    asking_cancel(chat->asking);
    if (chat->answer)
        answer_unlisten(chat->answer, &chat->listener);
    free(chat);
}

static void chat_asked(void *owner, uint32_t error, struct answer *answer, const char *text)
{
    struct chat *chat = owner;

    chat->asking = NULL;
    if (error) {
        admin_fail(chat->request, text, NULL);
        free(chat);
        return;
    }
    chat->answer = answer;
    memcpy(chat->id, answer->id, sizeof chat->id);
    answer_listen(answer, &chat->listener);
    chat_line(chat, "open", "stream", answer->id, strlen(answer->id));
}

static int chat_app(const struct daemon *daemon, const char *name)
{
    if (name)
        return daemon_find_app(daemon, name);
    return daemon_only_app(daemon);
}

static void chat(void *owner, struct admin_request *request, const struct umbel_json *arguments)
{
    struct daemon *daemon = owner;
    const char *text = admin_argument(arguments, 0), *session = admin_option_value(arguments, "session");
    const char *model = admin_option_value(arguments, "model"), *app_name = admin_option_value(arguments, "app");
    struct umbel_out messages = {0};
    int app = chat_app(daemon, app_name);

    stats_add(daemon->stats, CORE_ADMIN_COMMANDS, 1);
    if (app < 0) {
        admin_fail(request, app_name ? "no app has this name" : "there is not exactly one app",
                   "name one of the configuration's apps: --app APP");
        return;
    }
    if (session && strlen(session) >= JOURNAL_SESSION_MAX) {
        admin_fail(request, "the session's name is longer than 127 bytes", NULL);
        return;
    }
    struct chat *one = calloc(1, sizeof *one);
    if (!one) {
        admin_fail(request, "no memory", NULL);
        return;
    }
    admin_on_gone(request, chat_gone, one);
    umbel_out_text(&messages, "[{\"role\":\"user\",\"content\":");
    umbel_out_json(&messages, text, strlen(text));
    umbel_out_text(&messages, "}]");
    struct answer_question question = {.app = (uint32_t)app,
                                       .flags = UMBEL_REQUEST_MEMORY,
                                       .session = session ? session : "",
                                       .model = model ? model : "",
                                       .messages = span_of(messages.data, messages.size),
                                       .parameters = span_of("", 0),
                                       .transport = "umbelctl",
                                       .key_name = "umbelctl"};
    *one = (struct chat){.listener = {.event = chat_event}, .request = request};
    struct asking *asking;
    asking_begin(daemon, &question, chat_asked, one, &asking);
    if (asking)
        one->asking = asking; /* else it has begun, or failed and is gone */
    umbel_out_free(&messages);
}

int daemon_admin_create(struct daemon *daemon, struct why *why)
{
    int r = admin_server_open(daemon->loop, daemon->config->runtime_dir, 0, &daemon->admin, why);

    if (r < 0)
        return r;
    admin_server_handle(daemon->admin, "stream cancel", stream_cancel, daemon);
    admin_server_handle(daemon->admin, "chat", chat, daemon);
    daemon_tail_admin(daemon);
    daemon_history_admin(daemon);
    daemon_usage_admin(daemon);
    daemon_capture_admin(daemon);
    daemon_selftest_admin(daemon);
    daemon_command_admin(daemon);
    daemon_probe_admin(daemon);
    daemon_service_admin(daemon);
    daemon_upgrade_admin(daemon);
    daemon_renew_admin(daemon);
    daemon_reload_admin(daemon);
    return 0;
}
