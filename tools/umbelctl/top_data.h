/* umbelctl/top_data.h - the tables that `top` shows: from the stats pages, with rates and lags, sorted and filtered. */
#ifndef TOP_DATA_H
#define TOP_DATA_H

#include "tools/umbelctl/pages.h"
#include "tools/umbelctl/rows.h"

enum top_view { TOP_STREAMS, TOP_CLIENTS, TOP_HOSTS, TOP_UPSTREAMS, TOP_VIEWS };
enum top_sort { TOP_LAG, TOP_RATE, TOP_AGE, TOP_TEXT, TOP_SORTS };
extern const char *const top_view_words[TOP_VIEWS], *const top_sort_words[TOP_SORTS];

struct top_data {
    enum top_view view;
    struct rows rows;
    uint64_t at_ns;  /* when it was true */
    uint32_t name, name2; /* columns that tell a row from others; name2 may be the same one */
    uint32_t lag, rate, age, state, sum; /* sum: what the rate is of */
};

/* top_data_load - before: an earlier look at the same view, or NULL: rates are then since each row's beginning. */
void top_data_load(const struct pages *pages, enum top_view view, const struct top_data *before, struct top_data *ret_data);
void top_data_free(struct top_data *data);

/* top_data_sort - running ones first, then by the key: most, newest, or in the order of letters; backwards: the other way round. */
void top_data_sort(struct top_data *data, enum top_sort key, bool backwards);
/* top_data_filter - drops the rows in which no text contains the word; letters of both cases are the same.  "" keeps all. */
void top_data_filter(struct top_data *data, const char *word);
/* top_data_find - the row that this one was, or -1. */
long top_data_find(const struct top_data *data, const struct top_data *other, size_t row);

const struct stats_cell *top_data_row(const struct top_data *data, size_t row);

#endif
