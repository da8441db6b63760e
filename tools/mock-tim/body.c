/* body - is a MsgBody of the right form, and what would a client show of it? */
#include "mock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int wrong(struct mock *mock, const char *what)
{
    mock_violation(mock, "MsgBody: %s", what);
    return 90001;
}

static bool only(const cJSON *object, const char *const *names)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, object)
    {
        bool known = false;
        for (const char *const *name = names; *name; name++)
            known = known || strcmp(*name, item->string) == 0;
        if (!known)
            return false;
    }
    return true;
}

static char *join(const cJSON *chunks)
{
    size_t size = 0;
    const cJSON *chunk;

    cJSON_ArrayForEach(chunk, chunks) size += strlen(chunk->valuestring);
    char *text = malloc(size + 1), *at = text;
    cJSON_ArrayForEach(chunk, chunks)
    {
        size = strlen(chunk->valuestring);
        memcpy(at, chunk->valuestring, size);
        at += size;
    }
    *at = 0;
    return text;
}

/* Numbers must be numbers: TUIKit compares without conversion. */
static int read_answer(struct mock *mock, const cJSON *data, struct seen *seen)
{
    static const char *const names[] = {"chatbotPlugin", "src", "chunks", "isFinished", NULL};
    const cJSON *chunks = cJSON_GetObjectItemCaseSensitive(data, "chunks");
    const cJSON *finished = cJSON_GetObjectItemCaseSensitive(data, "isFinished");
    const cJSON *chunk;

    if (!cJSON_IsArray(chunks) || !only(data, names))
        return wrong(mock, "chunks is no array, or there are unknown members");
    cJSON_ArrayForEach(chunk, chunks) if (!cJSON_IsString(chunk)) return wrong(mock, "a chunk is no string");
    if (!cJSON_IsNumber(finished) || (finished->valuedouble != 0 && finished->valuedouble != 1))
        return wrong(mock, "isFinished is neither 0 nor 1");
    seen->finished = finished->valuedouble == 1;
    seen->text = join(chunks);
    if (seen->finished && !*seen->text)
        mock_violation(mock, "an answer is finished empty");
    return 0;
}

static int read_custom(struct mock *mock, const cJSON *content, struct seen *seen)
{
    const cJSON *string = cJSON_GetObjectItemCaseSensitive(content, "Data");
    static const char *const error_names[] = {"chatbotPlugin", "src", "errorInfo", NULL};
    int r = 0;

    if (!cJSON_IsString(string))
        return wrong(mock, "Data is no string");
    cJSON *data = cJSON_Parse(string->valuestring);
    const cJSON *plugin = cJSON_GetObjectItemCaseSensitive(data, "chatbotPlugin"), *src = cJSON_GetObjectItemCaseSensitive(data, "src");
    seen->kind = KIND_CUSTOM;
    seen->data = string->valuestring;
    if (!cJSON_IsNumber(plugin) || plugin->valuedouble != 2 || !cJSON_IsNumber(src)) {
        r = wrong(mock, "chatbotPlugin is not the number 2, or src is no number");
    } else if (src->valuedouble == 2) {
        r = read_answer(mock, data, seen);
    } else if (src->valuedouble == 23) {
        const cJSON *info = cJSON_GetObjectItemCaseSensitive(data, "errorInfo");
        if (!cJSON_IsString(info) || !*info->valuestring || !only(data, error_names))
            r = wrong(mock, "errorInfo is no text, or there are unknown members");
        else
            seen->text = strdup(info->valuestring);
        seen->finished = true;
    } else {
        r = wrong(mock, "a bot sends src 2 and 23 only");
    }
    seen->src = cJSON_IsNumber(src) ? (int)src->valuedouble : 0;
    cJSON_Delete(data);
    return r;
}

static int read_stream(struct mock *mock, const cJSON *content, struct seen *seen)
{
    const cJSON *chunks = cJSON_GetObjectItemCaseSensitive(content, "Chunks"), *chunk = cJSON_GetArrayItem(chunks, 0);
    const cJSON *markdown = cJSON_GetObjectItemCaseSensitive(chunk, "Markdown"), *index = cJSON_GetObjectItemCaseSensitive(chunk, "Index");
    const cJSON *last = cJSON_GetObjectItemCaseSensitive(chunk, "IsLast"), *type = cJSON_GetObjectItemCaseSensitive(chunk, "EventType");
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(content, "StreamMsgID");

    if (cJSON_GetArraySize(chunks) != 1 || !cJSON_IsString(markdown) || !cJSON_IsNumber(index) || !cJSON_IsBool(last) || !cJSON_IsString(type))
        return wrong(mock, "a chunk of TIMStreamElem is not of the right form");
    if (!cJSON_IsString(cJSON_GetObjectItemCaseSensitive(content, "CompatibleText")))
        return wrong(mock, "CompatibleText is missing");
    seen->kind = KIND_STREAM;
    seen->text = strdup(markdown->valuestring);
    seen->index = (int64_t)index->valuedouble;
    seen->is_last = seen->finished = cJSON_IsTrue(last);
    seen->stream_id = cJSON_IsString(id) ? id->valuestring : NULL;
    return 0;
}

int body_read(struct mock *mock, const cJSON *body, struct seen *ret_seen)
{
    const cJSON *element = cJSON_GetArrayItem(body, 0), *type = cJSON_GetObjectItemCaseSensitive(element, "MsgType");
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(element, "MsgContent");

    *ret_seen = (struct seen){0};
    if (!cJSON_IsArray(body) || cJSON_GetArraySize(body) != 1 || !cJSON_IsString(type) || !cJSON_IsObject(content))
        return wrong(mock, "it is not an array of one element with MsgType and MsgContent");
    if (strcmp(type->valuestring, "TIMCustomElem") == 0)
        return read_custom(mock, content, ret_seen);
    if (strcmp(type->valuestring, "TIMStreamElem") == 0)
        return read_stream(mock, content, ret_seen);
    const cJSON *text = cJSON_GetObjectItemCaseSensitive(content, "Text");
    if (strcmp(type->valuestring, "TIMTextElem") != 0 || !cJSON_IsString(text))
        return wrong(mock, "an unknown element, or Text is no string");
    ret_seen->kind = KIND_TEXT;
    ret_seen->finished = true;
    ret_seen->text = strdup(text->valuestring);
    if (!*ret_seen->text)
        mock_violation(mock, "an empty text message");
    return 0;
}

void body_free(struct seen *seen)
{
    free(seen->text);
    seen->text = NULL;
}
