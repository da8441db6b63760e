/* upstream/upstream_resolver.h - internal to the module: names to addresses without blocking the loop.
 *
 * One thread calls getaddrinfo; questions go to it by a queue, answers come back by a list and an eventfd.  Answers are kept for
 * 60 s; when a later look-up fails, or takes longer than RESOLVER_PATIENCE, the old answer goes on being used.  Bounds:
 * RESOLVER_NAMES_MAX names, each asked for at most once at a time; who waits is embedded in who asks. */
#ifndef UPSTREAM_RESOLVER_H
#define UPSTREAM_RESOLVER_H

#include <stdint.h>

#include "core/base/clock.h"
#include "core/base/list.h"
#include "core/upstream/upstream.h"
#include "core/upstream/upstream_address.h"

#define RESOLVER_NAMES_MAX 256u
#define RESOLVER_FRESH_S 60u               /* an answer is used without asking again */
#define RESOLVER_RETRY_S 5u                /* ... after a failure that an old answer covered */
#define RESOLVER_PATIENCE_NS (1 * CLOCK_S) /* for a look-up while an old answer is at hand */

/* A question, embedded in who asks it. */
struct upstream_lookup {
    void (*found)(struct upstream_lookup *lookup, const struct upstream_answer *answer); /* borrowed */
    struct list link;                                                                    /* private */
};

/* upstream_resolver_ask - returns 1 with *ret_answer when the answer is known (addresses written as numbers, fresh names); 0 when
 * lookup->found will be called later, from the loop; -ENOBUFS when RESOLVER_NAMES_MAX names are being asked for; -ENOMEM. */
int upstream_resolver_ask(struct upstream_resolver *resolver, const char *host, struct upstream_lookup *lookup,
                          struct upstream_answer *ret_answer);
void upstream_resolver_forget(struct upstream_lookup *lookup); /* found will not be called; fine when nothing was asked */

/* upstream_resolver_prefer - this address was better than those before it: it comes first until the name is looked up again. */
void upstream_resolver_prefer(struct upstream_resolver *resolver, const char *host, const struct upstream_address *address);

/* upstream_resolver_expire - every name is asked for anew at its next use; the old answers stay for when that fails. */
void upstream_resolver_expire(struct upstream_resolver *resolver);

/* upstream_resolver_set_source - for tests: who answers instead of getaddrinfo, on the resolver's thread. */
void upstream_resolver_set_source(struct upstream_resolver *resolver,
                                  void (*source)(const char *host, struct upstream_answer *ret_answer));

#endif
