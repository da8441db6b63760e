#include "exposition.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const type_words[] = {
    [EXPOSITION_COUNTER] = "counter", [EXPOSITION_GAUGE] = "gauge", [EXPOSITION_HISTOGRAM] = "histogram"};

void exposition_begin(struct exposition *exposition, bool open_metrics)
{
    *exposition = (struct exposition){.open_metrics = open_metrics};
}

/* [a-z0-9_] stays, capitals too; all else becomes _.  Callers give names that begin with a letter. */
static void clean_name(const char *name, char *ret_name)
{
    size_t at = 0;

    for (; name[at] && at < EXPOSITION_NAME_MAX - 1; at++) {
        char c = name[at];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
        ret_name[at] = good ? c : '_';
    }
    ret_name[at] = '\0';
}

/* Backslash and line feed; of labels, and in OpenMetrics also of help, the quote.  Other control characters, which no configuration lets
 * through, become spaces; what is no UTF-8 becomes U+FFFD. */
static void put_escaped(struct umbel_out *out, const char *text, bool quotes)
{
    struct umbel_out json = {0};

    umbel_out_json_bare(&json, text, strlen(text)); /* valid UTF-8 from here on, its escapes undone again below */
    for (size_t i = 0; i < json.size; i++) {
        char c = json.data[i];
        char next = i + 1 < json.size ? json.data[i + 1] : '\0';
        if (c != '\\') {
            umbel_out_put(out, &c, 1);
            continue;
        }
        i++;
        if (next == '\\' || next == 'n')
            umbel_out_put(out, json.data + i - 1, 2);
        else if (next == '"')
            umbel_out_text(out, quotes ? "\\\"" : "\"");
        else
            umbel_out_put(out, " ", 1);
        if (next == 'u')
            i += 4;
    }
    if (json.failed)
        out->failed = json.failed;
    umbel_out_free(&json);
}

static void put_head(const struct exposition *exposition, struct exposition_family *family, const char *help)
{
    const char *total = family->type == EXPOSITION_COUNTER && !exposition->open_metrics ? "_total" : "";

    umbel_out_printf(&family->head, "# HELP %s%s ", family->name, total);
    put_escaped(&family->head, help, exposition->open_metrics);
    umbel_out_printf(&family->head, "\n# TYPE %s%s %s\n", family->name, total, type_words[family->type]);
}

static struct exposition_family *new_family(struct exposition *exposition, const char *name, const struct exposition_metric *metric)
{
    struct exposition_family *family;

    if (exposition->count == EXPOSITION_FAMILIES_MAX)
        return NULL;
    if (exposition->count == exposition->capacity) {
        uint32_t capacity = exposition->capacity ? exposition->capacity * 2 : 64;
        struct exposition_family *more = realloc(exposition->families, capacity * sizeof *more);
        if (!more) {
            exposition->failed = true;
            return NULL;
        }
        exposition->families = more;
        exposition->capacity = capacity;
    }
    family = &exposition->families[exposition->count++];
    *family = (struct exposition_family){.type = metric->type, .lines.limit = EXPOSITION_BYTES_MAX};
    memcpy(family->name, name, strlen(name) + 1);
    put_head(exposition, family, metric->help);
    return family;
}

/* The family of this name and type; NULL: another type has the name, or there is no room. */
static struct exposition_family *find_family(struct exposition *exposition, const struct exposition_metric *metric)
{
    char name[EXPOSITION_NAME_MAX];

    clean_name(metric->name, name);
    for (uint32_t i = 0; i < exposition->count; i++) {
        uint32_t at = (exposition->newest + i) % exposition->count;
        struct exposition_family *family = &exposition->families[at];
        if (strcmp(family->name, name) != 0)
            continue;
        exposition->newest = at;
        return family->type == metric->type ? family : NULL;
    }
    return new_family(exposition, name, metric);
}

static uint64_t hash_text(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211ull;
    return (hash ^ 0xff) * 1099511628211ull;
}

/* False: this label set is there already (two that only hash alike, once in 2^64, would lose a series). */
static bool note_series(struct exposition *exposition, struct exposition_family *family, const struct exposition_label *labels,
                        uint32_t count)
{
    uint64_t hash = 14695981039346656037ull;

    for (uint32_t i = 0; i < count; i++)
        if (labels[i].value && labels[i].value[0])
            hash = hash_text(hash_text(hash, labels[i].name), labels[i].value);
    for (uint32_t i = 0; i < family->seen_count; i++)
        if (family->seen[i] == hash)
            return false;
    if (family->seen_count == family->seen_capacity) {
        uint32_t capacity = family->seen_capacity ? family->seen_capacity * 2 : 8;
        uint64_t *more = realloc(family->seen, capacity * sizeof *more);
        if (!more) {
            exposition->failed = true;
            return false;
        }
        family->seen = more;
        family->seen_capacity = capacity;
    }
    family->seen[family->seen_count++] = hash;
    return true;
}

static struct exposition_family *begin(struct exposition *exposition, const struct exposition_metric *metric,
                                       const struct exposition_label *labels, uint32_t count)
{
    struct exposition_family *family = find_family(exposition, metric);

    if (family && note_series(exposition, family, labels, count))
        return family;
    exposition->dropped++;
    return NULL;
}

static void put_number(struct umbel_out *out, uint64_t value, uint32_t decimals)
{
    static const uint64_t powers[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000};
    char digits[16];

    umbel_out_u64(out, value / powers[decimals]);
    if (decimals == 0)
        return;
    int size = snprintf(digits, sizeof digits, ".%0*llu", (int)decimals, (unsigned long long)(value % powers[decimals]));
    while (size > 2 && digits[size - 1] == '0')
        size--; /* one digit stays: 1.0 */
    umbel_out_put(out, digits, (size_t)size);
}

/* NAME SUFFIX {labels[, le="LE"]} and a space. */
static void put_series(struct exposition_family *family, const char *suffix, const struct exposition_label *labels, uint32_t count,
                       const char *le)
{
    struct umbel_out *out = &family->lines;
    const char *before = "{";

    umbel_out_text(out, family->name);
    umbel_out_text(out, suffix);
    for (uint32_t i = 0; i < count; i++) {
        if (!labels[i].value || !labels[i].value[0])
            continue;
        umbel_out_printf(out, "%s%s=\"", before, labels[i].name);
        put_escaped(out, labels[i].value, true);
        umbel_out_put(out, "\"", 1);
        before = ",";
    }
    if (le)
        umbel_out_printf(out, "%sle=\"%s\"", before, le);
    umbel_out_text(out, *before == ',' || le ? "} " : " ");
}

void exposition_value(struct exposition *exposition, const struct exposition_metric *metric, const struct exposition_label *labels,
                      uint32_t label_count, uint64_t value, uint32_t decimals)
{
    struct exposition_family *family = begin(exposition, metric, labels, label_count);

    if (!family)
        return;
    put_series(family, family->type == EXPOSITION_COUNTER ? "_total" : "", labels, label_count, NULL);
    put_number(&family->lines, value, decimals);
    umbel_out_put(&family->lines, "\n", 1);
}

static void put_bucket(struct exposition_family *family, const struct exposition_label *labels, uint32_t label_count, const char *le,
                       uint64_t count)
{
    put_series(family, "_bucket", labels, label_count, le);
    umbel_out_u64(&family->lines, count);
    umbel_out_put(&family->lines, "\n", 1);
}

/* A page of lies must not make the sums fall. */
static uint64_t add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

void exposition_histogram(struct exposition *exposition, const struct exposition_metric *metric, const struct exposition_label *labels,
                          uint32_t label_count, const uint64_t *counts, const uint64_t *below, uint32_t bucket_count, uint64_t sum_ns,
                          uint32_t first, uint32_t last)
{
    struct exposition_family *family = begin(exposition, metric, labels, label_count);
    uint64_t total = 0;
    char le[48];

    if (!family)
        return;
    for (uint32_t i = 0; i < bucket_count; i++) {
        total = add(total, counts[i]);
        bool power = below[i] && (below[i] & (below[i] - 1)) == 0;
        if (!power || below[i] < 1ull << first || below[i] > 1ull << last)
            continue;
        struct umbel_out bound = {0};
        put_number(&bound, below[i], 9);
        snprintf(le, sizeof le, "%.*s", (int)bound.size, bound.data ? bound.data : "");
        exposition->failed = exposition->failed || bound.failed;
        umbel_out_free(&bound);
        put_bucket(family, labels, label_count, le, total);
    }
    put_bucket(family, labels, label_count, "+Inf", total);
    put_series(family, "_sum", labels, label_count, NULL);
    put_number(&family->lines, sum_ns, 9);
    umbel_out_put(&family->lines, "\n", 1);
    put_series(family, "_count", labels, label_count, NULL);
    umbel_out_u64(&family->lines, total);
    umbel_out_put(&family->lines, "\n", 1);
}

bool exposition_end(struct exposition *exposition, struct umbel_out *out)
{
    bool good = !exposition->failed;

    for (uint32_t i = 0; i < exposition->count; i++) {
        struct exposition_family *family = &exposition->families[i];
        good = good && !family->head.failed && !family->lines.failed && out->size + family->lines.size < EXPOSITION_BYTES_MAX;
        if (good) {
            umbel_out_put(out, family->head.data, family->head.size);
            umbel_out_put(out, family->lines.data, family->lines.size);
        }
        umbel_out_free(&family->head);
        umbel_out_free(&family->lines);
        free(family->seen);
    }
    if (exposition->open_metrics)
        umbel_out_text(out, "# EOF\n");
    free(exposition->families);
    *exposition = (struct exposition){0};
    return good && !out->failed;
}
