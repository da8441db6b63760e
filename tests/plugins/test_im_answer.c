/* plugins/test_im_answer.c - one answer on its way into a chat, against a service that exists only as a table: what it was told, what it shows,
 * and what it says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <umbel/json.h>

#include "plugins/im-custom-message/im_answer.h"
#include "plugins/im-custom-message/im_body.h"

#define MS 1000000ull
#define SHOWN_MAX 64

/* What a client would see of one message. */
struct shown {
    char key[IM_KEY_MAX];
    uint32_t seq, random;
    enum im_call made_by;
    char *text;
    size_t size;
    bool finished, error, dead; /* dead: the service has ended or lost it */
    uint64_t last_ns;
};

struct world {
    struct im_answer answer;
    struct shown shown[SHOWN_MAX];
    size_t count;
    uint64_t now_ns, last_call_ns, calls, modifies, repeated;
    const char *text; /* of the answer */
    size_t size, given;
    enum im_ending ending;
    const char *words;
    size_t piece;     /* bytes given at a time, every 20 ms */
    char last_request[64];
};

static struct world world_new(enum im_mode mode, bool group, const char *text, size_t piece)
{
    struct world world = {.now_ns = 1000 * MS, .text = text, .size = strlen(text), .ending = IM_DONE, .words = "nothing", .piece = piece};

    im_answer_init(&world.answer, mode, group, 500, 300000, 7);
    return world;
}

static void world_free(struct world *world)
{
    for (size_t i = 0; i < world->count; i++)
        free(world->shown[i].text);
    im_answer_free(&world->answer);
}

/* The service takes a step: a new message, or a change of one; checks what a client could not bear. */
static void apply(struct world *world, const struct im_step *step, char ret_key[IM_KEY_MAX])
{
    struct im_answer *answer = &world->answer;
    struct umbel_out content = {0};
    struct shown *shown = NULL;
    bool adds = step->call == IM_CALL_PIECE || step->call == IM_CALL_CHUNK;

    ret_key[0] = 0;
    im_answer_content(answer, step, &content);
    for (size_t i = 0; i < world->count && step->call != IM_CALL_PIECE; i++)
        if (!answer->exists && world->shown[i].seq == answer->seq && world->shown[i].random == answer->random)
            shown = &world->shown[i]; /* it comes twice: the service takes the first */
    if (shown) {
        snprintf(ret_key, IM_KEY_MAX, "%s", shown->key);
        world->repeated++;
        umbel_out_free(&content);
        return;
    }
    for (size_t i = 0; i < world->count && answer->exists; i++)
        if (strcmp(world->shown[i].key, answer->key) == 0)
            shown = &world->shown[i];
    if (answer->exists)
        assert_non_null(shown);
    if (!shown) {
        assert_true(world->count < SHOWN_MAX);
        shown = &world->shown[world->count++];
        *shown = (struct shown){.seq = answer->seq, .random = answer->random, .made_by = step->call, .text = calloc(1, 1)};
        snprintf(shown->key, sizeof shown->key, "%zu_key", world->count);
    }
    assert_false(shown->dead);
    if (step->call != IM_CALL_CHUNK || content.size)
        assert_true(content.size > 0);
    if (adds) {
        shown->text = realloc(shown->text, shown->size + content.size + 1);
        memcpy(shown->text + shown->size, content.data, content.size);
        shown->size += content.size;
        assert_false(shown->finished);
    } else {
        assert_true(content.size >= shown->size);
        assert_memory_equal(content.data, shown->text, shown->size); /* it only grows */
        if (shown->finished)
            assert_int_equal(content.size, shown->size);
        shown->text = realloc(shown->text, content.size + 1);
        memcpy(shown->text, content.data, content.size);
        shown->size = content.size;
    }
    shown->finished = step->final || step->call == IM_CALL_TEXT || step->call == IM_CALL_ERROR;
    shown->error = step->call == IM_CALL_ERROR;
    shown->last_ns = world->now_ns;
    assert_true(shown->size > 0 || !shown->finished);
    snprintf(ret_key, IM_KEY_MAX, "%s", shown->key);
    umbel_out_free(&content);
}

static bool is_finished(const struct world *world)
{
    for (size_t i = 0; i < world->count && world->answer.exists; i++)
        if (strcmp(world->shown[i].key, world->answer.key) == 0)
            return world->shown[i].finished;
    return false;
}

static void give_text(struct world *world)
{
    size_t left = world->size - world->given, n = world->piece < left ? world->piece : left;

    while (n && n < left && ((unsigned char)world->text[world->given + n] & 0xc0) == 0x80)
        n++;
    if (n && !im_answer_is_full(&world->answer)) {
        assert_int_equal(im_answer_take(&world->answer, world->text + world->given, n), 0);
        world->given += n;
    }
    if (world->given == world->size)
        im_answer_end(&world->answer, world->ending, world->words);
}

/* Runs until the answer is over.  decide() says what comes of each step; done: whether the service has done it. */
static void run(struct world *world, enum im_class (*decide)(struct world *world, const struct im_step *step, bool *ret_done))
{
    struct im_step step;
    uint64_t when_ns, end_ns = world->now_ns + 3600000 * MS;
    char key[IM_KEY_MAX];

    while (!world->answer.over && world->now_ns < end_ns) {
        give_text(world);
        while (im_answer_next(&world->answer, world->now_ns, &step, &when_ns)) {
            bool done = true;
            enum im_class class_ = IM_OK;
            im_answer_begin(&world->answer, &step, world->now_ns);
            assert_true(step.call == IM_CALL_PIECE || im_body_size(&world->answer, &step) <= (step.call == IM_CALL_CHUNK ? IM_LIMIT_STREAM : IM_LIMIT));
            world->calls++;
            world->modifies += step.call == IM_CALL_MODIFY;
            if (decide)
                class_ = decide(world, &step, &done);
            if (step.call == IM_CALL_CHUNK && is_finished(world))
                class_ = IM_GONE; /* nothing is added to a message that is over */
            done = done && (class_ == IM_OK || class_ == IM_UNCLEAR);
            key[0] = 0;
            if (done)
                apply(world, &step, key);
            world->last_call_ns = world->now_ns;
            world->now_ns += 5 * MS;
            struct im_told told = {class_ == IM_OK ? key : "", (uint32_t)world->calls * 7919};
            im_answer_done(&world->answer, class_, &told, world->now_ns);
        }
        world->now_ns += 20 * MS;
    }
    assert_true(world->answer.over);
}

/* The parts joined, without the fences that were put between them; error messages apart. */
static void assert_joined(const struct world *world, const char *text)
{
    size_t at = 0;

    for (size_t i = 0; i < world->count; i++) {
        const struct shown *shown = &world->shown[i];
        if (shown->error || shown->dead)
            continue;
        assert_true(shown->finished);
        assert_true(strlen(text) - at >= shown->size);
        assert_memory_equal(shown->text, text + at, shown->size);
        at += shown->size;
    }
    assert_int_equal(at, strlen(text));
}

static char *long_text(size_t size, bool lines)
{
    static const char *const words[] = {"tea ", "\xe7\xbb\xbf\xe8\x8c\xb6", "\"no\" ", "\xf0\x9f\x8d\xb5 ", "back\\slash "};
    char *text = malloc(size + 32);
    size_t at = 0;
    uint32_t x = 99;

    while (at < size) {
        x = x * 1664525u + 1013904223u;
        const char *word = words[(x >> 20) % 5];
        memcpy(text + at, word, strlen(word));
        at += strlen(word);
        if (lines && (x >> 12) % 9 == 0)
            text[at++] = '\n';
    }
    text[at] = 0;
    return text;
}

/* Goal: each mode shows the text, whole and finished, in as many messages as it takes.  Catches: a wrong place after a cut; a final that is
 * forgotten; snapshots faster than the interval. */
static void test_modes(void **state)
{
    static const enum im_mode modes[] = {IM_MODIFY, IM_STREAM, IM_TIM_STREAM, IM_TEXT};

    (void)state;
    for (size_t m = 0; m < 4; m++)
        for (int group = 0; group < 2; group++)
            for (int lines = 0; lines < 2; lines++)
                for (size_t size = 1; size < 40000; size = size * 7 + 1) {
                    char *text = long_text(size, lines);
                    struct world world = world_new(modes[m], group, text, 60);
                    run(&world, NULL);
                    assert_joined(&world, text);
                    assert_false(world.answer.gave_up);
                    if (modes[m] == IM_TEXT || modes[m] == IM_MODIFY)
                        assert_true(world.count >= strlen(text) / IM_LIMIT);
                    if (modes[m] == IM_MODIFY) /* one every 500 ms, and one at each end */
                        assert_true(world.calls <= (world.now_ns / MS - 1000) / 500 + 3 * world.count + 2);
                    world_free(&world);
                    free(text);
                }
}

/* Goal: a fence that is open at the cut is closed there and opened again, and the text between is not touched.  Catches: a part that shows
 * code as prose; the fence counted as the model's text. */
static void test_fence_over_a_cut(void **state)
{
    struct umbel_out made = {0};
    size_t joined = 0;

    (void)state;
    umbel_out_text(&made, "Code:\n```python\n");
    for (int i = 0; i < 1500; i++)
        umbel_out_printf(&made, "print(\"%d\")\n", i);
    umbel_out_put(&made, "```\nDone.\n", sizeof "```\nDone.\n");
    char *text = made.data;
    struct world world = world_new(IM_MODIFY, false, text, 80);
    run(&world, NULL);
    assert_true(world.count >= 2);
    for (size_t i = 0; i < world.count; i++) {
        const char *from = world.shown[i].text;
        size_t size = world.shown[i].size;
        if (i > 0) {
            assert_memory_equal(from, "```python\n", 10);
            from += 10;
            size -= 10;
        }
        if (i + 1 < world.count) {
            assert_memory_equal(from + size - 5, "\n```\n", 5);
            size -= 4;
        }
        assert_memory_equal(from, text + joined, size);
        joined += size;
    }
    assert_int_equal(joined, strlen(text));
    world_free(&world);
    free(text);
}

/* ---- endings ---- */

static struct world ended(enum im_mode mode, const char *text, enum im_ending ending, const char *words)
{
    struct world world = world_new(mode, false, text, 5);

    world.ending = ending;
    world.words = words;
    run(&world, NULL);
    return world;
}

/* Goal: what the user sees at each kind of end, with and without text.  Catches: a message finished empty; an error instead of the text;
 * words shown twice. */
static void test_endings(void **state)
{
    static const struct {
        const char *text;
        enum im_ending ending;
        size_t count;
        const char *first, *second;
        bool first_error;
    } rows[] = {{"tea", IM_DONE, 1, "tea", NULL, false},
                {"", IM_DONE, 1, "words", NULL, true},
                {" \n", IM_DONE, 1, "words", NULL, true},
                {"tea", IM_FAILED, 2, "tea", "words", false},
                {"", IM_FAILED, 1, "words", NULL, true},
                {"tea", IM_STOPPED, 1, "tea", NULL, false},
                {"", IM_STOPPED, 1, "words", NULL, false},
                {"tea", IM_INTERRUPTED, 1, "tea\n\nwords", NULL, false},
                {"```c\nx", IM_INTERRUPTED, 1, "```c\nx\n```\n\nwords", NULL, false},
                {"", IM_INTERRUPTED, 1, "words", NULL, true}};
    static const enum im_mode modes[] = {IM_MODIFY, IM_STREAM, IM_TIM_STREAM, IM_TEXT};

    (void)state;
    for (size_t m = 0; m < 4; m++)
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            struct world world = ended(modes[m], rows[i].text, rows[i].ending, "words");
            assert_int_equal(world.count, rows[i].count);
            assert_int_equal(world.shown[0].size, strlen(rows[i].first));
            assert_memory_equal(world.shown[0].text, rows[i].first, world.shown[0].size);
            assert_int_equal(world.shown[0].error, rows[i].first_error);
            assert_true(world.shown[0].finished);
            if (rows[i].second) {
                assert_memory_equal(world.shown[1].text, rows[i].second, strlen(rows[i].second));
                assert_true(world.shown[1].error);
            }
            world_free(&world);
        }
}

/* ---- outcomes ---- */

static enum im_class next_class; /* what the next call comes to, once */
static bool next_done;
static uint32_t on_call; /* counted from 1 */

static enum im_class once(struct world *world, const struct im_step *step, bool *ret_done)
{
    (void)step;
    if (world->calls != on_call)
        return IM_OK;
    *ret_done = next_done;
    return next_class;
}

/* Goal: an unclear call is repeated to the letter if it makes a message, so that there is one message and not two; never if it adds text.
 * Method: every call in turn is unclear, once done and once not.  Catches: a repeat with newer text that the service drops as a double, and
 * that never comes again; a piece that stands there twice. */
static void test_unclear(void **state)
{
    static const enum im_mode modes[] = {IM_MODIFY, IM_STREAM, IM_TIM_STREAM, IM_TEXT};
    char *texts[] = {long_text(14000, true), long_text(150, false)}; /* the short one has ended before the first call is repeated */

    (void)state;
    next_class = IM_UNCLEAR;
    for (size_t tm = 0; tm < 8; tm++)
        for (int group = 0; group < 2; group++)
            for (on_call = 1; on_call < 40; on_call++)
                for (int done = 0; done < 2; done++) {
                    struct world world = world_new(modes[tm % 4], group, texts[tm / 4], 100);
                    next_done = done;
                    run(&world, once);
                    assert_false(world.answer.gave_up);
                    if (world.answer.wanted == IM_STREAM || world.answer.wanted == IM_TIM_STREAM) {
                        /* without its key, or with a chunk in doubt, a message is left to the service and its text shown in a new one */
                        for (size_t i = 0; i + 1 < world.count; i++)
                            if (!world.shown[i].finished)
                                world.shown[i].dead = true;
                    }
                    assert_joined(&world, texts[tm / 4]);
                    world_free(&world);
                }
    free(texts[0]);
    free(texts[1]);
}

/* Goal: every class has its own action.  Each row: what comes of the second call (a change of a message that exists), once. */
static void test_classes_once(void **state)
{
    static const enum im_class healed[] = {IM_TRANSIENT, IM_RATE, IM_SIGNATURE, IM_CONFLICT, IM_CONFIGURATION, IM_ACCOUNT, IM_RELATION,
                                           IM_ACCOUNT_LATER, IM_OTHER, IM_VOLUME};
    char *text = long_text(3000, true);

    (void)state;
    next_done = false;
    on_call = 2;
    for (size_t i = 0; i < sizeof healed / sizeof *healed; i++) {
        struct world world = world_new(IM_MODIFY, false, text, 60);
        next_class = healed[i];
        run(&world, once);
        assert_false(world.answer.gave_up);
        assert_joined(&world, text);
        assert_int_equal(world.count, 1);
        world_free(&world);
    }
    struct world lost = world_new(IM_MODIFY, false, text, 60); /* gone: the whole text in a new message */
    next_class = IM_GONE;
    run(&lost, once);
    assert_int_equal(lost.count, 2);
    lost.shown[0].dead = true;
    assert_joined(&lost, text);
    world_free(&lost);
    struct world refused = world_new(IM_MODIFY, false, text, 60); /* the text so far is finished, then words */
    next_class = IM_CONTENT;
    refused.answer.refused_words = "refused";
    run(&refused, once);
    assert_int_equal(refused.count, 2);
    assert_true(refused.shown[0].finished && refused.shown[0].size < strlen(text));
    assert_memory_equal(refused.shown[0].text, text, refused.shown[0].size);
    assert_memory_equal(refused.shown[1].text, "refused", 7);
    assert_true(refused.answer.deaf);
    world_free(&refused);
    free(text);
}

static enum im_class always(struct world *world, const struct im_step *step, bool *ret_done)
{
    (void)world;
    (void)step;
    *ret_done = false;
    return next_class;
}

/* Goal: nothing is tried for ever, and what must not be repeated is not.  Catches: a loop without end; five tries where one is allowed. */
static void test_classes_for_ever(void **state)
{
    static const struct {
        enum im_class class_;
        uint64_t calls_min, calls_max, seconds_max;
    } rows[] = {{IM_TRANSIENT, 60, 90, 306}, {IM_UNCLEAR, 60, 90, 306},   {IM_RATE, 200, 320, 302},      {IM_SIGNATURE, 2, 2, 1},
                {IM_CONFIGURATION, 1, 1, 1}, {IM_ACCOUNT, 1, 1, 1},       {IM_RELATION, 1, 1, 1},        {IM_ACCOUNT_LATER, 2, 2, 61},
                {IM_CONTENT, 2, 2, 1},       {IM_GONE, 2, 2, 1},          {IM_OTHER, 6, 6, 10},          {IM_TOO_LONG, 2, 12, 5},
                {IM_CONFLICT, 60, 90, 306}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world world = world_new(IM_MODIFY, false, "some tea", 100);
        uint64_t from_ns = world.now_ns;
        next_class = rows[i].class_;
        run(&world, always);
        assert_true(world.answer.gave_up);
        assert_int_equal(world.count, 0);
        assert_in_range(world.calls, rows[i].calls_min, rows[i].calls_max);
        assert_true((world.last_call_ns - from_ns) / (1000 * MS) <= rows[i].seconds_max);
        world_free(&world);
    }
}

static size_t service_takes;

static enum im_class too_long(struct world *world, const struct im_step *step, bool *ret_done)
{
    *ret_done = false;
    return im_body_size(&world->answer, step) > service_takes ? IM_TOO_LONG : (*ret_done = true, IM_OK);
}

/* Goal: a service that takes less than it says gets smaller parts, and the text stays whole.  Catches: a message that can be finished in no
 * way holding up all the rest. */
static void test_smaller_service(void **state)
{
    char *text = long_text(20000, true);

    (void)state;
    for (service_takes = 1500; service_takes < 9000; service_takes += 1500) {
        struct world world = world_new(IM_MODIFY, false, text, 300);
        run(&world, too_long);
        assert_false(world.answer.gave_up);
        for (size_t i = 0; i < world.count; i++)
            world.shown[i].finished |= world.answer.abandoned > 0;
        assert_joined(&world, text);
        assert_true(world.count >= 20000 / service_takes);
        world_free(&world);
    }
    free(text);
}

static uint32_t storm_state;

static enum im_class storm(struct world *world, const struct im_step *step, bool *ret_done)
{
    static const enum im_class classes[] = {IM_TRANSIENT, IM_UNCLEAR, IM_RATE,    IM_SIGNATURE, IM_CONFIGURATION, IM_ACCOUNT,
                                            IM_RELATION,  IM_OTHER,   IM_CONFLICT, IM_ACCOUNT_LATER};

    (void)world;
    storm_state = storm_state * 1664525u + 1013904223u;
    if ((storm_state >> 16) % 10)
        return IM_OK;
    *ret_done = (storm_state >> 9) % 2;
    enum im_class class_ = classes[(storm_state >> 20) % 10];
    /* what is not repeated makes an answer that has not begun impossible: that is another test's matter */
    bool ends = class_ == IM_CONFIGURATION || class_ == IM_ACCOUNT || class_ == IM_RELATION;
    return ends && step->call != IM_CALL_MODIFY && step->call != IM_CALL_PIECE ? IM_TRANSIENT : class_;
}

/* Goal: one call in ten fails, in any class, and every message ends finished and right.  Catches: whatever two failures in a row break. */
static void test_storm(void **state)
{
    char *text = long_text(30000, true);

    (void)state;
    for (uint32_t seed = 1; seed <= 120; seed++) {
        struct world world = world_new(seed % 2 ? IM_MODIFY : IM_TEXT, seed % 3 == 0, text, 150);
        storm_state = seed * 2654435761u;
        run(&world, storm);
        assert_false(world.answer.gave_up);
        assert_joined(&world, text);
        world_free(&world);
    }
    free(text);
}

/* Goal: silence.  A held piece goes out after ten seconds, and a TIMStreamElem that the service has ended goes on in a new one.  Catches: a
 * last piece without text; a chunk into a message that is over. */
static void test_silence(void **state)
{
    for (int stream = 0; stream < 2; stream++) {
        struct world world = world_new(stream ? IM_STREAM : IM_TIM_STREAM, false, "", 1);
        struct im_step step;
        uint64_t when_ns;
        char key[IM_KEY_MAX];
        (void)state;
        im_answer_take(&world.answer, "Green tea", 9);
        assert_true(im_answer_next(&world.answer, world.now_ns, &step, &when_ns));
        assert_int_equal(step.to, 8);
        im_answer_begin(&world.answer, &step, world.now_ns);
        apply(&world, &step, key);
        struct im_told told = {key, 0};
        im_answer_done(&world.answer, IM_OK, &told, world.now_ns);
        assert_false(im_answer_next(&world.answer, world.now_ns + 9000 * MS, &step, &when_ns));
        assert_int_equal(when_ns, world.now_ns + 10000 * MS);
        world.now_ns += 10000 * MS;
        assert_true(im_answer_next(&world.answer, world.now_ns, &step, &when_ns));
        assert_int_equal(step.to, 9);
        im_answer_begin(&world.answer, &step, world.now_ns);
        apply(&world, &step, key);
        im_answer_done(&world.answer, IM_OK, &told, world.now_ns);
        world.now_ns += 16000 * MS;
        if (!stream) {
            world.shown[0].dead = world.shown[0].finished = true;
            world.text = " helps.";
        } else {
            world.text = ""; /* the end comes with nothing left to say: by a change, not by an empty piece */
        }
        world.size = strlen(world.text);
        run(&world, NULL);
        assert_int_equal(world.count, stream ? 1 : 2);
        assert_true(world.shown[world.count - 1].finished);
        if (stream)
            assert_int_equal(world.modifies, 1);
        else
            assert_string_equal((world.shown[1].text = realloc(world.shown[1].text, 8), world.shown[1].text[7] = 0, world.shown[1].text), " helps.");
        world_free(&world);
    }
}

/* Goal: the service's own examples, member for member.  Catches: another order or type, a member too many. */
static void test_bodies(void **state)
{
    struct im_answer answer;
    struct im_peer peer = {"@RBT#tea", "u-17", ""}, group = {"@RBT#tea", "u-17", "@TGS#1"};
    struct im_step step = {.call = IM_CALL_SEND, .to = 6};
    struct umbel_out out = {0};

    (void)state;
    im_answer_init(&answer, IM_MODIFY, false, 500, 1000, 1);
    im_answer_take(&answer, "Green tea", 9);
    answer.seq = 48375;
    answer.random = 887310245;
    im_body_put(&answer, &step, &peer, &out);
    static const char sent[] =
        "{\"SyncOtherMachine\":2,\"From_Account\":\"@RBT#tea\",\"To_Account\":\"u-17\",\"MsgSeq\":48375,\"MsgRandom\":887310245,"
        "\"MsgLifeTime\":604800,\"MsgBody\":[{\"MsgType\":\"TIMCustomElem\",\"MsgContent\":{\"Data\":\"{\\\"chatbotPlugin\\\":2,\\\"src\\\":2,"
        "\\\"chunks\\\":[\\\"Green \\\"],\\\"isFinished\\\":0}\",\"Desc\":\"\",\"Ext\":\"\"}}]}";
    assert_int_equal(out.size, sizeof sent - 1);
    assert_memory_equal(out.data, sent, out.size);
    assert_string_equal(im_body_command(&answer, &step), "openim/sendmsg");
    umbel_out_reset(&out);
    answer.exists = true;
    snprintf(answer.key, sizeof answer.key, "48375_887310245_1760000001");
    step = (struct im_step){.call = IM_CALL_PIECE, .from = 6, .to = 9, .final = true};
    im_body_put(&answer, &step, &peer, &out);
    static const char piece[] = "{\"From_Account\":\"@RBT#tea\",\"To_Account\":\"u-17\",\"Chunk\":\"tea\",\"MsgKey\":\"48375_887310245_1760000001\","
                                "\"Finish\":1}";
    assert_int_equal(out.size, sizeof piece - 1);
    assert_memory_equal(out.data, piece, out.size);
    umbel_out_reset(&out);
    answer.group = true;
    snprintf(answer.key, sizeof answer.key, "77");
    step = (struct im_step){.call = IM_CALL_MODIFY, .to = 9, .final = true};
    im_body_put(&answer, &step, &group, &out);
    static const char changed[] = "{\"GroupId\":\"@TGS#1\",\"From_Account\":\"@RBT#tea\",\"MsgSeq\":77,\"MsgBody\":[{\"MsgType\":\"TIMCustomElem\","
                                  "\"MsgContent\":{\"Data\":\"{\\\"chatbotPlugin\\\":2,\\\"src\\\":2,\\\"chunks\\\":[\\\"Green tea\\\"],"
                                  "\\\"isFinished\\\":1}\",\"Desc\":\"\",\"Ext\":\"\"}}]}";
    assert_int_equal(out.size, sizeof changed - 1);
    assert_memory_equal(out.data, changed, out.size);
    umbel_out_free(&out);
    im_answer_free(&answer);
}

/* What comes back of a call: the service's code and key, or that these are not its words. */
static void test_replies(void **state)
{
    static const struct {
        const char *body, *key, *info;
        int64_t code;
    } replies[] = {
        {"{\"ActionStatus\":\"OK\",\"ErrorCode\":0,\"ErrorInfo\":\"\",\"MsgKey\":\"1_2_3\"}", "1_2_3", "", 0},
        {"{\"ActionStatus\":\"FAIL\",\"ErrorCode\":20004,\"ErrorInfo\":\"too long to be told\",\"MsgKey\":\"1_2_3\"}", "", "too lon", 20004},
        {"{\"ActionStatus\":\"FAIL\",\"ErrorCode\":0,\"MsgKey\":\"1_2_3\"}", "", "", -1},
        {"{\"ErrorCode\":-2,\"ErrorInfo\":\"mine\",\"MsgKey\":\"1_2_3\"}", "", "mine", -1},
        {"{\"ErrorCode\":\"0\"}", "", "", -1},
        {"<html>502</html>", "", "", -1},
        {"", "", "", -1},
    };
    static const struct im_answer answer;
    static const struct im_step step = {.call = IM_CALL_SEND};
    char key[IM_KEY_MAX], info[8];

    (void)state;
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
        assert_int_equal(im_reply_read(replies[i].body, strlen(replies[i].body), &answer, &step, key, info, sizeof info), replies[i].code);
        assert_string_equal(key, replies[i].key);
        assert_string_equal(info, replies[i].info);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modes),         cmocka_unit_test(test_fence_over_a_cut), cmocka_unit_test(test_endings),
        cmocka_unit_test(test_unclear),       cmocka_unit_test(test_classes_once),     cmocka_unit_test(test_classes_for_ever),
        cmocka_unit_test(test_smaller_service), cmocka_unit_test(test_storm),          cmocka_unit_test(test_silence),
        cmocka_unit_test(test_bodies),         cmocka_unit_test(test_replies)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
