/* show/show_chunk.c - chat.completion.chunk objects, as the OpenAI API and the H5 event stream send them. */
#include <string.h>

#include <umbel/json.h>

#include "tools/show/show_protocol.h"

static void take_error(struct show_decoder *decoder, const struct umbel_json *error)
{
    const char *text = umbel_json_member_text(error, "message", umbel_json_text(error, NULL));

    show_answer_break(&decoder->answer, "the server says: %.150s", text ? text : "an error without words");
}

static void take_choice(struct show_decoder *decoder, const struct umbel_json *choice)
{
    const struct umbel_json *finish = umbel_json_member(choice, "finish_reason");
    size_t size = 0;
    const char *text = umbel_json_text(umbel_json_member(umbel_json_member(choice, "delta"), "content"), &size);

    if (decoder->finished && (text || umbel_json_type(finish) == UMBEL_JSON_STRING)) {
        show_answer_break(&decoder->answer, "a choice after the finish reason");
        return;
    }
    if (text)
        show_answer_text(&decoder->answer, text, size);
    if (umbel_json_type(finish) == UMBEL_JSON_STRING)
        decoder->finished = true;
    else if (umbel_json_type(finish) > UMBEL_JSON_NULL)
        show_answer_break(&decoder->answer, "finish_reason is neither null nor a word");
}

void show_chunk_take(struct show_decoder *decoder, const char *data, size_t size)
{
    struct umbel_json *chunk;
    char why[160];

    decoder->answer.frames++;
    if (size == 6 && memcmp(data, "[DONE]", 6) == 0) {
        if (decoder->finished)
            show_answer_whole(&decoder->answer);
        else
            show_answer_break(&decoder->answer, "[DONE] without a finish reason");
        return;
    }
    chunk = umbel_json_parse(data, size, why, sizeof why);
    if (!chunk) {
        show_answer_break(&decoder->answer, "an event is not JSON: %s", why);
        return;
    }
    if (umbel_json_type(umbel_json_member(chunk, "error")) > UMBEL_JSON_NULL) {
        take_error(decoder, umbel_json_member(chunk, "error"));
    } else if (strcmp(umbel_json_member_text(chunk, "object", ""), "chat.completion.chunk") != 0) {
        show_answer_break(&decoder->answer, "an event is no chat.completion.chunk");
    } else {
        show_id_check(decoder, umbel_json_member_text(chunk, "id", NULL));
        const struct umbel_json *choices = umbel_json_member(chunk, "choices");
        if (umbel_json_count(choices) > 0)
            take_choice(decoder, umbel_json_first(choices));
    }
    umbel_json_free(chunk);
}
