/* Unit: core/parse, the dialects beside chat completions, and the forms that only some services called compatible send: byte-exact fixtures,
 * every cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/config/config_load.h"
#include "core/config/config_options.h"
#include "core/upstream/upstream_dialect.h"
#include "tests/fuzz/event_log.h"

static char *read_fixture(const char *name, size_t *ret_size)
{
    static const char here[] = "tests/unit/test_dialects.c";
    const char *file = __FILE__;
    char path[4096], *data = NULL;

    assert_true(strlen(file) >= strlen(here));
    snprintf(path, sizeof path, "%.*stests/support/fixtures/upstream/%s", (int)(strlen(file) - strlen(here)), file, name);
    if (fd_read_file(path, 1 << 20, &data, ret_size) < 0)
        fail_msg("cannot read %s", path);
    return data;
}

enum { ONE_BYTE = -1 };

static struct dialect_quirks quirks_of(const char *word)
{
    struct dialect_quirks quirks = dialect_quirks_default;

    if (word)
        assert_int_equal(dialect_quirks_set(&quirks, word, NULL), 0);
    return quirks;
}

/* Reads text in pieces: cut at `cut`, or each byte alone.  The pieces are copies that are gone after each call. */
static struct event_log read_cut(const char *dialect, const struct dialect_quirks *quirks, const char *text, size_t size, long cut)
{
    struct event_log log = {0};
    struct dialect_reader *r = NULL;
    uint32_t verdict = 0;
    size_t at = 0;
    int result = 0;

    assert_int_equal(dialect_create(dialect, quirks, 0, event_log_take, &log, &r), 0);
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

/* The lines of log before the last one, and a part of that one. */
static void expect_events(const char *name, const struct event_log *log, const char *want, const char *verdict)
{
    const char *last = strstr(log->out.data, "\n= ");
    const char *end = strncmp(log->out.data, "= ", 2) == 0 ? log->out.data : last ? last + 1 : NULL;

    assert_non_null(end);
    if (strlen(want) != (size_t)(end - log->out.data) || memcmp(want, log->out.data, strlen(want)) != 0 || !strstr(end, verdict))
        fail_msg("%s: wanted\n%s%s\nbut it is\n%s", name, want, verdict, log->out.data);
}

#define CUT_OFF "E 6+ the model service stopped in the middle of the answer\n"
#define CALL(index, id, name, arguments)                                                                                          \
    "L {\"index\":" index ",\"id\":\"" id "\",\"type\":\"function\",\"function\":{\"name\":\"" name "\",\"arguments\":\"" arguments "\"}}\n"
#define MORE(index, arguments) "L {\"index\":" index ",\"function\":{\"arguments\":\"" arguments "\"}}\n"

static const struct {
    const char *file, *dialect, *quirk, *want, *verdict;
} fixtures[] = {
    {"zhipu_v3.sse", "openai", "text_events", "T line one\nline two\nU 5 7\nF 1 finish\n",
     "= 0 verdict 1 comments 0 events 2 ignored 0 bad 0 flush 0 missing 0 suspect 0 1110"},
    {"zhipu_v3.sse", "openai", NULL, CUT_OFF, "verdict 2"},
    {"llamacpp_completion.sse", "openai", NULL, "T Hi\nU 4 2\nF 2 limit\n", "verdict 1 comments 1 events 2 ignored 0 bad 0 flush 0 missing 0"},
    {"llamacpp_completion.sse", "openai", "no-content_at_top", CUT_OFF, "verdict 2"},

    {"anthropic.sse", "anthropic", NULL, "R hm\nT \xe4\xb8\x96\nT \xf0\x9f\x98\x80 ok\nU 128 15\nF 2 max_tokens\n",
     "= 0 verdict 1 comments 0 events 14 ignored 1 bad 0 flush 0 missing 0 suspect 0 1110"},
    {"anthropic.sse", "anthropic", "no-thinking", "T \xe4\xb8\x96\nT \xf0\x9f\x98\x80 ok\nU 128 15\nF 2 max_tokens\n", "verdict 1"},
    {"anthropic_error.sse", "anthropic", NULL, "T p\nU 25 5\nE 4+ Overloaded\n", "= 0 verdict 3"},
    {"anthropic_tools.sse", "anthropic", NULL,
     "T I look.\n" CALL("0", "toolu_1", "get_weather", "") MORE("0", "{\\\"city\\\": \\\"\xe6\x9d\xad") MORE("0", "\xe5\xb7\x9e\\\"}")
         CALL("1", "toolu_2", "now", "") MORE("1", "{}") "U 25 40\nF 4 tool_use\n", "= 0 verdict 1 comments 0 events 12 ignored 0"},
    {"anthropic_cut.sse", "anthropic", NULL, "T p\nU 25 1\n" CUT_OFF, "verdict 2 comments 0 events 3 ignored 0 bad 1"},

    {"ollama.ndjson", "ollama", NULL, "T The\nU 26 282\nF 1 stop\n", "= 0 verdict 1 comments 0 events 2 ignored 0 bad 0 flush 0 missing 0 suspect 0 1110"},
    {"ollama_error.ndjson", "ollama", NULL, "T The\nE 6+ an error was encountered while running the model\n", "= 0 verdict 3"},
    {"ollama_cut.ndjson", "ollama", NULL, "T The\n" CUT_OFF, "verdict 2 comments 0 events 2 ignored 0 bad 1"},
    {"ollama_flush.ndjson", "ollama", NULL, "T The\nU 26 282\nF 1 stop\n", "verdict 1 comments 0 events 2 ignored 0 bad 0 flush 1 missing 0"},
    {"ollama_flush.ndjson", "ollama", "no-eof_flush", "T The\n" CUT_OFF, "verdict 2"},
    {"ollama_tools.ndjson", "ollama", NULL,
     "R hm\n" CALL("0", "call_0", "get_weather", "{\\\"city\\\":\\\"\xe6\x9d\xad\xe5\xb7\x9e\\\",\\\"days\\\":2}") CALL("1", "abc", "now", "{}")
         "U 9 7\nF 4 stop\n", "= 0 verdict 1"},

    {"gemini.sse", "gemini", NULL, "T Hello\nU 4 2\nF 1 STOP\n", "= 0 verdict 1 comments 0 events 2 ignored 0 bad 0 flush 0 missing 0 suspect 0 1100"},
    {"gemini_tools.sse", "gemini", NULL,
     "R hm\nT I look.\n" CALL("0", "call_0", "get_weather", "{\\\"city\\\":\\\"\xe6\x9d\xad\xe5\xb7\x9e\\\"}") CALL("1", "f2", "now", "{}")
         "U 4 19\nF 4 STOP\n", "= 0 verdict 1"},
    {"gemini_error.sse", "gemini", NULL, "T Hello\nU 4 1\nE 4+ The model is overloaded. Please try again later.\n", "= 0 verdict 3"},
    {"gemini_blocked.sse", "gemini", NULL, "E 6 the model service refuses the question: PROHIBITED_CONTENT\n", "= 0 verdict 3"},
    {"gemini_cut.sse", "gemini", NULL, "T Hello\nU 4 1\n" CUT_OFF, "verdict 2 comments 0 events 2 ignored 0 bad 1"},
    {"gemini_array.json", "gemini", NULL, "T Hello\nT a]}\\\"{[,\\\nU 4 2\nF 1 STOP\n",
     "= 0 verdict 1 comments 0 events 3 ignored 0 bad 0 flush 0 missing 0 suspect 0 1110"},
    {"gemini_array_open.json", "gemini", NULL, "T Hello\nU 4 2\nF 1 STOP\n", "= 0 verdict 1 comments 0 events 2 ignored 0 bad 0 flush 0 missing 1"},
    {"gemini_array_error.json", "gemini", NULL, "E 3+ Resource has been exhausted\n", "= 0 verdict 3"},
    {"gemini_array_cut.json", "gemini", NULL, "T Hello\nU 4 1\n" CUT_OFF, "verdict 2 comments 0 events 2 ignored 0 bad 1"},

    {"dashscope_native_error.sse", "dashscope", NULL, "R The\nU 287 3\nE 6 ...\n", "= 0 verdict 3 comments 2 events 2 ignored 0"},
    {"dashscope.sse", "dashscope", NULL, "R hm\nR , yes\nT \xe4\xb8\x96\nT \xe7\x95\x8c x\nT !\nU 9 7\nF 1 stop\n",
     "= 0 verdict 1 comments 6 events 6 ignored 0 bad 0 flush 0 missing 0 suspect 0 1100"},
    {"dashscope.sse", "dashscope", "no-reasoning_content", "T \xe4\xb8\x96\nT \xe7\x95\x8c x\nT !\nU 9 7\nF 1 stop\n", "= 0 verdict 1"},
    {"dashscope_deltas.sse", "dashscope", "incremental_output", "T aa\nT aab\nU 9 2\nF 1 stop\n", "= 0 verdict 1"},
    {"dashscope_deltas.sse", "dashscope", NULL, "T aa\nT b\nU 9 2\nF 1 stop\n", "= 0 verdict 1"},
    {"dashscope_text.sse", "dashscope", NULL, "T One\nT , two\nU 2 3\nF 2 length\n", "= 0 verdict 1"},
    {"dashscope_tools.sse", "dashscope", NULL,
     CALL("0", "call_a", "get_weather", "") MORE("0", "{\\\"city\\\": \\\"\xe6\x9d\xad") MORE("0", "\xe5\xb7\x9e\\\"}") "U 9 2\nF 4 tool_calls\n", "= 0 verdict 1"},
    {"dashscope_cut.sse", "dashscope", NULL, "T aa\nU 9 1\n" CUT_OFF, "verdict 2"},
    {"dashscope_busy.sse", "dashscope", NULL, "T aa\nU 9 1\nE 3+ Requests rate limit exceeded\n", "= 0 verdict 3"},
};

/* text with each line end, LF or CRLF, written as `end`. */
static struct umbel_out with_ends(const char *text, size_t size, const char *end)
{
    struct umbel_out out = {0};

    for (size_t i = 0; i < size; i++)
        if (text[i] == '\n')
            umbel_out_text(&out, end);
        else if (text[i] != '\r')
            umbel_out_put(&out, text + i, 1);
    assert_int_equal(out.failed, 0);
    return out;
}

/* Goal: what each service sends gives the right events, verdict and counts, for every line end and wherever the input is cut.
 * Method: byte-exact fixtures with LF, CRLF and (but for lines of JSON, which end with LF) CR; cut in two at every byte, and byte by byte.
 * Catches: a form lost; state that depends on how the network cuts; a piece of memory used after the call that lent it. */
static void dialects_read_every_fixture_at_every_cut(void **state)
{
    static const char *const ends[] = {"\n", "\r\n", "\r"};

    (void)state;
    for (size_t i = 0; i < sizeof fixtures / sizeof *fixtures; i++) {
        struct dialect_quirks quirks = quirks_of(fixtures[i].quirk);
        size_t size;
        char *text = read_fixture(fixtures[i].file, &size);
        for (size_t e = 0; e < (strcmp(fixtures[i].dialect, "ollama") == 0 ? 2 : 3); e++) {
            struct umbel_out input = with_ends(text, size, ends[e]);
            for (long cut = ONE_BYTE; cut < (long)input.size; cut++) {
                struct event_log log = read_cut(fixtures[i].dialect, &quirks, input.data, input.size, cut);
                expect_events(fixtures[i].file, &log, fixtures[i].want, fixtures[i].verdict);
                umbel_out_free(&log.out);
            }
            umbel_out_free(&input);
        }
        free(text);
    }
}

static void expect(const char *dialect, const char *quirk, const char *text, const char *want, const char *verdict)
{
    struct dialect_quirks quirks = quirks_of(quirk);
    struct event_log log = read_cut(dialect, &quirks, text, strlen(text), 0);

    expect_events(text, &log, want, verdict);
    umbel_out_free(&log.out);
}

#define BLOCK(text) "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"" text "\"}}\n\n"
#define REASON(word) "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":" word "}}\n\n"
#define MESSAGE_STOP "data: {\"type\":\"message_stop\"}\n\n"
#define LINE(text) "{\"message\":{\"content\":\"" text "\"},\"done\":false}\n"
#define PART(text) "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"" text "\"}]}}]}\n\n"
#define FINISHED(word) "data: {\"candidates\":[{\"finishReason\":" word "}]}\n\n"
#define OUTPUT(text, word) "data:{\"output\":{\"choices\":[{\"message\":{\"content\":\"" text "\"},\"finish_reason\":" word "}]}}\n\n"

/* Goal: the finish reasons of each dialect, and no reason where there is none.  Method: a table of one answer each.
 * Catches: a failing word told as a clean end, the raw word lost, "null" taken as a finish. */
static void dialects_finish_reasons(void **state)
{
    static const struct {
        const char *dialect, *text, *want, *verdict;
    } cases[] = {
        {"anthropic", BLOCK("x") REASON("\"end_turn\"") MESSAGE_STOP, "T x\nF 1 end_turn\n", "verdict 1"},
        {"anthropic", BLOCK("x") REASON("\"stop_sequence\"") MESSAGE_STOP, "T x\nF 1 stop_sequence\n", "verdict 1"},
        {"anthropic", BLOCK("x") REASON("\"refusal\"") MESSAGE_STOP, "T x\nF 3 refusal\n", "verdict 1"},
        {"anthropic", BLOCK("x") REASON("\"pause_turn\"") MESSAGE_STOP, "T x\nF 5 pause_turn\n", "verdict 1"},
        {"anthropic", BLOCK("x") REASON("\"model_context_window_exceeded\"") MESSAGE_STOP, "T x\nF 2 model_context_window_exceeded\n", "verdict 1"},
        {"anthropic", BLOCK("x") REASON("null"), "T x\n" CUT_OFF, "verdict 2"},
        {"ollama", LINE("x") "{\"done\":true,\"done_reason\":\"length\"}\n", "T x\nF 2 length\n", "verdict 1"},
        {"ollama", LINE("x") "{\"done\":true}\n", "T x\nF 1 stop\n", "verdict 1"},
        {"ollama", LINE("x") "{\"done\":true,\"done_reason\":\"load\"}\n", "T x\nF 5 load\n", "verdict 1"},
        {"gemini", PART("x") FINISHED("\"MAX_TOKENS\""), "T x\nF 2 MAX_TOKENS\n", "verdict 1"},
        {"gemini", PART("x") FINISHED("\"SAFETY\""), "T x\nF 3 SAFETY\n", "verdict 1"},
        {"gemini", PART("x") FINISHED("\"OTHER\""), "T x\nF 5 OTHER\n", "verdict 1"},
        {"gemini", PART("x") FINISHED("\"MALFORMED_FUNCTION_CALL\""), "T x\nE 6+ the model service ended the answer with \"MALFORMED_FUNCTION_CALL\"\n", "verdict 3"},
        {"gemini", PART("x") FINISHED("null"), "T x\n" CUT_OFF, "verdict 2"},
        {"dashscope", OUTPUT("x", "\"length\""), "T x\nF 2 length\n", "verdict 1"},
        {"dashscope", OUTPUT("x", "\"null\""), "T x\n" CUT_OFF, "verdict 2"},
        {"dashscope", OUTPUT("x", "null"), "T x\n" CUT_OFF, "verdict 2"},
        {"dashscope", OUTPUT("x", "\"\""), "T x\n" CUT_OFF, "verdict 2"},
        {"dashscope", OUTPUT("x", "\"odd\""), "T x\nF 5 odd\n", "verdict 1"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(cases[i].dialect, NULL, cases[i].text, cases[i].want, cases[i].verdict);
    expect("dashscope", "no-null_text_finish", OUTPUT("x", "\"null\""), "T x\nF 5 null\n", "verdict 1");
    expect("gemini", "no-error_finish", PART("x") FINISHED("\"MALFORMED_FUNCTION_CALL\""), "T x\nF 5 MALFORMED_FUNCTION_CALL\n", "verdict 1");
}

/* Goal: the verdict table for each dialect: with an end marker, and without one.  Method: the shortest stream of each row.
 * Catches: an answer without its end told as complete; one that needs no marker told as cut off; events after the end; a dead service told
 * as a clean end. */
static void dialects_verdicts(void **state)
{
    static const char empty[] = "E 6+ the model service ended the answer without a word\n";

    (void)state;
    expect("anthropic", NULL, BLOCK("x") REASON("\"end_turn\""), "T x\nF 1 end_turn\n", "= 0 verdict 1 comments 0 events 2 ignored 0 bad 0 flush 0 missing 1");
    expect("anthropic", "no-done_missing", BLOCK("x") REASON("\"end_turn\""), "T x\n" CUT_OFF, "verdict 2");
    expect("anthropic", NULL, BLOCK("x") MESSAGE_STOP, "T x\n", "verdict 1 comments 0 events 2 ignored 0 bad 0 flush 0 missing 0 suspect 1");
    expect("anthropic", NULL, MESSAGE_STOP, empty, "verdict 3");
    expect("anthropic", NULL, REASON("\"end_turn\"") MESSAGE_STOP BLOCK("late"), "F 1 end_turn\n", "= 0 verdict 1 comments 0 events 3 ignored 1");
    expect("anthropic", NULL, "", CUT_OFF, "verdict 2");
    expect("anthropic", NULL, BLOCK("x") "event: error\ndata: all is lost\n\n", "T x\nE 6+ all is lost\n", "= 0 verdict 3");
    expect("anthropic", "no-error_event", BLOCK("x") "event: error\ndata: all is lost\n\n", "T x\n" CUT_OFF, "verdict 2");
    expect("anthropic", NULL, BLOCK("x") "event: news\ndata: no JSON\n\n" REASON("\"end_turn\"") MESSAGE_STOP, "T x\nF 1 end_turn\n", "verdict 1 comments 0 events 4 ignored 0 bad 1");
    expect("anthropic", NULL, BLOCK("x") "data: {broken\n\n", "T x\nE 6+ the model service sent broken JSON (byte 1: expected a string)\n", "= -74 verdict 3");
    expect("ollama", NULL, LINE("x"), "T x\n" CUT_OFF, "verdict 2");
    expect("ollama", NULL, "{\"done\":true}\n", "F 1 stop\n", "verdict 1");
    expect("ollama", NULL, "{\"done\":true}\n" LINE("late") "no JSON\n", "F 1 stop\n", "= 0 verdict 1 comments 0 events 3 ignored 2");
    expect("ollama", NULL, LINE("x") "oh no\n", "T x\nE 6+ the model service sent broken JSON (byte 0: expected a value)\n", "= -74 verdict 3");
    expect("ollama", NULL, "\n \r\n7\n{}\n" LINE("x") "{\"done\":true}\n", "T x\nF 1 stop\n", "verdict 1 comments 0 events 4 ignored 2");
    expect("ollama", "no-thinking", "{\"message\":{\"thinking\":\"hm\"}}\n{\"done\":true}\n", "F 1 stop\n", "verdict 1");
    expect("gemini", NULL, PART("x"), "T x\n" CUT_OFF, "verdict 2");
    expect("gemini", NULL, "", CUT_OFF, "verdict 2");
    expect("gemini", NULL, " \r\n", CUT_OFF, "verdict 2");
    expect("gemini", NULL, "[]", empty, "verdict 3");
    expect("gemini", NULL, "[{\"candidates\":[]} x]", "E 6+ the model service sent broken JSON (byte 0x78 between its objects)\n", "= -74 verdict 3");
    expect("gemini", NULL, "[{\"candidates\"}]", "E 6+ the model service sent broken JSON (byte 13: expected ':')\n", "= -74 verdict 3");
    expect("gemini", NULL, "{\"error\":{\"code\":429,\"message\":\"m\",\"status\":\"RESOURCE_EXHAUSTED\"}}", "E 3+ m\n", "verdict 3");
    expect("gemini", NULL, "\xef\xbb\xbf" PART("x") FINISHED("\"STOP\"") "data: [DONE]\n\n", "T x\nF 1 STOP\n", "= 0 verdict 1");
    expect("gemini", "no-thinking", "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"hm\",\"thought\":true}]},\"finishReason\":\"STOP\"}]}\n\n", "F 1 STOP\n", "verdict 1");
    expect("gemini", NULL, "data: {\"candidates\":[{\"index\":1,\"content\":{\"parts\":[{\"text\":\"other\"}]}},7,{\"content\":{\"parts\":[{},{\"text\":\"x\"}]},\"finishReason\":\"STOP\"}]}\n\n",
           "T x\nF 1 STOP\n", "verdict 1 comments 0 events 1 ignored 3");
    expect("dashscope", NULL, OUTPUT("x", "\"stop\"") "event:error\ndata:{\"code\":\"InternalError\",\"message\":\"m\"}\n\n", "T x\nE 6+ m\n", "= 0 verdict 3");
    expect("dashscope", NULL, OUTPUT("x", "\"null\"") "data:{\"code\":\"InvalidApiKey\",\"message\":\"m\"}\n\n",
           "T x\nE 6 the model service refused this service's own account\n", "= 0 verdict 3");
    expect("dashscope", "no-error_bare", OUTPUT("x", "\"stop\"") "data:{\"code\":\"InvalidApiKey\",\"message\":\"m\"}\n\n", "T x\nF 1 stop\n", "verdict 1");
    expect("dashscope", "no-error_event", OUTPUT("x", "\"stop\"") "event:error\ndata:words\n\n", "T x\nF 1 stop\n", "verdict 1");
    expect("dashscope", NULL, OUTPUT("x", "\"null\"") ":HTTP_STATUS/500\nevent:error\ndata:words\n\n", "T x\nE 6+ HTTP 500: words\n", "= 0 verdict 3");
    expect("dashscope", NULL, OUTPUT("x", "\"stop\"") OUTPUT("x", "\"stop\""), "T x\nF 1 stop\n", "verdict 1");
}

/* Goal: repeated texts give each byte once, whatever the service does with them.  Method: sequences that grow, stand still, revise half a
 * character, or turn out to be deltas.  Catches: doubled text, text lost behind half a character, an answer cut at its last U+FFFD. */
static void dashscope_repeats_are_taken_once(void **state)
{
    (void)state;
    expect("dashscope", NULL, OUTPUT("a", "\"null\"") OUTPUT("a", "\"null\"") OUTPUT("ab", "\"null\"") OUTPUT("ab", "\"stop\""), "T a\nT b\nF 1 stop\n", "verdict 1");
    expect("dashscope", NULL, OUTPUT("a", "\"null\"") OUTPUT("", "\"null\"") OUTPUT("ab", "\"stop\""), "T a\nT b\nF 1 stop\n", "verdict 1");
    expect("dashscope", NULL, OUTPUT("a\\ud83d", "\"null\"") OUTPUT("a\\ud83d\\ude00", "\"stop\""), "T a\nT \xf0\x9f\x98\x80\nF 1 stop\n", "verdict 1");
    expect("dashscope", NULL, OUTPUT("a\xef\xbf\xbd\xef\xbf\xbd", "\"null\"") OUTPUT("a\xef\xbf\xbd\xef\xbf\xbd", "\"stop\""),
           "T a\nT \xef\xbf\xbd\xef\xbf\xbd\nF 1 stop\n", "verdict 1");
    expect("dashscope", NULL, OUTPUT("one", "\"null\"") OUTPUT(" two", "\"null\"") OUTPUT("one", "\"stop\""), "T one\nT  two\nT one\nF 1 stop\n", "verdict 1");
    expect("dashscope", "incremental_output", OUTPUT("ha", "\"null\"") OUTPUT("haha", "\"null\"") OUTPUT("", "\"stop\""), "T ha\nT haha\nF 1 stop\n", "verdict 1");
    expect("dashscope", NULL, "data:{\"output\":{\"choices\":[{\"message\":{\"content\":[{\"text\":\"a\"},{\"image\":\"u\"},{\"text\":\"b\"}]},\"finish_reason\":\"stop\"}]}}\n\n",
           "T ab\nF 1 stop\n", "verdict 1");
}

/* Goal: tables that a service could overfill do not overflow, and the rest of the answer goes on.  Method: more tool calls than there is room
 * for, a negative index, fragments of a call that never began.  Catches: writes past the table, an answer lost over a strange call. */
static void dialects_bound_their_tool_calls(void **state)
{
    struct umbel_out text = {0};
    struct event_log log;

    (void)state;
    for (int i = 0; i < 70; i++)
        umbel_out_printf(&text, "data: {\"type\":\"content_block_start\",\"index\":%d,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"a\":1}}}\n\n", i);
    umbel_out_text(&text, "data: {\"type\":\"content_block_delta\",\"index\":69,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"x\"}}\n\n");
    umbel_out_text(&text, BLOCK("x") REASON("\"end_turn\"") MESSAGE_STOP);
    log = read_cut("anthropic", NULL, text.data, text.size, 0);
    assert_int_equal(log.events, 64 + 2);
    assert_non_null(strstr(log.out.data, "{\"index\":63,\"id\":\"t\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}}"));
    assert_non_null(strstr(log.out.data, "ignored 7 "));
    umbel_out_free(&log.out);
    umbel_out_reset(&text);
    umbel_out_text(&text, "data:{\"output\":{\"choices\":[{\"message\":{\"content\":\"x\",\"tool_calls\":[{\"index\":-1},{\"index\":32},{\"index\":1e300},7");
    for (int i = 0; i < 40; i++)
        umbel_out_text(&text, ",{\"function\":{\"name\":\"f\"}}");
    umbel_out_text(&text, "]},\"finish_reason\":\"tool_calls\"}]}}\n\n");
    log = read_cut("dashscope", NULL, text.data, text.size, 0);
    assert_int_equal(log.events, 1 + 29 + 1); /* places 2 and 4 to 31: 1e300 is no index, 7 no call */
    umbel_out_free(&log.out);
    umbel_out_free(&text);
}

/* Goal: a body that is one document is read where the dialect has such a form.  Method: what each service answers without stream, and a bare
 * error.  Catches: a 200 with JSON told as an empty answer. */
static void dialects_documents(void **state)
{
    static const struct {
        const char *dialect, *text, *want;
        uint32_t verdict;
    } cases[] = {
        {"anthropic",
         "{\"type\":\"message\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\"},{\"type\":\"text\",\"text\":\"all\"},{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\","
         "\"input\":{\"a\":[1]}}],\"stop_reason\":\"tool_use\",\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}",
         "R hm\nT all\n" CALL("0", "t", "f", "{\\\"a\\\":[1]}") "U 3 1\nF 4 tool_use\n", UMBEL_VERDICT_COMPLETE},
        {"anthropic", "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"m\"}}", "E 3+ m\n", UMBEL_VERDICT_FAILED},
        {"ollama", "{\"message\":{\"content\":\"all\"},\"done\":true,\"done_reason\":\"stop\",\"eval_count\":1}\n", "T all\nU 0 1\nF 1 stop\n", UMBEL_VERDICT_COMPLETE},
        {"ollama", "{\"error\":\"model 'x' not found\"}", "E 6+ model 'x' not found\n", UMBEL_VERDICT_FAILED},
        {"gemini", "[{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"all\"}]}}]},\n{\"candidates\":[{\"finishReason\":\"STOP\"}]}]", "T all\nF 1 STOP\n", UMBEL_VERDICT_COMPLETE},
        {"dashscope", "{\"output\":{\"text\":\"all\",\"finish_reason\":\"stop\"},\"usage\":{\"input_tokens\":1,\"output_tokens\":2}}", "T all\nU 1 2\nF 1 stop\n", UMBEL_VERDICT_COMPLETE},
        {"dashscope", "{\"code\":\"Throttling\",\"message\":\"m\",\"request_id\":\"r\"}", "E 3+ m\n", UMBEL_VERDICT_FAILED},
        {"gemini", "{}", "E 6+ the model service ended the answer without a word\n", UMBEL_VERDICT_FAILED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct event_log log = {0};
        struct dialect_reader *r = NULL;
        uint32_t verdict = 0;
        assert_int_equal(dialect_create(cases[i].dialect, NULL, 0, event_log_take, &log, &r), 0);
        assert_int_equal(dialect_feed_document(r, cases[i].text, strlen(cases[i].text), NULL), 0);
        assert_int_equal(dialect_end(r, true, &verdict, NULL), 0);
        umbel_out_put(&log.out, "", 1);
        assert_string_equal(log.out.data, cases[i].want);
        assert_int_equal(verdict, cases[i].verdict);
        dialect_free(r);
        umbel_out_free(&log.out);
    }
}

/* Goal: a line or object over the cap fails this answer with a name, and the sink's stop is passed on.  Method: a small cap; a sink that stops
 * at each event in turn.  Catches: an unbounded buffer in a framing of its own, an error swallowed, events after the stop. */
static void dialects_bounds_and_stops(void **state)
{
    static const struct {
        const char *dialect, *begin, *words;
    } cases[] = {{"anthropic", "data: {\"a\":\"", "an event of the stream is longer than 64 bytes"},
                 {"ollama", "{\"a\":\"", "a line of the stream is longer than 64 bytes"},
                 {"gemini", "[{\"a\":\"", "an object of the stream is longer than 64 bytes"},
                 {"gemini", "data: {\"a\":\"", "an event of the stream is longer than 64 bytes"},
                 {"dashscope", "data:{\"a\":\"", "an event of the stream is longer than 64 bytes"}};
    static const char answer[] = LINE("x") "{\"message\":{\"thinking\":\"y\"}}\n{\"done\":true,\"eval_count\":1}\n";

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct event_log log = {0};
        struct dialect_reader *r = NULL;
        struct why why = {""};
        uint32_t verdict = 0;
        int result = 0, fed = 0;
        assert_int_equal(dialect_create(cases[i].dialect, NULL, 64, event_log_take, &log, &r), 0);
        assert_int_equal(dialect_feed(r, cases[i].begin, strlen(cases[i].begin), &why), 0);
        while ((result = dialect_feed(r, "x", 1, &why)) == 0)
            assert_true(++fed < 80);
        assert_int_equal(result, -EMSGSIZE);
        assert_string_equal(why.text, cases[i].words);
        assert_int_equal(dialect_end(r, true, &verdict, NULL), 0);
        assert_int_equal(verdict, UMBEL_VERDICT_FAILED);
        assert_int_equal(log.errors, 1);
        dialect_free(r);
        umbel_out_free(&log.out);
    }
    for (int stop = 1; stop <= 4; stop++) {
        struct event_log log = {.stop_after = stop};
        struct dialect_reader *r = NULL;
        uint32_t verdict = 0;
        assert_int_equal(dialect_create("ollama", NULL, 0, event_log_take, &log, &r), 0);
        assert_int_equal(dialect_feed(r, answer, sizeof answer - 1, NULL), -1000);
        assert_int_equal(dialect_end(r, true, &verdict, NULL), -1000);
        assert_int_equal(log.events, stop);
        dialect_free(r);
        umbel_out_free(&log.out);
    }
    struct dialect_reader *none = NULL;
    assert_int_equal(dialect_create("morse", NULL, 0, event_log_take, NULL, &none), -EINVAL);
    assert_null(none);
}

/* The path that the dialect adds is refused at the end of base_url, when the file is checked. */
static void config_refuses_path(const char *dialect)
{
    const struct upstream_dialect *known = upstream_dialect_find(dialect, NULL);
    char path[] = "/tmp/umbel-dialects-XXXXXX";
    struct config *config = NULL;
    struct why why = {""};
    int fd = mkstemp(path), r;

    assert_non_null(known);
    assert_int_not_equal(fd, -1);
    dprintf(fd, "upstream x { dialect = %s base_url = \"http://h/v9%s\" models = { \"m\" } }\n", dialect, strchr(known->path, '?') ? "" : known->path);
    close(fd);
    r = config_load(path, NULL, NULL, NULL, &config, &why);
    unlink(path);
    if (strchr(known->path, '?')) { /* a part of it is the model: it cannot be written out */
        assert_int_equal(r, 0);
        config_free(config);
    } else if (r == 0 || !strstr(why.text, "write base_url = http://h/v9")) {
        fail_msg("%s: %s", dialect, why.text);
    }
}

/* Goal: the words that the configuration accepts are the ones that the dialects know.  Method: walk the option's list; each word both ways.
 * Catches: a quirk that cannot be written, or one that is accepted and does nothing. */
static void dialects_and_configuration_know_the_same_words(void **state)
{
    struct config_rules rules = config_rules_of("upstream");
    char words[2048] = "", known[4096];
    size_t quirks = 0, dialects = 0;

    (void)state;
    for (size_t i = 0; i < rules.count; i++) {
        const struct config_rule *rule = &rules.items[i];
        bool is_quirks = strcmp(rule->name, "quirks") == 0;
        if (!is_quirks && strcmp(rule->name, "dialect") != 0)
            continue;
        assert_non_null(rule->choices);
        snprintf(words, sizeof words, "%s", rule->choices);
        for (char *rest = words, *word; (word = strsep(&rest, "|"));) {
            struct dialect_quirks set = dialect_quirks_default, none = {0};
            struct dialect_reader *r = NULL;
            if (!is_quirks) {
                dialects++;
                config_refuses_path(word);
                assert_int_equal(dialect_create(word, NULL, 0, event_log_take, NULL, &r), 0);
                dialect_free(r);
                continue;
            }
            quirks++;
            assert_int_equal(strncmp(word, "[no-]", 5), 0);
            snprintf(known, sizeof known, "no-%s", word + 5);
            if (dialect_quirks_set(&none, word + 5, NULL) < 0 || dialect_quirks_set(&set, known, NULL) < 0)
                fail_msg("no dialect knows %s", word);
            assert_memory_not_equal(&none, &(struct dialect_quirks){0}, sizeof none);
        }
    }
    assert_int_equal(quirks, sizeof(struct dialect_quirks));
    assert_int_equal(dialects, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dialects_read_every_fixture_at_every_cut), cmocka_unit_test(dialects_finish_reasons),
        cmocka_unit_test(dialects_verdicts),                        cmocka_unit_test(dashscope_repeats_are_taken_once),
        cmocka_unit_test(dialects_bound_their_tool_calls),          cmocka_unit_test(dialects_documents),
        cmocka_unit_test(dialects_bounds_and_stops),                cmocka_unit_test(dialects_and_configuration_know_the_same_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
