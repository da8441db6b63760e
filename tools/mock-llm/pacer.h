/* pacer - all timers of the process in one heap behind one libevent timer.
 * 10,000 paced streams would otherwise mean 10,000 libevent timers being re-armed some hundred thousand times a
 * second.  The pacer sleeps at least PACER_TICK_US between two runs, so that timers that lie close together share
 * one wake-up.  Owner: the loop thread. */
#ifndef MOCK_LLM_PACER_H
#define MOCK_LLM_PACER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACER_TICK_US 250u /* the most that sharing a wake-up may delay a timer */

struct event;
struct event_base;

struct pacer_node {                        /* embedded in its owner */
    void (*fire)(struct pacer_node *node); /* called once; may set the node again or free its owner */
    uint64_t due_us;
    size_t place; /* heap index + 1; 0 while the node is not waiting */
};

struct pacer {
    struct event *timer;
    struct pacer_node **heap;
    size_t count, cap;
    uint64_t last_run_us;
    bool hurry;   /* somebody yielded: do not wait for the tick */
    bool running; /* inside a run, which arms the timer itself when it ends */
};

/* pacer_now_us returns CLOCK_MONOTONIC in microseconds. */
uint64_t pacer_now_us(void);
/* pacer_open creates the timer on base, which must outlive the pacer.  Returns 0 or -ENOMEM. */
int pacer_open(struct pacer *pacer, struct event_base *base);
/* pacer_set makes node fire at due_us (a pacer_now_us time), replacing an earlier setting.  O(log n). */
void pacer_set(struct pacer *pacer, struct pacer_node *node, uint64_t due_us);
/* pacer_yield makes node fire after the sockets had their turn: for work that is ready but must be shared out. */
void pacer_yield(struct pacer *pacer, struct pacer_node *node);
/* pacer_cancel forgets node; fine if it is not waiting. */
void pacer_cancel(struct pacer *pacer, struct pacer_node *node);
/* pacer_close frees the pacer; nodes still waiting are forgotten, not freed. */
void pacer_close(struct pacer *pacer);
#endif
