/* parse/dialect_chat_forms.h - two forms of streams that are no chat completions, but come from services called compatible; for
 * dialect_chat_completions.c only.
 *
 *   bare completion  llama.cpp's own /completion: {"content":"...","stop":false}; the end marker is "stop":true
 *   text events      Zhipu's third version: `event: add` with bare text in its data lines; `event: finish` with a field `meta` of JSON */
#ifndef DIALECT_CHAT_FORMS_H
#define DIALECT_CHAT_FORMS_H

#include "core/parse/dialect_reader.h"

/* dialect_is_bare_completion - has object the members of one, and no choices? */
bool dialect_is_bare_completion(const struct umbel_json *object);
/* dialect_take_bare_completion - 0 or what the sink returned. */
int dialect_take_bare_completion(struct dialect_reader *r, const struct umbel_json *object);

/* dialect_is_text_event - by the event's name; `error` is not among them: it is the same everywhere. */
bool dialect_is_text_event(struct span name);
/* dialect_take_text_event - data: text as it came, lines joined by LF.  0 or what the sink returned, or -ENOMEM. */
int dialect_take_text_event(struct dialect_reader *r, struct span name, struct span data);
/* dialect_take_meta - the field `meta`: usage and status.  What cannot be read is ignored. */
void dialect_take_meta(struct dialect_reader *r, struct span value);

#endif
