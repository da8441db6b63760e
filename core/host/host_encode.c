/* host/host_encode.c - from merged news to the codec's bytes. */
#include <errno.h>
#include <string.h>

#include "core/host/hosting.h"

static int encode(const struct host_feed *feed, const struct umbel_reader *reader, struct umbel_event *event, struct umbel_out *out)
{
    const struct umbel_client *client = reader->client;
    bool alone = reader->options.variant == UMBEL_VARIANT_PRIVATE;

    event->struct_size = sizeof *event;
    if (!event->data)
        event->data = "";
    int r = client->codec->encode(client->self, reader->options.variant, alone ? reader->options.reader_data : NULL, &feed->stream, event, out);
    return r < 0 ? r : out->failed;
}

/* The longest prefix of at most max bytes that ends between characters; the core sends whole characters only. */
static size_t whole_prefix(const char *data, size_t size, size_t max)
{
    if (size <= max)
        return size;
    while (max > 0 && ((unsigned char)data[max] & 0xc0) == 0x80)
        max--;
    return max ? max : size;
}

int host_encode_one(const struct host_feed *feed, const struct umbel_reader *reader, uint32_t kind, const char *data, size_t size,
                    uint64_t position, struct umbel_out *out)
{
    size_t max = reader->options.max_text ? reader->options.max_text : HOSTING_TEXT_MAX;

    do {
        size_t part = kind == UMBEL_EVENT_TOOL ? size : whole_prefix(data, size, max);
        struct umbel_event event = {.kind = kind, .data = data, .size = part, .position = position};
        int r = encode(feed, reader, &event, out);
        if (r < 0)
            return r;
        data += part;
        size -= part;
        if (kind == UMBEL_EVENT_TEXT)
            position += part;
    } while (size > 0);
    return 0;
}

int host_encode_news(const struct host_feed *feed, const struct umbel_reader *reader, struct umbel_out *out)
{
    for (size_t i = 0; i < feed->news_count; i++) {
        const struct host_news *news = &feed->news[i];
        int r = host_encode_one(feed, reader, news->kind, feed->bytes.data + news->offset, news->size, news->position, out);
        if (r < 0)
            return r;
    }
    return 0;
}

int host_encode_open(const struct host_feed *feed, const struct umbel_reader *reader, struct umbel_out *out)
{
    struct umbel_event event = {.kind = UMBEL_EVENT_OPEN, .position = reader->begun_at};

    return encode(feed, reader, &event, out);
}

int host_encode_ending(const struct host_feed *feed, const struct umbel_reader *reader, struct umbel_out *out)
{
    const struct journal_ending *ending = &feed->ending;
    int r = 0;

    if (ending->usage_flags) {
        struct umbel_event event = {.kind = UMBEL_EVENT_USAGE,
                                    .position = feed->cursor.text,
                                    .flags = ending->usage_flags & JOURNAL_USAGE_ESTIMATED ? UMBEL_EVENT_FLAG_ESTIMATED : 0,
                                    .prompt_tokens = ending->prompt_tokens,
                                    .completion_tokens = ending->completion_tokens};
        r = encode(feed, reader, &event, out);
    }
    if (r == 0 && ending->finish) {
        struct umbel_event event = {.kind = UMBEL_EVENT_FINISH,
                                    .position = feed->cursor.text,
                                    .code = ending->finish,
                                    .data = ending->finish_word,
                                    .size = strnlen(ending->finish_word, sizeof ending->finish_word)};
        r = encode(feed, reader, &event, out);
    }
    if (r == 0 && ending->error) {
        struct umbel_event event = {.kind = UMBEL_EVENT_ERROR,
                                    .position = feed->cursor.text,
                                    .code = ending->error,
                                    .data = ending->error_text,
                                    .size = strnlen(ending->error_text, sizeof ending->error_text)};
        r = encode(feed, reader, &event, out);
    }
    if (r == 0) {
        struct umbel_event event = {.kind = UMBEL_EVENT_CLOSED, .position = feed->cursor.text, .code = ending->verdict};
        r = encode(feed, reader, &event, out);
    }
    return r;
}
