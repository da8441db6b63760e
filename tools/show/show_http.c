#include "tools/show/show_http.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "core/base/number.h"

void show_head_free(struct show_head *head)
{
    umbel_out_free(&head->bytes);
}

/* "HTTP/1.1 200 OK": the version, three digits, a blank or the end. */
static int read_status(struct show_head *head, struct why *why)
{
    const char *line = head->bytes.data;
    uint64_t status;

    if (head->bytes.size < 14 || memcmp(line, "HTTP/1.1 ", 9) != 0 || !number_parse_u64(line + 9, 3, &status) ||
        (line[12] != ' ' && line[12] != '\r'))
        return why_set(why, -EPROTO, "the response does not begin as HTTP/1.1 does");
    head->status = (int)status;
    return 1;
}

int show_head_feed(struct show_head *head, const char *data, size_t size, size_t *ret_used, struct why *why)
{
    head->bytes.limit = SHOW_HEAD_MAX;
    for (size_t i = 0; i < size; i++) {
        umbel_out_put(&head->bytes, data + i, 1);
        if (head->bytes.failed)
            return why_set(why, -EPROTO, "the head of the response is larger than %u bytes", SHOW_HEAD_MAX);
        if (data[i] == '\n' && head->bytes.size >= 4 && memcmp(head->bytes.data + head->bytes.size - 4, "\r\n\r\n", 4) == 0) {
            *ret_used = i + 1;
            return read_status(head, why);
        }
    }
    *ret_used = size;
    return 0;
}

unsigned show_head_field(const struct show_head *head, const char *name, char *ret_value, size_t room)
{
    const char *at = head->bytes.data, *end = at + head->bytes.size;
    size_t name_size = strlen(name);
    unsigned count = 0;

    ret_value[0] = '\0';
    while (at < end) {
        const char *line_end = memchr(at, '\r', (size_t)(end - at));
        if (!line_end)
            break;
        if ((size_t)(line_end - at) > name_size && at[name_size] == ':' && strncasecmp(at, name, name_size) == 0) {
            const char *value = at + name_size + 1;
            while (value < line_end && (*value == ' ' || *value == '\t'))
                value++;
            size_t size = (size_t)(line_end - value);
            while (size > 0 && (value[size - 1] == ' ' || value[size - 1] == '\t'))
                size--;
            if (size >= room)
                size = room - 1;
            memcpy(ret_value, value, size);
            ret_value[size] = '\0';
            count++;
        }
        at = line_end + 2;
    }
    return count;
}

bool show_token_in(const char *list, const char *token)
{
    size_t size = strlen(token);

    while (*list) {
        list += strspn(list, " \t,");
        size_t length = strcspn(list, ",");
        size_t trimmed = length;
        while (trimmed > 0 && (list[trimmed - 1] == ' ' || list[trimmed - 1] == '\t'))
            trimmed--;
        if (trimmed == size && strncasecmp(list, token, size) == 0)
            return true;
        list += length;
    }
    return false;
}

/* ---- the body ---- */

enum { CHUNK_SIZE, CHUNK_DATA, CHUNK_DATA_END, CHUNK_TRAILER };

int show_body_begin(const struct show_head *head, struct show_body *ret_body, struct why *why)
{
    char encoding[64], length[32], coding[64];
    unsigned encodings = show_head_field(head, "Transfer-Encoding", encoding, sizeof encoding);
    unsigned lengths = show_head_field(head, "Content-Length", length, sizeof length);
    struct show_body body = {.kind = SHOW_BODY_CLOSE};

    if (encodings + lengths > 1)
        return why_set(why, -EPROTO, "the head says more than once how the body ends");
    if (show_head_field(head, "Content-Encoding", coding, sizeof coding) && strcasecmp(coding, "identity") != 0)
        return why_set(why, -EPROTO, "the body is packed (%s), which nobody asked for", coding);
    if (encodings) {
        if (strcasecmp(encoding, "chunked") != 0)
            return why_set(why, -EPROTO, "Transfer-Encoding is %s", encoding);
        body.kind = SHOW_BODY_CHUNKED;
    } else if (lengths) {
        if (!number_parse_u64(length, strlen(length), &body.left))
            return why_set(why, -EPROTO, "Content-Length is %s", length);
        body.kind = SHOW_BODY_LENGTH;
        body.ended = body.left == 0;
    }
    *ret_body = body;
    return 0;
}

/* Hexadecimal digits, at most 15 of them; extensions are ignored. */
static int chunk_size(struct show_body *body, struct why *why)
{
    uint64_t size = 0;
    size_t i = 0;

    for (; i < body->line_size && body->line[i] != ';'; i++) {
        const char *digits = "0123456789abcdef", *found = strchr(digits, body->line[i] | 0x20);
        if (!found || !*found || i >= 15)
            return why_set(why, -EPROTO, "the size of a chunk is no number");
        size = size * 16 + (uint64_t)(found - digits);
    }
    if (i == 0)
        return why_set(why, -EPROTO, "a chunk has no size");
    body->left = size;
    body->state = size ? CHUNK_DATA : CHUNK_TRAILER;
    body->chunks += size != 0;
    body->line_size = 0;
    return 0;
}

/* One byte of a chunk's head, of the line end after its data, or of the trailer. */
static int chunk_line_byte(struct show_body *body, char c, struct why *why)
{
    if (c == '\n') {
        if (body->line_size == 0 || body->line[body->line_size - 1] != '\r')
            return why_set(why, -EPROTO, "a line of the chunked body ends without CR");
        body->line_size--;
        if (body->state == CHUNK_SIZE)
            return chunk_size(body, why);
        if (body->state == CHUNK_TRAILER && body->line_size == 0)
            body->ended = true;
        else if (body->state == CHUNK_DATA_END && body->line_size > 0)
            return why_set(why, -EPROTO, "a chunk is longer than it says");
        else if (body->state == CHUNK_DATA_END)
            body->state = CHUNK_SIZE;
        body->line_size = 0;
        return 0;
    }
    if (body->line_size == sizeof body->line)
        return why_set(why, -EPROTO, "a line of the chunked body is too long");
    body->line[body->line_size++] = c;
    return 0;
}

int show_body_feed(struct show_body *body, const char *data, size_t size, show_sink *sink, void *owner, struct why *why)
{
    while (size > 0) {
        if (body->ended)
            return why_set(why, -EPROTO, "%zu bytes after the end of the body", size);
        if (body->kind == SHOW_BODY_CLOSE) {
            sink(owner, data, size);
            return 0;
        }
        if (body->kind == SHOW_BODY_CHUNKED && body->state != CHUNK_DATA) {
            int r = chunk_line_byte(body, *data, why);
            if (r < 0)
                return r;
            data++;
            size--;
            continue;
        }
        size_t piece = size < body->left ? size : (size_t)body->left;
        sink(owner, data, piece);
        data += piece;
        size -= piece;
        body->left -= piece;
        if (body->left == 0 && body->kind == SHOW_BODY_LENGTH)
            body->ended = true;
        else if (body->left == 0)
            body->state = CHUNK_DATA_END;
    }
    return 0;
}

int show_body_close(struct show_body *body, struct why *why)
{
    if (body->kind == SHOW_BODY_CLOSE)
        body->ended = true;
    return body->ended ? 0 : why_set(why, -EPROTO, "the connection ended in the middle of the body");
}

/* ---- server-sent events ---- */

void show_sse_free(struct show_sse *sse)
{
    umbel_out_free(&sse->line);
    umbel_out_free(&sse->data);
}

static void sse_line(struct show_sse *sse, show_event *event, void *owner)
{
    char *line = sse->line.data;
    size_t size = sse->line.size;

    if (size == 0) { /* an empty line: the event is whole */
        if (sse->has_data) {
            umbel_out_put(&sse->data, "", 1);
            if (!sse->data.failed)
                event(owner, sse->name[0] ? sse->name : "message", sse->data.data, sse->data.size - 1);
        }
        umbel_out_reset(&sse->data);
        sse->has_data = false;
        sse->name[0] = '\0';
        return;
    }
    if (line[0] == ':') {
        sse->comments++;
        return;
    }
    const char *colon = memchr(line, ':', size);
    size_t name_size = colon ? (size_t)(colon - line) : size;
    const char *value = colon ? colon + 1 : line + size;
    size_t value_size = size - (size_t)(value - line);
    if (value_size > 0 && *value == ' ')
        value++, value_size--;
    if (name_size == 4 && memcmp(line, "data", 4) == 0) {
        if (sse->has_data)
            umbel_out_put(&sse->data, "\n", 1);
        umbel_out_put(&sse->data, value, value_size);
        sse->has_data = true;
    } else if (name_size == 5 && memcmp(line, "event", 5) == 0) {
        size_t fits = value_size < sizeof sse->name - 1 ? value_size : sizeof sse->name - 1;
        memcpy(sse->name, value, fits);
        sse->name[fits] = '\0';
    }
}

int show_sse_feed(struct show_sse *sse, const char *data, size_t size, show_event *event, void *owner)
{
    sse->line.limit = SHOW_LINE_MAX;
    sse->data.limit = SHOW_LINE_MAX;
    for (size_t i = 0; i < size; i++) {
        bool after_cr = sse->after_cr;
        sse->after_cr = data[i] == '\r';
        if (data[i] == '\n' && after_cr)
            continue;
        if (data[i] == '\n' || data[i] == '\r') {
            sse_line(sse, event, owner);
            umbel_out_reset(&sse->line);
        } else {
            umbel_out_put(&sse->line, data + i, 1);
        }
        if (sse->line.failed || sse->data.failed)
            return sse->line.failed ? sse->line.failed : sse->data.failed;
    }
    return 0;
}
