/* core/upstream: from a name to a connection: several addresses, one of which works; a resolver that fails or is silent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>

#include "core/upstream/upstream_dial.h"
#include "tests/support/upstream_bench.h"

#define NEVER_NS (3600 * CLOCK_S)

/* ---- an address that does not answer ---- */

/* A listener whose queue is full: the kernel drops what else would connect, so that the attempt neither succeeds nor fails. */
struct hole {
    int listener, filling[4];
};

static void hole_open(struct hole *hole, uint32_t host, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(host), .sin_port = htons(port)};

    hole->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(hole->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(hole->listener, 0), 0);
    for (size_t i = 0; i < sizeof hole->filling / sizeof hole->filling[0]; i++) {
        hole->filling[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        assert_true(connect(hole->filling[i], (struct sockaddr *)&address, sizeof address) == 0 || errno == EINPROGRESS);
    }
}

static void hole_close(struct hole *hole)
{
    for (size_t i = 0; i < sizeof hole->filling / sizeof hole->filling[0]; i++)
        close(hole->filling[i]);
    close(hole->listener);
}

/* ---- dialling alone ---- */

struct dialled {
    struct uring_socket *socket;
    struct upstream_address better;
    bool has_better;
    int failed;
};

static void on_connected(void *owner, struct uring_socket *socket, const struct upstream_address *better)
{
    struct dialled *dialled = owner;

    assert_null(dialled->socket);
    dialled->socket = socket;
    dialled->has_better = better != NULL;
    if (better)
        dialled->better = *better;
}

static void on_failed(void *owner, int error)
{
    struct dialled *dialled = owner;

    assert_int_equal(dialled->failed, 0);
    dialled->failed = error;
}

static const struct upstream_dial_ops dial_ops = {on_connected, on_failed};

static void add(struct upstream_answer *answer, const char *number)
{
    struct upstream_answer one;

    assert_true(upstream_answer_from_number(&one, number));
    answer->address[answer->count++] = one.address[0];
}

static struct upstream_dial *dial(struct bench *bench, uint64_t stagger_ns, struct dialled *dialled, const char *const *numbers)
{
    struct upstream_answer answer = {0};
    struct upstream_dial *made;
    char text[DIAL_TEXT_MAX];

    for (; *numbers; numbers++)
        add(&answer, *numbers);
    memset(dialled, 0, sizeof *dialled);
    assert_int_equal(upstream_dial_start(bench->loop, &answer, bench->service->port, stagger_ns, &dial_ops, dialled, &made, text),
                     0);
    assert_null(dialled->socket);
    return made;
}

/* Goal: an address that does not answer costs one stagger, the next wins, and what lost is closed.  Method: a full listener, then
 * a real one; a second time with a stagger that never ends, where nothing may happen.  Catches: a broken family that costs the
 * whole connect timeout; sockets left behind. */
static void test_silent_address(void **state)
{
    const struct step scripts[1][STEPS_MAX] = {{MARK, UNTIL_END}};
    struct bench bench;
    struct hole hole;
    struct dialled dialled;
    struct upstream_dial *made;
    uint64_t began_ns;

    (void)state;
    bench_open(&bench, scripts, 1, (struct upstream_options){0});
    hole_open(&hole, INADDR_LOOPBACK + 1, bench.service->port);
    made = dial(&bench, NEVER_NS, &dialled, (const char *const[]){"127.0.0.2", "127.0.0.1", NULL});
    for (int i = 0; i < 20; i++)
        assert_int_equal(uring_loop_turn(bench.loop, 1), 0);
    assert_int_equal(made->next, 1);
    assert_true(!dialled.socket && !dialled.failed);
    upstream_dial_free(made);
    TURN_UNTIL(&bench, open_sockets(&bench) == 0);

    began_ns = clock_now_ns();
    made = dial(&bench, DIAL_STAGGER_NS, &dialled, (const char *const[]){"127.0.0.2", "127.0.0.1", "127.0.0.3", NULL});
    assert_in_range(made->timer.at_ns, began_ns + 240 * CLOCK_MS, clock_now_ns() + 250 * CLOCK_MS);
    TURN_UNTIL(&bench, dialled.socket || dialled.failed);
    assert_non_null(dialled.socket);
    assert_true(clock_now_ns() - began_ns >= 240 * CLOCK_MS);
    assert_true(dialled.has_better);
    TURN_UNTIL(&bench, bench.service->marks == 1);
    upstream_dial_free(made);
    TURN_UNTIL(&bench, open_sockets(&bench) == 1);
    uring_socket_close(dialled.socket);
    TURN_UNTIL(&bench, bench.service->ends == 1);
    hole_close(&hole);
    bench_close(&bench);
}

/* Goal: an address that refuses costs nothing; all that refuse are one failure, which names the last and how many there were.
 * Method: a stagger that never ends.  Catches: waiting for a clock although the answer is no; `failed` twice, or never. */
static void test_refusing_addresses(void **state)
{
    const struct step scripts[1][STEPS_MAX] = {{MARK, UNTIL_END}};
    struct bench bench;
    struct dialled dialled;
    struct upstream_dial *made;
    char text[DIAL_TEXT_MAX];

    (void)state;
    bench_open(&bench, scripts, 1, (struct upstream_options){0});
    made = dial(&bench, NEVER_NS, &dialled, (const char *const[]){"127.0.0.2", "::1", "127.0.0.1", "127.0.0.3", NULL});
    TURN_UNTIL(&bench, dialled.socket || dialled.failed);
    assert_non_null(dialled.socket);
    assert_int_equal(made->next, 3);
    upstream_dial_free(made);
    uring_socket_close(dialled.socket);
    made = dial(&bench, NEVER_NS, &dialled, (const char *const[]){"127.0.0.2", "127.0.0.3", NULL});
    TURN_UNTIL(&bench, dialled.socket || dialled.failed);
    assert_int_equal(dialled.failed, -ECONNREFUSED);
    upstream_dial_text(made, text);
    assert_string_equal(text, "127.0.0.3, the last of 2 addresses");
    upstream_dial_free(made);
    bench_close(&bench);
}

/* Goal: the first attempt still wins if it is the one that gets through, and the later ones are closed.  Method: the first
 * address is silent, the second too; then the first makes room.  Catches: an earlier attempt given up when a later one begins. */
static void test_first_wins_late(void **state)
{
    struct bench bench;
    struct hole first, second;
    struct dialled dialled;
    struct upstream_dial *made;
    struct sockaddr_in peer = {0};
    socklen_t size = sizeof peer;

    (void)state;
    bench_open(&bench, NULL, 0, (struct upstream_options){0});
    hole_open(&first, INADDR_LOOPBACK + 1, bench.service->port);
    hole_open(&second, INADDR_LOOPBACK + 2, bench.service->port);
    made = dial(&bench, 1 * CLOCK_MS, &dialled, (const char *const[]){"127.0.0.2", "127.0.0.3", NULL});
    TURN_UNTIL(&bench, made->next == 2);
    assert_int_equal(open_sockets(&bench), 2);
    for (size_t i = 0; i < sizeof first.filling / sizeof first.filling[0]; i++)
        close(first.filling[i]);
    assert_int_equal(listen(first.listener, 16), 0); /* the kernel asks again in its own time */
    TURN_UNTIL(&bench, dialled.socket || dialled.failed);
    assert_non_null(dialled.socket);
    assert_false(dialled.has_better);
    assert_int_equal(getpeername(uring_socket_fd(dialled.socket), (struct sockaddr *)&peer, &size), 0);
    assert_int_equal(ntohl(peer.sin_addr.s_addr), INADDR_LOOPBACK + 1);
    upstream_dial_free(made);
    TURN_UNTIL(&bench, open_sockets(&bench) == 1);
    uring_socket_close(dialled.socket);
    close(first.listener);
    hole_close(&second);
    bench_close(&bench);
}

/* Goal: families take turns, the system's preferred one first, at most eight.  Method: lists as getaddrinfo gives them.  Catches:
 * eight addresses of a family that does not work, and none of the other. */
static void test_families_take_turns(void **state)
{
    static const struct {
        const char *given, *taken;
    } rows[] = {{"666444", "646464"}, {"444666", "464646"}, {"6666666666444", "64646466"},
                {"4", "4"},           {"6444", "6444"},     {"664", "646"}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sockaddr_in v4 = {.sin_family = AF_INET};
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
        struct addrinfo list[16] = {{0}};
        struct upstream_answer answer = {0};
        char taken[16] = "";

        for (size_t k = 0; rows[i].given[k]; k++) {
            list[k].ai_family = rows[i].given[k] == '4' ? AF_INET : AF_INET6;
            list[k].ai_addr = rows[i].given[k] == '4' ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
            list[k].ai_addrlen = rows[i].given[k] == '4' ? sizeof v4 : sizeof v6;
            list[k].ai_next = rows[i].given[k + 1] ? &list[k + 1] : NULL;
        }
        upstream_answer_take(&answer, list);
        for (uint32_t k = 0; k < answer.count; k++)
            taken[k] = answer.address[k].address.ss_family == AF_INET ? '4' : '6';
        assert_string_equal(taken, rows[i].taken);
    }
}

/* ---- whole calls ---- */

static atomic_int look_ups, source_stuck_now;
static atomic_bool names_work, names_stuck;
static sem_t source_free;

/* ::1, where nobody listens or which is not there at all; a silent address; the service's. */
static void three_addresses(const char *host, struct upstream_answer *ret_answer)
{
    (void)host;
    look_ups++;
    if (names_stuck) {
        source_stuck_now++;
        sem_wait(&source_free);
    }
    if (!names_work) {
        ret_answer->error = EAI_AGAIN;
        return;
    }
    add(ret_answer, "::1");
    add(ret_answer, "127.0.0.2");
    add(ret_answer, "127.0.0.1");
}

static void names_begin(void)
{
    look_ups = source_stuck_now = 0;
    names_work = true;
    names_stuck = false;
    sem_init(&source_free, 0, 0);
}

/* Goal: a call finds the address that works, and the next one goes there first.  Method: see three_addresses; no connect timeout,
 * so that none can help.  Catches: 250 ms for each connection while a family is broken. */
static void test_call_finds_the_address(void **state)
{
    const struct step scripts[2][STEPS_MAX] = {{ASK, SAY(whole_answer()), CLOSE}, {ASK, SAY(whole_answer()), CLOSE}};
    struct bench bench;
    struct hole hole;
    struct answer *answer;
    struct upstream_dial *made;

    (void)state;
    names_begin();
    bench_begin(&bench);
    bench.service = service_start(scripts, 2, NULL);
    hole_open(&hole, INADDR_LOOPBACK + 1, bench.service->port);
    upstream_resolver_set_source(bench.resolver, three_addresses);
    bench_upstream(&bench, &(struct upstream_options){0}, "service.test");
    expect_whole(&bench, ask(&bench));
    TURN_UNTIL(&bench, open_sockets(&bench) == 0);
    answer = ask(&bench);
    made = answer->call->conn->dial;
    assert_non_null(made);
    assert_int_equal(((struct sockaddr_in *)&made->answer.address[0].address)->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    assert_int_equal(made->answer.address[1].address.ss_family, AF_INET6);
    expect_whole(&bench, answer);
    assert_int_equal(look_ups, 1);
    assert_int_equal(counts_of(&bench).connects, 2);
    assert_int_equal(counts_of(&bench).connect_errors, 0);
    hole_close(&hole);
    bench_close(&bench);
}

/* Goal: addresses that are all silent end with the connect timeout, and nothing is left open.  Catches: attempts outside the
 * limit. */
static void test_all_silent(void **state)
{
    struct bench bench;
    struct hole hole;
    struct answer *answer;

    (void)state;
    bench_begin(&bench);
    bench.service = service_start(NULL, 0, NULL);
    hole_open(&hole, INADDR_LOOPBACK + 1, bench.service->port);
    bench_upstream(&bench, &(struct upstream_options){.connect_timeout_ms = 30}, "127.0.0.2");
    answer = ask(&bench);
    TURN_UNTIL(&bench, answer->ended);
    assert_int_equal(answer->error, UMBEL_ERROR_TIMEOUT);
    assert_int_equal(counts_of(&bench).timeouts, 1);
    TURN_UNTIL(&bench, open_sockets(&bench) == 0);
    free(answer);
    answer = ask(&bench); /* and cancelled in the middle of it */
    upstream_call_cancel(answer->call);
    TURN_UNTIL(&bench, open_sockets(&bench) == 0);
    free(answer);
    hole_close(&hole);
    bench_close(&bench);
}

/* Goal: a name server that is silent delays nobody who was here before: after a second the old addresses are used, and for a
 * while at once; when the answer comes at last it counts.  Method: the source blocks.  Catches: an outage of DNS, the silent
 * kind, that becomes ours; a look-up for each call meanwhile. */
static void test_silent_resolver(void **state)
{
    const struct step scripts[4][STEPS_MAX] = {{ASK, SAY(whole_answer()), CLOSE},
                                               {ASK, SAY(whole_answer()), CLOSE},
                                               {ASK, SAY(whole_answer()), CLOSE},
                                               {ASK, SAY(whole_answer()), CLOSE}};
    struct bench bench;
    struct answer *answer, *other;

    (void)state;
    names_begin();
    bench_begin(&bench);
    bench.service = service_start(scripts, 4, NULL);
    upstream_resolver_set_source(bench.resolver, three_addresses);
    bench_upstream(&bench, &(struct upstream_options){0}, "service.test");
    expect_whole(&bench, ask(&bench));
    TURN_UNTIL(&bench, open_sockets(&bench) == 0); /* not by a kept connection */
    names_stuck = true;
    upstream_resolver_expire(bench.resolver);
    answer = ask(&bench);
    other = ask(&bench);
    assert_true(list_is_linked(&answer->call->conn->lookup.link));
    expect_whole(&bench, answer);
    expect_whole(&bench, other);
    assert_int_equal(source_stuck_now, 1);
    TURN_UNTIL(&bench, open_sockets(&bench) == 0);
    answer = ask(&bench);
    assert_false(list_is_linked(&answer->call->conn->lookup.link)); /* at once */
    expect_whole(&bench, answer);
    assert_int_equal(look_ups, 2);
    names_stuck = false;
    sem_post(&source_free);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_silent_address),         cmocka_unit_test(test_refusing_addresses),
        cmocka_unit_test(test_first_wins_late),        cmocka_unit_test(test_families_take_turns),
        cmocka_unit_test(test_call_finds_the_address), cmocka_unit_test(test_all_silent),
        cmocka_unit_test(test_silent_resolver),
    };

    signal(SIGPIPE, SIG_IGN);
    return both_run(tests, sizeof tests / sizeof tests[0]);
}
