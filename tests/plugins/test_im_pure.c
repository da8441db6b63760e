/* plugins/test_im_pure.c - the pure parts of im-custom-message: signatures, pace, turns, codes, cut, callbacks, memory of what was seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <zlib.h>

#include <umbel/json.h>

#include "plugins/im-custom-message/im_codes.h"
#include "plugins/im-custom-message/im_notice.h"
#include "plugins/im-custom-message/im_pace.h"
#include "plugins/im-custom-message/im_seen.h"
#include "plugins/im-custom-message/im_sign.h"
#include "plugins/im-custom-message/im_text.h"

/* ---- UserSig ---- */

/* The inverse of the packing: characters back, base64, inflate. */
static struct umbel_json *unpack(const char *sig)
{
    unsigned char packed[IM_SIG_MAX], json[1024];
    char base64[IM_SIG_MAX];
    uLongf size = sizeof json;
    size_t n = strlen(sig), pad = 0;

    assert_true(n < sizeof base64);
    for (size_t i = 0; i <= n; i++)
        base64[i] = sig[i] == '*' ? '+' : sig[i] == '-' ? '/' : sig[i] == '_' ? '=' : sig[i];
    while (n > pad && base64[n - 1 - pad] == '=')
        pad++;
    int got = EVP_DecodeBlock(packed, (const unsigned char *)base64, (int)n);
    assert_true(got > 0);
    assert_int_equal(uncompress(json, &size, packed, (uLong)got - pad), Z_OK);
    struct umbel_json *value = umbel_json_parse((const char *)json, size, base64, sizeof base64);
    assert_non_null(value);
    return value;
}

/* Goal: the three published vectors.  Method: decode both ours and the published string and compare the values; the packed bytes themselves
 * differ between zlib builds.  Catches: a key decoded from hex, another order or line end in the signed text, base64 of the hex digest, the
 * wrong replacement characters. */
static void test_usersig_vectors(void **state)
{
    static const struct {
        uint64_t app, time_s, life_s;
        const char *key, *identifier, *sig, *packed;
    } vector[] = {
        {1400000000, 1700000000, 15552000, "5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e", "administrator",
         "JCzxanF8NTTXau4m+2h9wv7gYJnyNksm0xm1NEXU274=",
         "eJyrVgrxCdYrSy1SslIy0jNQ0gHzM1NS80oy0zLBwokpuZl5mcUlRYkl*UVQBcUp2YkFBZkpSlaGJgZQAJEpycxNVbIyNEcVTa0oyCwCiZuamhrBRYsz05WslLycqyoS"
         "89ws-EJCIhJLTXK1jTIsy8vM0yO98ir9sotzDSpyDf1cI0KNzE1slWoBQr40pw__"},
        {1600012345, 1706000918, 604800, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "@RBT#001",
         "JcW27k8F0rJZauV12Tqjfl5kjz2VMlwJdw6XUjHO3UQ=",
         "eJwtzE0LgkAUheH-ctuG3Bk-GwiiRYQUUY0m7aQZ485YmFlG0X*P1OV5XjgfkKu989Q1COAOwrjbpPS1oYI6nu3mcoTIhnZXNq8qUiBYgIiMu57fl4YuGgQL8e8TFvWq"
         "XxXVGkSAXoQ4fNAZBMSnAw9ttMA6PuaPlHF5M0XpW-Pm6bpsY9UGWWKWGzfZTuH7A8iaMLU_"},
        {88888888, 1234567890, 3600, "k", "user_01-a", "wBD47KyBkaJDPYdechOBwYDUVJPwCMSv51XlklQjxis=",
         "eJwtyU0LgkAUheH-ctcl47cNtJlcWZFhRa5EmlvdtJAZc4zovwfq2b3P*cJhk1kdKuDgWAxmQ5PEV0tXGvitURXMnpfTqWVVNg1J4NG00Vt6InDbcT0-CKMFGxX7hhQC"
         "dwM2iaYbcDAi9sL1R1RlEqe5xMt9J0weH09JalbbrPPtc13V*0dPegm-P*jyMdk_"}};
    char ours[IM_SIG_MAX];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(im_usersig(vector[i].key, vector[i].identifier, vector[i].app, vector[i].time_s, vector[i].life_s, ours), 0);
        struct umbel_json *mine = unpack(ours), *theirs = unpack(vector[i].packed);
        assert_string_equal(umbel_json_member_text(mine, "TLS.sig", ""), vector[i].sig);
        assert_int_equal(umbel_json_count(mine), umbel_json_count(theirs));
        for (const struct umbel_json *member = umbel_json_first(theirs); member; member = umbel_json_next(member)) {
            const struct umbel_json *same = umbel_json_member(mine, umbel_json_name(member));
            assert_int_equal(umbel_json_type(same), umbel_json_type(member));
            if (umbel_json_type(member) == UMBEL_JSON_STRING)
                assert_string_equal(umbel_json_text(same, NULL), umbel_json_text(member, NULL));
            else
                assert_int_equal(umbel_json_integer(same, -1), umbel_json_integer(member, -2));
        }
        umbel_json_free(mine);
        umbel_json_free(theirs);
        assert_null(strpbrk(ours, "+/="));
    }
    assert_int_equal(im_usersig("k", "a\"b", 1, 1, 1, ours), -22);
    assert_int_equal(im_usersig("k", "", 1, 1, 1, ours), -22);
}

/* Goal: both published signatures are made and accepted, in the window and only there.  Catches: upper-case hex, a window of one side only,
 * another text that is signed (leading zeros, signs), a missing parameter taken for a good one. */
static void test_webhook_signature(void **state)
{
    static const char first[] = "17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061";
    static const char second[] = "84eb01a92a632085b8162d76335f9f836d04f9048aeba5f89f9d7530b4b4e193";
    char hex[65], bad[65];

    (void)state;
    assert_true(im_webhook_sign("xxxxyyyy", "1669872112", hex));
    assert_string_equal(hex, first);
    assert_true(im_webhook_sign("tea-token", "1760000000", hex));
    assert_string_equal(hex, second);
    assert_true(im_webhook_is_genuine("tea-token", second, "1760000000", 1760000000));
    assert_true(im_webhook_is_genuine("tea-token", second, "1760000000", 1760000060));
    assert_true(im_webhook_is_genuine("tea-token", second, "1760000000", 1759999940));
    assert_false(im_webhook_is_genuine("tea-token", second, "1760000000", 1760000061));
    assert_false(im_webhook_is_genuine("tea-token", second, "1760000000", 1759999939));
    assert_false(im_webhook_is_genuine("tea-tokem", second, "1760000000", 1760000000));
    assert_false(im_webhook_is_genuine("tea-token", second, "+1760000000", 1760000000));
    assert_false(im_webhook_is_genuine("tea-token", NULL, "1760000000", 1760000000));
    assert_false(im_webhook_is_genuine("tea-token", second, NULL, 1760000000));
    assert_false(im_webhook_is_genuine("tea-token", "", "1760000000", 1760000000));
    for (size_t i = 0; i < 64; i++) { /* each digit counts */
        memcpy(bad, second, sizeof bad);
        bad[i] = bad[i] == '0' ? '1' : '0';
        assert_false(im_webhook_is_genuine("tea-token", bad, "1760000000", 1760000000));
    }
}

/* ---- pace ---- */

/* Goal: no second, wherever it begins, holds more than rate calls, and the steady rate is near it.  Method: take calls as early as allowed,
 * after idle times too, and slide a window over them.  Catches: a burst on top of the full refill; a bucket that fills beyond its burst. */
static void test_pace_any_second(void **state)
{
    static const uint32_t rates[] = {1, 2, 3, 5, 10, 19, 20, 40, 200, 1000};
    enum { CALLS = 3000 };
    static uint64_t at[CALLS];

    (void)state;
    for (size_t r = 0; r < sizeof rates / sizeof *rates; r++) {
        struct im_pace pace;
        uint64_t now = 5000000000ull;
        im_pace_init(&pace, rates[r]);
        for (size_t i = 0; i < CALLS; i++) {
            if (i % 700 == 699)
                now += 10000000000ull; /* an idle time: the burst is whole again */
            now = im_pace_next(&pace, now);
            im_pace_take(&pace, now);
            at[i] = now;
        }
        for (size_t from = 0, to = 0; from < CALLS; from++) {
            while (to < CALLS && at[to] - at[from] <= 1000000000ull)
                to++;
            assert_true(to - from <= rates[r]);
        }
        double per_second = 600.0 / ((double)(at[699 + 650] - at[699 + 50]) / 1e9);
        assert_true(per_second >= (rates[r] > 2 ? 0.6 : 0.45) * rates[r]);
    }
}

/* Goal: who has shown nothing comes first, others are not starved, round robin within each.  Method: 90 firsts against 30 others.
 * Catches: strict priority; an entry queued twice; one that is lost when it is removed. */
static void test_turns_are_fair(void **state)
{
    struct im_turns turns;
    struct im_turn entry[120] = {0}, *turn;
    size_t served = 0, last_other = 0, others = 0, worst = 0;

    (void)state;
    im_turns_init(&turns);
    for (size_t i = 0; i < 120; i++)
        im_turns_add(&turns, &entry[i], i < 90);
    im_turns_add(&turns, &entry[5], false); /* it waits already */
    assert_int_equal(turns.count, 120);
    im_turns_remove(&turns, &entry[7]);
    im_turns_remove(&turns, &entry[7]);
    while ((turn = im_turns_take(&turns))) {
        size_t index = (size_t)(turn - entry);
        served++;
        assert_int_not_equal(index, 7);
        if (index < 90)
            continue;
        assert_int_equal(index, 90 + others++); /* in their order */
        if (served - last_other > worst)
            worst = served - last_other;
        last_other = served;
    }
    assert_int_equal(served, 119);
    assert_int_equal(others, 30);
    assert_true(worst <= IM_FIRSTS_IN_A_ROW + 1);
    im_turns_add(&turns, &entry[100], false);
    assert_ptr_equal(im_turns_take(&turns), &entry[100]); /* firsts are not waited for */
}

static void test_backoff(void **state)
{
    (void)state;
    for (uint32_t chance = 0; chance < 2000; chance += 7) {
        assert_in_range(im_backoff_ms(0, chance), 150, 200);
        assert_in_range(im_backoff_ms(1, chance), 300, 400);
        assert_in_range(im_backoff_ms(4, chance), 2400, 3200);
        assert_in_range(im_backoff_ms(5, chance), 3750, 5000);
        assert_in_range(im_backoff_ms(4000000000u, chance), 3750, 5000);
    }
}

/* Goal: every code of the service's list is in its class, and the neighbours are not.  Catches: a range with a wrong end. */
static void test_codes(void **state)
{
    static const struct {
        enum im_class class_;
        int codes[28];
    } rows[] = {
        {IM_TRANSIENT, {10002, 20004, 20005, 20028, 22002, 60004, 60005, 60008, 60014, 70169, 70500, 90992, 90994, 91000}},
        {IM_RATE, {60007, 60018, 10006, 10023, 22006}},
        {IM_VOLUME, {60028}},
        {IM_SIGNATURE, {70001}},
        {IM_CONFIGURATION, {70003, 70009, 70013, 70014, 70016, 70020, 60010, 90009, 60012, 60016, 60017, 60020, 60025, 60026, 10004, 90001, 90012}},
        {IM_ACCOUNT, {20003, 70107, 90048}},
        {IM_ACCOUNT_LATER, {70050}},
        {IM_CONTENT, {80001, 20006, 120001, 125000, 130000}},
        {IM_TOO_LONG, {80002, 93000, 90055}},
        {IM_GONE, {20022, 20023, 90054}},
        {IM_CONFLICT, {20027}},
        {IM_RELATION, {20009, 20010, 20011, 20012}},
        {IM_OTHER, {1, -1, 90000, 90013, 120000, 130001, 20008, 20013, 70002, 99999}}};

    (void)state;
    assert_int_equal(im_class_of(0), IM_OK);
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
        for (size_t i = 0; i < 28 && rows[r].codes[i]; i++)
            assert_int_equal(im_class_of(rows[r].codes[i]), rows[r].class_);
    for (int class_ = 0; class_ < IM_CLASS_COUNT; class_++)
        assert_true(im_class_name((enum im_class)class_) && im_class_counter((enum im_class)class_));
}

/* ---- the cut ---- */

static struct im_plan plan(const char *text, size_t size, size_t floor, size_t limit, bool ended)
{
    struct im_plan_input input = {
        .text = text, .size = size, .head = "", .floor = floor, .limit = limit, .overhead = 100, .escape = IM_ESCAPE_TWICE, .ended = ended};

    return im_text_plan(&input);
}

/* Goal: snapshots of a text that grows never shrink, each part ends at a line end where there is one, between characters always, and the
 * parts joined are the text.  Method: grow random texts in random pieces, show what the plan says, cut where it says.  Catches: showing
 * beyond the later cut; a cut inside a character; bytes lost between two parts. */
static void test_cut_only_grows(void **state)
{
    static const char *const words[] = {"tea ", "\xe7\xbb\xbf\xe8\x8c\xb6", "\"quoted\" ", "line\n", "\xf0\x9f\x8d\xb5", "\\back ", "\t", "a long word without end "};

    (void)state;
    for (uint32_t seed = 1; seed <= 60; seed++) {
        static char text[60000];
        size_t size = 0, base = 0, shown = 0, known = 0, parts = 0;
        uint32_t x = seed * 2654435761u;
        unsigned lines = seed % 3; /* 0: hardly any line ends */
        while (size < 50000) {
            x = x * 1664525u + 1013904223u;
            const char *word = words[(x >> 16) % 8];
            if (lines == 0 && *word == 'l' && (x >> 8) % 200)
                continue;
            memcpy(text + size, word, strlen(word));
            size += strlen(word);
        }
        while (base < size) {
            x = x * 1664525u + 1013904223u;
            size_t more = known + (x >> 16) % 900;
            for (known = more < size ? more : size; known < size && ((unsigned char)text[known] & 0xc0) == 0x80;)
                known++;
            struct im_plan now = plan(text + base, known - base, shown, IM_LIMIT, known == size);
            assert_true(now.show >= shown);
            assert_true(now.show <= known - base);
            assert_true(base + now.show == size || ((unsigned char)text[base + now.show] & 0xc0) != 0x80);
            assert_true(im_text_cost(IM_ESCAPE_TWICE, text + base, now.show) + 100 + IM_CLOSING_MAX <= IM_LIMIT);
            shown = now.show;
            if (now.full) {
                assert_true(now.show > 0 && base + now.show < size);
                if (lines)
                    assert_int_equal(text[base + now.show - 1], '\n');
                base += now.show;
                shown = 0;
                parts++;
            } else if (now.last) {
                assert_int_equal(base + now.show, size);
                break;
            }
        }
        assert_true(parts >= 4);
    }
}

static void test_costs_are_those_of_the_body(void **state)
{
    static const char text[] = "a\"b\\c\nd\te\x01\xe8\x8c\xb6";
    struct umbel_out once = {0}, twice = {0};

    (void)state;
    umbel_out_json_bare(&once, text, sizeof text - 1);
    umbel_out_json_bare(&twice, once.data, once.size);
    assert_int_equal(im_text_cost(IM_ESCAPE_ONCE, text, sizeof text - 1), once.size);
    assert_int_equal(im_text_cost(IM_ESCAPE_TWICE, text, sizeof text - 1), twice.size);
    umbel_out_free(&once);
    umbel_out_free(&twice);
}

/* Goal: the open fence is found as Markdown has it.  Catches: a shorter run taken for the end, code in the line, four spaces. */
static void test_fences(void **state)
{
    static const struct {
        const char *head, *text, *open, *close;
    } rows[] = {{"", "plain\ntext\n", "", ""},
                {"", "```python\nprint(1)\n", "```python\n", "```\n"},
                {"", "```python\nprint(1)", "```python\n", "\n```\n"},
                {"", "```c\nx\n```\nafter", "", ""},
                {"", "````md\n```c\n```\n", "````md\n", "````\n"},
                {"", "~~~\nx\n```\n", "~~~\n", "~~~\n"},
                {"", "    ```\nnot code of ours\n", "", ""},
                {"", "  ```\nx\n", "```\n", "```\n"},
                {"", "```one line```\n", "", ""},
                {"", "```a\nx\n``` no end\n", "```a\n", "```\n"},
                {"```js\n", "more();\n", "```js\n", "```\n"},
                {"```js\n", "more();\n```\nafter\n", "", ""}};
    char open[IM_FENCE_MAX], close[IM_FENCE_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        im_text_fence(rows[i].head, rows[i].text, strlen(rows[i].text), open, close);
        assert_string_equal(open, rows[i].open);
        assert_string_equal(close, rows[i].close);
    }
    char longer[400] = "```";
    memset(longer + 3, 'x', sizeof longer - 5);
    longer[sizeof longer - 2] = '\n';
    longer[sizeof longer - 1] = 0;
    im_text_fence("", longer, strlen(longer), open, close);
    assert_string_equal(open, "```\n");
}

static void test_hold(void **state)
{
    (void)state;
    assert_int_equal(im_text_hold("Green tea", 0, 9), 8);
    assert_int_equal(im_text_hold("Green ", 0, 6), 4);
    assert_int_equal(im_text_hold("ab\xe8\x8c\xb6\n", 0, 6), 2);
    assert_int_equal(im_text_hold("  \n", 0, 3), 0);
    assert_int_equal(im_text_hold("\xe8\x8c\xb6", 0, 3), 0);
    assert_int_equal(im_text_hold("abc", 2, 3), 2);
}

/* ---- callbacks ---- */

static bool is_tea(void *arg, const char *account)
{
    (void)arg;
    return !strcmp(account, "@RBT#tea") || !strcmp(account, "@RBT#two");
}

static struct im_notice read_notice(const char *command, const char *body, unsigned index)
{
    struct im_notice notice;

    im_notice_read(command, body, strlen(body), is_tea, NULL, index, &notice);
    return notice;
}

#define C2C "{\"CallbackCommand\":\"Bot.OnC2CMessage\",\"From_Account\":\"u-17\",\"To_Account\":\"@RBT#tea\",\"MsgSeq\":48374,\"MsgRandom\":2837546," \
            "\"MsgTime\":1760000000,\"MsgKey\":\"48374_2837546_1760000000\",\"OnlineOnlyFlag\":0,\"SendMsgResult\":0,\"ErrorInfo\":\"send msg succeed\","
#define CUSTOM(data) "\"MsgBody\":[{\"MsgType\":\"TIMCustomElem\",\"MsgContent\":{\"Data\":\"" data "\",\"Desc\":\"\",\"Ext\":\"\"}}]}"

static void assert_text(const struct im_notice *notice, const char *text)
{
    assert_int_equal(notice->kind, IM_NOTICE_QUESTION);
    assert_int_equal(notice->text.size, strlen(text));
    assert_memory_equal(notice->text.data, text, strlen(text));
}

static void assert_nothing(const char *body)
{
    struct im_notice notice = read_notice("Bot.OnC2CMessage", body, 0);

    assert_int_equal(notice.kind, IM_NOTICE_NOTHING);
    assert_non_null(notice.why);
    im_notice_free(&notice);
}

/* Goal: the documented question, the stop in all its forms, and everything that is to be dropped.  Catches: bots that answer bots, a
 * question read twice because it comes under two commands, chatbotPlugin as a string taken for ours. */
static void test_private_callbacks(void **state)
{
    struct im_notice notice;

    (void)state;
    notice = read_notice("Bot.OnC2CMessage",
                         C2C "\"MsgBody\":[{\"MsgType\":\"TIMTextElem\",\"MsgContent\":{\"Text\":\"Which tea \"}},"
                             "{\"MsgType\":\"TIMTextElem\",\"MsgContent\":{\"Text\":\"for rain?\"}}],\"CloudCustomData\":\"\"}",
                         0);
    assert_text(&notice, "Which tea for rain?");
    assert_string_equal(notice.user, "u-17");
    assert_string_equal(notice.bot, "@RBT#tea");
    assert_string_equal(notice.group, "");
    assert_string_equal(notice.once, "c u-17 48374_2837546_1760000000");
    im_notice_free(&notice);
    notice = read_notice(NULL, C2C CUSTOM("{\\\"chatbotPlugin\\\":2,\\\"src\\\":22,\\\"msgKey\\\":\\\"1_2_3\\\"}"), 0);
    assert_int_equal(notice.kind, IM_NOTICE_STOP);
    assert_string_equal(notice.stop_key, "1_2_3");
    im_notice_free(&notice);
    notice = read_notice(NULL, C2C CUSTOM("{\\\"chatbotPlugin\\\":2,\\\"src\\\":22,\\\"msgKey\\\":7}"), 0);
    assert_int_equal(notice.kind, IM_NOTICE_STOP);
    assert_string_equal(notice.stop_key, "");
    im_notice_free(&notice);
    notice = read_notice("C2C.CallbackAfterSendMsg",
                         "{\"From_Account\":\"u-17\",\"To_Account\":\"@RBT#tea\",\"MsgKey\":\"9_9_9\"," CUSTOM(
                             "{\\\"chatbotPlugin\\\":2,\\\"src\\\":22,\\\"msgKey\\\":\\\"undefined_undefined_1\\\"}"),
                         0);
    assert_int_equal(notice.kind, IM_NOTICE_STOP);
    im_notice_free(&notice);
    assert_nothing(C2C CUSTOM("{\\\"chatbotPlugin\\\":\\\"2\\\",\\\"src\\\":22,\\\"msgKey\\\":\\\"1_2_3\\\"}"));
    assert_nothing(C2C CUSTOM("not json"));
    assert_nothing(C2C "\"MsgBody\":[]}");
    assert_nothing(C2C "\"MsgBody\":\"x\"}");
    assert_nothing("{\"CallbackCommand\":\"C2C.CallbackAfterSendMsg\",\"From_Account\":\"u\",\"To_Account\":\"@RBT#tea\",\"MsgBody\":[{\"MsgType\":"
                   "\"TIMTextElem\",\"MsgContent\":{\"Text\":\"hi\"}}]}");
    assert_nothing("{\"From_Account\":\"@RBT#two\",\"To_Account\":\"@RBT#tea\",\"MsgBody\":[{\"MsgType\":\"TIMTextElem\",\"MsgContent\":{\"Text\":\"hi\"}}]}");
    assert_nothing("{\"From_Account\":\"u\",\"To_Account\":\"@RBT#none\",\"MsgBody\":[{\"MsgType\":\"TIMTextElem\",\"MsgContent\":{\"Text\":\"hi\"}}]}");
    assert_nothing("{\"From_Account\":\"u\",\"To_Account\":\"@RBT#tea\",\"SendMsgResult\":20010,\"MsgBody\":[{\"MsgType\":\"TIMTextElem\",\"MsgContent\":"
                   "{\"Text\":\"hi\"}}]}");
    assert_nothing("{\"CallbackCommand\":\"State.StateChange\"}");
    assert_nothing("[]");
    assert_nothing("");
    notice = read_notice("Bot.OnC2CMessage",
                         "{\"From_Account\":\"u\",\"To_Account\":\"@RBT#tea\",\"MsgBody\":[{\"MsgType\":\"TIMImageElem\",\"MsgContent\":{}}]}", 0);
    assert_int_equal(notice.kind, IM_NOTICE_STRANGE);
    im_notice_free(&notice);
}

/* Goal: the mention is taken out, each bot mentioned has its notice, and one message is one name.  Catches: "@@RBT#tea" cut out of
 * "@@RBT#teapot"; a second bot that never answers. */
static void test_group_callbacks(void **state)
{
    static const char body[] = "{\"CallbackCommand\":\"Bot.OnGroupMessage\",\"GroupId\":\"@TGS#1\",\"Type\":\"Public\",\"From_Account\":\"u-17\","
                               "\"Operator_Account\":\"u-17\",\"Random\":5,\"MsgSeq\":77,\"MsgTime\":1760000000,\"OnlineOnlyFlag\":0,\"MsgBody\":[{"
                               "\"MsgType\":\"TIMTextElem\",\"MsgContent\":{\"Text\":\"@@RBT#tea which tea, @@RBT#teapot?\"}}],\"AtRobots_Account\":["
                               "\"@RBT#other\",\"@RBT#tea\",\"@RBT#two\"]}";
    struct im_notice notice = read_notice("Bot.OnGroupMessage", body, 0);

    (void)state;
    assert_text(&notice, "which tea, @@RBT#teapot?");
    assert_string_equal(notice.group, "@TGS#1");
    assert_string_equal(notice.bot, "@RBT#tea");
    assert_string_equal(notice.once, "g @TGS#1 @RBT#tea 77");
    im_notice_free(&notice);
    notice = read_notice("Bot.OnGroupMessage", body, 1);
    assert_string_equal(notice.bot, "@RBT#two");
    assert_int_equal(notice.kind, IM_NOTICE_QUESTION);
    im_notice_free(&notice);
    notice = read_notice("Bot.OnGroupMessage", body, 2);
    assert_int_equal(notice.kind, IM_NOTICE_NOTHING);
    im_notice_free(&notice);
    assert_nothing("{\"CallbackCommand\":\"Bot.OnGroupMessage\",\"GroupId\":\"g\",\"From_Account\":\"u\",\"MsgSeq\":1,\"AtRobots_Account\":[\"@RBT#tea\"],"
                   "\"MsgBody\":[{\"MsgType\":\"TIMTextElem\",\"MsgContent\":{\"Text\":\" @@RBT#tea \"}}]}");
}

/* Goal: a name is acted on once within ten minutes, and the table stays bounded.  Catches: chains broken when the oldest is forgotten. */
static void test_seen(void **state)
{
    struct im_seen *seen;
    char name[32];

    (void)state;
    assert_int_equal(im_seen_create(&seen), 0);
    assert_true(im_seen_first(seen, "a", 1000));
    assert_false(im_seen_first(seen, "a", 1600));
    assert_true(im_seen_first(seen, "a", 1601));
    for (unsigned i = 0; i < IM_SEEN_MAX * 2; i++) {
        snprintf(name, sizeof name, "n%u", i);
        assert_true(im_seen_first(seen, name, 1601));
    }
    assert_true(im_seen_first(seen, "n0", 1601)); /* the oldest were forgotten */
    snprintf(name, sizeof name, "n%u", IM_SEEN_MAX * 2 - 1);
    assert_false(im_seen_first(seen, name, 1601));
    im_seen_free(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usersig_vectors), cmocka_unit_test(test_webhook_signature),
        cmocka_unit_test(test_pace_any_second), cmocka_unit_test(test_turns_are_fair),
        cmocka_unit_test(test_backoff),         cmocka_unit_test(test_codes),
        cmocka_unit_test(test_cut_only_grows),  cmocka_unit_test(test_costs_are_those_of_the_body),
        cmocka_unit_test(test_fences),          cmocka_unit_test(test_hold),
        cmocka_unit_test(test_private_callbacks), cmocka_unit_test(test_group_callbacks),
        cmocka_unit_test(test_seen)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
