/* Unit: core/upstream/upstream_probe.h, what a probe's report comes to.  The probe itself: tests/integration/probe.test.mjs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <umbel/event.h>

#include "core/upstream/upstream_probe.h"

#define COMPLETE UMBEL_VERDICT_COMPLETE
#define TRUNCATED UMBEL_VERDICT_TRUNCATED
#define FAILED UMBEL_VERDICT_FAILED

/* How far it came, by the number of stages reached: begun, resolved, connected, opened, ready and asked, first byte. */
static struct probe_report report_of(int stages, unsigned status, uint32_t verdict, uint32_t error)
{
    struct probe_report report = {.verdict = verdict, .error = error};
    uint64_t *const marks[] = {&report.trace.begun_ns,           &report.trace.times.resolved_ns, &report.trace.times.connected_ns,
                               &report.trace.times.opened_ns, &report.trace.asked_ns,          &report.trace.first_byte_ns};

    for (int i = 0; i < stages; i++)
        *marks[i] = 1;
    report.trace.has_head = status != 0;
    report.trace.head.status = status;
    return report;
}

/* Goal: the class is that of the stage that failed.  Method: reports that came so far and no further.  Catches: a failure told as that of
 * another stage, so that the operator looks in the wrong place. */
static void stages_have_their_class(void **state)
{
    static const struct {
        int stages;
        unsigned status;
        uint32_t verdict, error;
        enum probe_class class;
    } rows[] = {
        {0, 0, FAILED, UMBEL_ERROR_TIMEOUT, PROBE_NO_ROOM}, {1, 0, FAILED, UMBEL_ERROR_UPSTREAM, PROBE_RESOLVE},
        {2, 0, FAILED, UMBEL_ERROR_UPSTREAM, PROBE_CONNECT}, {3, 0, FAILED, UMBEL_ERROR_UPSTREAM, PROBE_PROXY},
        {4, 0, FAILED, UMBEL_ERROR_TIMEOUT, PROBE_TLS},      {5, 0, FAILED, UMBEL_ERROR_TIMEOUT, PROBE_SILENT},
        {5, 0, FAILED, UMBEL_ERROR_UPSTREAM, PROBE_SERVICE}, {6, 0, FAILED, UMBEL_ERROR_UPSTREAM, PROBE_BROKEN},
        {6, 401, FAILED, UMBEL_ERROR_UPSTREAM, PROBE_KEY},   {6, 403, FAILED, UMBEL_ERROR_UPSTREAM, PROBE_KEY},
        {6, 404, FAILED, UMBEL_ERROR_UPSTREAM, PROBE_NOT_FOUND}, {6, 405, FAILED, UMBEL_ERROR_UPSTREAM, PROBE_NOT_FOUND},
        {6, 422, FAILED, UMBEL_ERROR_BAD_REQUEST, PROBE_REQUEST}, {6, 429, FAILED, UMBEL_ERROR_BUSY, PROBE_RATE},
        {6, 500, FAILED, UMBEL_ERROR_UPSTREAM, PROBE_SERVICE}, {6, 302, FAILED, UMBEL_ERROR_UPSTREAM, PROBE_SERVICE},
        {6, 200, FAILED, UMBEL_ERROR_TIMEOUT, PROBE_SILENT}, {6, 200, TRUNCATED, UMBEL_ERROR_UPSTREAM, PROBE_CUT},
        {6, 200, FAILED, UMBEL_ERROR_UPSTREAM, PROBE_BROKEN}, {6, 200, COMPLETE, 0, PROBE_OK},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct probe_report report = report_of(rows[i].stages, rows[i].status, rows[i].verdict, rows[i].error);

        if (probe_judge(&report) != rows[i].class)
            fail_msg("row %zu: %s instead of %s", i, probe_class_word(probe_judge(&report)), probe_class_word(rows[i].class));
    }
}

/* Goal: within a 200: a page instead of a stream, compression, an error of the service's, broken JSON.  Catches: "cut" for everything. */
static void answers_have_their_class(void **state)
{
    struct probe_report report = report_of(6, 200, FAILED, UMBEL_ERROR_UPSTREAM);

    (void)state;
    report.trace.has_counts = true;
    assert_int_equal(probe_judge(&report), PROBE_TYPE); /* not one event */
    strcpy(report.trace.head.content_encoding, "br");
    assert_int_equal(probe_judge(&report), PROBE_ENCODING);
    strcpy(report.trace.head.content_encoding, "identity");
    report.trace.counts.events = 3;
    report.trace.counts.saw_error = true;
    assert_int_equal(probe_judge(&report), PROBE_ERROR);
    report.trace.counts.malformed = 1;
    assert_int_equal(probe_judge(&report), PROBE_BROKEN);
    report = report_of(6, 200, TRUNCATED, UMBEL_ERROR_TIMEOUT);
    report.deltas = 1;
    assert_int_equal(probe_judge(&report), PROBE_CUT);
}

/* Goal: each class has a word, and advice unless all is well.  Catches: a class without its row. */
static void each_class_has_words(void **state)
{
    (void)state;
    for (int class = PROBE_OK; class <= PROBE_BROKEN; class++) {
        assert_true(strlen(probe_class_word((enum probe_class)class)) > 0);
        assert_int_equal(strlen(probe_advice((enum probe_class)class)) > 20, class != PROBE_OK);
        for (int other = PROBE_OK; other < class; other++)
            assert_string_not_equal(probe_class_word((enum probe_class)class), probe_class_word((enum probe_class)other));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(stages_have_their_class), cmocka_unit_test(answers_have_their_class),
                                       cmocka_unit_test(each_class_has_words)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
