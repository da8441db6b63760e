/* base/kept.h - a small table of keys and values, bounded: what a transport wants remembered beyond one process.
 * Single-threaded.  Both ends hold one: the core for the next process, the host for its plugin. */
#ifndef BASE_KEPT_H
#define BASE_KEPT_H

#include <stddef.h>

struct kept; /* zero or one per transport */

int kept_create(size_t keys_max, struct kept **ret_kept);
void kept_free(struct kept *kept); /* NULL is fine */

#define KEPT_BYTES_MAX (64u << 20)

/* kept_set - remembers a copy; size 0 forgets.  0, -ENOSPC (keys_max, KEPT_BYTES_MAX), -ENOMEM. */
int kept_set(struct kept *kept, const char *key, const void *value, size_t size);
void kept_visit(const struct kept *kept, void (*visit)(void *owner, const char *key, const void *value, size_t size), void *owner);
size_t kept_count(const struct kept *kept);
size_t kept_bytes(const struct kept *kept); /* of keys and values */

#endif
