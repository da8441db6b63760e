/* im-custom-message/im_seen.h - what has been acted on lately, so that a callback that comes twice is acted on once.  Pure.
 * Bound: a fixed number of entries; when it is full the oldest is forgotten. */
#ifndef IM_SEEN_H
#define IM_SEEN_H

#include <stdbool.h>
#include <stdint.h>

#include "im_sign.h"

#define IM_SEEN_S 600u      /* how long a name is remembered */
#define IM_SEEN_MAX 65536u  /* names remembered at most; a power of two */

struct im_seen;

int im_seen_create(struct im_seen **ret_seen); /* 0 or -ENOMEM */
void im_seen_free(struct im_seen *seen);       /* NULL is fine */

/* im_seen_first - true and remembered from now on if this name was not seen within IM_SEEN_S. */
bool im_seen_first(struct im_seen *seen, const char *name, uint64_t now_s);
/* im_seen_add - remembers a digest that is known already. */
void im_seen_add(struct im_seen *seen, const unsigned char digest[IM_DIGEST], uint64_t now_s);

#endif
