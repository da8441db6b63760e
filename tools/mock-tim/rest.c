/* rest - the service: one call, checked as strictly as the tests need it. */
#include "mock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>
#include <event2/http.h>

struct call {
    struct mock *mock;
    struct evhttp_request *request;
    const char *command; /* into path */
    char path[128];
    cJSON *body;
    struct message *message; /* busy until the reply is out */
    char what[32];           /* what goes wrong; "" = nothing */
    cJSON *reply;
    uint32_t wait_ms;
    uint64_t generation; /* of the messages it has seen */
};

static const char *text_of(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsString(item) ? item->valuestring : "";
}

/* ---- rate ---- */

static bool over_rate(struct mock *mock)
{
    double now_ms = mock_ms();

    while (mock->call_tail < mock->call_head && mock->call_ms[mock->call_tail % CALLS_RING] <= now_ms - 1000)
        mock->call_tail++;
    mock->call_ms[mock->call_head++ % CALLS_RING] = now_ms;
    if (mock->call_head - mock->call_tail > CALLS_RING)
        mock->call_tail = mock->call_head - CALLS_RING;
    uint64_t in_second = mock->call_head - mock->call_tail;
    if (in_second > mock->most_in_second)
        mock->most_in_second = in_second;
    return mock->options.rate && in_second > mock->options.rate;
}

/* ---- the address ---- */

static bool is_number(const char *text)
{
    return text && *text && strspn(text, "0123456789") == strlen(text) && strlen(text) < 20;
}

static int check_query(struct call *call)
{
    struct mock *mock = call->mock;
    char *app = server_query(call->request, "sdkappid"), *admin = server_query(call->request, "identifier");
    char *sig = server_query(call->request, "usersig"), *random = server_query(call->request, "random");
    char *type = server_query(call->request, "contenttype");
    int code = 0;

    if (!is_number(app) || !admin || !sig || !is_number(random) || strtoull(random, NULL, 10) > UINT32_MAX || !type || strcmp(type, "json") != 0) {
        mock_violation(mock, "%s: a member of the query is missing or not of the right form", call->command);
        code = 60012;
    } else if (strtoull(app, NULL, 10) != mock->options.sdk_app_id) {
        code = 60020;
    } else if (strcmp(admin, mock->options.admin) != 0) {
        code = 60010;
    } else {
        code = signature_check(mock, sig, admin, (uint64_t)time(NULL));
    }
    free(app);
    free(admin);
    free(sig);
    free(random);
    free(type);
    return code;
}

/* ---- the body's members ---- */

struct member {
    const char *name;
    char type; /* s text, n whole number of 32 bits, a array; upper case: may be absent */
};

static bool fits(const cJSON *item, char type)
{
    if (type == 's' || type == 'S')
        return cJSON_IsString(item);
    if (type == 'a')
        return cJSON_IsArray(item);
    return cJSON_IsNumber(item) && item->valuedouble >= 0 && item->valuedouble <= UINT32_MAX &&
           item->valuedouble == (double)(uint32_t)item->valuedouble;
}

static int check_members(struct call *call, const struct member *members)
{
    const cJSON *item;

    for (const struct member *m = members; m->name; m++) {
        item = cJSON_GetObjectItemCaseSensitive(call->body, m->name);
        if (item ? !fits(item, m->type) : m->type >= 'a') {
            mock_violation(call->mock, "%s: %s is missing or has the wrong type", call->command, m->name);
            return 90001;
        }
    }
    cJSON_ArrayForEach(item, call->body)
    {
        const struct member *m = members;
        while (m->name && strcmp(m->name, item->string) != 0)
            m++;
        if (!m->name) {
            mock_violation(call->mock, "%s: nobody knows %s", call->command, item->string);
            return 90001;
        }
    }
    return 0;
}

static uint32_t number_of(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsNumber(item) ? (uint32_t)item->valuedouble : 0;
}

static int check_size(struct call *call, uint32_t most)
{
    char *text = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(call->body, "MsgBody"));
    size_t size = text ? strlen(text) : 0;

    free(text);
    if (size > call->mock->most_body)
        call->mock->most_body = size;
    return size > most ? 93000 : 0;
}

static int check_accounts(struct call *call)
{
    const char *from = text_of(call->body, "From_Account"), *to = text_of(call->body, "To_Account");

    if (strncmp(from, "@RBT#", 5) != 0)
        mock_violation(call->mock, "%s: %s is no bot", call->command, from);
    return strncmp(to, "nobody", 6) == 0 ? 20003 : 0;
}

/* ---- commands ---- */

/* Two calls for one message at once: the second might overtake the first.  Who is made to wait longer than it can has gone meanwhile. */
static void take(struct call *call, struct message *message)
{
    if (strncmp(call->what, "slow:", 5) == 0)
        return;
    if (message->busy)
        mock_violation(call->mock, "%s: %s while another call for it is under way", message->key, call->command);
    message->busy = true;
    call->message = message;
}

static void tell_key(struct call *call, const struct message *message)
{
    if (*message->group)
        cJSON_AddNumberToObject(call->reply, "MsgSeq", message->seq);
    else
        cJSON_AddStringToObject(call->reply, "MsgKey", message->key);
    cJSON_AddNumberToObject(call->reply, "MsgTime", (double)message->time_s);
}

static struct message *add(struct call *call, const char *group)
{
    return store_add(call->mock, text_of(call->body, "From_Account"), text_of(call->body, "To_Account"), group,
                     number_of(call->body, "MsgSeq"), number_of(call->body, *group ? "Random" : "MsgRandom"), true);
}

static int send_one(struct call *call, const char *group)
{
    static const struct member private[] = {{"SyncOtherMachine", 'n'}, {"From_Account", 's'}, {"To_Account", 's'}, {"MsgSeq", 'n'},
                                            {"MsgRandom", 'n'}, {"MsgLifeTime", 'n'}, {"MsgBody", 'a'}, {NULL, 0}};
    static const struct member grouped[] = {{"GroupId", 's'}, {"Random", 'n'}, {"From_Account", 's'}, {"MsgBody", 'a'}, {NULL, 0}};
    struct mock *mock = call->mock;
    const cJSON *body = cJSON_GetObjectItemCaseSensitive(call->body, "MsgBody");
    struct seen seen = {0};
    int code = check_members(call, *group ? grouped : private);

    code = code ? code : check_accounts(call);
    code = code ? code : body_read(mock, body, &seen);
    code = code ? code : check_size(call, mock->options.message_max);
    if (!code) {
        struct message *old = store_find_duplicate(mock, text_of(call->body, "From_Account"), text_of(call->body, "To_Account"), group,
                                                   number_of(call->body, "MsgSeq"), number_of(call->body, *group ? "Random" : "MsgRandom"));
        if (old)
            mock->duplicates++;
        else
            store_show(mock, old = add(call, group), &seen, body);
        take(call, old);
        tell_key(call, old);
    }
    body_free(&seen);
    return code;
}

static int modify(struct call *call, const char *group)
{
    static const struct member private[] = {{"From_Account", 's'}, {"To_Account", 's'}, {"MsgKey", 's'}, {"MsgBody", 'a'}, {NULL, 0}};
    static const struct member grouped[] = {{"GroupId", 's'}, {"From_Account", 'S'}, {"MsgSeq", 'n'}, {"MsgBody", 'a'}, {NULL, 0}};
    struct mock *mock = call->mock;
    const cJSON *body = cJSON_GetObjectItemCaseSensitive(call->body, "MsgBody");
    struct seen seen = {0};
    int code = check_members(call, *group ? grouped : private);

    code = code ? code : body_read(mock, body, &seen);
    code = code ? code : check_size(call, mock->options.message_max);
    struct message *message = *group ? store_find_group(mock, group, number_of(call->body, "MsgSeq")) : store_find(mock, text_of(call->body, "MsgKey"));
    if (!code && !message)
        code = 20022;
    if (!code && !*group && (strcmp(message->from, text_of(call->body, "From_Account")) != 0 || strcmp(message->to, text_of(call->body, "To_Account")) != 0)) {
        mock_violation(mock, "%s: changed for others than those it belongs to", message->key);
        code = 20022;
    }
    if (!code) {
        store_show(mock, message, &seen, body);
        take(call, message);
    }
    body_free(&seen);
    return code;
}

/* What a client makes of the pieces so far. */
static void show_pieces(struct mock *mock, struct message *message, const char *chunk, bool finished)
{
    cJSON *data = cJSON_CreateObject(), *chunks = cJSON_AddArrayToObject(data, "chunks"), *body = cJSON_CreateArray();
    cJSON *element = cJSON_CreateObject(), *content;
    char *text = malloc(strlen(message->text) + strlen(chunk) + 1), *string;
    struct seen seen = {.kind = KIND_CUSTOM, .src = 2, .finished = finished, .text = text};

    memcpy(mempcpy(text, message->text, strlen(message->text)), chunk, strlen(chunk) + 1);
    cJSON_AddNumberToObject(data, "chatbotPlugin", 2);
    cJSON_AddNumberToObject(data, "src", 2);
    cJSON_AddItemToArray(chunks, cJSON_CreateString(text));
    cJSON_AddNumberToObject(data, "isFinished", finished);
    string = cJSON_PrintUnformatted(data);
    cJSON_AddStringToObject(element, "MsgType", "TIMCustomElem");
    content = cJSON_AddObjectToObject(element, "MsgContent");
    cJSON_AddStringToObject(content, "Data", string);
    cJSON_AddItemToArray(body, element);
    seen.data = string;
    store_show(mock, message, &seen, body);
    free(string);
    free(text);
    cJSON_Delete(data);
    cJSON_Delete(body);
}

static int piece(struct call *call)
{
    static const struct member members[] = {{"From_Account", 's'}, {"To_Account", 's'}, {"Chunk", 's'}, {"MsgKey", 'S'}, {"Finish", 'N'}, {NULL, 0}};
    struct mock *mock = call->mock;
    const char *key = text_of(call->body, "MsgKey"), *chunk = text_of(call->body, "Chunk");
    int code = check_members(call, members);

    code = code ? code : check_accounts(call);
    if (code)
        return code;
    if (!*chunk) {
        mock_violation(mock, "%s: an empty Chunk", call->command);
        return 90001;
    }
    struct message *message = *key ? store_find(mock, key) : NULL;
    if (*key && !message)
        return 20022;
    if (!message)
        message = store_add(mock, text_of(call->body, "From_Account"), text_of(call->body, "To_Account"), "", ++mock->next_seq,
                            (uint32_t)mock_random(mock), true);
    if (message->finished) {
        mock_violation(mock, "%s: a piece after Finish", message->key);
        return 20022;
    }
    show_pieces(mock, message, chunk, number_of(call->body, "Finish") == 1);
    take(call, message);
    tell_key(call, message);
    return 0;
}

static int stream_part(struct call *call, struct message *message, struct seen *seen, const cJSON *body)
{
    struct mock *mock = call->mock;
    double now_ms = mock_ms();

    if (now_ms > message->last_ms + mock->options.silence_ms)
        message->ended = true;
    if (message->ended || (message->finished && seen->is_last && seen->index == (int64_t)message->chunk_index))
        return 20022; /* the service has ended it after its silence */
    if (message->versions >= 6 && now_ms - message->version_ms[(message->versions - 6) % VERSIONS_MAX] < 950)
        mock_violation(mock, "%s: more than five continuations in a second", message->key);
    if (message->finished || seen->index != (int64_t)message->chunk_index + 1)
        mock_violation(mock, "%s: chunk %" PRId64 " after %" PRIu32, message->key, seen->index, message->chunk_index);
    char *text = malloc(strlen(message->text) + strlen(seen->text) + 1);
    memcpy(mempcpy(text, message->text, strlen(message->text)), seen->text, strlen(seen->text) + 1);
    free(seen->text);
    seen->text = text;
    message->chunk_index++;
    store_show(mock, message, seen, body);
    take(call, message);
    cJSON_AddStringToObject(call->reply, "StreamMsgID", message->stream_id);
    return 0;
}

static int stream_chunk(struct call *call, const char *group)
{
    static const struct member private[] = {{"From_Account", 's'}, {"To_Account", 's'}, {"MsgSeq", 'N'}, {"MsgRandom", 'N'},
                                            {"SyncOtherMachine", 'N'}, {"MsgBody", 'a'}, {NULL, 0}};
    static const struct member grouped[] = {{"From_Account", 's'}, {"GroupId", 's'}, {"MsgSeq", 'N'}, {"MsgRandom", 'N'}, {"MsgBody", 'a'}, {NULL, 0}};
    struct mock *mock = call->mock;
    const cJSON *body = cJSON_GetObjectItemCaseSensitive(call->body, "MsgBody");
    struct seen seen = {0};
    struct message *message = NULL;
    int code = check_members(call, *group ? grouped : private);

    code = code ? code : check_accounts(call);
    code = code ? code : body_read(mock, body, &seen);
    if (!code && seen.kind != KIND_STREAM)
        code = 90001;
    if (!code && seen.stream_id && !(message = store_find_stream(mock, seen.stream_id)))
        code = 20022;
    if (!code && !message) {
        uint32_t seq = number_of(call->body, "MsgSeq"), random = number_of(call->body, "MsgRandom");
        message = store_find_duplicate(mock, text_of(call->body, "From_Account"), text_of(call->body, "To_Account"), group, seq, random);
        if (message) {
            mock->duplicates++;
            take(call, message);
            cJSON_AddStringToObject(call->reply, "StreamMsgID", message->stream_id);
            body_free(&seen);
            return 0;
        }
        message = store_add(mock, text_of(call->body, "From_Account"), text_of(call->body, "To_Account"), group, seq, random, true);
        snprintf(message->stream_id, sizeof message->stream_id, "stream-%" PRIu32 "-%" PRIu32, mock->message_count, random);
    }
    code = code ? code : stream_part(call, message, &seen, body);
    body_free(&seen);
    return code;
}

static int create_robot(struct call *call)
{
    const char *id = text_of(call->body, "UserID");

    return strncmp(id, "@RBT#", 5) == 0 && strlen(id) <= 32 && *text_of(call->body, "Nick") ? 0 : 90001;
}

static int friend_add(struct call *call)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(call->body, "AddFriendItem"), *item;
    cJSON *results = cJSON_AddArrayToObject(call->reply, "ResultItem");

    cJSON_ArrayForEach(item, list)
    {
        cJSON *result = cJSON_CreateObject();
        cJSON_AddStringToObject(result, "To_Account", text_of(item, "To_Account"));
        cJSON_AddNumberToObject(result, "ResultCode", *text_of(item, "To_Account") ? 0 : 30001);
        cJSON_AddStringToObject(result, "ResultInfo", "");
        cJSON_AddItemToArray(results, result);
    }
    return *text_of(call->body, "From_Account") && cJSON_GetArraySize(list) > 0 ? 0 : 90001;
}

static int perform(struct call *call)
{
    const char *command = call->command, *group = text_of(call->body, "GroupId");

    if (strcmp(command, "openim/sendmsg") == 0)
        return send_one(call, "");
    if (strcmp(command, "group_open_http_svc/send_group_msg") == 0)
        return *group ? send_one(call, group) : 90001;
    if (strcmp(command, "openim/modify_c2c_msg") == 0)
        return modify(call, "");
    if (strcmp(command, "openim/modify_group_msg") == 0)
        return *group ? modify(call, group) : 90001;
    if (strcmp(command, "openim_robot_http_svc/send_stream_msg") == 0)
        return piece(call);
    if (strcmp(command, "stream_msg/send_c2c_stream_msg") == 0)
        return stream_chunk(call, "");
    if (strcmp(command, "stream_msg/send_group_stream_msg") == 0)
        return *group ? stream_chunk(call, group) : 90001;
    if (strcmp(command, "openim_robot_http_svc/create_robot") == 0)
        return create_robot(call);
    if (strcmp(command, "sns/friend_add") == 0)
        return friend_add(call);
    mock_violation(call->mock, "unknown command %s", command);
    return 60009;
}

/* ---- the reply ---- */

static void call_free(struct call *call)
{
    if (call->message && call->generation == call->mock->generation)
        call->message->busy = false;
    cJSON_Delete(call->body);
    cJSON_Delete(call->reply);
    free(call);
}

static void finish(evutil_socket_t fd, short what, void *arg)
{
    struct call *call = arg;

    (void)fd;
    (void)what;
    if ((strcmp(call->what, "lost") == 0 || strcmp(call->what, "disconnect") == 0)) {
        server_drop(call->request);
    } else if (strncmp(call->what, "http:", 5) == 0) {
        server_reply(call->request, atoi(call->what + 5), "{\"error\":\"a proxy says so\"}");
    } else {
        server_reply_json(call->request, 200, call->reply);
        call->reply = NULL;
    }
    call_free(call);
}

static bool says_final(const cJSON *body)
{
    char *text = cJSON_PrintUnformatted(body);
    bool final = text && (strstr(text, "isFinished\\\":1") || strstr(text, "\"Finish\":1") || strstr(text, "\"IsLast\":true"));

    free(text);
    return final;
}

static int decide(struct call *call)
{
    struct mock *mock = call->mock;

    const char *what = call->body ? rules_choose(mock, call->command, text_of(call->body, "To_Account"), says_final(call->body)) : NULL;

    snprintf(call->what, sizeof call->what, "%s", what ? what : "");
    if (over_rate(mock)) {
        mock->limited++;
        return 60007;
    }
    if (!call->body) {
        mock_violation(mock, "%s: the body is no JSON", call->command);
        return 90001;
    }
    int code = check_query(call);
    if (code)
        return code;
    if (*call->what >= '0' && *call->what <= '9')
        return atoi(call->what);
    if ((strcmp(call->what, "disconnect") == 0 || strncmp(call->what, "http:", 5) == 0))
        return 0; /* nothing is done */
    if (strncmp(call->what, "slow:", 5) == 0)
        call->wait_ms += (uint32_t)atoi(call->what + 5);
    return perform(call);
}

void rest_request(struct mock *mock, struct evhttp_request *request, const char *path)
{
    struct call *call = calloc(1, sizeof *call);
    char *text = server_body(request), number[16];

    mock->calls++;
    if (mock->outage) {
        server_drop(request);
        free(text);
        free(call);
        return;
    }
    *call = (struct call){.mock = mock,
                          .request = request,
                          .body = cJSON_Parse(text),
                          .reply = cJSON_CreateObject(),
                          .wait_ms = mock->options.latency_ms,
                          .generation = mock->generation};
    snprintf(call->path, sizeof call->path, "%s", path + strlen("/v4/"));
    call->command = call->path;
    free(text);
    mock_count(mock->commands_count, call->command);
    int code = decide(call);
    snprintf(number, sizeof number, "%d", code);
    mock_count(mock->codes_count, number);
    cJSON_AddStringToObject(call->reply, "ActionStatus", code ? "FAIL" : "OK");
    cJSON_AddStringToObject(call->reply, "ErrorInfo", code ? "as the mock was told, or because of the call" : "");
    cJSON_AddNumberToObject(call->reply, "ErrorCode", code);
    struct timeval tv = {call->wait_ms / 1000, (suseconds_t)(call->wait_ms % 1000) * 1000};
    if (event_base_once(mock->base, -1, EV_TIMEOUT, finish, call, &tv) < 0)
        finish(-1, 0, call);
}
