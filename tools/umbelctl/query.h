/* umbelctl/query.h - the language of `umbelctl log -q`.  Pure.
 *
 *   expression = conjunction { "or" conjunction }
 *   conjunction = term { "and" term }
 *   term = "not" term | "(" expression ")" | FIELD | FIELD operator VALUE
 *   operator = "==" | "=" | "!=" | "<" | "<=" | ">" | ">=" | "~" | "!~"
 *   VALUE = word | "quoted text" ( \" and \\ inside ) | number [unit]
 *
 * A FIELD alone: it was told.  Durations need a unit (ns us ms s m h), sizes may have one (B KiB MiB GiB, kB MB GB), numbers have none.
 * ~ looks for a pattern anywhere in a text: . is any byte, x* any number of x, ^ the beginning, $ the end, \ takes the next one as it is.
 * An event that was not told a field matches no comparison with it, but != and !~. */
#ifndef QUERY_H
#define QUERY_H

#include <stdbool.h>

#include "tools/umbelctl/events.h"

#define QUERY_NODES_MAX 128u
#define QUERY_DEPTH_MAX 32u
#define QUERY_PATTERN_MAX 63u /* parts of a pattern */

struct query_node {
    enum { QUERY_AND, QUERY_OR, QUERY_NOT, QUERY_TOLD, QUERY_COMPARE } kind;
    enum query_operator { QUERY_EQ, QUERY_NE, QUERY_LT, QUERY_LE, QUERY_GT, QUERY_GE, QUERY_LIKE, QUERY_UNLIKE } op;
    unsigned left, right; /* nodes */
    unsigned field;
    uint64_t number;
    char text[TRAIL_TEXT_MAX + 64];
};

struct query {
    struct query_node node[QUERY_NODES_MAX];
    unsigned count, root;
};

/* query_parse - 0; -EINVAL with words: what was expected; *ret_at is the byte of text where. */
int query_parse(const char *text, struct query *ret_query, size_t *ret_at, struct why *why);
bool query_matches(const struct query *query, const struct ctl_event *event);

/* query_pattern - whether text contains the pattern.  Linear in both. */
bool query_pattern(const char *pattern, const char *text);
/* query_duration - "90s", "200ms", "1.5h" in ns. */
bool query_duration(const char *text, size_t size, uint64_t *ret_ns);

#endif
