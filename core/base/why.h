/* base/why.h - the one line that explains an error code to a person.
 * A function that can fail for reasons worth words takes a `struct why *` (NULL is fine), writes one line and returns -errno. */
#ifndef BASE_WHY_H
#define BASE_WHY_H

#define WHY_MAX 512

struct why {
    char text[WHY_MAX]; /* zero-terminated; "" when nothing was said */
};

/* why_set - formats the reason (cut at WHY_MAX) and returns code, so that `return why_set(why, -EINVAL, ...)` reads well. */
int why_set(struct why *why, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* why_errno - as why_set, with ": " and the system's words for errno_value appended; returns -errno_value. */
int why_errno(struct why *why, int errno_value, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
