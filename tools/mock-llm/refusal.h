/* refusal - the faults that answer without answering: an HTTP status with OpenAI's error body, an error in a 200, a
 * proxy's HTML page.  Owner: the loop thread. */
#ifndef MOCK_LLM_REFUSAL_H
#define MOCK_LLM_REFUSAL_H
#include <stdbool.h>

struct conn;
struct model_spec;
struct record;

/* refusal_send answers if spec asks for such a fault, taking over the caller's hold on record; else returns false and
 * has done nothing. */
bool refusal_send(struct conn *conn, struct record *record, const struct model_spec *spec);
/* refusal_key answers a wrong or missing key as the real service does; takes over the caller's hold on record. */
void refusal_key(struct conn *conn, struct record *record, bool key_given);
#endif
