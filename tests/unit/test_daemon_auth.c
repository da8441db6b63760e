/* core/daemon/daemon_auth: credentials on their way to a grant, against services that the test plays.  The file itself is included: what it calls
 * of the rest of the daemon is played below. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/daemon/daemon_auth.c"
#include "core/daemon/daemon_trail.h"

#define APPS 3u

static struct {
    struct daemon daemon;
    struct daemon_app apps[APPS];
    struct config_app configs[APPS];
    struct daemon_transport transport;
    struct config_transport transport_config;
    struct daemon_host host;
    char path[64];
    bool wanted[APPS], gone[APPS] /* not served any more */, knows;
    struct authorize_verdict verdicts[APPS];
    struct authorize_ask *waiting[AUTHS_MAX + 1];
    uint32_t waiting_count, waiting_app;
    char asked[1024];   /* "APP:CREDENTIAL@IP " */
    char answers[1024]; /* "TAG:ERROR:GRANT:TEXT " */
    uint32_t granted;   /* daemon_grants_add calls */
    bool full;
} t;

int daemon_find_app(const struct daemon *daemon, const char *name)
{
    (void)daemon;
    for (uint32_t a = 0; a < APPS; a++)
        if (strcmp(t.configs[a].name, name) == 0)
            return (int)a;
    return -1;
}

uint64_t daemon_find_grant(const struct daemon *daemon, const struct daemon_transport *transport,
                           const struct umbel_credential_view *credentials, size_t count)
{
    (void)daemon;
    (void)transport;
    for (size_t i = 0; i < count; i++)
        if (span_is(credentials[i].value, "key") || credentials[i].kind == UMBEL_CREDENTIAL_APP)
            return credentials[i].kind == UMBEL_CREDENTIAL_APP ? 2 : 1;
    return 0;
}

bool daemon_serves(const struct daemon *daemon, const struct daemon_transport *transport, uint32_t app)
{
    (void)daemon;
    (void)transport;
    return app < APPS && !t.gone[app];
}

bool daemon_grant_app(const struct daemon *daemon, const struct daemon_transport *transport, uint64_t grant, uint32_t *ret_app)
{
    (void)daemon;
    (void)transport;
    (void)grant;
    *ret_app = 0;
    return true;
}

bool daemon_authorize_wanted(const struct daemon *daemon, uint32_t app)
{
    (void)daemon;
    return t.wanted[app];
}

uint32_t daemon_authorize_error(const struct authorize_verdict *verdict)
{
    return verdict->code == 101 ? UMBEL_ERROR_QUOTA : verdict->code == 102 ? UMBEL_ERROR_RATE : UMBEL_ERROR_AUTH;
}

int daemon_authorize_ask(struct daemon *daemon, uint32_t app, const struct authorize_question *question, struct authorize_ask *ask,
                         struct authorize_verdict *ret_verdict)
{
    size_t at = strlen(t.asked);

    (void)daemon;
    if (at < sizeof t.asked - 64)
        snprintf(t.asked + at, sizeof t.asked - at, "%s:%.*s@%s ", question->app, (int)question->credential.size, question->credential.data,
                 question->client_ip);
    list_init(&ask->link);
    *ret_verdict = t.verdicts[app];
    if (!t.knows) {
        t.waiting[t.waiting_count++] = ask;
        t.waiting_app = app;
    }
    return t.knows;
}

uint64_t daemon_grants_add(struct daemon_host *h, const struct daemon_grant_owner *of, const struct authorize_verdict *verdict)
{
    (void)h;
    (void)verdict;
    t.granted++;
    return t.full ? 0 : 100 + of->app;
}

void daemon_trail_refused(struct daemon *daemon, const char *app, const char *transport, uint32_t error, const char *reason)
{
    (void)daemon, (void)app, (void)transport;
    assert_true(error != 0 && reason != NULL);
}

void daemon_frames_send(struct daemon_host *h, struct control_out *out)
{
    size_t at = strlen(t.answers);
    uint64_t tag;

    (void)h;
    assert_true(control_end(out));
    memcpy(&tag, out->data + 8, sizeof tag);
    struct control_in in = {out->data + CONTROL_HEADER, out->data + out->size, false};
    uint64_t error = control_get(&in), grant = control_get(&in);
    control_get_text(&in, CONTROL_TEXT_MAX);
    struct span text = control_get_text(&in, CONTROL_TEXT_MAX);
    assert_true(control_done(&in));
    if (at < sizeof t.answers - 300)
        snprintf(t.answers + at, sizeof t.answers - at, "%u:%u:%u:%.*s ", (unsigned)tag, (unsigned)error, (unsigned)grant, (int)text.size,
                 text.data);
    control_out_free(out);
}

static char *names[] = {(char[]){"a"}, (char[]){"b"}, (char[]){"c"}};

static int setup(void **state)
{
    struct why why = {""};

    (void)state;
    memset(&t, 0, sizeof t);
    snprintf(t.path, sizeof t.path, "/tmp/umbel-auth-%d", (int)getpid());
    for (uint32_t a = 0; a < APPS; a++) {
        t.configs[a].name = names[a];
        t.apps[a].config = &t.configs[a];
        t.verdicts[a] = (struct authorize_verdict){.result = AUTHORIZE_DENY, .message = "", .user = ""};
        t.wanted[a] = true;
    }
    t.knows = true;
    t.daemon.apps = t.apps;
    t.daemon.app_count = APPS;
    t.transport_config = (struct config_transport){.name = (char[]){"wx"}, .apps = {.items = names, .count = APPS}};
    t.transport = (struct daemon_transport){.daemon = &t.daemon, .config = &t.transport_config};
    t.host = (struct daemon_host){.daemon = &t.daemon, .transport = &t.transport};
    list_init(&t.host.auths);
    return core_stats_create(t.path, 4, 4, 4, &t.daemon.stats, &why);
}

static int teardown(void **state)
{
    (void)state;
    daemon_auth_forget(&t.host);
    assert_int_equal(t.host.auth_count, 0);
    assert_int_equal(t.host.auth_bytes, 0);
    stats_page_free(t.daemon.stats);
    unlink(t.path);
    return 0;
}

/* A frame: kinds and values by pairs, ended by kind 0. */
static struct control_out frame(const char *peer, ...)
{
    struct control_out out = {0};
    uint64_t count = 0, kind;
    va_list args, again;

    va_start(args, peer);
    va_copy(again, args);
    while ((kind = va_arg(args, unsigned)) != 0) {
        va_arg(args, const char *);
        count++;
    }
    control_begin(&out, CONTROL_AUTH, 0);
    control_put(&out, count);
    while ((kind = va_arg(again, unsigned)) != 0) {
        const char *value = va_arg(again, const char *);
        control_put(&out, kind);
        control_put_text(&out, value, strlen(value));
    }
    control_put_text(&out, peer, strlen(peer));
    va_end(args);
    va_end(again);
    return out;
}

static int take(uint64_t tag, struct control_out out)
{
    struct control_in in = {out.data + CONTROL_HEADER, out.data + out.size, false};
    int r = daemon_auth_take(&t.host, tag, &in);

    for (size_t i = 0; r == 0 && i + 5 <= out.size; i++)
        assert_true(memcmp(out.data + i, "token", 5) != 0); /* wiped where it came in */
    control_out_free(&out);
    return r;
}

/* Goal: which services are asked about what, and which refusal is told.  Method: every credential with every app, verdicts that compete.
 * Catches: a wrong order, a service asked about a key or a name, a denial hidden by a lesser one, an anonymous entry after a denial. */
static void test_who_is_asked(void **state)
{
    (void)state;
    assert_int_equal(take(1, frame("192.0.2.7:99", 1u, "token1", 1u, "key", 0u)), 0);
    assert_string_equal(t.answers, "1:0:1: "); /* a key anywhere needs no service */
    assert_string_equal(t.asked, "");
    assert_int_equal(take(2, frame("192.0.2.7:99", 1u, "token1", 2u, "token2", 0u)), 0);
    assert_string_equal(t.asked, "a:token1@192.0.2.7 b:token1@192.0.2.7 c:token1@192.0.2.7 "
                                 "a:token2@192.0.2.7 b:token2@192.0.2.7 c:token2@192.0.2.7 ");
    *t.asked = *t.answers = '\0';
    t.wanted[0] = false;
    t.verdicts[1].message = "no";
    t.verdicts[2] = (struct authorize_verdict){.result = AUTHORIZE_DENY, .code = 101, .message = "pay", .user = ""};
    assert_int_equal(take(3, frame("[2001:db8::1]:5", 1u, "token1", 3u, "a", 0u)), 0);
    assert_string_equal(t.asked, "b:token1@2001:db8::1 c:token1@2001:db8::1 ");
    assert_string_equal(t.answers, "3:2:0:pay ");
    *t.asked = *t.answers = '\0';
    assert_int_equal(take(4, frame("local", 3u, "a", 0u)), 0);
    assert_int_equal(take(5, frame("2001:db8::1", 1u, "\xff\xfe", 9u, "token", 3u, "a", 0u)), 0); /* neither is anything to ask about */
    assert_int_equal(take(6, frame("", 0u)), 0);
    assert_string_equal(t.asked, "");
    assert_string_equal(t.answers, "4:0:2: 5:0:2: 6:1:0: ");
    *t.answers = '\0';
    t.verdicts[1] = (struct authorize_verdict){.result = AUTHORIZE_FAILED, .message = "", .user = ""};
    t.verdicts[2].code = -1;
    assert_int_equal(take(7, frame("x", 1u, "token1", 0u)), 0);
    assert_string_equal(t.answers, "7:4:0:" DAEMON_AUTH_CANNOT_CHECK " "); /* it might have been b's */
    *t.answers = '\0';
    t.configs[1].authorize.fail_open = true;
    assert_int_equal(take(8, frame("x", 1u, "token1", 0u)), 0);
    t.verdicts[2] = (struct authorize_verdict){.result = AUTHORIZE_ALLOW, .message = "", .user = "u"};
    assert_int_equal(take(9, frame("x", 1u, "token1", 0u)), 0);
    t.full = true;
    assert_int_equal(take(10, frame("x", 1u, "token1", 0u)), 0);
    assert_string_equal(t.answers, "8:0:101: 9:0:102: 10:4:0:" DAEMON_AUTH_CANNOT_CHECK " ");
}

/* Goal: on_failure = open is for services that fail, not for a flood of questions: who was never asked about is told to come later.
 * Method: an open app whose verdict is the overload one, at once and after a wait, alone and beside an app that really failed.
 * Catches: a flood that lets anybody in, the anonymous app among it; an overload that closes what another app's failure has opened. */
static void test_overload_lets_nobody_in(void **state)
{
    const struct authorize_verdict failed = {.result = AUTHORIZE_FAILED, .message = "", .user = ""};

    (void)state;
    t.wanted[1] = t.wanted[2] = false;
    t.configs[0].authorize.fail_open = t.configs[1].authorize.fail_open = true;
    t.verdicts[0] = failed;
    t.verdicts[0].overload = true;
    assert_int_equal(take(1, frame("x", 1u, "token1", 0u)), 0);
    assert_int_equal(take(2, frame("x", 1u, "token1", 3u, "a", 0u)), 0);
    assert_string_equal(t.answers, "1:4:0:" DAEMON_AUTH_CANNOT_CHECK " 2:4:0:" DAEMON_AUTH_CANNOT_CHECK " ");
    *t.answers = '\0';
    t.knows = false;
    assert_int_equal(take(3, frame("x", 1u, "token1", 0u)), 0);
    t.waiting[0]->done(t.waiting[0], &t.verdicts[0]);
    assert_string_equal(t.answers, "3:4:0:" DAEMON_AUTH_CANNOT_CHECK " ");
    assert_int_equal(t.granted, 0);
    *t.answers = '\0';
    t.knows = t.wanted[1] = true;
    t.verdicts[1] = failed;
    assert_int_equal(take(4, frame("x", 1u, "token1", 0u)), 0);
    assert_string_equal(t.answers, "4:0:101: ");
    *t.answers = '\0';
    t.wanted[1] = false;
    t.verdicts[0].overload = false; /* the very same without the flood: let in */
    assert_int_equal(take(5, frame("x", 1u, "token1", 0u)), 0);
    assert_string_equal(t.answers, "5:0:100: ");
}

/* The transport's list of apps as a reload leaves it. */
static void reload(char *first, char *second)
{
    static char *items[2];

    items[0] = first;
    items[1] = second;
    t.transport_config.apps = (struct config_list){.items = items, .count = second ? 2 : 1};
}

/* Goal: what a service said counts for the app it was asked for, whatever the list of apps is by then, and no app is left out for it.
 * Method: reloads while the answer is under way: another order, the app taken from the transport, its service taken away, a shorter list.
 * Catches: a grant for the app that stands at that place now; for one that is not served any more; an app that is never asked. */
static void test_reload_while_asked(void **state)
{
    const struct authorize_verdict yes = {.result = AUTHORIZE_ALLOW, .message = "", .user = "u"};
    const struct authorize_verdict failed = {.result = AUTHORIZE_FAILED, .message = "", .user = ""};

    (void)state;
    t.knows = false;
    assert_int_equal(take(1, frame("x", 1u, "token1", 0u)), 0);
    reload(names[1], names[0]);
    t.waiting[0]->done(t.waiting[0], &yes);
    assert_string_equal(t.answers, "1:0:100: "); /* a, not b */
    *t.answers = *t.asked = '\0';
    assert_int_equal(take(2, frame("x", 1u, "token1", 0u)), 0); /* asks b, the first */
    reload(names[2], NULL);
    t.gone[0] = t.gone[1] = true;
    t.waiting[1]->done(t.waiting[1], &yes); /* of b, that is not here any more: c is asked, though its place is before */
    assert_string_equal(t.asked, "b:token1@ c:token1@ ");
    assert_string_equal(t.answers, "");
    t.wanted[2] = false;
    t.waiting[2]->done(t.waiting[2], &yes); /* c lives by its keys now */
    assert_string_equal(t.answers, "2:1:0: ");
    *t.answers = *t.asked = '\0';
    t.gone[0] = t.gone[1] = false;
    reload(names[0], names[1]);
    t.configs[0].authorize.fail_open = true;
    assert_int_equal(take(3, frame("x", 1u, "token1", 0u)), 0);
    reload(names[1], names[0]);
    t.waiting[3]->done(t.waiting[3], &failed); /* a's failure is a's: b is not open */
    t.waiting[4]->done(t.waiting[4], &t.verdicts[1]);
    t.waiting[5]->done(t.waiting[5], &failed);
    assert_string_equal(t.asked, "a:token1@ b:token1@ a:token1@ ");
    assert_string_equal(t.answers, "3:0:100: ");
}

/* Goal: who waits is bounded in number and bytes, goes on from where it was, and ends with its worker.  Method: services that wait.
 * Catches: memory without bound, an app asked twice or left out after a wait, a callback into freed memory (with a sanitizer). */
static void test_waiting(void **state)
{
    char large[CONTROL_CREDENTIAL_MAX + 1];

    (void)state;
    t.knows = false;
    assert_int_equal(take(1, frame("x", 1u, "token1", 1u, "token2", 0u)), 0);
    for (uint32_t i = 0; i < 6; i++) {
        assert_string_equal(t.answers, "");
        t.waiting[i]->done(t.waiting[i], &t.verdicts[t.waiting_app]);
    }
    assert_string_equal(t.asked, "a:token1@ b:token1@ c:token1@ a:token2@ b:token2@ c:token2@ ");
    assert_string_equal(t.answers, "1:1:0: ");
    *t.answers = '\0';
    t.waiting_count = 0;
    for (uint32_t i = 0; i < AUTHS_MAX; i++)
        assert_int_equal(take(i, frame("x", 1u, "token1", 0u)), 0);
    assert_string_equal(t.answers, "");
    assert_int_equal(take(7, frame("x", 1u, "token1", 0u)), 0);
    assert_string_equal(t.answers, "7:4:0:" DAEMON_AUTH_CANNOT_CHECK " ");
    daemon_auth_forget(&t.host);
    *t.answers = '\0';
    t.waiting_count = 0;
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    for (uint32_t i = 0; i < AUTH_BYTES_MAX / CONTROL_CREDENTIAL_MAX; i++)
        assert_int_equal(take(i, frame("x", 1u, large, 0u)), 0);
    assert_int_equal(t.host.auth_bytes, AUTH_BYTES_MAX);
    assert_int_equal(take(8, frame("x", 1u, "t", 0u)), 0);
    assert_string_equal(t.answers, "8:4:0:" DAEMON_AUTH_CANNOT_CHECK " ");
}

/* Goal: a frame that is none ends the worker.  Catches: a count that is believed, a credential longer than any, bytes left over. */
static void test_bad_frames(void **state)
{
    char large[CONTROL_CREDENTIAL_MAX + 2];
    struct control_out out = {0};

    (void)state;
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    assert_int_equal(take(1, frame("x", 1u, large, 0u)), -EPROTO);
    assert_int_equal(take(1, frame("x", 1u, "1", 1u, "2", 1u, "3", 1u, "4", 1u, "5", 1u, "6", 1u, "7", 1u, "8", 1u, "9", 0u)), -EPROTO);
    control_begin(&out, CONTROL_AUTH, 0);
    control_put(&out, 0);
    assert_int_equal(take(1, out), -EPROTO); /* no address */
    out = frame("x", 0u);
    control_put(&out, 0);
    assert_int_equal(take(1, out), -EPROTO);
    assert_string_equal(t.answers, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_who_is_asked, setup, teardown),
                                       cmocka_unit_test_setup_teardown(test_overload_lets_nobody_in, setup, teardown),
                                       cmocka_unit_test_setup_teardown(test_reload_while_asked, setup, teardown),
                                       cmocka_unit_test_setup_teardown(test_waiting, setup, teardown),
                                       cmocka_unit_test_setup_teardown(test_bad_frames, setup, teardown)};

    return cmocka_run_group_tests_name("daemon_auth", tests, NULL, NULL);
}
