/* show/show_cgws.c - ws-chatgpt: frames with code, seq and data; finish_reason null until the terminal, which may carry text. */
#include <string.h>

#include <umbel/json.h>

#include "tools/show/show_protocol.h"

#define SEQ "umbel-show"

static void cgws_request(const struct show_ask *ask, bool watch, struct show_request *ret_request)
{
    struct umbel_out *body = &ret_request->body;

    umbel_out_text(&ret_request->target, "/");
    if (ask->token) {
        umbel_out_text(&ret_request->target, "?token=");
        show_url_put(&ret_request->target, ask->token);
    }
    umbel_out_text(body, "{\"seq\": \"" SEQ "\", \"data\": {\"session\": ");
    umbel_out_json(body, ask->session, strlen(ask->session));
    if (watch) {
        umbel_out_text(body, ", \"watch\": true}}");
        return;
    }
    umbel_out_text(body, ", \"messages\": [{\"role\": \"user\", \"content\": ");
    umbel_out_json(body, ask->question, strlen(ask->question));
    umbel_out_text(body, "}]}}");
}

static void take_data(struct show_decoder *decoder, const struct umbel_json *data)
{
    const struct umbel_json *finish = umbel_json_member(data, "finish_reason");
    const char *reason = umbel_json_text(finish, NULL);
    size_t size = 0;
    const char *contents = umbel_json_text(umbel_json_member(data, "contents"), &size);

    if (!contents || umbel_json_type(finish) == UMBEL_JSON_NONE || (!reason && umbel_json_type(finish) != UMBEL_JSON_NULL)) {
        show_answer_break(&decoder->answer, "data lacks contents or finish_reason");
        return;
    }
    if (umbel_json_member_text(data, "id", NULL))
        show_id_check(decoder, umbel_json_member_text(data, "id", NULL));
    show_answer_text(&decoder->answer, contents, size);
    if (reason && strcmp(reason, "stop") != 0 && strcmp(reason, "length") != 0)
        show_answer_break(&decoder->answer, "finish_reason is %.40s", reason);
    else if (reason)
        show_answer_whole(&decoder->answer);
}

static void cgws_take(struct show_decoder *decoder, const char *data, size_t size)
{
    char why[160];
    struct umbel_json *frame = umbel_json_parse(data, size, why, sizeof why);

    decoder->answer.frames++;
    if (!frame) {
        show_answer_break(&decoder->answer, "a frame is not JSON: %s", why);
        return;
    }
    int64_t code = umbel_json_member_integer(frame, "code", -1);
    if (code != 0)
        show_answer_break(&decoder->answer, "the server says: code %lld, %.120s", (long long)code,
                          umbel_json_member_text(frame, "msg", "no words"));
    else if (strcmp(umbel_json_member_text(frame, "seq", ""), SEQ) != 0)
        show_answer_break(&decoder->answer, "a frame for a seq that was not asked for");
    else
        take_data(decoder, umbel_json_member(frame, "data"));
    umbel_json_free(frame);
}

const struct show_protocol show_cgws = {
    .name = "cgws", .title = "ws-chatgpt", .websocket = true, .request = cgws_request, .take = cgws_take,
};
