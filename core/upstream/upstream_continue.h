/* upstream/upstream_continue.h - what one answer needs so that another service can go on with it: the text so far, what stands against it,
 * and the joint.  Internal to the module, pure, one thread.
 *
 * An answer can be continued while it has text of at most CONTINUE_TEXT_MAX bytes (or only thinking so far: then it is asked anew), holds no
 * tool call, and has been continued less than CONTINUE_MAX times.  The thinking of a service that continues is not passed on: it would be
 * about a text that stands already.  Usage is the sum of what all of them have told. */
#ifndef UPSTREAM_CONTINUE_H
#define UPSTREAM_CONTINUE_H

#include <stdbool.h>
#include <stdint.h>
#include <umbel/out.h>

#include "core/parse/event.h"
#include "core/upstream/upstream_joint.h"

#define CONTINUE_TEXT_MAX ((size_t)256 << 10)
#define CONTINUE_MAX 3u

struct upstream_continue {
    struct umbel_out so_far; /* what has been passed on as text */
    struct upstream_joint joint;
    uint32_t count;          /* how often another service has been asked to go on */
    bool tool, too_long;     /* what stands against it */
    bool half;               /* the replacement of half a character waits: who continues will say it whole */
    uint64_t held_ns;        /* when the text came that waits, here or in the joint */
    uint64_t prompt_tokens, completion_tokens;   /* of the services before */
    uint64_t prompt_at_hand, completion_at_hand; /* of this one */
};

typedef void continue_sink(void *owner, const struct parse_event *event, uint64_t arrival_ns);

/* continue_create - NULL without memory.  continue_free - NULL is fine. */
struct upstream_continue *continue_create(void);
void continue_free(struct upstream_continue *c);

/* continue_event - one event of the service at hand: notes it, and gives sink what is to be passed on (nothing, or up to three events).
 * The sink may end the answer; *over (borrowed) tells so and stops what is left. */
void continue_event(struct upstream_continue *c, const struct parse_event *event, uint64_t arrival_ns, continue_sink *sink, void *owner,
                    const bool *over);

/* continue_flush - the answer ends here: what was held. */
void continue_flush(struct upstream_continue *c, continue_sink *sink, void *owner, const bool *over);

/* continue_may - may another service go on with it?  Otherwise *ret_reason says why not, for the log. */
bool continue_may(const struct upstream_continue *c, const char **ret_reason);

/* continue_break - the service at hand has failed: what it held is forgotten, its usage is added. */
void continue_break(struct upstream_continue *c);

/* continue_join - another service begins; unseen: bytes at the end of the text that it was not shown. */
void continue_join(struct upstream_continue *c, size_t unseen);

#endif
