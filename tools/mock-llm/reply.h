/* reply - whole responses: small JSON bodies, OpenAI's error object, HTML.
 * Every function here also ends the request's record (NULL if it has none) as end says, gives the caller's hold on it
 * back, and hands the connection on (conn_answered).  Owner: the loop thread. */
#ifndef MOCK_LLM_REPLY_H
#define MOCK_LLM_REPLY_H
#include "bytes.h"

struct conn;
struct record;

/* reply_send answers with body.  extra holds further header lines, each with CR LF, or NULL. */
void reply_send(struct conn *conn, struct record *record, const char *end, unsigned status, const char *type, const char *extra,
                const struct bytes *body);
/* reply_error answers with {"error":{message,type,param,code}}, or what the dialect of conn has for it; param and code may be NULL (null). */
void reply_error(struct conn *conn, struct record *record, const char *end, unsigned status, const char *extra,
                 const char *message, const char *type, const char *param, const char *code);
/* reply_reason returns the reason phrase of a status; static. */
const char *reply_reason(unsigned status);
#endif
