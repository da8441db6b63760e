/* show/show_im.c - Tencent IM: what the user who is named like the session sees from a bot, asked of umbel-mock-tim again and again.
 * An answer is one message that grows; a long one goes on in further messages.  So the messages alone do not tell that none is missing:
 * the text of the asking protocol does. */
#include <string.h>

#include <umbel/json.h>

#include "tools/show/show_protocol.h"

#define SRC_ANSWER 2
#define SRC_ERROR 23

/* What one reply shows. */
struct sight {
    struct umbel_out text; /* of all messages, one after the other */
    const char *bot;       /* the first that wrote to the user; NULL = none */
    size_t messages, finished;
};

/* The brief list of all messages: the one of a single user holds every older version of each message and grows with their square. */
static void im_request(const struct show_ask *ask, bool watch, struct show_request *ret_request)
{
    (void)ask, (void)watch;
    ret_request->method = "GET";
    umbel_out_text(&ret_request->target, "/mock/chats");
}

static void im_take(struct show_decoder *decoder, const char *data, size_t size)
{
    decoder->pending.limit = SHOW_LINE_MAX;
    umbel_out_put(&decoder->pending, data, size);
    if (decoder->pending.failed)
        show_answer_break(&decoder->answer, "a reply is larger than %u bytes", SHOW_LINE_MAX);
}

/* Is this a message of the bot to our user, one to one? */
static bool is_seen(const struct show_decoder *decoder, const struct sight *sight, const struct umbel_json *message)
{
    return strcmp(umbel_json_member_text(message, "flow", ""), "in") == 0 && !umbel_json_member(message, "group") &&
           strcmp(umbel_json_member_text(message, "to", ""), decoder->session) == 0 &&
           (!sight->bot || strcmp(umbel_json_member_text(message, "from", ""), sight->bot) == 0);
}

static void look_at(struct show_decoder *decoder, struct sight *sight, const struct umbel_json *message)
{
    int finished = umbel_json_bool(umbel_json_member(message, "finished"), -1);
    int64_t src = umbel_json_member_integer(message, "src", -1);
    size_t size = 0;
    const char *text = umbel_json_text(umbel_json_member(message, "text"), &size);

    if (!is_seen(decoder, sight, message))
        return;
    if (!text || finished < 0) {
        show_answer_break(&decoder->answer, "a message lacks text or finished");
    } else if (src == SRC_ERROR) {
        show_answer_break(&decoder->answer, "the bot says: %.*s", (int)(size < 120 ? size : 120), text);
    } else if (strcmp(umbel_json_member_text(message, "kind", ""), "custom") == 0 && src != SRC_ANSWER) {
        show_answer_break(&decoder->answer, "a message is no answer: src %lld", (long long)src);
    } else {
        sight->bot = umbel_json_member_text(message, "from", "");
        sight->messages++;
        sight->finished += finished == 1;
        umbel_out_put(&sight->text, text, size);
    }
}

/* What is new since the reply before. */
static void take_sight(struct show_decoder *decoder, const struct sight *sight)
{
    struct show_answer *answer = &decoder->answer;
    size_t before = answer->text.size;

    if (sight->text.failed) {
        show_answer_break(answer, "no memory for the text");
    } else if (sight->text.size < before || (before > 0 && memcmp(sight->text.data, answer->text.data, before) != 0)) {
        show_answer_break(answer, "the text changed instead of growing");
    } else if (sight->finished < decoder->parts) {
        show_answer_break(answer, "a message that was finished goes on");
    } else {
        if (sight->text.size > before || sight->finished > decoder->parts)
            answer->frames++;
        decoder->parts = sight->finished;
        decoder->finished = sight->messages > 0 && sight->finished == sight->messages;
        if (sight->text.size > before)
            show_answer_text(answer, sight->text.data + before, sight->text.size - before);
    }
}

static void im_reply(struct show_decoder *decoder)
{
    char why[160];
    struct umbel_json *reply = NULL;
    struct sight sight = {0};

    if (decoder->answer.state != SHOW_BROKEN) {
        reply = umbel_json_parse(decoder->pending.size ? decoder->pending.data : "", decoder->pending.size, why, sizeof why);
        const struct umbel_json *list = umbel_json_member(reply, "messages");
        if (!reply)
            show_answer_break(&decoder->answer, "a reply is not JSON: %s", why);
        else if (umbel_json_type(list) != UMBEL_JSON_ARRAY)
            show_answer_break(&decoder->answer, "a reply has no messages: is this the address of the /mock commands?");
        for (const struct umbel_json *message = umbel_json_first(list); message; message = umbel_json_next(message))
            look_at(decoder, &sight, message);
    }
    if (decoder->answer.state != SHOW_BROKEN)
        take_sight(decoder, &sight);
    umbel_json_free(reply);
    umbel_out_free(&sight.text);
    umbel_out_reset(&decoder->pending);
}

static void im_compare(struct show_decoder *decoder, const struct show_answer *asked)
{
    struct show_answer *answer = &decoder->answer;
    size_t size = answer->text.size;

    if (answer->state != SHOW_WAITING || !decoder->finished || asked->state == SHOW_WAITING)
        return;
    if (asked->state == SHOW_WHOLE && size < asked->text.size && (size == 0 || memcmp(answer->text.data, asked->text.data, size) == 0))
        return; /* right so far: the next message of a long answer may be on its way */
    show_answer_whole(answer); /* another text is no concern of this side: all texts are compared at the end */
}

const struct show_protocol show_im = {
    .name = "im", .title = "Tencent IM", .request = im_request, .take = im_take, .reply = im_reply, .compare = im_compare,
};
