#include "core/config/config_spell.h"

#include <stdio.h>
#include <string.h>

#define COMPARED_MAX 64

static size_t least(size_t a, size_t b, size_t c)
{
    size_t low = a < b ? a : b;

    return low < c ? low : c;
}

size_t config_distance(const char *a, const char *b)
{
    size_t rows[3][COMPARED_MAX + 1]; /* two rows back, one back, this one: neighbours that swapped need the first */
    size_t a_size = strnlen(a, COMPARED_MAX), b_size = strnlen(b, COMPARED_MAX);

    for (size_t j = 0; j <= b_size; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t *now = rows[i % 3], *back = rows[(i - 1) % 3], *back2 = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            now[j] = least(back[j] + 1, now[j - 1] + 1, back[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && back2[j - 2] + 1 < now[j])
                now[j] = back2[j - 2] + 1;
        }
    }
    return rows[a_size % 3][b_size];
}

void config_spell_begin(struct config_spell *spell, const char *wanted)
{
    *spell = (struct config_spell){.wanted = wanted};
}

void config_spell_offer(struct config_spell *spell, const char *candidate)
{
    size_t distance = config_distance(spell->wanted, candidate), size = strlen(candidate);
    size_t allowed = strlen(spell->wanted) / 3 + 1;

    if (distance <= allowed && distance < strlen(spell->wanted) && (!spell->nearest || distance < spell->distance)) {
        spell->nearest = candidate;
        spell->distance = distance;
    }
    if (spell->used + size + 8 < sizeof spell->all)
        spell->used += (size_t)snprintf(spell->all + spell->used, sizeof spell->all - spell->used, "%s%s",
                                        spell->used ? ", " : "", candidate);
    else if (spell->used && !strstr(spell->all, "..."))
        snprintf(spell->all + spell->used, sizeof spell->all - spell->used, ", ...");
}

struct config_label config_spell_hint(const struct config_spell *spell)
{
    struct config_label hint = {""};

    if (spell->nearest)
        snprintf(hint.text, sizeof hint.text, ", did you mean %s", spell->nearest);
    return hint;
}
