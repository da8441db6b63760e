/* The reader of event n:
 *   R0 head (acquire): only what has been published is looked for
 *   R1 seq: 2n + 2 or it is not event n, R2 copy, R3 fence acquire, R4 seq again: another number means that the copy may be mixed */
#include "core/metrics/trail_view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/metrics/trail_layout.h"
#include "core/metrics/trail_mutate.h"

struct trail_view {
    int fd;
    uint32_t slots;
    uint64_t at; /* of the ring in the file */
};

static bool read_at(const struct trail_view *view, void *to, size_t size, uint64_t offset)
{
    ssize_t n;

    do
        n = pread(view->fd, to, size, (off_t)(view->at + offset));
    while (n == -1 && errno == EINTR);
    return n == (ssize_t)size;
}

static int check(struct trail_view *view, uint64_t file_size, struct why *why)
{
    struct trail_header header;

    if (view->at >= file_size)
        return why_set(why, -ENOENT, "there are no events in it");
    if (file_size - view->at < sizeof header || !read_at(view, &header, sizeof header, 0))
        return why_set(why, -EPROTO, "not an event ring: too small");
    if (atomic_load_explicit(&header.magic, memory_order_relaxed) != TRAIL_MAGIC)
        return why_set(why, -EPROTO, "not an event ring");
    if (header.layout != TRAIL_LAYOUT || header.slot_size != sizeof(struct trail_slot) || header.header_size != sizeof header)
        return why_set(why, -EPROTO, "event ring of layout %u, this program reads %u: use the umbelctl that came with the daemon",
                       header.layout, TRAIL_LAYOUT);
    if (header.slots == 0 || header.slots > TRAIL_SLOTS_MAX || (header.slots & (header.slots - 1)) ||
        trail_size(header.slots) > file_size - view->at)
        return why_set(why, -EPROTO, "the event ring says %u slots, the file has no room for them", header.slots);
    view->slots = header.slots;
    return 0;
}

int trail_view_open(const char *path, struct trail_view **ret_view, struct why *why)
{
    struct trail_view *view = calloc(1, sizeof *view);
    uint64_t size;
    int r;

    if (!view)
        return why_set(why, -ENOMEM, "no memory for a view of events");
    view->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (view->fd == -1) {
        r = why_errno(why, errno, "opening %s", path);
        goto fail;
    }
    r = trail_place(view->fd, &view->at, &size, why);
    if (r == 0)
        r = check(view, size, why);
    if (r < 0)
        goto fail;
    *ret_view = view;
    return 0;
fail:
    trail_view_close(view);
    return r;
}

void trail_view_close(struct trail_view *view)
{
    if (!view)
        return;
    fd_close(&view->fd);
    free(view);
}

bool trail_view_is_current(const struct trail_view *view, const char *path)
{
    struct stat mine, there;

    return fstat(view->fd, &mine) == 0 && stat(path, &there) == 0 && mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
}

uint32_t trail_view_slots(const struct trail_view *view)
{
    return view->slots;
}

uint64_t trail_view_head(const struct trail_view *view)
{
    uint64_t head = 0;

    if (!read_at(view, &head, sizeof head, offsetof(struct trail_header, head)) || head > UINT64_MAX / 4)
        return 0;
    atomic_thread_fence(memory_order_acquire); /* R0 */
    return head;
}

uint64_t trail_view_oldest(const struct trail_view *view)
{
    uint64_t head = trail_view_head(view);

    return head > view->slots ? head - view->slots : 0;
}

/* Only a number beyond event n's says that it was there and is gone. */
static enum trail_seen missed(uint64_t seq, uint64_t n)
{
    return seq > 2 * n + 2 ? TRAIL_OVERWRITTEN : TRAIL_TORN;
}

enum trail_seen trail_view_read(const struct trail_view *view, uint64_t n, struct trail_record *ret_record)
{
    uint64_t at = sizeof(struct trail_header) + (n & (view->slots - 1)) * sizeof(struct trail_slot), seq, again;

    if (n >= trail_view_head(view))
        return TRAIL_NOT_YET;
    if (!read_at(view, &seq, sizeof seq, at))
        return TRAIL_TORN;
    if (seq != 2 * n + 2 && !(TRAIL_MUTANT(NO_R1) && seq % 2 == 0)) /* R1 */
        return missed(seq, n);
    TRAIL_STEP(R1);
    atomic_thread_fence(memory_order_acquire);
    if (!read_at(view, ret_record, sizeof *ret_record, at + sizeof seq)) /* R2 */
        return TRAIL_TORN;
    TRAIL_STEP(R2);
    atomic_thread_fence(memory_order_acquire); /* R3 */
    if (!read_at(view, &again, sizeof again, at))
        return TRAIL_TORN;
    if (again != seq && !TRAIL_MUTANT(NO_R4)) /* R4 */
        return missed(again, n);
    for (unsigned i = 0; i < TRAIL_TEXT_COUNT; i++)
        ret_record->text[i][TRAIL_TEXT_MAX - 1] = '\0';
    return TRAIL_SEEN;
}
