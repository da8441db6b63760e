/* authorize/authorize_thread.h - HTTP by libcurl in a thread of its own.
 *
 *      loop: authorize_thread_give --list, lock--> thread: curl_multi --list, lock, eventfd--> loop: authorize_thread_take
 *
 * A call belongs to the thread from give until take has returned it; what it points to must live as long.  Every call comes back. */
#ifndef AUTHORIZE_THREAD_H
#define AUTHORIZE_THREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/list.h"
#include "core/base/why.h"

struct authorize_thread;

/* Where to call; the same for all calls of a service. */
struct authorize_target {
    char *url, *bearer /* the whole header line, or "" */, *ca_file;
};

struct authorize_exchange {
    struct list link;
    const struct authorize_target *target;
    char *body; /* wiped and freed by whoever frees the exchange */
    size_t body_size, body_room;
    uint32_t timeout_ms;
    /* the outcome */
    char *reply; /* at most AUTHORIZE_REPLY_MAX bytes; owned */
    size_t reply_size, header_bytes;
    long status;      /* 0: no HTTP answer came */
    bool whole;       /* it came to its end */
    bool late;        /* it did not: timeout_ms was over */
    uint64_t took_ns;
    char error[256];  /* why not, in libcurl's words */
};

/* authorize_thread_start - eventfd: written when something can be taken; not closed here.  0 or -errno with why. */
int authorize_thread_start(int eventfd, struct authorize_thread **ret_thread, struct why *why);
void authorize_thread_give(struct authorize_thread *thread, struct authorize_exchange *exchange);
struct authorize_exchange *authorize_thread_take(struct authorize_thread *thread); /* NULL: nothing has ended */
/* authorize_thread_stop - breaks off what runs; every exchange it had is given to drop.  NULL is fine. */
void authorize_thread_stop(struct authorize_thread *thread, void (*drop)(struct authorize_exchange *exchange));

#endif
