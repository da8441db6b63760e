/* upstream/upstream_dial.h - internal to the module: one of several addresses, connected (RFC 8305, "happy eyeballs").
 *
 * Addresses are tried in the order they are given, families taking turns.  The next attempt begins when one fails, or when
 * stagger_ns have passed without a winner; the earlier ones go on meanwhile.  The first that is connected wins, the others are
 * closed.  There is no time limit here: the caller frees the dial when its own has come.  Bound: RESOLVER_ADDRESSES_MAX sockets.
 */
#ifndef UPSTREAM_DIAL_H
#define UPSTREAM_DIAL_H

#include <stdint.h>

#include "core/base/clock.h"
#include "core/upstream/upstream_resolver.h"
#include "core/uring/uring_loop.h"
#include "core/uring/uring_socket.h"

#define DIAL_STAGGER_NS (250 * CLOCK_MS)
#define DIAL_TEXT_MAX 96u

struct upstream_dial_ops {
    /* A connected socket, the caller's from here: it sets itself as its owner.  better: the winner's address if it was not the
     * first one, else NULL.  The dial may be freed inside. */
    void (*connected)(void *owner, struct uring_socket *socket, const struct upstream_address *better);
    /* Every address has failed; error: -errno of the last.  The dial may be freed inside. */
    void (*failed)(void *owner, int error);
};

struct upstream_dial_attempt {
    struct upstream_dial *dial;
    struct uring_socket *socket; /* NULL: not begun, or over */
};

struct upstream_dial {
    struct uring_loop *loop;
    const struct upstream_dial_ops *ops;
    void *owner;
    struct upstream_answer answer;
    uint16_t port;
    uint32_t next, running; /* the next address; attempts under way */
    uint64_t stagger_ns;
    struct uring_timer timer; /* when the next begins although none has failed */
    int error;                /* of the attempt that failed last */
    uint32_t failed_at;       /* which one that was */
    struct upstream_dial_attempt attempt[RESOLVER_ADDRESSES_MAX];
};

/* upstream_dial_start - answer is copied; no callback comes from inside.  0 and *ret; -ENOMEM; or the last -errno when no attempt
 * could even be begun, with *ret_text (DIAL_TEXT_MAX bytes) as upstream_dial_text. */
int upstream_dial_start(struct uring_loop *loop, const struct upstream_answer *answer, uint16_t port, uint64_t stagger_ns,
                        const struct upstream_dial_ops *ops, void *owner, struct upstream_dial **ret_dial, char *ret_text);

/* upstream_dial_text - the address that failed last, and how many more there were: "192.0.2.1, the last of 3 addresses". */
void upstream_dial_text(const struct upstream_dial *dial, char text[DIAL_TEXT_MAX]);

void upstream_dial_free(struct upstream_dial *dial); /* closes what is still connecting; NULL is fine */

#endif
