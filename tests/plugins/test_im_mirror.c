/* plugins/test_im_mirror.c - mirrored answers of im-custom-message that are held until a question of ours is decided.
 *
 * The plugin's files but its set-up, under the fake host; calls to the service come here instead of the rest carrier and are
 * answered by the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "plugins/im-custom-message/im.h"
#include "tools/plugin-check/fake_host.h"

#define PATIENCE_MS 20000
#define BOT "@RBT#tea"
#define USER "u-17"
#define VOLUME 60028

/* ---- the rest carrier's place ---- */

struct umbel_rest_call {
    void (*done)(void *arg, const struct umbel_rest_outcome *outcome);
    void *arg;
    char *url, *body;
    bool over;
};

static struct umbel_rest_call *calls[64];
static size_t call_count;
static bool silent; /* calls wait */

int umbel_rest_post(struct umbel_rest *rest, const struct umbel_rest_request *request,
                    void (*done)(void *arg, const struct umbel_rest_outcome *outcome), void *arg,
                    struct umbel_rest_call **ret_call)
{
    (void)rest;
    assert_true(call_count < sizeof calls / sizeof *calls);
    struct umbel_rest_call *call = calls[call_count++] = calloc(1, sizeof *call);
    assert_non_null(call);
    *call = (struct umbel_rest_call){
        .done = done, .arg = arg, .url = strdup(request->url), .body = strndup(request->body, (size_t)request->size)};
    *ret_call = call;
    return 0;
}

void umbel_rest_cancel(struct umbel_rest_call *call)
{
    call->over = true;
}

uint32_t umbel_rest_calls(const struct umbel_rest *rest)
{
    uint32_t count = 0;

    (void)rest;
    for (size_t i = 0; i < call_count; i++)
        count += !calls[i]->over;
    return count;
}

static void reply_all(int code)
{
    char body[128];
    int size;

    for (size_t i = 0; i < call_count; i++) {
        if (calls[i]->over)
            continue;
        calls[i]->over = true;
        size = snprintf(body, sizeof body, "{\"ActionStatus\":\"OK\",\"ErrorInfo\":\"\",\"ErrorCode\":%d,\"MsgKey\":\"%zu_1_1\"}",
                        code, i + 1);
        struct umbel_rest_outcome outcome = {.struct_size = sizeof outcome,
                                             .result = UMBEL_REST_REPLY,
                                             .status = 200,
                                             .body = body,
                                             .size = (uint64_t)size,
                                             .text = ""};
        calls[i]->done(calls[i]->arg, &outcome);
    }
}

/* New messages so far that show this text. */
static size_t shown(const char *text)
{
    size_t count = 0;

    for (size_t i = 0; i < call_count; i++)
        count += strstr(calls[i]->url, "/sendmsg?") && strstr(calls[i]->body, text);
    return count;
}

/* ---- the plugin ---- */

struct mirror_test {
    struct fake_host *host;
    struct im im;
    struct fake_stream *stream; /* what is mirrored */
};

static void turn(struct mirror_test *test)
{
    fake_host_turn(test->host, 5);
    if (!silent)
        reply_all(0);
}

static void turns(struct mirror_test *test)
{
    for (int i = 0; i < 20; i++)
        turn(test);
}

static void wait_for_no_jobs(struct mirror_test *test)
{
    for (int ms = 0; test->im.job_count && ms < PATIENCE_MS; ms += 5)
        turn(test);
    assert_int_equal(test->im.job_count, 0);
}

static void ask(struct mirror_test *test, const char *user, const char *group, const char *text)
{
    struct im_notice notice = {.kind = IM_NOTICE_QUESTION, .bot = BOT};

    snprintf(notice.user, sizeof notice.user, "%s", user);
    snprintf(notice.group, sizeof notice.group, "%s", group);
    snprintf(notice.once, sizeof notice.once, "%s", text);
    umbel_out_text(&notice.text, text);
    im_chat_notice(&test->im, &notice);
    im_notice_free(&notice);
}

/* An answer that somebody else has asked for in the user's session, whole at once. */
static void mirrored(struct mirror_test *test)
{
    test->stream = fake_stream_new(test->host, "shop", USER);
    fake_stream_text(test->stream, "from elsewhere");
    fake_stream_close(test->stream, UMBEL_VERDICT_COMPLETE);
}

static int set_up(void **state)
{
    struct mirror_test *test = calloc(1, sizeof *test);
    struct im *im = &test->im;

    test->host = fake_host_new();
    fake_host_key(test->host, UMBEL_CREDENTIAL_APP, "shop", "shop");
    im->real = fake_host_table(test->host);
    im->api_base = "http://127.0.0.1:1";
    im->admin = "administrator";
    im->secret_key = "key";
    im->sdk_app_id = 1;
    im->sig_life_s = 86400;
    im->text_failed = im->text_busy = im->text_empty = im->text_stopped = im->text_interrupted = im->text_refused = "sorry";
    im->interval_ms = 100;
    im->give_up_ms = 100;
    im->max_answers = 8;
    im->bots[0] = (struct im_bot){.im = im, .title = "tea", .account = BOT, .app = "shop", .mirror = true, .plain = true};
    im->bot_count = 1;
    TAILQ_INIT(&im->bots[0].mirrors);
    TAILQ_INIT(&im->jobs);
    im_turns_init(&im->turns);
    im_pace_init(&im->pace, 10000);
    assert_int_equal(im_seen_create(&im->seen), 0);
    assert_int_equal(im_calls_open(im), 0);
    im_mirror_open(&im->bots[0]);
    *state = test;
    turns(test);
    assert_int_equal(fake_host_stats(test->host)->watches, 1);
    return 0;
}

static int tear_down(void **state)
{
    struct mirror_test *test = *state;
    struct im_job *job;

    while ((job = TAILQ_FIRST(&test->im.jobs)))
        im_job_free(job);
    for (uint32_t i = 0; i < IM_CHATS_BUCKETS; i++)
        for (struct im_chat *chat = test->im.chats[i], *next; chat; chat = next) {
            next = chat->next;
            free(chat);
        }
    im_mirror_close(&test->im.bots[0]);
    im_calls_close(&test->im);
    im_seen_free(test->im.seen);
    umbel_out_free(&test->im.body);
    umbel_out_free(&test->im.url);
    umbel_out_free(&test->im.keep);
    fake_host_free(test->host);
    for (size_t i = 0; i < call_count; i++) {
        free(calls[i]->url);
        free(calls[i]->body);
        free(calls[i]);
    }
    call_count = 0;
    silent = false;
    free(test);
    return 0;
}

/* Goal: what is mirrored is held while a question is on its way, and goes once when the core has told that it is another answer,
 * never when it is the same one.  Catches: a test of releases that nothing was held for. */
static void test_held_until_asked(void **state)
{
    struct mirror_test *test = *state;

    fake_host_hold_authorize(test->host, true);
    ask(test, USER, "", "one");
    mirrored(test);
    turns(test);
    assert_int_equal(shown("from elsewhere"), 0);
    fake_host_hold_authorize(test->host, false);
    turns(test);
    assert_int_equal(shown("from elsewhere"), 1);
    fake_stream_text(fake_host_stream(test->host, 1), "the answer");
    fake_stream_close(fake_host_stream(test->host, 1), UMBEL_VERDICT_COMPLETE);
    wait_for_no_jobs(test);
    assert_true(shown("the answer") > 0);
}

/* Goal: a question that never becomes the host's holds nothing back.  Method: no room for a client; the words about that are
 * still on their way when the mirrored answer comes.  Catches: a question that counts as being asked for as long as it is there.
 */
static void test_no_client(void **state)
{
    struct mirror_test *test = *state;

    silent = true;
    fake_host_refuse_clients(test->host, true);
    ask(test, USER, "", "one");
    assert_int_equal(call_count, 1);
    mirrored(test);
    turns(test);
    assert_int_equal(shown("from elsewhere"), 1);
    silent = false;
    wait_for_no_jobs(test);
    assert_int_equal(shown("from elsewhere"), 1);
}

/* Goal: the same where an answer from before a restart is gone. */
static void test_refused_resume(void **state)
{
    struct mirror_test *test = *state;
    struct im_job *job = im_job_new(&test->im.bots[0], USER, "");

    snprintf(job->stream, sizeof job->stream, "chatcmpl-gone");
    im_chat_adopt(im_chat_get(&test->im.bots[0], USER, ""), job);
    fake_host_hold_resume(test->host, true);
    im_job_start(job);
    turns(test);
    mirrored(test);
    turns(test);
    assert_int_equal(shown("from elsewhere"), 0);
    fake_host_hold_resume(test->host, false);
    wait_for_no_jobs(test);
    assert_int_equal(shown("from elsewhere"), 1);
}

/* Goal: at the end of a drain a question that is still on its way ends, and what is held for it goes out, with a note. */
static void test_no_time_left(void **state)
{
    struct mirror_test *test = *state;
    struct im_job *job;

    fake_host_hold_authorize(test->host, true);
    ask(test, USER, "", "one");
    test->stream = fake_stream_new(test->host, "shop", USER);
    fake_stream_text(test->stream, "from elsewhere");
    turns(test);
    assert_int_equal(shown("from elsewhere"), 0);
    TAILQ_FOREACH(job, &test->im.jobs, link)
    im_job_interrupt(job);
    wait_for_no_jobs(test);
    assert_int_equal(shown("from elsewhere"), 1);
}

/* Goal: with the day's volume used up everything ends after give_up_s, also what was held.  Catches: a place of max_answers lost
 * for ever. */
static void test_volume(void **state)
{
    struct mirror_test *test = *state;

    silent = true;
    ask(test, "u-2", "", "two");
    fake_host_turn(test->host, 0);
    fake_stream_text(fake_host_stream(test->host, 0), "too much");
    fake_stream_close(fake_host_stream(test->host, 0), UMBEL_VERDICT_COMPLETE);
    turns(test);
    assert_int_equal(call_count, 1);
    fake_host_hold_authorize(test->host, true);
    ask(test, USER, "", "one");
    mirrored(test);
    turns(test);
    assert_int_equal(test->im.job_count, 3);
    reply_all(VOLUME);
    wait_for_no_jobs(test);
    assert_int_equal(shown("from elsewhere"), 0);
}

static struct fake_stream *answer_to_user; /* what the private question of the next test gets */

/* The group's question is about to begin: now the private one is asked, and its answer comes to the mirror first. */
static void answer_group(void *arg, struct fake_ask *question)
{
    struct mirror_test *test = arg;

    if (strcmp(question->session, USER) == 0) {
        question->stream = answer_to_user;
        return;
    }
    question->stream = fake_stream_quiet(question->host, "shop", question->session);
    fake_host_hold_authorize(test->host, true);
    ask(test, USER, "", "private");
    mirrored(test);
    answer_to_user = test->stream;
}

/* Goal: a question in a group decides nothing about one that the same user asks in private.  Catches: the private answer twice in
 * the chat. */
static void test_group_decides_nothing(void **state)
{
    struct mirror_test *test = *state;

    fake_host_on_ask(test->host, answer_group, test);
    ask(test, USER, "g-1", "in the group");
    turns(test);
    assert_int_equal(shown("from elsewhere"), 0);
    fake_host_hold_authorize(test->host, false);
    turns(test);
    assert_int_equal(shown("from elsewhere"), 1);
    fake_stream_close(fake_host_stream(test->host, 0), UMBEL_VERDICT_COMPLETE);
    wait_for_no_jobs(test);
    assert_int_equal(shown("from elsewhere"), 1);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {CASE(test_held_until_asked), CASE(test_no_client), CASE(test_refused_resume),
                                       CASE(test_no_time_left),     CASE(test_volume),    CASE(test_group_decides_nothing)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
