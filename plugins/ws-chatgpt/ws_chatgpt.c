/* ws-chatgpt/ws_chatgpt.c - the seq-multiplexed WebSocket of the chatgpt-websocket project. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <umbel/json.h>
#include <umbel/transport.h>
#include <umbel/ws.h>

#include "chatgpt_frames.h"
#include "chatgpt_request.h"

#define MODELS_MAX 64u
#define WATCHES_MAX 8u

struct chatgpt {
    const struct umbel_host *host;
    struct umbel_ws *ws;
    struct umbel_ws_codec codec; /* max_in_flight is configuration */
    const char *anonymous_app;
    const char *names[MODELS_MAX];
    struct chatgpt_models models;
    int double_stop, null_error_seq;
    struct umbel_out out;
};

struct chatgpt_client {
    uint32_t error; /* UMBEL_ERROR_* once it is known that it may not ask */
    char *words;    /* and why in the operator's own words, NULL = none */
    struct chatgpt_task *watches[WATCHES_MAX];
    uint32_t watch_count;
};

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void task_free(struct chatgpt_task *task)
{
    if (!task)
        return;
    umbel_out_free(&task->text);
    free(task->seq);
    free(task);
}

static struct chatgpt_task *task_make(const struct chatgpt *self, const struct chatgpt_request *request)
{
    struct chatgpt_task *task = calloc(1, sizeof *task);
    struct umbel_out seq = {0};

    umbel_out_json(&seq, request->seq, request->seq_size);
    umbel_out_put(&seq, "", 1);
    if (!task || seq.failed) {
        umbel_out_free(&seq);
        free(task);
        return NULL;
    }
    *task = (struct chatgpt_task){.seq = seq.data,
                                  .error_seq = self->null_error_seq ? "null" : seq.data,
                                  .sentences = request->sentences,
                                  .extended = request->extended,
                                  .double_stop = self->double_stop && request->davinci,
                                  .begun_ns = now_ns()};
    return task;
}

/* An error that concerns no answer goes out in its turn, like an answer. */
static void say_error(struct chatgpt *self, struct umbel_ws_client *client, int code, const char *why, const char *seq)
{
    umbel_out_reset(&self->out);
    chatgpt_error(code, why, seq, NULL, &self->out);
    umbel_ws_say(client, &self->out);
}

/* "<id>:<n>" */
static int split_position(const char *text, char *ret_id, size_t room, uint64_t *ret_position)
{
    const char *colon = strrchr(text, ':');
    char *end;
    size_t size = colon ? (size_t)(colon - text) : 0;

    if (size == 0 || size >= room || colon[1] < '0' || colon[1] > '9')
        return -EINVAL;
    errno = 0;
    *ret_position = strtoull(colon + 1, &end, 10);
    if (*end || errno)
        return -EINVAL;
    memcpy(ret_id, text, size);
    ret_id[size] = '\0';
    return 0;
}

static void do_ask(struct umbel_ws_client *client, const struct chatgpt_request *request, struct chatgpt_task *task)
{
    struct umbel_request question = {.struct_size = sizeof question,
                                     .flags = (request->session ? UMBEL_REQUEST_MEMORY : 0) | UMBEL_REQUEST_MODEL_HINT,
                                     .session = request->session,
                                     .messages = request->messages.data,
                                     .messages_size = request->messages.size,
                                     .model = request->model,
                                     .parameters = request->parameters.data,
                                     .parameters_size = request->parameters.size};
    struct umbel_ws_question asked = {.struct_size = sizeof asked,
                                      .variant = UMBEL_VARIANT_PRIVATE,
                                      .reader_flags = request->sentences ? UMBEL_READER_SEPARATE : 0,
                                      .request = &question,
                                      .data = task};
    umbel_ws_ask(client, &asked);
}

static void do_watch(struct chatgpt *self, struct umbel_ws_client *client, const struct chatgpt_request *request, struct chatgpt_task *task)
{
    struct chatgpt_client *state = umbel_ws_data(client);

    if (state->watch_count == WATCHES_MAX) {
        say_error(self, client, CHATGPT_OTHER, "too many sessions are watched", task->error_seq);
        task_free(task);
        return;
    }
    task->sentences = 0; /* several answers may run at once: each delta goes as it comes */
    state->watches[state->watch_count++] = task;
    umbel_ws_watch(client, request->session, UMBEL_VARIANT_PRIVATE, task);
}

static void do_cancel(struct chatgpt *self, struct umbel_ws_client *client, const struct chatgpt_request *request,
                      struct chatgpt_task *task)
{
    umbel_ws_stop(client, request->cancel);
    umbel_out_reset(&self->out);
    chatgpt_frame(task, now_ns(), "\"stop\"", "", 0, NULL, &self->out);
    umbel_ws_say_now(client, &self->out);
    task_free(task);
}

static void act(struct chatgpt *self, struct umbel_ws_client *client, const struct chatgpt_request *request)
{
    struct chatgpt_task *task = task_make(self, request);
    char id[64];
    uint64_t position;

    if (!task) {
        umbel_ws_end_now(client, 1011, "out of memory");
        return;
    }
    switch (request->kind) {
    case CHATGPT_ASK:
        do_ask(client, request, task);
        return;
    case CHATGPT_WATCH:
        do_watch(self, client, request, task);
        return;
    case CHATGPT_CANCEL:
        do_cancel(self, client, request, task);
        return;
    case CHATGPT_RESUME:
        if (split_position(request->resume, id, sizeof id, &position) < 0) {
            say_error(self, client, CHATGPT_PARAM, "param resume error", task->seq);
            task_free(task);
        } else {
            umbel_ws_resume(client, UMBEL_VARIANT_PRIVATE, id, position, task);
        }
        return;
    }
}

/* What is wrong with a request, under the seq it has, or the original's words where it has none. */
static void say_wrong(struct chatgpt *self, struct umbel_ws_client *client, int code, const char *why, const struct chatgpt_request *request)
{
    struct umbel_out seq = {0};

    if (request->seq)
        umbel_out_json(&seq, request->seq, request->seq_size);
    else
        umbel_out_text(&seq, code == CHATGPT_JSON ? "null" : "\"seq not find\"");
    umbel_out_put(&seq, "", 1);
    if (!seq.failed)
        say_error(self, client, code, why, seq.data);
    umbel_out_free(&seq);
}

static void on_message(void *self, struct umbel_ws_client *client, const char *text, size_t size)
{
    struct chatgpt *chatgpt = self;
    struct chatgpt_client *state = umbel_ws_data(client);
    struct chatgpt_request request;
    char why[CHATGPT_WHY_MAX] = "";
    int code = chatgpt_request_read(text, size, &chatgpt->models, &request, why);

    if (code) {
        say_wrong(chatgpt, client, code, why, &request);
    } else if (state->error) {
        say_wrong(chatgpt, client, CHATGPT_OTHER, chatgpt_words(state->error, state->words ? state->words : ""), &request);
        umbel_ws_end(client, 1008, "not authorized");
    } else {
        act(chatgpt, client, &request);
    }
    chatgpt_request_free(&request);
}

/* The original asks nobody who he is: anonymous_app lets everybody in; without it a client key is wanted, as ?token= or Bearer. */
static int on_upgrade(void *self, struct umbel_ws_client *client, const struct umbel_ws_upgrade *upgrade)
{
    struct chatgpt *chatgpt = self;
    struct umbel_credential list[3];
    const char *token = upgrade->query(upgrade, "token"), *bearer = upgrade->header(upgrade, "authorization:");
    uint32_t count = 0;

    if (token && *token)
        list[count++] = (struct umbel_credential){.kind = UMBEL_CREDENTIAL_KEY, .value = token, .size = strlen(token)};
    if (bearer && strncmp(bearer, "Bearer ", 7) == 0)
        list[count++] = (struct umbel_credential){.kind = UMBEL_CREDENTIAL_KEY, .value = bearer + 7, .size = strlen(bearer + 7)};
    if (*chatgpt->anonymous_app)
        list[count++] = (struct umbel_credential){
            .kind = UMBEL_CREDENTIAL_APP, .value = chatgpt->anonymous_app, .size = strlen(chatgpt->anonymous_app)};
    if (count == 0)
        return 401;
    umbel_ws_authorize(client, list, count);
    return 0;
}

static void on_authorized(void *self, struct umbel_ws_client *client, uint32_t error, const char *text)
{
    struct chatgpt_client *state = umbel_ws_data(client);

    (void)self;
    state->error = error;
    state->words = error && *text ? strdup(text) : NULL; /* without memory the protocol's own words do */
}

static int on_encode(void *self, uint32_t variant, void *data, const struct umbel_stream *stream, const struct umbel_event *event,
                     struct umbel_out *out)
{
    struct chatgpt_task *task = data;

    (void)self, (void)variant;
    chatgpt_encode(task, now_ns(), stream, event, out);
    return task->text.failed;
}

static void on_refused(void *self, struct umbel_ws_client *client, void *data, uint32_t error, const char *text, struct umbel_out *out)
{
    const struct chatgpt_task *task = data;

    (void)self, (void)client;
    chatgpt_error(error == UMBEL_ERROR_POSITION ? CHATGPT_PARAM : CHATGPT_OTHER,
                  error == UMBEL_ERROR_POSITION ? "param resume error" : chatgpt_words(error, text), task ? task->error_seq : "null", NULL,
                  out);
}

static void on_answered(void *self, struct umbel_ws_client *client, void *data)
{
    (void)self, (void)client;
    task_free(data);
}

static void on_closed(void *self, struct umbel_ws_client *client)
{
    struct chatgpt_client *state = umbel_ws_data(client);

    (void)self;
    for (uint32_t i = 0; i < state->watch_count; i++)
        task_free(state->watches[i]);
    free(state->words);
}

static void chatgpt_close(void *self)
{
    struct chatgpt *chatgpt = self;

    if (!chatgpt)
        return;
    umbel_ws_close(chatgpt->ws);
    umbel_out_free(&chatgpt->out);
    free(chatgpt);
}

static int chatgpt_open(const struct umbel_host *host, const struct umbel_config *config, void **ret_self)
{
    struct chatgpt *chatgpt = calloc(1, sizeof *chatgpt);
    const char *name;

    if (!chatgpt)
        return -ENOMEM;
    chatgpt->host = host;
    chatgpt->anonymous_app = host->config_text(config, "anonymous_app");
    chatgpt->double_stop = host->config_integer(config, "davinci_double_stop") != 0;
    chatgpt->null_error_seq = host->config_integer(config, "null_error_seq") != 0;
    while (chatgpt->models.count < MODELS_MAX && (name = host->config_item(config, "models", chatgpt->models.count)))
        chatgpt->names[chatgpt->models.count++] = name;
    chatgpt->models.names = chatgpt->names;
    chatgpt->codec = (struct umbel_ws_codec){.struct_size = sizeof chatgpt->codec,
                                             .client_size = sizeof(struct chatgpt_client),
                                             .max_message = 1u << 20,
                                             .max_waiting = 32,
                                             .max_in_flight = (uint32_t)host->config_integer(config, "max_in_flight"),
                                             .ping_s = 20,
                                             .pong_s = 20,
                                             .flags = UMBEL_WS_HOLD_BACK,
                                             .upgrade = on_upgrade,
                                             .authorized = on_authorized,
                                             .message = on_message,
                                             .encode = on_encode,
                                             .refused = on_refused,
                                             .answered = on_answered,
                                             .closed = on_closed};
    int r = umbel_ws_open(host, config, &chatgpt->codec, chatgpt, &chatgpt->ws);
    if (r < 0) {
        chatgpt_close(chatgpt);
        return r;
    }
    *ret_self = chatgpt;
    return 0;
}

static void chatgpt_retire(void *self, uint32_t step, uint32_t ms)
{
    umbel_ws_retire(((struct chatgpt *)self)->ws, step, ms);
}

static void chatgpt_drain(void *self, uint32_t deadline_ms)
{
    umbel_ws_drain(((struct chatgpt *)self)->ws, deadline_ms);
}

static int chatgpt_reload(void *self)
{
    return umbel_ws_reload(((struct chatgpt *)self)->ws);
}

static const struct umbel_option options[] = {
    {.type = UMBEL_OPTION_TEXT,
     .name = "anonymous_app",
     .help = "the app of clients that bring no key, as in the original; empty: a client key is wanted as ?token= or Bearer"},
    {.type = UMBEL_OPTION_LIST,
     .name = "models",
     .otherwise = "{\"gpt-3.5-turbo\", \"gpt-4\", \"text-davinci-003\"}",
     .help = "the model names a request may say; where the app may not use one, the app's own model answers"},
    {.type = UMBEL_OPTION_INTEGER,
     .name = "max_in_flight",
     .otherwise = "1",
     .min = 1,
     .max = 32,
     .help = "answers of one socket at once; above 1 their frames interleave, told apart by seq"},
    {.type = UMBEL_OPTION_BOOL,
     .name = "davinci_double_stop",
     .otherwise = "false",
     .help = "end text-davinci-003 answers with a second \"stop\" frame, as the original does"},
    {.type = UMBEL_OPTION_BOOL,
     .name = "null_error_seq",
     .otherwise = "false",
     .help = "let 129003 frames say \"seq\": null, as the original does"},
};

UMBEL_EXPORT extern const struct umbel_transport umbel_transport;
const struct umbel_transport umbel_transport = {.struct_size = sizeof umbel_transport,
                                                .abi_major = UMBEL_ABI_MAJOR,
                                                .abi_minor = UMBEL_ABI_MINOR,
                                                .name = "ws-chatgpt",
                                                .version = UMBEL_VERSION,
                                                .summary = "the seq-multiplexed WebSocket of the chatgpt-websocket project",
                                                .options = options,
                                                .option_count = sizeof options / sizeof *options,
                                                .option_size = sizeof *options,
                                                .open = chatgpt_open,
                                                .drain = chatgpt_drain,
                                                .reload = chatgpt_reload,
                                                .retire = chatgpt_retire,
                                                .close = chatgpt_close};
