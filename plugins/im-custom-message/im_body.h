/* im-custom-message/im_body.h - the service's calls as JSON, and what it answers.  Pure. */
#ifndef IM_BODY_H
#define IM_BODY_H

#include <umbel/out.h>

#include "im_answer.h"

/* Whom a message goes to. */
struct im_peer {
    const char *bot;   /* account of the bot */
    const char *user;  /* "" for a group */
    const char *group; /* "" for a user */
};

/* im_body_command - the path after /v4/, "openim/sendmsg" and so on; static. */
const char *im_body_command(const struct im_answer *answer, const struct im_step *step);

/* im_body_put - appends the JSON of one call.  out->failed tells about memory. */
void im_body_put(const struct im_answer *answer, const struct im_step *step, const struct im_peer *peer, struct umbel_out *out);

/* im_body_size - bytes of the MsgBody that im_body_put writes for this step (of a PIECE: of its chunk). */
size_t im_body_size(const struct im_answer *answer, const struct im_step *step);

/* im_reply_read - ErrorCode of a reply, and the key of a message that step made ("" if it has none).  -1: this is no reply of the service.
 * ret_info: ErrorInfo, cut to what fits. */
int64_t im_reply_read(const char *body, size_t size, const struct im_answer *answer, const struct im_step *step, char ret_key[IM_KEY_MAX],
                      char *ret_info, size_t info_room);

#endif
