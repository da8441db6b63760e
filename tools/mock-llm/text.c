#include "text.h"

#include <stdlib.h>
#include <string.h>

#include "model_spec.h"

#define MENTION_CHARS 60u /* of the prompt, in the demo answer */

/* Pieces of the random texts.  Each is whole characters, so tokens never break one. */
static const char *const ascii_pieces[] = {" stream", " token", " umbrella", " a", " of", " many",  " clients", " hears", " one",
                                           " answer", " at",    " once",     ".",  ",",   " river", " wind",    " light"};
static const char *const cjk_pieces[] = {"春", "江", "潮", "水", "连", "海", "平", "上", "明", "月",
                                         "共", "生", "滟", "随", "波", "千", "万", "里", "何", "处",
                                         "无", "，", "。", "风", "雨", "山", "花", "鸟", "云", "龍"};
static const char *const emoji_pieces[] = {"😀", "🚀", "🌈", "☂️", "🎉", "👩‍💻", "🇨🇳", "🐉", "🍵", "👍🏽", "🧪", "🌊"};
static const char *const mixed_pieces[] = {
    " plain", " words", "你好",      "世界", "😀",    "👩‍💻", "\"",     "\\",   "\n",   "\r\n",
    "\t",     " error", "success: ", "{",    "}",    "[DONE]",      "data: ", "é",    "ß",    "\xe2\x80\xa8",
    "\x7f",   "</b>",   "\\u0041",   "'",    "\n\n", ":",           "𝄞",      "\x01", "null", "%s"};
#define COUNT(array) (uint32_t)(sizeof(array) / sizeof((array)[0]))

/* The demo answer around the mention of the prompt: about 60 word-like tokens with it. */
static const char demo_open[] = "You said “";
static const char demo_close[] =
    "”. 好的，我来回答。 This is a demo answer: no model is thinking here, but every word travels "
    "the whole way, token by token, and the same text reaches every listener at the same "
    "moment ☂️. 一个回答，许多听众。 Close a window, or open a second one, and watch it go on 🎉.";
static const char demo_silence[] = "nothing at all";

size_t text_char(const char *data, size_t left)
{
    unsigned char lead = (unsigned char)data[0];
    size_t size = lead < 0xc2 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 1;

    return size < left ? size : left;
}

bool text_is_utf8(const char *data, size_t size)
{
    for (size_t i = 0; i < size;) {
        unsigned char lead = (unsigned char)data[i];
        if (lead < 0x80) {
            i++;
            continue;
        }
        size_t need = text_char(data + i, 4);
        if (need == 1 || need > size - i)
            return false;
        for (size_t k = 1; k < need; k++)
            if (((unsigned char)data[i + k] & 0xc0) != 0x80)
                return false;
        unsigned char second = (unsigned char)data[i + 1];
        if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) || (lead == 0xf0 && second < 0x90) ||
            (lead == 0xf4 && second > 0x8f))
            return false;
        i += need;
    }
    return true;
}

/* The demo answer for prompt; the caller owns it. */
static char *demo_text(const char *prompt, size_t *ret_length)
{
    struct bytes text = {0};
    size_t left = strlen(prompt), at = 0;

    bytes_puts(&text, demo_open);
    if (!left)
        bytes_puts(&text, demo_silence);
    for (unsigned chars = 0; at < left; chars++) {
        if (chars == MENTION_CHARS) {
            bytes_puts(&text, "…");
            break;
        }
        size_t size = text_char(prompt + at, left - at);
        if (size == 1 && (unsigned char)prompt[at] < 0x20) /* a line break inside the quotation would look torn */
            bytes_puts(&text, " ");
        else
            bytes_put(&text, prompt + at, size);
        at += size;
    }
    bytes_puts(&text, demo_close);
    *ret_length = text.len;
    return bytes_string(&text);
}

void text_open(struct text_source *source, const struct model_spec *spec, const char *prompt, const char *messages_json,
               uint64_t max_tokens)
{
    *source = (struct text_source){.kind = spec->text, .bytes = spec->bytes, .prng = {spec->seed}, .limit = spec->tokens};
    switch (spec->text) {
    case TEXT_DEMO:
        source->text = demo_text(prompt, &source->length);
        source->repeat = spec->tokens != MODEL_UNSET;
        break;
    case TEXT_ECHO:
    case TEXT_MESSAGES:
    case TEXT_REQUEST:
        if (spec->text != TEXT_ECHO)
            prompt = messages_json ? messages_json : "[]";
        source->length = strlen(prompt);
        source->text = bytes_copy(prompt, source->length);
        break;
    case TEXT_EMPTY:
        source->limit = 0;
        break;
    default:
        if (source->limit == MODEL_UNSET)
            source->limit = TEXT_TOKENS_DEFAULT;
        break;
    }
    if (max_tokens < source->limit) {
        source->limit = max_tokens;
        source->limited = true;
    }
}

static bool is_word(char c)
{
    return (unsigned char)c < 0x80 && c != ' ';
}

/* A word with the space before it, or up to two wide characters, or with bytes=N as many characters as fit. */
static void next_of_text(struct text_source *source, struct bytes *out)
{
    const char *text = source->text + source->at;
    size_t left = source->length - source->at, size = 0;

    if (source->bytes) {
        size = text_char(text, left);
        while (size < left && size + text_char(text + size, left - size) <= source->bytes)
            size += text_char(text + size, left - size);
    } else {
        while (size < left && text[size] == ' ')
            size++;
        if (size < left && is_word(text[size])) {
            while (size < left && is_word(text[size]))
                size++;
        } else {
            for (unsigned wide = 0; wide < 2 && size < left && (unsigned char)text[size] >= 0x80; wide++)
                size += text_char(text + size, left - size);
        }
    }
    bytes_put(out, text, size);
    source->at += size;
}

/* Random pieces: natural tokens are one piece (CJK up to three), sized ones as many as fit, at least one. */
static void next_of_pieces(struct text_source *source, struct bytes *out, const char *const *pieces, uint32_t count)
{
    size_t start = out->len;
    uint32_t wanted = source->kind == TEXT_CJK ? 1 + prng_below(&source->prng, 3) : 1;

    for (;;) {
        const char *piece = pieces[prng_below(&source->prng, count)];
        size_t have = out->len - start;
        if (source->bytes && have && have + strlen(piece) > source->bytes)
            break;
        if (source->index == 0 && !have && *piece == ' ')
            piece++;
        bytes_puts(out, piece);
        if (!source->bytes && --wanted == 0)
            break;
        if (source->bytes && out->len - start >= source->bytes)
            break;
    }
    if (source->kind == TEXT_ASCII && source->bytes) { /* exact, for benchmarks */
        size_t have = out->len - start;
        if (have < source->bytes)
            bytes_fill(out, '-', source->bytes - have);
        else
            out->len = start + source->bytes;
    }
}

bool text_next(struct text_source *source, struct bytes *out)
{
    size_t start = out->len;

    if (source->rest) {
        bytes_puts(out, source->rest);
        free(source->rest);
        source->rest = NULL;
        return true;
    }
    if (source->index >= source->limit)
        return false;
    switch (source->kind) {
    case TEXT_DEMO:
    case TEXT_ECHO:
    case TEXT_MESSAGES:
    case TEXT_REQUEST:
        if (source->at == source->length) {
            if (!source->repeat)
                return false;
            source->at = 0;
            bytes_puts(out, "\n");
        }
        next_of_text(source, out);
        break;
    case TEXT_ASCII:
        next_of_pieces(source, out, ascii_pieces, COUNT(ascii_pieces));
        break;
    case TEXT_CJK:
        next_of_pieces(source, out, cjk_pieces, COUNT(cjk_pieces));
        break;
    case TEXT_EMOJI:
        next_of_pieces(source, out, emoji_pieces, COUNT(emoji_pieces));
        break;
    case TEXT_MIXED:
        next_of_pieces(source, out, mixed_pieces, COUNT(mixed_pieces));
        break;
    case TEXT_COUNT:
        bytes_printf(out, "%st%llu", source->index ? " " : "", (unsigned long long)source->index);
        if (out->len - start < source->bytes)
            bytes_fill(out, '.', source->bytes - (out->len - start));
        break;
    default:
        return false;
    }
    source->index++;
    return true;
}

void text_continue(struct text_source *source, const char *begun, size_t overlap)
{
    size_t size = strlen(begun), from = overlap < size ? size - overlap : 0, at = 0;
    struct text_source probe = *source;
    struct bytes said = {0};

    while (at < size && text_next(&probe, &said))
        at = said.len;
    if (said.len < size || memcmp(said.data, begun, size)) {
        bytes_free(&said);
        return;
    }
    while (from < size && ((unsigned char)begun[from] & 0xc0) == 0x80)
        from++;
    for (size_t before = 0; before < from; before = said.len) { /* again, up to the token that holds that place */
        struct text_source here = *source;
        said.len = before;
        text_next(&here, &said);
        *source = here;
        if (said.len > from) {
            source->rest = bytes_copy(said.data + from, said.len - from);
            break;
        }
    }
    bytes_free(&said);
}

bool text_cut_short(const struct text_source *source)
{
    bool whole = source->text && !source->repeat && source->at == source->length;

    return source->limited && source->index >= source->limit && !whole;
}

bool text_all(struct text_source *source, struct bytes *out, size_t max, uint64_t *ret_tokens)
{
    uint64_t tokens = 0;

    while (text_next(source, out)) {
        tokens++;
        if (out->len > max)
            return false;
    }
    *ret_tokens = tokens;
    return true;
}

void text_close(struct text_source *source)
{
    free(source->text);
    free(source->rest);
    source->text = source->rest = NULL;
}
