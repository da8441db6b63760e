/* race/race_remote.h - a writer in another thread or another process that does one thing at a time and can be stopped between two
 * steps of one record.  Needs sources compiled with RING_MUTATE. */
#ifndef RACE_REMOTE_H
#define RACE_REMOTE_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#include "core/ring/ring_mutate.h"
#include "core/ring/ring_reader.h"
#include "core/ring/ring_writer.h"

struct race_remote {
    struct ring_writer writer;
    struct ring_memory view; /* what the readers see: the writer's mapping (thread) or a read-only one (process) */
    uint64_t n;              /* number of the next record */
    int command[2], reply[2];
    bool process;
    pthread_t thread;
    pid_t pid;
};

/* race_stop_at - the calling thread runs act(arg) when it has done step for the count-th time from now, once. */
void race_stop_at(enum ring_step step, unsigned count, void (*act)(void *arg), void *arg);

/* race_remote_start - a ring of `slots` and its writer.  Ends the program when the system refuses. */
void race_remote_start(struct race_remote *remote, uint32_t slots, bool process);
void race_remote_end(struct race_remote *remote);

/* race_remote_publish - amount records of size bytes each; returns when they are out. */
void race_remote_publish(struct race_remote *remote, unsigned amount, uint16_t size);
/* race_remote_begin - one record, which stands still after step was done count times; race_remote_finish lets it go on to its end. */
void race_remote_begin(struct race_remote *remote, uint16_t size, enum ring_step step, unsigned count);
void race_remote_finish(struct race_remote *remote);

#endif
