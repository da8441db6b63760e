/* http-chunked-wxapp/wxapp_mini.c - the frames that the published mini-program page understands, byte exact.
 *
 * The page looks at the raw bytes of one callback: a frame with "error" in it is an error, one is cut wherever "success: "
 * stands, and only then is JSON read.  So these words must not be spelled by content, neither by its letters nor by what escaping
 * makes of them: U+000E before "rror" becomes \u000error.  Escapes take care of each position on its own: in "successuccess" two
 * words share a letter. */
#include "wxapp.h"

#include <stdio.h>
#include <string.h>

#define ESCAPE_MAX 12u /* a pair of \uxxxx */

struct writer {
    struct umbel_out *out;
    size_t begin;     /* of the frame at hand */
    bool after_hex_e; /* the last thing written was an escape that ends in e */
};

static void open_frame(struct writer *writer)
{
    writer->begin = umbel_http_frame_begin(writer->out);
    umbel_out_text(writer->out, "success: {\"content\":\"");
    writer->after_hex_e = false;
}

static void close_frame(struct writer *writer)
{
    umbel_out_text(writer->out, "\"}\r\n");
    umbel_http_frame_end(writer->out, writer->begin);
}

static size_t put_unit(char *to, uint32_t unit)
{
    static const char digits[] = "0123456789abcdef";

    memcpy(to, "\\u", 2);
    for (int i = 0; i < 4; i++)
        to[2 + i] = digits[unit >> (12 - 4 * i) & 15];
    return 6;
}

/* The code point at p and its size; what is not UTF-8 is U+FFFD, one byte. */
static uint32_t decode(const unsigned char *p, size_t size, size_t *ret_size)
{
    size_t need = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    uint32_t point = need == 1 ? p[0] : p[0] & (0xffu >> (need + 1));

    *ret_size = 1;
    if ((p[0] >= 0x80 && p[0] < 0xc2) || p[0] > 0xf4 || need > size)
        return 0xfffd;
    for (size_t i = 1; i < need; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0xfffd;
        point = point << 6 | (p[i] & 0x3f);
    }
    *ret_size = need;
    if ((need == 3 && point < 0x800) || (need == 4 && point < 0x10000))
        return 0xfffd; /* a longer form of a letter, which would pass for something else */
    return point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff) ? 0xfffd : point;
}

static bool comes(const char *text, size_t size, const char *word)
{
    size_t length = strlen(word);

    return size >= length && memcmp(text, word, length) == 0;
}

/* Whether the letter at text would help to spell a word that the page searches for. */
static bool is_dangerous(const struct writer *writer, const char *text, size_t size)
{
    switch (*text) {
    case 'e':
        return comes(text + 1, size - 1, "rror");
    case 's':
        return comes(text + 1, size - 1, "uccess");
    case 'r':
        return writer->after_hex_e && comes(text + 1, size - 1, "ror");
    case '<': /* the answer is served as HTML: nothing in it may be a tag */
        return true;
    default:
        return false;
    }
}

/* One character, escaped; to has room for ESCAPE_MAX bytes. */
static size_t escape(const struct writer *writer, const char *text, size_t size, char *to, size_t *ret_used)
{
    static const char short_names[] = "bfnrt", short_codes[] = "\b\f\n\r\t";
    uint32_t point = decode((const unsigned char *)text, size, ret_used);
    const char *found = point && point < 0x20 ? strchr(short_codes, (int)point) : NULL;

    if (point >= 0x10000) {
        put_unit(to, 0xd7c0u + (point >> 10)); /* 0xd800 - (0x10000 >> 10) */
        return 6 + put_unit(to + 6, 0xdc00u | (point & 0x3ff));
    }
    if (found || point == '"' || point == '\\') {
        to[0] = '\\';
        to[1] = found ? short_names[found - short_codes] : (char)point;
        return 2;
    }
    if (point < 0x20 || point > 0x7e || is_dangerous(writer, text, size))
        return put_unit(to, point);
    to[0] = (char)point;
    return 1;
}

/* How many of the first most bytes go out as they are.  It stops sooner than it must: escape() looks closely. */
static size_t plain(const struct writer *writer, const char *text, size_t size, size_t most)
{
    size_t i = 0;

    if (size && *text == 'r' && writer->after_hex_e)
        return 0;
    for (; i < size && i < most; i++) {
        unsigned char c = (unsigned char)text[i], next = i + 1 < size ? (unsigned char)text[i + 1] : 0;
        if (c < 0x20 || c > 0x7e || c == '"' || c == '\\' || c == '<' || (c == 'e' && next == 'r') || (c == 's' && next == 'u'))
            break;
    }
    return i;
}

/* Bytes of text that the frame still takes, its end kept free. */
static size_t frame_room(const struct writer *writer)
{
    size_t used = writer->out->size - writer->begin + 4;

    return used < WXAPP_FRAME_MAX ? WXAPP_FRAME_MAX - used : 0;
}

/* Escapes what comes, and what follows of other alphabets, as far as room goes.  Returns the bytes of text that were taken. */
static size_t put_escaped(struct writer *writer, const char *text, size_t size, size_t room)
{
    char bytes[240];
    size_t taken = 0, count = 0, used;

    do {
        size_t length = escape(writer, text + taken, size - taken, bytes + count, &used);
        if (length > room - count)
            break;
        taken += used;
        count += length;
        writer->after_hex_e = length >= 6 && bytes[count - 1] == 'e';
    } while (taken < size && (text[taken] & 0x80) && count + ESCAPE_MAX <= sizeof bytes);
    umbel_out_put(writer->out, bytes, count);
    return taken;
}

static void put_text(struct writer *writer, const char *text, size_t size, bool split)
{
    while (size && !writer->out->failed) {
        size_t room = split ? frame_room(writer) : SIZE_MAX;
        size_t taken = plain(writer, text, size, room);
        if (taken) {
            umbel_out_put(writer->out, text, taken);
            writer->after_hex_e = false;
        } else {
            taken = put_escaped(writer, text, size, room);
        }
        if (!taken) {
            close_frame(writer);
            open_frame(writer);
        }
        text += taken;
        size -= taken;
    }
}

void wxapp_mini_text(const char *text, size_t size, struct umbel_out *out)
{
    struct writer writer = {.out = out};

    if (size == 0)
        return;
    open_frame(&writer);
    put_text(&writer, text, size, true);
    close_frame(&writer);
}

static void put_error(const struct wxapp *wxapp, int code, const char *words, struct umbel_out *out)
{
    struct writer writer = {.out = out};

    umbel_http_gap(out, wxapp->gap_ms);
    writer.begin = umbel_http_frame_begin(out);
    umbel_out_printf(out, "event: error\ndata: {\"code\":%d,\"msg\":\"", code);
    put_text(&writer, words, strlen(words), false);
    close_frame(&writer);
    umbel_http_gap(out, wxapp->end_gap_ms);
}

void wxapp_mini_error(const struct wxapp *wxapp, uint32_t error, const char *what, struct umbel_out *out)
{
    char room[320];

    put_error(wxapp, wxapp_code(error), wxapp_words(error, what, room, sizeof room), out);
}

void wxapp_mini_renewed(const struct wxapp *wxapp, struct umbel_out *out)
{
    put_error(wxapp, wxapp_code(UMBEL_ERROR_INTERNAL), "The service is renewed, try again.", out);
}

static void put_frame(struct umbel_out *out, const char *bytes)
{
    size_t begin = umbel_http_frame_begin(out);

    umbel_out_text(out, bytes);
    umbel_http_frame_end(out, begin);
}

void wxapp_mini_terminal(const struct wxapp *wxapp, struct umbel_out *out)
{
    put_frame(out, WXAPP_MINI_KEEPALIVE); /* a guard: where a proxy joins the last text with what follows, the text survives */
    for (int i = 0; i < 1 + wxapp->second_terminal; i++) {
        umbel_http_gap(out, wxapp->gap_ms);
        put_frame(out, "0\r\n\r\n");
    }
    umbel_http_gap(out, wxapp->end_gap_ms);
}

void wxapp_mini_end(const struct wxapp *wxapp, const struct umbel_http_ending *ending, struct umbel_out *out)
{
    bool failed = ending->verdict == UMBEL_VERDICT_FAILED || ending->verdict == UMBEL_VERDICT_TRUNCATED;
    uint32_t error = ending->error ? ending->error : UMBEL_ERROR_UPSTREAM;
    char room[320], note[400];

    if (failed && (ending->position == 0 || wxapp->error_after_text)) {
        wxapp_mini_error(wxapp, error, wxapp_ending_text(ending), out);
        return;
    }
    if (failed) { /* an error frame would destroy the text that is shown */
        snprintf(note, sizeof note, "\n%s", wxapp_words(error, wxapp_ending_text(ending), room, sizeof room));
        wxapp_mini_text(note, strlen(note), out);
    }
    wxapp_mini_terminal(wxapp, out);
}

void wxapp_mini_deadline(const struct wxapp *wxapp, const struct umbel_stream *stream, uint64_t position, struct umbel_out *out)
{
    const char *note = wxapp->host->config_text(wxapp->config, "max_stream_note");

    if (stream && *note) {
        if (position)
            wxapp_mini_text("\n", 1, out);
        wxapp_mini_text(note, strlen(note), out);
    }
    wxapp_mini_terminal(wxapp, out);
}
