/* im-custom-message/im_seen.c - see im_seen.h: a circle of entries in order of arrival, and chains into it by digest. */
#include "im_seen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

struct im_seen {
    struct {
        unsigned char digest[IM_DIGEST];
        uint64_t at_s;
        uint32_t next; /* in its chain */
    } entry[IM_SEEN_MAX];
    uint32_t chain[IM_SEEN_MAX];
    uint32_t first, count; /* of the circle */
};

int im_seen_create(struct im_seen **ret_seen)
{
    struct im_seen *seen = malloc(sizeof *seen);

    if (!seen)
        return -ENOMEM;
    memset(seen->chain, 0xff, sizeof seen->chain);
    seen->first = seen->count = 0;
    *ret_seen = seen;
    return 0;
}

void im_seen_free(struct im_seen *seen)
{
    free(seen);
}

static uint32_t *chain_of(struct im_seen *seen, const unsigned char digest[IM_DIGEST])
{
    uint32_t hash;

    memcpy(&hash, digest, sizeof hash);
    return &seen->chain[hash % IM_SEEN_MAX];
}

static void forget_oldest(struct im_seen *seen)
{
    uint32_t index = seen->first, *link = chain_of(seen, seen->entry[index].digest);

    while (*link != index)
        link = &seen->entry[*link].next;
    *link = seen->entry[index].next;
    seen->first = (seen->first + 1) % IM_SEEN_MAX;
    seen->count--;
}

void im_seen_add(struct im_seen *seen, const unsigned char digest[IM_DIGEST], uint64_t now_s)
{
    if (seen->count == IM_SEEN_MAX)
        forget_oldest(seen);
    uint32_t index = (seen->first + seen->count++) % IM_SEEN_MAX, *link = chain_of(seen, digest);
    memcpy(seen->entry[index].digest, digest, IM_DIGEST);
    seen->entry[index].at_s = now_s;
    seen->entry[index].next = *link;
    *link = index;
}

bool im_seen_first(struct im_seen *seen, const char *name, uint64_t now_s)
{
    unsigned char digest[IM_DIGEST];

    im_digest(name, strlen(name), digest);
    while (seen->count && now_s > seen->entry[seen->first].at_s + IM_SEEN_S)
        forget_oldest(seen);
    for (uint32_t index = *chain_of(seen, digest); index != NONE; index = seen->entry[index].next)
        if (memcmp(seen->entry[index].digest, digest, IM_DIGEST) == 0)
            return false;
    im_seen_add(seen, digest, now_s);
    return true;
}
