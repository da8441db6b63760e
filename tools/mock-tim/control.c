/* control - the /mock commands: what users do, and what goes wrong. */
#include "mock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/http.h>

static const char *text_of(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsString(item) ? item->valuestring : NULL;
}

static double number_of(const cJSON *object, const char *name, double otherwise)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsNumber(item) ? item->valuedouble : otherwise;
}

static void bad(struct evhttp_request *request, const char *what)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, "error", what);
    server_reply_json(request, 400, json);
}

static void fine(struct evhttp_request *request)
{
    server_reply(request, 200, "{\"ok\":true}");
}

static cJSON *element(const char *type, const char *member, const char *value)
{
    cJSON *list = cJSON_CreateArray(), *one = cJSON_CreateObject(), *content;

    cJSON_AddStringToObject(one, "MsgType", type);
    content = cJSON_AddObjectToObject(one, "MsgContent");
    cJSON_AddStringToObject(content, member, value);
    if (strcmp(type, "TIMCustomElem") == 0) {
        cJSON_AddStringToObject(content, "Desc", "");
        cJSON_AddStringToObject(content, "Ext", "");
    }
    cJSON_AddItemToArray(list, one);
    return list;
}

/* The callback for a message from a user to a bot; takes elements. */
static void send_private(struct mock *mock, struct evhttp_request *request, const char *command, struct message *message, cJSON *elements)
{
    cJSON *body = cJSON_CreateObject();

    cJSON_AddStringToObject(body, "CallbackCommand", command);
    cJSON_AddStringToObject(body, "From_Account", message->from);
    cJSON_AddStringToObject(body, "To_Account", message->to);
    cJSON_AddNumberToObject(body, "MsgSeq", message->seq);
    cJSON_AddNumberToObject(body, "MsgRandom", message->random);
    cJSON_AddNumberToObject(body, "MsgTime", (double)message->time_s);
    cJSON_AddStringToObject(body, "MsgKey", message->key);
    cJSON_AddNumberToObject(body, "OnlineOnlyFlag", 0);
    cJSON_AddNumberToObject(body, "SendMsgResult", 0);
    cJSON_AddStringToObject(body, "ErrorInfo", "send msg succeed");
    cJSON_AddItemToObject(body, "MsgBody", elements);
    cJSON_AddStringToObject(body, "CloudCustomData", "");
    cJSON_AddNumberToObject(body, "EventTime", (double)message->time_s * 1000);
    hook_send(mock, request, command, body, message->key);
}

static void show(struct mock *mock, struct message *message, const char *text, cJSON *elements, const char *data)
{
    struct seen seen = {.kind = data ? KIND_CUSTOM : KIND_TEXT, .src = data ? 22 : 0, .finished = true, .text = strdup(text), .data = data};

    store_show(mock, message, &seen, elements);
    body_free(&seen);
}

static void write_private(struct mock *mock, struct evhttp_request *request, const cJSON *json)
{
    const char *user = text_of(json, "user"), *bot = text_of(json, "bot"), *text = text_of(json, "text");

    if (!user || !bot || !text) {
        bad(request, "user, bot and text are texts");
        return;
    }
    struct message *message = store_add(mock, user, bot, "", ++mock->next_seq, (uint32_t)mock_random(mock) & 0x7fffffff, false);
    cJSON *elements = element("TIMTextElem", "Text", text);
    show(mock, message, text, elements, NULL);
    send_private(mock, request, "Bot.OnC2CMessage", message, elements);
}

/* The key of the newest message of this bot to this user. */
static const char *last_key(struct mock *mock, const char *user, const char *bot)
{
    const char *key = "undefined_undefined_0";

    for (const struct message *m = mock->first; m; m = m->next)
        if (m->by_bot && strcmp(m->to, user) == 0 && strcmp(m->from, bot) == 0)
            key = m->key;
    return key;
}

static void press_stop(struct mock *mock, struct evhttp_request *request, const cJSON *json)
{
    const char *user = text_of(json, "user"), *bot = text_of(json, "bot"), *key = text_of(json, "key");
    const cJSON *after = cJSON_GetObjectItemCaseSensitive(json, "after");
    char data[256];

    if (!user || !bot) {
        bad(request, "user and bot are texts");
        return;
    }
    snprintf(data, sizeof data, "{\"chatbotPlugin\":2,\"src\":22,\"msgKey\":\"%s\"}", key ? key : last_key(mock, user, bot));
    struct message *message = store_add(mock, user, bot, "", ++mock->next_seq, (uint32_t)mock_random(mock) & 0x7fffffff, false);
    cJSON *elements = element("TIMCustomElem", "Data", data);
    show(mock, message, "", elements, data);
    send_private(mock, request, cJSON_IsTrue(after) ? "C2C.CallbackAfterSendMsg" : "Bot.OnC2CMessage", message, elements);
}

static void write_group(struct mock *mock, struct evhttp_request *request, const cJSON *json)
{
    const char *user = text_of(json, "user"), *group = text_of(json, "group"), *bot = text_of(json, "bot"), *text = text_of(json, "text");
    char *mentioned;

    if (!user || !group || !bot || !text) {
        bad(request, "user, group, bot and text are texts");
        return;
    }
    size_t room = strlen(text) + strlen(bot) + 3;
    mentioned = malloc(room);
    snprintf(mentioned, room, "@%s %s", bot, text);
    struct message *message = store_add(mock, user, "", group, 0, (uint32_t)mock_random(mock) & 0x7fffffff, false);
    cJSON *elements = element("TIMTextElem", "Text", mentioned), *body = cJSON_CreateObject();
    show(mock, message, mentioned, elements, NULL);
    free(mentioned);
    cJSON_AddStringToObject(body, "CallbackCommand", "Bot.OnGroupMessage");
    cJSON_AddStringToObject(body, "GroupId", group);
    cJSON_AddStringToObject(body, "Type", "Public");
    cJSON_AddStringToObject(body, "From_Account", user);
    cJSON_AddStringToObject(body, "Operator_Account", user);
    cJSON_AddNumberToObject(body, "Random", message->random);
    cJSON_AddNumberToObject(body, "MsgSeq", message->seq);
    cJSON_AddNumberToObject(body, "MsgTime", (double)message->time_s);
    cJSON_AddNumberToObject(body, "OnlineOnlyFlag", 0);
    cJSON_AddItemToObject(body, "MsgBody", elements);
    cJSON_AddItemToArray(cJSON_AddArrayToObject(body, "AtRobots_Account"), cJSON_CreateString(bot));
    cJSON_AddStringToObject(body, "CloudCustomData", "");
    cJSON_AddStringToObject(body, "TopicId", "");
    cJSON_AddNumberToObject(body, "EventTime", (double)message->time_s * 1000);
    hook_send(mock, request, "Bot.OnGroupMessage", body, message->key);
}

static void look(struct mock *mock, struct evhttp_request *request, const char *path)
{
    char *user = server_query(request, "user"), *bot = server_query(request, "bot"), *group = server_query(request, "group");

    if (strcmp(path, "/mock/chats") == 0)
        server_reply_json(request, 200, view_all(mock));
    else if (strcmp(path, "/mock/stats") == 0)
        server_reply_json(request, 200, view_stats(mock));
    else if (strcmp(path, "/mock/chat") == 0 && user)
        server_reply_json(request, 200, view_chat(mock, user, bot, NULL));
    else if (strcmp(path, "/mock/group") == 0 && group)
        server_reply_json(request, 200, view_chat(mock, "", NULL, group));
    else
        bad(request, "see umbel-mock-tim --help");
    free(user);
    free(bot);
    free(group);
}

static void act(struct mock *mock, struct evhttp_request *request, const char *path, const cJSON *json)
{
    const char *wrong;

    if (strcmp(path, "/mock/write") == 0) {
        write_private(mock, request, json);
    } else if (strcmp(path, "/mock/stop") == 0) {
        press_stop(mock, request, json);
    } else if (strcmp(path, "/mock/group") == 0) {
        write_group(mock, request, json);
    } else if (strcmp(path, "/mock/replay") == 0) {
        hook_replay(mock, request, text_of(json, "sign"), text_of(json, "sdkappid"));
    } else if (strcmp(path, "/mock/inject") == 0) {
        wrong = rules_add(mock, json);
        wrong ? bad(request, wrong) : fine(request);
    } else if (strcmp(path, "/mock/calm") == 0) {
        rules_clear(mock);
        fine(request);
    } else if (strcmp(path, "/mock/outage") == 0) {
        server_outage(mock, number_of(json, "seconds", 60));
        fine(request);
    } else if (strcmp(path, "/mock/webhook-url") == 0) {
        text_of(json, "url") && hook_set_url(mock, text_of(json, "url")) ? fine(request) : bad(request, "url is http://ADDR:PORT/PATH");
    } else if (strcmp(path, "/mock/reset") == 0) {
        mock_reset(mock);
        fine(request);
    } else {
        bad(request, "see umbel-mock-tim --help");
    }
}

void control_request(struct mock *mock, struct evhttp_request *request, const char *path)
{
    if (evhttp_request_get_command(request) == EVHTTP_REQ_GET) {
        look(mock, request, path);
        return;
    }
    char *text = server_body(request);
    cJSON *json = cJSON_Parse(*text ? text : "{}");
    free(text);
    if (cJSON_IsObject(json))
        act(mock, request, path, json);
    else
        bad(request, "the body is no JSON object");
    cJSON_Delete(json);
}
