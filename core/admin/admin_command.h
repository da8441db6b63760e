/* admin/admin_command.h - the table of commands (admin_commands.def) and what both ends make of it.  Pure; any thread. */
#ifndef ADMIN_COMMAND_H
#define ADMIN_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#define ADMIN_WORDS_MAX 3u    /* words of a command's name */
#define ADMIN_OPTIONS_MAX 16u /* options of one command line */

enum admin_role { ADMIN_LOCAL, ADMIN_VIEW, ADMIN_OPERATE };

#define UMBEL_COMMAND(id, ...) ADMIN_##id,
#define UMBEL_OPTION(...)
enum admin_id {
#include "core/admin/admin_commands.def"
    ADMIN_COMMAND_COUNT
};
#undef UMBEL_COMMAND
#undef UMBEL_OPTION

struct admin_command {
    enum admin_id id;
    const char *words;     /* "stream list" */
    const char *arguments; /* "[--state STATE]" */
    unsigned min, max;     /* words that are no options */
    enum admin_role role;
    const char *summary;
};

struct admin_option {
    enum admin_id command;
    const char *name;  /* without the dashes */
    const char *value; /* what stands for the value in help; "": it has none, and is "yes" on its way */
    const char *explanation;
};

extern const struct admin_command admin_commands[ADMIN_COMMAND_COUNT];
extern const struct admin_option admin_options[];
extern const size_t admin_option_count;

/* admin_command_named - the command of exactly these words, or NULL. */
const struct admin_command *admin_command_named(const char *words);

/* admin_command_match - the command whose words begin the list (the longest one), or NULL; *ret_used words of it belong to the name. */
const struct admin_command *admin_command_match(char *const *words, size_t count, size_t *ret_used);

/* admin_command_nearest - the command whose words resemble text most, or NULL when none does. */
const struct admin_command *admin_command_nearest(const char *text);

/* admin_option_named - the option of that command, or NULL. */
const struct admin_option *admin_option_named(enum admin_id command, const char *name, size_t size);

/* admin_distance - letters to insert, delete, change or swap to make a into b; texts beyond 63 bytes are cut. */
unsigned admin_distance(const char *a, const char *b);

#endif
