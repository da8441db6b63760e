/* core/upstream/upstream_cap: the operator's limit put into what a client asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/upstream/upstream_cap.h"

static const struct {
    const char *given, *expected; /* with a limit of 100 */
} cases[] = {
    {"", "{\"max_tokens\":100}"},
    {"{}", "{\"max_tokens\":100}"},
    {" { } ", "{\"max_tokens\":100}"},
    {"{\"max_tokens\":99}", "{\"max_tokens\":99}"},
    {"{\"max_tokens\":100}", "{\"max_tokens\":100}"},
    {"{\"max_tokens\":101}", "{\"max_tokens\":100}"},
    {"{\"max_tokens\":1e9}", "{\"max_tokens\":100}"},
    {"{\"max_tokens\":null}", "{\"max_tokens\":100}"},
    {"{\"max_completion_tokens\": 5000 }", "{\"max_completion_tokens\": 100}"},
    {"{\"max_completion_tokens\":5}", "{\"max_completion_tokens\":5}"},
    {"{\"max_tokens\":5000,\"max_completion_tokens\":6000}", "{\"max_tokens\":100,\"max_completion_tokens\":100}"},
    /* strangers are left alone: numbers that no double holds, nested names, strings full of braces */
    {"{\"seed\":9007199254740993,\"stop\":[\"}\",\"\\\"\",\"],{\"]}", "{\"seed\":9007199254740993,\"stop\":[\"}\",\"\\\"\",\"],{\"],\"max_tokens\":100}"},
    {"{\"a\":{\"max_tokens\":7000},\"b\":1.50}", "{\"a\":{\"max_tokens\":7000},\"b\":1.50,\"max_tokens\":100}"},
    {"{\"x\\\"\\\\\":true,\"max\\u005ftokens\":700,\"y\":false}", "{\"x\\\"\\\\\":true,\"max\\u005ftokens\":100,\"y\":false}"},
    {"{\r\n \"a\" : 1 ,\t\"max_tokens\"\n:\t200\n,\"b\" : [ ] }", "{\"a\" : 1,\"max_tokens\"\n:\t100,\"b\" : [ ]}"},
    /* wrong words are the service's to refuse */
    {"{\"max_tokens\":\"many\"}", "{\"max_tokens\":\"many\"}"},
    {"{\"max_tokens\":200", "{\"max_tokens\":200"},
    {"[1]", "[1]"},
};

/* Goal: never more than the limit, nothing else changed.  Method: a table; each text also in a block of exactly its size, so that the
 * address sanitizer sees a step beyond it.  Catches: a lost or doubled member, a walk out of the text, a client's smaller wish enlarged. */
static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct umbel_out out = {0};
        size_t size = strlen(cases[i].given);
        char *exact = malloc(size ? size : 1);

        assert_non_null(exact);
        memcpy(exact, cases[i].given, size);
        upstream_cap_parameters(span_of(exact, size), 100, &out);
        umbel_out_put(&out, "", 1);
        assert_int_equal(out.failed, 0);
        assert_string_equal(out.data, cases[i].expected);
        umbel_out_free(&out);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
