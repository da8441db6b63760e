/* mock - what the files of mock-tim share.
 *
 *   server   two HTTP servers on one loop: the service and the commands
 *   rest     one call: signature, form, rate, then store; rules decide what goes wrong
 *   body     is a MsgBody in order, and what would a client show of it
 *   store    messages, duplicates
 *   hook     callbacks to the webhook
 *   control  the /mock commands; view: what is seen, as JSON
 * Everything is on one thread.  What should not happen is not refused silently: it becomes a violation, counted and told in /mock/stats. */
#ifndef MOCK_TIM_MOCK_H
#define MOCK_TIM_MOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "options.h"

struct event;
struct event_base;
struct evhttp;
struct evhttp_bound_socket;
struct evhttp_request;
struct mock;

#define VIOLATIONS_MAX 200
#define MESSAGES_MAX 100000
#define VERSIONS_MAX 400
#define RULES_MAX 32
#define CALLS_RING 65536
#define INJECTED_MAX 20000

enum kind { KIND_TEXT, KIND_CUSTOM, KIND_STREAM };

struct message {
    struct message *next; /* in order of making */
    char *from, *to;      /* accounts; to "" in a group */
    char *group;          /* "" one to one */
    char key[96];
    char stream_id[48];   /* of a TIMStreamElem */
    uint32_t seq, random;
    uint64_t time_s;
    double made_ms, last_ms;
    enum kind kind;
    int src;              /* of a custom element; 0 = none */
    bool finished, by_bot, ended; /* ended: a stream message after its silence */
    bool busy;            /* a call for it is under way */
    char *text;           /* what a client would show */
    cJSON *body;          /* MsgBody as it is stored now */
    cJSON *history;       /* of a custom element: every Data string that was stored */
    uint32_t versions, chunk_index;
    double version_ms[VERSIONS_MAX];
};

struct rule {
    bool used;
    char command[96], user[64]; /* "" = any */
    char *what[64];
    int what_count;
    double percent;
    int64_t count;   /* left; -1 = for ever */
    int final;       /* 1: only calls that finish, 0: only others, -1: all */
};

struct mock {
    struct options options;
    struct event_base *base;
    struct evhttp *service, *commands;
    struct evhttp_bound_socket *bound;
    char service_address[64];
    uint16_t service_port;
    struct event *outage_over, *signals[2];
    bool outage;
    char webhook_host[64], webhook_path[256];
    uint16_t webhook_port;
    struct message *first, **last;
    uint32_t message_count, next_seq;
    uint64_t random, generation; /* generation: counts resets */
    struct rule rules[RULES_MAX];
    uint64_t calls, duplicates, limited, violations_count, most_in_second, most_body;
    double call_ms[CALLS_RING];
    uint64_t call_head, call_tail;
    cJSON *commands_count, *codes_count, *violations, *injected;
    char *last_query, *last_body; /* of the last callback */
};

double mock_ms(void);           /* monotonic */
uint64_t mock_random(struct mock *mock);
void mock_violation(struct mock *mock, const char *format, ...) __attribute__((format(printf, 2, 3)));
void mock_count(cJSON *object, const char *name);
void mock_reset(struct mock *mock);

/* server */
int server_open(struct mock *mock);
void server_run(struct mock *mock);
void server_close(struct mock *mock);
void server_reply(struct evhttp_request *request, int status, const char *json);
void server_reply_json(struct evhttp_request *request, int status, cJSON *json); /* frees json */
void server_drop(struct evhttp_request *request); /* closes the connection without a word */
void server_outage(struct mock *mock, double seconds);
char *server_body(struct evhttp_request *request); /* zero-terminated, to be freed */
char *server_query(struct evhttp_request *request, const char *name); /* decoded, to be freed; NULL if absent */
bool server_split_address(const char *text, char *ret_host, size_t room, uint16_t *ret_port);

/* rest, control */
void rest_request(struct mock *mock, struct evhttp_request *request, const char *path);
void control_request(struct mock *mock, struct evhttp_request *request, const char *path);

/* signature: 0 or an ErrorCode */
int signature_check(const struct mock *mock, const char *usersig, const char *identifier, uint64_t now_s);
void signature_webhook(const char *token, const char *request_time, char ret_hex[65]);

/* body: what a call's MsgBody says; returns 0, or an ErrorCode with a violation noted */
struct seen {
    enum kind kind;
    int src;
    bool finished, is_last;
    char *text; /* to be freed */
    const char *stream_id; /* into the body */
    int64_t index;
    const char *data;      /* of a custom element, into the body */
};
int body_read(struct mock *mock, const cJSON *body, struct seen *ret_seen);
void body_free(struct seen *seen);

/* store */
struct message *store_add(struct mock *mock, const char *from, const char *to, const char *group, uint32_t seq, uint32_t random, bool by_bot);
struct message *store_find(struct mock *mock, const char *key);
struct message *store_find_stream(struct mock *mock, const char *stream_id);
struct message *store_find_group(struct mock *mock, const char *group, uint64_t seq);
struct message *store_find_duplicate(struct mock *mock, const char *from, const char *to, const char *group, uint32_t seq, uint32_t random);
/* store_show - the message now shows this; checks that it may. */
void store_show(struct mock *mock, struct message *message, const struct seen *seen, const cJSON *body);
void store_clear(struct mock *mock);

/* view */
cJSON *view_chat(struct mock *mock, const char *user, const char *bot, const char *group);
cJSON *view_all(struct mock *mock);
cJSON *view_stats(struct mock *mock);

/* rules: NULL, or what is to go wrong with this call */
const char *rules_choose(struct mock *mock, const char *command, const char *user, bool final);
const char *rules_add(struct mock *mock, const cJSON *rule); /* NULL, or what is wrong */
void rules_clear(struct mock *mock);

/* hook: sends a callback; the answer to request tells what came back.  Takes body. */
void hook_send(struct mock *mock, struct evhttp_request *request, const char *command, cJSON *body, const char *key);
void hook_replay(struct mock *mock, struct evhttp_request *request, const char *sign, const char *sdk_app_id);
bool hook_set_url(struct mock *mock, const char *url);

#endif
