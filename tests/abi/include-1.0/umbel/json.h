/* umbel/json.h - strict reading of JSON that strangers sent.
 *
 * Stricter than the library under it (cJSON): the whole text is one value, strings are valid UTF-8 without U+0000, no member name
 * appears twice in an object, nesting is at most UMBEL_JSON_DEPTH_MAX, raw control characters are refused.
 * Single-threaded.  Implemented in libumbel. */
#ifndef UMBEL_JSON_H
#define UMBEL_JSON_H

#include <stddef.h>
#include <stdint.h>
#include <umbel/out.h>

#ifdef __cplusplus
extern "C" {
#endif

#define UMBEL_JSON_DEPTH_MAX 64

#define UMBEL_JSON_NONE 0 /* what a NULL value has */
#define UMBEL_JSON_NULL 1
#define UMBEL_JSON_BOOL 2
#define UMBEL_JSON_NUMBER 3
#define UMBEL_JSON_STRING 4
#define UMBEL_JSON_ARRAY 5
#define UMBEL_JSON_OBJECT 6

struct umbel_json;

/* umbel_json_parse - reads size bytes as one JSON value.  Returns the value, to be freed by umbel_json_free, or NULL with one line in
 * why (cut at why_size): what is wrong and at which byte. */
UMBEL_EXPORT struct umbel_json *umbel_json_parse(const char *text, size_t size, char *why, size_t why_size);
UMBEL_EXPORT void umbel_json_free(struct umbel_json *value); /* the value umbel_json_parse returned; NULL is fine */

/* All readers below take NULL and the wrong type and then answer "not there"; what they return lives as long as the parsed value. */
UMBEL_EXPORT int umbel_json_type(const struct umbel_json *value);
UMBEL_EXPORT const struct umbel_json *umbel_json_member(const struct umbel_json *object, const char *name); /* case matters */
UMBEL_EXPORT size_t umbel_json_count(const struct umbel_json *array_or_object);
UMBEL_EXPORT const struct umbel_json *umbel_json_first(const struct umbel_json *array_or_object); /* for walking, with ... */
UMBEL_EXPORT const struct umbel_json *umbel_json_next(const struct umbel_json *value);            /* ... NULL at the end */
UMBEL_EXPORT const char *umbel_json_name(const struct umbel_json *member);                        /* NULL in an array */
UMBEL_EXPORT const char *umbel_json_text(const struct umbel_json *string, size_t *ret_size);      /* NULL; ret_size may be NULL */
UMBEL_EXPORT int umbel_json_bool(const struct umbel_json *value, int otherwise);
UMBEL_EXPORT double umbel_json_number(const struct umbel_json *value, double otherwise);
/* umbel_json_integer - the number if it is whole and within +-2^53, else otherwise. */
UMBEL_EXPORT int64_t umbel_json_integer(const struct umbel_json *value, int64_t otherwise);

/* umbel_json_member_text - the string member of that name, or otherwise when it is absent or not a string. */
UMBEL_EXPORT const char *umbel_json_member_text(const struct umbel_json *object, const char *name, const char *otherwise);
UMBEL_EXPORT int64_t umbel_json_member_integer(const struct umbel_json *object, const char *name, int64_t otherwise);

/* umbel_json_print - appends the value as compact JSON, member order kept, raw UTF-8. */
UMBEL_EXPORT void umbel_json_print(const struct umbel_json *value, struct umbel_out *out);

#ifdef __cplusplus
}
#endif
#endif
