/* chat_read - what the dialects share in reading their requests: strict, because a request that a real service would refuse should fail
 * its tests here.  Pure. */
#ifndef MOCK_LLM_CHAT_READ_H
#define MOCK_LLM_CHAT_READ_H
#include "chat_request.h"

/* chat_read_known tells whether every member of object is named in names, " a b c "; else refuses. */
bool chat_read_known(const struct cJSON *object, const char *names, struct chat_refusal *refusal);
/* chat_read_model takes the model's name from root. */
bool chat_read_model(struct chat_request *request, struct chat_refusal *refusal);
/* chat_read_messages walks over list: each message's role must be in roles, " user assistant ", and text must append what it says, or
 * return false.  Fills in messages, their count, the prompt (the last text that is not empty of role user) and prompt_tokens. */
bool chat_read_messages(struct chat_request *request, const struct cJSON *list, const char *roles,
                        bool (*text)(const struct cJSON *message, struct bytes *out), struct chat_refusal *refusal);
/* chat_read_string returns the string member of object, or NULL. */
const char *chat_read_string(const struct cJSON *object, const char *name);
#endif
