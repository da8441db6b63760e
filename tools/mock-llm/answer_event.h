/* answer_event - how events are framed: line ends, comments, and the places where eof=noeol and malformed=N act.  For voices only.  Pure. */
#ifndef MOCK_LLM_ANSWER_EVENT_H
#define MOCK_LLM_ANSWER_EVENT_H
#include "answer.h"

/* event_line_end appends the line end that the model name asks for. */
void event_line_end(const struct answer *answer, struct bytes *out);
/* event_open begins an event, event_close ends it: with a blank line, or for lines and arrays of JSON with a line end. */
void event_open(struct answer *answer, struct bytes *out);
void event_close(struct answer *answer, struct bytes *out);
/* event_comment appends ": keep-alive". */
void event_comment(struct answer *answer, struct bytes *out);
/* event_named begins an event that has a name, up to its data. */
void event_named(struct answer *answer, struct bytes *out, const char *name);
/* event_text appends "member":"text" with text escaped. */
void event_text(struct bytes *out, const char *member, const struct bytes *text);
#endif
