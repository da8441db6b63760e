/* Unit: tools/show, what the IM column makes of the replies of umbel-mock-tim, and when it takes an answer for whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/show/show_protocol.h"

#define NEXT "\x01" /* between two replies */
#define REPLY(messages) "{\"messages\":[" messages "]}"
#define MESSAGE(from, to, flow, kind, src, text, finished)                                                                            \
    "{\"from\":\"" from "\",\"to\":\"" to "\",\"flow\":\"" flow "\",\"kind\":\"" kind "\",\"key\":\"1_2_3\",\"src\":" src ",\"text\":\"" text    \
    "\",\"finished\":" finished ",\"versions\":1,\"version_ms\":[1.5]}"
#define BOT(text, finished) MESSAGE("@RBT#tea", "s=1", "in", "custom", "2", text, finished)
#define OPEN(text) BOT(text, "false")
#define DONE(text) BOT(text, "true")
#define ERROR(text) MESSAGE("@RBT#tea", "s=1", "in", "custom", "23", text, "true")
#define OTHERS                                                                                                                      \
    MESSAGE("s=1", "@RBT#tea", "out", "text", "0", "mine", "true") "," MESSAGE("@RBT#tea", "s=2", "in", "custom", "2", "theirs", "true") ","   \
    "{\"from\":\"@RBT#tea\",\"to\":\"s=1\",\"group\":\"g\",\"flow\":\"in\",\"kind\":\"custom\",\"src\":2,\"text\":\"group\",\"finished\":true}"

struct script {
    const char *replies;
    enum show_state asked_state;
    const char *asked; /* what the asking protocol has by the end */
    enum show_state state;
    const char *text;
    uint64_t frames;
    const char *why; /* a part of the reason, for broken ones */
};

static const struct script scripts[] = {
    {REPLY(""), SHOW_WHOLE, "Green", SHOW_WAITING, "", 0, ""},
    {REPLY("") NEXT REPLY(OPEN("Gr\xc3\xbc")) NEXT REPLY(OPEN("Gr\xc3\xbc")) NEXT REPLY(DONE("Gr\xc3\xbcn")), SHOW_WHOLE, "Gr\xc3\xbcn", SHOW_WHOLE,
     "Gr\xc3\xbcn", 2, ""},
    {REPLY(OPEN("Green")) NEXT REPLY(DONE("Green")), SHOW_WHOLE, "Green", SHOW_WHOLE, "Green", 2, ""}, /* the end alone is a change, too */
    {REPLY(OPEN("Green")), SHOW_WHOLE, "Green", SHOW_WAITING, "Green", 1, ""},                         /* the text alone is no end */
    {REPLY(DONE("Green")), SHOW_WAITING, "Green", SHOW_WAITING, "Green", 1, ""},
    /* a long answer: two messages */
    {REPLY(DONE("Green ")), SHOW_WHOLE, "Green tea", SHOW_WAITING, "Green ", 1, ""},
    {REPLY(DONE("Green ")) NEXT REPLY(DONE("Green ") "," OPEN("tea")), SHOW_WHOLE, "Green tea", SHOW_WAITING, "Green tea", 2, ""},
    {REPLY(DONE("Green ")) NEXT REPLY(DONE("Green ") "," DONE("tea")), SHOW_WHOLE, "Green tea", SHOW_WHOLE, "Green tea", 2, ""},
    /* another text: whole by its own sign, so that the comparison of all texts tells where they differ */
    {REPLY(DONE("Black")), SHOW_WHOLE, "Green", SHOW_WHOLE, "Black", 1, ""},
    {REPLY(DONE("Green tea")), SHOW_WHOLE, "Green", SHOW_WHOLE, "Green tea", 1, ""},
    {REPLY(DONE("Gre")), SHOW_BROKEN, "Green", SHOW_WHOLE, "Gre", 1, ""},
    /* what is not ours */
    {REPLY(OTHERS), SHOW_WHOLE, "theirs", SHOW_WAITING, "", 0, ""},
    {REPLY(OTHERS "," DONE("Green") "," OTHERS), SHOW_WHOLE, "Green", SHOW_WHOLE, "Green", 1, ""},
    {REPLY(DONE("Green") "," MESSAGE("@RBT#two", "s=1", "in", "custom", "2", "Red", "true")), SHOW_WHOLE, "Green", SHOW_WHOLE, "Green", 1, ""},
    {REPLY(MESSAGE("@RBT#tea", "s=1", "in", "text", "0", "Green", "true")), SHOW_WHOLE, "Green", SHOW_WHOLE, "Green", 1, ""},
    /* faults */
    {REPLY(OPEN("Green")) NEXT REPLY(OPEN("Grey t")), SHOW_WAITING, "", SHOW_BROKEN, "Green", 1, "changed instead of growing"},
    {REPLY(OPEN("Green")) NEXT REPLY(OPEN("Gre")), SHOW_WAITING, "", SHOW_BROKEN, "Green", 1, "changed instead of growing"},
    {REPLY(OPEN("Green")) NEXT REPLY(""), SHOW_WAITING, "", SHOW_BROKEN, "Green", 1, "changed instead of growing"},
    {REPLY(DONE("Green")) NEXT REPLY(OPEN("Green tea")), SHOW_WAITING, "", SHOW_BROKEN, "Green", 1, "goes on"},
    {REPLY(DONE("Gr") "," ERROR("no \\nluck")), SHOW_WHOLE, "Gr", SHOW_BROKEN, "", 0, "the bot says: no  luck"},
    {REPLY(MESSAGE("@RBT#tea", "s=1", "in", "custom", "22", "", "true")), SHOW_WAITING, "", SHOW_BROKEN, "", 0, "src 22"},
    {REPLY(BOT("Green", "1")), SHOW_WAITING, "", SHOW_BROKEN, "", 0, "lacks text or finished"},
    {"{\"error\":\"see --help\"}", SHOW_WAITING, "", SHOW_BROKEN, "", 0, "has no messages"},
    {"{\"messages\":", SHOW_WAITING, "", SHOW_BROKEN, "", 0, "not JSON"},
    {NEXT REPLY(""), SHOW_WAITING, "", SHOW_BROKEN, "", 0, "not JSON"},
};

static void feed(struct show_decoder *decoder, const char *reply, size_t size, size_t piece)
{
    for (size_t at = 0; at < size; at += piece)
        show_im.take(decoder, reply + at, size - at < piece ? size - at : piece);
    show_im.reply(decoder);
}

static void run_script(const struct script *script, size_t piece)
{
    struct show_decoder decoder = {.session = "s=1"};
    struct show_answer asked = {.state = SHOW_WAITING}; /* runs as long as there are replies */
    const char *at = script->replies;

    for (bool last = false; !last;) {
        size_t size = strcspn(at, NEXT);
        last = !at[size];
        feed(&decoder, at, size, piece);
        show_im.compare(&decoder, &asked);
        assert_int_not_equal(decoder.answer.state, SHOW_WHOLE); /* the asking protocol still runs */
        at += size + 1;
    }
    umbel_out_text(&asked.text, script->asked);
    asked.state = script->asked_state;
    show_im.compare(&decoder, &asked);
    umbel_out_put(&decoder.answer.text, "", 1);
    if (decoder.answer.state != script->state || strcmp(decoder.answer.text.data, script->text) != 0 ||
        decoder.answer.frames != script->frames || !strstr(decoder.answer.why, script->why))
        fail_msg("in pieces of %zu:\n%s\nstate %d, text '%s', %llu frames, why '%s'", piece, script->replies, decoder.answer.state,
                 decoder.answer.text.data, (unsigned long long)decoder.answer.frames, decoder.answer.why);
    show_answer_free(&asked);
    show_decoder_free(&decoder);
}

/* Goal: the column is whole exactly when all messages are finished and no text of the asking protocol is missing; it counts changes, not
 * replies, and each fault has its reason.  Method: scripts of replies, cut at every size.
 * Catches: the first message of a long answer taken for all of it, messages of others in the column, a reply that is only read in one piece. */
static void the_column_is_whole_when_nothing_is_missing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++)
        for (size_t piece = 1; piece < 300; piece++)
            run_script(&scripts[i], piece);
}

/* Goal: a reply has a bound.  Method: blanks up to the bound and one more.  Catches: memory that grows with what a server sends. */
static void a_reply_has_a_bound(void **state)
{
    static char blanks[1u << 16];
    struct show_decoder decoder = {.session = "s=1"};

    (void)state;
    memset(blanks, ' ', sizeof blanks);
    for (size_t sent = 0; sent < SHOW_LINE_MAX; sent += sizeof blanks)
        show_im.take(&decoder, blanks, sizeof blanks);
    assert_int_equal(decoder.answer.state, SHOW_WAITING);
    show_im.take(&decoder, blanks, 1);
    assert_int_equal(decoder.answer.state, SHOW_BROKEN);
    assert_non_null(strstr(decoder.answer.why, "larger than"));
    assert_true(decoder.pending.size <= SHOW_LINE_MAX);
    show_decoder_free(&decoder);
}

/* Goal: it is found by its name, only watches, and its request is one that can be sent again.  Catches: a body or a second target. */
static void it_polls_with_a_plain_get(void **state)
{
    static const struct show_ask ask = {.question = "Why?", .key = "k", .session = "a&b= /%", .model = "m"};
    const struct show_protocol *protocol = show_protocol_find("im", 2);
    struct show_request request = {0};

    (void)state;
    assert_ptr_equal(protocol, &show_im);
    assert_non_null(protocol->reply);
    protocol->request(&ask, true, &request);
    umbel_out_put(&request.target, "", 1);
    assert_string_equal(request.method, "GET");
    assert_string_equal(request.target.data, "/mock/chats");
    assert_int_equal(request.body.size, 0);
    show_request_free(&request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_column_is_whole_when_nothing_is_missing),
        cmocka_unit_test(a_reply_has_a_bound),
        cmocka_unit_test(it_polls_with_a_plain_get),
    };

    return cmocka_run_group_tests_name("show_im", tests, NULL, NULL);
}
