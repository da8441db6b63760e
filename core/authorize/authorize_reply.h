/* authorize/authorize_reply.h - the words on the wire: the question as JSON, and what an answer must look like.  Pure. */
#ifndef AUTHORIZE_REPLY_H
#define AUTHORIZE_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <umbel/out.h>

#include "core/base/why.h"

#define AUTHORIZE_USER_MAX 100u      /* bytes of a user's name */
#define AUTHORIZE_MESSAGE_MAX 200u   /* bytes of a message; a longer one is cut between characters */
#define AUTHORIZE_REPLY_MAX 65536u   /* bytes of an answer */
#define AUTHORIZE_CACHE_S_MAX 86400u /* a longer cache_s counts as this */

enum authorize_limit {
    AUTHORIZE_CONCURRENT,
    AUTHORIZE_REQUESTS_PER_MINUTE,
    AUTHORIZE_PROMPT_BYTES,
    AUTHORIZE_OUTPUT_TOKENS,
    AUTHORIZE_TOKENS_PER_DAY,
    AUTHORIZE_LIMITS
};
struct authorize_limits {
    uint32_t value[AUTHORIZE_LIMITS]; /* 0 = no limit */
    bool given[AUTHORIZE_LIMITS];     /* else the app's own key_limits hold */
};

struct authorize_reply {
    bool allow, has_cache_s;
    uint32_t cache_s;
    int code;
    char user[AUTHORIZE_USER_MAX + 1];
    char message[AUTHORIZE_MESSAGE_MAX + 1];
    struct authorize_limits limits;
};

/* authorize_reply_read - one body.  0; or -EBADMSG with what is wrong (never with a text of the body): it is not the JSON that
 * docs/authorize.md asks for.  Members that are not known are passed over. */
int authorize_reply_read(const char *body, size_t size, struct authorize_reply *ret_reply, struct why *why);

struct authorize_question;

/* authorize_request_write - appends the question.  The buffer never moves while the credential is in it, so one wipe at the end takes
 * it all: out must be empty. */
void authorize_request_write(const struct authorize_question *question, struct umbel_out *out);

#endif
