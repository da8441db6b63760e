/* config/config_spell.h - the nearest of the words that would have been right. */
#ifndef CONFIG_SPELL_H
#define CONFIG_SPELL_H

#include <stddef.h>

#include "core/config/config_tree.h"

/* config_distance - how many letters must be put in, taken out, changed or swapped with their neighbour to make b of a; at most
 * 64 bytes of each are compared. */
size_t config_distance(const char *a, const char *b);

/* config_spell - collects candidates one by one and keeps the nearest. */
struct config_spell {
    const char *wanted;
    const char *nearest; /* borrowed; NULL: none is near enough to be meant */
    size_t distance;
    char all[200]; /* "a, b, c", with "..." when there are more */
    size_t used;
};
void config_spell_begin(struct config_spell *spell, const char *wanted);
void config_spell_offer(struct config_spell *spell, const char *candidate);

/* config_spell_hint - "did you mean X? " in one piece for a message, or "". */
struct config_label config_spell_hint(const struct config_spell *spell);

#endif
