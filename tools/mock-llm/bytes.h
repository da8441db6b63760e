/* bytes - a growable byte buffer, and the JSON escaping that everything here writes with.
 * Owner: the loop thread.  Running out of memory ends the process with a message: this is a test tool, and a
 * half-built answer would look like a fault that nobody asked for. */
#ifndef MOCK_LLM_BYTES_H
#define MOCK_LLM_BYTES_H
#include <stdarg.h>
#include <stddef.h>

struct bytes {
    char *data;      /* NULL while cap is 0; not NUL-terminated unless bytes_string() was called */
    size_t len, cap; /* bytes used, bytes allocated */
};

/* bytes_put appends size bytes.  data may be NULL if size is 0. */
void bytes_put(struct bytes *bytes, const void *data, size_t size);
/* bytes_puts appends a NUL-terminated string without its NUL. */
void bytes_puts(struct bytes *bytes, const char *string);
/* bytes_printf appends formatted text. */
__attribute__((format(printf, 2, 3))) void bytes_printf(struct bytes *bytes, const char *format, ...);
/* bytes_fill appends count copies of byte. */
void bytes_fill(struct bytes *bytes, char byte, size_t count);
/* bytes_json appends size bytes of UTF-8 escaped as the inside of a JSON string: quotes, backslashes and control
 * characters are escaped, everything else stays raw, so that characters reach the wire as several bytes. */
void bytes_json(struct bytes *bytes, const char *data, size_t size);
/* bytes_json_string appends a NUL-terminated string as a quoted JSON string; NULL becomes null. */
void bytes_json_string(struct bytes *bytes, const char *string);
/* bytes_drop removes count bytes (at most len) from the front. */
void bytes_drop(struct bytes *bytes, size_t count);
/* bytes_string puts a NUL behind the content (not counted in len) and returns it; owned by the buffer. */
char *bytes_string(struct bytes *bytes);
/* bytes_free releases the memory and leaves an empty, usable buffer. */
void bytes_free(struct bytes *bytes);
/* bytes_copy returns a malloc'd NUL-terminated copy of size bytes, owned by the caller. */
char *bytes_copy(const char *data, size_t size);
/* bytes_alloc returns size zeroed bytes, owned by the caller.  Never NULL. */
void *bytes_alloc(size_t size);
#endif
