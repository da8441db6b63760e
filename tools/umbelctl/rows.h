/* umbelctl/rows.h - a listing: typed rows, printed as an aligned table or as JSON. */
#ifndef ROWS_H
#define ROWS_H

#include <stdbool.h>
#include <stdint.h>
#include <umbel/out.h>

#include "core/metrics/stats_view.h"

#define ROWS_COLUMNS_MAX 40u
#define ROWS_NS 100 /* a type beside enum stats_type: a duration in nanoseconds */

struct rows_column {
    const char *name; /* JSON member; in capitals the heading */
    int type;         /* enum stats_type or ROWS_NS */
    bool shown;       /* in the table for people; JSON has all */
};

struct rows {
    struct rows_column column[ROWS_COLUMNS_MAX];
    uint32_t columns;
    struct stats_cell *cell; /* count * columns */
    size_t count, capacity;
    uint64_t now_ns;
    bool failed; /* memory ran out: a row is missing */
};

void rows_init(struct rows *rows);
uint32_t rows_column(struct rows *rows, const char *name, int type, bool shown); /* its index; before the first row */
/* rows_add - one more row, all cells empty; good until the next one.  NULL: no memory. */
struct stats_cell *rows_add(struct rows *rows);
void rows_take_back(struct rows *rows); /* forgets the last row */
/* rows_load - appends the used rows of the view's table, matching its columns by name from column first on.  fill, if given, is called
 * for each new row; false takes it back.  What the page lacks stays empty. */
void rows_load(struct rows *rows, const struct stats_view *view, const char *table, uint32_t first,
               bool (*fill)(void *owner, struct stats_cell *cells), void *owner);
void rows_sort(struct rows *rows, uint32_t column); /* by number, then text; smallest first */
void rows_print(const struct rows *rows, bool colour);
void rows_json(const struct rows *rows, struct umbel_out *out); /* an array of objects */
void rows_free(struct rows *rows);

/* rows_cell_text - one value for people.  rows_cell_json - one value as JSON: ages are seconds with nine decimals (null: never). */
void rows_cell_text(int type, const struct stats_cell *cell, uint64_t now_ns, char *ret_text, size_t room);
void rows_cell_json(int type, const struct stats_cell *cell, uint64_t now_ns, struct umbel_out *out);
/* rows_state_colour - how a terminal shows a state, "\033[3Nm" or NULL.  rows_heading - a column's name over a table; returns its bytes. */
const char *rows_state_colour(const char *state);
size_t rows_heading(const struct rows_column *column, char *ret_text, size_t room);
void rows_seconds_json(uint64_t ns, struct umbel_out *out);

#endif
