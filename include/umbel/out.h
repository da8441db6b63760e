/* umbel/out.h - a growing byte buffer for encoders, and the two ways JSON strings are escaped.
 *
 * Errors stick: after a failed allocation or a passed limit every further call is a no-op and umbel_out.failed is set, so an
 * encoder checks once at its end.  Single-threaded.  Implemented in libumbel.  History: 1.2 umbel_out_question; 1.0 first. */
#ifndef UMBEL_OUT_H
#define UMBEL_OUT_H

#include <stddef.h>
#include <stdint.h>
#include <umbel/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct umbel_out {
    char *data;      /* owned; not zero-terminated */
    size_t size;     /* bytes in use */
    size_t capacity; /* bytes allocated */
    size_t limit;    /* size never passes this; 0 = 1 GiB */
    int failed;      /* 0, or -ENOMEM, or -EMSGSIZE when limit was reached */
};

/* umbel_out_free - gives the memory back and makes *out empty again.  A zeroed struct is a valid empty buffer. */
UMBEL_EXPORT void umbel_out_free(struct umbel_out *out);

/* umbel_out_reset - empties the buffer and clears failed; keeps the memory for the next use. */
UMBEL_EXPORT void umbel_out_reset(struct umbel_out *out);

/* umbel_out_reserve - makes room for size more bytes.  Returns where they begin (write them, then add to out->size), or NULL. */
UMBEL_EXPORT char *umbel_out_reserve(struct umbel_out *out, size_t size);

/* umbel_out_put - appends size bytes. */
UMBEL_EXPORT void umbel_out_put(struct umbel_out *out, const void *bytes, size_t size);

/* umbel_out_text - appends a zero-terminated string without its zero. */
UMBEL_EXPORT void umbel_out_text(struct umbel_out *out, const char *text);

/* umbel_out_printf - appends formatted text. */
UMBEL_EXPORT void umbel_out_printf(struct umbel_out *out, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

/* umbel_out_u64 - appends the decimal digits of value. */
UMBEL_EXPORT void umbel_out_u64(struct umbel_out *out, uint64_t value);

/* umbel_out_json - appends text as a JSON string with its quotes; raw UTF-8, escapes only what JSON demands: \" \\ \n \r \t \b \f
 * and \u00xx (lower case) for other bytes below 0x20.  Invalid UTF-8 becomes U+FFFD. */
UMBEL_EXPORT void umbel_out_json(struct umbel_out *out, const char *text, size_t size);

/* umbel_out_json_bare - as umbel_out_json, without the quotes. */
UMBEL_EXPORT void umbel_out_json_bare(struct umbel_out *out, const char *text, size_t size);

/* umbel_out_json_ascii - as umbel_out_json, but everything above 0x7e is \uxxxx in lower case, surrogate pairs above U+FFFF. */
UMBEL_EXPORT void umbel_out_json_ascii(struct umbel_out *out, const char *text, size_t size);

/* umbel_out_question - appends what umbel_request.messages is for one question of a user: [{"role":"user","content":TEXT}], TEXT as by
 * umbel_out_json. */
UMBEL_EXPORT void umbel_out_question(struct umbel_out *out, const char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
