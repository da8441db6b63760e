/* Rows.  A seqlock a row, one writer:
 *   W1 seq + 1 (odd, relaxed), W2 fence release, W3 words (relaxed), W4 seq + 2 (even, release)
 *   W1, W2 pair with the reader's second look: who copied any newer word sees the odd or a later number and tries again
 *   W4 pairs with the reader's first look: who sees the even number sees every word stored before it
 * An odd number that a killed writer left is mended by the next writer (stats_rows_reset); until then readers show the row as it is. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "core/metrics/stats_writer.h"

#define BACKING_STEP 65536u /* bytes of rows asked from the file system at a time */

static _Atomic uint64_t *row_words(struct stats_page *page, uint32_t table, uint32_t row)
{
    const struct stats_table_entry *shape = &page->shape.table[table];

    assert(table < page->shape.header.table_count && row < shape->capacity);
    return (void *)((char *)page->header + shape->rows_at + (size_t)row * shape->row_size);
}

static void section_begin(_Atomic uint64_t *words)
{
    uint64_t seq = atomic_load_explicit(&words[0], memory_order_relaxed);

    atomic_store_explicit(&words[0], seq + 1, memory_order_relaxed); /* W1 */
    atomic_thread_fence(memory_order_release);                       /* W2 */
}

static void section_end(_Atomic uint64_t *words)
{
    uint64_t seq = atomic_load_explicit(&words[0], memory_order_relaxed);

    atomic_store_explicit(&words[0], seq + 1, memory_order_release); /* W4 */
}

static bool in_section(_Atomic uint64_t *words)
{
    return atomic_load_explicit(&words[0], memory_order_relaxed) & 1;
}

static void clear_row(struct stats_page *page, uint32_t table, uint32_t row, uint64_t in_use)
{
    _Atomic uint64_t *words = row_words(page, table, row);
    uint32_t count = page->shape.table[table].row_size / 8;

    if (!in_section(words))
        section_begin(words);
    atomic_store_explicit(&words[1], in_use, memory_order_relaxed); /* W3 */
    for (uint32_t i = STATS_ROW_HEAD / 8; i < count; i++)
        atomic_store_explicit(&words[i], 0, memory_order_relaxed);
    section_end(words);
}

void stats_rows_reset(struct stats_page *page, uint32_t table)
{
    struct stats_table_state *state = &page->table[table];
    uint32_t capacity = page->shape.table[table].capacity;

    state->high = atomic_load_explicit(&page->tables[table].high, memory_order_relaxed);
    if (state->high > capacity)
        state->high = capacity;
    for (uint32_t row = state->high; row-- > 0;) {
        clear_row(page, table, row, 0);
        state->free_rows[state->free_count++] = row; /* the lowest row is taken first again */
    }
}

/* Whether the bytes of the row may be touched: a store into a hole of a full file system would be a SIGBUS. */
static bool back_row(struct stats_page *page, uint32_t table, uint32_t row)
{
    const struct stats_table_entry *shape = &page->shape.table[table];
    struct stats_table_state *state = &page->table[table];
    uint64_t all = (uint64_t)shape->capacity * shape->row_size, need = ((uint64_t)row + 1) * shape->row_size;
    uint64_t step = all - state->backed_bytes < BACKING_STEP ? all - state->backed_bytes : BACKING_STEP;

    if (!page->backs_rows || need <= state->backed_bytes)
        return true;
    if (fallocate(page->fd, 0, (off_t)(shape->rows_at + state->backed_bytes), (off_t)step) == -1) {
        if (errno != EOPNOTSUPP && errno != ENOSYS)
            return false;
        page->backs_rows = false; /* this file system cannot promise; the row is used all the same */
    }
    state->backed_bytes += step;
    return true;
}

uint32_t stats_row_take(struct stats_page *page, uint32_t table)
{
    struct stats_table_state *state;
    uint32_t row;

    assert(table < page->shape.header.table_count);
    state = &page->table[table];
    if (state->free_count > 0) {
        row = state->free_rows[--state->free_count];
    } else {
        if (state->high >= page->shape.table[table].capacity || !back_row(page, table, state->high))
            return UINT32_MAX;
        row = state->high++;
        atomic_store_explicit(&page->tables[table].high, state->high, memory_order_relaxed);
    }
    clear_row(page, table, row, 1);
    return row;
}

void stats_row_release(struct stats_page *page, uint32_t table, uint32_t row)
{
    struct stats_table_state *state = &page->table[table];
    _Atomic uint64_t *words = row_words(page, table, row);

    assert(atomic_load_explicit(&words[1], memory_order_relaxed) == 1);
    clear_row(page, table, row, 0);
    state->free_rows[state->free_count++] = row;
}

void stats_row_begin(struct stats_page *page, uint32_t table, uint32_t row)
{
    _Atomic uint64_t *words = row_words(page, table, row);

    assert(!in_section(words));
    section_begin(words);
}

void stats_row_end(struct stats_page *page, uint32_t table, uint32_t row)
{
    _Atomic uint64_t *words = row_words(page, table, row);

    assert(in_section(words));
    section_end(words);
}

void stats_row_u64(struct stats_page *page, uint32_t table, uint32_t row, uint32_t column, uint64_t value)
{
    const struct stats_column_entry *shape = &page->shape.table[table].column[column];
    _Atomic uint64_t *words = row_words(page, table, row), *word = &words[shape->offset / 8];
    bool joined = in_section(words);

    assert(column < page->shape.table[table].column_count && shape->type != STATS_TEXT);
    if (atomic_load_explicit(word, memory_order_relaxed) == value)
        return;
    if (!joined)
        section_begin(words);
    atomic_store_explicit(word, value, memory_order_relaxed); /* W3 */
    if (!joined)
        section_end(words);
}

void stats_row_text(struct stats_page *page, uint32_t table, uint32_t row, uint32_t column, const char *text)
{
    const struct stats_column_entry *shape = &page->shape.table[table].column[column];
    _Atomic uint64_t *words = row_words(page, table, row), *to = &words[shape->offset / 8];
    uint64_t copy[STATS_TEXT_MAX / 8] = {0};
    size_t size = text ? strnlen(text, shape->size) : 0;
    bool joined = in_section(words);

    assert(column < page->shape.table[table].column_count && shape->type == STATS_TEXT);
    if (size == shape->size) /* too long: the last byte is the zero's, and no half character stays */
        for (size--; size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80; size--)
            ;
    if (size > 0)
        memcpy(copy, text, size);
    if (!joined)
        section_begin(words);
    for (size_t i = 0; i < size / 8 + 1; i++) /* up to the word with the zero: what lies behind it is never shown */
        atomic_store_explicit(&to[i], copy[i], memory_order_relaxed); /* W3 */
    if (!joined)
        section_end(words);
}
