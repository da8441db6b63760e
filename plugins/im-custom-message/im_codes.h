/* im-custom-message/im_codes.h - what the service's result codes mean for us.  Pure. */
#ifndef IM_CODES_H
#define IM_CODES_H

#include <stdint.h>

enum im_class {
    IM_OK,
    IM_TRANSIENT,    /* it was not done: again, with growing delay */
    IM_UNCLEAR,      /* it may have been done */
    IM_RATE,         /* too fast: wait, stretch the interval */
    IM_VOLUME,       /* the trial's volume is used up: stop for the day */
    IM_SIGNATURE,    /* the UserSig is not good: a new one, once */
    IM_CONFIGURATION,/* the operator must act */
    IM_ACCOUNT,      /* there is no such account */
    IM_ACCOUNT_LATER,/* perhaps not yet: once more after a minute */
    IM_CONTENT,      /* the text was refused */
    IM_TOO_LONG,     /* split */
    IM_GONE,         /* the message does not exist any more */
    IM_CONFLICT,     /* somebody else changed it just now: again, once */
    IM_RELATION,     /* not friends, muted */
    IM_OTHER,        /* a code we know nothing of */
    IM_CLASS_COUNT
};

/* im_class_of - the class of an ErrorCode. */
enum im_class im_class_of(int64_t code);
const char *im_class_name(enum im_class class_);    /* for lists */
const char *im_class_counter(enum im_class class_); /* the counter of calls that ended so */

#endif
