/* base/span.h - a pointer and a length: borrowed bytes, never zero-terminated by contract. */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stddef.h>
#include <string.h>
#include <stdbool.h>
#include <strings.h>

struct span {
    const char *data;
    size_t size;
};

static inline struct span span_of(const char *data, size_t size)
{
    return (struct span){data, size};
}

static inline struct span span_text(const char *text)
{
    return (struct span){text, strlen(text)};
}

static inline bool span_equal(struct span a, struct span b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool span_is(struct span a, const char *text)
{
    return span_equal(a, span_text(text));
}

static inline bool span_is_nocase(struct span a, const char *text)
{
    return a.size == strlen(text) && strncasecmp(a.data, text, a.size) == 0;
}

static inline bool span_begins(struct span a, const char *text)
{
    size_t size = strlen(text);
    return a.size >= size && memcmp(a.data, text, size) == 0;
}

#endif
