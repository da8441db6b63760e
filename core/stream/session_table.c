#include "core/stream/session_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <umbel/json.h>

#define BUCKETS 4096u

struct session_table {
    struct list by_use; /* longest unused first */
    uint64_t idle_ns, evicted;
    uint32_t count, max;
    struct session *bucket[BUCKETS];
};

/* FNV-1a: names come from clients, but a bucket's length is bounded by sessions_max and the bucket count keeps it short */
static uint32_t bucket_of(uint32_t app, const char *name)
{
    uint64_t hash = 14695981039346656037ull ^ app;

    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 1099511628211ull;
    return (uint32_t)(hash ^ hash >> 32) % BUCKETS;
}

int session_table_create(uint32_t sessions_max, uint64_t idle_ns, struct session_table **ret_table)
{
    struct session_table *table = calloc(1, sizeof *table);

    if (!table)
        return -ENOMEM;
    list_init(&table->by_use);
    table->max = sessions_max;
    table->idle_ns = idle_ns;
    *ret_table = table;
    return 0;
}

static void drop_turns(struct session *session)
{
    for (uint32_t i = 0; i < session->turn_count; i++)
        free(session->turns[i]);
    session->turn_count = session->turn_bytes = 0;
}

static void session_free(struct session_table *table, struct session *session)
{
    struct session **link = &table->bucket[bucket_of(session->app, session->name)];

    while (*link != session)
        link = &(*link)->next_in_bucket;
    *link = session->next_in_bucket;
    list_remove(&session->by_use);
    drop_turns(session);
    free(session);
    table->count--;
}

void session_table_free(struct session_table *table)
{
    if (!table)
        return;
    list_for_each(link, spare, &table->by_use)
        session_free(table, list_entry(link, struct session, by_use));
    free(table);
}

uint32_t session_table_count(const struct session_table *table)
{
    return table->count;
}

uint64_t session_table_evicted(const struct session_table *table)
{
    return table->evicted;
}

struct session *session_find(struct session_table *table, uint32_t app, const char *name)
{
    for (struct session *s = table->bucket[bucket_of(app, name)]; s; s = s->next_in_bucket)
        if (s->app == app && strcmp(s->name, name) == 0)
            return s;
    return NULL;
}

/* Makes room for one more: the longest unused session without a running stream goes. */
static bool make_room(struct session_table *table)
{
    if (table->count < table->max)
        return true;
    list_for_each(link, spare, &table->by_use) {
        struct session *session = list_entry(link, struct session, by_use);
        if (list_is_empty(&session->streams) && session->pins == 0) {
            session_free(table, session);
            table->evicted++;
            return true;
        }
    }
    return false;
}

struct session *session_get(struct session_table *table, uint32_t app, const char *name, uint64_t now_ns)
{
    struct session *session = session_find(table, app, name);

    if (!session) {
        size_t size = strlen(name) + 1;
        if (!make_room(table))
            return NULL;
        session = calloc(1, sizeof *session + size);
        if (!session)
            return NULL;
        memcpy(session->name, name, size);
        session->app = app;
        list_init(&session->streams);
        list_init(&session->by_use);
        uint32_t bucket = bucket_of(app, name);
        session->next_in_bucket = table->bucket[bucket];
        table->bucket[bucket] = session;
        table->count++;
    } else if (now_ns - session->used_ns > table->idle_ns && list_is_empty(&session->streams)) {
        drop_turns(session);
    }
    session->used_ns = now_ns;
    list_remove(&session->by_use);
    list_append(&table->by_use, &session->by_use);
    return session;
}

void session_tidy(struct session_table *table, uint64_t now_ns)
{
    list_for_each(link, spare, &table->by_use) {
        struct session *session = list_entry(link, struct session, by_use);
        if (now_ns - session->used_ns <= table->idle_ns)
            break; /* the list is in order of use */
        if (list_is_empty(&session->streams) && session->pins == 0)
            session_free(table, session);
    }
}

static struct session_turn facts_of(const char *json, size_t size)
{
    struct umbel_json *message = umbel_json_parse(json, size, NULL, 0);
    const struct umbel_json *calls = umbel_json_member(message, "tool_calls");
    const char *role = umbel_json_member_text(message, "role", "");
    struct session_turn facts = {.kind = strcmp(role, "user") == 0 ? SESSION_TURN_USER : strcmp(role, "tool") == 0 ? SESSION_TURN_TOOL : SESSION_TURN_OTHER,
                                 .calls = umbel_json_type(calls) == UMBEL_JSON_ARRAY ? (uint32_t)umbel_json_count(calls) : 0};

    umbel_json_free(message);
    return facts;
}

/* Appends one turn, dropping the oldest until both bounds hold.  A message larger than all the room is not kept. */
static void keep_turn(struct session *session, char *json)
{
    size_t size = json ? strlen(json) : 0;

    if (size == 0 || size > SESSION_TURN_BYTES_MAX) {
        free(json);
        return;
    }
    while (session->turn_count == SESSION_TURNS_MAX || session->turn_bytes + size > SESSION_TURN_BYTES_MAX) {
        session->turn_bytes -= (uint32_t)strlen(session->turns[0]);
        free(session->turns[0]);
        session->turn_count--;
        memmove(session->turns, session->turns + 1, session->turn_count * sizeof session->turns[0]);
        memmove(session->facts, session->facts + 1, session->turn_count * sizeof session->facts[0]);
    }
    session->facts[session->turn_count] = facts_of(json, size);
    session->turns[session->turn_count++] = json;
    session->turn_bytes += (uint32_t)size;
}

static char *print_message(const struct umbel_json *message)
{
    struct umbel_out out = {0};

    umbel_json_print(message, &out);
    umbel_out_put(&out, "", 1);
    if (out.failed) {
        umbel_out_free(&out);
        return NULL;
    }
    return out.data;
}

static bool is_role(const struct umbel_json *message, const char *role)
{
    return strcmp(umbel_json_member_text(message, "role", ""), role) == 0;
}

/* The client's list must be messages, each an object with a known role; content's own form is the upstream's matter, but it must exist. */
static int check_messages(const struct umbel_json *list, size_t *ret_others, struct why *why)
{
    size_t others = 0;

    if (umbel_json_type(list) != UMBEL_JSON_ARRAY || umbel_json_count(list) == 0)
        return why_set(why, -EINVAL, "messages must be a list of at least one message");
    for (const struct umbel_json *m = umbel_json_first(list); m; m = umbel_json_next(m)) {
        if (umbel_json_type(m) != UMBEL_JSON_OBJECT)
            return why_set(why, -EINVAL, "each message must be an object with role and content");
        if (!is_role(m, "system") && !is_role(m, "developer") && !is_role(m, "user") && !is_role(m, "assistant") && !is_role(m, "tool"))
            return why_set(why, -EINVAL, "role must be system, user or assistant");
        if (!umbel_json_member(m, "content") && !umbel_json_member(m, "tool_calls"))
            return why_set(why, -EINVAL, "a message has no content");
        others += !is_role(m, "system") && !is_role(m, "developer");
    }
    if (others == 0)
        return why_set(why, -EINVAL, "messages must hold a question");
    *ret_others = others;
    return 0;
}

static void put_separator(struct umbel_out *out, bool *first)
{
    if (!*first)
        umbel_out_put(out, ",", 1);
    *first = false;
}

/* Puts the turns that services take: some refuse a conversation that does not begin with a user, all refuse tool calls without results and results
 * without calls.  Turns are lost at the front for want of room, and at the end when an answer failed or was another call.
 * following: results that come behind the stored turns. */
static void put_turns(const struct session *session, uint32_t following, struct umbel_out *out, bool *first)
{
    uint32_t i = 0, end = session->turn_count;

    while (i < end && session->facts[i].kind != SESSION_TURN_USER)
        i++;
    for (uint32_t next; i < end; i = next) {
        for (next = i + 1; next < end && session->facts[next].kind == SESSION_TURN_TOOL;)
            next++;
        uint32_t calls = session->facts[i].calls, results = next - i - 1 + (next == end ? following : 0);
        uint32_t until = calls == 0 ? i + 1 : results == calls ? next : i;
        for (uint32_t turn = i; turn < until; turn++) {
            put_separator(out, first);
            umbel_out_text(out, session->turns[turn]);
        }
    }
}

int session_compose(struct session *session, const char *messages, size_t size, const char *system, struct umbel_out *out,
                    bool *ret_replaced, struct why *why)
{
    char detail[160];
    size_t others = 0;
    bool first = true, has_system = false, is_result = false;
    struct umbel_json *list = umbel_json_parse(messages, size, detail, sizeof detail);

    if (!list)
        return why_set(why, -EINVAL, "messages is not valid JSON: %s", detail);
    int r = check_messages(list, &others, why);
    if (r < 0)
        goto out;
    umbel_out_put(out, "[", 1);
    for (const struct umbel_json *m = umbel_json_first(list); m; m = umbel_json_next(m)) {
        has_system = has_system || is_role(m, "system") || is_role(m, "developer");
        is_result = is_result || is_role(m, "tool");
    }
    if (*system && !has_system) {
        put_separator(out, &first);
        umbel_out_text(out, "{\"role\":\"system\",\"content\":");
        umbel_out_json(out, system, strlen(system));
        umbel_out_put(out, "}", 1);
    }
    for (const struct umbel_json *m = umbel_json_first(list); m; m = umbel_json_next(m))
        if (is_role(m, "system") || is_role(m, "developer")) {
            put_separator(out, &first);
            umbel_json_print(m, out);
        }
    if (session && others == 1)
        put_turns(session, is_result, out, &first);
    for (const struct umbel_json *m = umbel_json_first(list); m; m = umbel_json_next(m)) {
        if (is_role(m, "system") || is_role(m, "developer"))
            continue;
        put_separator(out, &first);
        umbel_json_print(m, out);
    }
    umbel_out_put(out, "]", 1);
    *ret_replaced = session && others > 1;
    r = out->failed ? why_set(why, -ENOMEM, "no memory for the question") : 0;
out:
    umbel_json_free(list);
    return r;
}

void session_replace(struct session *session, const char *messages, size_t size)
{
    struct umbel_json *list = umbel_json_parse(messages, size, NULL, 0);

    drop_turns(session);
    for (const struct umbel_json *m = umbel_json_first(list); m; m = umbel_json_next(m))
        if (!is_role(m, "system") && !is_role(m, "developer") && umbel_json_next(m)) /* the newest is remembered with its answer */
            keep_turn(session, print_message(m));
    umbel_json_free(list);
}

void session_restore(struct session *session, const char *message, size_t size)
{
    keep_turn(session, strndup(message, size));
}

void session_forget(struct session *session)
{
    drop_turns(session);
}

void session_remember(struct session *session, const char *user_message, const char *answer, size_t answer_size)
{
    struct umbel_out out = {0};

    if (answer_size == 0)
        return;
    keep_turn(session, strdup(user_message));
    umbel_out_text(&out, "{\"role\":\"assistant\",\"content\":");
    umbel_out_json(&out, answer, answer_size);
    umbel_out_put(&out, "}", 2); /* with the zero */
    if (out.failed)
        umbel_out_free(&out);
    else
        keep_turn(session, out.data);
}

char *session_newest(const char *messages, size_t size)
{
    struct umbel_json *list = umbel_json_parse(messages, size, NULL, 0);
    const struct umbel_json *last = NULL;
    char *text = NULL;

    for (const struct umbel_json *m = umbel_json_first(list); m; m = umbel_json_next(m))
        last = m;
    if (last)
        text = print_message(last);
    umbel_json_free(list);
    return text;
}
