#include "core/admin/admin_command.h"

#include <string.h>

#define UMBEL_COMMAND(id, words, arguments, min, max, role, summary) {ADMIN_##id, words, arguments, min, max, ADMIN_##role, summary},
#define UMBEL_OPTION(...)
const struct admin_command admin_commands[ADMIN_COMMAND_COUNT] = {
#include "core/admin/admin_commands.def"
};
#undef UMBEL_COMMAND
#undef UMBEL_OPTION

#define UMBEL_COMMAND(...)
#define UMBEL_OPTION(command, name, value, explanation) {ADMIN_##command, name, value, explanation},
const struct admin_option admin_options[] = {
#include "core/admin/admin_commands.def"
};
#undef UMBEL_COMMAND
#undef UMBEL_OPTION

const size_t admin_option_count = sizeof admin_options / sizeof admin_options[0];

const struct admin_command *admin_command_named(const char *words)
{
    for (size_t i = 0; i < ADMIN_COMMAND_COUNT; i++)
        if (strcmp(admin_commands[i].words, words) == 0)
            return &admin_commands[i];
    return NULL;
}

/* How many of the words the name takes, 0 if they do not begin with it. */
static size_t words_taken(const char *name, char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(words[i]);

        if (size == 0 || strncmp(name, words[i], size) != 0 || (name[size] != ' ' && name[size] != '\0'))
            return 0;
        if (name[size] == '\0')
            return i + 1;
        name += size + 1;
    }
    return 0;
}

const struct admin_command *admin_command_match(char *const *words, size_t count, size_t *ret_used)
{
    const struct admin_command *best = NULL;
    size_t used = 0;

    for (size_t i = 0; i < ADMIN_COMMAND_COUNT; i++) {
        size_t taken = words_taken(admin_commands[i].words, words, count);

        if (taken > used) {
            best = &admin_commands[i];
            used = taken;
        }
    }
    if (best)
        *ret_used = used;
    return best;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned admin_distance(const char *a, const char *b)
{
    unsigned row[3][65];
    size_t a_size = strnlen(a, 63), b_size = strnlen(b, 63);

    for (unsigned j = 0; j <= b_size; j++)
        row[1][j] = j;
    for (unsigned i = 1; i <= a_size; i++) {
        unsigned *now = row[(i + 1) % 3], *before = row[i % 3], *earlier = row[(i + 2) % 3];

        now[0] = i;
        for (unsigned j = 1; j <= b_size; j++) {
            unsigned change = a[i - 1] != b[j - 1];

            now[j] = least(least(before[j] + 1, now[j - 1] + 1), before[j - 1] + change);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], earlier[j - 2] + 1);
        }
    }
    return row[(a_size + 1) % 3][b_size];
}

const struct admin_command *admin_command_nearest(const char *text)
{
    const struct admin_command *best = NULL;
    unsigned best_distance = 0;
    size_t size = strlen(text);

    for (size_t i = 0; i < ADMIN_COMMAND_COUNT; i++) {
        unsigned distance = admin_distance(text, admin_commands[i].words);
        const char *space = strchr(admin_commands[i].words, ' ');

        if (space && size >= 3) { /* "streams" means "stream list", "cancel" means "stream cancel" */
            char first[64];
            size_t first_size = (size_t)(space - admin_commands[i].words);

            memcpy(first, admin_commands[i].words, first_size);
            first[first_size] = '\0';
            distance = least(distance, admin_distance(text, first) + 1);
            distance = least(distance, admin_distance(text, space + 1) + 1);
        }
        if (!best || distance < best_distance) {
            best = &admin_commands[i];
            best_distance = distance;
        }
    }
    return best && best_distance <= 1 + size / 3 ? best : NULL;
}

const struct admin_option *admin_option_named(enum admin_id command, const char *name, size_t size)
{
    for (size_t i = 0; i < admin_option_count; i++)
        if (admin_options[i].command == command && strlen(admin_options[i].name) == size && memcmp(admin_options[i].name, name, size) == 0)
            return &admin_options[i];
    return NULL;
}
