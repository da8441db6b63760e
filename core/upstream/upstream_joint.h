/* upstream/upstream_joint.h - where the text of one service ends and that of the next begins: what the next one says again is left out.
 *
 * Two things are said again: the end of the text (a service that begins its sentence anew), found as the longest end of the text that is
 * also the beginning of what comes; and white space at the end of the text that the service was not shown.  Found repetitions of less than
 * JOINT_MIN bytes, and those that are a pattern repeated within themselves (rules, rows of zeroes), are taken for text that happens to
 * go on like that, and stay.  What comes is held while it may still be a repetition: at most JOINT_MAX bytes.  Pure. */
#ifndef UPSTREAM_JOINT_H
#define UPSTREAM_JOINT_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/span.h"

#define JOINT_MIN 24u   /* bytes: about four words */
#define JOINT_MAX 1024u /* bytes of the end of the text that are looked at, and that are held */

struct upstream_joint {
    size_t tail_size, held_size, unseen; /* unseen: bytes of white space at the text's end that the service was not shown */
    size_t left_out;                     /* bytes, once it is decided */
    bool open;                           /* not decided yet */
    char tail[JOINT_MAX], held[JOINT_MAX];
};

/* joint_begin - text: all there is so far; its last `unseen` bytes the service does not know. */
void joint_begin(struct upstream_joint *joint, struct span text, size_t unseen);

/* joint_take - what comes next (whole characters); text is borrowed.  Gives what is to be passed on, in two pieces, each of which may be
 * empty: they lie in joint and in text and are good until the next call.  Once joint->open is false everything passes. */
void joint_take(struct upstream_joint *joint, struct span text, struct span ret_pieces[2]);

/* joint_end - nothing more comes: what is held and is no repetition. */
struct span joint_end(struct upstream_joint *joint);

#endif
