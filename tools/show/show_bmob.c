/* show/show_bmob.c - ws-bmob: chunks in text frames; the final one has empty content and the reason "stop". */
#include <string.h>

#include <umbel/json.h>

#include "tools/show/show_protocol.h"

/* The protocol has no error frames: a failure is a text like any other, alone or after a line end.  These are the texts. */
static const char *const error_texts[] = {
    "Incorrect API key provided.",
    "You exceeded your current quota.",
    "Too many requests, try again later.",
    "The model service failed, try again later.",
};

static bool is_error_text(const char *text, size_t size)
{
    if (size > 0 && *text == '\n')
        text++, size--;
    for (size_t i = 0; i < sizeof error_texts / sizeof *error_texts; i++)
        if (strlen(error_texts[i]) == size && memcmp(error_texts[i], text, size) == 0)
            return true;
    return size > 17 && memcmp(text, "Invalid request: ", 17) == 0;
}

static void bmob_request(const struct show_ask *ask, bool watch, struct show_request *ret_request)
{
    umbel_out_text(&ret_request->target, "/1/ai/");
    show_url_put(&ret_request->target, ask->key);
    if (watch) {
        umbel_out_text(&ret_request->target, "?session=");
        show_url_put(&ret_request->target, ask->session);
        umbel_out_text(&ret_request->target, "&watch=1");
        return;
    }
    umbel_out_text(&ret_request->body, "{\"messages\":[{\"content\":");
    umbel_out_json(&ret_request->body, ask->question, strlen(ask->question));
    umbel_out_text(&ret_request->body, ",\"role\":\"user\"}],\"session\":");
    umbel_out_json(&ret_request->body, ask->session, strlen(ask->session));
    umbel_out_text(&ret_request->body, "}");
}

static void take_choice(struct show_decoder *decoder, const struct umbel_json *choice)
{
    const char *content, *finish, *role;
    size_t size = 0;

    content = umbel_json_text(umbel_json_member(umbel_json_member(choice, "delta"), "content"), &size);
    role = umbel_json_member_text(umbel_json_member(choice, "delta"), "role", NULL);
    finish = umbel_json_member_text(choice, "finish_reason", NULL);
    if (!content || !finish || !role || *role) {
        show_answer_break(&decoder->answer, "content and finish_reason must be strings, role the empty one");
        return;
    }
    if (!*finish && size > 0) {
        show_answer_text(&decoder->answer, content, size);
        umbel_out_reset(&decoder->last);
        umbel_out_put(&decoder->last, content, size);
    } else if (strcmp(finish, "stop") != 0 || size > 0) {
        show_answer_break(&decoder->answer, "a frame is neither text nor the final one");
    } else if (decoder->last.size > 0 && is_error_text(decoder->last.data, decoder->last.size)) {
        show_answer_break(&decoder->answer, "the server says: %.*s", (int)decoder->last.size, decoder->last.data);
    } else {
        show_answer_whole(&decoder->answer);
    }
}

static void bmob_take(struct show_decoder *decoder, const char *data, size_t size)
{
    char why[160];
    struct umbel_json *frame = umbel_json_parse(data, size, why, sizeof why);

    decoder->answer.frames++;
    if (!frame) {
        show_answer_break(&decoder->answer, "a frame is not JSON: %s", why);
        return;
    }
    const struct umbel_json *choices = umbel_json_member(frame, "choices");
    if (strcmp(umbel_json_member_text(frame, "object", ""), "chat.completion.chunk") != 0 || umbel_json_count(choices) != 1) {
        show_answer_break(&decoder->answer, "a frame is no chat.completion.chunk with one choice");
    } else {
        show_id_check(decoder, umbel_json_member_text(frame, "id", NULL));
        take_choice(decoder, umbel_json_first(choices));
    }
    umbel_json_free(frame);
}

const struct show_protocol show_bmob = {
    .name = "bmob", .title = "ws-bmob", .websocket = true, .request = bmob_request, .take = bmob_take,
};
