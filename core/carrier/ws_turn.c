/* carrier/ws_turn.c - one client's questions in their turn, and what codecs say in turn.
 *
 * waiting -> running (handed to the host) -> gone with the last frame.  Frames said in turn wait like questions and take no time.
 * Bounds: max_waiting questions, WS_QUESTION_BYTES of everything; a question beyond them waits as a refusal, and when max_waiting of
 * those wait too the carrier stops reading from the client. */
#include "core/carrier/ws_carrier.h"

#include <errno.h>
#include <stdlib.h>

static bool is_question(const struct ws_turn *turn)
{
    return turn->kind == WS_TURN_ASK || turn->kind == WS_TURN_RESUME;
}

static bool is_running(const struct umbel_ws_client *client, const struct ws_turn *turn)
{
    return turn->tag && ws_turn_running((struct umbel_ws_client *)(uintptr_t)client, turn->tag) == turn;
}

static void leave_waiting(struct umbel_ws_client *client, struct ws_turn *turn)
{
    list_remove(&turn->link);
    *(turn->kind == WS_TURN_MESSAGE ? &client->held_bytes : &client->queued_bytes) -= turn->size;
    if (is_question(turn))
        client->questions--;
    else if (turn->kind == WS_TURN_SAY || turn->kind == WS_TURN_REFUSED)
        client->answers--;
    else if (turn->kind == WS_TURN_MESSAGE)
        client->held_count--;
    else if (turn->kind == WS_TURN_WATCH)
        client->watch_count--;
}

void ws_turn_free(struct umbel_ws_client *client, struct ws_turn *turn)
{
    struct umbel_ws *ws = client->ws;

    if (is_running(client, turn)) {
        list_remove(&turn->link);
        client->in_flight--;
    } else {
        leave_waiting(client, turn);
    }
    if (turn->reader)
        turn->reader->turn = NULL;
    if (turn->has_data && ws->codec->answered)
        ws->codec->answered(ws->self, client, turn->data);
    free(turn);
}

static struct ws_turn *find(const struct list *list, uint64_t tag)
{
    list_for_each(link, spare, list) {
        struct ws_turn *turn = list_entry(link, struct ws_turn, link);
        if (turn->tag == tag)
            return turn;
    }
    return NULL;
}

struct ws_turn *ws_turn_running(struct umbel_ws_client *client, uint64_t tag)
{
    return find(&client->running, tag);
}

struct ws_turn *ws_turn_watch(struct umbel_ws_client *client, uint64_t tag)
{
    return find(&client->watches, tag);
}

static bool holds_back(const struct umbel_ws_client *client)
{
    return (client->ws->codec->flags & UMBEL_WS_HOLD_BACK) != 0;
}

bool ws_turn_is_over(const struct umbel_ws_client *client)
{
    uint32_t most = client->ws->codec->max_waiting ? client->ws->codec->max_waiting : 1;

    return (holds_back(client) && client->questions >= most) || client->answers >= most || client->held_count >= most ||
           client->queued_bytes + client->held_bytes >= WS_QUESTION_BYTES;
}

/* A turn with room for size bytes, on list.  NULL: the client is over, or there is no memory and it is told so. */
static struct ws_turn *add(struct umbel_ws_client *client, struct list *list, enum ws_turn_kind kind, size_t size)
{
    uint32_t most = client->ws->codec->max_waiting;

    if (client->state >= WS_CLOSING || client->end_code || !client->client)
        return NULL;
    if ((kind == WS_TURN_SAY || kind == WS_TURN_REFUSED) && client->answers >= 64 + 4 * most) {
        /* Reading stopped long before: only a codec that says many things to one message comes here. */
        ws_client_fail(client, 1008, "too many requests");
        return NULL;
    }
    struct ws_turn *turn = calloc(1, sizeof *turn + size + 1);
    if (!turn) {
        ws_client_fail(client, 1011, "out of memory");
        return NULL;
    }
    turn->kind = kind;
    turn->size = size;
    turn->text = turn->bytes;
    list_append(list, &turn->link);
    *(kind == WS_TURN_MESSAGE ? &client->held_bytes : &client->queued_bytes) += size;
    if (is_question(turn))
        client->questions++;
    else if (kind == WS_TURN_SAY || kind == WS_TURN_REFUSED)
        client->answers++;
    else if (kind == WS_TURN_MESSAGE)
        client->held_count++;
    else if (kind == WS_TURN_WATCH)
        client->watch_count++;
    ws_client_dirty(client);
    return turn;
}

/* Sends the codec's words for a refusal. */
static void send_refusal(struct umbel_ws_client *client, void *data, uint32_t error, const char *text)
{
    struct umbel_ws *ws = client->ws;

    umbel_out_reset(&ws->scratch);
    ws->codec->refused(ws->self, client, data, error, text, &ws->scratch);
    if (!ws->scratch.failed && ws->scratch.size)
        ws_write_now(client, ws->scratch.data, ws->scratch.size);
}

void ws_turn_refuse(struct umbel_ws_client *client, struct ws_turn *turn, uint32_t error, const char *text)
{
    send_refusal(client, turn->data, error, text ? text : "");
    ws_turn_free(client, turn);
    ws_client_dirty(client);
}

static uint32_t error_of(int r)
{
    return r == -EAGAIN     ? UMBEL_ERROR_BUSY
           : r == -EPERM    ? UMBEL_ERROR_AUTH
           : r == -EMSGSIZE ? UMBEL_ERROR_BAD_REQUEST
                            : UMBEL_ERROR_INTERNAL;
}

static const char *words_of(int r)
{
    return r == -EMSGSIZE ? "the question is too long" : "";
}

static void start(struct umbel_ws_client *client, struct ws_turn *turn)
{
    struct umbel_ws *ws = client->ws;
    int r;

    leave_waiting(client, turn);
    list_append(&client->running, &turn->link);
    client->in_flight++;
    turn->tag = ++ws->next_tag;
    if (turn->kind == WS_TURN_ASK)
        r = ws->host->ask(client->client, turn->tag, &turn->request);
    else
        r = ws->host->resume(client->client, turn->tag, turn->text, turn->position);
    if (r < 0)
        ws_turn_refuse(client, turn, error_of(r), words_of(r));
}

static bool resume_is_open(const struct umbel_ws_client *client)
{
    const struct list *lists[] = {&client->running, &client->waiting};

    for (size_t i = 0; i < 2; i++)
        list_for_each(link, spare, lists[i]) {
            const struct ws_turn *turn = list_entry(link, struct ws_turn, link);
            if (turn->kind == WS_TURN_RESUME && !turn->reader)
                return true;
        }
    return false;
}

/* Watching waits for a resume to begin, so that the watch finds the resumed answer served already and declines to send it from its start. */
static void start_watches(struct umbel_ws_client *client)
{
    if (list_is_empty(&client->watches) || client->access == WS_UNASKED || client->access == WS_ASKED || resume_is_open(client))
        return;
    list_for_each(link, spare, &client->watches) {
        struct ws_turn *watch = list_entry(link, struct ws_turn, link);
        if (watch->tag)
            continue;
        if (client->access == WS_REFUSED) {
            ws_turn_free(client, watch);
            continue;
        }
        watch->tag = ++client->ws->next_tag;
        int r = client->ws->host->watch(client->client, watch->tag, watch->text);
        if (r < 0)
            ws_turn_refuse(client, watch, error_of(r), words_of(r));
    }
}

/* True if the one at hand is done and the next may be looked at. */
static bool pump_one(struct umbel_ws_client *client, struct ws_turn *turn)
{
    if (turn->kind == WS_TURN_END) {
        if (!list_is_empty(&client->running))
            return false;
        ws_client_fail(client, (uint16_t)turn->code, turn->text);
        return false;
    }
    if (client->in_flight >= client->ws->codec->max_in_flight)
        return false;
    if (is_question(turn)) {
        start(client, turn);
        return true;
    }
    if (client->full)
        return false; /* it comes back when there is room */
    if (turn->kind == WS_TURN_SAY)
        ws_write_put(client, turn->bytes, turn->size);
    else
        send_refusal(client, turn->data, turn->code, turn->text);
    ws_turn_free(client, turn);
    return true;
}

static bool may_release(const struct umbel_ws_client *client)
{
    uint32_t most = client->ws->codec->max_waiting ? client->ws->codec->max_waiting : 1;

    return !list_is_empty(&client->held) && client->access != WS_ASKED && client->state == WS_OPEN && !client->end_code &&
           client->answers < most;
}

void ws_turn_pump(struct umbel_ws_client *client)
{
    if (client->access == WS_ASKED)
        return;
    while (!list_is_empty(&client->waiting) && client->state == WS_OPEN && !client->end_code && !client->doomed)
        if (!pump_one(client, list_entry(client->waiting.next, struct ws_turn, link)))
            break;
    if (client->state == WS_OPEN && !client->end_code && !client->doomed)
        start_watches(client);
    if (may_release(client))
        ws_client_dirty(client); /* what was sent made room for more of what is held */
}

void ws_turn_hold(struct umbel_ws_client *client, const char *text, size_t size)
{
    struct ws_turn *turn = add(client, &client->held, WS_TURN_MESSAGE, size);

    if (turn)
        memcpy(turn->bytes, text, size);
}

void ws_turn_release(struct umbel_ws_client *client)
{
    while (may_release(client)) {
        struct ws_turn *turn = list_entry(client->held.next, struct ws_turn, link);
        leave_waiting(client, turn);
        client->ws->codec->message(client->ws->self, client, turn->bytes, turn->size);
        free(turn);
    }
}

/* One too many: the codec's refusal takes its place in the turn. */
static void add_refusal(struct umbel_ws_client *client, void *data, bool is_watch, uint32_t error, const char *text)
{
    struct ws_turn *turn = add(client, &client->waiting, WS_TURN_REFUSED, strlen(text));

    ws_count(client->ws, "ws_busy");
    if (turn) {
        memcpy(turn->bytes, text, strlen(text));
        turn->code = error;
        turn->data = data;
        turn->has_data = !is_watch;
    } else if (!is_watch && client->ws->codec->answered) {
        client->ws->codec->answered(client->ws->self, client, data);
    }
}

static bool has_room(const struct umbel_ws_client *client, size_t size)
{
    const struct umbel_ws_codec *codec = client->ws->codec;

    return (holds_back(client) || client->questions + (uint32_t)client->in_flight < codec->max_waiting + codec->max_in_flight) &&
           client->queued_bytes + size <= WS_QUESTION_BYTES;
}

static size_t length(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

static const char *copy(char **at, const void *bytes, size_t size)
{
    if (!bytes)
        return NULL;
    char *here = *at;
    memcpy(here, bytes, size);
    *at += size;
    return here;
}

void umbel_ws_ask(struct umbel_ws_client *client, const struct umbel_ws_question *question)
{
    const struct umbel_request *request = question->request;
    size_t session = length(request->session), model = length(request->model);
    size_t size = session + model + request->messages_size + request->parameters_size;
    struct ws_turn *turn = NULL;

    if (has_room(client, size))
        turn = add(client, &client->waiting, WS_TURN_ASK, size);
    if (!turn) {
        add_refusal(client, question->data, false, UMBEL_ERROR_BUSY, "too many questions are waiting");
        return;
    }
    char *at = turn->bytes;
    turn->request = *request;
    turn->request.session = copy(&at, request->session, session);
    turn->request.model = copy(&at, request->model, model);
    turn->request.messages = copy(&at, request->messages, request->messages_size);
    turn->request.parameters = copy(&at, request->parameters, request->parameters_size);
    turn->variant = question->variant;
    turn->reader_flags = question->reader_flags;
    turn->data = question->data;
    turn->has_data = true;
}

void umbel_ws_resume(struct umbel_ws_client *client, uint32_t variant, const char *stream_id, uint64_t position, void *data)
{
    size_t size = strlen(stream_id);
    struct ws_turn *turn = NULL;

    if (has_room(client, size))
        turn = add(client, &client->waiting, WS_TURN_RESUME, size);
    if (!turn) {
        add_refusal(client, data, false, UMBEL_ERROR_BUSY, "too many questions are waiting");
        return;
    }
    memcpy(turn->bytes, stream_id, size);
    turn->position = position;
    turn->variant = variant;
    turn->data = data;
    turn->has_data = true;
}

void umbel_ws_say(struct umbel_ws_client *client, const struct umbel_out *frames)
{
    if (frames->failed || !frames->size)
        return;
    struct ws_turn *turn = add(client, &client->waiting, WS_TURN_SAY, frames->size);
    if (turn)
        memcpy(turn->bytes, frames->data, frames->size);
}

void umbel_ws_say_now(struct umbel_ws_client *client, const struct umbel_out *frames)
{
    if (client->state == WS_HANDSHAKE) {
        umbel_ws_say(client, frames); /* nothing can go out before the upgrade's own answer */
        return;
    }
    if (frames->failed || !frames->size || client->end_code)
        return;
    ws_write_now(client, frames->data, frames->size);
    if (client->access == WS_KNOWN) /* strangers could stay for ever at the price of a heartbeat */
        ws_time_rest(client);
}

void umbel_ws_watch(struct umbel_ws_client *client, const char *session, uint32_t variant, void *data)
{
    size_t size = strlen(session);

    if (client->watch_count >= WS_WATCHES_MAX) {
        add_refusal(client, data, true, UMBEL_ERROR_BUSY, "too many sessions are watched");
        return;
    }
    struct ws_turn *watch = add(client, &client->watches, WS_TURN_WATCH, size);
    if (!watch)
        return;
    memcpy(watch->bytes, session, size);
    watch->variant = variant;
    watch->data = data;
}

/* The question asked last among those that run, or will when the loop turns next. */
static struct ws_turn *last_started(struct umbel_ws_client *client)
{
    struct ws_turn *last = list_is_empty(&client->running) ? NULL : list_entry(client->running.prev, struct ws_turn, link);
    uint32_t room = client->ws->codec->max_in_flight - client->in_flight;

    list_for_each(link, spare, &client->waiting) {
        struct ws_turn *turn = list_entry(link, struct ws_turn, link);
        if (turn->kind == WS_TURN_END || (is_question(turn) && !room--))
            break;
        if (is_question(turn))
            last = turn;
    }
    return last;
}

void umbel_ws_stop(struct umbel_ws_client *client, const char *stream_id)
{
    const struct umbel_host *host = client->ws->host;

    if (!client->client || client->access == WS_UNASKED || client->access == WS_REFUSED)
        return;
    if (stream_id) {
        host->stop(client->client, 0, stream_id);
        return;
    }
    struct ws_turn *last = last_started(client);
    if (!last)
        return;
    if (last->reader && last->reader->reader)
        host->stop(client->client, 0, host->reader_stream(last->reader->reader)->id);
    else
        last->stop = true; /* as soon as it begins */
}

void umbel_ws_end(struct umbel_ws_client *client, uint16_t code, const char *reason)
{
    size_t size = strlen(reason);
    struct ws_turn *turn = add(client, &client->waiting, WS_TURN_END, size);

    if (!turn)
        return;
    memcpy(turn->bytes, reason, size);
    turn->code = code;
}

void umbel_ws_end_now(struct umbel_ws_client *client, uint16_t code, const char *reason)
{
    ws_client_fail(client, code, reason);
}
