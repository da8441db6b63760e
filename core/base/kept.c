#include "core/base/kept.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/list.h"

#define BUCKETS 1024u

struct entry {
    struct entry *next;   /* bucket */
    struct list in_order; /* oldest first */
    size_t size;
    char *value;
    char key[];
};

struct kept {
    size_t count, max, bytes;
    struct list order;
    struct entry *bucket[BUCKETS];
};

static uint32_t bucket_of(const char *key)
{
    uint32_t hash = 2166136261u;

    for (; *key; key++)
        hash = (hash ^ (unsigned char)*key) * 16777619u;
    return hash % BUCKETS;
}

int kept_create(size_t keys_max, struct kept **ret_kept)
{
    struct kept *kept = calloc(1, sizeof *kept);

    if (!kept)
        return -ENOMEM;
    kept->max = keys_max;
    list_init(&kept->order);
    *ret_kept = kept;
    return 0;
}

static void entry_free(struct kept *kept, struct entry **link)
{
    struct entry *entry = *link;

    *link = entry->next;
    list_remove(&entry->in_order);
    kept->bytes -= entry->size + strlen(entry->key);
    free(entry->value);
    free(entry);
    kept->count--;
}

void kept_free(struct kept *kept)
{
    if (!kept)
        return;
    for (uint32_t i = 0; i < BUCKETS; i++)
        while (kept->bucket[i])
            entry_free(kept, &kept->bucket[i]);
    free(kept);
}

int kept_set(struct kept *kept, const char *key, const void *value, size_t size)
{
    struct entry **link = &kept->bucket[bucket_of(key)];
    char *copy;

    while (*link && strcmp((*link)->key, key) != 0)
        link = &(*link)->next;
    if (size == 0) {
        if (*link)
            entry_free(kept, link);
        return 0;
    }
    if (kept->bytes + size + strlen(key) > KEPT_BYTES_MAX)
        return -ENOSPC;
    copy = malloc(size);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, value, size);
    if (!*link) {
        struct entry *entry = kept->count < kept->max ? calloc(1, sizeof *entry + strlen(key) + 1) : NULL;
        if (!entry) {
            free(copy);
            return kept->count < kept->max ? -ENOMEM : -ENOSPC;
        }
        strcpy(entry->key, key); /* fits: its room was taken above */
        list_append(&kept->order, &entry->in_order);
        *link = entry;
        kept->count++;
        kept->bytes += strlen(key);
    }
    kept->bytes += size - (*link)->size;
    free((*link)->value);
    (*link)->value = copy;
    (*link)->size = size;
    return 0;
}

void kept_visit(const struct kept *kept, void (*visit)(void *owner, const char *key, const void *value, size_t size), void *owner)
{
    list_for_each(link, spare, &kept->order) {
        const struct entry *entry = list_entry(link, struct entry, in_order);
        visit(owner, entry->key, entry->value, entry->size);
    }
}

size_t kept_bytes(const struct kept *kept)
{
    return kept->bytes;
}

size_t kept_count(const struct kept *kept)
{
    return kept->count;
}
