/* carrier/http_frame.c - frames in encoded bytes.
 *
 * A frame is a whole HTTP chunk (size line, data, CR LF), so that a ready run of them is sent as it is.  Between frames there may
 * be marks of four bytes that begin with a zero, which no chunk does: 0 'g' and 16 bits of milliseconds is a gap, 0 'o' 0 0 the
 * end of the opening, 0 'e' 0 0 the beginning of the ending. */
#include "core/carrier/http_carrier.h"

size_t umbel_http_frame_begin(struct umbel_out *out)
{
    return out->size;
}

void umbel_http_frame_end(struct umbel_out *out, size_t begin)
{
    static const char digits[] = "0123456789abcdef";
    size_t size, shift = 2;
    char *at;

    if (out->failed || out->size == begin)
        return;
    size = out->size - begin;
    for (size_t rest = size; rest; rest >>= 4)
        shift++;
    if (!umbel_out_reserve(out, shift + 2))
        return;
    at = out->data + begin;
    memmove(at + shift, at, size);
    memcpy(at + shift - 2, "\r\n", 2);
    memcpy(at + shift + size, "\r\n", 2);
    for (size_t i = shift - 2, rest = size; i-- > 0; rest >>= 4)
        at[i] = digits[rest & 15];
    out->size += shift + 2;
}

static void put_mark(struct umbel_out *out, char kind, uint32_t value)
{
    char mark[HTTP_MARK_SIZE] = {0, kind, (char)(value >> 8 & 0xff), (char)(value & 0xff)};

    umbel_out_put(out, mark, sizeof mark);
}

void umbel_http_gap(struct umbel_out *out, uint32_t ms)
{
    put_mark(out, 'g', ms > 0xffff ? 0xffff : ms);
}

void http_frame_mark(struct umbel_out *out, enum http_frame_kind kind)
{
    put_mark(out, kind == HTTP_FRAME_OPENED ? 'o' : 'e', 0);
}

bool http_frame_says(const char *bytes, size_t size)
{
    struct span at = span_of(bytes, size);
    struct http_frame frame;
    bool says = false;

    while (http_frame_next(&at, &frame)) {
        if (frame.kind == HTTP_FRAME_OPENED)
            says = false;
        if (frame.kind == HTTP_FRAME_ENDING)
            break;
        says = says || frame.kind == HTTP_FRAME_CHUNK;
    }
    return says;
}

static struct span skip(struct span text, size_t size)
{
    return span_of(text.data + size, text.size - size);
}

bool http_frame_next(struct span *at, struct http_frame *ret_frame)
{
    size_t size = 0, line = 0;

    if (at->size < HTTP_MARK_SIZE)
        return false;
    if (at->data[0] == 0) {
        char kind = at->data[1];
        ret_frame->kind = kind == 'g' ? HTTP_FRAME_GAP : kind == 'o' ? HTTP_FRAME_OPENED : HTTP_FRAME_ENDING;
        ret_frame->ms = (uint32_t)(unsigned char)at->data[2] << 8 | (unsigned char)at->data[3];
        *at = skip(*at, HTTP_MARK_SIZE);
        return true;
    }
    while (line < at->size && at->data[line] != '\r') {
        char c = at->data[line++];
        size = size << 4 | (size_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    ret_frame->kind = HTTP_FRAME_CHUNK;
    ret_frame->data = span_of(at->data + line + 2, size);
    ret_frame->chunk = span_of(at->data, line + 2 + size + 2);
    *at = skip(*at, ret_frame->chunk.size);
    return true;
}
