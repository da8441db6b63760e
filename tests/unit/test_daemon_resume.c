/* core/daemon/daemon_resume: clients that wait for the history, bounded.  The file itself is included; the history's side is played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/daemon/daemon_resume.c"
#include "core/metrics/stats_view.h"

struct reviving {
    reviving_done *done;
    void *owner;
    bool cancelled;
};

static struct {
    struct daemon daemon;
    struct daemon_transport transport;
    struct daemon_host host, other;
    char path[64];
    struct reviving waiting[2 * DAEMON_RESUMES_MAX + 8];
    uint32_t waiting_count, told, told_busy, cancelled;
    uint64_t last_tag;
    uint32_t last_error;
    bool at_once; /* the history's side answers inside */
    struct answer *found, revived; /* what the table has; what the history gives */
    uint32_t counted, named;
    bool read_here;
} t;

bool daemon_grant_app(const struct daemon *daemon, const struct daemon_transport *transport, uint64_t grant, uint32_t *ret_app)
{
    (void)daemon, (void)transport;
    *ret_app = 0;
    return grant == 1;
}

struct answer *answer_find(struct answer_table *table, int app, const char *id)
{
    (void)table, (void)app, (void)id;
    return t.found;
}

bool answer_has_readers(const struct answer *answer, uint32_t host)
{
    assert_non_null(answer);
    assert_int_equal(host, 3);
    return t.read_here;
}

void answer_set_readers(struct answer *answer, uint32_t host, uint32_t count)
{
    assert_true(answer && host == 3 && count == 1);
    assert_int_equal(t.told, t.counted); /* it counts before the host can know of it */
    t.counted++;
}

void answer_read_by(struct answer *answer, const char *transport)
{
    assert_non_null(answer);
    assert_string_equal(transport, "web");
    t.named++;
}

void daemon_frames_began(struct daemon_host *h, uint64_t tag, uint32_t error, struct journal_ref ref, const char *text)
{
    (void)h, (void)ref, (void)text;
    t.told++;
    t.told_busy += error == UMBEL_ERROR_BUSY;
    t.last_tag = tag;
    t.last_error = error;
}

void reviving_begin(struct daemon *daemon, uint32_t app, const char *id, reviving_done *done, void *owner, struct reviving **ret_reviving)
{
    (void)daemon, (void)app, (void)id;
    *ret_reviving = NULL;
    if (t.at_once) {
        done(owner, UMBEL_ERROR_NOT_FOUND, NULL, "no");
        return;
    }
    t.waiting[t.waiting_count] = (struct reviving){.done = done, .owner = owner};
    *ret_reviving = &t.waiting[t.waiting_count++];
}

void reviving_cancel(struct reviving *reviving)
{
    assert_false(reviving->cancelled);
    reviving->cancelled = true;
    t.cancelled++;
}

static int setup(void **state)
{
    static struct config_transport config;
    struct why why = {""};

    (void)state;
    memset(&t, 0, sizeof t);
    snprintf(t.path, sizeof t.path, "/tmp/umbel-resume-%d", (int)getpid());
    config.name = "web";
    t.transport.config = &config;
    t.host = t.other = (struct daemon_host){.number = 3, .daemon = &t.daemon, .transport = &t.transport};
    list_init(&t.host.resumes);
    list_init(&t.other.resumes);
    return core_stats_create(t.path, 4, 4, 4, &t.daemon.stats, &why);
}

static int teardown(void **state)
{
    (void)state;
    daemon_resume_forget(&t.host);
    daemon_resume_forget(&t.other);
    stats_page_free(t.daemon.stats);
    unlink(t.path);
    return 0;
}

static void resume(struct daemon_host *h, uint64_t tag)
{
    struct control_out out = {0};

    control_begin(&out, CONTROL_RESUME, tag);
    control_put(&out, 1);
    control_put_text(&out, "chatcmpl-x", 10);
    struct control_in in = {out.data + CONTROL_HEADER, out.data + out.size, false};
    assert_int_equal(daemon_resume(h, tag, &in), 0);
    control_out_free(&out);
}

static uint64_t refused(void)
{
    struct stats_view *view;
    struct why why = {""};
    uint64_t value = 0;

    assert_int_equal(stats_view_open(t.path, &view, &why), 0);
    assert_true(stats_view_find(view, "resumes_full", &value));
    stats_view_close(view);
    return value;
}

/* Goal: of one worker DAEMON_RESUMES_MAX wait, one more is told that we are busy, each place is given back with its answer.  Another worker
 * has its own places; a worker that dies gives all of them back and nobody is told.
 * Catches: a bound one off, a place lost with an answer that comes at once or with a dead worker, "no such answer" for "busy". */
static void test_bound(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < DAEMON_RESUMES_MAX; i++)
        resume(&t.host, i);
    assert_int_equal(t.told, 0);
    for (uint64_t i = 0; i < 3; i++)
        resume(&t.host, 5000 + i);
    assert_true(t.told == 3 && t.told_busy == 3 && t.last_tag == 5002);
    assert_int_equal(refused(), 3);
    resume(&t.other, 1);
    assert_int_equal(t.told, 3);
    t.waiting[7].done(t.waiting[7].owner, UMBEL_ERROR_NOT_FOUND, NULL, "no");
    assert_true(t.told == 4 && t.last_tag == 7 && t.last_error == UMBEL_ERROR_NOT_FOUND);
    t.at_once = true;
    for (uint64_t i = 0; i < 2 * DAEMON_RESUMES_MAX; i++)
        resume(&t.host, 6000); /* through the one free place */
    assert_int_equal(t.told_busy, 3);
    t.at_once = false;
    resume(&t.host, 8000);
    resume(&t.host, 8001);
    assert_true(t.told_busy == 4 && t.last_tag == 8001);
    uint32_t told = t.told;
    daemon_resume_forget(&t.host);
    assert_int_equal(t.cancelled, DAEMON_RESUMES_MAX);
    assert_int_equal(t.told, told);
    for (uint64_t i = 0; i < DAEMON_RESUMES_MAX; i++)
        resume(&t.host, i);
    assert_int_equal(t.told, told);
}

/* Goal: an answer that somebody comes back to counts a reader from the moment that the core says so until the host's own report, whether it
 * was there or in the history.  Catches: an answer that is given up or forgotten on the way, a host's own count overwritten. */
static void test_place(void **state)
{
    struct answer there = {0};

    (void)state;
    t.found = &there;
    resume(&t.host, 1);
    assert_true(t.told == 1 && t.counted == 1 && t.named == 1);
    t.read_here = true;
    resume(&t.host, 2);
    assert_true(t.told == 2 && t.counted == 1 && t.named == 1);
    t.counted = t.told;
    t.read_here = false;
    t.found = NULL;
    resume(&t.host, 3);
    t.waiting[0].done(t.waiting[0].owner, 0, &t.revived, "");
    assert_true(t.told == 3 && t.counted == 3 && t.named == 2 && t.last_error == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_bound, setup, teardown),
                                       cmocka_unit_test_setup_teardown(test_place, setup, teardown)};

    return cmocka_run_group_tests_name("daemon_resume", tests, NULL, NULL);
}
