/* im-custom-message/im_answer.h - one answer on its way into a chat: which call is next, and what an outcome means.  Pure: time and chance are
 * values, nothing is sent here.
 *
 *   text comes in --> next(): the newest snapshot, as one step --> begin() --> the call --> done(): a class of im_codes.h
 *
 * One call at a time.  The answer's messages ("parts") follow each other; a part is:
 *
 *   nothing --SEND/PIECE/CHUNK--> exists --MODIFY/PIECE/CHUNK ...--> finished --> the next part, or ERROR, or over
 *
 * What must hold, and what the tests check: text only grows, at the end; a part is never finished empty; every part that exists is finished
 * unless the answer is given up; a call that may have been done is repeated to the letter if it makes a message, and never repeated if it
 * adds text to one. */
#ifndef IM_ANSWER_H
#define IM_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <umbel/out.h>

#include "im_codes.h"
#include "im_text.h"

enum im_mode { IM_MODIFY, IM_STREAM, IM_TIM_STREAM, IM_TEXT };
enum im_call {
    IM_CALL_SEND,   /* a new message with a snapshot */
    IM_CALL_MODIFY, /* that message with the newest snapshot */
    IM_CALL_PIECE,  /* the next piece of a stream message; the first one makes it */
    IM_CALL_CHUNK,  /* the same for TIMStreamElem */
    IM_CALL_TEXT,   /* a new plain text message */
    IM_CALL_ERROR   /* a new message that says what went wrong */
};
enum im_ending {
    IM_RUNNING,
    IM_DONE,        /* the text is whole; words: said if there is none */
    IM_STOPPED,     /* by the user; words: shown if there is no text */
    IM_FAILED,      /* words: said in a message of their own after the text */
    IM_INTERRUPTED  /* we cannot go on; words: a note put behind the text */
};

#define IM_KEY_MAX 128u         /* bytes of a MsgKey or StreamMsgID with its zero */
#define IM_WAITING_MAX 16384u   /* bytes of text beyond a message's limit before the reader is told to wait */
#define IM_HELD_NS 10000000000ull    /* a held piece goes out after so long without a call */
#define IM_SILENCE_NS 14000000000ull /* after 15 s the service ends a TIMStreamElem by itself */
#define IM_INTERVAL_MAX_MS 5000u
#define IM_CLOSINGS 3u          /* further tries to finish a message after a code that says "do not repeat" */

struct im_step {
    enum im_call call;
    size_t from, to; /* bytes of text; from is 0 but for PIECE and CHUNK */
    bool final;      /* finishes the message */
    char tail[IM_TAIL_MAX];
};

/* What a call's reply told. */
struct im_told {
    const char *key;  /* MsgKey, a group's MsgSeq, or StreamMsgID; "" if absent */
    uint32_t chance;  /* any number */
};

struct im_answer {
    /* how */
    enum im_mode wanted; /* of each new part */
    bool group;
    uint32_t interval_ms, give_up_ms;
    uint32_t stretched_ms; /* the interval as the service's complaints have made it */
    uint64_t chance;       /* state of a small generator: MsgSeq and MsgRandom */
    /* what */
    struct umbel_out text; /* from base on: of the part at hand and of what comes after it */
    uint64_t base;         /* bytes of the answer before text */
    char head[IM_FENCE_MAX]; /* code fence opened again at the beginning of this part; "" if none */
    enum im_ending ending;
    const char *words;     /* static or the owner's */
    const char *refused_words; /* said when the service does not take the text */
    /* the part at hand */
    enum im_mode mode;     /* as wanted, or MODIFY after a fall back */
    bool exists;
    char key[IM_KEY_MAX];
    uint32_t seq, random;
    size_t shown;          /* bytes that the service has accepted */
    size_t reached;        /* bytes that it may have accepted */
    size_t need;           /* after a restart: bytes of text that must be back before anything can be sent */
    uint32_t pieces;       /* PIECE or CHUNK calls accepted */
    size_t limit;          /* bytes of MsgBody */
    uint32_t parts;        /* finished before this one */
    /* the call */
    bool busy, repeat;     /* under way; step is to be made again as it stands */
    struct im_step step;
    uint64_t last_ok_ns, due_ns, not_before_ns;
    /* failures in a row */
    uint32_t tries, conflicts, skips, closings, gone, shrinks, others, refusals;
    uint64_t failing_since_ns;
    bool signed_again, waited_minute, quiet;
    /* results */
    bool over, gave_up; /* nothing more will be sent; and not all of it was */
    bool deaf;          /* more text is not wanted */
    bool renew_sig;     /* the owner makes a new UserSig and clears this */
    uint32_t abandoned; /* parts left unfinished because the service takes them neither way */
};

/* im_answer_init - mode for each part; group: to a group (stream is then modify); seed: any number, for MsgSeq and MsgRandom. */
void im_answer_init(struct im_answer *answer, enum im_mode mode, bool group, uint32_t interval_ms, uint32_t give_up_ms, uint64_t seed);
void im_answer_free(struct im_answer *answer);

/* im_answer_take - more text, whole characters.  0 or -ENOMEM. */
int im_answer_take(struct im_answer *answer, const char *text, size_t size);
bool im_answer_is_full(const struct im_answer *answer);

/* im_answer_end - no more text will come.  The first ending counts.  words are borrowed. */
void im_answer_end(struct im_answer *answer, enum im_ending ending, const char *words);

/* im_answer_next - true and the step that is to be made now.  false: ret_when_ns is when to ask again, UINT64_MAX: when something happens. */
bool im_answer_next(struct im_answer *answer, uint64_t now_ns, struct im_step *ret_step, uint64_t *ret_when_ns);

/* im_answer_begin - the step goes out now. */
void im_answer_begin(struct im_answer *answer, const struct im_step *step, uint64_t now_ns);

/* im_answer_done - it has come to this. */
void im_answer_done(struct im_answer *answer, enum im_class class_, const struct im_told *told, uint64_t now_ns);

/* im_answer_is_first - nothing of it has been shown yet. */
bool im_answer_is_first(const struct im_answer *answer);

/* im_answer_content - appends what the step shows: of a message all its text, of a piece only the new. */
void im_answer_content(const struct im_answer *answer, const struct im_step *step, struct umbel_out *out);

#endif
