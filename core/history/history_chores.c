/* Deleting and giving back, a small step at a time. */
#include <errno.h>

#include "core/base/clock.h"
#include "core/history/history_thread.h"

#define AGE_CHECK_S 3600u        /* how often turns that have become too old are looked for */
#define SCRUB_RETRY_MS 250u      /* another program is reading the write-ahead log */
#define DAY_MS 86400000ull
#define USAGE_KEPT_MS (2 * DAY_MS) /* usage younger than this does not go for want of room */

static void scrub(struct history_thread *thread, uint64_t now_ns)
{
    struct history_trouble trouble;
    int r = history_store_scrub(thread->store, &trouble);

    if (r == -EBUSY) { /* another program reads; nothing is wrong */
        thread->chore_ns = now_ns + SCRUB_RETRY_MS * CLOCK_MS;
        if (now_ns >= thread->scrub_until_ns)
            history_asks_end_forgets(thread, -EBUSY, "another program holds the database open");
        return;
    }
    if (!history_thread_went_well(thread, r, &trouble))
        return;
    thread->scrub = false;
    history_asks_end_forgets(thread, 0, "");
}

/* A step's worth of what is too old, or else too much. */
static void retire(struct history_thread *thread)
{
    struct history_trouble trouble;
    uint64_t now_ms = clock_wall_ms(), kept_ms = thread->options->retention_days * DAY_MS;
    struct history_size size;
    int usage = 0, r = history_store_size(thread->store, &size, &trouble);

    if (r == 0 && kept_ms && now_ms > kept_ms)
        r = history_store_retire(thread->store, now_ms - kept_ms, &trouble);
    if (r == 0 && kept_ms && now_ms > kept_ms)
        usage = history_store_retire_usage(thread->store, now_ms - kept_ms, &trouble);
    if (r == 0 && usage == 0 && thread->options->retention_mb && size.used > (uint64_t)thread->options->retention_mb << 20) {
        r = history_store_retire(thread->store, UINT64_MAX, &trouble);
        if (r >= 0 && now_ms > USAGE_KEPT_MS) /* what the day's limits are counted from stays */
            usage = history_store_retire_usage(thread->store, now_ms - USAGE_KEPT_MS, &trouble);
    }
    if (r >= 0 && usage < 0)
        r = usage;
    if (!history_thread_went_well(thread, r, &trouble))
        return;
    if (r == 0 && usage == 0) {
        thread->retire = false; /* not measured again: the limit may be less than an empty database */
        return;
    }
    pthread_mutex_lock(&thread->shared->lock);
    thread->shared->counts.retired += (uint64_t)r;
    pthread_mutex_unlock(&thread->shared->lock);
    history_thread_measure(thread);
}

void history_chore_step(struct history_thread *thread, uint64_t now_ns)
{
    struct history_trouble trouble;
    int r;

    if (!thread->writable || now_ns < thread->chore_ns)
        return;
    if (now_ns >= thread->age_ns) {
        thread->age_ns = now_ns + AGE_CHECK_S * CLOCK_S;
        thread->retire = true;
    }
    if (thread->purge) {
        r = history_store_purge(thread->store, &trouble);
        if (!history_thread_went_well(thread, r, &trouble))
            return;
        thread->purge = r > 0;
        thread->scrub = thread->scrub || r > 0 || !list_is_empty(&thread->forgets);
    } else if (thread->scrub) {
        scrub(thread, now_ns);
    } else if (thread->retire) {
        retire(thread);
    } else if (thread->vacuum) {
        r = history_store_vacuum(thread->store, &trouble);
        if (!history_thread_went_well(thread, r, &trouble))
            return;
        thread->vacuum = false;
        if (r > 0)
            history_thread_measure(thread); /* asks for another step if need be */
        thread->scrub = r > 0 && !thread->vacuum; /* the file shrinks when the log is moved into it */
    } else {
        thread->chore_ns = thread->age_ns;
    }
}
