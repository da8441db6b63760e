/* Fuzz: expressions of `umbelctl log -q`.  What is refused is refused with words and a place in the text; what is taken is a tree whose parts
 * point to earlier parts, means the same when it is written out and read again, and the opposite behind "not"; a pattern finds what a matcher
 * that tries everything finds.
 * Input: an expression, a zero byte, and an event: kind, verdict, finish, error, then values and texts; the last text is a pattern's too. */
#include <errno.h>

#include "tests/fuzz/pieces.h"
#include "tools/umbelctl/query.h"

#define EVENT_CODES 4u
#define TRIED_MAX 40u /* bytes of a pattern and of a text, of which all ways are tried */

static void put_quoted(const char *text, bool pattern, struct umbel_out *out)
{
    umbel_out_text(out, "\"");
    for (; *text; text++) {
        if (*text == '"' || (*text == '\\' && !pattern))
            umbel_out_text(out, "\\");
        umbel_out_put(out, text, 1);
        if (*text == '\\' && pattern) /* the pattern's own, with what it makes ordinary */
            umbel_out_put(out, ++text, 1);
    }
    umbel_out_text(out, "\"");
}

static void put_node(const struct query *query, unsigned index, struct umbel_out *out)
{
    static const char *const operators[] = {"==", "!=", "<", "<=", ">", ">=", "~", "!~"};
    const struct query_node *node = &query->node[index];
    const struct event_field *field;

    REQUIRE(index < query->count);
    if (node->kind == QUERY_AND || node->kind == QUERY_OR) {
        REQUIRE(node->left < index && node->right < index);
        put_node(query, node->left, out);
        umbel_out_text(out, node->kind == QUERY_AND ? " and " : " or ");
        put_node(query, node->right, out);
    } else if (node->kind == QUERY_NOT) {
        REQUIRE(node->left < index);
        umbel_out_text(out, "not ");
        put_node(query, node->left, out);
    } else {
        REQUIRE(node->field < EVENT_FIELD_COUNT);
        field = &event_fields[node->field];
        umbel_out_text(out, field->name);
        if (node->kind == QUERY_TOLD)
            return;
        umbel_out_printf(out, " %s ", operators[node->op]);
        if (field->type >= FIELD_DURATION)
            umbel_out_printf(out, "%llu%s", (unsigned long long)node->number, field->type == FIELD_DURATION ? "ns" : "");
        else
            put_quoted(node->text, node->op == QUERY_LIKE || node->op == QUERY_UNLIKE, out);
    }
}

/* Whether the tree can be written without parentheses: no "or" below an "and", no "and" or "or" below a "not" or on the right of its like. */
static bool is_flat(const struct query *query, unsigned index, unsigned level)
{
    const struct query_node *node = &query->node[index];
    unsigned own = node->kind == QUERY_OR ? 0 : node->kind == QUERY_AND ? 1 : 2;

    if (own < level)
        return false;
    if (node->kind == QUERY_NOT)
        return is_flat(query, node->left, 2);
    return own == 2 || (is_flat(query, node->left, own) && is_flat(query, node->right, own + 1));
}

/* Between quotes a pattern cannot say \" nor end with a single \: without them it can, and means what it would without the \. */
static bool can_be_quoted(const char *pattern)
{
    for (; *pattern; pattern++)
        if (*pattern == '\\' && (*++pattern == '"' || !*pattern))
            return false;
    return true;
}

static bool can_be_written(const struct query *query)
{
    for (unsigned i = 0; i < query->count; i++) {
        const struct query_node *node = &query->node[i];
        if (node->kind != QUERY_COMPARE)
            continue;
        if (node->number >= 100000000000000ull) /* more digits than a number may have */
            return false;
        if ((node->op == QUERY_LIKE || node->op == QUERY_UNLIKE) && !can_be_quoted(node->text))
            return false;
    }
    return true;
}

static void check_again(const struct query *query, const struct ctl_event *event)
{
    struct umbel_out out = {0};
    struct query again;
    struct why why = {""};
    size_t at = 0;

    put_node(query, query->root, &out);
    umbel_out_put(&out, "", 1);
    REQUIRE(!out.failed);
    if (is_flat(query, query->root, 0) && can_be_written(query)) {
        REQUIRE(query_parse(out.data, &again, &at, &why) == 0);
        REQUIRE(again.count == query->count && again.root == query->root);
        for (unsigned i = 0; i < query->count; i++) {
            const struct query_node *a = &query->node[i], *b = &again.node[i];
            REQUIRE(a->kind == b->kind && a->left == b->left && a->right == b->right && a->field == b->field);
            REQUIRE(a->op == b->op && a->number == b->number && strcmp(a->text, b->text) == 0);
        }
        REQUIRE(query_matches(query, event) == query_matches(&again, event));
    }
    umbel_out_free(&out);
}

static void check_opposite(const char *text, bool matches, const struct ctl_event *event)
{
    struct umbel_out out = {0};
    struct query query;
    struct why why = {""};
    size_t at = 0;

    umbel_out_printf(&out, "not (%s)", text);
    umbel_out_put(&out, "", 1);
    if (query_parse(out.data, &query, &at, &why) == 0)
        REQUIRE(query_matches(&query, event) == !matches);
    else
        REQUIRE(strstr(why.text, "levels") || strstr(why.text, "parts"));
    umbel_out_free(&out);
}

/* ---- patterns, by trying everything ---- */

static bool here(const char *pattern, const char *text)
{
    size_t part = *pattern == '\\' && pattern[1] ? 2 : 1;
    bool escaped = part == 2;

    if (!*pattern)
        return true;
    if (*pattern == '$' && !pattern[1])
        return !*text;
    bool any = *pattern == '.', star = pattern[part] == '*';
    char byte = pattern[part - 1];
    if (star)
        do
            if (here(pattern + part + 1, text))
                return true;
        while (*text && ((any && !escaped) || *text == byte) && text++);
    return !star && *text && ((any && !escaped) || *text == byte) && here(pattern + part, text + 1);
}

static bool anywhere(const char *pattern, const char *text)
{
    if (*pattern == '^')
        return here(pattern + 1, text);
    do
        if (here(pattern, text))
            return true;
    while (*text++);
    return false;
}

static bool is_easy(const char *pattern)
{
    unsigned stars = 0;

    for (const char *c = pattern; *c; c++)
        stars += *c == '*';
    return stars <= 4 && strlen(pattern) <= TRIED_MAX && !strstr(pattern, "**") && pattern[0] != '*' && strncmp(pattern, "^*", 2) != 0 &&
           !strstr(pattern, "$*"); /* the border cases have tests of their own */
}

/* ---- the event ---- */

static void make_event(const uint8_t *data, size_t size, struct ctl_event *ret_event)
{
    struct trail_record *record = &ret_event->record;
    size_t at = EVENT_CODES;

    *ret_event = (struct ctl_event){.source = "core"};
    if (size < EVENT_CODES)
        return;
    record->kind = data[0];
    record->verdict = data[1];
    record->finish = data[2];
    record->error = data[3];
    for (unsigned i = 0; i < TRAIL_VALUE_COUNT && at + 2 <= size; i++, at += 2)
        record->value[i] = (uint64_t)(data[at] | data[at + 1] << 8) * (i % 2 ? 1u : 1000000u);
    for (unsigned i = 0; i < TRAIL_TEXT_COUNT && at < size; i++) {
        size_t length = strnlen((const char *)data + at, size - at);
        size_t used = length < TRAIL_TEXT_MAX - 1 ? length : TRAIL_TEXT_MAX - 1;
        memcpy(record->text[i], data + at, used);
        at += length + 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    struct ctl_event event;
    static struct query query;
    struct why why = {""};
    size_t at = 0, length;

    REQUIRE(text);
    memcpy(text, data, size);
    text[size] = '\0';
    length = strlen(text);
    make_event(data + (length < size ? length + 1 : size), length < size ? size - length - 1 : 0, &event);
    int r = query_parse(text, &query, &at, &why);
    REQUIRE(r == 0 || (r == -EINVAL && why.text[0] && at <= length));
    if (r == 0) {
        REQUIRE(query.count > 0 && query.count <= QUERY_NODES_MAX && query.root < query.count);
        check_again(&query, &event);
        check_opposite(text, query_matches(&query, &event), &event);
    }
    const char *pattern = event.record.text[TRAIL_T_REASON], *in = event.record.text[TRAIL_T_APP];
    if (is_easy(pattern) && strlen(in) <= TRIED_MAX)
        REQUIRE(query_pattern(pattern, in) == anywhere(pattern, in));
    free(text);
    return 0;
}
