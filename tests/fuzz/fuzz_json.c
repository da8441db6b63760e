/* Fuzz: what the strict reader accepts prints to JSON that reads back as the same print, loose accepts what strict accepts, both
 * escapes of out.h read back as the same text, and joining characters is blind to cuts. */
#include <umbel/json.h>

#include "core/json/json_read.h"
#include "core/parse/utf8.h"
#include "tests/fuzz/pieces.h"

static void print(const char *text, size_t size, bool loose, struct umbel_out *out)
{
    struct umbel_json *value = NULL;

    umbel_out_reset(out);
    REQUIRE(json_read(text, size, loose, &value, NULL) == 0);
    umbel_json_print(value, out);
    REQUIRE(out->failed == 0);
    umbel_json_free(value);
}

static void check_json(const char *text, size_t size)
{
    char why[64];
    struct umbel_json *value = umbel_json_parse(text, size, why, sizeof why), *loose = NULL;
    struct umbel_out first = {0}, again = {0};

    if (value) {
        print(text, size, false, &first);
        print(first.data, first.size, false, &again);
        REQUIRE(first.size == again.size && memcmp(first.data, again.data, first.size) == 0);
        print(first.data, first.size, true, &again);
        REQUIRE(first.size == again.size && memcmp(first.data, again.data, first.size) == 0);
        REQUIRE(json_read(text, size, true, &loose, NULL) == 0);
        REQUIRE(utf8_whole(first.data, first.size) == first.size);
    } else {
        REQUIRE(why[0] != '\0');
        if (json_read(text, size, true, &loose, NULL) == 0) {
            umbel_json_print(loose, &first);
            REQUIRE(utf8_whole(first.data, first.size) == first.size);
        }
    }
    umbel_json_free(loose);
    umbel_json_free(value);
    umbel_out_free(&first);
    umbel_out_free(&again);
}

/* Text escaped both ways and read back; zero bytes are left out, the reader refuses them. */
static void check_escapes(const char *text, size_t size)
{
    struct umbel_out valid = {0}, json = {0};

    umbel_out_put(&valid, "", 0);
    utf8_replace(text, size, &valid);
    for (int ascii = 0; ascii < 2 && valid.size > 0 && !memchr(valid.data, 0, valid.size); ascii++) {
        struct umbel_json *value = NULL;
        size_t back_size = 0;
        umbel_out_reset(&json);
        (ascii ? umbel_out_json_ascii : umbel_out_json)(&json, text, size);
        REQUIRE(json_read(json.data, json.size, false, &value, NULL) == 0);
        const char *back = umbel_json_text(value, &back_size);
        REQUIRE(back_size == valid.size && memcmp(back, valid.data, back_size) == 0);
        umbel_json_free(value);
    }
    umbel_out_free(&valid);
    umbel_out_free(&json);
}

static struct umbel_out join(const uint8_t *data, size_t size, uint64_t seed)
{
    struct pieces pieces = pieces_of(data, size, seed);
    struct umbel_out all = {0}, scratch = {0};
    struct utf8_carry carry = {0};
    struct span text;
    const char *piece;
    size_t piece_size;

    while ((piece = pieces_next(&pieces, &piece_size))) {
        REQUIRE(utf8_join(&carry, piece, piece_size, &scratch, &text) == 0);
        REQUIRE(utf8_whole(text.data, text.size) == text.size);
        umbel_out_put(&all, text.data, text.size);
    }
    pieces_end(&pieces);
    text = utf8_flush(&carry);
    umbel_out_put(&all, text.data, text.size);
    umbel_out_free(&scratch);
    return all;
}

static void check_join(const uint8_t *data, size_t size)
{
    struct umbel_out whole = join(data, size, 0), cut = join(data, size, 1);

    REQUIRE(whole.size == cut.size && (whole.size == 0 || memcmp(whole.data, cut.data, cut.size) == 0));
    umbel_out_free(&whole);
    umbel_out_free(&cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_json((const char *)data, size);
    if (size > 0)
        check_escapes((const char *)data, size);
    check_join(data, size);
    return 0;
}
