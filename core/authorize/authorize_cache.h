/* authorize/authorize_cache.h - answers that still hold, by the hash of their question.  Bounded: the one not looked at for longest goes.
 * Owner: one thread. */
#ifndef AUTHORIZE_CACHE_H
#define AUTHORIZE_CACHE_H

#include <stdint.h>

#include "core/authorize/authorize.h"

#define AUTHORIZE_DIGEST 32u

struct authorize_cache;

int authorize_cache_create(uint32_t entries_max, struct authorize_cache **ret_cache); /* 0 or -ENOMEM */
void authorize_cache_free(struct authorize_cache *cache);                             /* NULL is fine */

/* authorize_cache_find - true and the verdict, borrowed until the next put; one whose time has passed is forgotten here. */
bool authorize_cache_find(struct authorize_cache *cache, const uint8_t digest[AUTHORIZE_DIGEST], uint64_t now_ns,
                          struct authorize_verdict *ret_verdict);

/* authorize_cache_put - a copy, in place of an older one; without memory it is not kept. */
void authorize_cache_put(struct authorize_cache *cache, const uint8_t digest[AUTHORIZE_DIGEST], const struct authorize_verdict *verdict);

uint32_t authorize_cache_count(const struct authorize_cache *cache);

#endif
