/* route - which request gets which answer.  Owner: the loop thread. */
#ifndef MOCK_LLM_ROUTE_H
#define MOCK_LLM_ROUTE_H
#include <stddef.h>

struct conn;
struct http_head;

/* route_request answers one whole request, or starts to.  head and body are only good until it returns. */
void route_request(struct conn *conn, const struct http_head *head, const char *body, size_t size);
/* route_refuse answers a request that could not be read.  head is NULL if not even its head could. */
void route_refuse(struct conn *conn, const struct http_head *head, unsigned status, const char *why);
#endif
