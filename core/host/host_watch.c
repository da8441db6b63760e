/* host/host_watch.c - watches: each new answer of a session, or of a whole app, is begun for those who watch it, once.
 *
 *   OPEN on the ring, or the journal after a lap --> everybody who watches its session, but who asked for it (BEGAN gives it to him)
 *   WATCHED of the core: the watch is allowed, and what ran when it was --> that watch alone
 * Before WATCHED nothing is shown: what begins meanwhile is noted.  What was published before a frame was sent is handled before the frame
 * (host_channel.c), so an answer that WATCHED names has been shown to this client already if anything else of it was to have it: whether
 * it reads it, or was told its end since it asked, is looked up. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/host/hosting.h"

static uint32_t bucket_of(const char *app, const char *session)
{
    uint32_t hash = 2166136261u;

    for (; *app; app++)
        hash = (hash ^ (unsigned char)*app) * 16777619u;
    for (; *session; session++)
        hash = (hash ^ (unsigned char)*session) * 16777619u;
    return hash % HOSTING_WATCH_BUCKETS;
}

/* While anybody watches, each new stream is worth a look; else only the streams with readers here. */
static void set_interest(struct hosting *hosting)
{
    ring_wake_interest_all(hosting->page, hosting->watch_count > 0);
    for (uint32_t bit = 0; hosting->watch_count == 0 && bit < 64 * RING_INTEREST_WORDS; bit++)
        if (hosting->interest_uses[bit])
            ring_wake_interest(hosting->page, bit, true);
}

static void watch_kill(struct host_watch *watch)
{
    struct hosting *hosting = watch->client->hosting;

    if (watch->dead)
        return;
    watch->dead = true;
    list_remove(&watch->in_client);
    list_append(&hosting->dead_watches, &watch->in_client);
    if (--hosting->watch_count == 0)
        set_interest(hosting);
}

static int ask_core(struct umbel_client *client, struct host_watch *watch)
{
    struct hosting *hosting = client->hosting;
    struct host_request *request = host_request_new(hosting, HOST_REQUEST_WATCH, client, watch->tag);

    if (!request)
        return -ENOMEM;
    struct control_out *out = host_channel_begin(hosting, CONTROL_WATCH, request->number);
    control_put(out, client->grant);
    control_put_text(out, watch->session, strlen(watch->session));
    int r = host_channel_send(hosting);
    if (r < 0) {
        host_request_free(hosting, request);
        return r;
    }
    watch->request = request->number;
    client->watches_asked++;
    return 0;
}

int host_watch(struct umbel_client *client, uint64_t tag, const char *session)
{
    struct hosting *hosting = client->hosting;

    if (client->dead || hosting->core_gone)
        return -EPIPE;
    if (!client->grant)
        return -EPERM;
    if (strlen(session) >= JOURNAL_SESSION_MAX)
        return -EMSGSIZE;
    struct host_watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return -ENOMEM;
    *watch = (struct host_watch){.client = client, .tag = tag, .begun_ns = clock_now_ns()};
    strcpy(watch->session, session); /* fits: its length was checked above */
    uint32_t bucket = bucket_of(client->app, session);
    watch->next = hosting->watches[bucket];
    hosting->watches[bucket] = watch;
    list_append(&client->watches, &watch->in_client);
    if (hosting->watch_count++ == 0)
        set_interest(hosting); /* from here on no new stream is missed; the core's answer names those that run already */
    int r = ask_core(client, watch);
    if (r < 0)
        watch_kill(watch);
    return r;
}

void host_unwatch(struct umbel_client *client, uint64_t tag)
{
    list_for_each(link, spare, &client->watches) {
        struct host_watch *watch = list_entry(link, struct host_watch, in_client);
        if (watch->tag == tag)
            watch_kill(watch);
    }
}

static void forget_ends(struct umbel_client *client)
{
    free(client->ended);
    client->ended = NULL;
    client->ended_count = client->ended_room = 0;
}

void host_watch_leave(struct umbel_client *client)
{
    list_for_each(link, spare, &client->watches)
        watch_kill(list_entry(link, struct host_watch, in_client));
    client->watches_asked = 0;
    forget_ends(client);
}

void host_watch_ended(struct umbel_client *client, struct journal_ref ref)
{
    if (client->watches_asked == 0 || client->ended_count == HOSTING_ENDED_MAX)
        return;
    if (client->ended_count == client->ended_room) {
        uint32_t room = client->ended_room ? client->ended_room * 2 : 8;
        struct journal_ref *ended = realloc(client->ended, room * sizeof *ended);
        if (!ended)
            return;
        client->ended = ended;
        client->ended_room = room;
    }
    client->ended[client->ended_count++] = ref;
}

void host_watch_settled(struct umbel_client *client)
{
    if (--client->watches_asked == 0)
        forget_ends(client);
}

static bool is_same(struct journal_ref a, struct journal_ref b)
{
    return a.slot == b.slot && a.generation == b.generation;
}

/* A client may read thousands of answers, and an answer have thousands of readers: the shorter of both lists decides. */
static bool reads(const struct umbel_client *client, struct journal_ref ref)
{
    const struct host_feed *feed = ref.slot < client->hosting->journal.slots ? client->hosting->feeds[ref.slot] : NULL;

    if (!feed || feed->cursor.ref.generation != ref.generation)
        return false;
    const struct list *mine = client->readers.next, *its = feed->readers.next;
    for (; mine != &client->readers && its != &feed->readers; mine = mine->next, its = its->next) {
        const struct umbel_reader *reader = list_entry(its, struct umbel_reader, in_feed);
        if (list_entry(mine, struct umbel_reader, in_client)->feed == feed || (reader->client == client && !reader->dead))
            return true;
    }
    return false;
}

/* It reads this answer, or was told its end. */
static bool has(const struct umbel_client *client, struct journal_ref ref)
{
    for (uint32_t i = 0; i < client->ended_count; i++)
        if (is_same(client->ended[i], ref))
            return true;
    return reads(client, ref);
}

/* It asked for this answer: BEGAN, which comes behind OPEN, gives it to the client as its own. */
static bool asked_for(const struct umbel_client *client, const struct journal_identity *identity)
{
    const struct host_request *request = identity->asker ? host_request_find(client->hosting, identity->asker) : NULL;

    return request && request->kind == HOST_REQUEST_ASK && request->client == client;
}

/* What cannot be begun any more is passed over: a refusal would be one of the whole watch. */
static void begin(struct host_watch *watch, struct journal_ref ref)
{
    const char *text;

    if (watch->dead) /* the plugin may end it whenever it is called */
        return;
    if (watch->request) {
        if (watch->early_count < HOSTING_WATCH_EARLY)
            watch->early[watch->early_count] = ref;
        if (watch->early_count <= HOSTING_WATCH_EARLY)
            watch->early_count++;
    } else if (!has(watch->client, ref))
        host_reader_try(watch->client->hosting, watch->client, watch->tag, ref, 0, &text);
}

static bool is_for(const struct host_watch *watch, const struct journal_identity *identity, bool ended)
{
    return (!*watch->session || strcmp(watch->session, identity->session) == 0) && strcmp(watch->client->app, identity->app) == 0 &&
           !(ended && identity->opened_ns < watch->begun_ns) && !asked_for(watch->client, identity);
}

static void show_in(struct hosting *hosting, const struct journal_identity *identity, const char *session, struct journal_ref ref, bool ended)
{
    for (struct host_watch *watch = hosting->watches[bucket_of(identity->app, session)]; watch; watch = watch->next)
        if (!watch->dead && strcmp(watch->session, session) == 0 && is_for(watch, identity, ended))
            begin(watch, ref);
}

static void show(struct hosting *hosting, const struct journal_identity *identity, struct journal_ref ref, bool ended)
{
    if (identity->session[0] == '\0')
        return;
    show_in(hosting, identity, identity->session, ref, ended);
    show_in(hosting, identity, "", ref, ended); /* who watches every session of the app */
}

/* Notes that ref has been shown.  false: it was before, or the slot has a newer stream by now. */
static bool is_news(struct hosting *hosting, struct journal_ref ref)
{
    uint32_t *shown;

    if (ref.slot >= hosting->journal.slots)
        return false;
    shown = &hosting->shown[ref.slot];
    if (*shown && (int32_t)(ref.generation - *shown) <= 0)
        return false;
    *shown = ref.generation;
    return true;
}

/* Of streams that have ended meanwhile only those are owed that began while somebody watched. */
static void look_at(void *owner, struct journal_ref ref)
{
    struct hosting *hosting = owner;
    struct journal_identity identity;
    uint64_t state, committed;

    if (is_news(hosting, ref) && hosting->watch_count > 0 && journal_stat(&hosting->journal, ref, &state, &committed) == 0 &&
        journal_identity(&hosting->journal, ref, &identity) == 0 && identity.opened_ns > 0)
        show(hosting, &identity, ref, state == JOURNAL_CLOSED);
}

void host_watch_opened(struct hosting *hosting, struct journal_ref ref)
{
    look_at(hosting, ref);
}

void host_watch_missed(struct hosting *hosting)
{
    journal_find(&hosting->journal, look_at, hosting);
}

int host_watch_init(struct hosting *hosting)
{
    hosting->shown = calloc(hosting->journal.slots, sizeof *hosting->shown);
    if (!hosting->shown)
        return -ENOMEM;
    host_watch_missed(hosting); /* nobody watches yet: what is there already is only noted */
    return 0;
}

struct host_watch *host_watch_answered(struct umbel_client *client, uint64_t number, uint32_t error, const char *text)
{
    struct host_watch *watch = NULL;

    list_for_each(link, spare, &client->watches)
        if (list_entry(link, struct host_watch, in_client)->request == number)
            watch = list_entry(link, struct host_watch, in_client);
    if (!watch)
        return NULL;
    watch->request = 0;
    if (!error)
        return watch;
    watch_kill(watch);
    client->codec->refused(client->data, watch->tag, error, text);
    return NULL;
}

void host_watch_runs(struct host_watch *watch, struct journal_ref ref)
{
    struct journal_identity identity;

    for (uint32_t i = 0; i < watch->early_count && i < HOSTING_WATCH_EARLY; i++)
        if (is_same(watch->early[i], ref))
            watch->early[i] = (struct journal_ref){0, 0}; /* once is enough, whatever becomes of it */
    if (journal_identity(&watch->client->hosting->journal, ref, &identity) == 0 && !asked_for(watch->client, &identity))
        begin(watch, ref);
}

/* One that began while the core had not yet allowed the watch. */
static void look_for_early(void *owner, struct journal_ref ref)
{
    struct host_watch *watch = owner;
    const struct hosting *hosting = watch->client->hosting;
    struct journal_identity identity;

    if (journal_identity(&hosting->journal, ref, &identity) == 0 && identity.session[0] && identity.opened_ns >= watch->begun_ns &&
        hosting->shown[ref.slot] == ref.generation && is_for(watch, &identity, true))
        begin(watch, ref);
}

void host_watch_listed(struct host_watch *watch)
{
    if (watch->early_count > HOSTING_WATCH_EARLY)
        journal_find(&watch->client->hosting->journal, look_for_early, watch);
    for (uint32_t i = 0; i < watch->early_count && i < HOSTING_WATCH_EARLY; i++)
        if (watch->early[i].generation)
            begin(watch, watch->early[i]);
}

void host_watch_own(struct umbel_client *client, struct journal_ref ref)
{
    struct journal_identity identity;
    struct host_watch *found = NULL;

    if (journal_identity(&client->hosting->journal, ref, &identity) < 0)
        return;
    list_for_each(link, spare, &client->watches) {
        struct host_watch *watch = list_entry(link, struct host_watch, in_client);
        if (is_for(watch, &identity, false) && (!found || found->request)) /* one is enough, best one that is allowed already */
            found = watch;
    }
    if (found)
        begin(found, ref);
}
