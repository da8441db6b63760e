/* carrier/ws_frame.c - RFC 6455 frames from server to client: unmasked, whole, shortest length form. */
#include "core/carrier/ws_carrier.h"

#define TEXT_WHOLE 0x81u
#define CLOSE_WHOLE 0x88u
#define HEADER 4u /* room left by frame_begin: the form of 126..65535 bytes, which needs no moving */

/* With a payload, because libwebsockets keeps an empty pong to itself. */
const unsigned char ws_frame_ping[3] = {0x89, 0x01, 'u'};

size_t umbel_ws_frame_begin(struct umbel_out *out)
{
    size_t begin = out->size;

    umbel_out_put(out, "\0\0\0", HEADER);
    return begin;
}

void umbel_ws_frame_end(struct umbel_out *out, size_t begin)
{
    if (out->failed || out->size < begin + HEADER)
        return;
    size_t size = out->size - begin - HEADER;
    size_t header = size < 126 ? 2 : size <= 0xffff ? 4 : 10;
    if (header > HEADER && !umbel_out_reserve(out, header - HEADER))
        return;
    unsigned char *frame = (unsigned char *)out->data + begin;
    if (header != HEADER)
        memmove(frame + header, frame + HEADER, size);
    out->size = begin + header + size;
    frame[0] = TEXT_WHOLE;
    if (header == 2) {
        frame[1] = (unsigned char)size;
        return;
    }
    frame[1] = header == 4 ? 126 : 127;
    for (size_t i = 2; i < header; i++)
        frame[i] = (unsigned char)(size >> (8 * (header - 1 - i)));
}

size_t ws_frame_close(uint16_t code, const char *reason, unsigned char *ret_frame)
{
    size_t size = strlen(reason);

    if (size > WS_CLOSE_FRAME_MAX - 4)
        size = WS_CLOSE_FRAME_MAX - 4;
    ret_frame[0] = CLOSE_WHOLE;
    ret_frame[1] = (unsigned char)(size + 2);
    ret_frame[2] = (unsigned char)(code >> 8);
    ret_frame[3] = (unsigned char)(code & 0xff);
    memcpy(ret_frame + 4, reason, size);
    return size + 4;
}
