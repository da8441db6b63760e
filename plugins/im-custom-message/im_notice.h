/* im-custom-message/im_notice.h - what a webhook says.  Pure: the body of a request that was found genuine comes in, a notice comes out. */
#ifndef IM_NOTICE_H
#define IM_NOTICE_H

#include <stdbool.h>
#include <stddef.h>

#include <umbel/json.h>

#define IM_ID_MAX 128u   /* bytes of an account or group with its zero; longer ones are nobody's */
#define IM_BODY_MAX 65536u /* bytes of a webhook's body; the service sends far less */

enum im_notice_kind {
    IM_NOTICE_NOTHING,   /* not for us, or nothing to do; why says it */
    IM_NOTICE_QUESTION,
    IM_NOTICE_STOP,
    IM_NOTICE_STRANGE    /* a message without text: a picture, a file */
};

struct im_notice {
    enum im_notice_kind kind;
    const char *why;             /* the counter of what was dropped */
    char user[IM_ID_MAX];        /* who wrote */
    char group[IM_ID_MAX];       /* where; "" one to one */
    char bot[IM_ID_MAX];         /* to whom */
    char once[IM_ID_MAX * 2];    /* the name under which it is remembered, so that it is acted on once */
    char stop_key[IM_ID_MAX];    /* STOP: as it came */
    struct umbel_out text;       /* QUESTION: mention removed */
};

/* im_notice_read - reads one callback.  command: CallbackCommand of the address, the body's own counts if it is there.  known(arg, account)
 * tells whether an account is one of our bots.  A group message may mention several of them: index (from 0) says for which one it is read;
 * a notice past the last one is NOTHING.  The notice is to be freed. */
void im_notice_read(const char *command, const char *body, size_t size, bool (*known)(void *arg, const char *account), void *arg,
                    unsigned index, struct im_notice *ret_notice);
void im_notice_free(struct im_notice *notice);

#endif
