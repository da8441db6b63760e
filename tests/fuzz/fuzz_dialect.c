/* Fuzz: every dialect is blind to cuts and keeps the rules of event.h and dialect.h.  Input: byte 0 chooses the cap and the quirks (modulo 8)
 * and the dialect (the rest of it, modulo 5). */
#include "tests/fuzz/event_log.h"
#include "tests/fuzz/pieces.h"

static void choose_quirks(uint8_t choice, struct dialect_quirks *quirks)
{
    *quirks = dialect_quirks_default;
    if (choice % 8 == 1)
        memset(quirks, 0, sizeof *quirks);
    if (choice % 8 == 3)
        quirks->incremental_output = quirks->text_events = true;
}

static struct event_log parse(const uint8_t *data, size_t size, uint8_t choice, uint64_t seed)
{
    static const char *const names[] = {"openai", "anthropic", "ollama", "gemini", "dashscope"};
    struct pieces pieces = pieces_of(data, size, seed);
    struct dialect_quirks quirks;
    struct event_log log = {0};
    struct dialect_reader *r = NULL;
    uint32_t verdict = 0;
    const char *piece;
    size_t piece_size;
    int result = 0;

    choose_quirks(choice, &quirks);
    REQUIRE(dialect_create(names[choice / 8 % 5], &quirks, choice % 8 == 2 ? 256 : 0, event_log_take, &log, &r) == 0);
    while (result == 0 && (piece = pieces_next(&pieces, &piece_size)))
        result = dialect_feed(r, piece, piece_size, NULL);
    pieces_end(&pieces);
    REQUIRE(dialect_end(r, choice % 2 == 0, &verdict, NULL) == 0);
    REQUIRE(verdict == UMBEL_VERDICT_COMPLETE || verdict == UMBEL_VERDICT_TRUNCATED || verdict == UMBEL_VERDICT_FAILED);
    REQUIRE((verdict != UMBEL_VERDICT_COMPLETE) == (log.errors == 1) && log.errors + log.finishes <= 1 && log.usages <= 1);
    REQUIRE(dialect_counts(r)->reason[0] != '\0');
    event_log_end(&log, r, result, verdict);
    REQUIRE(!log.broken && log.out.failed == 0);
    dialect_free(r);
    return log;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t choice = size > 0 ? data[0] : 0;
    struct event_log whole, cut;

    if (size > 0) {
        data++;
        size--;
    }
    whole = parse(data, size, choice, 0);
    for (uint64_t seed = 1; seed <= 2; seed++) {
        cut = parse(data, size, choice, seed);
        REQUIRE(whole.out.size == cut.out.size && memcmp(whole.out.data, cut.out.data, whole.out.size) == 0);
        umbel_out_free(&cut.out);
    }
    umbel_out_free(&whole.out);
    return 0;
}
