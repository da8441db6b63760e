/* show/show_answer.h - what one client has been told of the answer.  Pure: no sockets, no clock. */
#ifndef SHOW_ANSWER_H
#define SHOW_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <umbel/out.h>

#define SHOW_TEXT_MAX (16u << 20) /* bytes of an answer: over it the client gives up */
#define SHOW_WHY_MAX 200u

enum show_state { SHOW_WAITING, SHOW_WHOLE, SHOW_BROKEN };

struct show_answer {
    struct umbel_out text; /* UTF-8 */
    uint64_t frames;       /* protocol messages that belonged to the answer */
    enum show_state state;
    char why[SHOW_WHY_MAX]; /* SHOW_BROKEN: what is wrong */
};

/* show_answer_free - gives the text back; a zeroed struct is fine. */
void show_answer_free(struct show_answer *answer);

/* show_answer_text - the next piece of text.  Text after the end is a fault. */
void show_answer_text(struct show_answer *answer, const char *text, size_t size);

/* show_answer_whole - the protocol's own sign that nothing is missing.  A second one is a fault. */
void show_answer_whole(struct show_answer *answer);

/* show_answer_break - this client did not get the whole answer; a fault after the end counts, too.  The first reason is kept.  Control
 * characters become blanks. */
void show_answer_break(struct show_answer *answer, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
