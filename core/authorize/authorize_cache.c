#include "core/authorize/authorize_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/number.h"

struct entry {
    struct list by_use; /* authorize_cache.by_use: the one looked at last first */
    struct entry *next; /* bucket */
    uint8_t digest[AUTHORIZE_DIGEST];
    struct authorize_verdict verdict; /* its texts point behind this struct */
    char texts[];
};

struct authorize_cache {
    struct list by_use;
    uint32_t count, max, mask;
    struct entry **buckets;
};

int authorize_cache_create(uint32_t entries_max, struct authorize_cache **ret_cache)
{
    struct authorize_cache *cache = calloc(1, sizeof *cache);
    uint64_t buckets = number_power_of_two(entries_max);

    if (!cache)
        return -ENOMEM;
    cache->buckets = calloc(buckets, sizeof(struct entry *));
    if (!cache->buckets) {
        free(cache);
        return -ENOMEM;
    }
    list_init(&cache->by_use);
    cache->max = entries_max;
    cache->mask = (uint32_t)(buckets - 1);
    *ret_cache = cache;
    return 0;
}

/* The digest is a keyed hash: any bytes of it are as good as any others, and no client can aim at a bucket. */
static struct entry **place_of(struct authorize_cache *cache, const uint8_t digest[AUTHORIZE_DIGEST])
{
    uint32_t hash;

    memcpy(&hash, digest, sizeof hash);
    struct entry **place = &cache->buckets[hash & cache->mask];
    while (*place && memcmp((*place)->digest, digest, AUTHORIZE_DIGEST) != 0)
        place = &(*place)->next;
    return place;
}

static void drop(struct authorize_cache *cache, struct entry **place)
{
    struct entry *entry = *place;

    *place = entry->next;
    list_remove(&entry->by_use);
    cache->count--;
    free(entry);
}

void authorize_cache_free(struct authorize_cache *cache)
{
    if (!cache)
        return;
    while (!list_is_empty(&cache->by_use))
        drop(cache, place_of(cache, list_entry(cache->by_use.next, struct entry, by_use)->digest));
    free(cache->buckets);
    free(cache);
}

bool authorize_cache_find(struct authorize_cache *cache, const uint8_t digest[AUTHORIZE_DIGEST], uint64_t now_ns,
                          struct authorize_verdict *ret_verdict)
{
    struct entry **place = place_of(cache, digest), *entry = *place;

    if (!entry)
        return false;
    if (now_ns >= entry->verdict.until_ns) {
        drop(cache, place);
        return false;
    }
    list_remove(&entry->by_use);
    list_prepend(&cache->by_use, &entry->by_use);
    *ret_verdict = entry->verdict;
    return true;
}

void authorize_cache_put(struct authorize_cache *cache, const uint8_t digest[AUTHORIZE_DIGEST], const struct authorize_verdict *verdict)
{
    size_t message = strlen(verdict->message) + 1, user = strlen(verdict->user) + 1;
    struct entry *entry = malloc(sizeof *entry + message + user), **place = place_of(cache, digest);

    if (*place)
        drop(cache, place);
    if (!entry)
        return;
    if (cache->count == cache->max)
        drop(cache, place_of(cache, list_entry(cache->by_use.prev, struct entry, by_use)->digest));
    entry->verdict = *verdict;
    entry->verdict.message = memcpy(entry->texts, verdict->message, message);
    entry->verdict.user = memcpy(entry->texts + message, verdict->user, user);
    memcpy(entry->digest, digest, AUTHORIZE_DIGEST);
    place = place_of(cache, digest); /* the one that went may have been its neighbour */
    entry->next = NULL;
    *place = entry;
    list_prepend(&cache->by_use, &entry->by_use);
    cache->count++;
}

uint32_t authorize_cache_count(const struct authorize_cache *cache)
{
    return cache->count;
}
