/* parse/dialect_error.h - what went wrong, from all the shapes in which services say it.  Pure. */
#ifndef DIALECT_ERROR_H
#define DIALECT_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <umbel/json.h>

#include "core/base/span.h"
#include "core/parse/dialect.h"

struct dialect_error {
    uint32_t kind;  /* UMBEL_ERROR_RATE, _BUSY or _UPSTREAM.  Never AUTH: our credential at the service is not the client's */
    bool retryable; /* the same request may work later or elsewhere */
    bool ours;      /* it is about our account there, our key or what we may spend: no client can do anything about it */
    char text[DIALECT_TEXT_MAX + 1]; /* for operators: one line without control characters, whole UTF-8; words that look like a credential
                                        are replaced where it is ours */
};

/* dialect_error_for_clients - what they may know: the text, but nothing of our account. */
const char *dialect_error_for_clients(const struct dialect_error *error);

/* dialect_refusal - a response that is no stream: status and (the beginning of) its body: JSON of any known shape, HTML of a proxy, plain
 * text, nothing.  status: HTTP, 200..599. */
void dialect_refusal(unsigned status, const char *body, size_t size, struct dialect_error *ret_error);

/* dialect_error_read - an error inside a stream: value is the error itself, or the object that holds it as "error"; read loosely. */
void dialect_error_read(const struct umbel_json *value, struct dialect_error *ret_error);

/* dialect_error_text - an error inside a stream that is text: JSON is read as dialect_error_read does, anything else is the message. */
void dialect_error_text(struct span text, struct dialect_error *ret_error);

/* dialect_one_line - copies text to `to` (max + 1 bytes): at most max bytes, zero-terminated, valid UTF-8, each run of blanks, control
 * characters and line ends one blank, none at the ends.  Returns the length. */
size_t dialect_one_line(char *to, size_t max, struct span text);

#endif
