/* umbel-man - manual pages in mdoc(7), made of tables. */
#ifndef MAN_H
#define MAN_H

#include <umbel/json.h>
#include <umbel/out.h>

/* ---- man_text.c ---- */

void man_head(struct umbel_out *out, const char *name, const char *section, const char *summary);
/* man_text - words as text: nothing in them is a request.  man_line - the same with a line's end. */
void man_text(struct umbel_out *out, const char *text);
void man_line(struct umbel_out *out, const char *text);
void man_literal(struct umbel_out *out, const char *text); /* as it is, lines and all */

/* ---- man_pages.c ---- */

/* Each appends a whole page. */
void man_umbeld(struct umbel_out *out, const char *help);
void man_umbelctl(struct umbel_out *out);
/* options: what umbeld --config-doc --json prints.  plugins: manifests; names: theirs. */
void man_umbel_conf(struct umbel_out *out, const struct umbel_json *options, struct umbel_json *const *plugins, size_t count);
void man_umbel_plugin(struct umbel_out *out, const char *table, struct umbel_json *const *plugins, size_t count);

#endif
