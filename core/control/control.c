#include "core/control/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct header {
    uint32_t size;
    uint16_t type, zero;
    uint64_t tag;
};
_Static_assert(sizeof(struct header) == CONTROL_HEADER, "no padding on the wire");

/* Frames carry credentials and options: no copy of one is left behind. */
static void wipe(char *data, size_t size)
{
    if (data)
        explicit_bzero(data, size);
    free(data);
}

static bool grow(char **data, size_t size, size_t capacity)
{
    char *larger = malloc(capacity);

    if (!larger)
        return false;
    if (size)
        memcpy(larger, *data, size);
    wipe(*data, size);
    *data = larger;
    return true;
}

static bool out_reserve(struct control_out *out, size_t more)
{
    size_t capacity = out->capacity ? out->capacity : 256;

    if (out->failed || more > CONTROL_BODY_MAX + CONTROL_HEADER || out->size + more > CONTROL_BODY_MAX + CONTROL_HEADER)
        goto fail;
    while (capacity < out->size + more)
        capacity *= 2;
    if (capacity != out->capacity && !grow(&out->data, out->size, capacity))
        goto fail;
    out->capacity = capacity;
    return true;
fail:
    out->failed = true;
    return false;
}

static void out_put(struct control_out *out, const void *bytes, size_t size)
{
    if (!out_reserve(out, size))
        return;
    if (size)
        memcpy(out->data + out->size, bytes, size);
    out->size += size;
}

void control_begin(struct control_out *out, enum control_type type, uint64_t tag)
{
    struct header header = {.type = (uint16_t)type, .tag = tag};

    out->size = 0;
    out->failed = false;
    out_put(out, &header, sizeof header);
}

void control_put(struct control_out *out, uint64_t number)
{
    out_put(out, &number, sizeof number);
}

void control_put_text(struct control_out *out, const char *text, size_t size)
{
    uint32_t size32 = (uint32_t)size;

    if (size > CONTROL_BODY_MAX) {
        out->failed = true;
        return;
    }
    out_put(out, &size32, sizeof size32);
    out_put(out, text, size);
}

bool control_end(struct control_out *out)
{
    if (out->failed)
        return false;
    uint32_t size = (uint32_t)(out->size - CONTROL_HEADER);
    memcpy(out->data, &size, sizeof size);
    return true;
}

void control_out_free(struct control_out *out)
{
    wipe(out->data, out->size);
    *out = (struct control_out){0};
}

static struct span in_take(struct control_in *in, size_t size)
{
    if (in->failed || (size_t)(in->end - in->at) < size) {
        in->failed = true;
        return span_of("", 0);
    }
    in->at += size;
    return span_of(in->at - size, size);
}

uint64_t control_get(struct control_in *in)
{
    uint64_t number = 0;
    struct span bytes = in_take(in, sizeof number);

    if (bytes.size)
        memcpy(&number, bytes.data, sizeof number);
    return number;
}

struct span control_get_text(struct control_in *in, size_t max)
{
    uint32_t size = 0;
    struct span bytes = in_take(in, sizeof size);

    if (bytes.size)
        memcpy(&size, bytes.data, sizeof size);
    if (size > max) {
        in->failed = true;
        return span_of("", 0);
    }
    return in_take(in, size);
}

void control_get_string(struct control_in *in, char *ret_text, size_t room)
{
    struct span text = control_get_text(in, room - 1);

    if (memchr(text.data, 0, text.size))
        in->failed = true;
    if (in->failed)
        text.size = 0;
    memcpy(ret_text, text.data, text.size);
    ret_text[text.size] = '\0';
}

bool control_done(const struct control_in *in)
{
    return !in->failed && in->at == in->end;
}

/* Hands out the whole frames at the front of bytes; *ret_used is what they took. */
static int cut_frames(const char *bytes, size_t size, size_t *ret_used, control_frame *frame, void *owner)
{
    size_t used = 0;

    for (;;) {
        struct header header;
        if (size - used < sizeof header)
            break;
        memcpy(&header, bytes + used, sizeof header);
        if (header.size > CONTROL_BODY_MAX || header.zero != 0)
            return -EPROTO;
        if (size - used - sizeof header < header.size)
            break;
        const char *body = bytes + used + sizeof header;
        struct control_in in = {body, body + header.size, false};
        used += sizeof header + header.size;
        int r = frame(owner, header.type, header.tag, &in);
        if (r < 0)
            return r;
    }
    *ret_used = used;
    return 0;
}

static int keep(struct control_parser *parser, const char *bytes, size_t size)
{
    if (parser->size + size > parser->capacity) {
        size_t capacity = parser->capacity ? parser->capacity : 4096;
        while (capacity < parser->size + size)
            capacity *= 2;
        if (!grow(&parser->data, parser->size, capacity))
            return -ENOMEM;
        parser->capacity = capacity;
    }
    memcpy(parser->data + parser->size, bytes, size);
    parser->size += size;
    return 0;
}

int control_feed(struct control_parser *parser, const char *bytes, size_t size, control_frame *frame, void *owner)
{
    size_t used = 0;
    int r;

    if (parser->size == 0) {
        r = cut_frames(bytes, size, &used, frame, owner);
        if (r < 0 || used == size)
            return r;
        return keep(parser, bytes + used, size - used);
    }
    r = keep(parser, bytes, size);
    if (r < 0)
        return r;
    r = cut_frames(parser->data, parser->size, &used, frame, owner);
    if (r < 0)
        return r;
    memmove(parser->data, parser->data + used, parser->size - used);
    parser->size -= used;
    explicit_bzero(parser->data + parser->size, used);
    if (parser->size == 0)
        control_parser_free(parser); /* a large frame's memory is not kept for small ones */
    return 0;
}

void control_parser_free(struct control_parser *parser)
{
    wipe(parser->data, parser->size);
    *parser = (struct control_parser){0};
}
