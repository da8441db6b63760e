/* upstream/upstream_replay.h - a recorded response once more through the code that read it: HTTP, dialect, verdict.  No sockets, no clock: the
 * same bytes and the same end give the same events and the same verdict, however the bytes are cut.  One thread. */
#ifndef UPSTREAM_REPLAY_H
#define UPSTREAM_REPLAY_H

#include "core/base/why.h"
#include "core/parse/event.h"
#include "core/upstream/upstream_record.h"

struct upstream_replay;

struct upstream_replay_options { /* dialect and quirks are copied, the rest is borrowed */
    const char *dialect;
    const struct dialect_quirks *quirks;
    uint32_t answer_max_bytes;
    uint64_t cancelled_after; /* events after which it was cancelled; UINT64_MAX: it was not */
    void (*event)(void *owner, const struct parse_event *event);
    void *owner;
};

/* upstream_replay_create - 0; -EINVAL: no such dialect; -ENOMEM. */
int upstream_replay_create(const struct upstream_replay_options *options, struct upstream_replay **ret_replay, struct why *why);

/* upstream_replay_feed - the next bytes of the response.  True: it has ended, further bytes are not looked at. */
bool upstream_replay_feed(struct upstream_replay *replay, const char *bytes, size_t size);

/* upstream_replay_end - there are no more bytes; how, clean and text (the words of a time limit) as they were recorded.  Once.
 * *ret_end: how it ended now; its text is good until upstream_replay_free. */
void upstream_replay_end(struct upstream_replay *replay, enum upstream_record_how how, bool clean, const char *text,
                         struct upstream_record_end *ret_end);

void upstream_replay_free(struct upstream_replay *replay); /* NULL is fine */

#endif
