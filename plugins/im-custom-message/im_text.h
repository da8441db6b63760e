/* im-custom-message/im_text.h - how much of an answer one chat message may show, and where it is cut.  Pure.
 *
 * A message holds at most `limit` bytes of serialised MsgBody.  An answer that is longer goes on in a next message: the cut is after a line
 * end (which stays with the first part), else between two code points, so never inside a surrogate pair of the client's UTF-16.  A code
 * fence that is open at the cut is closed in the first part and opened again in the next. */
#ifndef IM_TEXT_H
#define IM_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#define IM_FENCE_MAX 80u  /* bytes of an opening fence line that are repeated, with its line end and zero */
#define IM_TAIL_MAX 320u  /* bytes put behind a message's text: a closing fence, a note */
#define IM_LIMIT 11264u   /* 11 KiB of MsgBody: the service refuses 12 KiB */
#define IM_LIMIT_STREAM 114688u /* of all chunks of a TIMStreamElem: the service refuses 128 KiB */
#define IM_LIMIT_MIN 512u
#define IM_HEADROOM 2048u /* near the limit only whole lines are shown, so that the cut never takes back what was shown */
#define IM_CLOSING_MAX 24u /* bytes that closing a fence may cost, escaped */

/* How often a text is escaped on its way into MsgBody: once as Text, twice as a string in the Data string. */
enum im_escape { IM_ESCAPE_ONCE, IM_ESCAPE_TWICE };

/* im_text_cost - bytes that text takes in the serialised body. */
size_t im_text_cost(enum im_escape escape, const char *text, size_t size);

/* im_text_is_blank - nothing but white space. */
bool im_text_is_blank(const char *text, size_t size);

/* im_text_fence - the code fence that is open at the end of (head + text): its opening line in ret_open ("" if none is open), with a line
 * end, cut to what fits; and what closes it ("```\n" or "\n```\n" by what the text ends with; "" if none) in ret_close.  head may be NULL. */
void im_text_fence(const char *head, const char *text, size_t size, char ret_open[IM_FENCE_MAX], char ret_close[IM_FENCE_MAX]);

struct im_plan_input {
    const char *text; /* of this message and what is known of the next, without head */
    size_t size;
    const char *head; /* an opened fence put before it, "" if none */
    size_t floor;     /* bytes that the client may have seen: never fewer */
    size_t limit;     /* bytes of MsgBody */
    size_t overhead;  /* of them taken by everything but the text */
    enum im_escape escape;
    bool ended;       /* no more text will come */
};

struct im_plan {
    size_t show; /* bytes of text to show */
    bool full;   /* the message is full: it ends with them and another one follows */
    bool last;   /* the text has ended and this is all of it */
};

/* im_text_plan - what the message can show now. */
struct im_plan im_text_plan(const struct im_plan_input *input);

/* im_text_hold - the end of what may go out of text[from..to) when the last piece must not be empty: before its last visible character.
 * from if there is none. */
size_t im_text_hold(const char *text, size_t from, size_t to);

#endif
