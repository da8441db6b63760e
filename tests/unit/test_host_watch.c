/* Unit tests of watches in a host: real frames of the core on its channel, a real bus, no process between. */
#include "tests/unit/host_bench.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/control/control.h"

#define WATCH 7u
#define ASK 8u

struct scene {
    struct bench bench;
    int core; /* its end of the channel */
};

struct watcher {
    struct umbel_client *client;
    uint32_t watched, own; /* answers begun by the watch, by the question */
    uint32_t ended, refused;
    enum { READ_ON, LEAVE_OTHER_WATCH, CLOSE, DECLINE } then; /* what it does when an answer begins */
};

/* What happens just before the host asks for the state of a stream. */
static void (*before_stat)(void);

int __real_journal_stat(const struct journal_reader *reader, struct journal_ref ref, uint64_t *ret_state, uint64_t *ret_committed);
int __wrap_journal_stat(const struct journal_reader *reader, struct journal_ref ref, uint64_t *ret_state, uint64_t *ret_committed);

int __wrap_journal_stat(const struct journal_reader *reader, struct journal_ref ref, uint64_t *ret_state, uint64_t *ret_committed)
{
    void (*hook)(void) = before_stat;

    before_stat = NULL;
    if (hook)
        hook();
    return __real_journal_stat(reader, ref, ret_state, ret_committed);
}

static void on_authorized(void *data, uint32_t error, const char *text)
{
    (void)data, (void)error, (void)text;
}

static int on_began(void *data, uint64_t tag, struct umbel_reader *reader, const struct umbel_stream *stream,
                    struct umbel_reader_options *ret_options)
{
    struct watcher *watcher = data;

    (void)reader, (void)stream;
    *(tag == WATCH ? &watcher->watched : &watcher->own) += 1;
    ret_options->reader_data = watcher;
    if (watcher->then == LEAVE_OTHER_WATCH)
        host_unwatch(watcher->client, tag == WATCH ? ASK : WATCH);
    if (watcher->then == CLOSE) {
        host_client_close(watcher->client);
        watcher->client = NULL;
    }
    return watcher->then == DECLINE ? -1 : 0;
}

static void on_refused(void *data, uint64_t tag, uint32_t error, const char *text)
{
    (void)tag, (void)error, (void)text;
    ((struct watcher *)data)->refused++;
}

static int on_encode(void *self, uint32_t variant, void *data, const struct umbel_stream *stream, const struct umbel_event *event,
                     struct umbel_out *out)
{
    (void)self, (void)variant, (void)data, (void)stream;
    umbel_out_put(out, event->data, event->size);
    return 0;
}

static int on_write(void *data, const void *bytes, size_t size, int last)
{
    (void)data, (void)bytes, (void)size, (void)last;
    return UMBEL_WRITE_READY;
}

static void on_ended(void *data, uint32_t verdict)
{
    (void)verdict;
    ((struct watcher *)data)->ended++;
}

static const struct umbel_codec codec = {.struct_size = sizeof codec,
                                         .authorized = on_authorized,
                                         .began = on_began,
                                         .refused = on_refused,
                                         .encode = on_encode,
                                         .write = on_write,
                                         .ended = on_ended};

static void scene_open(struct scene *scene)
{
    struct why why = {""};
    int pair[2];

    bench_open(&scene->bench, 64, 1 << 20);
    struct hosting *h = scene->bench.hosting;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(dup2(pair[0], CONTROL_FD_CHANNEL), CONTROL_FD_CHANNEL);
    close(pair[0]);
    scene->core = pair[1];
    h->core_gone = false;
    h->transport.name = h->transport.version = "test";
    h->base = event_base_new();
    assert_non_null(h->base);
    assert_int_equal(host_channel_open(h, &why), 0);
}

static void scene_close(struct scene *scene)
{
    struct hosting *h = scene->bench.hosting;

    settle(&scene->bench);
    host_channel_close(h);
    event_base_free(h->base);
    fd_close(&scene->core);
    h->core_gone = true;
    settle(&scene->bench);
    bench_close(&scene->bench);
}

static void enter(struct scene *scene, struct watcher *watcher)
{
    *watcher = (struct watcher){0};
    watcher->client = host_client_open(&scene->bench.hosting->api, &codec, scene, watcher, "test");
    assert_non_null(watcher->client);
    strcpy(watcher->client->app, "shop");
    watcher->client->grant = 1;
}

/* Returns the number of the question to the core. */
static uint64_t want_watch(struct scene *scene, struct watcher *watcher, const char *session)
{
    assert_int_equal(host_watch(watcher->client, WATCH, session), 0);
    return scene->bench.hosting->next_request;
}

static uint64_t ask(struct scene *scene, struct watcher *watcher)
{
    struct umbel_request request = {.struct_size = sizeof request, .session = "s", .messages = "[]", .messages_size = 2};

    assert_int_equal(host_ask(watcher->client, ASK, &request), 0);
    return scene->bench.hosting->next_request;
}

static void send_frame(struct scene *scene, struct control_out *out)
{
    assert_true(control_end(out));
    assert_int_equal(write(scene->core, out->data, out->size), out->size);
    control_out_free(out);
    event_base_loop(scene->bench.hosting->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void put_ref(struct control_out *out, struct journal_ref ref)
{
    control_put(out, ref.slot);
    control_put(out, ref.generation);
}

static void tell_began(struct scene *scene, uint64_t number, struct journal_ref ref)
{
    struct control_out out = {0};

    control_begin(&out, CONTROL_BEGAN, number);
    control_put(&out, 0);
    put_ref(&out, ref);
    control_put_text(&out, "", 0);
    send_frame(scene, &out);
}

static void tell_watched(struct scene *scene, uint64_t number, struct journal_ref ref)
{
    struct control_out out = {0};

    control_begin(&out, CONTROL_WATCHED, number);
    control_put(&out, 0);
    control_put_text(&out, "", 0);
    control_put(&out, ref.generation ? 1 : 0);
    if (ref.generation)
        put_ref(&out, ref);
    send_frame(scene, &out);
}

static void refuse_watch(struct scene *scene, uint64_t number)
{
    struct control_out out = {0};

    control_begin(&out, CONTROL_WATCHED, number);
    control_put(&out, UMBEL_ERROR_AUTH);
    control_put_text(&out, "", 0);
    control_put(&out, 0);
    send_frame(scene, &out);
}

/* A watch, and the core's word that nothing runs. */
static void watch(struct scene *scene, struct watcher *watcher, const char *session)
{
    tell_watched(scene, want_watch(scene, watcher, session), (struct journal_ref){0, 0});
}

static struct journal_ref whole_stream(struct scene *scene)
{
    struct journal_ref ref = open_stream(&scene->bench);

    say(&scene->bench, ref, "text");
    end_stream(&scene->bench, ref, UMBEL_VERDICT_COMPLETE);
    return ref;
}

/* Goal: a watcher gets each new answer of its session once, also when the core's list names it after its end, and none that ended before it
 * came.  Catches: an answer told twice, whole, or to every watcher of the session. */
static void a_watcher_gets_each_answer_once(void **state)
{
    struct scene scene;
    struct watcher old, young, elsewhere, stranger, late;

    (void)state;
    scene_open(&scene);
    enter(&scene, &stranger);
    strcpy(stranger.client->app, "toys");
    watch(&scene, &stranger, "s");
    enter(&scene, &old);
    enter(&scene, &young);
    enter(&scene, &elsewhere);
    enter(&scene, &late);
    watch(&scene, &old, "s");
    watch(&scene, &elsewhere, "t");
    struct journal_ref ref = open_stream(&scene.bench);
    settle(&scene.bench);
    assert_int_equal(old.watched, 1);
    uint64_t number = want_watch(&scene, &young, "s"), again = want_watch(&scene, &old, "s");
    say(&scene.bench, ref, "text");
    end_stream(&scene.bench, ref, UMBEL_VERDICT_COMPLETE);
    settle(&scene.bench);
    assert_true(old.watched == 1 && old.ended == 1 && young.watched == 0);
    watch(&scene, &late, "s");
    tell_watched(&scene, number, ref); /* it ran when the core heard of that watch: it is owed, to that watch alone */
    tell_watched(&scene, again, ref);  /* his other watch has told him all of it */
    settle(&scene.bench);
    assert_true(old.watched == 1 && young.watched == 1 && young.ended == 1);
    assert_true(elsewhere.watched == 0 && late.watched == 0);
    ref = whole_stream(&scene); /* nobody has read the ring since before it began */
    settle(&scene.bench);
    assert_true(old.watched == 2 && young.watched == 2 && late.watched == 1 && late.ended == 1 && elsewhere.watched == 0);
    host_client_close(old.client);
    host_client_close(young.client);
    whole_stream(&scene);
    enter(&scene, &young);
    watch(&scene, &young, ""); /* of all sessions, but of no answer that had ended before */
    settle(&scene.bench);
    assert_true(young.watched == 0 && late.watched == 2);
    whole_stream(&scene);
    settle(&scene.bench);
    assert_true(young.watched == 1 && late.watched == 3 && stranger.watched == 0);
    host_client_close(young.client);
    host_client_close(stranger.client);
    host_client_close(elsewhere.client);
    host_client_close(late.client);
    scene_close(&scene);
}

/* Goal: nothing is shown before the core has allowed the watch, then all that began meanwhile, few answers or many; nothing at all if it
 * refuses.  Catches: text for somebody who may not read it (any more); an answer between the question and its answer that is lost, or told twice. */
static void a_watch_waits_for_the_core(void **state)
{
    struct scene scene;
    struct watcher allowed, refused, closing;

    (void)state;
    for (uint32_t many = 0; many <= 3 * HOSTING_WATCH_EARLY; many += HOSTING_WATCH_EARLY / 2) {
        scene_open(&scene);
        enter(&scene, &allowed);
        enter(&scene, &refused);
        enter(&scene, &closing);
        closing.then = CLOSE;
        struct journal_ref before = open_stream(&scene.bench);
        settle(&scene.bench);
        uint64_t good = want_watch(&scene, &allowed, "s"), bad = want_watch(&scene, &refused, "s");
        uint64_t last = want_watch(&scene, &closing, "s");
        for (uint32_t i = 0; i < many; i++)
            whole_stream(&scene);
        settle(&scene.bench);
        assert_true(allowed.watched == 0 && refused.watched == 0);
        tell_watched(&scene, good, before);
        refuse_watch(&scene, bad);
        assert_int_equal(refused.refused, 1);
        tell_watched(&scene, last, before);
        assert_int_equal(closing.watched, 1);
        end_stream(&scene.bench, before, UMBEL_VERDICT_COMPLETE);
        whole_stream(&scene);
        settle(&scene.bench);
        assert_int_equal(allowed.watched, many + 2);
        assert_int_equal(allowed.ended, many + 2);
        assert_int_equal(refused.watched, 0);
        host_client_close(allowed.client);
        host_client_close(refused.client);
        host_client_close(closing.client);
        scene_close(&scene);
    }
}

/* Goal: an answer that began while the watch waited, and that the core lists too, is offered once.  Catches: one that the plugin has declined and that
 * is offered again. */
static void what_was_declined_is_not_offered_again(void **state)
{
    struct scene scene;
    struct watcher watcher;

    (void)state;
    scene_open(&scene);
    enter(&scene, &watcher);
    watcher.then = DECLINE;
    uint64_t number = want_watch(&scene, &watcher, "s");
    struct journal_ref ref = open_stream(&scene.bench);
    settle(&scene.bench);
    tell_watched(&scene, number, ref);
    settle(&scene.bench);
    assert_int_equal(watcher.watched, 1);
    end_stream(&scene.bench, ref, UMBEL_VERDICT_COMPLETE);
    host_client_close(watcher.client);
    scene_close(&scene);
}

/* Goal: a client that reads many answers and watches once more is told the end of each once.  Catches: a memory of ends that is too short. */
static void a_second_watch_doubles_nothing(void **state)
{
    struct scene scene;
    struct watcher watcher;
    struct journal_ref refs[20];
    struct control_out out = {0};

    (void)state;
    scene_open(&scene);
    enter(&scene, &watcher);
    watch(&scene, &watcher, "s");
    for (uint32_t i = 0; i < 20; i++)
        refs[i] = open_stream(&scene.bench);
    settle(&scene.bench);
    uint64_t number = want_watch(&scene, &watcher, "");
    for (uint32_t i = 0; i < 20; i++)
        end_stream(&scene.bench, refs[i], UMBEL_VERDICT_COMPLETE);
    settle(&scene.bench);
    control_begin(&out, CONTROL_WATCHED, number);
    control_put(&out, 0);
    control_put_text(&out, "", 0);
    control_put(&out, 20);
    for (uint32_t i = 0; i < 20; i++)
        put_ref(&out, refs[i]);
    send_frame(&scene, &out);
    settle(&scene.bench);
    assert_true(watcher.watched == 20 && watcher.ended == 20);
    host_client_close(watcher.client);
    scene_close(&scene);
}

/* Goal: who watches and asks gets the own answer by the question and others by the watch, also while the question waits.  Catches: the own
 * answer told twice, a short answer of somebody else that is never shown, BEGAN overtaking OPEN. */
static void an_asker_misses_nothing_of_others(void **state)
{
    struct scene scene;
    struct watcher asker, other;

    (void)state;
    scene_open(&scene);
    enter(&scene, &asker);
    enter(&scene, &other);
    watch(&scene, &asker, "s");
    watch(&scene, &other, "s");
    uint64_t first = ask(&scene, &asker);
    whole_stream(&scene);
    settle(&scene.bench);
    assert_true(asker.watched == 1 && asker.ended == 1);
    struct journal_ref own = open_asked(&scene.bench, first);
    tell_began(&scene, first, own); /* before the host has looked at the ring */
    settle(&scene.bench);
    assert_true(asker.watched == 1 && asker.own == 1 && other.watched == 2);
    end_stream(&scene.bench, own, UMBEL_VERDICT_COMPLETE);
    settle(&scene.bench);
    assert_true(asker.watched == 1 && asker.own == 1 && asker.ended == 2);
    uint64_t second = ask(&scene, &asker);
    own = open_asked(&scene.bench, second);
    settle(&scene.bench);
    tell_began(&scene, second, own);
    settle(&scene.bench);
    assert_true(asker.watched == 1 && asker.own == 2 && other.watched == 3);
    end_stream(&scene.bench, own, UMBEL_VERDICT_COMPLETE);
    host_client_close(asker.client);
    host_client_close(other.client);
    scene_close(&scene);
}

/* Goal: the same when the host is far behind the ring: whatever was published before a frame of the core is handled before the frame.
 * Catches: answers that were asked for, read to their end from the journal, and then taken for new ones of others. */
static void frames_do_not_overtake_the_ring(void **state)
{
    struct scene scene;
    struct watcher asker;
    uint64_t numbers[12];

    (void)state;
    scene_open(&scene);
    enter(&scene, &asker);
    watch(&scene, &asker, "s");
    for (uint32_t i = 0; i < 12; i++)
        numbers[i] = ask(&scene, &asker);
    for (uint32_t i = 0; i < 12; i++) {
        struct journal_ref own = open_asked(&scene.bench, numbers[i]);
        end_stream(&scene.bench, own, UMBEL_VERDICT_COMPLETE);
        tell_began(&scene, numbers[i], own);
        do
            turn(&scene.bench, 0);
        while (host_feeds_busy(scene.bench.hosting));
    }
    settle(&scene.bench);
    assert_true(asker.own == 12 && asker.ended == asker.own && asker.watched == 0);
    host_client_close(asker.client);
    scene_close(&scene);
}

/* Goal: what the core says of one watch of a client is for that one, and a plugin may do what it likes when it is told.  Catches: an answer begun
 * for its neighbour, or for a later watch of the same tag; a walk that follows a watch out of its list. */
static void each_watch_of_a_client_is_its_own(void **state)
{
    struct scene scene;
    struct watcher watcher;

    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        scene_open(&scene);
        enter(&scene, &watcher);
        struct journal_ref ref = open_stream(&scene.bench);
        settle(&scene.bench);
        uint64_t first = want_watch(&scene, &watcher, "s");
        host_unwatch(watcher.client, WATCH);
        uint64_t second = want_watch(&scene, &watcher, "s");
        tell_watched(&scene, first, ref);
        assert_int_equal(watcher.watched, 0);
        assert_int_equal(host_watch(watcher.client, ASK, ""), 0);
        watcher.then = i;
        tell_watched(&scene, scene.bench.hosting->next_request, ref);
        assert_true(watcher.own == 1 && watcher.watched == 0);
        tell_watched(&scene, second, (struct journal_ref){0, 0});
        end_stream(&scene.bench, ref, UMBEL_VERDICT_COMPLETE);
        whole_stream(&scene);
        settle(&scene.bench);
        assert_int_equal(watcher.own + watcher.watched, i == CLOSE ? 1 : 2);
        assert_int_equal(watcher.ended, i == CLOSE ? 0 : 2);
        host_client_close(watcher.client);
        scene_close(&scene);
    }
}

/* Goal: an answer that its asker has given up before it heard of it is one that he watches like others'.  Catches: an answer that is shown to
 * everybody but him, or twice. */
static void a_question_that_was_given_up_is_watched(void **state)
{
    struct scene scene;
    struct watcher asker;

    (void)state;
    scene_open(&scene);
    enter(&scene, &asker);
    watch(&scene, &asker, "s");
    uint64_t number = ask(&scene, &asker);
    struct journal_ref ref = open_asked(&scene.bench, number);
    settle(&scene.bench);
    assert_int_equal(asker.watched, 0);
    host_abandon(asker.client, ASK);
    end_stream(&scene.bench, ref, UMBEL_VERDICT_COMPLETE);
    settle(&scene.bench);
    tell_began(&scene, number, ref);
    settle(&scene.bench);
    assert_true(asker.watched == 1 && asker.ended == 1 && asker.own == 0);
    number = ask(&scene, &asker);
    host_abandon(asker.client, ASK);
    ref = open_asked(&scene.bench, number);
    settle(&scene.bench);
    assert_int_equal(asker.watched, 2);
    tell_began(&scene, number, ref);
    settle(&scene.bench);
    assert_true(asker.watched == 2 && asker.own == 0);
    host_client_close(asker.client);
    scene_close(&scene);
}

/* Goal: while somebody is coming back to an answer nobody says that its last reader has left.  Catches: a report behind RESUME that takes the place
 * which the core has counted for him. */
static void who_comes_back_keeps_the_place(void **state)
{
    struct scene scene;
    struct watcher leaver, comer;

    (void)state;
    scene_open(&scene);
    enter(&scene, &leaver);
    enter(&scene, &comer);
    watch(&scene, &leaver, "s");
    struct journal_ref ref = open_stream(&scene.bench);
    settle(&scene.bench);
    struct host_feed *feed = scene.bench.hosting->feeds[ref.slot];
    assert_int_equal(feed->told, 1);
    assert_int_equal(host_resume(comer.client, ASK, feed->id, 0), 0);
    uint64_t number = scene.bench.hosting->next_request;
    assert_true(host_request_is_resumed(scene.bench.hosting, feed->id) && !host_request_is_resumed(scene.bench.hosting, "chatcmpl-0"));
    host_client_close(leaver.client);
    settle(&scene.bench);
    assert_ptr_equal(scene.bench.hosting->feeds[ref.slot], feed);
    assert_int_equal(feed->told, 1);
    tell_began(&scene, number, ref);
    settle(&scene.bench);
    assert_true(comer.own == 1 && feed->told == 1);
    host_client_close(comer.client);
    settle(&scene.bench);
    assert_null(scene.bench.hosting->feeds[ref.slot]);
    scene_close(&scene);
}

static struct scene *lapped;

/* While the host looks through the journal: a stream in a place that it has passed, one where it has not been, and the ring goes round. */
static void go_round(void)
{
    struct journal_ref passed = open_stream(&lapped->bench), ahead = open_stream(&lapped->bench);

    assert_true(passed.slot < ahead.slot);
    for (int i = 0; i < 80; i++)
        say(&lapped->bench, passed, "x");
}

/* Goal: the ring may go round as often as it likes, each answer is shown once.  Catches: a stream that was opened while the host looked for
 * those that it had missed, and that it never finds; those that ran before this host. */
static void laps_hide_nothing(void **state)
{
    struct scene scene;
    struct watcher watcher;

    (void)state;
    scene_open(&scene);
    enter(&scene, &watcher);
    struct journal_ref hole = open_stream(&scene.bench), before = open_stream(&scene.bench);
    memset(scene.bench.hosting->shown, 0, scene.bench.hosting->journal.slots * sizeof(uint32_t));
    host_watch_missed(scene.bench.hosting); /* as when a host begins in the midst of it */
    watch(&scene, &watcher, "s");
    end_stream(&scene.bench, hole, UMBEL_VERDICT_COMPLETE);
    journal_evict(bus_journal(scene.bench.bus), hole);
    struct journal_ref filler[4];
    for (int i = 0; i < 4; i++)
        filler[i] = open_stream(&scene.bench); /* the first in the hole */
    assert_int_equal(filler[0].slot, hole.slot);
    settle(&scene.bench);
    assert_int_equal(watcher.watched, 4);
    end_stream(&scene.bench, filler[0], UMBEL_VERDICT_COMPLETE);
    settle(&scene.bench);
    struct journal_ref missed = open_stream(&scene.bench);
    journal_evict(bus_journal(scene.bench.bus), filler[0]);
    for (int i = 0; i < 80; i++)
        say(&scene.bench, before, "x");
    lapped = &scene;
    before_stat = go_round; /* asked when the scan comes to what it missed */
    settle(&scene.bench);
    assert_null(before_stat);
    assert_int_equal(watcher.watched, 4 + 3);
    settle(&scene.bench);
    assert_int_equal(watcher.watched, 4 + 3);
    (void)missed;
    host_client_close(watcher.client);
    scene_close(&scene);
}

/* Goal: a BEGAN that names a stream whose place has a new owner by now is refused and touches nobody.  Catches: the readers of the new
 * stream being told that the rest is lost. */
static void a_late_begin_leaves_the_next_stream_alone(void **state)
{
    struct scene scene;
    struct watcher watcher, comer;

    (void)state;
    scene_open(&scene);
    enter(&scene, &watcher);
    enter(&scene, &comer);
    watch(&scene, &watcher, "s");
    struct journal_ref old = whole_stream(&scene);
    settle(&scene.bench);
    assert_int_equal(host_resume(comer.client, ASK, "chatcmpl-0", 0), 0);
    journal_evict(bus_journal(scene.bench.bus), old);
    struct journal_ref next = open_stream(&scene.bench);
    assert_int_equal(next.slot, old.slot);
    tell_began(&scene, scene.bench.hosting->next_request, old);
    settle(&scene.bench);
    assert_true(comer.refused == 1 && comer.own == 0 && watcher.watched == 2 && watcher.ended == 1);
    end_stream(&scene.bench, next, UMBEL_VERDICT_COMPLETE);
    settle(&scene.bench);
    assert_int_equal(watcher.ended, 2);
    host_client_close(watcher.client);
    host_client_close(comer.client);
    scene_close(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_watcher_gets_each_answer_once),         cmocka_unit_test(an_asker_misses_nothing_of_others),
        cmocka_unit_test(a_question_that_was_given_up_is_watched), cmocka_unit_test(laps_hide_nothing),
        cmocka_unit_test(a_late_begin_leaves_the_next_stream_alone), cmocka_unit_test(frames_do_not_overtake_the_ring),
        cmocka_unit_test(each_watch_of_a_client_is_its_own),       cmocka_unit_test(a_watch_waits_for_the_core),
        cmocka_unit_test(what_was_declined_is_not_offered_again),
        cmocka_unit_test(a_second_watch_doubles_nothing),          cmocka_unit_test(who_comes_back_keeps_the_place),
    };

    while (open("/dev/null", O_RDONLY | O_CLOEXEC) <= CONTROL_FD_CHANNEL) /* the channel's number is nobody else's */
        ;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
