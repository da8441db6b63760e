/* Unit: core/parse, the chat-completions dialect: every quirk that services are known for, byte-exact fixtures, every cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "core/base/fd.h"
#include "core/json/json_read.h"
#include "core/parse/delta_scanner.h"
#include "core/parse/dialect_error.h"
#include "tests/fuzz/event_log.h"

/* The fixtures lie beside the sources. */
static char *read_fixture(const char *name, size_t *ret_size)
{
    static const char here[] = "tests/unit/test_dialect_chat_completions.c";
    const char *file = __FILE__;
    char path[4096], *data = NULL;

    assert_true(strlen(file) >= strlen(here));
    snprintf(path, sizeof path, "%.*stests/support/fixtures/upstream/%s", (int)(strlen(file) - strlen(here)), file, name);
    if (fd_read_file(path, 1 << 20, &data, ret_size) < 0)
        fail_msg("cannot read %s", path);
    return data;
}

enum { ONE_BYTE = -1 };

/* Reads text in pieces: cut at `cut`, or each byte alone.  The pieces are copies that are gone after each call. */
static struct event_log read_cut(const struct dialect_quirks *quirks, const char *text, size_t size, long cut)
{
    struct event_log log = {0};
    struct dialect_reader *r = NULL;
    uint32_t verdict = 0;
    size_t at = 0;
    int result = 0;

    assert_int_equal(dialect_chat_create(quirks, 0, event_log_take, &log, &r), 0);
    while (at < size && result == 0) {
        size_t piece = cut == ONE_BYTE ? 1 : at < (size_t)cut ? (size_t)cut - at : size - at;
        char *copy = malloc(piece);
        memcpy(copy, text + at, piece);
        result = dialect_feed(r, copy, piece, NULL);
        free(copy);
        at += piece;
    }
    assert_int_equal(dialect_end(r, true, &verdict, NULL), 0);
    event_log_end(&log, r, result, verdict);
    umbel_out_put(&log.out, "", 1);
    dialect_free(r);
    if (log.broken)
        fail_msg("%s: %s", log.broken, log.out.data);
    return log;
}

/* The lines of log before the last one. */
static void expect_events(const struct event_log *log, const char *want, const char *verdict)
{
    const char *last = strstr(log->out.data, "\n= ");
    const char *end = strncmp(log->out.data, "= ", 2) == 0 ? log->out.data : last ? last + 1 : NULL;

    assert_non_null(end);
    if (strlen(want) != (size_t)(end - log->out.data) || memcmp(want, log->out.data, strlen(want)) != 0 || !strstr(end, verdict))
        fail_msg("wanted\n%s%s\nbut it is\n%s", want, verdict, log->out.data);
}

static const struct {
    const char *name, *want, *verdict;
} fixtures[] = {
    {"openai.sse", "T Hi\nU 9 1\nF 1 stop\n", "= 0 verdict 1 comments 0 events 5 ignored 0 bad 0 flush 0 missing 0 suspect 0 1110"},
    {"openai_tools.sse",
     "L {\"index\":0,\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}\n"
     "L {\"index\":0,\"function\":{\"arguments\":\"{\\\"a\\\":\"}}\nL {\"index\":0,\"function\":{\"arguments\":\"1}\"}}\nF 4 tool_calls\n",
     "verdict 1"},
    {"azure.sse", "T Hi\nF 1 stop\n", "verdict 1"},
    {"deepseek.sse", "R let me\nU 9 3\nF 1 stop\n", "verdict 1 comments 2 events 3 ignored 0 bad 0 flush 0 missing 1"},
    {"deepseek_resource.sse", "R let me\nE 4+ the model service ended the answer with \"insufficient_system_resource\"\n", "verdict 3"},
    {"dashscope_error.sse", "E 6 ...\n", "verdict 3 comments 1"},
    {"moonshot.sse", "U 39 211\nF 1 stop\n", "verdict 1"},
    {"zhipu.sse", "T \n\nU 8 262\nF 1 stop\n", "verdict 1"},
    {"baichuan.sse", "T \xe4\xb8\x96\xe7\x95\x8c\xe7\xac\xac\xe4\xb8\x80\xe9\xab\x98\xe5\xb3\xb0\xe6\x98\xaf\xe7\x8f\xa0\xe7\xa9\x86\n"
                     "E 6+ the model service stopped in the middle of the answer\n", "verdict 2"},
    {"baichuan_eof.sse", "T \xe4\xb8\x96\xe7\x95\x8c\xe7\xac\xac\xe4\xb8\x80\xe9\xab\x98\xe5\xb3\xb0\xe6\x98\xaf\xe7\x8f\xa0\xe7\xa9\x86\n"
                         "T \xe6\x9c\x97\xe7\x8e\x9b\xe5\xb3\xb0\nU 7 9\nF 1 stop\n", "verdict 1 comments 0 events 2 ignored 0 bad 0 flush 0 missing 1"},
    {"llamacpp_error.sse", "E 6+ ...\n", "verdict 3 comments 2"},
    {"llamacpp_error_field.sse", "E 6+ ...\n", "verdict 3 comments 2"},
    {"vllm_error.sse", "T Hi\nE 6+ ...\n", "verdict 3"},
    {"vllm_reasoning.sse", "R hm\nT ok\nU 4 3\nF 1 stop\n", "verdict 1"},
    {"sglang_error.sse", "E 6 ...\n", "verdict 3"},
    {"openrouter.sse", "E 6+ Provider disconnected\n", "verdict 3 comments 1"},
    {"ollama_v1_failure.sse", "E 6+ the model service stopped in the middle of the answer\n", "verdict 2"},
    {"dead_upstream.sse", "E 6+ the model service ended the answer without a word\n", "verdict 3"},
    {"done_without_finish.sse", "T Hi\n", "verdict 1 comments 0 events 2 ignored 0 bad 0 flush 0 missing 0 suspect 1 1010"},
    {"split_pair.sse", "T a\nT \xf0\x9f\x98\x80" "b\nT \xef\xbf\xbd\nF 1 stop\n", "verdict 1"},
    {"split_bytes.sse", "T x\nT \xe7\x95\x8cy\nF 5 eos\n", "verdict 1"},
    {"broken_json.sse", "T Hi\nE 6+ the model service sent broken JSON (byte 47: expected ',' or ']')\n", "= -74 verdict 3"},
    {"eof_flush.sse", "T Hi\nF 1 stop\n", "verdict 1 comments 0 events 2 ignored 0 bad 0 flush 1 missing 1"},
    {"eof_cut.sse", "T Hi\nE 6+ the model service stopped in the middle of the answer\n", "verdict 2 comments 0 events 2 ignored 0 bad 1 flush 0"},
};

/* text with each LF written as `end`: the fixtures hold no LF but line ends. */
static struct umbel_out with_ends(const char *text, size_t size, const char *end)
{
    struct umbel_out out = {0};

    for (size_t i = 0; i < size; i++)
        umbel_out_put(&out, text[i] == '\n' ? end : text + i, text[i] == '\n' ? strlen(end) : 1);
    assert_int_equal(out.failed, 0);
    return out;
}

/* Goal: what each known service sends gives the right events, verdict and counts, for every line end and wherever the input is cut.
 * Method: byte-exact fixtures as LF, CRLF and CR; cut in two at every byte, and byte by byte; each run compared as text.
 * Catches: any quirk lost; state that depends on how the network cuts; a piece of memory used after the call that lent it. */
static void dialect_reads_every_fixture_at_every_cut(void **state)
{
    static const char *const ends[] = {"\n", "\r\n", "\r"};

    (void)state;
    for (size_t i = 0; i < sizeof fixtures / sizeof *fixtures; i++) {
        size_t size;
        char *text = read_fixture(fixtures[i].name, &size);
        for (size_t e = 0; e < 3; e++) {
            struct umbel_out input = with_ends(text, size, ends[e]);
            for (long cut = ONE_BYTE; cut < (long)input.size; cut++) {
                struct event_log log = read_cut(NULL, input.data, input.size, cut);
                expect_events(&log, fixtures[i].want, fixtures[i].verdict);
                umbel_out_free(&log.out);
            }
            umbel_out_free(&input);
        }
        free(text);
    }
}

static void expect(const struct dialect_quirks *quirks, const char *text, const char *want, const char *verdict)
{
    struct event_log log = read_cut(quirks, text, strlen(text), 0);

    expect_events(&log, want, verdict);
    umbel_out_free(&log.out);
}

#define CHUNK(delta, finish) "data: {\"choices\":[{\"index\":0,\"delta\":{" delta "},\"finish_reason\":" finish "}]}\n\n"
#define TEXT(text) CHUNK("\"content\":\"" text "\"", "null")
#define STOP CHUNK("", "\"stop\"")
#define DONE "data: [DONE]\n\n"
#define CUT_OFF "E 6+ the model service stopped in the middle of the answer\n"

/* Goal: finish reasons map as documented, nothing that is not one ends an answer, and there is one FINISH.  Method: a table, fast and slow
 * path (an escaped name makes the scanner decline the chunk).
 * Catches: "" or "null" taken as a finish; a failing word told as a clean end; the raw word lost. */
static void dialect_finish_reasons(void **state)
{
    static const struct {
        const char *word, *want, *verdict;
    } cases[] = {
        {"\"stop\"", "T x\nF 1 stop\n", "verdict 1"},
        {"\"length\"", "T x\nF 2 length\n", "verdict 1"},
        {"\"model_context_window_exceeded\"", "T x\nF 2 model_context_window_exceeded\n", "verdict 1"},
        {"\"content_filter\"", "T x\nF 3 content_filter\n", "verdict 1"},
        {"\"sensitive\"", "T x\nF 3 sensitive\n", "verdict 1"},
        {"\"tool_calls\"", "T x\nF 4 tool_calls\n", "verdict 1"},
        {"\"function_call\"", "T x\nF 4 function_call\n", "verdict 1"},
        {"\"made up\"", "T x\nF 5 made up\n", "verdict 1"},
        {"\"\"", "T x\n" CUT_OFF, "verdict 2"},
        {"null", "T x\n" CUT_OFF, "verdict 2"},
        {"\"null\"", "T x\n" CUT_OFF, "verdict 2"},
        {"7", "T x\n" CUT_OFF, "verdict 2"},
        {"\"network_error\"", "T x\nE 6+ the model service ended the answer with \"network_error\"\n", "verdict 3"},
        {"\"error\"", "T x\nE 6+ the model service ended the answer with \"error\"\n", "verdict 3"},
        {"\"insufficient_system_resource\"", "T x\nE 4+ the model service ended the answer with \"insufficient_system_resource\"\n", "verdict 3"},
    };
    char text[512];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int slow = 0; slow < 2; slow++) {
            snprintf(text, sizeof text, "data: {%s\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"},\"finish_reason\":%s}]}\n\n",
                     slow ? "\"\\u0061\":0," : "", cases[i].word);
            expect(NULL, text, cases[i].want, cases[i].verdict);
        }
    expect(NULL, TEXT("x") STOP CHUNK("", "\"length\"") DONE, "T x\nF 1 stop\n", "verdict 1");
    expect(NULL, STOP TEXT("late") DONE, "T late\nF 1 stop\n", "verdict 1"); /* text after the reason still comes before FINISH */
}

/* Goal: the verdict table, row by row.  Method: the shortest stream of each row.  Catches: a dead or failing upstream told as a clean
 * end, a finished one told as failed, events after the end. */
static void dialect_verdicts(void **state)
{
    static const char error[] = "data: {\"error\":{\"message\":\"m\"}}\n\n";
    char text[1024];

    (void)state;
    expect(NULL, TEXT("x") STOP DONE, "T x\nF 1 stop\n", "= 0 verdict 1 comments 0 events 3 ignored 0 bad 0 flush 0 missing 0");
    expect(NULL, STOP DONE, "F 1 stop\n", "verdict 1"); /* empty, but with a reason */
    expect(NULL, TEXT("x") STOP, "T x\nF 1 stop\n", "missing 1");
    expect(NULL, TEXT("x") DONE, "T x\n", "suspect 1");
    expect(NULL, CHUNK("\"reasoning\":\"x\"", "null") DONE, "R x\n", "suspect 1"); /* thinking alone is not nothing */
    expect(NULL, TEXT("") DONE, "E 6+ the model service ended the answer without a word\n", "verdict 3");
    expect(NULL, TEXT("x"), "T x\n" CUT_OFF, "verdict 2");
    expect(NULL, "", CUT_OFF, "verdict 2");
    snprintf(text, sizeof text, "%s%s%s%s", TEXT("x"), STOP, error, DONE);
    expect(NULL, text, "T x\nE 6+ m\n", "verdict 3");
    snprintf(text, sizeof text, "%s%s%s%s", TEXT("x"), STOP, DONE, error); /* after the end nothing counts */
    expect(NULL, text, "T x\nF 1 stop\n", "verdict 1 comments 0 events 4 ignored 1");
    expect(NULL, TEXT("x") STOP DONE "data: {broken\n\n" DONE, "T x\nF 1 stop\n", "= 0 verdict 1");
    snprintf(text, sizeof text, "%s%s", error, TEXT("x"));
    expect(NULL, text, "E 6+ m\n", "verdict 3");
    expect(NULL, "data: {\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\ndata: {\"error\":\"m\"}\n\n", "U 1 2\nE 6+ m\n", "verdict 3");
}

/* Goal: a connection that breaks is told apart in words only.  Method: dialect_end with body_whole false.  Catches: a finished answer told
 * as cut off because the connection ended badly after it. */
static void dialect_end_of_a_broken_body(void **state)
{
    static const char *const text[] = {TEXT("x") STOP, TEXT("x")};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct event_log log = {0};
        struct dialect_reader *r = NULL;
        uint32_t verdict = 0;
        assert_int_equal(dialect_chat_create(NULL, 0, event_log_take, &log, &r), 0);
        assert_int_equal(dialect_feed(r, text[i], strlen(text[i]), NULL), 0);
        assert_int_equal(dialect_end(r, false, &verdict, NULL), 0);
        assert_int_equal(verdict, i == 0 ? UMBEL_VERDICT_COMPLETE : UMBEL_VERDICT_TRUNCATED);
        assert_string_equal(dialect_counts(r)->reason, i == 0 ? "finished, then cut off before the end marker"
                                                              : "the connection to the model service broke in the middle of the answer");
        dialect_free(r);
        umbel_out_free(&log.out);
    }
    dialect_free(NULL);
}

/* Goal: error objects of every shape are FAILED with kind, retryability and one clean line.  Method: a table of single events.
 * Catches: an upstream's 401 told as the client's bad key; a quota told as retryable; control characters in a client's error text. */
static void dialect_error_shapes(void **state)
{
    static const struct {
        const char *event, *want;
    } cases[] = {
        {"data: {\"error\":{\"message\":\"m\",\"code\":401}}", "E 6 the model service refused this service's own account\n"},
        {"data: {\"error\":{\"message\":\"bad key sk-abcdefgh12345678 of yours\",\"type\":\"authentication_error\"}}",
         "E 6 the model service refused this service's own account\n"},
        {"data: {\"error\":{\"message\":\"m\",\"type\":\"requests\",\"code\":\"rate_limit_exceeded\"}}", "E 3+ m\n"},
        {"data: {\"error\":{\"message\":\"m\",\"type\":\"insufficient_quota\",\"code\":429}}",
         "E 6 the model service refused this service's own account\n"},
        {"data: {\"error\":{\"message\":\"m\",\"status\":\"RESOURCE_EXHAUSTED\"}}", "E 3+ m\n"},
        {"data: {\"error\":{\"message\":\"m\",\"code\":\"1302\"}}", "E 3+ m\n"},
        {"data: {\"error\":{\"message\":\"m\",\"type\":\"overloaded_error\"}}", "E 4+ m\n"},
        {"data: {\"error\":{\"message\":\"m\",\"code\":503}}", "E 4+ m\n"},
        {"data: {\"error\":{\"message\":\"m\",\"code\":400}}", "E 6 m\n"},
        {"data: {\"error\":\"just text\"}", "E 6+ just text\n"},
        {"data: {\"error\":{\"code\":\"server_error\"}}", "E 6+ server_error\n"},
        {"data: {\"error\":{\"x\":1}}", "E 6+ the model service reported an error\n"},
        {"data: {\"error\":{\"message\":\"a\\nb\\t\\u0007 c\\u2028d\\ud83d \"}}", "E 6+ a b c d\xef\xbf\xbd\n"},
        {"data: {\"object\":\"error\",\"message\":\"m\",\"code\":500}", "E 6+ m\n"},
        {"data: {\"code\":\"Throttling.RateQuota\",\"message\":\"m\"}", "E 3+ m\n"},
        {"data: {\"code\":\"InvalidApiKey\",\"message\":\"m\"}", "E 6 the model service refused this service's own account\n"},
        {"event: error\ndata: {\"code\":\"InternalError\",\"message\":\"m\"}", "E 6+ m\n"},
        {"event: error\ndata: {\"error\":{\"message\":\"m\"}}", "E 6+ m\n"},
        {"event: error\ndata: no JSON at all", "E 6+ no JSON at all\n"},
        {"event: error\ndata: \"text\"", "E 6+ text\n"},
        {"error: {\"code\":503,\"message\":\"m\"}", "E 4+ m\n"},
        {"error: plain", "E 6+ plain\n"},
        {"error: \x01\t\x7f", "E 6+ the model service reported an error\n"},
        {"data: {\"error\":\"\\n\"}", "E 6+ the model service reported an error\n"},
        {"data: {broken", "E 6+ the model service sent broken JSON (byte 1: expected a string)\n"},
        /* and these are no errors */
        {"data: {\"error\":null,\"choices\":[]}", CUT_OFF},
        {"data: {\"error\":\"\"}", CUT_OFF},
        {"data: {\"error\":{}}", CUT_OFF},
        {"data: {\"code\":0,\"message\":\"ok\"}", CUT_OFF},
        {"data: {\"code\":\"200\",\"message\":\"ok\"}", CUT_OFF},
        {"data: {\"code\":7,\"message\":\"ok\",\"choices\":[]}", CUT_OFF},
        {"data: {\"message\":\"ok\"}", CUT_OFF},
        {"event: ping\ndata: no JSON", CUT_OFF},
        {"event: ping\ndata: {\"type\":\"ping\"}", CUT_OFF},
        {"error:", CUT_OFF},
        {"data: [1]\n\ndata: null\n\ndata: 7\n\ndata:", CUT_OFF},
    };
    char text[512];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text, "%s\n\n", cases[i].event);
        expect(NULL, text, cases[i].want, strcmp(cases[i].want, CUT_OFF) == 0 ? "verdict 2" : "verdict 3");
    }
}

/* Goal: thinking under three names, equal twins once, differing ones both; a refusal is the answer; usage from choice and top.
 * Method: single chunks.  Catches: doubled thinking, a refused answer shown as empty, the wrong usage. */
static void dialect_members_of_a_chunk(void **state)
{
    (void)state;
    expect(NULL, CHUNK("\"reasoning_content\":\"a\",\"reasoning\":\"a\",\"thinking\":\"a\"", "null") STOP DONE, "R a\nF 1 stop\n", "verdict 1");
    expect(NULL, CHUNK("\"thinking\":\"b\",\"reasoning\":\"a\"", "null") STOP DONE, "R a\nR b\nF 1 stop\n", "verdict 1");
    expect(NULL, CHUNK("\"content\":\"t\",\"thinking\":\"b\"", "null") STOP DONE, "R b\nT t\nF 1 stop\n", "verdict 1");
    expect(NULL, CHUNK("\"content\":null,\"refusal\":\"no\"", "null") STOP DONE, "T no\nF 1 stop\n", "verdict 1");
    expect(NULL, CHUNK("\"function_call\":{\"name\":\"f\"}", "\"function_call\"") DONE,
           "L {\"index\":0,\"type\":\"function\",\"function\":{\"name\":\"f\"}}\nF 4 function_call\n", "verdict 1");
    expect(NULL, "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"other\"}},{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n" STOP DONE,
           "T x\nF 1 stop\n", "ignored 1");
    expect(NULL, "data: {\"choices\":[{\"index\":0,\"message\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}\n\n" DONE, "T x\nF 1 stop\n", "verdict 1");
    expect(NULL, "data: {\"choices\":[null,3,{}],\"usage\":{\"total_tokens\":1}}\n\n" STOP DONE, "F 1 stop\n", "verdict 1");
    expect(NULL, "data: {\"usage\":{\"input_tokens\":1,\"output_tokens\":2},\"choices\":[{\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":9}}]}\n\n" STOP DONE,
           "U 1 2\nF 1 stop\n", "verdict 1");
    expect(NULL, TEXT("\\u0000\\u4e16\\n\\\"") STOP DONE, "T \xef\xbf\xbd\xe4\xb8\x96\n\"\nF 1 stop\n", "verdict 1");
}

static const struct {
    const char *name, *text, *on, *off; /* on, off: part of the log with and without the quirk */
} quirks[] = {
    {"reasoning_content", CHUNK("\"reasoning_content\":\"a\"", "\"stop\"") DONE, "R a\nF", "F 1 stop"},
    {"reasoning", CHUNK("\"reasoning\":\"a\"", "\"stop\"") DONE, "R a\nF", "F 1 stop"},
    {"thinking", CHUNK("\"thinking\":\"a\"", "\"stop\"") DONE, "R a\nF", "F 1 stop"},
    {"usage_in_choice", "data: {\"choices\":[{\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2},\"finish_reason\":\"stop\"}]}\n\n" DONE, "U 1 2\nF", "F 1 stop"},
    {"empty_finish", CHUNK("\"content\":\"x\"", "\"\"") TEXT("y"), "T x\nT y\nE", "T x\nT y\nF 5 \n"},
    {"null_text_finish", CHUNK("\"content\":\"x\"", "\"null\""), "T x\nE", "T x\nF 5 null\n"},
    {"error_finish", CHUNK("\"content\":\"x\"", "\"network_error\"") DONE, "T x\nE", "T x\nF 5 network_error\n"},
    {"error_object", "data: {\"object\":\"error\",\"message\":\"m\"}\n\n" STOP DONE, "E 6+ m\n", "F 1 stop"},
    {"error_bare", "data: {\"code\":\"c\",\"message\":\"m\"}\n\n" STOP DONE, "E 6+ m\n", "F 1 stop"},
    {"error_event", "event: error\ndata: {\"type\":\"t\"}\n\n" STOP DONE, "E 6+ t\n", "F 1 stop"},
    {"error_field", "error: m\n\n" STOP DONE, "E 6+ m\n", "F 1 stop"},
    {"done_missing", TEXT("x") STOP, "T x\nF 1 stop", "T x\nE 6+ the model service stopped"},
    {"done_without_finish", TEXT("x") DONE, "T x\n= 0 verdict 1", "T x\nE 6+ the model service ended the answer without a finish reason"},
    {"eof_flush", TEXT("x") "data: {\"choices\":[{\"finish_reason\":\"stop\"}]}", "T x\nF 1 stop", "T x\nE"},
    {"message_as_delta", "data: {\"choices\":[{\"message\":{\"content\":\"x\"}}]}\n\n" STOP DONE, "T x\nF", "F 1 stop"},
    {"content_at_top", "data: {\"content\":\"x\",\"stop\":false}\n\n" STOP DONE, "T x\nF", "F 1 stop"},
    {"text_events", "event: add\ndata: x\n\n" STOP DONE, "T x\nF", "F 1 stop"},
    {"stream_options", STOP DONE, "F 1 stop", "F 1 stop"},     /* of requests: test_upstream_request.c */
    {"prefill_prefix", STOP DONE, "F 1 stop", "F 1 stop"}, /* of requests: test_upstream_request.c */
    {"prefill_partial", STOP DONE, "F 1 stop", "F 1 stop"},
    {"prefill_final", STOP DONE, "F 1 stop", "F 1 stop"},
    {"incremental_output", STOP DONE, "F 1 stop", "F 1 stop"}, /* of another dialect: test_dialects.c */
};

/* Goal: each quirk can be switched off alone by its name and back on, and makes exactly its difference.  Method: a table of streams that
 * need it.  Catches: a quirk compiled in, a name that switches another one, an unknown name accepted. */
static void dialect_quirks_are_switchable(void **state)
{
    struct why why = {""};

    (void)state;
    for (size_t i = 0; i < sizeof quirks / sizeof *quirks; i++) {
        struct dialect_quirks set = dialect_quirks_default;
        char word[64];
        for (int on = 1; on >= 0; on--) {
            snprintf(word, sizeof word, "%s%s", on ? "" : "no-", quirks[i].name);
            assert_int_equal(dialect_quirks_set(&set, word, NULL), 0);
            struct event_log log = read_cut(&set, quirks[i].text, strlen(quirks[i].text), 0);
            const char *want = on ? quirks[i].on : quirks[i].off;
            if (strncmp(log.out.data, want, strlen(want)) != 0)
                fail_msg("%s: wanted %s but it is %s", word, want, log.out.data);
            umbel_out_free(&log.out);
        }
    }
    struct dialect_quirks set = dialect_quirks_default;
    assert_int_equal(sizeof quirks / sizeof *quirks, sizeof set);
    assert_int_equal(dialect_quirks_set(&set, "no-such", &why), -EINVAL);
    assert_non_null(strstr(why.text, "eof_flush"));
}

/* Goal: a line over the cap fails this answer with a name, and the sink's stop is passed on.  Method: a small cap; a sink that stops at
 * each event in turn.  Catches: an unbounded line, an error swallowed, events after the stop. */
static void dialect_bounds_and_stops(void **state)
{
    struct event_log log = {0};
    struct dialect_reader *r = NULL;
    uint32_t verdict = 0;
    struct why why = {""};

    (void)state;
    assert_int_equal(dialect_chat_create(NULL, 64, event_log_take, &log, &r), 0);
    for (int i = 0; i < 64; i++)
        assert_int_equal(dialect_feed(r, "x", 1, &why), 0);
    assert_int_equal(dialect_feed(r, "x", 1, &why), -EMSGSIZE);
    assert_non_null(strstr(why.text, "longer than 64 bytes"));
    assert_int_equal(dialect_feed(r, "x", 1, &why), -EMSGSIZE);
    assert_int_equal(dialect_end(r, true, &verdict, NULL), 0);
    assert_int_equal(verdict, UMBEL_VERDICT_FAILED);
    assert_int_equal(log.errors, 1);
    dialect_free(r);
    umbel_out_free(&log.out);
    for (int stop = 1; stop <= 3; stop++) {
        static const char text[] = TEXT("x") "data: {\"usage\":{\"prompt_tokens\":1}}\n\n" STOP;
        log = (struct event_log){.stop_after = stop};
        assert_int_equal(dialect_chat_create(NULL, 0, event_log_take, &log, &r), 0);
        assert_int_equal(dialect_feed(r, text, sizeof text - 1, NULL), stop == 1 ? -1000 : 0);
        assert_int_equal(dialect_end(r, true, &verdict, NULL), -1000);
        assert_int_equal(log.events, stop);
        dialect_free(r);
        umbel_out_free(&log.out);
    }
}

/* Goal: a whole completion in place of a stream is read, and an empty document is no clean end.  Method: two documents.
 * Catches: a 200 with JSON told as an empty answer. */
static void dialect_documents(void **state)
{
    static const struct {
        const char *text, *want;
        uint32_t verdict;
    } cases[] = {
        {"{\n \"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"all\"},"
         "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n", "T all\nU 3 1\nF 1 stop\n", UMBEL_VERDICT_COMPLETE},
        {"{\"error\":{\"message\":\"m\",\"code\":\"rate_limit\"}}", "E 3+ m\n", UMBEL_VERDICT_FAILED},
        {"{}", "E 6+ the model service ended the answer without a word\n", UMBEL_VERDICT_FAILED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct event_log log = {0};
        struct dialect_reader *r = NULL;
        uint32_t verdict = 0;
        assert_int_equal(dialect_chat_create(NULL, 0, event_log_take, &log, &r), 0);
        assert_int_equal(dialect_feed_document(r, cases[i].text, strlen(cases[i].text), NULL), 0);
        assert_int_equal(dialect_end(r, true, &verdict, NULL), 0);
        assert_int_equal(verdict, cases[i].verdict);
        umbel_out_put(&log.out, "", 1);
        assert_string_equal(log.out.data, cases[i].want);
        dialect_free(r);
        umbel_out_free(&log.out);
    }
}

/* Goal: a refusal before the stream gives kind, retryability and one clean line from every body.  Method: the table of services.
 * Catches: AUTH told to clients, HTML with its line ends in the log, an empty text. */
static void dialect_refusals(void **state)
{
    static const struct {
        unsigned status;
        const char *body;
        uint32_t kind;
        bool retryable;
        const char *text;
        bool ours;
    } cases[] = {
        {400, "{\"error\":{\"code\":400,\"message\":\"API key not valid. Please pass a valid API key.\",\"status\":\"INVALID_ARGUMENT\"}}",
         UMBEL_ERROR_UPSTREAM, false, "API key not valid. Please pass a valid API key.", true},
        {400, "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"Your credit balance is too low.\"}}",
         UMBEL_ERROR_UPSTREAM, false, "Your credit balance is too low.", true},
        {429, "{\"error\":{\"message\":\"Rate limit reached in organization org-AbCdEfGh12345678: Limit 3.\",\"code\":\"rate_limit_exceeded\"}}",
         UMBEL_ERROR_RATE, true, "Rate limit reached in organization [...]: Limit 3.", true},
        {403, "{\"error\":{\"code\":\"content_policy_violation\",\"message\":\"unfit\"}}", UMBEL_ERROR_UPSTREAM, false, "unfit", false},
        {400, "{\"error\":{\"message\":\"This model's maximum context length is 10 tokens\",\"code\":\"context_length_exceeded\"}}",
         UMBEL_ERROR_UPSTREAM, false, "This model's maximum context length is 10 tokens", false},
        {401, "{\"error\":{\"message\":\"Incorrect API key provided: sk-abcd1234********wxyz. See https://x.example/account/keys\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"invalid_api_key\"}}",
         UMBEL_ERROR_UPSTREAM, false, "Incorrect API key provided: [...] See https://x.example/account/keys", true},
        {403, "{\"error\":{\"message\":\"no\"}}", UMBEL_ERROR_UPSTREAM, false, "no", true},
        {400, "{\"error\":{\"code\":\"content_filter\",\"message\":\"filtered\",\"innererror\":{}}}", UMBEL_ERROR_UPSTREAM, false, "filtered", false},
        {429, "{\"error\":{\"message\":\"slow\",\"type\":\"tokens\",\"code\":null}}", UMBEL_ERROR_RATE, true, "slow", false},
        {429, "{\"error\":{\"message\":\"pay\",\"code\":\"insufficient_quota\"}}", UMBEL_ERROR_UPSTREAM, false, "pay", true},
        {400, "{\"code\":\"InvalidApiKey\",\"message\":\"bad\",\"request_id\":\"r\"}", UMBEL_ERROR_UPSTREAM, false, "bad", true},
        {429, "{\"error\":{\"code\":\"1302\",\"message\":\"many\"}}", UMBEL_ERROR_RATE, true, "many", false},
        {404, "{\"error\":\"model 'x' not found\"}", UMBEL_ERROR_UPSTREAM, false, "model 'x' not found", false},
        {503, "{\"error\":{\"code\":503,\"message\":\"Loading model\",\"type\":\"unavailable_error\"}}", UMBEL_ERROR_BUSY, true, "Loading model", false},
        {529, "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}", UMBEL_ERROR_BUSY, true, "Overloaded", false},
        {429, "{\"error\":{\"code\":429,\"message\":\"m\",\"status\":\"RESOURCE_EXHAUSTED\"}}", UMBEL_ERROR_RATE, true, "m", false},
        {500, "{\"detail\":\"Internal\"}", UMBEL_ERROR_UPSTREAM, true, "Internal", false},
        {500, "{\"message\":\"\\t\"}", UMBEL_ERROR_UPSTREAM, true, "the model service answered HTTP 500", false},
        {500, "{}", UMBEL_ERROR_UPSTREAM, true, "the model service answered HTTP 500", false},
        {502, "<html>\r\n<body>\r\n  Bad\x01 Gateway</body>", UMBEL_ERROR_UPSTREAM, true, "HTTP 502: <html> <body> Bad Gateway</body>", false},
        {503, "", UMBEL_ERROR_BUSY, true, "HTTP 503 without a body", false},
        {504, " \n", UMBEL_ERROR_UPSTREAM, true, "HTTP 504 without a body", false},
        {413, "too large\xff", UMBEL_ERROR_UPSTREAM, false, "HTTP 413: too large\xef\xbf\xbd", false},
        {302, "[1]", UMBEL_ERROR_UPSTREAM, true, "HTTP 302: [1]", false},
    };
    struct dialect_error error;
    char big[2000];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dialect_refusal(cases[i].status, cases[i].body, strlen(cases[i].body), &error);
        assert_string_equal(error.text, cases[i].text);
        assert_string_equal(dialect_error_for_clients(&error), cases[i].ours ? "the model service refused this service's own account" : error.text);
        assert_int_equal(error.kind, cases[i].kind);
        assert_int_equal(error.retryable, cases[i].retryable);
    }
    for (size_t shift = 0; shift < 3; shift++) { /* the cut never goes through a character */
        memset(big, '.', shift);
        for (size_t i = shift; i + 3 <= sizeof big; i += 3)
            memcpy(big + i, "\xe7\x95\x8c", 3);
        dialect_refusal(500, big, (sizeof big - shift) / 3 * 3 + shift, &error);
        assert_in_range(strlen(error.text), DIALECT_TEXT_MAX - 2, DIALECT_TEXT_MAX);
        assert_int_equal(utf8_whole(error.text, strlen(error.text)), strlen(error.text));
    }
}

/* Goal: the scanner takes the ordinary chunk and leaves the unusual to the JSON reader; what it takes it reads alike.  Method: texts of
 * both kinds.  Catches: a hot path that always declines (nothing else would notice), or takes what it cannot read. */
static void delta_scan_takes_the_usual_and_only_that(void **state)
{
    static const struct {
        const char *text;
        bool taken;
    } cases[] = {
        {"{\"choices\":[]}", true},
        {" { \"choices\" : [ { \"index\" : 0 , \"delta\" : { \"content\" : \"a\\u00e9\\n\" } } ] } ", true},
        {"{\"choices\":[{\"delta\":{\"content\":\"x\",\"role\":\"assistant\",\"refusal\":null,\"tool_calls\":[ ]},\"logprobs\":{\"a\":[1,-2.5e-7,{}]}}],\"usage\":null}", true},
        {"{\"choices\":[{\"finish_reason\":\"stop\",\"usage\":{\"prompt_tokens\":1}}],\"usage\":{\"completion_tokens\":12,\"d\":{\"e\":[]}},\"error\":null}", true},
        {"{\"choices\":[{\"delta\":{\"content\":\"\\ud83d\"}}]}", true},
        {"{\"object\":\"chat.completion.chunk\"}", false},
        {"{\"choices\":[{},{}]}", false},
        {"{\"choices\":[{\"index\":1}]}", false},
        {"{\"choices\":[{\"index\":00}]}", false},
        {"{\"choices\":[],\"choices\":[]}", false},
        {"{\"choices\":[{\"delta\":{\"content\":\"a\",\"content\":\"b\"}}]}", false},
        {"{\"choices\":[{\"delta\":{\"c\\u006fntent\":\"a\"}}]}", false},
        {"{\"choices\":[{\"delta\":{\"tool_calls\":[{}]}}]}", false},
        {"{\"choices\":[{\"delta\":{\"content\":[\"a\"]}}]}", false},
        {"{\"choices\":[{\"finish_reason\":\"\\u0073top\"}]}", false},
        {"{\"choices\":[],\"usage\":{\"prompt_tokens\":1.0}}", false},
        {"{\"choices\":[],\"usage\":{\"prompt_tokens\":1234567890123456}}", false},
        {"{\"choices\":[],\"usage\":{\"input_tokens\":1}}", false},
        {"{\"choices\":[],\"error\":\"x\"}", false},
        {"{\"choices\":[],\"object\":\"error\"}", false},
        {"{\"choices\":[]} x", false},
        {"{\"choices\":[],}", false},
        {"{\"choices\":[]", false},
        {"{\"choices\":[],\"x\":\"\t\"}", false},
        {"{\"choices\":[],\"x\":01}", false},
        {"{\"choices\":[],\"x\":[1,]}", false},
        {"{\"choices\":[],\"x\":{\"a\"}}", false},
        {"{\"choices\":[],\"x\":\"\\q\"}", false},
        {"", false},
    };
    struct umbel_out scratch = {0};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct umbel_json *value = NULL;
        struct delta_chunk fast, slow;
        struct delta_rest rest;
        size_t size = strlen(cases[i].text);
        char *copy = malloc(size + 1); /* without room behind it: the address sanitizer sees a read past the end */
        copy = realloc(copy, size ? size : 1);
        memcpy(copy, cases[i].text, size);
        if (delta_scan(copy, size, &scratch, &fast) != cases[i].taken)
            fail_msg("%s", cases[i].text);
        if (cases[i].taken) {
            assert_int_equal(json_read(copy, size, true, &value, NULL), 0);
            delta_read(value, false, &slow, &rest);
            assert_true(span_equal(fast.text, slow.text) && span_equal(fast.finish, slow.finish));
            assert_int_equal(fast.usage.seen, slow.usage.seen);
            assert_int_equal(fast.usage.completion_tokens, slow.usage.completion_tokens);
            assert_int_equal(fast.choice_usage.prompt_tokens, slow.choice_usage.prompt_tokens);
            umbel_json_free(value);
        }
        free(copy);
    }
    umbel_out_free(&scratch);
}

/* Goal: an ordinary stream never leaves the hot path.  Method: the OpenAI fixture; count what the scanner declined.
 * Catches: a scanner that silently declines what services really send. */
static void dialect_ordinary_streams_are_fast(void **state)
{
    static const char *const names[] = {"openai.sse", "azure.sse", "deepseek.sse", "moonshot.sse", "zhipu.sse", "vllm_reasoning.sse"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct event_log log = {0};
        struct dialect_reader *r = NULL;
        size_t size;
        char *text = read_fixture(names[i], &size);
        assert_int_equal(dialect_chat_create(NULL, 0, event_log_take, &log, &r), 0);
        assert_int_equal(dialect_feed(r, text, size, NULL), 0);
        assert_int_equal(dialect_counts(r)->slow, 0);
        assert_int_equal(dialect_counts(r)->bytes, size);
        dialect_free(r);
        umbel_out_free(&log.out);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dialect_reads_every_fixture_at_every_cut), cmocka_unit_test(dialect_finish_reasons),
        cmocka_unit_test(dialect_verdicts),                         cmocka_unit_test(dialect_end_of_a_broken_body),
        cmocka_unit_test(dialect_error_shapes),                     cmocka_unit_test(dialect_members_of_a_chunk),
        cmocka_unit_test(dialect_quirks_are_switchable),            cmocka_unit_test(dialect_bounds_and_stops),
        cmocka_unit_test(dialect_documents),                        cmocka_unit_test(dialect_refusals),
        cmocka_unit_test(delta_scan_takes_the_usual_and_only_that), cmocka_unit_test(dialect_ordinary_streams_are_fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
