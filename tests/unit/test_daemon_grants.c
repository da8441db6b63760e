/* core/daemon/daemon_grants: grants that an authorize service gave, against a service that the test plays.  The file itself is included: what it
 * calls of the rest of the daemon is played below. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/daemon/daemon_grants.c"

static struct {
    struct daemon daemon;
    struct daemon_app app;
    struct config_app config;
    struct daemon_transport transport;
    struct config_transport transport_config;
    struct daemon_host host, other;
    char path[64];
    bool knows;                       /* the service answers at once */
    struct authorize_verdict verdict; /* with this */
    struct authorize_ask *waiting;
    unsigned asked;
    char credential[64];
    char events[4096]; /* "+TAG" went on, "-TAG:ERROR:WORDS" was refused */
} t;

bool daemon_authorize_wanted(const struct daemon *daemon, uint32_t app)
{
    (void)daemon;
    return app == 0;
}

int daemon_authorize_ask(struct daemon *daemon, uint32_t app, const struct authorize_question *question, struct authorize_ask *ask,
                         struct authorize_verdict *ret_verdict)
{
    (void)daemon;
    (void)app;
    t.asked++;
    snprintf(t.credential, sizeof t.credential, "%.*s", (int)question->credential.size, question->credential.data);
    list_init(&ask->link);
    *ret_verdict = t.verdict;
    t.waiting = t.knows ? NULL : ask;
    return t.knows;
}

uint32_t daemon_authorize_error(const struct authorize_verdict *verdict)
{
    return verdict->code == 101 ? UMBEL_ERROR_QUOTA : UMBEL_ERROR_AUTH;
}

const char *daemon_auth_kind(uint32_t kind)
{
    return kind == 1 ? "key" : "public_id";
}

static void note(const char *format, ...)
{
    size_t at = strlen(t.events);
    va_list args;

    va_start(args, format);
    vsnprintf(t.events + at, sizeof t.events - at, format, args);
    va_end(args);
}

void daemon_frames_again(struct daemon_host *h, uint32_t type, uint64_t tag, struct control_in *in, const struct daemon_refusal *refusal)
{
    assert_ptr_equal(h, &t.host);
    assert_int_equal(type, CONTROL_ASK);
    assert_true(in->end - in->at >= 8);
    if (refusal)
        note("-%u:%u:%s ", (unsigned)tag, refusal->error, refusal->text);
    else
        note("+%u ", (unsigned)tag);
}

static int setup(void **state)
{
    struct why why = {""};

    (void)state;
    memset(&t, 0, sizeof t);
    snprintf(t.path, sizeof t.path, "/tmp/umbel-grants-%d", (int)getpid());
    t.config = (struct config_app){.name = (char[]){"shop"}, .key_limits = {.concurrent = 7, .prompt_bytes = 8}};
    t.app.config = &t.config;
    t.daemon.apps = &t.app;
    t.daemon.app_count = 1;
    t.transport_config = (struct config_transport){.name = (char[]){"wx"}, .max_connections = 3};
    t.transport = (struct daemon_transport){.daemon = &t.daemon, .config = &t.transport_config};
    t.host = t.other = (struct daemon_host){.daemon = &t.daemon, .transport = &t.transport};
    list_init(&t.host.grants);
    list_init(&t.other.grants);
    t.verdict = (struct authorize_verdict){.result = AUTHORIZE_ALLOW, .user = "ann", .message = "", .until_ns = UINT64_MAX};
    return core_stats_create(t.path, 4, 4, 4, &t.daemon.stats, &why);
}

static int teardown(void **state)
{
    (void)state;
    daemon_grants_forget(&t.host);
    daemon_grants_forget(&t.other);
    assert_int_equal(t.host.waiting_bytes, 0);
    daemon_grants_free(&t.daemon);
    stats_page_free(t.daemon.stats);
    unlink(t.path);
    return 0;
}

static uint64_t add(struct daemon_host *h)
{
    const struct daemon_grant_owner of = {.app = 0, .kind = 1, .credential = span_text("token"), .client_ip = ""};

    return daemon_grants_add(h, &of, &t.verdict);
}

/* A question with this grant, and more bytes behind. */
static enum grant_gate ask(uint64_t grant, uint64_t tag, size_t more, struct daemon_refusal *ret_refusal)
{
    char *body = calloc(1, sizeof grant + more);
    struct control_in in = {body, body + sizeof grant + more, false};

    memcpy(body, &grant, sizeof grant);
    enum grant_gate gate = daemon_grants_gate(&t.host, CONTROL_ASK, tag, &in, ret_refusal);
    free(body);
    return gate;
}

/* Goal: a worker's grants are bounded, and one that was given back is nobody's.  Method: up to the bound and one more; a place used twice.
 * Catches: a bound one off, an old number that opens a new client's grant, another worker that ends one. */
static void test_bound_and_generation(void **state)
{
    const uint32_t most = t.transport_config.max_connections + GRANTS_SPARE;
    struct daemon_grant_view view;
    uint64_t first = add(&t.host), last = 0;

    (void)state;
    assert_true(first & CONTROL_GRANT_HELD);
    for (uint32_t i = 1; i < most; i++)
        assert_true((last = add(&t.host)) != 0);
    assert_int_equal(add(&t.host), 0);
    assert_true(add(&t.other) != 0); /* another worker has its own */
    daemon_grants_leave(&t.other, first);
    assert_true(daemon_grants_view(&t.daemon, first, &view) && view.host == &t.host);
    daemon_grants_leave(&t.host, first);
    assert_false(daemon_grants_view(&t.daemon, first, &view));
    uint64_t again = add(&t.host);
    assert_int_equal((uint32_t)again, (uint32_t)first);
    assert_true(again != first && daemon_grants_view(&t.daemon, again, &view));
    assert_false(daemon_grants_view(&t.daemon, first, &view));
    for (uint64_t wrong = 0; wrong < 3; wrong++) /* numbers that a worker may invent */
        assert_false(daemon_grants_view(&t.daemon, CONTROL_GRANT_HELD | (uint64_t)wrong << 32 | UINT32_MAX, &view));
    daemon_grants_leave(&t.host, last);
    assert_int_equal(t.host.grant_count, most - 1);
}

/* Goal: user and limits as the service said, the app's where it did not.  Catches: an explicit 0 taken for "not said". */
static void test_view(void **state)
{
    struct daemon_grant_view view;

    (void)state;
    t.verdict.limits.given[AUTHORIZE_CONCURRENT] = true;
    uint64_t grant = add(&t.host);
    assert_true(daemon_grants_view(&t.daemon, grant, &view));
    assert_string_equal(view.user, "user:ann");
    assert_int_equal(view.limits->concurrent, 0);
    assert_int_equal(view.limits->prompt_bytes, 8);
    t.verdict = (struct authorize_verdict){.result = AUTHORIZE_FAILED, .user = "", .message = ""};
    grant = add(&t.host);
    assert_true(daemon_grants_view(&t.daemon, grant, &view));
    assert_string_equal(view.user, "open");
    assert_int_equal(view.limits->concurrent, 7);
}

/* Goal: once it is over the service is asked once, all frames wait in order and then go on; denied, each is refused with its words; allowed again,
 * the client goes on.  Method: a service that waits.  Catches: frames that overtake, one question a frame, a denial for ever. */
static void test_asked_again(void **state)
{
    struct daemon_refusal refusal;

    (void)state;
    t.verdict.until_ns = 1;
    uint64_t grant = add(&t.host);
    assert_int_equal(ask(grant, 1, 0, &refusal), GRANT_GOES); /* its first frame: it was asked about a moment ago */
    for (uint64_t tag = 2; tag < 5; tag++)
        assert_int_equal(ask(grant, tag, 100, &refusal), GRANT_WAITS);
    assert_int_equal(t.asked, 1);
    assert_string_equal(t.credential, "token");
    t.waiting->done(t.waiting, &t.verdict);
    assert_string_equal(t.events, "+2 +3 +4 ");
    assert_int_equal(t.host.waiting_bytes, 0);
    assert_int_equal(ask(grant, 5, 0, &refusal), GRANT_WAITS);
    struct authorize_verdict no = {.result = AUTHORIZE_DENY, .code = 101, .message = "pay", .user = "", .until_ns = UINT64_MAX};
    t.waiting->done(t.waiting, &no);
    assert_string_equal(t.events, "+2 +3 +4 -5:2:pay ");
    assert_int_equal(ask(grant, 6, 0, &refusal), GRANT_REFUSED); /* still known */
    assert_true(refusal.error == UMBEL_ERROR_QUOTA && strcmp(refusal.text, "pay") == 0);
    assert_int_equal(t.asked, 2);
}

/* Goal: a failure is no denial: closed, the frame is refused as busy and the next one asks again; open, who was known stays so.  Catches: a user
 * thrown out, or made nobody, by a service that restarts. */
static void test_failure(void **state)
{
    struct daemon_refusal refusal;
    struct daemon_grant_view view;

    (void)state;
    t.verdict.until_ns = 1;
    uint64_t grant = add(&t.host);
    ask(grant, 1, 0, &refusal);
    t.verdict = (struct authorize_verdict){.result = AUTHORIZE_FAILED, .user = "", .message = ""};
    t.knows = true;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ask(grant, 2, 0, &refusal), GRANT_REFUSED);
        assert_int_equal(refusal.error, UMBEL_ERROR_BUSY);
    }
    assert_int_equal(t.asked, 2);
    t.config.authorize.fail_open = true;
    for (int i = 0; i < 2; i++)
        assert_int_equal(ask(grant, 3, 0, &refusal), GRANT_GOES);
    assert_int_equal(t.asked, 3);
    assert_true(daemon_grants_view(&t.daemon, grant, &view));
    assert_string_equal(view.user, "user:ann");
}

/* Goal: a flood is no failure of the service: also with on_failure = open the frame is refused as busy, and the next one asks again.
 * Method: an open app, a grant that is over, the overload verdict at once and after a wait.  Catches: a flood that makes every old grant good. */
static void test_overload(void **state)
{
    const struct authorize_verdict overload = {.result = AUTHORIZE_FAILED, .user = "", .message = "", .overload = true};
    struct daemon_refusal refusal;

    (void)state;
    t.config.authorize.fail_open = true;
    t.verdict.until_ns = 1;
    uint64_t grant = add(&t.host);
    ask(grant, 1, 0, &refusal);
    assert_int_equal(ask(grant, 2, 0, &refusal), GRANT_WAITS);
    t.waiting->done(t.waiting, &overload);
    assert_string_equal(t.events, "-2:4:" DAEMON_AUTH_CANNOT_CHECK " ");
    t.verdict = overload;
    t.knows = true;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ask(grant, 3, 0, &refusal), GRANT_REFUSED);
        assert_int_equal(refusal.error, UMBEL_ERROR_BUSY);
    }
    assert_int_equal(t.asked, 3);
    t.verdict.overload = false;
    assert_int_equal(ask(grant, 4, 0, &refusal), GRANT_GOES);
}

/* Goal: what waits is bounded in bytes; a client that left is still owed what it asked for, a worker that died nothing.  Catches: memory without
 * bound, a lost question, a callback into freed memory (with a sanitizer). */
static void test_waiting_ends(void **state)
{
    struct daemon_refusal refusal;
    struct daemon_grant_view view;

    (void)state;
    t.verdict.until_ns = 1;
    uint64_t grant = add(&t.host);
    ask(grant, 1, 0, &refusal);
    assert_int_equal(ask(grant, 2, GRANTS_WAITING_BYTES / 2, &refusal), GRANT_WAITS);
    assert_int_equal(ask(grant, 3, GRANTS_WAITING_BYTES / 2, &refusal), GRANT_REFUSED);
    assert_int_equal(refusal.error, UMBEL_ERROR_BUSY);
    daemon_grants_leave(&t.host, grant);
    assert_true(daemon_grants_view(&t.daemon, grant, &view));
    t.waiting->done(t.waiting, &t.verdict);
    assert_string_equal(t.events, "+2 ");
    assert_false(daemon_grants_view(&t.daemon, grant, &view));
    grant = add(&t.host);
    ask(grant, 4, 0, &refusal);
    assert_int_equal(ask(grant, 5, 0, &refusal), GRANT_WAITS);
    daemon_grants_forget(&t.host);
    assert_int_equal(t.host.waiting_bytes, 0);
    assert_int_equal(t.host.grant_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_bound_and_generation, setup, teardown),
                                       cmocka_unit_test_setup_teardown(test_view, setup, teardown),
                                       cmocka_unit_test_setup_teardown(test_asked_again, setup, teardown),
                                       cmocka_unit_test_setup_teardown(test_failure, setup, teardown),
                                       cmocka_unit_test_setup_teardown(test_overload, setup, teardown),
                                       cmocka_unit_test_setup_teardown(test_waiting_ends, setup, teardown)};

    return cmocka_run_group_tests_name("daemon_grants", tests, NULL, NULL);
}
