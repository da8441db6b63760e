#include "tools/show/show_ws.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "core/json/json_utf8.h"

int show_ws_key(char ret_key[SHOW_WS_KEY_SIZE])
{
    unsigned char random[16];

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return -EIO;
    EVP_EncodeBlock((unsigned char *)ret_key, random, sizeof random);
    return 0;
}

void show_ws_accept(const char *key, char ret_accept[SHOW_WS_ACCEPT_SIZE])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    struct umbel_out text = {0};

    umbel_out_text(&text, key);
    umbel_out_text(&text, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    if (text.failed || !EVP_Digest(text.data, text.size, digest, &size, EVP_sha1(), NULL) || size != 20)
        ret_accept[0] = '\0'; /* equal to nothing that a server sends */
    else
        EVP_EncodeBlock((unsigned char *)ret_accept, digest, 20);
    umbel_out_free(&text);
}

void show_ws_request(struct umbel_out *out, const char *host, const char *target, const char *key)
{
    umbel_out_printf(out,
                     "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
                     "Sec-WebSocket-Version: 13\r\n\r\n",
                     target, host, key);
}

int show_ws_check(const struct show_head *head, const char *key, struct why *why)
{
    char value[256], accept[SHOW_WS_ACCEPT_SIZE];

    if (head->status != 101)
        return why_set(why, -EPROTO, "the upgrade was answered with status %d", head->status);
    if (show_head_field(head, "Upgrade", value, sizeof value) != 1 || strcasecmp(value, "websocket") != 0)
        return why_set(why, -EPROTO, "Upgrade is not websocket");
    if (show_head_field(head, "Connection", value, sizeof value) < 1 || !show_token_in(value, "upgrade"))
        return why_set(why, -EPROTO, "Connection does not say upgrade");
    show_ws_accept(key, accept);
    if (show_head_field(head, "Sec-WebSocket-Accept", value, sizeof value) != 1 || !accept[0] || strcmp(value, accept) != 0)
        return why_set(why, -EPROTO, "Sec-WebSocket-Accept does not fit the key");
    if (show_head_field(head, "Sec-WebSocket-Extensions", value, sizeof value) > 0)
        return why_set(why, -EPROTO, "the server uses an extension that was not offered: %s", value);
    if (show_head_field(head, "Sec-WebSocket-Protocol", value, sizeof value) > 0)
        return why_set(why, -EPROTO, "the server chose a subprotocol that was not offered: %s", value);
    return 0;
}

void show_ws_frame(struct umbel_out *out, unsigned opcode, const char *data, size_t size)
{
    unsigned char head[14], *mask;
    size_t head_size = 2;

    head[0] = (unsigned char)(0x80u | opcode);
    if (size < 126) {
        head[1] = (unsigned char)(0x80u | size);
    } else if (size < 65536) {
        head[1] = 0x80u | 126u;
        head[2] = (unsigned char)(size >> 8);
        head[3] = (unsigned char)size;
        head_size = 4;
    } else {
        head[1] = 0x80u | 127u;
        for (int i = 0; i < 8; i++)
            head[2 + i] = (unsigned char)((uint64_t)size >> (56 - 8 * i));
        head_size = 10;
    }
    mask = head + head_size;
    if (getrandom(mask, 4, 0) != 4)
        memcpy(mask, "\x5a\xa5\x3c\xc3", 4); /* the mask protects proxies, not this client: any will do */
    umbel_out_put(out, head, head_size + 4);
    char *to = umbel_out_reserve(out, size);
    if (!to)
        return;
    for (size_t i = 0; i < size; i++)
        to[i] = (char)(data[i] ^ (char)mask[i & 3]);
    out->size += size;
}

void show_ws_free(struct show_ws *ws)
{
    umbel_out_free(&ws->frame);
    umbel_out_free(&ws->message);
}

/* How many bytes the frame at hand has, header included; 0 if that is not known yet; -EPROTO. */
static int64_t frame_length(const unsigned char *p, size_t size, size_t *ret_head, struct why *why)
{
    uint64_t length;
    size_t head = 2;

    if (size < 2)
        return 0;
    if (p[0] & 0x70)
        return why_set(why, -EPROTO, "a frame has reserved bits");
    if (p[1] & 0x80)
        return why_set(why, -EPROTO, "a frame is masked");
    length = p[1] & 0x7f;
    if (length >= 126) {
        size_t bytes = length == 126 ? 2 : 8;
        head += bytes;
        if (size < head)
            return 0;
        length = 0;
        for (size_t i = 0; i < bytes; i++)
            length = length << 8 | p[2 + i];
        if (length < 126 || (bytes == 8 && length < 65536))
            return why_set(why, -EPROTO, "the length of a frame is not in its shortest form");
    }
    if ((p[0] & 0x08) && (length > 125 || !(p[0] & 0x80)))
        return why_set(why, -EPROTO, "a control frame is too long or in pieces");
    if (length > SHOW_LINE_MAX)
        return why_set(why, -EPROTO, "a frame has %llu bytes", (unsigned long long)length);
    *ret_head = head;
    return (int64_t)(head + length);
}

static bool utf8_valid(const char *text, size_t size)
{
    for (size_t i = 0; i < size;) {
        int step = utf8_step((const unsigned char *)text + i, size - i);
        if (step <= 0)
            return false;
        i += (size_t)step;
    }
    return true;
}

static int take_close(struct show_ws *ws, const unsigned char *payload, size_t size, struct umbel_out *reply, struct why *why)
{
    if (size == 1 || (size > 2 && !utf8_valid((const char *)payload + 2, size - 2)))
        return why_set(why, -EPROTO, "a close frame that makes no sense");
    ws->closed = true;
    ws->close_code = (uint16_t)(size ? payload[0] << 8 | payload[1] : 1005);
    show_ws_frame(reply, SHOW_WS_CLOSE, (const char *)payload, size ? 2 : 0);
    return 0;
}

static int take_data(struct show_ws *ws, unsigned opcode, bool last, const char *payload, size_t size, show_sink *message, void *owner,
                     struct why *why)
{
    if (opcode == 2)
        return why_set(why, -EPROTO, "a binary message");
    if ((opcode == 0) != ws->in_message)
        return why_set(why, -EPROTO, opcode ? "a message begins inside another one" : "a continuation of no message");
    ws->message.limit = SHOW_LINE_MAX;
    umbel_out_put(&ws->message, payload, size);
    ws->in_message = !last;
    if (last) {
        if (!utf8_valid(ws->message.data, ws->message.size))
            return why_set(why, -EPROTO, "a text message is not UTF-8");
        umbel_out_put(&ws->message, "", 1);
        if (!ws->message.failed)
            message(owner, ws->message.data, ws->message.size - 1);
    }
    if (ws->message.failed)
        return why_set(why, -EPROTO, "a message is larger than %u bytes", SHOW_LINE_MAX);
    if (last)
        umbel_out_reset(&ws->message);
    return 0;
}

static int take_frame(struct show_ws *ws, size_t head, size_t size, show_sink *message, void *owner, struct umbel_out *reply,
                      struct why *why)
{
    const unsigned char *p = (const unsigned char *)ws->frame.data;
    const char *payload = ws->frame.data + head;
    unsigned opcode = p[0] & 0x0f;

    if (opcode == SHOW_WS_PING)
        show_ws_frame(reply, SHOW_WS_PONG, payload, size);
    else if (opcode == SHOW_WS_CLOSE)
        return take_close(ws, (const unsigned char *)payload, size, reply, why);
    else if (opcode <= 2)
        return take_data(ws, opcode, p[0] & 0x80, payload, size, message, owner, why);
    else if (opcode != SHOW_WS_PONG)
        return why_set(why, -EPROTO, "a frame of unknown kind %u", opcode);
    return 0;
}

int show_ws_feed(struct show_ws *ws, const char *data, size_t size, show_sink *message, void *owner, struct umbel_out *reply,
                 struct why *why)
{
    while (size > 0 && !ws->closed) {
        size_t head = 0;
        int64_t length = frame_length((const unsigned char *)ws->frame.data, ws->frame.size, &head, why);
        if (length < 0)
            return (int)length;
        /* Byte by byte until the length is known, then the rest at once. */
        size_t want = length == 0 ? 1 : (size_t)length - ws->frame.size;
        size_t piece = want < size ? want : size;
        umbel_out_put(&ws->frame, data, piece);
        if (ws->frame.failed)
            return why_set(why, -ENOMEM, "no memory for a frame");
        data += piece;
        size -= piece;
        length = frame_length((const unsigned char *)ws->frame.data, ws->frame.size, &head, why);
        if (length < 0)
            return (int)length;
        if (length > 0 && ws->frame.size == (size_t)length) {
            int r = take_frame(ws, head, ws->frame.size - head, message, owner, reply, why);
            if (r < 0)
                return r;
            umbel_out_reset(&ws->frame);
        }
    }
    return 0;
}
