/* Fuzz: the admin socket, as the core reads it: bytes to lines, lines to calls.  Lines are blind to cuts; a call is refused with words, or has a
 * known command and as many arguments as it takes. */
#include <errno.h>

#include "core/admin/admin_call.h"
#include "core/admin/admin_line.h"
#include "tests/fuzz/pieces.h"

struct seen {
    struct umbel_out lines;
    bool calls;
};

static void check_call(const char *line, size_t size)
{
    struct admin_call call = {0};
    struct why why = {""};
    char hint[WHY_MAX] = "";
    int r = admin_call_read(line, size, &call, &why, hint);

    REQUIRE(r == 0 || ((r == -EBADMSG || r == -ENOENT || r == -EINVAL) && why.text[0]));
    REQUIRE(strlen(hint) < sizeof hint);
    if (r < 0)
        return;
    size_t words = 0;
    while (admin_argument(call.arguments, words))
        words++;
    REQUIRE(call.command && call.command->role != ADMIN_LOCAL && words >= call.command->min && words <= call.command->max);
    umbel_json_free(call.json);
}

static int each(void *owner, const char *line, size_t size)
{
    struct seen *seen = owner;

    REQUIRE(size > 0 && !memchr(line, '\n', size));
    umbel_out_put(&seen->lines, line, size);
    umbel_out_put(&seen->lines, "\n", 1);
    if (seen->calls)
        check_call(line, size);
    return 0;
}

static int feed(const uint8_t *data, size_t size, uint64_t seed, size_t max, struct seen *seen)
{
    struct pieces pieces = pieces_of(data, size, seed);
    struct admin_line line = {.max = max};
    const char *piece;
    size_t piece_size;
    int r = 0;

    while (r == 0 && (piece = pieces_next(&pieces, &piece_size)))
        r = admin_line_feed(&line, piece, piece_size, each, seen);
    pieces_end(&pieces);
    admin_line_free(&line);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t limits[] = {0, 16};

    for (size_t i = 0; i < 2; i++) {
        struct seen whole = {.calls = i == 0}, cut = {0};
        int r = feed(data, size, 0, limits[i], &whole);
        REQUIRE(r == 0 || r == -EMSGSIZE);
        REQUIRE(feed(data, size, 1, limits[i], &cut) == r);
        REQUIRE(whole.lines.size == cut.lines.size);
        REQUIRE(whole.lines.size == 0 || memcmp(whole.lines.data, cut.lines.data, whole.lines.size) == 0);
        umbel_out_free(&whole.lines);
        umbel_out_free(&cut.lines);
    }
    return 0;
}
