/* Fuzz: the control channel's reader.  However the bytes of a hostile host are cut, the same frames come out, with the same fields, and
 * the channel breaks at the same place; no getter leaves its frame's bounds; and what was read can be written again as it was.
 * The first input byte says which getters look at which frame: both directions' bodies are only rows of these three getters. */
#include "core/control/control.c" /* itself: what it keeps between pieces is looked at, too */
#include "tests/fuzz/pieces.h"

#define FRAMES_MAX 4096

/* Everything that was seen, as one hash: order and content matter. */
struct seen {
    uint64_t hash, frames;
    uint8_t recipe;
    int stop; /* what the handler answers to a frame of type 0xbad */
};

static void note(struct seen *seen, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        seen->hash = (seen->hash ^ ((const unsigned char *)bytes)[i]) * UINT64_C(0x100000001b3);
}

static void note_u64(struct seen *seen, uint64_t number)
{
    note(seen, &number, sizeof number);
}

static void note_text(struct seen *seen, struct control_in *in, size_t max)
{
    bool failed = in->failed;
    struct span text = control_get_text(in, max);

    REQUIRE(text.size <= max);
    REQUIRE(!failed || (in->failed && text.size == 0)); /* after a failure all is empty, for ever */
    note_u64(seen, text.size);
    note(seen, text.data, text.size);
}

static void note_string(struct seen *seen, struct control_in *in, size_t room)
{
    char text[CONTROL_TEXT_MAX + 1];

    const char *before = in->at;

    memset(text, 'x', sizeof text);
    control_get_string(in, text, room);
    REQUIRE(strnlen(text, room) < room);
    REQUIRE(!in->failed || text[0] == '\0');
    REQUIRE(in->failed || before + sizeof(uint32_t) + strlen(text) == in->at); /* no zero byte hides what follows it */
    note(seen, text, strlen(text) + 1);
}

/* One body by the getters that recipe names, two bits each, until the body is done or failed, or the recipe has been used up twice. */
static int read_frame(void *owner, uint32_t type, uint64_t tag, struct control_in *in)
{
    static const size_t rooms[] = {1, 2, 64, CONTROL_TEXT_MAX + 1};
    struct seen *seen = owner;
    const char *begin = in->at, *end = in->end;
    uint32_t recipe = (uint32_t)seen->recipe << 8 | (type & 0xff);

    REQUIRE((size_t)(end - begin) <= CONTROL_BODY_MAX);
    note_u64(seen, type);
    note_u64(seen, tag);
    for (int i = 0; i < 16 && !control_done(in); i++, recipe = recipe >> 2 | recipe << 14) {
        if ((recipe & 3) == 0)
            note_u64(seen, control_get(in));
        else if ((recipe & 3) == 1)
            note_text(seen, in, (recipe & 4) ? CONTROL_BODY_MAX : CONTROL_VALUE_MAX);
        else
            note_string(seen, in, rooms[recipe >> 2 & 3]);
        REQUIRE(in->at >= begin && in->at <= end && in->end == end);
    }
    REQUIRE(!control_done(in) || !in->failed);
    note_u64(seen, control_done(in));
    if (++seen->frames == FRAMES_MAX)
        return -1;
    return type == 0xbad ? seen->stop : 0;
}

static int feed(const uint8_t *data, size_t size, uint64_t seed, struct seen *seen)
{
    struct pieces pieces = pieces_of(data, size, seed);
    struct control_parser parser = {0};
    const char *piece;
    size_t piece_size;
    int r = 0;

    while (r == 0 && (piece = pieces_next(&pieces, &piece_size)))
        r = control_feed(&parser, piece, piece_size, read_frame, seen);
    pieces_end(&pieces);
    REQUIRE(parser.size <= parser.capacity && parser.capacity <= 2 * (size_t)(CONTROL_BODY_MAX + CONTROL_HEADER));
    control_parser_free(&parser);
    return r;
}

/* Where the channel must break, found in another way: a header that is too large or not one of ours, before any frame that stops it. */
static int expect(const uint8_t *data, size_t size, int stop)
{
    for (size_t at = 0, frames = 1; size - at >= CONTROL_HEADER; frames++) {
        uint64_t body = (uint64_t)data[at] | (uint64_t)data[at + 1] << 8 | (uint64_t)data[at + 2] << 16 | (uint64_t)data[at + 3] << 24;

        if (body > CONTROL_BODY_MAX || data[at + 6] != 0 || data[at + 7] != 0)
            return -EPROTO;
        if (body > size - at - CONTROL_HEADER)
            return 0;
        if (frames == FRAMES_MAX)
            return -1;
        if (data[at + 4] == 0xad && data[at + 5] == 0x0b && stop)
            return -stop;
        at += CONTROL_HEADER + (size_t)body;
    }
    return 0;
}

/* The writer's side: the input as a number, a text and another text comes back as it went in, in one frame. */
struct round_trip {
    const uint8_t *data;
    size_t size;
    uint32_t frames;
};

static int read_back(void *owner, uint32_t type, uint64_t tag, struct control_in *in)
{
    struct round_trip *trip = owner;

    REQUIRE(type == CONTROL_ASK && tag == trip->size);
    REQUIRE(control_get(in) == ~(uint64_t)trip->size);
    struct span whole = control_get_text(in, CONTROL_BODY_MAX), half = control_get_text(in, CONTROL_BODY_MAX);
    REQUIRE(whole.size == trip->size && memcmp(whole.data, trip->data, whole.size) == 0);
    REQUIRE(half.size == trip->size / 2 && control_done(in));
    trip->frames++;
    return 0;
}

static void check_round_trip(const uint8_t *data, size_t size)
{
    struct round_trip trip = {.data = data, .size = size};
    struct control_out out = {0};

    control_begin(&out, CONTROL_ASK, size);
    control_put(&out, ~(uint64_t)size);
    control_put_text(&out, (const char *)data, size);
    control_put_text(&out, (const char *)data, size / 2);
    REQUIRE(control_end(&out));
    for (uint64_t seed = 0; seed < 3; seed++) {
        struct pieces pieces = pieces_of((const uint8_t *)out.data, out.size, seed);
        struct control_parser parser = {0};
        const char *piece;
        size_t piece_size;
        while ((piece = pieces_next(&pieces, &piece_size)))
            REQUIRE(control_feed(&parser, piece, piece_size, read_back, &trip) == 0);
        pieces_end(&pieces);
        REQUIRE(parser.data == NULL); /* nothing is left over, and no memory is kept */
    }
    REQUIRE(trip.frames == 3);
    control_out_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 1u << 20)
        return 0;
    for (int stop = 0; stop <= 1; stop++) {
        struct seen whole = {.recipe = data[0], .stop = -stop};
        int r = feed(data + 1, size - 1, 0, &whole);
        REQUIRE(r == expect(data + 1, size - 1, stop));
        for (uint64_t seed = 1; seed <= 2; seed++) {
            struct seen cut = {.recipe = data[0], .stop = -stop};
            REQUIRE(feed(data + 1, size - 1, seed, &cut) == r);
            REQUIRE(cut.hash == whole.hash && cut.frames == whole.frames);
        }
    }
    check_round_trip(data, size);
    return 0;
}
