/* im-custom-message/im_command.c - what an operator has this process do: setup (accounts at the service), check (does it all fit?).
 * One command at a time: its calls follow one another, outside the answers' turns but few. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "im.h"

#define USERS_MAX 6u

enum step { CREATE, FRIEND, CREDENTIALS, WEBHOOK, DONE };

struct im_command {
    struct im *im;
    uint64_t id;
    const struct im_bot *bot;
    char users[USERS_MAX][IM_ID_MAX];
    uint32_t user_count, user; /* user: the one at hand */
    enum step step;
    struct umbel_rest_call *call;
    struct umbel_out found; /* JSON members for the operator */
    bool failed;
    char failure[400];
};

static void next(struct im_command *command);

void im_command_close(struct im *im)
{
    struct im_command *command = im->command;

    if (!command)
        return;
    im->command = NULL;
    if (command->call)
        umbel_rest_cancel(command->call);
    umbel_out_free(&command->found);
    free(command);
}

static void finish(struct im_command *command)
{
    struct im *im = command->im;

    umbel_out_put(&command->found, "", 1);
    im->real->reply(im->real, command->id, command->failed ? command->failure : command->found.failed ? "no memory" : "",
                    command->found.failed ? "" : command->found.data);
    im_command_close(im);
}

static void fail(struct im_command *command, const char *what, const char *why)
{
    command->failed = true;
    snprintf(command->failure, sizeof command->failure, "%.120s: %.260s", what, why);
}

static void find(struct im_command *command, const char *name, const char *text)
{
    umbel_out_printf(&command->found, "%s\"%s\":", command->found.size ? "," : "", name);
    umbel_out_json(&command->found, text, strlen(text));
}

/* What the service said, in words that tell the operator what to do. */
static void explain(int64_t code, const char *info, char *ret_text, size_t room)
{
    const char *advice = "";

    switch (im_class_of(code)) {
    case IM_SIGNATURE:
        advice = "; secret_key, sdk_app_id and admin do not belong together, or this machine's clock is wrong";
        break;
    case IM_CONFIGURATION:
        advice = "; look at sdk_app_id, admin (must be an administrator's account) and the bots' rights in the console";
        break;
    case IM_ACCOUNT:
        advice = "; this account does not exist yet";
        break;
    default:
        break;
    }
    snprintf(ret_text, room, "the service answered %" PRId64 " (%s) %.120s%s", code, im_class_name(im_class_of(code)), info, advice);
}

/* 0, or the ErrorCode, with words.  friend_add says OK although single accounts were refused: those are looked at as well. */
static int64_t read_reply(const struct umbel_rest_outcome *outcome, char *ret_text, size_t room)
{
    char why[160];

    if (outcome->result != UMBEL_REST_REPLY) {
        snprintf(ret_text, room, "no answer from api_base: %.200s", outcome->text);
        return -1;
    }
    struct umbel_json *json = outcome->status == 200 ? umbel_json_parse(outcome->body, outcome->size, why, sizeof why) : NULL;
    int64_t code = umbel_json_member_integer(json, "ErrorCode", -1);
    if (!json)
        snprintf(ret_text, room, "api_base answered HTTP %u, not what the service says: is it the right domain?", outcome->status);
    else if (code != 0)
        explain(code, umbel_json_member_text(json, "ErrorInfo", ""), ret_text, room);
    const struct umbel_json *item = umbel_json_first(umbel_json_member(json, "ResultItem"));
    if (code == 0 && item && (code = umbel_json_member_integer(item, "ResultCode", 0)) != 0)
        explain(code, umbel_json_member_text(item, "ResultInfo", ""), ret_text, room);
    umbel_json_free(json);
    return code;
}

static void done(void *arg, const struct umbel_rest_outcome *outcome)
{
    struct im_command *command = arg;
    char text[400] = "";

    command->call = NULL;
    switch (command->step) {
    case CREATE:
        if (read_reply(outcome, text, sizeof text) != 0)
            fail(command, "the robot was not created", text);
        else
            find(command, "robot", command->bot->account);
        command->step = command->user_count ? FRIEND : DONE;
        break;
    case FRIEND:
        if (read_reply(outcome, text, sizeof text) != 0)
            fail(command, command->users[command->user], text);
        else
            find(command, command->users[command->user], "friend");
        if (++command->user == command->user_count)
            command->step = DONE;
        break;
    case CREDENTIALS:
        if (read_reply(outcome, text, sizeof text) != 0)
            fail(command, "credentials", text);
        else
            find(command, "credentials", "good: the service took a signed call");
        command->step = WEBHOOK;
        break;
    case WEBHOOK:
        if (outcome->result == UMBEL_REST_REPLY && outcome->status == 200)
            find(command, "webhook", "answers here with a good signature; make sure that the service's callback address leads to it");
        else if (outcome->result == UMBEL_REST_REPLY) {
            snprintf(text, sizeof text, "HTTP %u to a signed callback; look at webhook_path and webhook_token", outcome->status);
            fail(command, "webhook", text);
        } else {
            fail(command, "webhook", outcome->text);
        }
        command->step = DONE;
        break;
    case DONE:
        break;
    }
    if (command->failed)
        command->step = DONE;
    next(command);
}

static void post(struct im_command *command, const char *url, const struct umbel_out *body)
{
    struct umbel_rest_request request = {.struct_size = sizeof request, .url = url, .body = body->data, .size = body->size};

    if (body->failed || umbel_rest_post(command->im->rest, &request, done, command, &command->call) < 0) {
        fail(command, "the call could not be made", "the carrier is full, or api_base is no address");
        finish(command);
    }
}

static void call(struct im_command *command, const char *service)
{
    struct im *im = command->im;
    struct umbel_out body = {0};

    if (command->step == FRIEND) {
        umbel_out_text(&body, "{\"From_Account\":");
        umbel_out_json(&body, command->users[command->user], strlen(command->users[command->user]));
        umbel_out_text(&body, ",\"AddFriendItem\":[{\"To_Account\":");
        umbel_out_json(&body, command->bot->account, strlen(command->bot->account));
        umbel_out_text(&body, ",\"AddSource\":\"AddSource_Type_Server\"}],\"AddType\":\"Add_Type_Both\",\"ForceAddFlags\":1}");
    } else {
        umbel_out_text(&body, "{\"UserID\":");
        umbel_out_json(&body, command->bot->account, strlen(command->bot->account));
        umbel_out_text(&body, ",\"Nick\":");
        umbel_out_json(&body, command->bot->title, strlen(command->bot->title));
        umbel_out_text(&body, "}");
    }
    post(command, im_call_url(im, service), &body);
    umbel_out_free(&body);
}

/* A callback as the service would send it, to our own listening socket. */
static void call_webhook(struct im_command *command)
{
    static const char empty[] = "{\"CallbackCommand\":\"Umbel.Check\"}";
    struct im *im = command->im;
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    struct umbel_out url = {0}, body = {0};
    char host[INET6_ADDRSTRLEN] = "", time_text[24], sign[65] = "";
    uint16_t port = 0;

    if (getsockname(im->real->listener(im->real, 0), (struct sockaddr *)&address, &size) == 0) {
        if (address.ss_family == AF_INET) {
            struct sockaddr_in *in = (void *)&address;
            if (in->sin_addr.s_addr == htonl(INADDR_ANY))
                in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
            port = ntohs(in->sin_port);
        } else if (address.ss_family == AF_INET6) {
            struct sockaddr_in6 *in6 = (void *)&address;
            if (IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr))
                in6->sin6_addr = in6addr_loopback;
            inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
            port = ntohs(in6->sin6_port);
        }
    }
    if (!port) {
        find(command, "webhook", "not tried: it does not listen on an internet address");
        command->step = DONE;
        finish(command);
        return;
    }
    snprintf(time_text, sizeof time_text, "%" PRIu64, im_wall_s());
    im_webhook_sign(im->webhook_token, time_text, sign);
    const char *scheme = *im->real->config_text(im->config, "tls_cert") ? "https" : "http";
    umbel_out_printf(&url, strchr(host, ':') ? "%s://[%s]:%u%s" : "%s://%s:%u%s", scheme, host, port, im->webhook_path);
    umbel_out_printf(&url, "?SdkAppid=%" PRIu64 "&CallbackCommand=Umbel.Check&contenttype=json&ClientIP=127.0.0.1&OptPlatform=RESTAPI", im->sdk_app_id);
    if (*im->webhook_token)
        umbel_out_printf(&url, "&Sign=%s&RequestTime=%s", sign, time_text);
    umbel_out_put(&url, "", 1);
    umbel_out_text(&body, empty);
    if (url.failed) {
        fail(command, "webhook", "no memory");
        finish(command);
    } else {
        post(command, url.data, &body);
    }
    umbel_out_free(&url);
    umbel_out_free(&body);
}

static void next(struct im_command *command)
{
    switch (command->step) {
    case CREATE:
    case CREDENTIALS: /* creating a robot that is there is harmless, and needs every right that answers need */
        call(command, "openim_robot_http_svc/create_robot");
        return;
    case FRIEND:
        call(command, "sns/friend_add");
        return;
    case WEBHOOK:
        call_webhook(command);
        return;
    case DONE:
        finish(command);
        return;
    }
}

static const struct im_bot *bot_named(const struct im *im, const char *name)
{
    for (uint32_t i = 0; i < im->bot_count; i++)
        if (strcmp(im->bots[i].title, name) == 0 || strcmp(im->bots[i].account, name) == 0)
            return &im->bots[i];
    return NULL;
}

void im_command(void *self, uint64_t id, const char *word, const char *const *arguments, uint32_t count)
{
    struct im *im = self;
    bool setup = strcmp(word, "setup") == 0;
    const struct im_bot *bot = setup && count ? bot_named(im, arguments[0]) : &im->bots[0];
    struct im_command *command;

    if (im->command) {
        im->real->reply(im->real, id, "another command is being carried out: try again in a moment", "");
        return;
    }
    if ((!setup && strcmp(word, "check") != 0) || !bot || (setup && (count == 0 || count > 1 + USERS_MAX))) {
        im->real->reply(im->real, id, setup && !bot ? "no bot of this transport has this title or account" : "this transport does not know that", "");
        return;
    }
    command = calloc(1, sizeof *command);
    if (!command) {
        im->real->reply(im->real, id, "no memory", "");
        return;
    }
    *command = (struct im_command){.im = im, .id = id, .bot = bot, .step = setup ? CREATE : CREDENTIALS};
    for (uint32_t i = 1; setup && i < count; i++)
        snprintf(command->users[command->user_count++], IM_ID_MAX, "%s", arguments[i]);
    im->command = command;
    next(command);
}
