/* core/upstream: kept connections, and what happens when one of them turns out dead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/upstream_bench.h"

static void expect_counts(struct bench *bench, uint64_t completed, uint64_t connects, uint64_t reused, uint64_t resent)
{
    struct upstream_counts counts = counts_of(bench);

    assert_int_equal(counts.started, completed);
    assert_int_equal(counts.completed, completed);
    assert_int_equal(counts.connects, connects);
    assert_int_equal(counts.reused, reused);
    assert_int_equal(counts.resent, resent);
    assert_int_equal(counts.failed + counts.truncated + counts.connect_errors, 0);
}

/* Goal: a connection that the service ends while it is kept is not used again, whether we have heard of it or not.  Method: the
 * service closes, or resets; the loop turns until it knows, or not once.  Catches: an error for a client that only the pool
 * caused. */
static void dies_while_kept(enum act end, bool noticed)
{
    const struct step scripts[2][STEPS_MAX] = {{ASK, SAY(whole_answer()), GO, {end, NULL}},
                                               {ASK, SAY(whole_answer()), UNTIL_END}};
    struct bench bench;

    bench_open(&bench, scripts, 2, (struct upstream_options){0});
    expect_whole(&bench, ask(&bench));
    assert_false(list_is_empty(&bench.upstream->pool.idle));
    sem_post(&bench.service->go);
    until_closed(bench.service, 1);
    if (noticed)
        TURN_UNTIL(&bench, list_is_empty(&bench.upstream->pool.idle));
    expect_whole(&bench, ask(&bench));
    assert_int_equal(bench.service->connections, 2);
    assert_int_equal(bench.service->requests, 2);
    assert_string_equal(heard(bench.service, 0), heard(bench.service, 1));
    expect_counts(&bench, 2, 2, noticed ? 0 : 1, noticed ? 0 : 1);
    bench_close(&bench);
}

static void test_closed_while_kept(void **state)
{
    (void)state;
    dies_while_kept(ACT_CLOSE, true);
    dies_while_kept(ACT_CLOSE, false);
}

static void test_reset_while_kept(void **state)
{
    (void)state;
    dies_while_kept(ACT_RESET, true);
    dies_while_kept(ACT_RESET, false);
}

/* Goal: the same over TLS, where the end is a record of its own.  Catches: close_notify, or tickets, taken for a byte of the
 * response. */
static void test_closed_while_kept_tls(void **state)
{
    static const enum act ends[] = {ACT_CLOSE, ACT_CUT, ACT_RESET};
    struct certificate authority = certificate_make("authority", NULL, NULL, 3600);
    struct certificate leaf = certificate_make("leaf", "IP:127.0.0.1", &authority, 3600);
    char *ca_file = certificate_save(&authority);
    SSL_CTX *tls = certificate_server(&leaf);

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const struct step scripts[2][STEPS_MAX] = {{ASK, SAY(whole_answer()), GO, {ends[i], NULL}},
                                                   {ASK, SAY(whole_answer()), UNTIL_END}};
        struct bench bench;

        bench_begin(&bench);
        bench.service = service_start(scripts, 2, tls);
        bench_upstream(&bench, &(struct upstream_options){.ca_file = ca_file}, "127.0.0.1");
        expect_whole(&bench, ask(&bench));
        sem_post(&bench.service->go);
        until_closed(bench.service, 1);
        expect_whole(&bench, ask(&bench));
        assert_int_equal(bench.service->requests, 2);
        assert_int_equal(bench.service->resumed, 1);
        expect_counts(&bench, 2, 2, 1, 1);
        bench_close(&bench);
    }
    unlink(ca_file);
    free(ca_file);
    SSL_CTX_free(tls);
    certificate_free(&authority);
    certificate_free(&leaf);
}

/* Goal: nothing is asked twice once a byte of the response has come: the model may have answered.  Method: one byte on a kept
 * connection, then its end, or a reset after the byte was read.  Catches: a question that is paid for twice. */
static void test_one_byte_is_enough(void **state)
{
    static const enum act ends[] = {ACT_CLOSE, ACT_RESET};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const struct step scripts[2][STEPS_MAX] = {
            {ASK, SAY(whole_answer()), ASK, SAY("H"), GO, {ends[i], NULL}},
            {ASK, SAY(whole_answer()), UNTIL_END},
        };
        struct bench bench;
        struct answer *answer;
        uint64_t before;

        bench_open(&bench, scripts, 2, (struct upstream_options){0});
        expect_whole(&bench, ask(&bench));
        before = counts_of(&bench).bytes_in;
        answer = ask(&bench);
        TURN_UNTIL(&bench, counts_of(&bench).bytes_in == before + 1);
        sem_post(&bench.service->go);
        TURN_UNTIL(&bench, answer->ended);
        assert_int_equal(answer->verdict, UMBEL_VERDICT_FAILED);
        assert_non_null(strstr(answer->words, "before answering"));
        assert_int_equal(bench.service->connections, 1);
        assert_int_equal(bench.service->requests, 2);
        assert_int_equal(counts_of(&bench).reused, 1);
        assert_int_equal(counts_of(&bench).resent, 0);
        free(answer);
        bench_close(&bench);
    }
}

/* Goal: a connection is kept for POOL_IDLE_NS and no longer.  Method: the timer's own deadline is looked at, then moved to now.
 * Catches: an idle connection that is kept for ever, or one that dies in the middle of its next answer. */
static void test_idle_limit(void **state)
{
    const struct step scripts[2][STEPS_MAX] = {{ASK, SAY(whole_answer()), ASK, GO, SAY(whole_answer()), UNTIL_END}};
    struct bench bench;
    struct answer *answer;
    struct upstream_conn *conn;
    uint64_t before_ns = clock_now_ns();

    (void)state;
    bench_open(&bench, scripts, 1, (struct upstream_options){0});
    expect_whole(&bench, ask(&bench));
    conn = list_entry(bench.upstream->pool.idle.next, struct upstream_conn, link);
    assert_in_range(conn->timer.at_ns, before_ns + POOL_IDLE_NS, clock_now_ns() + POOL_IDLE_NS);
    answer = ask(&bench);
    assert_ptr_equal(answer->call->conn, conn);
    assert_false(uring_timer_is_set(&conn->timer));
    sem_post(&bench.service->go);
    expect_whole(&bench, answer);
    assert_true(uring_timer_is_set(&conn->timer));
    uring_timer_set(bench.loop, &conn->timer, 0);
    TURN_UNTIL(&bench, open_sockets(&bench) == 0);
    assert_true(list_is_empty(&bench.upstream->pool.idle));
    TURN_UNTIL(&bench, bench.service->ends == 1);
    bench_close(&bench);
}

/* Goal: waiting calls begin in the order they came, a cancelled one leaves its place, and no more than there is room for run.
 * Method: one place, three waiting, the second cancelled.  Catches: a queue that starves its first; a place counted twice. */
static void test_queue_order(void **state)
{
    const struct step scripts[1][STEPS_MAX] = {
        {ASK, GO, SAY(whole_answer()), ASK, GO, SAY(whole_answer()), ASK, GO, SAY(whole_answer()), UNTIL_END}};
    struct bench bench;
    struct answer *answers[4], fifth = {0};
    struct why why = {""};

    (void)state;
    bench_open(&bench, scripts, 1, (struct upstream_options){.max_concurrent = 1, .queue = 3});
    for (int i = 0; i < 4; i++)
        answers[i] = ask(&bench);
    assert_int_equal(counts_of(&bench).waiting, 3);
    assert_int_equal(try_ask(&bench, &fifth, &why), -EBUSY);
    upstream_call_cancel(answers[2]->call);
    assert_int_equal(counts_of(&bench).waiting, 2);
    for (int i = 0; i < 4; i++) {
        if (i == 2)
            continue;
        assert_int_equal(counts_of(&bench).active, 1);
        assert_true(answers[i]->call->phase != CALL_WAITING);
        if (i == 0)
            assert_int_equal(answers[1]->call->phase, CALL_WAITING);
        sem_post(&bench.service->go);
        expect_whole(&bench, answers[i]);
    }
    assert_int_equal(counts_of(&bench).active + counts_of(&bench).waiting, 0);
    assert_int_equal(counts_of(&bench).refused_busy, 1);
    free(answers[2]);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_closed_while_kept),
        cmocka_unit_test(test_reset_while_kept),
        cmocka_unit_test(test_closed_while_kept_tls),
        cmocka_unit_test(test_one_byte_is_enough),
        cmocka_unit_test(test_idle_limit),
        cmocka_unit_test(test_queue_order),
    };

    signal(SIGPIPE, SIG_IGN);
    return both_run(tests, sizeof tests / sizeof tests[0]);
}
