/* Unit tests of sessions and the memory rule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "core/stream/session_table.h"

static struct session_table *make_table(uint32_t max)
{
    struct session_table *table;

    assert_int_equal(session_table_create(max, 1800 * CLOCK_S, &table), 0);
    return table;
}

static void expect_compose(struct session *session, const char *messages, const char *system, const char *expected)
{
    struct umbel_out out = {0};
    struct why why = {""};
    bool replaced;

    assert_int_equal(session_compose(session, messages, strlen(messages), system, &out, &replaced, &why), 0);
    if (replaced)
        session_replace(session, messages, strlen(messages));
    umbel_out_put(&out, "", 1);
    assert_string_equal(out.data, expected);
    umbel_out_free(&out);
}

static void expect_refused(const char *messages)
{
    struct umbel_out out = {0};
    struct why why = {""};
    bool replaced;

    assert_true(session_compose(NULL, messages, strlen(messages), "", &out, &replaced, &why) < 0);
    assert_true(strlen(why.text) > 5);
    umbel_out_free(&out);
}

#define Q1 "{\"role\":\"user\",\"content\":\"one\"}"
#define A1 "{\"role\":\"assistant\",\"content\":\"ONE\"}"
#define Q2 "{\"role\":\"user\",\"content\":\"two\"}"
#define SYS "{\"role\":\"system\",\"content\":\"be kind\"}"

/* Goal: one new message continues the stored turns, system first.  Catches: turns before system, the newest sent twice. */
static void compose_puts_one_message_behind_the_turns(void **state)
{
    struct session_table *table = make_table(10);
    struct session *s = session_get(table, 0, "s", 1);
    (void)state;

    expect_compose(s, "[" Q1 "]", "", "[" Q1 "]");
    session_remember(s, Q1, "ONE", 3);
    expect_compose(s, "[" SYS "," Q2 "]", "", "[" SYS "," Q1 "," A1 "," Q2 "]");
    expect_compose(s, "[" Q2 "]", "be kind", "[" SYS "," Q1 "," A1 "," Q2 "]");
    expect_compose(s, "[" SYS "," Q2 "]", "the app's own", "[" SYS "," Q1 "," A1 "," Q2 "]");
    session_table_free(table);
}

/* Goal: several messages are used as sent and replace the stored turns.  Catches: turns kept beside them. */
static void compose_replaces_the_turns_by_several(void **state)
{
    struct session_table *table = make_table(10);
    struct session *s = session_get(table, 0, "s", 1);
    (void)state;

    session_remember(s, "{\"role\":\"user\",\"content\":\"old\"}", "OLD", 3);
    expect_compose(s, "[" Q1 "," A1 "," Q2 "]", "", "[" Q1 "," A1 "," Q2 "]");
    session_remember(s, Q2, "TWO", 3);
    expect_compose(s, "[" Q1 "]", "", "[" Q1 "," A1 "," Q2 ",{\"role\":\"assistant\",\"content\":\"TWO\"}," Q1 "]");
    session_table_free(table);
}

/* Goal: sessions of other apps and other names share nothing.  Catches: a key without the app. */
static void sessions_are_apart(void **state)
{
    struct session_table *table = make_table(10);
    (void)state;

    session_remember(session_get(table, 0, "s", 1), Q1, "ONE", 3);
    expect_compose(session_get(table, 1, "s", 1), "[" Q2 "]", "", "[" Q2 "]");
    expect_compose(session_get(table, 0, "t", 1), "[" Q2 "]", "", "[" Q2 "]");
    assert_null(session_find(table, 2, "s"));
    session_table_free(table);
}

/* Goal: at most 16 messages and 16 KiB, the oldest go.  Catches: a count that runs over its array. */
static void turns_are_bounded(void **state)
{
    struct session_table *table = make_table(10);
    struct session *s = session_get(table, 0, "s", 1);
    char *answer = calloc(1, 6001);
    (void)state;

    for (int i = 0; i < 100; i++)
        session_remember(s, Q1, "A", 1);
    assert_int_equal(s->turn_count, SESSION_TURNS_MAX);
    memset(answer, 'x', 6000);
    for (int i = 0; i < 10; i++)
        session_remember(s, Q2, answer, 6000);
    assert_true(s->turn_bytes <= SESSION_TURN_BYTES_MAX);
    assert_true(s->turn_count >= 4);
    assert_string_equal(s->turns[s->turn_count - 2], Q2);
    free(answer);
    session_table_free(table);
}

/* Goal: idle turns are forgotten; a full table gives up the longest unused, never one in use.  Catches: eviction of a running session. */
static void sessions_are_forgotten_in_order(void **state)
{
    struct session_table *table = make_table(2);
    struct list stream;
    (void)state;

    list_init(&stream);
    struct session *a = session_get(table, 0, "a", 1);
    session_remember(a, Q1, "ONE", 3);
    list_append(&a->streams, &stream); /* an answer runs in it */
    session_get(table, 0, "b", 2);
    assert_non_null(session_get(table, 0, "c", 3));
    assert_null(session_find(table, 0, "b"));
    assert_ptr_equal(session_find(table, 0, "a"), a);
    assert_int_equal(session_table_evicted(table), 1);
    list_remove(&stream);
    session_tidy(table, 4000 * CLOCK_S);
    assert_int_equal(session_table_count(table), 0);
    a = session_get(table, 0, "a", 4001 * CLOCK_S);
    session_remember(a, Q1, "ONE", 3);
    a = session_get(table, 0, "a", 9000 * CLOCK_S);
    assert_int_equal(a->turn_count, 0);
    session_table_free(table);
}

/* Goal: what is no question is refused with words.  Catches: an empty list, a wrong role, broken JSON going upstream. */
static void compose_refuses_what_is_no_question(void **state)
{
    (void)state;
    expect_refused("[]");
    expect_refused("{}");
    expect_refused("[1]");
    expect_refused("[{\"role\":\"robot\",\"content\":\"x\"}]");
    expect_refused("[{\"role\":\"user\"}]");
    expect_refused("[" SYS "]");
    expect_refused("[" Q1);
    expect_refused("");
}

/* Goal: an answer without text leaves no turn behind.  Catches: a lone question that would be asked again with the next one. */
static void an_empty_answer_is_not_remembered(void **state)
{
    struct session_table *table = make_table(2);
    struct session *s = session_get(table, 0, "s", 1);
    (void)state;

    session_remember(s, Q1, "", 0);
    assert_int_equal(s->turn_count, 0);
    session_table_free(table);
}

#define CALL2 "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"a\"},{\"id\":\"b\"}]}"
#define RESULT_A "{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":\"1\"}"
#define RESULT_B "{\"role\":\"tool\",\"tool_call_id\":\"b\",\"content\":\"2\"}"

/* Goal: what is remembered is sent so that services take it: tool calls with all their results or not at all, the first turn a user's.
 * Catches: a session in which each further question is refused because an answer with a tool call failed, or the oldest turn was dropped. */
static void compose_sends_only_what_services_take(void **state)
{
    static const struct {
        const char *stored, *question, *expected;
    } rows[] = {
        {"[" Q1 "," CALL2 "," RESULT_A "," RESULT_B "," A1 "," Q2 "]", Q2, "[" Q1 "," CALL2 "," RESULT_A "," RESULT_B "," A1 "," Q2 "]"},
        {"[" Q1 "," CALL2 "," RESULT_A "," RESULT_B "]", Q2, "[" Q1 "," Q2 "]"}, /* the last one is remembered with its answer, which failed */
        {"[" Q1 "," CALL2 "," Q2 "]", Q2, "[" Q1 "," Q2 "]"},
        {"[" Q1 "," RESULT_A "," A1 "," Q2 "]", Q2, "[" Q1 "," A1 "," Q2 "]"},
        {"[" RESULT_A "," A1 "," Q1 "," A1 "," Q2 "]", Q2, "[" Q1 "," A1 "," Q2 "]"},
        {"[" A1 "," Q2 "]", Q2, "[" Q2 "]"},
        {"[" Q1 "," CALL2 "," RESULT_A "," Q2 "]", RESULT_B, "[" Q1 "," CALL2 "," RESULT_A "," RESULT_B "]"},
        {"[" Q1 "," CALL2 "," Q2 "]", RESULT_B, "[" Q1 "," RESULT_B "]"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct session_table *table = make_table(2);
        struct session *s = session_get(table, 0, "s", 1);
        char question[300];
        session_replace(s, rows[i].stored, strlen(rows[i].stored));
        snprintf(question, sizeof question, "[%s]", rows[i].question);
        expect_compose(s, question, "", rows[i].expected);
        session_table_free(table);
    }
}

/* Goal: what is known of a turn stays with it when older ones are dropped.  Catches: facts of another turn. */
static void facts_move_with_their_turns(void **state)
{
    struct session_table *table = make_table(2);
    struct session *s = session_get(table, 0, "s", 1);

    (void)state;
    for (uint32_t i = 0; i < 3 * SESSION_TURNS_MAX; i++) {
        const char *turn = i % 3 == 0 ? Q1 : i % 3 == 1 ? A1 : RESULT_A;
        session_restore(s, turn, strlen(turn));
        for (uint32_t k = 0; k < s->turn_count; k++)
            assert_int_equal(s->facts[k].kind, strstr(s->turns[k], "\"user\"")   ? SESSION_TURN_USER
                                               : strstr(s->turns[k], "\"tool\"") ? SESSION_TURN_TOOL
                                                                                 : SESSION_TURN_OTHER);
    }
    session_table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compose_puts_one_message_behind_the_turns), cmocka_unit_test(compose_replaces_the_turns_by_several),
        cmocka_unit_test(sessions_are_apart),                        cmocka_unit_test(turns_are_bounded),
        cmocka_unit_test(sessions_are_forgotten_in_order),           cmocka_unit_test(compose_refuses_what_is_no_question),
        cmocka_unit_test(an_empty_answer_is_not_remembered),         cmocka_unit_test(compose_sends_only_what_services_take),
        cmocka_unit_test(facts_move_with_their_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
