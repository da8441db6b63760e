/* Unit tests of ws-chatgpt's pure parts: sentence mode and the checks of a request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/ws-chatgpt/chatgpt_request.c"
#include "plugins/ws-chatgpt/chatgpt_segment.c"

/* Feeds deltas (separated by |) and gathers the frames (each followed by |) and, behind a #, the terminal's rest. */
static void segment(const char *deltas, char *ret_frames, size_t room)
{
    char buffer[4096] = "";
    size_t used = 0;

    ret_frames[0] = '\0';
    while (*deltas) {
        size_t size = strcspn(deltas, "|");
        memcpy(buffer + used, deltas, size);
        used += size;
        buffer[used] = '\0';
        deltas += size + (deltas[size] == '|');
        if (chatgpt_segment_ends(buffer, used)) {
            assert_true(strlen(ret_frames) + used + 2 < room);
            strncat(ret_frames, buffer, used);
            strcat(ret_frames, "|");
            used = 0;
        }
    }
    strcat(ret_frames, "#");
    strncat(ret_frames, buffer, used);
}

/* Goal: the golden vectors of the protocol.  Catches: any of the three conditions wrong or left out. */
static void golden_sentences(void **state)
{
    static const char *const vectors[][2] = {
        {"你|好|，|我|是|助手|。|请|问", "你好，|我是助手。|#请问"},
        {"Hello| world|.| Next|,| ok|!", "Hello world. Next,| ok!|#"},
        {"I| don|'t| know|,| but| it|'s| ok|!| bye", "I don't know, but it's ok!|# bye"},
        {"他|说|：|“|你好|。|”|然后|走|了|。", "他说：“你好。”|然后走了。|#"},
        {"叫|“|小明|”|的|人|。|好", "叫“小明”的人。|#好"},
        {"，|a|。", "，a。|#"},
        {"好，你|是|谁|？\n|答", "好，你是谁？\n|#答"},
        {"第一|。\n|第二|。", "第一。\n|第二。|#"},
        {"She| said| \"|hi|!|\"| and| left|!", "She said \"hi!\"| and left!|#"},
        {"嗯|......|好|。", "嗯......好。|#"},
        {"？|！|好", "？！|#好"},
        {"\xe3\x80\x80好|。\xe3\x80\x80|x", "\xe3\x80\x80好。\xe3\x80\x80|#x"}, /* U+3000 is outer white space too */
    };
    char frames[4096];
    (void)state;

    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        segment(vectors[i][0], frames, sizeof frames);
        assert_string_equal(frames, vectors[i][1]);
    }
}

/* Goal: joined frames equal the answer, whatever it is and however it is cut.  Catches: text lost or doubled at a flush. */
static void joined_frames_equal_the_answer(void **state)
{
    static const char *const pieces[] = {"a", "，", "。", "\"", "'", "“", "”", "‘", "’", " ", "\n", "!", "?", "......", "字", "🍵", "\xe3\x80\x80"};
    (void)state;

    srand(11);
    for (int round = 0; round < 3000; round++) {
        char answer[1024] = "", buffer[1024] = "", joined[1024] = "";
        for (int i = rand() % 40; i > 0; i--) {
            const char *piece = pieces[(size_t)rand() % (sizeof pieces / sizeof *pieces)];
            strcat(answer, piece);
            strcat(buffer, piece);
            if (chatgpt_segment_ends(buffer, strlen(buffer))) {
                strcat(joined, buffer);
                buffer[0] = '\0';
            }
        }
        strcat(joined, buffer);
        assert_string_equal(joined, answer);
    }
}

static const char *const names[] = {"gpt-3.5-turbo", "gpt-4", "text-davinci-003"};
static const struct chatgpt_models models = {names, 3};

static void expect(const char *text, int code, const char *why_expected)
{
    struct chatgpt_request request;
    char why[CHATGPT_WHY_MAX] = "";

    assert_int_equal(chatgpt_request_read(text, strlen(text), &models, &request, why), code);
    if (code == CHATGPT_JSON)
        assert_true(strncmp(why, "json.decoder.JSONDecodeError", 28) == 0);
    else
        assert_string_equal(why, why_expected);
    chatgpt_request_free(&request);
}

#define M "\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]"
#define WITH(more) "{\"seq\": \"q\", \"data\": {" M ", " more "}}"

/* Goal: each check has its text, in its order.  Catches: a check forgotten, reordered, or off by one at its border. */
static void checks_have_their_texts(void **state)
{
    (void)state;
    expect("nonsense", CHATGPT_JSON, NULL);
    expect("ping", CHATGPT_JSON, NULL);
    expect("[1]", CHATGPT_JSON, NULL);
    expect("{}", CHATGPT_PARAM, "param seq error");
    expect("{\"seq\": 1, \"data\": {" M "}}", CHATGPT_PARAM, "param seq error");
    expect("{\"seq\": \"  \", \"data\": {" M "}}", CHATGPT_PARAM, "param seq error");
    expect("{\"seq\": \"q\"}", CHATGPT_PARAM, "param data error");
    expect("{\"seq\": \"q\", \"data\": {}}", CHATGPT_PARAM, "param data error");
    expect("{\"seq\": \"q\", \"data\": {\"messages\": []}}", CHATGPT_PARAM, "param messages error");
    expect("{\"seq\": \"q\", \"data\": {\"messages\": 5}}", CHATGPT_PARAM, "param messages error");
    expect("{\"seq\": \"q\", \"data\": {\"model\": \"text-davinci-003\"}}", CHATGPT_PARAM, "param query error");
    expect("{\"seq\": \"q\", \"data\": {\"model\": \"nope\"}}", CHATGPT_PARAM, "param model error");
    expect("{\"seq\": \"q\", \"data\": {\"model\": \"nope\", \"origin_stream\": 1}}", CHATGPT_PARAM, "param origin_stream error");
    expect(WITH("\"openai_parameter\": \"no\""), CHATGPT_PARAM, "param openai_parameter error");
    expect(WITH("\"max_tokens\": 0"), CHATGPT_PARAM, "param max_tokens out of range(0~4097): 0");
    expect(WITH("\"max_tokens\": 4098"), CHATGPT_PARAM, "param max_tokens out of range(0~4097): 4098");
    expect(WITH("\"max_tokens\": 4097"), 0, "");
    expect(WITH("\"max_tokens\": 1"), 0, "");
    expect(WITH("\"max_tokens\": 1.5"), CHATGPT_PARAM, "param max_tokens error");
    expect(WITH("\"temperature\": 1.5"), CHATGPT_PARAM, "param temperature out of range(0~1.0): 1.5");
    expect(WITH("\"top_p\": -1"), CHATGPT_PARAM, "param top_p out of range(0.0~1.0): -1");
    expect(WITH("\"frequency_penalty\": 3"), CHATGPT_PARAM, "param frequency_penalty out of range(0.0~2.0): 3");
    expect(WITH("\"presence_penalty\": 3"), CHATGPT_PARAM, "param presence_penalty out of range(0.0~2.0): 3");
    expect(WITH("\"best_of\": 21"), CHATGPT_PARAM, "param best_of out of range(0~20): 21");
    expect(WITH("\"temperature\": \"hot\""), CHATGPT_PARAM, "param temperature error");
    expect(WITH("\"stop\": []"), CHATGPT_PARAM, "param stop error");
    expect(WITH("\"stop\": \"x\""), CHATGPT_PARAM, "param stop error");
    expect(WITH("\"max_tokens\": 0, \"temperature\": 9"), CHATGPT_PARAM, "param max_tokens out of range(0~4097): 0");
    expect(WITH("\"watch\": true"), CHATGPT_PARAM, "param watch error");
    expect(WITH("\"session\": 5"), CHATGPT_PARAM, "param session error");
    expect(WITH("\"cancel\": false"), CHATGPT_PARAM, "param cancel error");
}

/* Goal: what goes to the model.  Catches: parameters sent that must not be, a query that is lost. */
static void requests_become_questions(void **state)
{
    struct chatgpt_request request;
    char why[CHATGPT_WHY_MAX];
    const char *text = "{\"seq\": \" q-1 \", \"data\": {\"query\": \" tea? \", \"model\": \"text-davinci-003\", \"origin_stream\": False, "
                       "\"openai_parameter\": False, \"best_of\": 2, \"stop\": None}}";
    (void)state;

    assert_int_equal(chatgpt_request_read(text, strlen(text), &models, &request, why), 0);
    assert_int_equal(request.seq_size, 3);
    assert_memory_equal(request.seq, "q-1", 3);
    assert_true(request.sentences && request.davinci && !request.extended);
    umbel_out_put(&request.messages, "", 1);
    assert_string_equal(request.messages.data, "[{\"role\":\"user\",\"content\":\"tea?\"}]");
    umbel_out_put(&request.parameters, "", 1);
    assert_string_equal(request.parameters.data, "{\"max_tokens\":500,\"temperature\":0,\"top_p\":1,\"frequency_penalty\":0,"
                                                 "\"presence_penalty\":0,\"best_of\":2,\"stop\":[\"Human:\"]}");
    chatgpt_request_free(&request);
    text = WITH("\"temperature\": 0.5");
    assert_int_equal(chatgpt_request_read(text, strlen(text), &models, &request, why), 0);
    umbel_out_put(&request.parameters, "", 1);
    assert_string_equal(request.parameters.data, "{\"temperature\":0.0,\"max_tokens\":500}");
    chatgpt_request_free(&request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_sentences),
        cmocka_unit_test(joined_frames_equal_the_answer),
        cmocka_unit_test(checks_have_their_texts),
        cmocka_unit_test(requests_become_questions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
