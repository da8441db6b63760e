#include "core/daemon/answer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <umbel/event.h>
#include <umbel/host.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/number.h"
#include "core/daemon/answer_bill.h"
#include "core/daemon/answer_parts.h"
#include "core/daemon/daemon.h"
#include "core/daemon/daemon_share.h"
#include "core/daemon/daemon_tail.h"
#include "core/daemon/daemon_trail.h"
#include "core/upstream/upstream_cap.h"

#define BUCKETS 8192u

struct answer_table {
    struct daemon *daemon;
    struct list live, ended; /* ended: oldest first */
    uint32_t live_count;
    struct answer **by_slot; /* journal slot -> answer */
    uint32_t slots;
    struct answer *bucket[BUCKETS];
};

static uint32_t bucket_of(const char *id)
{
    uint32_t hash = 2166136261u;

    for (; *id; id++)
        hash = (hash ^ (unsigned char)*id) * 16777619u;
    return hash % BUCKETS;
}

/* Forgets one answer; the journal has given up its slot, or never had it. */
static void answer_free(struct answer_table *table, struct answer *answer)
{
    struct answer **link = &table->bucket[bucket_of(answer->id)];

    while (*link != answer)
        link = &(*link)->next_in_bucket;
    *link = answer->next_in_bucket;
    if (answer->ref.generation && table->by_slot[answer->ref.slot] == answer)
        table->by_slot[answer->ref.slot] = NULL;
    uring_timer_clear(table->daemon->loop, &answer->orphan);
    list_remove(&answer->in_order);
    list_remove(&answer->in_session);
    if (answer->row != UINT32_MAX)
        stats_row_release(table->daemon->stats, CORE_TABLE_STREAMS, answer->row);
    free(answer->question);
    free(answer->readers);
    free(answer);
}

static void evicted(void *owner, struct journal_ref ref)
{
    struct answer_table *table = owner;
    struct answer *answer = answer_by_ref(table, ref);

    if (answer)
        answer_free(table, answer);
}

int answer_table_create(struct daemon *daemon, struct answer_table **ret_table)
{
    struct answer_table *table = calloc(1, sizeof *table);

    if (!table)
        return -ENOMEM;
    table->daemon = daemon;
    table->slots = journal_writer_slots(bus_journal(daemon->bus));
    table->by_slot = calloc(table->slots, sizeof(struct answer *));
    if (!table->by_slot) {
        free(table);
        return -ENOMEM;
    }
    list_init(&table->live);
    list_init(&table->ended);
    journal_on_evict(bus_journal(daemon->bus), evicted, table);
    *ret_table = table;
    return 0;
}

void answer_table_free(struct answer_table *table)
{
    if (!table)
        return;
    list_for_each(link, spare, &table->live)
        answer_cancel(list_entry(link, struct answer, in_order));
    list_for_each(ended_link, ended_spare, &table->ended)
        answer_free(table, list_entry(ended_link, struct answer, in_order));
    journal_on_evict(bus_journal(table->daemon->bus), NULL, NULL);
    free(table->by_slot);
    free(table);
}

uint32_t answer_table_live(const struct answer_table *table)
{
    return table->live_count;
}

struct answer *answer_find(struct answer_table *table, int app, const char *id)
{
    for (struct answer *a = table->bucket[bucket_of(id)]; a; a = a->next_in_bucket)
        if (strcmp(a->id, id) == 0)
            return app == -1 || (a->app == (uint32_t)app && !a->gone) ? a : NULL;
    return NULL;
}

struct answer *answer_by_ref(struct answer_table *table, struct journal_ref ref)
{
    struct answer *answer = ref.slot < table->slots ? table->by_slot[ref.slot] : NULL;

    return answer && answer->ref.generation == ref.generation ? answer : NULL;
}

size_t answer_live_refs(struct answer_table *table, uint32_t app, struct journal_ref *ret_refs, size_t max, uint64_t *ret_others)
{
    size_t count = 0;
    uint64_t others = 0;

    list_for_each(link, spare, &table->live) {
        struct answer *answer = list_entry(link, struct answer, in_order);
        if (answer->app != app || !answer->session)
            continue;
        if (count < max)
            ret_refs[count++] = answer->ref;
        else
            others++;
    }
    *ret_others = others;
    return count;
}

void answer_forget_session(struct answer_table *table, uint32_t app, const char *session)
{
    list_for_each(link, spare, &table->ended) {
        struct answer *answer = list_entry(link, struct answer, in_order);
        struct journal_identity identity;
        if (answer->app != app || journal_identity(bus_journal_reader(table->daemon->bus), answer->ref, &identity) < 0 ||
            strncmp(identity.session, session, sizeof identity.session) != 0)
            continue;
        answer->gone = true;
        if (answer->reader_total == 0)
            journal_evict(bus_journal(table->daemon->bus), answer->ref); /* frees answer */
    }
}

static void row_text(struct answer *answer, uint32_t column, const char *text)
{
    if (answer->row != UINT32_MAX)
        stats_row_text(answer->daemon->stats, CORE_TABLE_STREAMS, answer->row, column, text);
}

static void row_u64(struct answer *answer, uint32_t column, uint64_t value)
{
    if (answer->row != UINT32_MAX)
        stats_row_u64(answer->daemon->stats, CORE_TABLE_STREAMS, answer->row, column, value);
}

static void tell_listeners(struct answer *answer, uint32_t kind, uint32_t code, const char *data, size_t size)
{
    list_for_each(link, spare, &answer->listeners) {
        struct answer_listener *listener = list_entry(link, struct answer_listener, link);
        if (kind == UMBEL_EVENT_CLOSED)
            list_remove(&listener->link);
        listener->event(listener, kind, code, data, size);
    }
}

static const struct {
    const char *text;
    uint32_t counter;
} verdicts[] = {
    [UMBEL_VERDICT_COMPLETE] = {"complete", CORE_STREAMS_COMPLETE},
    [UMBEL_VERDICT_TRUNCATED] = {"truncated", CORE_STREAMS_TRUNCATED},
    [UMBEL_VERDICT_FAILED] = {"failed", CORE_STREAMS_FAILED},
    [UMBEL_VERDICT_CANCELLED] = {"cancelled", CORE_STREAMS_CANCELLED},
};

static void copy_word(char *to, size_t room, const char *from, size_t size)
{
    size = answer_prefix(from, size, room - 1);
    memcpy(to, from, size);
    to[size] = '\0';
}

static void note_upstream(struct answer *answer);

/* The one way an answer ends.  The upstream call is over or has been cancelled by the caller. */
static void answer_end(struct answer *answer, uint32_t verdict, uint32_t error, const char *text)
{
    struct daemon *daemon = answer->daemon;
    struct answer_table *table = daemon->answers;
    if ((verdict == UMBEL_VERDICT_FAILED || verdict == UMBEL_VERDICT_TRUNCATED) && error == 0)
        error = UMBEL_ERROR_UPSTREAM; /* codecs rely on it: such an end is never silent */
    struct journal_ending ending = {.verdict = verdict,
                                    .finish = answer->finish,
                                    .error = error,
                                    .usage_flags = answer->usage_known ? JOURNAL_USAGE_KNOWN : 0,
                                    .prompt_tokens = answer->prompt_tokens,
                                    .completion_tokens = answer->completion_tokens};

    answer->call = NULL;
    answer->ended_ns = uring_loop_now_ns(daemon->loop);
    memcpy(ending.finish_word, answer->finish_word, sizeof ending.finish_word);
    copy_word(ending.error_text, sizeof ending.error_text, text, strlen(text));
    answer_remember(answer, &ending); /* before any client can know that it is complete and ask on */
    bill_close(answer, verdict, error);
    bus_close(daemon->bus, answer->ref, &ending);
    answer->session = NULL;
    list_remove(&answer->in_session);
    list_remove(&answer->in_order);
    list_append(&table->ended, &answer->in_order);
    uring_timer_clear(daemon->loop, &answer->orphan);
    table->live_count--;

    uint64_t duration_ms = (answer->ended_ns - answer->asked_ns) / CLOCK_MS;
    stats_add(daemon->stats, verdicts[verdict].counter, 1);
    answer_stats_end(daemon->stats, &answer->figures, answer->ended_ns > answer->asked_ns ? answer->ended_ns - answer->asked_ns : 0,
                     error); /* the loop's time may be older than the question */
    if (answer->usage_known)
        answer_stats_tokens(daemon->stats, &answer->figures, answer->prompt_tokens, answer->completion_tokens);
    stats_set(daemon->stats, CORE_STREAMS_LIVE, table->live_count);
    row_text(answer, STREAM_COL_STATE, verdicts[verdict].text);
    row_text(answer, STREAM_COL_ERROR, text);
    row_u64(answer, STREAM_COL_DURATION_MS, duration_ms ? duration_ms : 1);
    log_line(verdict == UMBEL_VERDICT_COMPLETE || verdict == UMBEL_VERDICT_CANCELLED ? LOG_INFO : LOG_WARN, answer->id,
             "%s after %llu ms: app %s, upstream %s, %llu deltas, %llu bytes, %u readers%s%s", verdicts[verdict].text,
             (unsigned long long)duration_ms, daemon->apps[answer->app].config->name,
             answer->upstream, (unsigned long long)answer->deltas,
             (unsigned long long)answer->text_bytes, answer->reader_total, *text ? ": " : "", text);
    tell_listeners(answer, UMBEL_EVENT_CLOSED, verdict, text, strlen(text));
    answer_readers_changed(answer); /* those in the core have just gone */
    daemon_route_drop(answer->route);
    answer->route = NULL;
    daemon_share_drop(answer->share);
    answer->share = NULL;
    answer->upstream = ""; /* it may go before this answer is forgotten */
    if (answer->forget && answer->reader_total == 0)
        journal_evict(bus_journal(daemon->bus), answer->ref); /* frees answer */
}

void answer_cancel(struct answer *answer)
{
    if (!answer->call)
        return;
    note_upstream(answer);
    group_call_cancel(answer->call);
    answer_end(answer, UMBEL_VERDICT_CANCELLED, 0, "");
}

/* The operator's limit is reached in its middle: the service is told to stop, all readers are told the same. */
static void limit_reached(struct answer *answer, enum bill_stop stop)
{
    struct stats_page *stats = answer->daemon->stats;

    answer_trail_limit(answer, stop == BILL_LENGTH ? "output_tokens" : "tokens_per_day");
    group_call_cancel(answer->call);
    if (stop == BILL_LENGTH) {
        stats_add(stats, CORE_LIMITED_OUTPUT, 1);
        answer->finish = UMBEL_FINISH_LENGTH;
        copy_word(answer->finish_word, sizeof answer->finish_word, "length", 6);
        answer_end(answer, UMBEL_VERDICT_COMPLETE, 0, "");
    } else {
        stats_add(stats, CORE_LIMITED_DAY_OUTPUT, 1);
        answer_end(answer, UMBEL_VERDICT_FAILED, UMBEL_ERROR_QUOTA, "You exceeded your current quota.");
    }
}

/* The journal cannot take the next event: the honest end, and the service is told to stop. */
static void no_room(struct answer *answer, int error)
{
    group_call_cancel(answer->call);
    answer_end(answer, UMBEL_VERDICT_FAILED, UMBEL_ERROR_BUSY,
               error == -EFBIG ? "The answer is too long to be kept." : "The service is overloaded, try again later.");
}

/* The service at hand may be another than the one asked first. */
static void note_upstream(struct answer *answer)
{
    const char *name = upstream_name(group_call_member(answer->call)->upstream);

    if (name != answer->upstream) {
        row_text(answer, STREAM_COL_UPSTREAM, name);
        answer_stats_choose(answer->daemon->stats, name, &answer->figures);
    }
    answer->upstream = name;
    answer->tries = group_call_tries(answer->call);
}

/* Another service has gone on with it. */
static void note_continued(struct answer *answer)
{
    uint32_t continued = group_call_continued(answer->call);

    if (continued == answer->continued)
        return;
    stats_add(answer->daemon->stats, CORE_STREAMS_CONTINUED, continued - answer->continued);
    answer->continued = continued;
    note_upstream(answer);
}

static void note_delta(struct answer *answer, const struct parse_event *event, uint64_t arrival_ns)
{
    struct stats_page *stats = answer->daemon->stats;

    if (answer->deltas++ == 0) {
        note_upstream(answer);
        answer->first_token_ns = arrival_ns;
        answer_trail_first_token(answer);
        answer_stats_delta(stats, &answer->figures, true, arrival_ns - answer->asked_ns);
        row_text(answer, STREAM_COL_STATE, "streaming");
        row_u64(answer, STREAM_COL_FIRST_TOKEN_MS, (arrival_ns - answer->asked_ns) / CLOCK_MS);
    } else {
        answer_stats_delta(stats, &answer->figures, false, arrival_ns - answer->last_delta_ns);
    }
    answer->last_delta_ns = arrival_ns;
    row_u64(answer, STREAM_COL_DELTAS, answer->deltas);
    if (event->kind == PARSE_TEXT) {
        answer->text_bytes += event->text.size;
        stats_add(stats, CORE_DELTAS, 1);
        stats_add(stats, CORE_TEXT_BYTES, event->text.size);
        row_u64(answer, STREAM_COL_TEXT_BYTES, answer->text_bytes);
    }
}

/* Text, reasoning, a fragment of a tool call: as much of it as the limits allow. */
static void upstream_piece(struct answer *answer, uint32_t kind, const struct parse_event *event, uint64_t arrival_ns)
{
    struct parse_event piece = *event;
    enum bill_stop stop;

    piece.text.size = bill_fit(answer->bill, answer->daemon, event->text.data, event->text.size, kind == UMBEL_EVENT_TOOL, &stop);
    if (piece.text.size > 0) {
        int r = bus_event(answer->daemon->bus, answer->ref, kind, piece.text.data, piece.text.size, arrival_ns);
        if (r < 0) {
            no_room(answer, r);
            return;
        }
        stats_observe(answer->daemon->stats, CORE_H_PUBLISH, clock_now_ns() - arrival_ns);
        note_delta(answer, &piece, arrival_ns);
        bill_took(answer->bill, answer->daemon, piece.text.size);
        tell_listeners(answer, kind, 0, piece.text.data, piece.text.size);
    }
    if (stop)
        limit_reached(answer, stop);
}

static void upstream_event(void *owner, const struct parse_event *event, uint64_t arrival_ns)
{
    struct answer *answer = owner;
    uint32_t kind = event->kind == PARSE_TEXT        ? UMBEL_EVENT_TEXT
                    : event->kind == PARSE_REASONING ? UMBEL_EVENT_REASONING
                                                     : UMBEL_EVENT_TOOL;

    note_continued(answer);
    switch (event->kind) {
    case PARSE_TEXT:
    case PARSE_REASONING:
    case PARSE_TOOL:
        upstream_piece(answer, kind, event, arrival_ns);
        return;
    case PARSE_USAGE:
        answer->usage_known = true;
        answer->prompt_tokens = event->prompt_tokens;
        answer->completion_tokens = event->completion_tokens;
        return;
    case PARSE_FINISH:
        answer->finish = event->code;
        copy_word(answer->finish_word, sizeof answer->finish_word, event->text.data, event->text.size);
        return;
    case PARSE_ERROR: /* told again by ended(), with the verdict */
        return;
    }
}

static void upstream_ended(void *owner, uint32_t verdict, uint32_t error, const char *text)
{
    note_continued(owner);
    note_upstream(owner);
    answer_end(owner, verdict, error, text);
}

static const struct upstream_call_ops call_ops = {.event = upstream_event, .ended = upstream_ended, .note = answer_trail_note};

/* Which model is asked: the app's, or the client's wish where the upstream's list allows it ("*" allows any). */
static const char *choose_model(const struct daemon_app *app, const struct answer_question *question)
{
    if (!*question->model || strcmp(question->model, app->config->model) == 0)
        return app->config->model;
    for (size_t u = 0; u < app->member_count; u++) {
        const struct config_list *models = &app->upstream_configs[u]->models;
        for (size_t i = 0; i < models->count; i++)
            if (strcmp(models->items[i], question->model) == 0 || strcmp(models->items[i], "*") == 0)
                return question->model;
    }
    return question->flags & UMBEL_REQUEST_MODEL_HINT ? app->config->model : NULL;
}

static void fill_row(struct answer *answer, const struct answer_question *question, const char *model)
{
    const struct daemon_app *app = &answer->daemon->apps[answer->app];

    answer->row = stats_row_take(answer->daemon->stats, CORE_TABLE_STREAMS);
    row_text(answer, STREAM_COL_ID, answer->id);
    row_text(answer, STREAM_COL_APP, app->config->name);
    row_text(answer, STREAM_COL_SESSION, question->session);
    row_text(answer, STREAM_COL_STATE, "connecting");
    row_text(answer, STREAM_COL_UPSTREAM, answer->upstream);
    row_text(answer, STREAM_COL_MODEL, model);
    row_text(answer, STREAM_COL_TRANSPORT, question->transport);
    row_text(answer, STREAM_COL_KEY, question->key_name);
    row_u64(answer, STREAM_COL_OPENED, clock_wall_s());
    row_u64(answer, STREAM_COL_OPENED_NS, answer->asked_ns);
}

struct answer *answer_alloc(struct daemon *daemon, uint32_t app)
{
    struct answer *answer = calloc(1, sizeof *answer);

    if (!answer)
        return NULL;
    answer->daemon = daemon;
    answer->app = app;
    answer->row = UINT32_MAX;
    answer->orphan.fired = answer_orphan_fired;
    list_init(&answer->in_session);
    list_init(&answer->in_order);
    list_init(&answer->listeners);
    return answer;
}

static struct answer *answer_make(struct daemon *daemon, const struct answer_question *question, struct journal_identity *identity)
{
    struct answer *answer = answer_alloc(daemon, question->app);

    if (!answer)
        return NULL;
    if (getrandom(identity->id, sizeof identity->id, 0) != (ssize_t)sizeof identity->id) {
        free(answer); /* cannot happen for 16 bytes once the pool is ready; ids must never repeat, so no fallback */
        return NULL;
    }
    memcpy(answer->id, "chatcmpl-", 9);
    number_format_hex(identity->id, sizeof identity->id, answer->id + 9);
    answer->asked_ns = clock_now_ns();
    return answer;
}

static void make_findable(struct answer_table *table, struct answer *answer)
{
    uint32_t bucket = bucket_of(answer->id);

    answer->next_in_bucket = table->bucket[bucket];
    table->bucket[bucket] = answer;
    table->by_slot[answer->ref.slot] = answer;
}

void answer_register_ended(struct answer_table *table, struct answer *answer)
{
    make_findable(table, answer);
    list_append(&table->ended, &answer->in_order);
}

static void answer_register(struct answer_table *table, struct answer *answer, struct session *session)
{
    make_findable(table, answer);
    list_append(&table->live, &answer->in_order);
    if (session) {
        answer->session = session;
        list_append(&session->streams, &answer->in_session);
    }
    table->live_count++;
}

static uint32_t refuse_full(struct daemon *daemon, struct why *why)
{
    stats_add(daemon->stats, CORE_STREAMS_REFUSED, 1);
    why_set(why, 0, "The service is overloaded, try again later.");
    return UMBEL_ERROR_BUSY;
}

uint32_t answer_ask(struct daemon *daemon, const struct answer_question *question, struct answer **ret_answer, struct why *why)
{
    const struct daemon_app *app = &daemon->apps[question->app];
    const char *model = app->removed ? NULL : choose_model(app, question);
    struct journal_identity identity = {.created_s = clock_wall_s()};
    struct session *session = NULL;
    struct umbel_out messages = {0}, capped = {0};
    struct span parameters = question->parameters;
    struct answer_bill *bill = NULL;
    struct answer *answer = NULL;
    uint32_t error = UMBEL_ERROR_INTERNAL;
    bool replaced = false;
    int r;

    stats_add(daemon->stats, CORE_REQUESTS, 1);
    why_set(why, 0, "The service failed, try again later.");
    if (app->removed) { /* while it waited for the history */
        why_set(why, 0, "This is not served any more.");
        return UMBEL_ERROR_AUTH;
    }
    if (!model) {
        why_set(why, 0, "this model is not offered here");
        return UMBEL_ERROR_BAD_REQUEST;
    }
    if (daemon->stopping)
        return refuse_full(daemon, why);
    error = bill_open(daemon, question, &bill, why);
    if (error)
        return error;
    error = UMBEL_ERROR_INTERNAL;
    if (*question->session) {
        session = session_get(daemon->sessions, question->app, question->session, clock_now_ns());
        if (!session) {
            error = refuse_full(daemon, why);
            goto fail;
        }
    }
    bool memory = session && app->config->history && question->flags & UMBEL_REQUEST_MEMORY;
    r = session_compose(memory ? session : NULL, question->messages.data, question->messages.size, app->config->system, &messages,
                        &replaced, why);
    if (r < 0) {
        stats_add(daemon->stats, CORE_REQUESTS_BAD, 1);
        error = r == -EINVAL ? UMBEL_ERROR_BAD_REQUEST : UMBEL_ERROR_INTERNAL;
        goto fail;
    }
    answer = answer_make(daemon, question, &identity);
    if (!answer)
        goto fail;
    if (memory)
        answer->question = session_newest(question->messages.data, question->messages.size);
    if (bill_output_tokens(bill)) {
        upstream_cap_parameters(parameters, bill_output_tokens(bill), &capped);
        if (capped.failed)
            goto fail;
        parameters = span_of(capped.data, capped.size);
    }
    struct upstream_question call = {.model = model,
                                     .messages = messages.data,
                                     .messages_size = messages.size,
                                     .parameters = parameters.size ? parameters.data : NULL,
                                     .parameters_size = parameters.size,
                                     .app = app->config->name,
                                     .stream = answer->id};
    answer->route = daemon_route_hold(app->route);
    r = group_call_start(daemon->loop, app->members, app->member_count, &call, &call_ops, answer, &answer->call, why);
    if (r < 0) {
        stats_add(daemon->stats, CORE_STREAMS_BUSY, r == -EBUSY);
        error = r == -EBUSY ? UMBEL_ERROR_BUSY : r == -EMSGSIZE || r == -EINVAL ? UMBEL_ERROR_BAD_REQUEST : UMBEL_ERROR_INTERNAL;
        goto fail;
    }
    if (app->config->continue_on_failure && group_call_may_continue(answer->call, answer->id) < 0)
        log_line(LOG_WARN, answer->id, "no memory to continue it should its upstream fail");
    answer->upstream = upstream_name(group_call_member(answer->call)->upstream);
    answer_stats_choose(daemon->stats, answer->upstream, &answer->figures);
    identity.opened_ns = clock_now_ns();
    identity.asker = question->asker;
    copy_word(identity.app, sizeof identity.app, app->config->name, strlen(app->config->name));
    copy_word(identity.model, sizeof identity.model, model, strlen(model));
    copy_word(identity.session, sizeof identity.session, question->session, strlen(question->session));
    if (bus_open(daemon->bus, &identity, &answer->ref) < 0) {
        group_call_cancel(answer->call);
        error = refuse_full(daemon, why);
        goto fail;
    }
    if (replaced) {
        session_replace(session, question->messages.data, question->messages.size);
        if (daemon->history)
            answer_replace_history(daemon, question->app, session);
    }
    answer->bill = bill;
    bill_asked(bill, daemon, model, messages.size + question->parameters.size);
    answer_register(daemon->answers, answer, session);
    fill_row(answer, question, model);
    answer_trail_asked(answer, question->transport, messages.size);
    daemon_tail_opened(answer);
    stats_add(daemon->stats, CORE_STREAMS_OPENED, 1);
    stats_set(daemon->stats, CORE_STREAMS_LIVE, daemon->answers->live_count);
    umbel_out_free(&messages);
    umbel_out_free(&capped);
    *ret_answer = answer;
    return 0;
fail:
    umbel_out_free(&messages);
    umbel_out_free(&capped);
    bill_drop(daemon, bill);
    if (answer) {
        daemon_route_drop(answer->route);
        free(answer->question);
        free(answer);
    }
    return error;
}

void answer_host_gone(struct answer_table *table, uint32_t host)
{
    struct list *lists[] = {&table->live, &table->ended};

    for (size_t i = 0; i < 2; i++)
        list_for_each(link, spare, lists[i])
            answer_set_readers(list_entry(link, struct answer, in_order), host, 0);
}

uint32_t answer_host_count(const struct answer_table *table, uint32_t host)
{
    uint32_t count = 0;

    list_for_each(link, spare, &table->live)
    {
        const struct answer *answer = list_entry(link, struct answer, in_order);
        for (uint32_t i = 0; i < answer->reader_hosts; i++)
            count += answer->readers[i].host == host;
    }
    return count;
}

void answer_tick(struct answer_table *table, uint64_t now_ns)
{
    uint64_t linger_ns = table->daemon->config->linger_s * CLOCK_S;

    list_for_each(link, spare, &table->ended) {
        struct answer *answer = list_entry(link, struct answer, in_order);
        if (now_ns - answer->ended_ns < linger_ns)
            break; /* the list is in order of ends */
        if (answer->reader_total == 0)
            journal_evict(bus_journal(table->daemon->bus), answer->ref);
    }
}
