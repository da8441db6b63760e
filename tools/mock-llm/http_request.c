#include "http_request.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_token_char(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(const char *string)
{
    if (!*string)
        return false;
    for (; *string; string++)
        if (!is_token_char(*string))
            return false;
    return true;
}

/* Tells whether a comma-separated list has the word, in any case. */
static bool list_has(const char *list, const char *word)
{
    size_t length = strlen(word);

    while (*list) {
        list += strspn(list, " \t,");
        size_t here = strcspn(list, " \t,;");
        if (here == length && !strncasecmp(list, word, length))
            return true;
        list += here;
        list += strcspn(list, ",");
    }
    return false;
}

/* "METHOD /target HTTP/1.x", cut into the head in place. */
static int request_line(char *line, struct http_head *head, const char **ret_why)
{
    char *target = strchr(line, ' '), *version = target ? strchr(target + 1, ' ') : NULL;

    *ret_why = "the request line is not METHOD /path HTTP/1.1";
    if (!version || strchr(version + 1, ' '))
        return 400;
    *target++ = '\0';
    *version++ = '\0';
    if (!is_token(line) || *target != '/')
        return 400;
    if (strncmp(version, "HTTP/", 5))
        return 400;
    *ret_why = "only HTTP/1.0 and HTTP/1.1 are spoken here";
    if (strcmp(version, "HTTP/1.1") && strcmp(version, "HTTP/1.0"))
        return 505;
    head->method = line;
    head->target = target;
    head->minor = version[7] - '0';
    head->keep_alive = head->minor == 1;
    return 0;
}

static int length_field(const char *value, struct http_head *head, const char **ret_why)
{
    uint64_t length = 0;

    *ret_why = "Content-Length is not one plain number";
    if (!*value)
        return 400;
    for (; *value; value++) {
        if (!isdigit((unsigned char)*value) || length > UINT64_MAX / 16u)
            return 400;
        length = length * 10u + (uint64_t)(*value - '0');
    }
    if (head->has_length && head->length != length)
        return 400;
    head->has_length = true;
    head->length = length;
    return 0;
}

static int header_field(char *line, struct http_head *head, const char **ret_why)
{
    char *value = strchr(line, ':');

    *ret_why = "a header line is not 'Name: value'";
    if (!value)
        return 400;
    *value++ = '\0';
    if (!is_token(line)) /* also catches folded lines and a space before the colon */
        return 400;
    value += strspn(value, " \t");
    size_t size = strlen(value);
    while (size && (value[size - 1] == ' ' || value[size - 1] == '\t'))
        value[--size] = '\0';
    for (const char *at = value; *at; at++)
        if (((unsigned char)*at < 0x20 && *at != '\t') || *at == 0x7f)
            return 400;
    *ret_why = "too many header fields";
    if (head->count == HTTP_FIELDS_MAX)
        return 431;
    head->field[head->count++] = (struct http_field){line, value};
    if (!strcasecmp(line, "content-length"))
        return length_field(value, head, ret_why);
    if (!strcasecmp(line, "transfer-encoding")) {
        *ret_why = "the only Transfer-Encoding understood here is chunked";
        if (strcasecmp(value, "chunked") || head->chunked)
            return 501;
        head->chunked = true;
    } else if (!strcasecmp(line, "connection")) {
        if (list_has(value, "close"))
            head->keep_alive = false;
        else if (head->minor == 0 && list_has(value, "keep-alive"))
            head->keep_alive = true;
    } else if (!strcasecmp(line, "expect")) {
        head->expect_continue = !strcasecmp(value, "100-continue");
    }
    return 0;
}

int http_head_parse(const char *data, size_t size, struct http_head **ret_head, const char **ret_why)
{
    struct http_head *head;
    int status = 400;

    *ret_why = "the request head holds a NUL byte";
    if (memchr(data, '\0', size))
        return 400;
    head = bytes_alloc(sizeof *head + size + 1);
    memcpy(head->block, data, size);
    char *line = head->block, *end;
    for (bool first = true;; first = false) {
        end = strstr(line, "\r\n");
        *ret_why = "a line of the request head does not end with CR LF";
        status = 400;
        if (!end)
            goto refuse;
        if (end == line && !first)
            break;
        *end = '\0';
        if (strpbrk(line, "\r\n"))
            goto refuse;
        status = first ? request_line(line, head, ret_why) : header_field(line, head, ret_why);
        if (status)
            goto refuse;
        line = end + 2;
    }
    status = 400;
    *ret_why = "Content-Length and Transfer-Encoding exclude each other";
    if (head->chunked && (head->has_length || head->minor == 0))
        goto refuse;
    *ret_why = "HTTP/1.1 needs exactly one Host";
    size_t hosts = 0;
    for (size_t i = 0; i < head->count; i++)
        hosts += !strcasecmp(head->field[i].name, "host");
    if (hosts > 1 || (head->minor == 1 && !hosts))
        goto refuse;
    *ret_head = head;
    return 0;
refuse:
    free(head);
    return status;
}

const char *http_head_get(const struct http_head *head, const char *name)
{
    for (size_t i = 0; i < head->count; i++)
        if (!strcasecmp(head->field[i].name, name))
            return head->field[i].value;
    return NULL;
}

enum { SIZE, EXTENSION, SIZE_LF, DATA, DATA_CR, DATA_LF, TRAILER, TRAILER_LINE, TRAILER_LF, LAST_LF };
#define TRAILER_MAX 8192u /* bytes of extensions and trailers, which are read and dropped */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* One byte outside chunk data; returns as http_chunks_feed does. */
static int chunks_byte(struct http_chunks *chunks, char c)
{
    if ((chunks->state == EXTENSION || chunks->state >= TRAILER) && ++chunks->trailer > TRAILER_MAX)
        return 400;
    switch (chunks->state) {
    case SIZE:
        if (hex_value(c) >= 0 && chunks->digits < 8) {
            chunks->left = chunks->left * 16u + (uint64_t)hex_value(c);
            chunks->digits++;
            return 0;
        }
        if (!chunks->digits || (c != '\r' && c != ';'))
            return 400;
        if (chunks->left + chunks->body.len > HTTP_BODY_MAX)
            return 413;
        chunks->state = c == '\r' ? SIZE_LF : EXTENSION;
        return 0;
    case EXTENSION:
        chunks->state = c == '\r' ? SIZE_LF : EXTENSION;
        return 0;
    case SIZE_LF:
        chunks->state = chunks->left ? DATA : TRAILER;
        return c == '\n' ? 0 : 400;
    case DATA_CR:
        chunks->state = DATA_LF;
        return c == '\r' ? 0 : 400;
    case DATA_LF:
        chunks->state = SIZE;
        chunks->digits = 0;
        return c == '\n' ? 0 : 400;
    case TRAILER:
        chunks->state = c == '\r' ? LAST_LF : TRAILER_LINE;
        return 0;
    case TRAILER_LINE:
        chunks->state = c == '\r' ? TRAILER_LF : TRAILER_LINE;
        return 0;
    case TRAILER_LF:
        chunks->state = TRAILER;
        return c == '\n' ? 0 : 400;
    default:
        return c == '\n' ? 1 : 400; /* LAST_LF */
    }
}

int http_chunks_feed(struct http_chunks *chunks, const char *data, size_t size, size_t *ret_used)
{
    size_t used = 0;
    int verdict = 0;

    while (!verdict && used < size) {
        if (chunks->state == DATA) {
            size_t take = size - used < chunks->left ? size - used : (size_t)chunks->left;
            bytes_put(&chunks->body, data + used, take);
            used += take;
            chunks->left -= take;
            if (!chunks->left)
                chunks->state = DATA_CR;
            continue;
        }
        verdict = chunks_byte(chunks, data[used++]);
    }
    *ret_used = used;
    return verdict;
}

char *http_query_get(const char *target, const char *name)
{
    size_t length = strlen(name);
    const char *at = strchr(target, '?');

    while (at && (strncmp(at + 1, name, length) || at[1 + length] != '='))
        at = strchr(at + 1, '&');
    if (!at)
        return NULL;
    at += 2 + length;
    size_t size = strcspn(at, "&#");
    char *value = bytes_alloc(size + 1), *out = value;
    for (size_t i = 0; i < size; i++) {
        if (at[i] != '%') {
            *out++ = at[i] == '+' ? ' ' : at[i];
            continue;
        }
        int high = i + 2 < size ? hex_value(at[i + 1]) : -1, low = high >= 0 ? hex_value(at[i + 2]) : -1;
        if (low < 0 || (high == 0 && low == 0)) {
            free(value);
            return NULL;
        }
        *out++ = (char)(high * 16 + low);
        i += 2;
    }
    return value;
}
