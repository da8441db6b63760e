#include "tools/umbelctl/query.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct parsing {
    const char *text, *at, *token; /* token: where the last one began */
    size_t size;                   /* of it */
    bool quoted, closed; /* the token is a "text"; and it ends with a " */
    unsigned depth;
    struct query *query;
    struct why *why;
};

static const char *const operators[] = {"==", "!=", "<", "<=", ">", ">=", "~", "!~"};

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("_.-+*/:%@", c)) || (unsigned char)c >= 0x80;
}

/* The next token into token and size; size 0 at the end. */
static void next(struct parsing *p)
{
    p->at += strspn(p->at, " \t\n");
    p->token = p->at;
    p->quoted = *p->at == '"';
    if (p->quoted) {
        for (p->at++; *p->at && *p->at != '"'; p->at++)
            if (*p->at == '\\' && p->at[1])
                p->at++;
        p->closed = *p->at == '"';
        p->at += p->closed;
    } else if (is_word(*p->at)) {
        while (is_word(*p->at))
            p->at++;
    } else if (*p->at) {
        bool two = (strchr("=!<>", *p->at) && p->at[1] == '=') || (p->at[0] == '!' && p->at[1] == '~');
        p->at += two ? 2 : 1;
    }
    p->size = (size_t)(p->at - p->token);
}

/* A pattern without quotes ends at a blank or a ). */
static void next_pattern(struct parsing *p)
{
    next(p);
    if (p->size == 0 || p->quoted || *p->token == ')')
        return;
    p->size = strcspn(p->token, " \t\n)");
    p->at = p->token + p->size;
}

static bool is(const struct parsing *p, const char *word)
{
    return !p->quoted && p->size == strlen(word) && memcmp(p->token, word, p->size) == 0;
}

static int expected(struct parsing *p, const char *what)
{
    if (p->size == 0)
        return why_set(p->why, -EINVAL, "%s is missing at the end", what);
    return why_set(p->why, -EINVAL, "expected %s, found %.*s", what, (int)(p->size < 40 ? p->size : 40), p->token);
}

static int make(struct parsing *p, struct query_node node, unsigned *ret_index)
{
    if (p->query->count == QUERY_NODES_MAX)
        return why_set(p->why, -EINVAL, "the expression has more than %u parts", QUERY_NODES_MAX);
    *ret_index = p->query->count;
    p->query->node[p->query->count++] = node;
    return 0;
}

/* ---- values ---- */

/* A number with at most one point, and what is behind it. */
static bool read_number(const char *text, size_t size, double *ret_number, size_t *ret_used)
{
    size_t i = 0, digits = 0, points = 0;
    double number = 0, scale = 1;

    for (; i < size && ((text[i] >= '0' && text[i] <= '9') || (text[i] == '.' && points == 0)); i++)
        if (text[i] == '.') {
            points++;
        } else {
            digits++;
            number = number * 10 + (text[i] - '0');
            scale = points ? scale * 10 : scale;
        }
    *ret_number = number / scale;
    *ret_used = i;
    return digits > 0 && digits < 16;
}

struct unit {
    const char *name;
    double factor;
};

static bool read_unit(const struct unit *units, const char *text, size_t size, uint64_t *ret_value)
{
    double number;
    size_t used;

    if (!read_number(text, size, &number, &used))
        return false;
    for (; units->name; units++)
        if (strlen(units->name) == size - used && memcmp(units->name, text + used, size - used) == 0) {
            if (number * units->factor >= 9e18)
                return false;
            *ret_value = (uint64_t)(number * units->factor + 0.5);
            return true;
        }
    return false;
}

bool query_duration(const char *text, size_t size, uint64_t *ret_ns)
{
    static const struct unit units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 6e10}, {"h", 3.6e12}, {"d", 8.64e13}, {NULL, 0}};

    return read_unit(units, text, size, ret_ns);
}

static bool read_size(const char *text, size_t size, uint64_t *ret_bytes)
{
    static const struct unit units[] = {{"", 1},           {"B", 1},    {"KiB", 1024}, {"MiB", 1048576}, {"GiB", 1073741824.0},
                                        {"kB", 1e3},       {"MB", 1e6}, {"GB", 1e9},   {NULL, 0}};

    return read_unit(units, text, size, ret_bytes);
}

static bool read_count(const char *text, size_t size, uint64_t *ret_count)
{
    static const struct unit units[] = {{"", 1}, {NULL, 0}};

    return memchr(text, '.', size) == NULL && read_unit(units, text, size, ret_count);
}

/* Without its quotes and backslashes; a pattern's backslashes stay, for they are its own. */
static int copy_text(struct parsing *p, bool pattern, char *to, size_t room)
{
    const char *from = p->token + p->quoted, *end = p->at - p->quoted;
    size_t used = 0;

    if (p->quoted && !p->closed)
        return why_set(p->why, -EINVAL, "the closing \" is missing");
    for (; from < end; from++) {
        if (p->quoted && *from == '\\' && from + 1 < end && (!pattern || from[1] == '"'))
            from++;
        if (used + 1 >= room)
            return why_set(p->why, -EINVAL, "the text is longer than %zu bytes", room - 1);
        to[used++] = *from;
    }
    to[used] = '\0';
    return 0;
}

static int check_word(struct parsing *p, const struct event_field *field, const char *text)
{
    char list[WHY_MAX] = "";
    size_t used = 0;

    for (size_t i = 1; i < field->word_count; i++)
        if (strcmp(field->words[i], text) == 0)
            return 0;
    for (size_t i = 1; i < field->word_count && used + 40 < sizeof list; i++) {
        size_t size = strlen(field->words[i]);

        memcpy(list + used, field->words[i], size);
        memcpy(list + used + size, " ", 2);
        used += size + 1;
    }
    return why_set(p->why, -EINVAL, "no %s is called %.40s; one of: %.120s", field->name, text, list);
}

/* Parts of a pattern, so that it fits query_pattern. */
static size_t pattern_parts(const char *pattern)
{
    size_t parts = 0;

    for (; *pattern; pattern++) {
        pattern += *pattern == '\\' && pattern[1];
        parts++;
    }
    return parts;
}

static bool is_pattern(const struct query_node *node)
{
    return node->op == QUERY_LIKE || node->op == QUERY_UNLIKE;
}

static int read_value(struct parsing *p, const struct event_field *field, struct query_node *node)
{
    bool pattern = is_pattern(node);
    int r;

    if (p->size == 0 || (!p->quoted && !is_word(*p->token) && !(pattern && *p->token != ')')))
        return expected(p, field->type == FIELD_DURATION ? "a duration like 200ms or 2s"
                           : field->type == FIELD_SIZE   ? "a size like 100 or 4KiB"
                           : field->type == FIELD_NUMBER ? "a number"
                                                         : "a word or a \"quoted text\"");
    if (field->type == FIELD_DURATION)
        return query_duration(p->token, p->size, &node->number) ? 0 : expected(p, "a duration with its unit, like 200ms or 2s");
    if (field->type == FIELD_SIZE)
        return read_size(p->token, p->size, &node->number) ? 0 : expected(p, "a size like 100 or 4KiB");
    if (field->type == FIELD_NUMBER)
        return read_count(p->token, p->size, &node->number) ? 0 : expected(p, "a number without a unit");
    r = copy_text(p, pattern, node->text, sizeof node->text);
    if (r == 0 && pattern && pattern_parts(node->text) > QUERY_PATTERN_MAX)
        r = why_set(p->why, -EINVAL, "the pattern has more than %u parts", QUERY_PATTERN_MAX);
    if (r == 0 && field->type == FIELD_WORD && !pattern)
        r = check_word(p, field, node->text);
    return r;
}

/* ---- terms ---- */

static int read_operator(struct parsing *p, const struct event_field *field, struct query_node *node)
{
    bool number = field->type >= FIELD_DURATION;
    unsigned i = 0;

    if (is(p, "="))
        node->op = QUERY_EQ;
    else {
        while (i < sizeof operators / sizeof operators[0] && !is(p, operators[i]))
            i++;
        if (i == sizeof operators / sizeof operators[0])
            return expected(p, number ? "== != < <= > or >=" : "== != ~ or !~");
        node->op = (enum query_operator)i;
    }
    if (number ? node->op >= QUERY_LIKE : node->op >= QUERY_LT && node->op <= QUERY_GE)
        return why_set(p->why, -EINVAL, "%s is %s: it is compared by %s", field->name, number ? "a number" : "a text",
                       number ? "== != < <= > >=" : "== != ~ !~");
    return 0;
}

static bool ends_term(const struct parsing *p)
{
    return p->size == 0 || is(p, "and") || is(p, "or") || is(p, ")");
}

static int read_comparison(struct parsing *p, unsigned *ret_index)
{
    struct query_node node = {.kind = QUERY_TOLD};
    int field = p->quoted || p->size == 0 ? -1 : event_field_named(p->token, p->size), r;

    if (p->size == 0 || p->quoted || !is_word(*p->token))
        return expected(p, "a field, not or (");
    if (field < 0)
        return why_set(p->why, -EINVAL, "no field is called %.*s; umbelctl log fields lists them", (int)(p->size < 40 ? p->size : 40), p->token);
    node.field = (unsigned)field;
    next(p);
    if (ends_term(p))
        return make(p, node, ret_index);
    node.kind = QUERY_COMPARE;
    r = read_operator(p, &event_fields[field], &node);
    if (r < 0)
        return r;
    if (is_pattern(&node))
        next_pattern(p);
    else
        next(p);
    r = read_value(p, &event_fields[field], &node);
    if (r < 0)
        return r;
    next(p);
    return make(p, node, ret_index);
}

static int read_or(struct parsing *p, unsigned *ret_index);

static int read_term(struct parsing *p, unsigned *ret_index)
{
    struct query_node node = {.kind = QUERY_NOT};
    int r;

    if (++p->depth > QUERY_DEPTH_MAX)
        return why_set(p->why, -EINVAL, "more than %u levels", QUERY_DEPTH_MAX);
    if (is(p, "not")) {
        next(p);
        r = read_term(p, &node.left);
        if (r == 0)
            r = make(p, node, ret_index);
    } else if (is(p, "(")) {
        next(p);
        r = read_or(p, ret_index);
        if (r == 0 && !is(p, ")"))
            r = expected(p, "and, or or )");
        if (r == 0)
            next(p);
    } else {
        r = read_comparison(p, ret_index);
    }
    p->depth--;
    return r;
}

static int read_chain(struct parsing *p, const char *word, int (*part)(struct parsing *p, unsigned *ret_index), struct query_node node,
                      unsigned *ret_index)
{
    int r = part(p, &node.left);

    while (r == 0 && is(p, word)) {
        next(p);
        r = part(p, &node.right);
        if (r == 0)
            r = make(p, node, &node.left);
    }
    *ret_index = node.left;
    return r;
}

static int read_and(struct parsing *p, unsigned *ret_index)
{
    return read_chain(p, "and", read_term, (struct query_node){.kind = QUERY_AND}, ret_index);
}

static int read_or(struct parsing *p, unsigned *ret_index)
{
    return read_chain(p, "or", read_and, (struct query_node){.kind = QUERY_OR}, ret_index);
}

int query_parse(const char *text, struct query *ret_query, size_t *ret_at, struct why *why)
{
    struct parsing p = {.text = text, .at = text, .query = ret_query, .why = why};
    int r;

    ret_query->count = 0;
    next(&p);
    r = read_or(&p, &ret_query->root);
    if (r == 0 && p.size > 0)
        r = expected(&p, "and or or");
    if (r < 0)
        *ret_at = (size_t)(p.token - text);
    return r;
}

/* ---- matching ---- */

/* The states that are reached without a byte: behind a part that may be there any number of times. */
static uint64_t skip_stars(const char *const *part, size_t count, uint64_t states)
{
    for (size_t i = 0; i < count; i++)
        if (states >> i & 1 && part[i][0] == '*')
            states |= 1ull << (i + 1);
    return states;
}

static bool fits(const char *part, char byte)
{
    const char *c = part + (*part == '*'); /* see split */

    return *c == '\\' ? c[1] == byte : *c == '.' || *c == byte;
}

/* part[i] points to "\x" or "x"; a repeated one is kept as "*x" in room. */
static size_t split(const char *pattern, const char **part, char (*room)[4])
{
    size_t count = 0;

    while (*pattern && count < QUERY_PATTERN_MAX) {
        bool escaped = *pattern == '\\' && pattern[1];
        char *to = room[count];
        size_t used = 0;

        if (pattern[1 + escaped] == '*')
            to[used++] = '*';
        if (escaped || *pattern == '*' || *pattern == '\\') /* a star that follows nothing is itself, and a \ before nothing */
            to[used++] = '\\';
        to[used++] = pattern[escaped];
        to[used] = '\0';
        part[count++] = to;
        pattern += 1 + escaped + (pattern[1 + escaped] == '*');
    }
    return count;
}

/* Takes a $ off the end, unless an odd number of \ before it makes it an ordinary byte. */
static bool cut_dollar(char *pattern)
{
    size_t size = strlen(pattern), slashes = 0;

    if (size == 0 || pattern[size - 1] != '$')
        return false;
    while (slashes + 1 < size && pattern[size - 2 - slashes] == '\\')
        slashes++;
    if (slashes % 2)
        return false;
    pattern[size - 1] = '\0';
    return true;
}

bool query_pattern(const char *pattern, const char *text)
{
    char room[QUERY_PATTERN_MAX][4];
    const char *part[QUERY_PATTERN_MAX] = {0};
    bool from_start = *pattern == '^', to_end;
    size_t size = strlen(pattern), count;
    uint64_t states, begin;
    char own[256];

    if (size >= sizeof own)
        return false;
    memcpy(own, pattern + from_start, size + 1 - from_start);
    to_end = cut_dollar(own);
    count = split(own, part, room);
    states = begin = skip_stars(part, count, 1);
    for (; *text; text++) {
        uint64_t after = 0;

        if (states >> count & 1 && !to_end)
            return true;
        for (size_t i = 0; i < count; i++)
            if (states >> i & 1 && fits(part[i], *text))
                after |= 1ull << (part[i][0] == '*' ? i : i + 1);
        states = skip_stars(part, count, after) | (from_start ? 0 : begin);
    }
    return states >> count & 1;
}

static bool compare(const struct query_node *node, const struct ctl_event *event)
{
    const char *text = event_text(event, node->field);
    uint64_t value = event_value(event, node->field);

    if (event_fields[node->field].type < FIELD_DURATION) {
        switch (node->op) {
        case QUERY_EQ:
            return strcmp(text, node->text) == 0;
        case QUERY_NE:
            return strcmp(text, node->text) != 0;
        case QUERY_LIKE:
            return *text && query_pattern(node->text, text);
        default:
            return !*text || !query_pattern(node->text, text);
        }
    }
    if (value == 0)
        return node->op == QUERY_NE;
    switch (node->op) {
    case QUERY_EQ:
        return value == node->number;
    case QUERY_NE:
        return value != node->number;
    case QUERY_LT:
        return value < node->number;
    case QUERY_LE:
        return value <= node->number;
    case QUERY_GT:
        return value > node->number;
    default:
        return value >= node->number;
    }
}

static bool matches(const struct query *query, unsigned index, const struct ctl_event *event)
{
    const struct query_node *node = &query->node[index];

    switch (node->kind) {
    case QUERY_AND:
        return matches(query, node->left, event) && matches(query, node->right, event);
    case QUERY_OR:
        return matches(query, node->left, event) || matches(query, node->right, event);
    case QUERY_NOT:
        return !matches(query, node->left, event);
    case QUERY_TOLD:
        return *event_text(event, node->field) || event_value(event, node->field);
    default:
        return compare(node, event);
    }
}

bool query_matches(const struct query *query, const struct ctl_event *event)
{
    return matches(query, query->root, event);
}
