/* upstream/upstream_resolver.h - internal to the module: names to addresses without blocking the loop.
 *
 * One thread calls getaddrinfo; questions go to it by a queue, answers come back by a list and an eventfd.  Answers are kept for
 * 60 s; when a later look-up fails the old answer goes on being used.  Bounds: RESOLVER_NAMES_MAX names, each asked for at most
 * once at a time. */
#ifndef UPSTREAM_RESOLVER_H
#define UPSTREAM_RESOLVER_H

#include <stdint.h>
#include <sys/socket.h>

#include "core/base/list.h"
#include "core/upstream/upstream.h"

#define RESOLVER_ADDRESSES_MAX 8u
#define RESOLVER_NAMES_MAX 256u
#define RESOLVER_FRESH_S 60u /* an answer is used without asking again */
#define RESOLVER_RETRY_S 5u  /* ... after a failure that an old answer covered */

struct upstream_address {
    struct sockaddr_storage address; /* port 0 */
    socklen_t size;
};

struct upstream_answer {
    int error; /* 0, or what getaddrinfo said (EAI_*): gai_strerror */
    uint32_t count;
    struct upstream_address address[RESOLVER_ADDRESSES_MAX]; /* in the order to try them: families take turns */
};

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

/* upstream_resolver_expire - every name is asked for anew at its next use; the old answers stay for when that fails. */
void upstream_resolver_expire(struct upstream_resolver *resolver);

/* upstream_resolver_set_source - for tests: who answers instead of getaddrinfo, on the resolver's thread. */
void upstream_resolver_set_source(struct upstream_resolver *resolver,
                                  void (*source)(const char *host, struct upstream_answer *ret_answer));

#endif
