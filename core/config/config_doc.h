/* config/config_doc.h - the option tables in words: for `umbelctl config doc` and `config default`.  Pure but for the lookup. */
#ifndef CONFIG_DOC_H
#define CONFIG_DOC_H

#include <stdbool.h>

#include "core/config/config.h"

/* config_doc - explains what: "" = all sections; "app", "app.limits", "app.model", "runtime_dir"; a plugin by its name, "ws-chatgpt" or
 * "ws-chatgpt.offset", which lookup is asked for.  json: an array of {section, option, type, required, default, choices, min, max, unit,
 * help} instead of text.  0; -ENOENT with words and the nearest name; what lookup says; -ENOMEM. */
int config_doc(const char *what, bool json, config_manifest_lookup *lookup, void *owner, struct umbel_out *out, struct why *why);

/* config_doc_default - a whole file: every section and option, commented out with its default, and the few lines that must be written,
 * marked EDIT.  What is marked is wrong until it has been edited: the file cannot be used by mistake. */
void config_doc_default(struct umbel_out *out);

#endif
