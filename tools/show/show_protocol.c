#include "tools/show/show_protocol.h"

#include <stdio.h>
#include <string.h>

static const struct show_protocol *const protocols[] = {&show_bmob, &show_wxapp, &show_h5, &show_cgws, &show_api, &show_im};

const struct show_protocol *show_protocol_find(const char *name, size_t size)
{
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
        if (strlen(protocols[i]->name) == size && memcmp(protocols[i]->name, name, size) == 0)
            return protocols[i];
    return NULL;
}

const char *show_protocol_name(size_t index)
{
    return index < sizeof protocols / sizeof *protocols ? protocols[index]->name : NULL;
}

void show_request_free(struct show_request *request)
{
    umbel_out_free(&request->target);
    umbel_out_free(&request->headers);
    umbel_out_free(&request->body);
}

void show_decoder_free(struct show_decoder *decoder)
{
    show_answer_free(&decoder->answer);
    show_sse_free(&decoder->sse);
    umbel_out_free(&decoder->pending);
    umbel_out_free(&decoder->last);
}

void show_decoder_close(struct show_decoder *decoder, const char *what)
{
    if (decoder->answer.state == SHOW_WHOLE)
        return;
    if (decoder->answer.text.size == 0 && decoder->answer.frames == 0)
        show_answer_break(&decoder->answer, "%s before the answer began", what);
    else
        show_answer_break(&decoder->answer, "%s before the end of the answer", what);
}

void show_url_put(struct umbel_out *out, const char *text)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

    for (; *text; text++) {
        if (strchr(plain, *text))
            umbel_out_put(out, text, 1);
        else
            umbel_out_printf(out, "%%%02X", (unsigned)(unsigned char)*text);
    }
}

void show_id_check(struct show_decoder *decoder, const char *id)
{
    if (!id || !*id)
        show_answer_break(&decoder->answer, "a message of the answer has no id");
    else if (!decoder->id[0])
        snprintf(decoder->id, sizeof decoder->id, "%s", id);
    else if (strncmp(decoder->id, id, sizeof decoder->id - 1) != 0)
        show_answer_break(&decoder->answer, "the id changed within the answer, from %s to %.64s", decoder->id, id);
}
