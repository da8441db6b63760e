/* The writer.  One event:
 *   W1 seq = 2n + 1 (relaxed), W2 fence release, W3 words (relaxed), W4 seq = 2n + 2 (release), W5 head = n + 1 (release)
 *   W1, W2 pair with the reader's R4: who copied any newer word sees another number and drops the copy
 *   W4 pairs with R1: who sees 2n + 2 sees every word stored before it
 *   W5 pairs with the reader's look at the head: whoever is told of event n finds 2n + 2 or a later number
 * A writer that was killed between W1 and W5 leaves a number that its successor overwrites with the same n. */
#include "core/metrics/trail.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/metrics/stats_layout.h"
#include "core/metrics/trail_layout.h"
#include "core/metrics/trail_mutate.h"

struct trail {
    struct trail_header *header;
    struct trail_slot *slot;
    size_t size;
    uint32_t slots; /* trusted: the header may be scribbled over */
    uint64_t head;
};

static bool slots_are_good(uint32_t slots)
{
    return slots > 0 && slots <= TRAIL_SLOTS_MAX && (slots & (slots - 1)) == 0;
}

int trail_place(int fd, uint64_t *ret_at, uint64_t *ret_file_size, struct why *why)
{
    struct stats_header stats;
    struct stat about;
    uint64_t at = 0;

    if (fstat(fd, &about) == -1)
        return why_errno(why, errno, "looking at the event ring");
    if (!S_ISREG(about.st_mode))
        return why_set(why, -EPROTO, "not an event ring: no file");
    if (pread(fd, &stats, sizeof stats, 0) == (ssize_t)sizeof stats &&
        atomic_load_explicit(&stats.magic, memory_order_relaxed) == STATS_MAGIC) {
        if (stats.size > (uint64_t)about.st_size)
            return why_set(why, -EPROTO, "the stats page before the event ring leaves the file");
        at = (stats.size + TRAIL_ALIGN - 1) / TRAIL_ALIGN * TRAIL_ALIGN;
    }
    *ret_at = at;
    *ret_file_size = (uint64_t)about.st_size;
    return 0;
}

static void fill_header(struct trail_header *header, uint32_t slots)
{
    header->layout = TRAIL_LAYOUT;
    header->slot_size = sizeof(struct trail_slot);
    header->slots = slots;
    header->header_size = sizeof *header;
    atomic_store_explicit(&header->magic, TRAIL_MAGIC, memory_order_release);
}

static bool header_fits(const struct trail_header *header, uint64_t room)
{
    return room >= sizeof *header && atomic_load_explicit(&header->magic, memory_order_acquire) == TRAIL_MAGIC &&
           header->layout == TRAIL_LAYOUT && header->slot_size == sizeof(struct trail_slot) && header->header_size == sizeof *header &&
           slots_are_good(header->slots) && trail_size(header->slots) <= room;
}

/* slots 0: as many as the header says, which is checked. */
static int map_trail(int fd, uint64_t at, uint32_t slots, uint64_t file_size, struct trail **ret_trail, struct why *why)
{
    uint64_t room = file_size > at ? file_size - at : 0;
    struct trail *trail;
    void *base;

    if (room < trail_size(slots ? slots : 1))
        return why_set(why, -ENOENT, "there is no event ring");
    base = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)at);
    if (base == MAP_FAILED)
        return why_errno(why, errno, "mapping the event ring");
    trail = slots || header_fits(base, room) ? calloc(1, sizeof *trail) : NULL;
    if (!trail) {
        munmap(base, room);
        return why_set(why, -EPROTO, "not an event ring of this version, or no memory for it");
    }
    *trail = (struct trail){.header = base, .size = room, .slots = slots ? slots : ((struct trail_header *)base)->slots};
    trail->slot = (struct trail_slot *)(void *)(trail->header + 1);
    trail->head = atomic_load_explicit(&trail->header->head, memory_order_relaxed);
    if (trail->head > UINT64_MAX / 4)
        trail->head = 0; /* damaged: 2n + 2 must not overflow */
    *ret_trail = trail;
    return 0;
}

/* A fresh file beside path, then in its place: who reads the old one goes on doing so. */
static int replace_file(const char *path, uint32_t slots, struct trail **ret_trail, struct why *why)
{
    char fresh[PATH_MAX];
    int r, fd;

    if (snprintf(fresh, sizeof fresh, "%s.new", path) >= (int)sizeof fresh)
        return why_set(why, -ENAMETOOLONG, "%s: the path is too long", path);
    unlink(fresh);
    fd = open(fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd == -1)
        return why_errno(why, errno, "making %s", fresh);
    r = ftruncate(fd, (off_t)trail_size(slots)) == -1 ? why_errno(why, errno, "making %s", fresh) : 0;
    if (r == 0 && fallocate(fd, 0, 0, (off_t)trail_size(slots)) == -1 && errno != EOPNOTSUPP)
        r = why_errno(why, errno, "room for %s", fresh); /* now, and not a SIGBUS later */
    if (r == 0)
        r = map_trail(fd, 0, slots, trail_size(slots), ret_trail, why);
    if (r == 0) {
        fill_header((*ret_trail)->header, slots);
        if (rename(fresh, path) == -1) {
            r = why_errno(why, errno, "putting %s in place", path);
            trail_free(*ret_trail);
        }
    }
    close(fd);
    if (r < 0)
        unlink(fresh);
    return r;
}

int trail_create(const char *path, uint32_t slots, struct trail **ret_trail, struct why *why)
{
    struct trail *trail = NULL;
    struct why unused = {""};
    uint64_t at, size;
    int fd;

    if (!slots_are_good(slots))
        return why_set(why, -EINVAL, "an event ring of %u slots: a power of two up to %u is needed", slots, TRAIL_SLOTS_MAX);
    fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd != -1) {
        if (trail_place(fd, &at, &size, &unused) == 0 && at == 0 && size == trail_size(slots) &&
            map_trail(fd, 0, 0, size, &trail, &unused) == 0 && trail->slots != slots) {
            trail_free(trail);
            trail = NULL;
        }
        close(fd);
    }
    if (!trail)
        return replace_file(path, slots, ret_trail, why);
    *ret_trail = trail;
    return 0;
}

int trail_append(int fd, uint32_t slots, struct why *why)
{
    struct trail_header header = {0};
    uint64_t at, size;
    int r;

    if (!slots_are_good(slots))
        return why_set(why, -EINVAL, "an event ring of %u slots: a power of two up to %u is needed", slots, TRAIL_SLOTS_MAX);
    r = trail_place(fd, &at, &size, why);
    if (r < 0)
        return r;
    fill_header(&header, slots);
    if (ftruncate(fd, (off_t)(at + trail_size(slots))) == -1 || pwrite(fd, &header, sizeof header, (off_t)at) != (ssize_t)sizeof header)
        return why_errno(why, errno, "room for events");
    /* Now, not slot by slot: where a full disk would be a signal instead of an error. */
    r = posix_fallocate(fd, (off_t)at, (off_t)trail_size(slots));
    return r ? why_errno(why, r, "room for events") : 0;
}

int trail_adopt(int fd, struct trail **ret_trail, struct why *why)
{
    uint64_t at, size;
    int r = trail_place(fd, &at, &size, why);

    return r < 0 ? r : map_trail(fd, at, 0, size, ret_trail, why);
}

void trail_free(struct trail *trail)
{
    if (!trail)
        return;
    munmap(trail->header, trail->size);
    free(trail);
}

void trail_text(struct trail_record *record, enum trail_text which, const char *text)
{
    size_t size = strnlen(text, TRAIL_TEXT_MAX);

    if (size == TRAIL_TEXT_MAX)
        for (size--; size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80; size--)
            ;
    memcpy(record->text[which], text, size);
    memset(record->text[which] + size, 0, TRAIL_TEXT_MAX - size);
}

void trail_put(struct trail *trail, struct trail_record *record)
{
    uint64_t words[TRAIL_WORDS];
    struct trail_slot *slot;
    uint64_t n;

    if (!trail)
        return;
    record->wall_ms = clock_wall_ms();
    record->time_ns = clock_now_ns();
    memcpy(words, record, sizeof words);
    n = trail->head;
    slot = &trail->slot[n & (trail->slots - 1)];
    if (TRAIL_MUTANT(HEAD_FIRST))
        atomic_store_explicit(&trail->header->head, n + 1, memory_order_release);
    if (!TRAIL_MUTANT(NO_W1))
        atomic_store_explicit(&slot->seq, 2 * n + 1, memory_order_relaxed); /* W1 */
    TRAIL_STEP(W1);
    atomic_thread_fence(memory_order_release); /* W2 */
    for (size_t i = 0; i < TRAIL_WORDS; i++) {
        atomic_store_explicit(&slot->word[i], words[i], memory_order_relaxed); /* W3 */
        if (i == TRAIL_WORDS / 2)
            TRAIL_STEP(W3_HALF);
    }
    TRAIL_STEP(W3);
    atomic_store_explicit(&slot->seq, 2 * n + 2, memory_order_release); /* W4 */
    TRAIL_STEP(W4);
    trail->head = n + 1;
    atomic_store_explicit(&trail->header->head, trail->head, memory_order_release); /* W5 */
    TRAIL_STEP(W5);
}
