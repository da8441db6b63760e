/* metrics/trail_view.h - reading an event ring from outside: umbelctl, tests.  Works while its writer is stopped, and after its death.
 * As stats_view.h: the file may be hostile (a host's is), so it is copied from by pread(2) and never mapped; the geometry is checked once.
 * Texts end with a zero, and are whatever the writer put there; kind and codes may be unknown.  One thread at a time. */
#ifndef TRAIL_VIEW_H
#define TRAIL_VIEW_H

#include <stdbool.h>

#include "core/metrics/trail.h"

struct trail_view;

/* trail_view_open - 0; -ENOENT: no such file, or no ring in it; other -errno; -EPROTO with words. */
int trail_view_open(const char *path, struct trail_view **ret_view, struct why *why);
void trail_view_close(struct trail_view *view); /* NULL is fine */

/* trail_view_is_current - whether path is still this file, and not one that has taken its place. */
bool trail_view_is_current(const struct trail_view *view, const char *path);

uint32_t trail_view_slots(const struct trail_view *view);
uint64_t trail_view_head(const struct trail_view *view);   /* number of the next event */
uint64_t trail_view_oldest(const struct trail_view *view); /* number of the oldest that may still be there */

enum trail_seen {
    TRAIL_SEEN,        /* *ret_record is event n, whole */
    TRAIL_NOT_YET,     /* it has not happened */
    TRAIL_OVERWRITTEN, /* a later event is in its place */
    TRAIL_TORN         /* its writer died within it, or the file is damaged */
};
enum trail_seen trail_view_read(const struct trail_view *view, uint64_t n, struct trail_record *ret_record);

#endif
